//! The machine under any sequence of events, against a model that knows nothing of its workings; and the algebra of
//! merging.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::tests::{NOW, TTL, copy, generation, started, tenant};
use super::*;

/// Shares of three generations; the first of five with a threshold of three each.
static GENERATIONS: LazyLock<Vec<(Basis, Vec<Share>)>> =
    LazyLock::new(|| (1..=3).map(generation).collect());

#[derive(Clone, Debug)]
enum Action {
    Submit {
        generation: usize,
        index: usize,
    },
    Hear {
        ahead: u64,
        generation: usize,
        indices: Vec<usize>,
    },
    Reset,
    Finish,
    Seal,
    Rekey,
    Wait(u64),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0..3usize, 0..5usize).prop_map(|(generation, index)| Action::Submit { generation, index }),
        // Most shares are of the generation that the run begins with.
        8 => (0..5usize).prop_map(|index| Action::Submit { generation: 0, index }),
        4 => (0..3u64, 0..2usize, prop::collection::vec(0..5usize, 0..4))
            .prop_map(|(ahead, generation, indices)| Action::Hear { ahead, generation, indices }),
        1 => Just(Action::Reset),
        1 => Just(Action::Finish),
        1 => Just(Action::Seal),
        1 => Just(Action::Rekey),
        3 => (0..2500u64).prop_map(Action::Wait),
    ]
}

/// What must be true, kept apart from the machine: the good shares given since the attempt began.
struct Model {
    ceremony: Ceremony,
    basis: Basis,
    current: usize,
    now: Duration,
    good: BTreeSet<u8>,
    began: Duration,
}

impl Model {
    fn new() -> Self {
        let basis = GENERATIONS[0].0.clone();
        Self {
            ceremony: started(&basis),
            basis,
            current: 0,
            now: NOW,
            good: BTreeSet::new(),
            began: NOW,
        }
    }

    fn play(&mut self, action: Action) {
        if self.now >= self.began + TTL {
            self.good.clear();
        }
        self.step(Event::Ticked);
        let attempt = self.ceremony.attempt().unwrap();
        match action {
            Action::Submit { generation, index } => {
                let share = &GENERATIONS[generation].1[index];
                let known = generation == self.current;
                self.give(known, share.index());
                let effects = self.step(Event::Submitted(copy(share)));
                let refused = effects.contains(&Effect::Refuse(Refusal::UnknownShare));
                assert_eq!(refused, !known);
                assert_eq!(self.ceremony.attempt().unwrap(), attempt);
                assert_eq!(combines(&effects), known && self.good.len() >= 3);
            }
            Action::Hear {
                ahead,
                generation,
                indices,
            } => self.hear(attempt, ahead, generation, &indices),
            Action::Reset => {
                self.good.clear();
                self.step(Event::Reset);
                assert_ne!(self.ceremony.attempt().unwrap(), attempt);
            }
            Action::Finish => {
                self.good.clear();
                self.step(Event::Finished(attempt));
                assert_ne!(self.ceremony.attempt().unwrap(), attempt);
            }
            Action::Seal => {
                self.basis.epoch = self.basis.epoch.next();
                self.reconfigure();
            }
            Action::Rekey if self.current + 1 < GENERATIONS.len() => {
                self.current += 1;
                self.basis.config = GENERATIONS[self.current].0.config.clone();
                self.reconfigure();
            }
            Action::Rekey => {}
            Action::Wait(seconds) => self.now += Duration::from_secs(seconds),
        }
    }

    fn hear(&mut self, attempt: AttemptId, ahead: u64, generation: usize, indices: &[usize]) {
        // `ahead` 0 is one behind, 1 the same, 2 one further.
        let theirs = AttemptId {
            number: attempt.number + ahead - 1,
            ..attempt
        };
        let held = self.good.len();
        if ahead == 2 {
            self.good.clear();
        }
        let shares: Vec<_> = indices
            .iter()
            .map(|index| copy(&GENERATIONS[generation].1[*index]))
            .collect();
        if ahead > 0 {
            for share in &shares {
                self.give(generation == self.current, share.index());
            }
        }
        let changed = ahead == 2 || self.good.len() != held;
        let effects = self.step(Event::Heard {
            attempt: theirs,
            parameters: None,
            shares,
        });
        assert_eq!(combines(&effects), changed && self.good.len() >= 3);
    }

