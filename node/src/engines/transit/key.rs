//! The pure model of a key: its settings, its versions, and which of them may be used for what. No store, no clock, no
//! cipher. What a change of settings may do is in `rules.rs`.
//!
//! A key is stored as one row, all versions together, so that a transaction sees all of it or nothing; beside it stands
//! its [`Mark`], a short row that says whether a copy in memory is still what is stored.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key_type::KeyType;
use super::secret_bytes;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::rng::OsRandom;
use crate::secret::Secret;

/// How many versions a key may hold at once. The whole key is one row, read on a cache miss and written on each change:
/// 4096 versions are some 700 kB, which stays well inside FoundationDB's 10 MB transactions, and last for five months of
/// hourly rotation. `trim` makes room.
pub const MAX_VERSIONS: usize = 4096;

/// Length of the key behind `hmac` and convergent nonces: the block that SHA-256 makes best use of is its output's size.
const HMAC_KEY_BYTES: usize = 32;

/// About how long the stored form of a version, and of the settings, is; the buffer for it must not move while it grows,
/// since a move would leave a copy of the keys behind.
const STORED_VERSION_BYTES: usize = 192;
const STORED_SETTINGS_BYTES: usize = 1024;

/// The number of a version: 1 for the first. 0 stands for "none" where the API shows it so.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct KeyVersion(pub u32);

impl KeyVersion {
    /// No version.
    pub const NONE: Self = Self(0);

    /// Reads decimal digits without sign or leading zeros, so that each number has one text.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        plain.then(|| text.parse().ok().map(Self)).flatten()
    }
}

impl fmt::Display for KeyVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What distinguishes one state of one key from every other: a random id drawn when the key was made, and a number that
/// grows with each change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Of this life of the key: a key deleted and made again under the same name has another.
    pub id: [u8; 16],
    /// How often it was changed.
    pub revision: u64,
}

impl Mark {
    /// The stored form.
    pub fn encode(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let (id, revision) = bytes.split_at_mut(16);
        id.copy_from_slice(&self.id);
        revision.copy_from_slice(&self.revision.to_be_bytes());
        bytes
    }
}

/// Why a version cannot be used for something new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VersionRefused {
    /// No version has a negative number.
    Negative,
    /// There is no such version yet.
    TooNew,
    /// It is below one of the minimums.
    TooOld,
}

/// One version's key material.
#[derive(Debug, Serialize, Deserialize)]
pub struct Version {
    /// When it was made.
    pub created: Timestamp,
    #[serde(with = "secret_bytes")]
    key: Secret<Vec<u8>>,
    #[serde(with = "secret_bytes")]
    hmac_key: Secret<Vec<u8>>,
}

impl Version {
    /// Fresh material for a key of `key_type`.
    pub fn generate(key_type: KeyType, random: &OsRandom, now: Timestamp) -> Self {
        let fresh = |length| {
            let mut bytes = vec![0; length];
            random.fill(&mut bytes);
            Secret::new(bytes)
        };
        Self {
            created: now,
            key: fresh(key_type.key_bytes()),
            hmac_key: fresh(HMAC_KEY_BYTES),
        }
    }

    /// The key itself.
    pub fn key(&self) -> &Secret<Vec<u8>> {
        &self.key
    }

    /// The key behind `hmac` and convergent nonces; drawn independently of the other.
    pub fn hmac_key(&self) -> &Secret<Vec<u8>> {
        &self.hmac_key
    }
}

/// What is decided about a key when it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// Its type, for life.
    pub key_type: KeyType,
    /// Whether each context has its own key, for life.
    pub derived: bool,
    /// Whether equal inputs give equal ciphertexts, for life.
    pub convergent: bool,
    /// Whether its material may leave.
    pub exportable: bool,
    /// Whether it may be backed up in plaintext.
    pub allow_plaintext_backup: bool,
    /// Seconds after which the latest version is too old to encrypt with; 0 for never.
    pub auto_rotate_period_s: u64,
}

impl Default for KeySettings {
    fn default() -> Self {
        Self {
            key_type: KeyType::DEFAULT,
            derived: false,
            convergent: false,
            exportable: false,
            allow_plaintext_backup: false,
            auto_rotate_period_s: 0,
        }
    }
}

/// A key.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeyPolicy {
    /// Its name.
    pub name: String,
    id: [u8; 16],
    revision: u64,
    /// See [`KeySettings`].
    pub key_type: KeyType,
    /// See [`KeySettings`].
    pub derived: bool,
    /// See [`KeySettings`].
    pub convergent: bool,
    /// See [`KeySettings`]. Can only be turned on.
    pub exportable: bool,
    /// See [`KeySettings`]. Can only be turned on.
    pub allow_plaintext_backup: bool,
    /// See [`KeySettings`].
    pub auto_rotate_period_s: u64,
    /// Whether it may be deleted.
    pub deletion_allowed: bool,
    /// The oldest version that opens anything; at least 1.
    pub min_decryption_version: KeyVersion,
    /// The oldest version that a caller may choose to encrypt with; none means any.
    pub min_encryption_version: KeyVersion,
    /// The oldest version that is kept, once `trim` was used.
    pub min_available_version: KeyVersion,
    first_version: KeyVersion,
    versions: Vec<Version>,
}

