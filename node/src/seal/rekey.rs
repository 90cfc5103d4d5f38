//! `operator rekey` and `operator rotate-keys`: new shares for the same root key. Vault and OpenBao name the routes
//! differently; it is one ceremony.
//!
//! The [act] makes the next generation of the seal configuration: a new unseal key, split anew, that wraps the root key.
//! Without verification it replaces the old one at once, and the old shares are strangers from then on. With
//! verification it is kept aside until enough of the new shares were [given back](super::verification).

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::act::{Act, Finished, Outcome};
use super::config::{self, SealConfig};
use super::keys::RootKey;
use super::quorum::Quorum;
use super::share::{SHARE_BYTES, Share};
use super::state::Parameters;
use super::verification::{self, Pending};
use super::{act, shamir};
use crate::barrier::{Rows, View};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::TenantId;
use crate::store::change::Facet;

/// How long the store is asked whether it has the new shares, when it does not say so at once. Who gives up on a commit
/// that then turns out to be one loses shares that are in force; a client waits for an answer about as long.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a rekey is begun with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RekeyRequest {
    /// How many new shares, and how many of them are to be needed.
    pub quorum: Quorum,
    /// Whether the new shares must be given back before they replace the old ones.
    pub require_verification: bool,
}

/// What a rekey hands out, once.
#[derive(Debug)]
pub struct Rekeyed {
    /// The new shares, by index.
    pub shares: Vec<Share>,
    /// The nonce to give them back with; `None` when they are in force already.
    pub verification_nonce: Option<uuid::Uuid>,
}

/// See the module.
pub struct Rekey;

impl RekeyRequest {
    /// As the attempt carries it.
    ///
    /// # Errors
    /// [`Error::Bug`] when it cannot be encoded.
    pub fn parameters(&self) -> Result<Parameters, Error> {
        let bytes = serde_json::to_vec(self)
            .map_err(|_| Error::Bug("a rekey could not be encoded".into()))?;
        Parameters::new(Zeroizing::new(bytes))
    }

    /// What an attempt was begun with.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it was not begun by a rekey.
    pub fn of(parameters: &Parameters) -> Result<Self, Error> {
        serde_json::from_slice(parameters.as_bytes())
            .map_err(|_| Error::bad_request("the rekey was begun with something else; begin again"))
    }
}

impl Rekeyed {
    /// The nonce (zeros for none), then the shares.
    fn encode(&self) -> Outcome {
        let nonce = self.verification_nonce.unwrap_or_default();
        let mut bytes = Zeroizing::new(Vec::with_capacity(16 + SHARE_BYTES * self.shares.len()));
        bytes.extend_from_slice(nonce.as_bytes());
        for share in &self.shares {
            bytes.extend_from_slice(share.expose());
        }
        bytes
    }

    /// What the act said.
    ///
    /// # Errors
    /// [`Error::Bug`] when another act said it.
    pub fn decode(outcome: &Outcome) -> Result<Self, Error> {
        let other = || Error::Bug("the outcome of a rekey does not decode".into());
        let (nonce, shares) = outcome.split_first_chunk::<16>().ok_or_else(other)?;
        let nonce = uuid::Uuid::from_bytes(*nonce);
        let (shares, rest) = shares.as_chunks::<SHARE_BYTES>();
        if !rest.is_empty() {
            return Err(other());
        }
        Ok(Self {
            shares: shares
                .iter()
                .map(Share::from_bytes)
                .collect::<Result<_, _>>()?,
            verification_nonce: (!nonce.is_nil()).then_some(nonce),
        })
    }
}

#[async_trait(?Send)]
impl Act for Rekey {
    async fn run(&self, finished: Finished<'_>) -> Result<Outcome, Error> {
        let request = RekeyRequest::of(finished.parameters)?;
        let (parts, proof) = (finished.parts, finished.proof);
        let generation = proof.config.generation() + 1;
        let (config, shares) = SealConfig::create(
            parts.tenant,
            request.quorum,
            generation,
            &proof.root,
            &parts.random,
        )?;
        check(parts.tenant, &config, &shares, &proof.root)?;
        let next = config.encode(&proof.mac_key, parts.tenant)?;
        let verification_nonce = request.require_verification.then(|| parts.random.uuid());
        let pending = verification_nonce.map(|nonce| Pending {
            epoch: proof.epoch,
            expires: parts.clock.now().plus(parts.settings.attempt_ttl),
            rekey_nonce: finished.attempt.nonce().to_string(),
            nonce,
            config_row: next.clone(),
            verified: Vec::new(),
        });
        let change = Change {
            view: act::view(&finished)?,
            before: &finished.rows.config,
            next: &next,
            pending: pending.as_ref(),
        };
        let given_up = parts.clock.since_boot() + PATIENCE;
        loop {
            match change.commit(parts.clock.now()).await {
                Err(Error::Unavailable(_) | Error::Conflict)
                    if parts.clock.since_boot() < given_up =>
                {
                    tokio::time::sleep(parts.settings.retry_interval).await;
                }
                committed => break committed?,
            }
        }
        let tenant = parts.tenant;
        tracing::info!(%tenant, generation, pending = pending.is_some(), "new shares were made");
        let rekeyed = Rekeyed {
            shares,
            verification_nonce,
        };
        Ok(rekeyed.encode())
    }
}

