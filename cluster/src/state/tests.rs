//! Tests of one node's part, event by event. What whole clusters promise is tested by the simulator.

use super::*;
use crate::facts::{FactName, FactValue};
use crate::hints::HintContent;
use crate::id::{ClusterId, Tenant};
use crate::roster::{Member, RosterError};
use conclave_wg::key::PublicKey;
use zeroize::Zeroizing;

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn at(milliseconds: u64) -> Moment {
    Moment {
        since_boot: Duration::from_millis(milliseconds),
        wall_ns: i64::try_from(milliseconds).unwrap() * 1_000_000,
    }
}

fn roster(cluster: u8, me: &str, names: &[&str]) -> Roster {
    let members = names.iter().zip(1u8..).map(|(name, number)| Member {
        name: name.parse().unwrap(),
        public_key: PublicKey::from_bytes([number; 32]),
        endpoint: None,
        address: [10, 90, 0, number].into(),
    });
    Roster::new(ClusterId([cluster; 16]), &name(me), members.collect()).unwrap()
}

fn node(me: &str, names: &[&str]) -> Cluster {
    let boot = BootId(me.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte)));
    Cluster::new(roster(1, me, names), Settings::default(), boot, at(0))
}

/// Two nodes, a and b, and what they told.
struct Pair {
    a: Cluster,
    b: Cluster,
    told: Vec<(char, Effect)>,
}

impl Pair {
    fn new() -> Self {
        Self {
            a: node("a", &["a", "b"]),
            b: node("b", &["a", "b"]),
            told: Vec::new(),
        }
    }

    /// A pair whose members know that the other is alive, at 0 ms.
    fn up() -> Self {
        let mut pair = Self::new();
        pair.event('a', Event::Woke, 0);
        pair.told.clear();
        pair
    }

    /// Hands an event to a node, and every packet that follows from it to the other.
    fn event(&mut self, to: char, event: Event, milliseconds: u64) {
        let mut queue = vec![(to, event)];
        while let Some((to, event)) = queue.pop() {
            let (node, other, from) = match to {
                'a' => (&mut self.a, 'b', name("a")),
                _ => (&mut self.b, 'a', name("b")),
            };
            for effect in node.step(event, at(milliseconds)) {
                match effect {
                    Effect::Send { to, .. } if to != name(&other.to_string()) => {}
                    Effect::Send { packet, .. } => {
                        let from = from.clone();
                        queue.push((other, Event::Received { from, packet }));
                    }
                    effect => self.told.push((to, effect)),
                }
            }
        }
    }

    fn ask(&mut self, ticket: u64) {
        let question = Event::Asked {
            to: name("b"),
            body: Body::new(b"question".to_vec()).unwrap(),
            timeout: Duration::from_secs(1),
            ticket: Ticket(ticket),
        };
        self.event('a', question, 100);
    }
}

fn fact(version: u64) -> Fact {
    Fact {
        key: FactKey {
            tenant: Tenant([1; 16]),
            name: FactName::new(b"sealed").unwrap(),
        },
        version,
        value: FactValue::default(),
        life: Duration::from_secs(60),
    }
}

#[test]
fn one_exchange_brings_both_up() {
    let mut pair = Pair::new();
    pair.event('a', Event::Woke, 0);
    let ups: Vec<_> = pair.told.iter().map(|(node, _)| *node).collect();
    assert_eq!(pair.told.len(), 2, "{:?}", pair.told);
    assert!(ups.contains(&'a') && ups.contains(&'b'));
    assert!(pair.a.is_up(&name("b")) && pair.b.is_up(&name("a")));
    let view = pair.a.view(Duration::from_millis(200));
    assert_eq!(view.peers[0].round_trip, Some(Duration::ZERO));
    assert_eq!(view.peers[0].heard, Some(Duration::from_millis(200)));
    assert_eq!(view.peers[0].boot, Some(pair.b.boot()));
}

#[test]
fn being_heard_is_not_being_alive() {
    let (mut a, mut b) = (node("a", &["a", "b"]), node("b", &["a", "b"]));
    for milliseconds in (0..5000).step_by(100) {
        // What a sends is lost.
        a.step(Event::Woke, at(milliseconds));
        for effect in b.step(Event::Woke, at(milliseconds)) {
            if let Effect::Send { packet, .. } = effect {
                let from = name("b");
                a.step(Event::Received { from, packet }, at(milliseconds));
            }
        }
    }
    assert!(!a.is_up(&name("b")) && !b.is_up(&name("a")));
    assert!(a.counters().received > 5);
}

#[test]
fn a_silent_peer_is_down_in_time_and_its_questions_are_closed() {
    let mut pair = Pair::up();
    let down_after = Settings::default().down_after;
    assert!(pair.a.next_wake() <= down_after);
    let late = Event::Asked {
        to: name("b"),
        body: Body::default(),
        timeout: Duration::from_secs(10),
        ticket: Ticket(1),
    };
    let effects = pair.a.step(late, at(2999));
    assert!(matches!(effects.last(), Some(Effect::Send { .. })));
    let effects = pair.a.step(Event::Woke, at(3000));
    let down = Effect::Tell(Notice::PeerDown { name: name("b") });
    assert_eq!(effects[0], down);
    assert_eq!(effects[1], answer(Ticket(1), Err(AskError::Down)));
    let again = Event::Asked {
        to: name("b"),
        body: Body::default(),
        timeout: Duration::from_secs(10),
        ticket: Ticket(2),
    };
    let effects = pair.a.step(again, at(3000));
    assert_eq!(effects[0], answer(Ticket(2), Err(AskError::Down)));
}