    fn give(&mut self, known: bool, index: u8) {
        if known {
            if self.good.is_empty() {
                self.began = self.now;
            }
            self.good.insert(index);
        }
    }

    fn reconfigure(&mut self) {
        let before = self.ceremony.attempt().unwrap();
        self.good.clear();
        let basis = Some(Box::new(self.basis.clone()));
        self.step(Event::Configured(basis));
        assert_ne!(self.ceremony.attempt().unwrap().nonce(), before.nonce());
    }

    /// After each step the machine holds exactly the good shares; so whenever it says `Combine`, they are enough.
    fn step(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.ceremony.step(event, self.now);
        let held: BTreeSet<u8> = self.ceremony.shares().map(Share::index).collect();
        assert_eq!(held, self.good);
        let config = &self.basis.config;
        assert!(self.ceremony.shares().all(|share| config.recognises(share)));
        effects
    }
}

fn combines(effects: &[Effect]) -> bool {
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::Combine(_)))
}

/// A message between nodes: an attempt number and share indices.
type Message = (u64, BTreeSet<usize>);

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let indices = prop::collection::btree_set(0..5usize, 0..4);
    prop::collection::vec((1..4u64, indices), 0..6)
}

fn heard(messages: &[Message]) -> (Option<AttemptId>, Vec<u8>) {
    let (basis, shares) = &GENERATIONS[0];
    let mut ceremony = started(basis);
    for (number, indices) in messages {
        let attempt = AttemptId {
            number: *number,
            ..started(basis).attempt().unwrap()
        };
        let shares = indices.iter().map(|index| copy(&shares[*index])).collect();
        ceremony.step(
            Event::Heard {
                attempt,
                parameters: None,
                shares,
            },
            NOW,
        );
    }
    let indices = ceremony.shares().map(Share::index).collect();
    (ceremony.attempt(), indices)
}

/// What a node that heard `messages` would send.
fn message_of(messages: &[Message]) -> Message {
    let (attempt, indices) = heard(messages);
    let indices = indices
        .iter()
        .map(|index| usize::from(*index) - 1)
        .collect();
    (attempt.unwrap().number, indices)
}

proptest! {
    #[test]
    fn it_combines_exactly_when_enough_good_shares_are_there(
        actions in prop::collection::vec(action(), 0..60),
    ) {
        let mut model = Model::new();
        for action in actions {
            model.play(action);
        }
    }

    #[test]
    fn merging_is_commutative((messages, shuffled) in messages().prop_flat_map(|messages| {
        (Just(messages.clone()), Just(messages).prop_shuffle())
    })) {
        prop_assert_eq!(heard(&messages), heard(&shuffled));
    }

    #[test]
    fn merging_is_idempotent(messages in messages()) {
        let twice: Vec<_> = messages.iter().chain(&messages).cloned().collect();
        prop_assert_eq!(heard(&messages), heard(&twice));
    }

    #[test]
    fn merging_is_associative(first in messages(), second in messages(), third in messages()) {
        let (first, second, third) =
            (message_of(&first), message_of(&second), message_of(&third));
        let left = message_of(&[first.clone(), second.clone()]);
        let right = message_of(&[second, third.clone()]);
        prop_assert_eq!(heard(&[left, third]), heard(&[first, right]));
    }

    #[test]
    fn purposes_do_not_mix(index in 0..5usize) {
        let (basis, shares) = &GENERATIONS[0];
        for purpose in [Purpose::Rekey, Purpose::GenerateRoot] {
            let mut other = Ceremony::new(tenant(), purpose, TTL);
            other.step(Event::Configured(Some(Box::new(basis.clone()))), NOW);
            let attempt = started(basis).attempt().unwrap();
            let heard = Event::Heard { attempt, parameters: None, shares: vec![copy(&shares[index])] };
            prop_assert_eq!(other.step(heard, NOW), []);
            prop_assert_eq!(other.shares().len(), 0);
        }
    }
}
