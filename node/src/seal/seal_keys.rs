//! [`SealKeys`]: what stays in memory while an add-on is open, so that it can be sealed, and handed over to a node that
//! restarts. Not the root key: only the two keys that are derived from it for the seal's own rows.

use super::attempt::Incarnation;
use super::authentic::MacKey;
use super::config::SealConfig;
use super::epoch;
use super::handover::{Ask, HandedOver};
use super::init::Opened;
use super::intent::Intent;
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

    /// What is to be written to seal what was opened with these keys.
    ///
    /// # Errors
    /// [`Error::Bug`] when it cannot be encoded.
    pub fn intent(&self, incarnation: Incarnation) -> Result<Intent, Error> {
        let row = epoch::encode(&self.mac_key, self.tenant, self.epoch.next())?;
        Ok(Intent::new(incarnation, self.epoch, row))
    }

    /// The keys, to be handed over in answer to `ask`.
    pub fn hand_over(&self, ask: Ask) -> HandedOver {
        HandedOver {
            ask,
            mac_key: Secret::new(*self.mac_key.expose()),
            keyring_key: Secret::new(*self.keyring_key.expose()),
        }
    }

    /// The keys that were handed over.
    pub fn taken_over(handed: HandedOver) -> Self {
        let HandedOver {
            ask,
            mac_key,
            keyring_key,
        } = handed;
        Self::new(
            ask.tenant,
            ask.stored.epoch,
            MacKey::new(mac_key),
            keyring_key,
        )
    }

    /// The key of the MACs on plaintext rows.
    pub fn mac_key(&self) -> &MacKey {
        &self.mac_key
    }
}
