//! [`SealKeys`]: what stays in memory while an add-on is open, so that it can be sealed, and handed over to a node that
//! restarts. Not the root key: only the two keys that are derived from it for the seal's own rows.

use super::authentic::MacKey;
use super::config::SealConfig;
use super::epoch;
use super::init::Opened;
use super::keyring::Keyring;
use super::rows::{SealRows, keyring_address};
use crate::barrier::Unsealed;
use crate::barrier::envelope::RowCipher;
use crate::error::Error;
use crate::id::{SealEpoch, TenantId};
use crate::secret::Secret;

/// See the module.
pub struct SealKeys {
    tenant: TenantId,
    epoch: SealEpoch,
    mac_key: MacKey,
    keyring_key: Secret<[u8; 32]>,
}

impl SealKeys {
    pub(super) fn new(
        tenant: TenantId,
        epoch: SealEpoch,
        mac_key: MacKey,
        keyring_key: Secret<[u8; 32]>,
    ) -> Self {
        Self {
            tenant,
            epoch,
            mac_key,
            keyring_key,
        }
    }

    /// Whose keys these are.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// At which epoch it was opened.
    pub fn epoch(&self) -> SealEpoch {
        self.epoch
    }

    /// Opens the add-on, and proves that none of its rows was changed.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a row does not prove itself under these keys, or says another epoch.
    pub fn open(self, rows: &SealRows) -> Result<Opened, Error> {
        SealConfig::prove(&self.mac_key, self.tenant, &rows.config)?;
        let epoch = epoch::prove(&self.mac_key, self.tenant, &rows.epoch)?;
        if epoch != self.epoch {
            return Err(Error::Corrupt("an epoch row of another epoch".into()));
        }
        let address = keyring_address(self.tenant);
        let keyring = RowCipher::new(&self.keyring_key).open(address.as_bytes(), &rows.keyring)?;
        let keyring = Keyring::decode(&keyring)?;
        Ok(Opened {
            unsealed: Unsealed::new(self.tenant, epoch, rows.epoch.clone(), &keyring)?,
            keys: self,
        })
    }

    /// The row to write so that what was opened at this epoch is sealed, given the row that is stored now.
    /// `None` when a later epoch is already there, by another node or by an earlier try whose outcome was in doubt.
    /// A row that proves nothing is replaced: damage must not keep anybody from sealing.
    ///
    /// # Errors
    /// [`Error::Bug`] when it cannot be encoded.
    pub fn sealing_row(&self, stored: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let proven = stored.and_then(|row| epoch::prove(&self.mac_key, self.tenant, row).ok());
        if proven.is_some_and(|stored| stored > self.epoch) {
            return Ok(None);
        }
        epoch::encode(&self.mac_key, self.tenant, self.epoch.next()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::OsRandom;
    use crate::seal::epoch::{claim, encode};
    use crate::seal::keys::RootKey;

    fn tenant() -> TenantId {
        TenantId::from_bytes([5; 16])
    }

    #[test]
    fn sealing_raises_the_epoch_once() {
        let root = RootKey::generate(&OsRandom);
        let keys = SealKeys::new(
            tenant(),
            SealEpoch(3),
            root.mac_key().unwrap(),
            root.keyring_key().unwrap(),
        );
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
