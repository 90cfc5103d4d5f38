//! [`Line`]: a network as bad as one asks for, in virtual time and from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::peer::PeerName;

/// How many messages are under way at most; more are lost, as on any line.
pub const MAX_UNDER_WAY: usize = 65_536;

/// What the line does to messages.
#[derive(Clone, PartialEq, Debug)]
pub struct Faults {
    /// How many of a thousand messages are lost.
    pub lost_per_mille: u16,
    /// How many of a thousand messages arrive twice.
    pub doubled_per_mille: u16,
    /// How long a message is under way. A wide range also changes their order.
    pub delay: RangeInclusive<Duration>,
}

impl Faults {
    /// A perfect line.
    pub fn none() -> Self {
        Self {
            lost_per_mille: 0,
            doubled_per_mille: 0,
            delay: Duration::ZERO..=Duration::ZERO,
        }
    }
}

/// A message on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Who sent it.
    pub from: PeerName,
    /// Who gets it.
    pub to: PeerName,
    /// What was sent.
    pub message: Vec<u8>,
}

/// Messages under way between named nodes. The same seed and the same calls give the same faults.
#[derive(Debug)]
pub struct Line {
    faults: Faults,
    generator: Generator,
    /// By arrival; the number keeps those that arrive together in the order of sending.
    under_way: BTreeMap<(Duration, u64), Delivery>,
    next_number: u64,
    cut: BTreeSet<(PeerName, PeerName)>,
}

impl Line {
    /// An empty line.
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self {
            faults,
            generator: Generator(seed),
            under_way: BTreeMap::new(),
            next_number: 0,
            cut: BTreeSet::new(),
        }
    }

    /// Changes what happens to messages sent from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Cuts the way between two nodes, or, with `both` false, only the one from the first to the second. What is under
    /// way is lost, too.
    pub fn cut(&mut self, from: &PeerName, to: &PeerName, both: bool) {
        self.cut.insert((from.clone(), to.clone()));
        if both {
            self.cut.insert((to.clone(), from.clone()));
        }
        let cut = &self.cut;
        self.under_way
            .retain(|_, delivery| !cut.contains(&(delivery.from.clone(), delivery.to.clone())));
    }

    /// Parts the nodes in two: no message passes between `side` and the others of `all`.
    pub fn partition(&mut self, side: &[PeerName], all: &[PeerName]) {
        for inside in side {
            for outside in all.iter().filter(|name| !side.contains(name)) {
                self.cut(inside, outside, true);
            }
        }
    }

    /// Mends all cuts.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// Puts a message on its way at `now`, or loses it.
    pub fn send(&mut self, now: Duration, from: &PeerName, to: &PeerName, message: Vec<u8>) {
        // Drawn in any case, so that a cut does not change the fate of other messages.
        let (lost, doubled) = (self.generator.per_mille(), self.generator.per_mille());
        let (first, second) = (self.delay(), self.delay());
        if lost < self.faults.lost_per_mille || self.cut.contains(&(from.clone(), to.clone())) {
            return;
        }
        let delivery = Delivery {
            from: from.clone(),
            to: to.clone(),
            message,
        };
        if doubled < self.faults.doubled_per_mille {
            self.put(now + second, delivery.clone());
        }
        self.put(now + first, delivery);
    }

    /// When the next message arrives.
    pub fn next_at(&self) -> Option<Duration> {
        self.under_way.keys().next().map(|(arrival, _)| *arrival)
    }

    /// A message that has arrived by `now`.
    pub fn arrived(&mut self, now: Duration) -> Option<Delivery> {
        let entry = self.under_way.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    fn put(&mut self, arrival: Duration, delivery: Delivery) {
        if self.under_way.len() < MAX_UNDER_WAY {
            self.under_way.insert((arrival, self.next_number), delivery);
            self.next_number += 1;
        }
    }

    fn delay(&mut self) -> Duration {
        let (least, most) = (*self.faults.delay.start(), *self.faults.delay.end());
        let spread = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
        least + Duration::from_micros(self.generator.below(spread.saturating_add(1)))
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, and no source of keys.
#[derive(Debug)]
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn per_mille(&mut self) -> u16 {
        u16::try_from(self.below(1000)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn name(text: &str) -> PeerName {
        text.parse().expect("a name")
    }

    /// Sends 1000 numbered messages and answers the numbers in the order of arrival.
    fn journey(seed: u64, faults: Faults) -> Vec<u16> {
        let mut line = Line::new(seed, faults);
        for number in 0..1000u16 {
            line.send(
                MS * u32::from(number),
                &name("a"),
                &name("b"),
                number.to_be_bytes().into(),
            );
        }
        let mut arrived = Vec::new();
        while let Some(moment) = line.next_at() {
            let delivery = line.arrived(moment).expect("the one that is due");
            let bytes = delivery.message.try_into().expect("a number");
            arrived.push(u16::from_be_bytes(bytes));
        }
        arrived
    }

    #[test]
    fn a_perfect_line_keeps_all_in_order() {
        assert_eq!(journey(1, Faults::none()), (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn faults_come_at_the_rate_asked_for_and_from_the_seed() {
        let bad = Faults {
            lost_per_mille: 200,
            doubled_per_mille: 100,
            delay: MS..=(50 * MS),
        };
        let arrived = journey(7, bad.clone());
        let distinct: BTreeSet<_> = arrived.iter().collect();
        assert!(
            (700..900).contains(&distinct.len()),
            "{} of 1000 arrived",
            distinct.len()
        );
        let doubled = arrived.len() - distinct.len();
        assert!((40..160).contains(&doubled), "{doubled} came twice");
        assert!(!arrived.is_sorted(), "the order changed");
        assert_eq!(arrived, journey(7, bad.clone()));
        assert_ne!(arrived, journey(8, bad));
    }

    #[test]
    fn nothing_passes_a_cut() {
        let (a, b, c) = (name("a"), name("b"), name("c"));
        let mut line = Line::new(1, Faults::none());
        line.send(Duration::ZERO, &a, &b, vec![1]);
        line.partition(std::slice::from_ref(&a), &[a.clone(), b.clone(), c.clone()]);
        line.send(Duration::ZERO, &b, &a, vec![2]);
        line.send(Duration::ZERO, &b, &c, vec![3]);
        assert_eq!(
            line.arrived(MS).map(|delivery| delivery.message),
            Some(vec![3])
        );
        assert_eq!(line.arrived(MS), None);
        line.heal();
        line.cut(&a, &b, false);
        line.send(Duration::ZERO, &a, &b, vec![4]);
        line.send(Duration::ZERO, &b, &a, vec![5]);
        assert_eq!(
            line.arrived(MS).map(|delivery| delivery.message),
            Some(vec![5])
        );
        assert_eq!(line.arrived(MS), None);
    }

    #[test]
    fn what_is_under_way_is_bounded() {
        let mut line = Line::new(1, Faults::none());
        for _ in 0..MAX_UNDER_WAY + 10 {
            line.send(Duration::ZERO, &name("a"), &name("b"), Vec::new());
        }
        assert_eq!(line.under_way.len(), MAX_UNDER_WAY);
    }
}
