//! [`SealRows`]: the rows of an add-on's seal, to and from the store.

use super::attempt::Incarnation;
use super::{config, epoch};
use crate::error::Error;
use crate::id::TenantId;
use crate::store::Transaction;
use crate::store::key::{Key, Scope, Table};

/// The three rows of an add-on's seal, as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct SealRows {
    /// See [`SealConfig`].
    pub config: Vec<u8>,
    /// See [`epoch`](super::epoch).
    pub epoch: Vec<u8>,
    /// See [`Keyring`].
    pub keyring: Vec<u8>,
}

impl SealRows {
    /// Reads an add-on's rows; `None` when it was never initialised.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when only some of them are there, or what the store says.
    pub async fn read(
        transaction: &mut dyn Transaction,
        tenant: TenantId,
    ) -> Result<Option<Self>, Error> {
        let config = transaction.get(&config::address(tenant)).await?;
        let epoch = transaction.get(&epoch::address(tenant)).await?;
        let keyring = transaction.get(&keyring_address(tenant)).await?;
        match (config, epoch, keyring) {
            (None, None, None) => Ok(None),
            (Some(config), Some(epoch), Some(keyring)) => Ok(Some(Self {
                config,
                epoch,
                keyring,
            })),
            _ => Err(Error::Corrupt("some of the seal rows are gone".into())),
        }
    }

    /// Writes them.
    pub fn write(&self, transaction: &mut dyn Transaction, tenant: TenantId) {
        transaction.set(&config::address(tenant), &self.config);
        transaction.set(&epoch::address(tenant), &self.epoch);
        transaction.set(&keyring_address(tenant), &self.keyring);
    }
}

/// Which life of the store a transaction sees.
///
/// # Errors
/// [`Error::Corrupt`] when the row is damaged, or what the store says.
pub async fn read_incarnation(transaction: &mut dyn Transaction) -> Result<Incarnation, Error> {
    let key = Key::row(Scope::Node, Table::Incarnation, &[]);
    match transaction.get(&key).await? {
        None => Ok(Incarnation::default()),
        Some(bytes) => <[u8; 16]>::try_from(bytes)
            .map(Incarnation)
            .map_err(|_| Error::Corrupt("the store's incarnation".into())),
    }
}

/// Where an add-on's keyring row stands.
pub fn keyring_address(tenant: TenantId) -> Key {
    Key::row(Scope::Tenant(tenant), Table::Keyring, &[])
}
