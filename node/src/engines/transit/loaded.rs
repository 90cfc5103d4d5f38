//! A key in memory: the model and its expanded ciphers. Shared by all requests, never changed; a changed key is another
//! one of these.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cipher::VersionCipher;
use super::key::{KeyPolicy, KeyVersion};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::store::key::Pseudonym;

/// A key, ready for use. Dropping it wipes its material and, where their crates do so, its ciphers; the hash states of
/// HKDF and HMAC (crates of the 0.12 line) are not wiped.
pub struct LoadedKey {
    pseudonym: Pseudonym,
    policy: KeyPolicy,
    /// One for each of the policy's versions, expanded when first used: most of a long-lived key's versions never are.
    ciphers: Vec<OnceLock<VersionCipher>>,
    rotation_due: Option<Timestamp>,
    rotation_claimed: AtomicBool,
    recently_used: AtomicBool,
}

impl LoadedKey {
    /// The key that is stored under `pseudonym`.
    pub fn new(pseudonym: Pseudonym, policy: KeyPolicy) -> Self {
        Self {
            pseudonym,
            ciphers: policy.versions().map(|_| OnceLock::new()).collect(),
            rotation_due: policy.rotation_due(),
            policy,
            rotation_claimed: AtomicBool::new(false),
            recently_used: AtomicBool::new(false),
        }
    }

    /// Where it is stored.
    pub fn pseudonym(&self) -> Pseudonym {
        self.pseudonym
    }

    /// Its settings and versions.
    pub fn policy(&self) -> &KeyPolicy {
        &self.policy
    }

    /// The cipher of `version`, to encrypt with. `None` when that version is not kept.
    ///
    /// # Errors
    /// [`Error::Bug`] when its material has the wrong length.
    pub fn cipher(&self, version: KeyVersion) -> Result<Option<&VersionCipher>, Error> {
        let position = self.policy.position(version);
        position.map(|position| self.at(position)).transpose()
    }

    /// The cipher of `version`, to decrypt with. `None` when that version is not kept or closed by policy.
    ///
    /// # Errors
    /// [`Error::Bug`] when its material has the wrong length.
    pub fn decryption_cipher(&self, version: KeyVersion) -> Result<Option<&VersionCipher>, Error> {
        let position = self.policy.decryption_position(version);
        position.map(|position| self.at(position)).transpose()
    }

    fn at(&self, position: usize) -> Result<&VersionCipher, Error> {
        let (slot, version) = self
            .ciphers
            .get(position)
            .zip(self.policy.versions().nth(position))
            .ok_or_else(|| Error::Bug("a key version without a place".into()))?;
        if let Some(cipher) = slot.get() {
            return Ok(cipher);
        }
        let expanded = VersionCipher::new(&self.policy, version)?;
        Ok(slot.get_or_init(|| expanded))
    }

    /// Whether the latest version is too old to encrypt with and the caller is the one to see to it: it says so once.
    pub fn claim_due_rotation(&self, now: Timestamp) -> bool {
        self.rotation_due.is_some_and(|due| due <= now)
            && !self.rotation_claimed.swap(true, Ordering::Relaxed)
    }

    /// Notes a use. The flag is written only when it changes, so that busy cores do not take it from each other.
    pub fn note_use(&self) {
        if !self.recently_used.load(Ordering::Relaxed) {
            self.recently_used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was used since this was last asked.
    pub fn take_recently_used(&self) -> bool {
        self.recently_used.swap(false, Ordering::Relaxed)
    }
}

impl std::fmt::Debug for LoadedKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LoadedKey({:?})", self.pseudonym)
    }
}