/// What is to be committed.
struct Change<'a> {
    view: View,
    before: &'a Vec<u8>,
    next: &'a Vec<u8>,
    pending: Option<&'a Pending>,
}

impl Change<'_> {
    /// Commits it, or finds that it is committed.
    async fn commit(&self, now: Timestamp) -> Result<(), Error> {
        self.view
            .run(async |rows| {
                let stored = stored_config(rows).await?;
                if stored.as_ref() == Some(self.next) {
                    return Ok(());
                }
                if stored.as_ref() != Some(self.before) {
                    return Err(Error::bad_request(
                        "no rekey in progress: the shares were renewed meanwhile",
                    ));
                }
                let waiting = verification::live(rows, now).await?;
                let ours = self.pending.map(|pending| pending.nonce);
                if waiting.is_some_and(|waiting| Some(waiting.nonce) != ours) {
                    return Err(Error::bad_request(
                        "rekey already in progress: its new shares wait for verification",
                    ));
                }
                match self.pending {
                    Some(pending) => pending.write(rows),
                    None => replace_config(rows, self.next),
                }
            })
            .await
    }
}

/// The configuration row as stored.
///
/// # Errors
/// What the store says.
pub(super) async fn stored_config(rows: &mut Rows<'_>) -> Result<Option<Vec<u8>>, Error> {
    let address = config::address(rows.tenant());
    Ok(rows.transaction().get(&address).await?)
}

/// Puts the next generation in force, and ends what waits for verification.
///
/// # Errors
/// What the store says.
pub(super) fn replace_config(rows: &mut Rows<'_>, row: &[u8]) -> Result<(), Error> {
    let address = config::address(rows.tenant());
    rows.transaction().set(&address, row);
    verification::forget(rows);
    rows.note_change(Facet::Seal);
    Ok(())
}

/// Makes sure that the new shares open the root key before anybody relies on them: the first that are enough, and the
/// last.
fn check(
    tenant: TenantId,
    config: &SealConfig,
    shares: &[Share],
    root: &RootKey,
) -> Result<(), Error> {
    let threshold = usize::from(config.quorum().threshold());
    let opens = |key| {
        let opened = config.unwrap_root(tenant, &key)?;
        Ok(opened.expose() == root.expose())
    };
    let first = shamir::combine(shares.iter().take(threshold)).and_then(opens)?;
    let last = shamir::combine(shares.iter().rev().take(threshold)).and_then(opens)?;
    let recognised = shares.iter().all(|share| config.recognises(share));
    if first && last && recognised {
        return Ok(());
    }
    Err(Error::Bug("new shares that do not open".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::OsRandom;

    fn request() -> RekeyRequest {
        RekeyRequest {
            quorum: Quorum::new(255, 255).unwrap(),
            require_verification: true,
        }
    }

    #[test]
    fn a_request_survives_the_way_to_other_nodes() {
        let parameters = request().parameters().unwrap();
        assert_eq!(RekeyRequest::of(&parameters).unwrap(), request());
        for other in [
            b"garbage".to_vec(),
            br#"{"quorum":{"shares":3,"threshold":5},"require_verification":true}"#.to_vec(),
        ] {
            let parameters = Parameters::new(Zeroizing::new(other)).unwrap();
            assert!(RekeyRequest::of(&parameters).is_err());
        }
    }

    #[test]
    fn an_outcome_survives_the_way_to_its_route() {
        let root = RootKey::generate(&OsRandom);
        let tenant = TenantId::from_bytes([5; 16]);
        let quorum = Quorum::new(5, 3).unwrap();
        for verification_nonce in [None, Some(OsRandom.uuid())] {
            let (config, shares) = SealConfig::create(tenant, quorum, 2, &root, &OsRandom).unwrap();
            check(tenant, &config, &shares, &root).unwrap();
            let rekeyed = Rekeyed {
                shares,
                verification_nonce,
            };
            let decoded = Rekeyed::decode(&rekeyed.encode()).unwrap();
            assert_eq!(decoded.verification_nonce, verification_nonce);
            assert_eq!(decoded.shares.len(), 5);
            for (one, two) in rekeyed.shares.iter().zip(&decoded.shares) {
                assert_eq!(one.expose(), two.expose());
            }
        }
        assert!(Rekeyed::decode(&Zeroizing::new(vec![0; 16 + 7])).is_err());
        assert!(Rekeyed::decode(&Zeroizing::new(vec![0; 7])).is_err());
    }

    #[test]
    fn shares_of_another_split_are_noticed_before_they_are_relied_on() {
        let root = RootKey::generate(&OsRandom);
        let tenant = TenantId::from_bytes([5; 16]);
        let quorum = Quorum::new(5, 3).unwrap();
        let (config, mut shares) = SealConfig::create(tenant, quorum, 2, &root, &OsRandom).unwrap();
        let (_, mut others) = SealConfig::create(tenant, quorum, 2, &root, &OsRandom).unwrap();
        shares[4] = others.remove(4);
        assert!(check(tenant, &config, &shares, &root).is_err());
    }
}
