//! A minute of mixed load while nodes are killed and wires are cut. The history of what clients saw must be explained by
//! one order of operations; nothing that was acknowledged may be missing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::history::{Event, Operation, check};
use super::wired::{Founded, Wired, eventually};
use crate::support::{Request, is_long};

const SECRETS: u64 = 6;
const CLIENTS: u64 = 6;
const SECOND: Duration = Duration::from_secs(1);

/// Numbers that look random and are the same in each run that begins with the same one (SplitMix64, Steele et al. 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// What the clients share.
struct Load {
    addresses: Vec<Mutex<String>>,
    root: String,
    begun: Instant,
    over: AtomicBool,
    next_value: AtomicU64,
    history: Mutex<Vec<Event>>,
}

impl Load {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).expect("a short test")
    }

    fn request(&self, node: usize, method: &str, secret: u64) -> Request {
        let address = self.addresses[node].lock().clone();
        Request::new(&address, method, &format!("/v1/secret/data/chaos/{secret}")).token(&self.root)
    }

    fn note(&self, secret: u64, began: u64, operation: Operation) {
        let ended = match operation {
            // It may take effect any time from now on.
            Operation::MayHaveWritten { .. } => u64::MAX,
            _ => self.now(),
        };
        self.history.lock().push(Event {
            secret,
            began,
            ended,
            operation,
        });
    }

    /// One client, until the load is over.
    fn client(&self, number: u64) {
        let mut dice = Dice(number);
        let mut known: BTreeMap<u64, u64> = BTreeMap::new();
        while !self.over.load(Ordering::SeqCst) {
            let node = usize::try_from(dice.below(self.addresses.len() as u64)).expect("small");
            let secret = dice.below(SECRETS);
            let expected = match dice.below(3) {
                0 => None,
                1 => Some(None),
                _ => Some(known.get(&secret).copied()),
            };
            match expected {
                None => self.read(node, secret, &mut known),
                Some(expected) => self.write(node, secret, expected),
            }
        }
    }

    fn read(&self, node: usize, secret: u64, known: &mut BTreeMap<u64, u64>) {
        let began = self.now();
        let Ok(answer) = self.request(node, "GET", secret).try_send() else {
            return pause();
        };
        let number = |value: &Value| value.as_u64().expect("a number");
        let (version, value) = match answer.status {
            200 => {
                let data = answer.data();
                (
                    number(&data["metadata"]["version"]),
                    number(&data["data"]["value"]),
                )
            }
            404 => (0, 0),
            503 => return pause(),
            status => panic!("a read was answered {status}: {}", answer.body),
        };
        known.insert(secret, version);
        self.note(secret, began, Operation::Read { version, value });
    }

    fn write(&self, node: usize, secret: u64, expected: Option<u64>) {
        let value = self.next_value.fetch_add(1, Ordering::SeqCst);
        let mut body = json!({"data": {"value": value}});
        if let Some(version) = expected {
            body["options"] = json!({ "cas": version });
        }
        let began = self.now();
        let request = self.request(node, "POST", secret).json(&body);
        // Who was not reached has done nothing.
        let Ok(stream) = request.begin() else {
            return pause();
        };
        let answer = crate::support::http::read_answer(stream, false);
        let operation = match answer {
            Ok(answer) if answer.status == 200 => Operation::Wrote {
                version: answer.data()["version"].as_u64().expect("a version"),
                value,
            },
            Ok(answer) if answer.status == 400 => {
                assert!(answer.body.contains("check-and-set"), "{}", answer.body);
                let expected = expected.expect("only a check-and-set can fail");
                Operation::Refused { expected }
            }
            Ok(answer) if answer.status == 503 => Operation::MayHaveWritten { value },
            Ok(answer) => panic!("a write was answered {}: {}", answer.status, answer.body),
            Err(_) => Operation::MayHaveWritten { value },
        };
        self.note(secret, began, operation);
    }
}

#[allow(clippy::disallowed_methods, reason = "a test waits in real time")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// Does harm, one after the other, until the time is over; then mends everything.
fn harm(founded: &mut Founded, load: &Load, duration: Duration) -> BTreeMap<&'static str, u32> {
    let mut dice = Dice(7);
    let mut done: BTreeMap<&'static str, u32> = BTreeMap::new();
    while load.begun.elapsed() < duration {
        let node = usize::try_from(dice.below(3)).expect("small");
        let others: Vec<usize> = (0..3).filter(|other| *other != node).collect();
        let kind = match dice.below(4) {
            0 => {
                founded.wired.nodes[node].kill();
                std::thread::sleep(SECOND / 4);
                founded.wired.nodes[node].run();
                *load.addresses[node].lock() = founded.wired.nodes[node].address();
                "kill"
            }
            1 => {
                founded.wired.between(&[node], &others, |link| link.cut());
                std::thread::sleep(SECOND * 2);
                "gossip cut"
            }
            2 => {
                founded.wired.stores()[node].cut();
                std::thread::sleep(SECOND);
                "store cut"
            }
            _ => {
                founded.wired.between(&[node], &others, |link| link.cut());
                founded.wired.stores()[node].cut();
                std::thread::sleep(SECOND);
                "both cut"
            }
        };
        *done.entry(kind).or_default() += 1;
        founded.wired.heal();
        // Two in a row may leave nobody open who could hand over the keys.
        for node in 0..3 {
            let opened = eventually(SECOND * 20, || founded.is_open(node));
            assert!(
                opened,
                "node {node} stays sealed after {kind}: {}",
                founded.status(node)
            );
        }
    }
    done
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a history has real times")]
fn every_history_under_kills_and_cuts_is_linearizable() {
    let duration = if is_long() { SECOND * 600 } else { SECOND * 60 };
    let mut founded = Wired::start(3).found();
    founded.open();
    let addresses = founded.wired.nodes.iter();
    let load = Load {
        addresses: addresses.map(|node| Mutex::new(node.address())).collect(),
        root: founded.root.clone(),
        begun: Instant::now(),
        over: AtomicBool::new(false),
        next_value: AtomicU64::new(1),
        history: Mutex::default(),
    };
    let done = std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let load = &load;
            scope.spawn(move || load.client(number));
        }
        let done = harm(&mut founded, &load, duration);
        load.over.store(true, Ordering::SeqCst);
        done
    });
    // What is there in the end, from each node: nothing acknowledged may be missing.
    let mut known = BTreeMap::new();
    for node in 0..3 {
        for secret in 0..SECRETS {
            load.read(node, secret, &mut known);
        }
    }
    let history = load.history.into_inner();
    let count = |wanted: fn(&Operation) -> bool| {
        history
            .iter()
            .filter(|event| wanted(&event.operation))
            .count()
    };
    let wrote = count(|operation| matches!(operation, Operation::Wrote { .. }));
    let read = count(|operation| matches!(operation, Operation::Read { .. }));
    println!(
        "{read} reads, {wrote} writes, {} refused, {} of unknown outcome; {done:?}",
        count(|operation| matches!(operation, Operation::Refused { .. })),
        count(|operation| matches!(operation, Operation::MayHaveWritten { .. })),
    );
    assert!(wrote > 100 && read > 100, "hardly anything was served");
    if let Err(violation) = check(&history) {
        panic!("no order explains the history: {violation:?}");
    }
}
