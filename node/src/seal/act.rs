//! Acts: what is done with a finished set of shares. An unseal is the seal's own; everything else is an [`Act`], one
//! file each.
//!
//! To add one: a file beside this one with a type that implements [`Act`], and a line in [`act_for`]. The shell has by
//! then recognised every share, combined them, and proven with the root key that the seal rows are genuine. What is
//! left to an act is to write its rows in one transaction and to say what the caller is to be told. It runs on one node
//! only, the one that was given the last share, and while the add-on is open there.

use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::attempt::{AttemptId, Purpose};
use super::generate_root::GenerateRoot;
use super::handle::SealParts;
use super::init::Proof;
use super::rekey::Rekey;
use super::rows::SealRows;
use super::seal_keys::SealKeys;
use super::state::Parameters;
use crate::barrier::View;
use crate::error::Error;
use crate::store::key::Scope;

/// What an act has to work with. All of it is gone when the act returns.
pub struct Finished<'a> {
    /// The add-on, its store, clock and randomness.
    pub parts: &'a SealParts,
    /// The attempt that has its shares.
    pub attempt: AttemptId,
    /// What it was started with.
    pub parameters: &'a Parameters,
    /// The seal rows as read when the last share was given. A transaction that replaces one of them reads all three
    /// again first and gives up with [`Error::Conflict`] when they are not the same.
    pub rows: &'a SealRows,
    /// What the shares opened: the root key, and the MAC key of the plaintext rows.
    pub proof: &'a Proof,
}

/// What the caller is told: bytes in a form that the act's own route knows. Wiped when dropped.
pub type Outcome = Zeroizing<Vec<u8>>;

/// See the module.
#[async_trait(?Send)]
pub trait Act: Send + Sync {
    /// Does it. There is no timeout around it, because giving up on a commit that then succeeds would lose new shares.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Conflict`] keep the shares, so that giving any of them again tries again;
    /// other errors end the attempt.
    async fn run(&self, finished: Finished<'_>) -> Result<Outcome, Error>;
}

/// The act of a purpose.
///
/// # Errors
/// [`Error::UnsupportedOperation`] where there is none.
pub(super) fn act_for(purpose: Purpose) -> Result<Box<dyn Act>, Error> {
    match purpose {
        Purpose::Rekey => Ok(Box::new(Rekey)),
        Purpose::GenerateRoot => Ok(Box::new(GenerateRoot)),
        Purpose::Unseal => Err(Error::UnsupportedOperation),
    }
}

/// The add-on's own rows, opened with what the shares proved. Its transactions fail once the add-on is sealed.
///
/// # Errors
/// [`Error::Corrupt`] when a row does not prove itself.
pub(super) fn view(finished: &Finished<'_>) -> Result<View, Error> {
    let Finished { parts, proof, .. } = finished;
    let (mac_key, keyring_key) = (proof.root.mac_key()?, proof.root.keyring_key()?);
    let keys = SealKeys::new(parts.tenant, proof.epoch, mac_key, keyring_key);
    let unsealed = Arc::new(keys.open(finished.rows)?.unsealed);
    let scope = Scope::Tenant(parts.tenant);
    Ok(View::new(Arc::clone(&parts.store), unsealed, scope))
}
