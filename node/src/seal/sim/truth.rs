//! [`Truth`]: the store, and what all nodes and users did, as nobody in the cluster sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use conclave_cluster::sim::{Place, Random};

use crate::id::{SealEpoch, TenantId};
use crate::rng::OsRandom;
use crate::seal::attempt::{AttemptId, Incarnation};
use crate::seal::config::SealConfig;
use crate::seal::keys::RootKey;
use crate::seal::quorum::Quorum;
use crate::seal::share::Share;
use crate::seal::state::Basis;

pub const LEASE: Duration = Duration::from_millis(500);
pub const LIFE: Incarnation = Incarnation([7; 16]);

/// The one add-on, its five shares of which three open.
static SEAL: LazyLock<(SealConfig, Vec<Share>)> = LazyLock::new(|| {
    let root = RootKey::generate(&OsRandom);
    let quorum = Quorum::new(5, 3).unwrap();
    SealConfig::create(tenant(), quorum, 1, &root, &OsRandom).unwrap()
});

pub fn tenant() -> TenantId {
    TenantId::from_bytes([5; 16])
}

pub fn share(index: usize) -> Share {
    Share::from_bytes(SEAL.1[index].expose()).unwrap()
}

/// What a run did, to show that it did something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    pub faults: u64,
    pub acknowledged: u64,
    pub opened_by_shares: u64,
    pub opened_by_keys: u64,
    pub served: u64,
    pub refused: u64,
    pub seals: u64,
    pub contradicted: u64,
}

impl Summary {
    pub fn add(&mut self, other: &Self) {
        self.faults += other.faults;
        self.acknowledged += other.acknowledged;
        self.opened_by_shares += other.opened_by_shares;
        self.opened_by_keys += other.opened_by_keys;
        self.served += other.served;
        self.refused += other.refused;
        self.seals += other.seals;
        self.contradicted += other.contradicted;
    }

    pub fn counts(&self) -> [u64; 7] {
        [
            self.faults,
            self.acknowledged,
            self.opened_by_shares,
            self.opened_by_keys,
            self.served,
            self.refused,
            self.seals,
        ]
    }
}

/// See the module.
pub struct Truth {
    pub random: Random,
    pub summary: Summary,
    pub broken: Option<String>,
    epoch: SealEpoch,
    /// When (true time) each epoch ended.
    ended: BTreeMap<SealEpoch, Duration>,
    /// Which nodes the store does not answer.
    pub away: BTreeSet<Place>,
    /// The shares that users gave, by the attempt that took them.
    given: BTreeMap<(SealEpoch, u64), BTreeSet<u8>>,
    /// Which node holds which share of which attempt.
    pub holders: BTreeSet<(Place, SealEpoch, u64, u8)>,
    /// Which nodes are open, and at which epoch.
    pub open: BTreeMap<Place, SealEpoch>,
    /// Seals on the nodes' disks.
    pub intents: BTreeMap<Place, SealEpoch>,
    /// What was done, and what came of it.
    pub history: Vec<String>,
}

impl Truth {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed ^ 0x005e_a100),
            summary: Summary::default(),
            broken: None,
            epoch: SealEpoch(1),
            ended: BTreeMap::new(),
            away: BTreeSet::new(),
            given: BTreeMap::new(),
            holders: BTreeSet::new(),
            open: BTreeMap::new(),
            intents: BTreeMap::new(),
            history: Vec::new(),
        }
    }

    pub fn note(&mut self, now: Duration, what: &str) {
        self.history
            .push(format!("{:8.3} {what}", now.as_secs_f64()));
    }

    pub fn fail(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// What a read of the store gives a node now.
    pub fn read(&self, place: Place) -> Option<Basis> {
        (!self.away.contains(&place)).then(|| Basis {
            incarnation: LIFE,
            epoch: self.epoch,
            config: SEAL.0.clone(),
        })
    }

    /// Raises the epoch above `through`; whether the store answered.
    pub fn raise(&mut self, place: Place, through: SealEpoch, now: Duration) -> bool {
        if self.away.contains(&place) {
            return false;
        }
        if self.epoch <= through {
            self.ended.insert(self.epoch, now);
            self.epoch = through.next();
            self.summary.seals += 1;
        }
        true
    }

    /// A user's share was taken.
    pub fn give(&mut self, attempt: &AttemptId, index: u8) {
        let given = self.given.entry((attempt.epoch, attempt.number));
        given.or_default().insert(index);
    }

    /// A node opens with these shares.
    pub fn open_by_shares(&mut self, place: Place, attempt: &AttemptId, indices: &[u8]) {
        let given = self.given.get(&(attempt.epoch, attempt.number));
        let are_given = |index: &u8| given.is_some_and(|given| given.contains(index));
        if indices.len() < 3 || !indices.iter().all(are_given) {
            self.fail(format!(
                "n{place} opens attempt {} of {:?} with shares {indices:?}, but given were {given:?}",
                attempt.number, attempt.epoch
            ));
        }
        self.summary.opened_by_shares += 1;
    }

    /// A node takes over keys of `epoch`, having read `stored` for it.
    pub fn open_by_keys(&mut self, place: Place, epoch: SealEpoch, stored: SealEpoch) {
        if epoch != stored {
            self.fail(format!(
                "n{place} takes over keys of {epoch:?} while the store says {stored:?}"
            ));
        }
        self.summary.opened_by_keys += 1;
    }

    /// A node serves a request with the keys of `epoch`.
    pub fn serve(&mut self, place: Place, epoch: SealEpoch, now: Duration) {
        let ended = self.ended.range(epoch..).map(|(_, at)| *at).min();
        if let Some(ended) = ended.filter(|ended| now > *ended + LEASE) {
            self.fail(format!(
                "n{place} serves with the keys of {epoch:?}, {:?} after that was sealed",
                now.saturating_sub(ended)
            ));
        }
        self.summary.served += 1;
    }
}
