//! New shares that must be given back before they replace the old ones, so that a rekey whose answer was lost, or
//! copied down wrongly, locks nobody out.
//!
//! What waits is a row behind the add-on's barrier: the next seal configuration, whole, and the indices of those shares
//! that were given back. No share is kept: one that is given back is recognised by its hash, noted, and forgotten. So
//! shares can be given back to any node, in any order, and a node that dies loses nothing. Each step is one
//! transaction; the one that notes the last share also puts the new configuration in force.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::config::{SealConfig, from_base64, to_base64};
use super::quorum::Quorum;
use super::rekey::{replace_config, stored_config};
use super::share::Share;
use crate::barrier::{Rows, View};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::SealEpoch;
use crate::rng::OsRandom;
use crate::store::key::Table;

/// What waits, as stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pending {
    /// A seal ends it.
    pub epoch: SealEpoch,
    /// As other attempts, it does not wait for ever.
    pub expires: Timestamp,
    /// The rekey that it belongs to, for its status.
    pub rekey_nonce: String,
    /// What shares are given back with. It changes when the verification starts over.
    pub nonce: uuid::Uuid,
    /// The configuration row to be put in force.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub config_row: Vec<u8>,
    /// The indices of the shares that were given back, in this order.
    pub verified: Vec<u8>,
}

/// How far a verification is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verification {
    /// The rekey that made the new shares.
    pub rekey_nonce: String,
    /// What shares are given back with.
    pub nonce: String,
    /// How many new shares there are, and how many must be given back.
    pub quorum: Quorum,
    /// How many were.
    pub given: usize,
}

/// What came of a share that was given back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verified {
    /// It was noted.
    Noted(Verification),
    /// It was the last that was needed: the new shares are in force.
    Complete,
}

impl Pending {
    pub(super) fn write(&self, rows: &mut Rows<'_>) -> Result<(), Error> {
        rows.put_json(Table::PendingRekey, &[], self)
    }

    fn config(&self) -> Result<SealConfig, Error> {
        SealConfig::claim(&self.config_row)
    }

    fn shown(&self) -> Result<Verification, Error> {
        Ok(Verification {
            rekey_nonce: self.rekey_nonce.clone(),
            nonce: self.nonce.to_string(),
            quorum: self.config()?.quorum(),
            given: self.verified.len(),
        })
    }
}

/// What waits and can still come into force. `rows` are of the add-on's own scope.
///
/// # Errors
/// What the store says.
pub(super) async fn live(rows: &mut Rows<'_>, now: Timestamp) -> Result<Option<Pending>, Error> {
    let Some(pending) = rows.get_json::<Pending>(Table::PendingRekey, &[]).await? else {
        return Ok(None);
    };
    let stored = stored_config(rows).await?;
    let stored = stored.ok_or_else(|| Error::Corrupt("the seal configuration is gone".into()))?;
    let follows = pending.config()?.generation() == SealConfig::claim(&stored)?.generation() + 1;
    let is_live = follows && pending.epoch == rows.epoch() && now < pending.expires;
    Ok(is_live.then_some(pending))
}

/// Removes what waits.
pub(super) fn forget(rows: &mut Rows<'_>) {
    rows.delete(Table::PendingRekey, &[]);
}

/// The verification that new shares wait for, if any. `view` is of the add-on's own scope, here and below.
///
/// # Errors
/// What the store says.
pub async fn status(view: &View, now: Timestamp) -> Result<Option<Verification>, Error> {
    let pending = view.run(async |rows| live(rows, now).await).await?;
    pending.map(|pending| pending.shown()).transpose()
}

/// Takes a share back. `Ok(None)` when nothing waits.
///
/// # Errors
/// [`Error::Invalid`] for another nonce, for what is none of the new shares, and for one that was given back already.
pub async fn give(
    view: &View,
    share: &Share,
    nonce: &str,
    now: Timestamp,
) -> Result<Option<Verified>, Error> {
    // What an earlier round, whose commit is in doubt, would have put in force.
    let mut completing = None;
    view.run(async |rows| {
        let Some(mut pending) = live(rows, now).await? else {
            let in_force = completing.is_some() && stored_config(rows).await? == completing;
            return Ok(in_force.then_some(Verified::Complete));
        };
        if pending.nonce.to_string() != nonce {
            return Err(Error::invalid(
                "nonce",
                format!(
                    "incorrect nonce supplied; nonce for this verify operation is {:?}",
                    pending.nonce.to_string()
                ),
            ));
        }
        if !pending.config()?.recognises(share) {
            return Err(Error::invalid(
                "key",
                "invalid key: this is not one of the new key shares; those given back before it still count",
            ));
        }
        let is_known = pending.verified.contains(&share.index());
        if is_known && !rows.attempt().maybe_committed {
            return Err(Error::invalid(
                "key",
                "given key has already been provided during this verify operation",
            ));
        }
        if !is_known {
            pending.verified.push(share.index());
        }
        let distinct = pending.verified.iter().collect::<BTreeSet<_>>().len();
        if distinct < usize::from(pending.config()?.quorum().threshold()) {
            pending.write(rows)?;
            return Ok(Some(Verified::Noted(pending.shown()?)));
        }
        replace_config(rows, &pending.config_row)?;
        completing = Some(pending.config_row);
        Ok(Some(Verified::Complete))
    })
    .await
}

/// Starts over: the shares must be given back with another nonce. `Ok(None)` when nothing waits.
///
/// # Errors
/// What the store says.
pub async fn restart(
    view: &View,
    random: &OsRandom,
    now: Timestamp,
) -> Result<Option<Verification>, Error> {
    let nonce = random.uuid();
    view.run(async |rows| {
        let Some(mut pending) = live(rows, now).await? else {
            return Ok(None);
        };
        pending.nonce = nonce;
        pending.verified.clear();
        pending.write(rows)?;
        pending.shown().map(Some)
    })
    .await
}

/// Gives up the new shares; the old ones stay in force.
///
/// # Errors
/// What the store says.
pub async fn cancel(view: &View) -> Result<(), Error> {
    view.run(async |rows| {
        forget(rows);
        Ok(())
    })
    .await
}
