//! The barrier: the only module that puts an AEAD on stored bytes, and the only way to a row.
//!
//! Holding an [`Unsealed`] is what being unsealed means; there is no second flag. A [`View`] joins it with the store
//! and one scope, and hands out [`Rows`] inside a transaction that has checked the add-on's seal epoch, so that
//! nothing is read or written after a seal.

pub mod envelope;
pub mod format;
pub mod names;
mod rows;
mod terms;
mod view;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use self::terms::Terms;
use crate::error::Error;
use crate::id::{SealEpoch, TenantId};
use crate::rng::OsRandom;
use crate::seal::keyring::Keyring;
use crate::store::key::{Pseudonym, Scope};

pub use self::rows::Rows;
pub use self::terms::{MAX_TERMS, TermStatus};
pub use self::view::View;

/// What stands at the address of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    /// The whole envelope.
    Whole,
    /// The length of an envelope that lies in pieces elsewhere, in bytes.
    InPieces(u64),
}

impl Stored {
    /// What `bytes` are, as far as can be told without keys.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when they are neither.
    pub fn of(bytes: &[u8]) -> Result<Self, Error> {
        match rows::length_of_pieces(bytes)? {
            Some(length) => Ok(Self::InPieces(length)),
            None => envelope::term_of(bytes).map(|_| Self::Whole),
        }
    }
}

/// What a pseudonym stands for; the same text in two domains gives two unrelated pseudonyms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Domain {
    /// A secret's path or a key's name.
    Path = 1,
    /// A directory, in the index of names.
    Directory = 2,
    /// An entry of a directory.
    Entry = 3,
    /// A token.
    Token = 4,
    /// A token accessor.
    Accessor = 5,
    /// A policy.
    Policy = 6,
    /// An operation that must not be applied twice.
    Operation = 7,
}

/// An open add-on: its keys, expanded once. Not `Clone`: it is shared by `Arc` and gone when the last user is done.
pub struct Unsealed {
    tenant: TenantId,
    epoch: SealEpoch,
    epoch_row: Vec<u8>,
    terms: Terms,
    names: Hmac<Sha256>,
    random: OsRandom,
}

impl Unsealed {
    /// Opens the add-on `tenant`, which was at `epoch` (stored, and already authenticated, as `epoch_row`).
    ///
    /// # Errors
    /// [`Error::Bug`] when the keyring is empty.
    pub fn new(
        tenant: TenantId,
        epoch: SealEpoch,
        epoch_row: Vec<u8>,
        keyring: &Keyring,
    ) -> Result<Self, Error> {
        let names = Hmac::new_from_slice(keyring.name_key().expose())
            .map_err(|_| Error::Bug("the name key has no length".into()))?;
        Ok(Self {
            tenant,
            epoch,
            epoch_row,
            terms: Terms::new(keyring)?,
            names,
            random: OsRandom,
        })
    }

    /// Whose keys these are.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The epoch under which it was opened.
    pub fn epoch(&self) -> SealEpoch {
        self.epoch
    }

    /// Whether the stored epoch row is still the one this was opened under.
    pub fn is_current(&self, epoch_row: Option<&[u8]>) -> bool {
        epoch_row == Some(&self.epoch_row)
    }

    /// The pseudonym of `name` within `scope`.
    pub fn pseudonym(&self, scope: Scope, domain: Domain, name: &[u8]) -> Pseudonym {
        let mut mac = self.names.clone();
        mac.update(&[domain as u8]);
        if let Scope::Mount(_, mount) = scope {
            mac.update(mount.as_bytes());
        } else {
            mac.update(&[0; 16]);
        }
        mac.update(name);
        let digest = mac.finalize().into_bytes();
        let mut pseudonym = [0; 16];
        for (to, from) in pseudonym.iter_mut().zip(digest) {
            *to = from;
        }
        Pseudonym(pseudonym)
    }

    /// Whether `envelope`, joined if it lay in pieces, was written at `address` under these keys.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it was not.
    pub fn prove(&self, address: &[u8], envelope: &[u8]) -> Result<(), Error> {
        self.open_row(address, envelope).map(drop)
    }
}

impl std::fmt::Debug for Unsealed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Unsealed({}, {:?})", self.tenant, self.epoch)
    }
}

#[cfg(test)]
pub mod testing {
    //! An open add-on on an in-memory store, for the tests of everything above the barrier.

    use std::sync::Arc;

    use super::*;
    use crate::clock::Timestamp;
    use crate::id::MountId;
    use crate::store::embedded::EmbeddedStore;
    use crate::store::key::{Key, Table};
    use crate::store::{Store, transact};

    /// A view of the own rows of a fresh add-on.
    pub async fn tenant_view() -> View {
        let (store, _, unsealed) = addon().await;
        let scope = Scope::Tenant(unsealed.tenant());
        View::new(store, Arc::new(unsealed), scope)
    }

    /// A fresh add-on: its store, its keyring, and its keys as just opened.
    pub async fn addon() -> (Arc<dyn Store>, Keyring, Unsealed) {
        let tenant = TenantId::generate(&OsRandom);
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::in_memory().unwrap());
        let keyring = Keyring::generate(&OsRandom, Timestamp(0));
        let epoch_row = b"epoch".to_vec();
        transact(store.as_ref(), async |transaction, _| {
            let key = Key::row(Scope::Tenant(tenant), Table::Epoch, &[]);
            transaction.set(&key, &epoch_row);
            Ok(())
        })
        .await
        .unwrap();
        let unsealed = Unsealed::new(tenant, SealEpoch(1), epoch_row, &keyring).unwrap();
        (store, keyring, unsealed)
    }

    /// The same add-on, opened with its keyring on another node.
    pub fn reopened(unsealed: &Unsealed, keyring: &Keyring) -> Unsealed {
        let epoch_row = unsealed.epoch_row.clone();
        Unsealed::new(unsealed.tenant, unsealed.epoch, epoch_row, keyring).unwrap()
    }

    /// A view of a fresh mount of a fresh add-on.
    pub async fn mount_view() -> View {
        let (store, _, unsealed) = addon().await;
        let scope = Scope::Mount(unsealed.tenant(), MountId::generate(&OsRandom));
        View::new(store, Arc::new(unsealed), scope)
    }
}
