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
}