#[test]
fn a_restarted_peer_goes_down_and_comes_up() {
    let mut pair = Pair::up();
    pair.b = Cluster::new(
        roster(1, "b", &["a", "b"]),
        Settings::default(),
        BootId(99),
        at(300),
    );
    pair.event('b', Event::Woke, 300);
    let of_a = pair.told.iter().filter(|(node, _)| *node == 'a');
    let of_a: Vec<_> = of_a.map(|(_, effect)| effect.clone()).collect();
    let down = Effect::Tell(Notice::PeerDown { name: name("b") });
    let up = Effect::Tell(Notice::PeerUp {
        name: name("b"),
        boot: BootId(99),
    });
    assert_eq!(of_a, [down, up]);
}

#[test]
fn facts_are_pushed_at_once_and_pulled_when_lost() {
    let mut pair = Pair::up();
    pair.event('a', Event::Published(fact(1)), 10);
    let learned = ('b', Effect::Tell(Notice::Learned(fact(1))));
    assert_eq!(pair.told, [learned]);
    // The next is lost, and repaired by a heartbeat.
    pair.a.step(Event::Published(fact(2)), at(20));
    assert_eq!(
        pair.b
            .fact(&fact(1).key, at(20).since_boot)
            .unwrap()
            .version,
        1
    );
    pair.event('a', Event::Woke, 600);
    let known = pair.b.fact(&fact(1).key, at(600).since_boot).unwrap();
    assert_eq!(known.version, 2);
    assert_eq!(known.life, Duration::from_millis(60_000 - 580));
}

#[test]
fn hints_go_together_to_those_that_are_alive() {
    let mut pair = Pair::up();
    let hint = |number: u8| Hint {
        tenant: Tenant([1; 16]),
        content: HintContent::new(&[number]).unwrap(),
    };
    let sent = |effects: Vec<Effect>| effects.len();
    assert_eq!(sent(pair.a.step(Event::Hinted(hint(1)), at(10))), 1);
    assert_eq!(sent(pair.a.step(Event::Hinted(hint(2)), at(11))), 0);
    assert_eq!(sent(pair.a.step(Event::Hinted(hint(3)), at(12))), 0);
    assert_eq!(pair.a.next_wake(), at(15).since_boot);
    pair.event('a', Event::Woke, 15);
    let heard: Vec<_> = pair.told.iter().map(|(_, effect)| effect.clone()).collect();
    let expected = [2, 3].map(|number| {
        let (from, hint) = (name("a"), hint(number));
        Effect::Tell(Notice::Heard { from, hint })
    });
    assert_eq!(heard, expected);
}

#[test]
fn a_question_is_served_and_answered() {
    let mut pair = Pair::up();
    pair.ask(1);
    let [
        (
            'b',
            Effect::Serve {
                request,
                body,
                deadline,
            },
        ),
    ] = pair.told.as_slice()
    else {
        panic!("{:?}", pair.told);
    };
    assert_eq!(body.as_bytes(), b"question");
    assert_eq!(*deadline, at(1100).since_boot);
    let served = Event::Served {
        request: request.clone(),
        body: Body::new(b"answer".to_vec()).unwrap(),
    };
    pair.told.clear();
    pair.event('b', served.clone(), 150);
    pair.event('b', served, 151);
    let body = Body::new(b"answer".to_vec()).unwrap();
    assert_eq!(pair.told, [('a', answer(Ticket(1), Ok(body)))]);
    assert_eq!(pair.a.view(at(201).since_boot).open_questions, 0);
}

#[test]
fn strangers_other_clusters_noise_and_floods_are_dropped_and_counted() {
    let mut a = node("a", &["a", "b"]);
    let mut other = Cluster::new(
        roster(2, "b", &["a", "b"]),
        Settings::default(),
        BootId(5),
        at(0),
    );
    let Some(Effect::Send { packet, .. }) = other.step(Event::Woke, at(0)).pop() else {
        panic!("a heartbeat was expected");
    };
    let receive = |from: &str, packet: &[u8]| Event::Received {
        from: name(from),
        packet: Zeroizing::new(packet.to_vec()),
    };
    a.step(Event::Woke, at(0));
    assert_eq!(a.step(receive("x", &packet), at(1)), []);
    assert_eq!(a.step(receive("a", &packet), at(1)), []);
    let told = Effect::Tell(Notice::OtherCluster { name: name("b") });
    assert_eq!(a.step(receive("b", &packet), at(1)), [told]);
    assert_eq!(a.step(receive("b", &packet), at(1)), []);
    assert_eq!(a.step(receive("b", b"noise"), at(1)), []);
    assert_eq!(a.step(receive("b", &[1]), at(1)), []);
    for _ in 0..5000 {
        a.step(receive("b", b"noise"), at(1));
    }
    let counted = a.counters();
    assert_eq!(counted.from_strangers, 2);
    assert_eq!(counted.from_other_clusters, 2);
    assert_eq!(counted.of_unknown_version + counted.malformed, 1998);
    assert_eq!(counted.flooded, 3004);
    assert_eq!(counted.received, 0);
}

