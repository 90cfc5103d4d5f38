//! [`SealStatus`]: what `sys/seal-status` says of the seal. The HTTP layer adds what is the node's (version, storage
//! type, cluster name).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::attempt::{Nonce, Purpose};
use super::state::{Ceremony, Parameters};

/// What a seal publishes: an immutable picture, renewed after each command.
#[derive(Clone, Debug)]
pub(super) struct Published {
    /// What everybody may see.
    pub seal: Arc<SealStatus>,
    /// The ceremonies that are not the unseal.
    pub others: BTreeMap<Purpose, Progress>,
}

impl Published {
    /// What to show of all ceremonies.
    pub(super) fn of(ceremonies: &BTreeMap<Purpose, Ceremony>, sealed: bool) -> Self {
        let unseal = ceremonies.get(&Purpose::Unseal);
        let others = ceremonies
            .iter()
            .filter(|(purpose, _)| !purpose.is_always_open())
            .map(|(purpose, ceremony)| (*purpose, Progress::of(ceremony)));
        Self {
            seal: Arc::new(SealStatus::of(unseal, sealed)),
            others: others.collect(),
        }
    }
}

/// How far a ceremony is that has to be started: rekey, rotate-keys, generate-root.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// The attempt that is on its way; `None` when none was started.
    pub nonce: Option<Nonce>,
    /// What it was started with.
    pub parameters: Option<Parameters>,
    /// How many shares were given.
    pub given: usize,
    /// How many are needed: the threshold of the current shares.
    pub required: u8,
}

impl Progress {
    /// What to show of a ceremony's state.
    fn of(ceremony: &Ceremony) -> Self {
        let started = ceremony.attempt().filter(|_| ceremony.is_started());
        let quorum = ceremony.basis().map(|basis| basis.config.quorum());
        Self {
            nonce: started.map(|attempt| attempt.nonce()),
            parameters: ceremony.parameters().cloned(),
            given: ceremony.shares().len(),
            required: quorum.map_or(0, |quorum| quorum.threshold()),
        }
    }
}

/// The seal's part of Vault's seal status, with its names on the wire.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SealStatus {
    /// Always `shamir`.
    #[serde(rename = "type")]
    pub seal_type: &'static str,
    /// Whether there are shares.
    pub initialized: bool,
    /// Whether they have to be given.
    pub sealed: bool,
    /// How many are needed; 0 before init.
    #[serde(rename = "t")]
    pub threshold: u8,
    /// How many there are; 0 before init.
    #[serde(rename = "n")]
    pub shares: u8,
    /// How many were given.
    pub progress: usize,
    /// Which attempt they were given for; empty while there are none, as in Vault.
    pub nonce: String,
    /// Always false: there is one seal type.
    pub migration: bool,
    /// Always false: recovery keys belong to automatic unsealing.
    pub recovery_seal: bool,
}

impl SealStatus {
    /// What to show of the unseal's ceremony.
    fn of(unseal: Option<&Ceremony>, sealed: bool) -> Self {
        // An add-on that is open needs no shares, also when a node that is not gathers some.
        let gathering = unseal.filter(|_| sealed);
        let progress = gathering.map_or(0, |ceremony| ceremony.shares().len());
        let basis = unseal.and_then(Ceremony::basis);
        let quorum = basis.map(|basis| basis.config.quorum());
        Self {
            seal_type: "shamir",
            initialized: quorum.is_some(),
            sealed,
            threshold: quorum.map_or(0, |quorum| quorum.threshold()),
            shares: quorum.map_or(0, |quorum| quorum.shares()),
            progress,
            nonce: unseal
                .and_then(Ceremony::attempt)
                .filter(|_| progress > 0)
                .map_or_else(String::new, |attempt| attempt.nonce().to_string()),
            migration: false,
            recovery_seal: false,
        }
    }
}
