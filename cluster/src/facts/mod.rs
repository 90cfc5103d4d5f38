//! `FactTable`: small facts that the whole cluster is to know, merged by maximum.
//!
//! A fact is a version and a few bytes under a name, told on behalf of a tenant. Of two that contradict each other the
//! one with the greater version counts, and with equal versions the one with the greater bytes: merging is commutative,
//! associative and idempotent, so lost, repeated and reordered packets do no harm. A number that may only grow is a fact
//! whose version is the number and whose value is empty.
//!
//! Facts are hints and do not live for ever. The life that is left travels with a fact, and does not begin anew where it
//! arrives; it is prolonged by telling the fact again. In the last [`QUIET`] of its life a fact is neither sent nor compared, so that nodes that do not drop it in
//! the same instant do not bring it back to each other.
//!
//! Bounded: facts in all and facts per tenant. When there are too many, those stay whose keys have the smallest hashes:
//! an arbitrary choice, but the same on all nodes in whatever order they learn, so that their tables agree. Whoever
//! publishes should therefore let the version move rather than the name.

mod digest;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) use digest::{BUCKETS, Digest};

use crate::bounded::Bounded;
use crate::faults::{Faults, Mutant};
use crate::id::Tenant;

/// Longest name of a fact in bytes.
pub const MAX_FACT_NAME_BYTES: usize = 48;
/// Longest value of a fact in bytes.
pub const MAX_FACT_VALUE_BYTES: usize = 64;
/// Most facts of one tenant. A seal and a few open attempts need five; twice that leaves room for those just replaced.
pub const MAX_FACTS_PER_TENANT: usize = 16;
/// Most facts in all: some 1.5 MB, and more than a thousand tenants in the middle of something at once.
pub const MAX_FACTS: usize = 8192;
/// Longest life of a fact.
pub const MAX_FACT_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// The end of a fact's life in which nobody speaks of it. Longer than a packet may be on its way.
pub const QUIET: Duration = Duration::from_secs(2);

/// What a fact is called.
pub type FactName = Bounded<MAX_FACT_NAME_BYTES>;
/// What a fact says besides its version.
pub type FactValue = Bounded<MAX_FACT_VALUE_BYTES>;

/// Which fact.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FactKey {
    /// On whose behalf it is told, and against whose budget it counts.
    pub tenant: Tenant,
    /// Its name; opaque here.
    pub name: FactName,
}

/// Something that the whole cluster is to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fact {
    /// Which fact.
    pub key: FactKey,
    /// The greater version wins.
    pub version: u64,
    /// What it says; no secret.
    pub value: FactValue,
    /// How long it is to live from now on; at most [`MAX_FACT_LIFE`].
    pub life: Duration,
}

/// What became of a fact that was merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Merged {
    /// It was new, and holds now.
    New,
    /// It was known, but lives longer than was known.
    Prolonged,
    /// It was known, or a greater one is.
    Known,
    /// There is no room for it.
    Refused,
}

struct Entry {
    version: u64,
    value: FactValue,
    dies: Duration,
    /// Whether it has left the digest.
    quiet: bool,
    place: digest::Place,
}

/// See the module.
#[derive(Default)]
pub(crate) struct FactTable {
    entries: BTreeMap<FactKey, Entry>,
    ranks: BTreeSet<(u64, FactKey)>,
    tenant_ranks: BTreeMap<Tenant, BTreeSet<(u64, FactName)>>,
    digest: Digest,
    faults: Faults,
}

impl FactTable {
    pub fn new(faults: Faults) -> Self {
        Self {
            faults,
            ..Self::default()
        }
    }

    /// Takes in a fact, told here or by another node.
    pub fn merge(&mut self, fact: &Fact, now: Duration) -> Merged {
        if fact.life.is_zero() {
            return Merged::Known;
        }
        let place = digest::Place::of(&fact.key, fact.version, &fact.value);
        let merged = match self.entries.get(&fact.key) {
            Some(entry) if prolongs(fact, entry, now) => Merged::Prolonged,
            Some(entry) if !self.replaces(fact, entry) => return Merged::Known,
            Some(_) | None => Merged::New,
        };
        self.remove(&fact.key);
        if !self.make_room(fact.key.tenant, place.rank) {
            return Merged::Refused;
        }
        self.insert(fact, place, now);
        merged
    }

    fn replaces(&self, fact: &Fact, entry: &Entry) -> bool {
        let (theirs, ours) = ((fact.version, &fact.value), (entry.version, &entry.value));
        if self.faults.has(Mutant::MergeByMin) {
            return theirs < ours;
        }
        theirs > ours
    }

