//! `HintQueue`: what is told once and never repeated, because something slower tells it anyway. A tenant has a budget;
//! what is over it is dropped, so that a busy tenant cannot crowd out the others' hints.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::bounded::Bounded;
use crate::budget::{Budget, Rate};
use crate::faults::{Faults, Mutant};
use crate::id::Tenant;

/// Longest content of a hint in bytes.
pub const MAX_HINT_BYTES: usize = 48;
/// Hints a tenant may send at once.
pub const HINT_BURST: u32 = 16;
/// After this time a tenant may send one more.
pub const HINT_REFILL: Duration = Duration::from_millis(100);
/// Most hints that wait to be sent.
pub const MAX_WAITING_HINTS: usize = 1024;
/// Most tenants whose budgets are remembered; full budgets are forgotten.
const MAX_BUDGETS: usize = 8192;

/// What a hint says; opaque here.
pub type HintContent = Bounded<MAX_HINT_BYTES>;

/// Something that may interest other nodes now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hint {
    /// On whose behalf it is told.
    pub tenant: Tenant,
    /// What it says; no secret.
    pub content: HintContent,
}

/// See the module.
#[derive(Default)]
pub(crate) struct HintQueue {
    waiting: VecDeque<Hint>,
    budgets: BTreeMap<Tenant, Budget>,
    faults: Faults,
}

impl HintQueue {
    pub fn new(faults: Faults) -> Self {
        Self {
            faults,
            ..Self::default()
        }
    }

    /// Lets a hint wait to be sent; whether it may. One that waits already is not sent twice and costs nothing.
    pub fn offer(&mut self, hint: Hint, now: Duration) -> bool {
        if self.waiting.contains(&hint) {
            return true;
        }
        if self.faults.has(Mutant::NoHintBudget) {
            self.waiting.push_back(hint);
            return true;
        }
        if self.waiting.len() >= MAX_WAITING_HINTS || !self.afford(hint.tenant, now) {
            return false;
        }
        self.waiting.push_back(hint);
        true
    }

    fn afford(&mut self, tenant: Tenant, now: Duration) -> bool {
        let rate = Rate {
            burst: HINT_BURST,
            refill: HINT_REFILL,
        };
        let room = self.budgets.len() < MAX_BUDGETS;
        match self.budgets.get_mut(&tenant) {
            Some(budget) => budget.take(rate, now),
            None if room => self.budgets.entry(tenant).or_default().take(rate, now),
            None => false,
        }
    }

    /// All that waits, oldest first.
    pub fn take(&mut self) -> Vec<Hint> {
        self.waiting.drain(..).collect()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Forgets budgets that are full again.
    pub fn sweep(&mut self, now: Duration) {
        self.budgets.retain(|_, budget| !budget.is_full(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(tenant: u8, number: u16) -> Hint {
        Hint {
            tenant: Tenant([tenant; 16]),
            content: HintContent::new(&number.to_be_bytes()).unwrap(),
        }
    }

    #[test]
    fn a_busy_tenant_leaves_room_for_others() {
        let mut queue = HintQueue::default();
        let now = Duration::from_secs(1);
        let taken = (0..500)
            .filter(|number| queue.offer(hint(1, *number), now))
            .count();
        assert_eq!(taken, usize::try_from(HINT_BURST).unwrap());
        assert!(queue.offer(hint(2, 0), now));
        assert_eq!(queue.take().len(), taken + 1);
        assert!(!queue.offer(hint(1, 999), now));
        assert!(queue.offer(hint(1, 999), now + HINT_REFILL));
    }

    #[test]
    fn the_same_hint_waits_once_and_is_paid_once() {
        let mut queue = HintQueue::default();
        let now = Duration::from_secs(1);
        for _ in 0..100 {
            assert!(queue.offer(hint(1, 0), now));
        }
        assert_eq!(queue.take().len(), 1);
        assert!(queue.offer(hint(1, 1), now));
    }

    #[test]
    fn the_queue_and_its_memory_of_tenants_are_bounded() {
        let mut queue = HintQueue::default();
        let now = Duration::from_secs(1);
        for number in 0..10_000u16 {
            let [high, low] = number.to_be_bytes();
            let mut told = hint(low, number);
            told.tenant.0[1] = high;
            queue.offer(told, now);
        }
        assert_eq!(queue.take().len(), MAX_WAITING_HINTS);
        assert!(queue.budgets.len() <= MAX_BUDGETS);
        queue.sweep(now + HINT_REFILL * HINT_BURST);
        assert!(queue.budgets.is_empty());
    }
}