#[test]
fn replayed_packets_change_nothing_and_are_counted() {
    let mut pair = Pair::up();
    let sent = pair.b.step(Event::Woke, at(600));
    let heartbeat = sent.into_iter().find_map(|effect| match effect {
        Effect::Send { to, packet } if to == name("a") => Some(packet),
        _ => None,
    });
    let packet = heartbeat.expect("a heartbeat");
    let receive = || Event::Received {
        from: name("b"),
        packet: packet.clone(),
    };
    pair.a.step(receive(), at(601));
    let (stale, view) = (pair.a.counters().stale, pair.a.view(at(601).since_boot));
    for _ in 0..100 {
        assert_eq!(pair.a.step(receive(), at(601)), []);
    }
    assert_eq!(pair.a.counters().stale, stale + 100);
    let mut after = pair.a.view(at(601).since_boot);
    after.counters = view.counters;
    assert_eq!(after, view);
}

#[test]
fn a_reload_adds_and_removes_peers_and_keeps_the_rest() {
    let mut pair = Pair::up();
    let next =
        |cluster, me: &str, names: &[&str]| Event::Reloaded(Box::new(roster(cluster, me, names)));
    assert_eq!(pair.a.step(next(1, "a", &["a", "b", "c"]), at(100)), []);
    assert!(pair.a.is_up(&name("b")) && !pair.a.is_up(&name("c")));
    assert_eq!(pair.a.view(at(100).since_boot).peers.len(), 2);

    let refused = Effect::Tell(Notice::RosterRefused(RosterError::OtherNode));
    assert_eq!(
        pair.a.step(next(2, "a", &["a", "b"]), at(100)),
        vec![refused.clone()]
    );
    assert_eq!(pair.a.step(next(1, "b", &["a", "b"]), at(100)), [refused]);

    pair.ask(1);
    let down = Effect::Tell(Notice::PeerDown { name: name("b") });
    let closed = answer(Ticket(1), Err(AskError::UnknownPeer));
    assert_eq!(
        pair.a.step(next(1, "a", &["a", "c"]), at(110)),
        [down, closed]
    );
    let stranger = pair.b.step(Event::Woke, at(600));
    let Some(Effect::Send { packet, .. }) = stranger.into_iter().next() else {
        panic!("a heartbeat was expected");
    };
    let from = name("b");
    assert_eq!(pair.a.step(Event::Received { from, packet }, at(200)), []);
    assert_eq!(pair.a.counters().from_strangers, 1);
}

#[test]
fn a_roster_that_differs_is_told_once() {
    let mut pair = Pair::up();
    let larger = Box::new(roster(1, "b", &["a", "b", "c"]));
    pair.b.step(Event::Reloaded(larger), at(100));
    for milliseconds in [600, 1200, 1800] {
        pair.event('b', Event::Woke, milliseconds);
        pair.event('a', Event::Woke, milliseconds);
    }
    let told = |node| {
        let differs = Effect::Tell(Notice::RosterDiffers {
            name: name(if node == 'a' { "b" } else { "a" }),
        });
        pair.told
            .iter()
            .filter(|told| **told == (node, differs.clone()))
            .count()
    };
    assert_eq!((told('a'), told('b')), (1, 1));
    assert!(pair.a.view(at(1800).since_boot).peers[0].roster_differs);
    assert!(pair.b.view(at(1800).since_boot).peers[0].roster_differs);
}

#[test]
fn a_late_packet_of_an_earlier_run_does_not_bring_it_back() {
    let mut pair = Pair::up();
    let run = |boot, milliseconds| {
        let roster = roster(1, "b", &["a", "b"]);
        Cluster::new(roster, Settings::default(), BootId(boot), at(milliseconds))
    };
    // The second run sends one heartbeat and is gone; the third is known before that arrives.
    let late = run(2, 300).step(Event::Woke, at(300)).pop();
    let Some(Effect::Send { packet: late, .. }) = late else {
        panic!("a heartbeat was expected");
    };
    pair.b = run(3, 310);
    pair.event('b', Event::Woke, 310);
    let from = name("b");
    let packet = late;
    pair.event('a', Event::Received { from, packet }, 320);
    let shown = pair.a.view(at(320).since_boot);
    assert_eq!(shown.peers[0].boot, Some(BootId(3)));
    assert!(pair.a.is_up(&name("b")));
    for milliseconds in [900, 1500, 2100, 2700, 3300, 3900] {
        pair.event('a', Event::Woke, milliseconds);
        pair.event('b', Event::Woke, milliseconds);
        assert!(pair.a.is_up(&name("b")) && pair.b.is_up(&name("a")));
    }
}