    /// Whether there is room for a fact of this rank, if need be in place of a lower one.
    fn make_room(&mut self, tenant: Tenant, rank: u64) -> bool {
        let told = self.tenant_ranks.get(&tenant);
        let lowest = if told.is_some_and(|told| told.len() >= MAX_FACTS_PER_TENANT) {
            if self.faults.has(Mutant::NoFactBudget) {
                return true;
            }
            let lowest = told.and_then(BTreeSet::last);
            lowest.map(|(rank, name)| {
                let name = name.clone();
                (*rank, FactKey { tenant, name })
            })
        } else if self.entries.len() >= MAX_FACTS {
            self.ranks.last().cloned()
        } else {
            return true;
        };
        match lowest {
            Some((lowest_rank, key)) if rank < lowest_rank => {
                self.remove(&key);
                true
            }
            Some(_) | None => false,
        }
    }

    fn insert(&mut self, fact: &Fact, place: digest::Place, now: Duration) {
        let life = fact.life.min(MAX_FACT_LIFE);
        let quiet = life <= QUIET;
        if !quiet {
            self.digest.toggle(place);
        }
        self.ranks.insert((place.rank, fact.key.clone()));
        let told = self.tenant_ranks.entry(fact.key.tenant).or_default();
        told.insert((place.rank, fact.key.name.clone()));
        let entry = Entry {
            version: fact.version,
            value: fact.value.clone(),
            dies: now.saturating_add(life),
            quiet,
            place,
        };
        self.entries.insert(fact.key.clone(), entry);
    }

    fn remove(&mut self, key: &FactKey) {
        let Some(entry) = self.entries.remove(key) else {
            return;
        };
        if !entry.quiet {
            self.digest.toggle(entry.place);
        }
        let rank = entry.place.rank;
        self.ranks.remove(&(rank, key.clone()));
        if let Some(told) = self.tenant_ranks.get_mut(&key.tenant) {
            told.remove(&(rank, key.name.clone()));
            if told.is_empty() {
                self.tenant_ranks.remove(&key.tenant);
            }
        }
    }

    /// Buries the dead and hushes the dying.
    pub fn sweep(&mut self, now: Duration) {
        let mut dead = Vec::new();
        for (key, entry) in &mut self.entries {
            if entry.dies <= now {
                dead.push(key.clone());
            } else if !entry.quiet && entry.dies - now <= QUIET {
                entry.quiet = true;
                self.digest.toggle(entry.place);
            }
        }
        for key in dead {
            self.remove(&key);
        }
    }

    /// A number that two tables share when they hold the same facts.
    pub fn root(&self) -> u64 {
        self.digest.root()
    }

    /// What another table is compared with.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The facts in those parts of the table in which it differs from `theirs`, beginning with part `first`: whoever
    /// holds `theirs` may lack them.
    pub fn lacking(&self, theirs: &Digest, first: u8, now: Duration) -> Vec<Fact> {
        let differing = self.digest.differing(theirs);
        let mut lacking: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| differing.contains(&entry.place.bucket))
            .collect();
        lacking.sort_by_key(|(_, entry)| entry.place.bucket.wrapping_sub(first) % BUCKETS);
        lacking
            .into_iter()
            .filter_map(|(key, entry)| self.to_tell(key, entry, now))
            .collect()
    }

    /// The fact as it is told to others; `None` when there is none or its life is nearly over.
    pub fn tell(&self, key: &FactKey, now: Duration) -> Option<Fact> {
        let entry = self.entries.get(key)?;
        self.to_tell(key, entry, now)
    }

    fn to_tell(&self, key: &FactKey, entry: &Entry, now: Duration) -> Option<Fact> {
        let mut fact = fact_of(key, entry, now);
        if fact.life <= QUIET {
            return None;
        }
        if self.faults.has(Mutant::ForgetAge) {
            fact.life = MAX_FACT_LIFE;
        }
        Some(fact)
    }

    /// All facts that live, by key.
    pub fn iter(&self, now: Duration) -> impl Iterator<Item = Fact> + '_ {
        self.entries
            .iter()
            .filter(move |(_, entry)| entry.dies > now)
            .map(move |(key, entry)| fact_of(key, entry, now))
    }

    /// One fact, when it lives.
    pub fn get(&self, key: &FactKey, now: Duration) -> Option<Fact> {
        self.entries
            .get(key)
            .filter(|entry| entry.dies > now)
            .map(|entry| fact_of(key, entry, now))
    }

    /// How many facts there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Whether a fact that is known was told again, to live longer. A difference that a packet's way can explain does not
/// count, or facts would prolong each other's lives.
fn prolongs(fact: &Fact, entry: &Entry, now: Duration) -> bool {
    let left = entry.dies.saturating_sub(now);
    (fact.version, &fact.value) == (entry.version, &entry.value)
        && fact.life.min(MAX_FACT_LIFE) > left.saturating_add(QUIET)
}

fn fact_of(key: &FactKey, entry: &Entry, now: Duration) -> Fact {
    Fact {
        key: key.clone(),
        version: entry.version,
        value: entry.value.clone(),
        life: entry.dies.saturating_sub(now),
    }
}
