//! New handshakes in the middle of traffic. boringtun's clock cannot be turned, so its rekeying is forced here, in more
//! orders than two minutes of waiting would show; the real intervals are waited for in `tests/long.rs`.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The node sends a message.
    Send(usize),
    /// The node starts a handshake.
    Rekey(usize),
    /// The oldest datagram towards the node arrives.
    Arrive(usize),
    /// Time passes for both.
    Tick,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..2usize).prop_map(Step::Send),
        1 => (0..2usize).prop_map(Step::Rekey),
        6 => (0..2usize).prop_map(Step::Arrive),
        1 => Just(Step::Tick),
    ];
    prop::collection::vec(step, 0..80)
}

/// Two nodes and the datagrams between them, which arrive in order but when the test says.
struct Pair {
    network: Network,
    under_way: [VecDeque<Vec<u8>>; 2],
    sent: [Vec<u32>; 2],
    rekeys: usize,
}

impl Pair {
    fn new() -> Self {
        let mut network = Network::mesh(2);
        network.send(0, 1, b"up");
        network.take(1);
        Self {
            network,
            under_way: Default::default(),
            sent: Default::default(),
            rekeys: 0,
        }
    }

    fn step(&mut self, step: Step) {
        let mut effects = Vec::new();
        let from = match step {
            Step::Send(node) => {
                let number = self.sent[node].len() as u32;
                self.sent[node].push(number);
                let device = &mut self.network.nodes[node].device;
                let sent =
                    device.send_message(&name(1 - node), &number.to_be_bytes(), &mut effects);
                sent.expect("sent");
                node
            }
            // A tunnel remembers eight sessions; real rekeys are minutes apart and never get that far ahead.
            Step::Rekey(_) if self.rekeys >= 3 => return,
            Step::Rekey(node) => {
                self.rekeys += 1;
                self.network.nodes[node]
                    .device
                    .retry(&name(1 - node), &mut effects);
                node
            }
            Step::Arrive(node) => {
                if let Some(bytes) = self.under_way[node].pop_front() {
                    let now = self.network.now;
                    let device = &mut self.network.nodes[node].device;
                    device.receive(place(1 - node), &bytes, now, &mut effects);
                }
                if self.under_way.iter().all(VecDeque::is_empty) {
                    self.rekeys = 0;
                }
                node
            }
            Step::Tick => {
                for node in 0..2 {
                    let mut effects = Vec::new();
                    let now = self.network.now;
                    self.network.nodes[node].device.tick(now, &mut effects);
                    self.put(node, effects);
                }
                return;
            }
        };
        self.put(from, effects);
    }

    fn put(&mut self, node: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Datagram { bytes, .. } => self.under_way[1 - node].push_back(bytes),
                Effect::Message { from, bytes } => {
                    self.network.nodes[node].inbox.push((from, bytes));
                }
                Effect::Packet(_) => panic!("there is no interface"),
            }
        }
    }

    fn drain(&mut self) {
        while let Some(node) = (0..2).find(|node| !self.under_way[*node].is_empty()) {
            self.step(Step::Arrive(node));
        }
    }

    /// The numbers that arrived at a node.
    fn arrived(&mut self, node: usize) -> Vec<u32> {
        let number = |bytes: Vec<u8>| u32::from_be_bytes(bytes.try_into().expect("a number"));
        self.network
            .take(node)
            .into_iter()
            .map(|(_, bytes)| number(bytes))
            .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn rekeying_in_the_middle_of_traffic_loses_nothing(steps in steps()) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step);
        }
        pair.drain();
        for _ in 0..3 {
            pair.step(Step::Send(0));
            pair.step(Step::Send(1));
            pair.drain();
        }
        for node in 0..2 {
            prop_assert_eq!(pair.arrived(node), pair.sent[1 - node].clone(), "at node {}", node);
        }
    }
}
