//! The epoch row: how often the add-on was sealed. Every transaction of the add-on reads it, so raising it ends them
//! all. Its MAC keeps others from writing a row that a later unseal would believe.

use serde::{Deserialize, Serialize};

use super::authentic::{self, MacKey};
use crate::error::Error;
use crate::id::{SealEpoch, TenantId};
use crate::store::key::{Key, Scope, Table};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    epoch: SealEpoch,
}

/// Where an add-on's epoch row stands.
pub fn address(tenant: TenantId) -> Key {
    Key::row(Scope::Tenant(tenant), Table::Epoch, &[])
}

/// The row that says `epoch`.
///
/// # Errors
/// [`Error::Bug`] when it cannot be encoded.
pub fn encode(mac_key: &MacKey, tenant: TenantId, epoch: SealEpoch) -> Result<Vec<u8>, Error> {
    mac_key.encode(&address(tenant), &Content { epoch })
}

/// The epoch that a row claims; not proven, since that needs the root key.
///
/// # Errors
/// [`Error::Corrupt`] when it is no epoch row.
pub fn claim(row: &[u8]) -> Result<SealEpoch, Error> {
    authentic::claim(row).map(|content: Content| content.epoch)
}

/// The epoch that a row proves.
///
/// # Errors
/// [`Error::Corrupt`] when it was not written here by a holder of the key.
pub fn prove(mac_key: &MacKey, tenant: TenantId, row: &[u8]) -> Result<SealEpoch, Error> {
    mac_key.verify(&address(tenant), row)?;
    claim(row)
}

/// What stays in memory while an add-on is open so that it can be sealed: not the root key, only the key that signs
/// epochs.
pub struct SealKeys {
    tenant: TenantId,
    epoch: SealEpoch,
    mac_key: MacKey,
}

impl SealKeys {
    pub(super) fn new(tenant: TenantId, epoch: SealEpoch, mac_key: MacKey) -> Self {
        Self {
            tenant,
            epoch,
            mac_key,
        }
    }

    /// Whose keys these are.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The row to write so that what was opened at this epoch is sealed, given the row that is stored now.
    /// `None` when a later epoch is already there, by another node or by an earlier try whose outcome was in doubt.
    /// A row that proves nothing is replaced: damage must not keep anybody from sealing.
    ///
    /// # Errors
    /// [`Error::Bug`] when it cannot be encoded.
    pub fn sealing_row(&self, stored: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let proven = stored.and_then(|row| prove(&self.mac_key, self.tenant, row).ok());
        if proven.is_some_and(|stored| stored > self.epoch) {
            return Ok(None);
        }
        encode(&self.mac_key, self.tenant, self.epoch.next()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::OsRandom;
    use crate::seal::keys::RootKey;

    fn tenant() -> TenantId {
        TenantId::from_bytes([5; 16])
    }

    #[test]
    fn a_row_proves_its_epoch_for_its_add_on_and_root_key() {
        let mac_key = RootKey::generate(&OsRandom).mac_key().unwrap();
        let row = encode(&mac_key, tenant(), SealEpoch(7)).unwrap();
        assert_eq!(claim(&row).unwrap(), SealEpoch(7));
        assert_eq!(prove(&mac_key, tenant(), &row).unwrap(), SealEpoch(7));
        assert!(prove(&mac_key, TenantId::from_bytes([6; 16]), &row).is_err());
        let other = RootKey::generate(&OsRandom).mac_key().unwrap();
        assert!(prove(&other, tenant(), &row).is_err());
    }

    #[test]
    fn sealing_raises_the_epoch_once() {
        let root = RootKey::generate(&OsRandom);
        let keys = SealKeys::new(tenant(), SealEpoch(3), root.mac_key().unwrap());
        let row_of = |epoch| encode(&root.mac_key().unwrap(), tenant(), SealEpoch(epoch)).unwrap();

        let raised = keys.sealing_row(Some(&row_of(3))).unwrap().unwrap();
        assert_eq!(claim(&raised).unwrap(), SealEpoch(4));
        assert!(keys.sealing_row(Some(&raised)).unwrap().is_none());
        assert!(keys.sealing_row(Some(&row_of(9))).unwrap().is_none());

        let stranger = RootKey::generate(&OsRandom).mac_key().unwrap();
        let forged = encode(&stranger, tenant(), SealEpoch(9)).unwrap();
        for damaged in [Some(forged.as_slice()), Some(b"garbage"), None] {
            let raised = keys.sealing_row(damaged).unwrap().unwrap();
            assert_eq!(claim(&raised).unwrap(), SealEpoch(4));
        }
    }
}
