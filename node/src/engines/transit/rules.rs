//! What may be changed about a key, and in which words a change is refused. Pure, as `key.rs`.
//!
//! A change that is refused leaves the key half changed; callers drop it, they work on a copy read for this change.

use super::key::{KeyPolicy, KeySettings, KeyVersion};
use crate::duration::GoDuration;
use crate::error::Error;

/// The shortest time between automatic rotations, in seconds: Vault's.
const MIN_AUTO_ROTATE_PERIOD_S: u64 = 3600;

/// A request to `keys/:name/config`; what is `None` stays.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// The oldest version that opens anything.
    pub min_decryption_version: Option<i64>,
    /// The oldest version that a caller may choose to encrypt with.
    pub min_encryption_version: Option<i64>,
    /// Whether the key may be deleted.
    pub deletion_allowed: Option<bool>,
    /// Whether its material may leave.
    pub exportable: Option<bool>,
    /// Whether it may be backed up in plaintext.
    pub allow_plaintext_backup: Option<bool>,
    /// Seconds between automatic rotations.
    pub auto_rotate_period_s: Option<u64>,
}

/// The period that a user wrote, in seconds.
///
/// # Errors
/// [`Error::Invalid`] unless it is 0 or at least an hour.
pub fn auto_rotate_period_s(period: GoDuration) -> Result<u64, Error> {
    match u64::try_from(period.seconds()) {
        Ok(0) if period.0 == 0 => Ok(0),
        Ok(seconds) if seconds >= MIN_AUTO_ROTATE_PERIOD_S => Ok(seconds),
        _ => Err(Error::invalid(
            "auto_rotate_period",
            "auto rotate period must be 0 to disable or at least an hour",
        )),
    }
}

impl KeySettings {
    /// Whether the settings go together.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a convergent key that is not derived: one nonce key for all contexts would tell which
    /// of them hold the same plaintext.
    pub fn check(&self) -> Result<(), Error> {
        if self.convergent && !self.derived {
            return Err(Error::invalid(
                "convergent_encryption",
                "convergent encryption requires derivation to be enabled",
            ));
        }
        if self.derived && !self.key_type.capabilities().derivation {
            let name = self.key_type.name();
            return Err(Error::invalid(
                "derived",
                format!("key derivation is not supported for key type {name}"),
            ));
        }
        Ok(())
    }
}

impl KeyPolicy {
    /// Applies a change of settings. Returns what the caller should be warned of.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a rule is broken.
    pub fn configure(&mut self, change: &ConfigChange) -> Result<Vec<String>, Error> {
        let mut warnings = Vec::new();
        if let Some(requested) = change.min_decryption_version {
            self.set_min_decryption_version(requested, &mut warnings)?;
        }
        if let Some(requested) = change.min_encryption_version {
            self.min_encryption_version =
                self.version_up_to_latest("min_encryption_version", "encryption", requested)?;
        }
        self.check_minimums()?;
        if let Some(allowed) = change.deletion_allowed {
            self.deletion_allowed = allowed;
        }
        let mut only_on = |now: &mut bool, wanted: Option<bool>, field: &str| {
            if *now && wanted == Some(false) {
                warnings.push(format!("{field} cannot be turned off again; it stays on"));
            }
            *now |= wanted == Some(true);
        };
        only_on(&mut self.exportable, change.exportable, "exportable");
        only_on(
            &mut self.allow_plaintext_backup,
            change.allow_plaintext_backup,
            "allow_plaintext_backup",
        );
        if let Some(seconds) = change.auto_rotate_period_s {
            self.auto_rotate_period_s = seconds;
        }
        self.touch();
        Ok(warnings)
    }

    fn set_min_decryption_version(
        &mut self,
        requested: i64,
        warnings: &mut Vec<String>,
    ) -> Result<(), Error> {
        let field = "min_decryption_version";
        let mut version = self.version_up_to_latest(field, "decryption", requested)?;
        if version == KeyVersion::NONE {
            version = KeyVersion(1);
            warnings
                .push("versions are numbered from 1; min_decryption_version is set to 1".into());
        }
        if version < self.min_available_version {
            return Err(Error::invalid(
                field,
                format!(
                    "cannot set min decryption version of {version}, minimum available version is {}",
                    self.min_available_version
                ),
            ));
        }
        self.min_decryption_version = version;
        Ok(())
    }

    fn version_up_to_latest(
        &self,
        field: &'static str,
        use_for: &str,
        requested: i64,
    ) -> Result<KeyVersion, Error> {
        let latest = self.latest();
        if requested < 0 {
            return Err(Error::invalid(
                field,
                format!("min {use_for} version cannot be negative"),
            ));
        }
        match u32::try_from(requested).map(KeyVersion) {
            Ok(version) if version <= latest => Ok(version),
            _ => Err(Error::invalid(
                field,
                format!(
                    "cannot set min {use_for} version of {requested}, latest key version is {latest}"
                ),
            )),
        }
    }

    fn check_minimums(&self) -> Result<(), Error> {
        let (encryption, decryption) = (self.min_encryption_version, self.min_decryption_version);
        if encryption > KeyVersion::NONE && encryption < decryption {
            return Err(Error::invalid(
                "min_encryption_version",
                format!(
                    "cannot set min encryption/decryption values; min encryption version of {encryption} must be greater than or equal to min decryption version of {decryption}"
                ),
            ));
        }
        Ok(())
    }

    /// Removes the versions before `requested`, for good.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless both minimums were raised that far before, or when it would go back.
    pub fn trim(&mut self, requested: i64) -> Result<(), Error> {
        let refuse = |message: &str| Err(Error::invalid("min_available_version", message));
        let beyond = |version: KeyVersion| requested > i64::from(version.0);
        if requested < i64::from(self.min_available_version.0) {
            return refuse("minimum available version cannot be decremented");
        }
        if self.min_encryption_version == KeyVersion::NONE {
            return refuse(
                "minimum available version cannot be set when minimum encryption version is not set",
            );
        }
        if beyond(self.latest()) {
            return refuse(
                "minimum available version cannot be higher than the latest key version",
            );
        }
        if beyond(self.min_encryption_version) {
            return refuse(
                "minimum available version cannot be higher than minimum encryption version",
            );
        }
        if beyond(self.min_decryption_version) {
            return refuse(
                "minimum available version cannot be higher than minimum decryption version",
            );
        }
        let oldest = u32::try_from(requested).map_or(self.min_available_version, KeyVersion);
        self.min_available_version = oldest;
        self.drop_before(oldest);
        self.touch();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
