//! What tools on a store that no node has open need of an add-on's seal: whether its rows are whole, and its keys from
//! shares.

use super::config::SealConfig;
use super::quorum::Quorum;
use super::share::Share;
use super::{authentic, epoch, init, shamir};
use crate::barrier::Unsealed;
use crate::error::Error;
use crate::id::TenantId;

pub use super::rows::SealRows;

/// How many shares the add-on has, and how many open it.
///
/// # Errors
/// [`Error::Corrupt`] when the configuration's row is not whole.
pub fn quorum(rows: &SealRows) -> Result<Quorum, Error> {
    SealConfig::claim(&rows.config).map(|config| config.quorum())
}

/// Whether a seal configuration's row is whole, as far as can be told without the root key.
///
/// # Errors
/// [`Error::Corrupt`] when it is not.
pub fn examine_config(row: &[u8]) -> Result<(), Error> {
    SealConfig::claim(row).map(drop)
}

/// The same of an epoch's row.
///
/// # Errors
/// [`Error::Corrupt`] when it is not.
pub fn examine_epoch(row: &[u8]) -> Result<(), Error> {
    epoch::claim(row).map(drop)
}

/// The same of any other row with a MAC.
///
/// # Errors
/// [`Error::Corrupt`] when it is not.
pub fn examine_claim(row: &[u8]) -> Result<(), Error> {
    authentic::claim::<serde_json::Value>(row).map(drop)
}

/// Whether `share` is one of this add-on's; it counts towards the threshold then.
///
/// # Errors
/// [`Error::Corrupt`] when the rows are not whole.
pub fn recognises(rows: &SealRows, share: &Share) -> Result<bool, Error> {
    SealConfig::claim(&rows.config).map(|config| config.recognises(share))
}

/// The add-on's keys, as far as the seal holds them: terms that were added since are
/// [caught up with](crate::barrier::Rows::catch_up).
///
/// # Errors
/// [`Error::Invalid`] when the shares do not open it, [`Error::Corrupt`] when a row does not prove itself.
pub fn open(tenant: TenantId, rows: &SealRows, shares: &[Share]) -> Result<Unsealed, Error> {
    let key = shamir::combine(shares)?;
    init::open(tenant, rows, &key).map(|opened| opened.unsealed)
}
