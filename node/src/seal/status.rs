//! [`SealStatus`]: what `sys/seal-status` says of the seal. The HTTP layer adds what is the node's (version, storage
//! type, cluster name).

use serde::Serialize;

use super::state::Ceremony;

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
    /// What to show of a ceremony's state.
    pub(super) fn of(ceremony: &Ceremony, sealed: bool) -> Self {
        let progress = ceremony.shares().len();
        let quorum = ceremony.basis().map(|basis| basis.config.quorum());
        Self {
            seal_type: "shamir",
            initialized: quorum.is_some(),
            sealed,
            threshold: quorum.map_or(0, |quorum| quorum.threshold()),
            shares: quorum.map_or(0, |quorum| quorum.shares()),
            progress,
            nonce: ceremony
                .attempt()
                .filter(|_| progress > 0)
                .map_or_else(String::new, |attempt| attempt.nonce().to_string()),
            migration: false,
            recovery_seal: false,
        }
    }
}
