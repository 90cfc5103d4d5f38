//! Tests of the actor: real time, real tasks, a network in memory.

use conclave_wg::key::PublicKey;
use conclave_wg::memory::{Faults, MemoryNetwork};

use super::*;
use crate::facts::{FactKey, FactName, FactValue};
use crate::hints::{Hint, HintContent};
use crate::id::{BootId, ClusterId, Tenant};
use crate::roster::{Member, Roster};
use crate::settings::Settings;
use crate::time::Moment;
use crate::wire::About;

/// Time since the test began.
struct TestTime(tokio::time::Instant);

impl Time for TestTime {
    fn now(&self) -> Moment {
        let since_boot = self.0.elapsed();
        Moment {
            since_boot,
            wall_ns: i64::try_from(since_boot.as_nanos()).unwrap(),
        }
    }
}

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

/// Settings that spare the tests' time.
const QUICK: Settings = Settings {
    heartbeat_interval: Duration::from_millis(40),
    down_after: Duration::from_millis(400),
};

fn start(names: &[&str]) -> Vec<(ClusterHandle, mpsc::Receiver<News>)> {
    let network = MemoryNetwork::new(1, Faults::none());
    let members: Vec<_> = names
        .iter()
        .zip(1u8..)
        .map(|(text, number)| Member {
            name: name(text),
            public_key: PublicKey::from_bytes([number; 32]),
            endpoint: None,
            address: [10, 90, 0, number].into(),
        })
        .collect();
    let time: Arc<dyn Time> = Arc::new(TestTime(tokio::time::Instant::now()));
    let nodes = names.iter().zip(1u64..).map(|(text, boot)| {
        let transport = Arc::new(network.join(name(text)));
        let roster = Roster::new(ClusterId([1; 16]), &name(text), members.clone()).unwrap();
        let (arbiter, time) = (Arbiter::current(), Arc::clone(&time));
        ClusterHandle::start(&arbiter, roster, QUICK, BootId(boot), transport, time)
    });
    nodes.collect()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come true within 5 s");
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

/// Waits for the first news that are picked.
async fn next<T>(news: &mut mpsc::Receiver<News>, pick: impl Fn(News) -> Option<T>) -> T {
    let picked = async {
        loop {
            if let Some(picked) = pick(news.recv().await.expect("the actor runs")) {
                return picked;
            }
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(5), picked).await;
    waited.expect("the news came within 5 s")
}

#[actix::test]
async fn three_nodes_find_each_other_and_speak() {
    let mut nodes = start(&["a", "b", "c"]);
    let handles: Vec<_> = nodes.iter().map(|(handle, _)| handle.clone()).collect();
    let all_up = || handles.iter().all(|handle| handle.live_peers().len() == 2);
    until("everybody is up", all_up).await;

    handles[0].publish(fact(7)).unwrap();
    let hint = Hint {
        tenant: Tenant([1; 16]),
        content: HintContent::new(b"key 3").unwrap(),
    };
    handles[0].hint(hint.clone()).unwrap();
    let about = About::new(b"version 1").unwrap();
    handles[0].describe(about.clone()).unwrap();
    for (handle, news) in &mut nodes[1..] {
        let learned = next(news, |news| match news {
            News::Notice(Notice::Learned(fact)) => Some(fact.version),
            _ => None,
        });
        assert_eq!(learned.await, 7);
        let heard = next(news, |news| match news {
            News::Notice(Notice::Heard { from, hint }) => Some((from, hint)),
            _ => None,
        });
        assert_eq!(heard.await, (name("a"), hint.clone()));
        assert_eq!(handle.facts().await.unwrap().len(), 1);
        let described = || handle.view().peers.iter().any(|peer| peer.about == about);
        until("a is known by what it says of itself", described).await;
    }
}

#[actix::test]
async fn a_question_is_answered_or_times_out() {
    let mut nodes = start(&["a", "b"]);
    let (a, _news) = nodes.remove(0);
    let (_b, mut news) = nodes.remove(0);
    until("b is up", || a.live_peers().len() == 1).await;

    let answering = async {
        let request = next(&mut news, |news| match news {
            News::Request(request) => Some(request),
            _ => None,
        });
        let request = request.await;
        assert_eq!(request.from(), &name("a"));
        let mut answer = request.body.as_bytes().to_vec();
        answer.reverse();
        request.answer(Body::new(answer).unwrap()).unwrap();
    };
    let body = Body::new(b"abc".to_vec()).unwrap();
    let asking = a.ask(name("b"), body.clone(), Duration::from_secs(2));
    let ((), answer) = tokio::join!(answering, asking);
    assert_eq!(answer.unwrap().as_bytes(), b"cba");

    let unanswered = a.ask(name("b"), body.clone(), Duration::from_millis(50));
    assert_eq!(unanswered.await, Err(AskError::TimedOut));
    let unknown = a.ask(name("x"), body, Duration::from_secs(2));
    assert_eq!(unknown.await, Err(AskError::UnknownPeer));
}

#[actix::test]
async fn a_node_that_ends_is_found_down() {
    let mut nodes = start(&["a", "b"]);
    let b = nodes.pop();
    let a = &nodes[0].0;
    until("b is up", || a.live_peers().len() == 1).await;
    drop(b);
    until("b is down", || a.live_peers().is_empty()).await;
}

#[actix::test]
async fn the_mailbox_is_bounded() {
    let nodes = start(&["a", "b"]);
    // The bound holds from the actor's first turn on; before that it is smaller.
    nodes[0].0.facts().await.unwrap();
    // The actor runs on this thread, and has no other turn before the loop ends.
    let told: Vec<_> = (0..MAILBOX as u64 * 2)
        .map(|version| nodes[0].0.publish(fact(version)))
        .collect();
    assert!(told.contains(&Err(Unavailable::Full)));
    let taken = told.iter().filter(|told| told.is_ok()).count();
    assert!((MAILBOX..MAILBOX + 10).contains(&taken), "{taken}");
}

#[actix::test]
async fn news_that_nobody_takes_in_are_missed_and_that_is_told() {
    let mut nodes = start(&["a", "b"]);
    let (a, _) = nodes.remove(0);
    let (b, mut news) = nodes.remove(0);
    let both_up = || a.live_peers().len() == 1 && b.live_peers().len() == 1;
    until("both are up", both_up).await;
    let told = NEWS + 500;
    for tenant in 0..told as u128 {
        let mut fact = fact(1);
        fact.key.tenant = Tenant(tenant.to_be_bytes());
        while a.publish(fact.clone()).is_err() {
            tokio::task::yield_now().await;
        }
    }
    until("b knows all facts", || b.view().facts == told).await;
    let mut taken = 0;
    while !matches!(next(&mut news, Some).await, News::Missed) {
        taken += 1;
    }
    assert_eq!(taken, NEWS);
    assert!(b.view().counters.news_missed >= 400);
}