impl KeyPolicy {
    /// A new key with its first version.
    pub fn create(name: &str, settings: &KeySettings, random: &OsRandom, now: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            id: random.array(),
            revision: 1,
            key_type: settings.key_type,
            derived: settings.derived,
            convergent: settings.convergent,
            exportable: settings.exportable,
            allow_plaintext_backup: settings.allow_plaintext_backup,
            auto_rotate_period_s: settings.auto_rotate_period_s,
            deletion_allowed: false,
            min_decryption_version: KeyVersion(1),
            min_encryption_version: KeyVersion::NONE,
            min_available_version: KeyVersion::NONE,
            first_version: KeyVersion(1),
            versions: vec![Version::generate(settings.key_type, random, now)],
        }
    }

    /// Adds a version, the one to encrypt with from now on.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key holds [`MAX_VERSIONS`].
    pub fn rotate(&mut self, random: &OsRandom, now: Timestamp) -> Result<(), Error> {
        if self.is_full() {
            return Err(Error::bad_request(format!(
                "the key holds {MAX_VERSIONS} versions, the most that it can; trim old ones before rotating"
            )));
        }
        self.versions
            .push(Version::generate(self.key_type, random, now));
        self.touch();
        Ok(())
    }

    /// Removes the versions before `oldest`, for good. The latest always stays.
    pub(super) fn drop_before(&mut self, oldest: KeyVersion) {
        let oldest = oldest.min(self.latest());
        if let Some(count) = self.position(oldest) {
            self.versions.drain(..count);
            self.first_version = oldest;
        }
    }

    /// Counts a change.
    pub(super) fn touch(&mut self) {
        self.revision = self.revision.saturating_add(1);
    }

    /// Which state of which key this is.
    pub fn mark(&self) -> Mark {
        Mark {
            id: self.id,
            revision: self.revision,
        }
    }

    /// The newest version's number.
    pub fn latest(&self) -> KeyVersion {
        let more = u32::try_from(self.versions.len().saturating_sub(1)).unwrap_or(u32::MAX);
        KeyVersion(self.first_version.0.saturating_add(more))
    }

    /// All versions, oldest first.
    pub fn versions(&self) -> impl ExactSizeIterator<Item = &Version> {
        self.versions.iter()
    }

    /// The versions that reads show, oldest first: those that still decrypt.
    pub fn shown_versions(&self) -> impl Iterator<Item = (KeyVersion, &Version)> {
        (self.first_version.0..)
            .map(KeyVersion)
            .zip(&self.versions)
            .filter(|(number, _)| *number >= self.min_decryption_version)
    }

    /// Where `version` stands among [`KeyPolicy::versions`], if it is kept.
    pub fn position(&self, version: KeyVersion) -> Option<usize> {
        let position = version.0.checked_sub(self.first_version.0)?;
        let position = usize::try_from(position).ok()?;
        (position < self.versions.len()).then_some(position)
    }

    /// The version with this number, if it is kept.
    pub fn version(&self, version: KeyVersion) -> Option<&Version> {
        self.versions.get(self.position(version)?)
    }

    /// The version to decrypt with, if it is kept and not closed by policy.
    pub fn decryption_position(&self, version: KeyVersion) -> Option<usize> {
        if version < self.min_decryption_version {
            return None;
        }
        self.position(version)
    }

    /// The version to encrypt with, for a caller that asks for `requested` (0 for the latest).
    ///
    /// # Errors
    /// Why that one cannot be used.
    pub fn encryption_version(&self, requested: i64) -> Result<KeyVersion, VersionRefused> {
        let latest = self.latest();
        let oldest = self.min_encryption_version.max(self.min_decryption_version);
        match u32::try_from(requested).map(KeyVersion) {
            Ok(KeyVersion::NONE) => Ok(latest),
            Ok(version) if version > latest => Err(VersionRefused::TooNew),
            Ok(version) if version < oldest => Err(VersionRefused::TooOld),
            Ok(version) => Ok(version),
            Err(_) if requested < 0 => Err(VersionRefused::Negative),
            Err(_) => Err(VersionRefused::TooNew),
        }
    }

    /// When the latest version becomes too old to encrypt with; `None` for never, or when there is no room for another.
    pub fn rotation_due(&self) -> Option<Timestamp> {
        if self.auto_rotate_period_s == 0 || self.is_full() {
            return None;
        }
        let period = std::time::Duration::from_secs(self.auto_rotate_period_s);
        self.versions.last().map(|last| last.created.plus(period))
    }

    fn is_full(&self) -> bool {
        self.versions.len() >= MAX_VERSIONS || self.latest().0 == u32::MAX
    }

    /// The stored form, for the barrier.
    ///
    /// # Errors
    /// [`Error::Bug`] when it cannot be encoded.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let length = STORED_SETTINGS_BYTES
            + 2 * self.name.len()
            + STORED_VERSION_BYTES * self.versions.len();
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        serde_json::to_writer(&mut *bytes, self)
            .map_err(|_| Error::Bug("a transit key could not be encoded".into()))?;
        Ok(bytes)
    }

    /// The key whose stored form this is.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let damaged = || Error::Corrupt("a transit key".into());
        let policy: Self = serde_json::from_slice(bytes).map_err(|_| damaged())?;
        let sound = |version: &Version| {
            version.key.expose().len() == policy.key_type.key_bytes()
                && version.hmac_key.expose().len() == HMAC_KEY_BYTES
        };
        let numbered = policy.first_version > KeyVersion::NONE && !policy.versions.is_empty();
        if !numbered || !policy.versions.iter().all(sound) {
            return Err(damaged());
        }
        Ok(policy)
    }
}

#[cfg(test)]
mod tests;
