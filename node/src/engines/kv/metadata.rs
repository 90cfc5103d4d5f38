//! The model of one versioned secret, without IO: which versions there are, which one an unversioned request means, and
//! what a write, delete, undelete or destroy does to them. Version numbers only ever grow, and the versions kept are
//! always consecutive.
//!
//! A row of this is read with every read of a secret, so it stays small: about thirty bytes per version.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::config::MountSettings;
use crate::clock::Timestamp;
use crate::duration::GoDuration;
use crate::error::Error;

/// How many versions are kept where neither the secret nor the mount says; Vault's default.
const DEFAULT_MAX_VERSIONS: u64 = 10;

/// The most versions that can be kept of one secret. With this many its version list has about 64 KiB, one row of the
/// store, and lowering `max_versions` deletes at most this many rows in one transaction.
pub(super) const MAX_MAX_VERSIONS: u64 = 1000;

/// What an unversioned request means once versions were deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReadDeleted {
    /// The latest version that is neither deleted nor destroyed.
    Live,
    /// The highest version, whatever became of it, as Vault does.
    Strict,
}

/// What became of a version. Kept apart from the deletion time, so that a delete holds on every node at once, however
/// far their clocks are apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
enum Fate {
    /// Nothing, unless its deletion time has come.
    #[default]
    #[serde(rename = "k")]
    Kept,
    /// Hidden until it is undeleted.
    #[serde(rename = "d")]
    Deleted,
    /// Its data is gone.
    #[serde(rename = "x")]
    Destroyed,
}

impl Fate {
    fn is_kept(&self) -> bool {
        *self == Self::Kept
    }
}

/// One version of a secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Version {
    #[serde(rename = "c")]
    created: Timestamp,
    /// When it was deleted, or will be.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    deletion: Option<Timestamp>,
    #[serde(rename = "f", default, skip_serializing_if = "Fate::is_kept")]
    fate: Fate,
}

impl Version {
    /// Whether its data can be read.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.fate == Fate::Kept && self.deletion.is_none_or(|deletion| deletion > now)
    }

    /// Its `created_time`, as printed.
    pub(super) fn created_time(&self) -> String {
        self.created.to_string()
    }

    /// Its `deletion_time`, as printed: empty when there is none.
    pub(super) fn deletion_time(&self) -> String {
        self.deletion
            .map(|deletion| deletion.to_string())
            .unwrap_or_default()
    }

    /// Whether its data is gone for good.
    pub(super) fn is_destroyed(&self) -> bool {
        self.fate == Fate::Destroyed
    }
}

/// What the owner of a secret has set for it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Settings {
    /// How many versions to keep; zero leaves it to the mount.
    pub(super) max_versions: u64,
    /// Whether each write needs `cas`. The mount can demand it too.
    pub(super) cas_required: bool,
    /// Whether each change of these settings needs `metadata_cas`. The mount can demand it too.
    pub(super) metadata_cas_required: bool,
    /// How long a version lives; zero leaves it to the mount.
    pub(super) delete_version_after: GoDuration,
    /// Notes; `None` until some are set.
    pub(super) custom_metadata: Option<BTreeMap<String, String>>,
}

/// A secret without its data.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Metadata {
    created: Timestamp,
    updated: Timestamp,
    /// The number of the last of `versions`, or zero when nothing was ever written.
    highest: u64,
    versions: VecDeque<Version>,
    settings: Settings,
    /// How often the settings were set.
    settings_version: u64,
}

/// What a write did.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Added {
    /// The new version.
    pub(super) number: u64,
    /// The versions that had to go for it.
    pub(super) pruned: Range<u64>,
}

impl Metadata {
    /// A secret without versions.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            created: now,
            updated: now,
            highest: 0,
            versions: VecDeque::new(),
            settings: Settings::default(),
            settings_version: 0,
        }
    }

    /// When it was first written.
    pub(super) fn created(&self) -> Timestamp {
        self.created
    }

    /// When it was last written to, or its settings changed.
    pub(super) fn updated(&self) -> Timestamp {
        self.updated
    }

    /// The number of the newest version, deleted or not; zero when there never was one.
    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// The first version still kept, once older ones were pruned; zero before, as Vault shows it.
    pub(super) fn oldest(&self) -> u64 {
        match self.first() {
            1 => 0,
            first => first,
        }
    }

    /// What its owner has set.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How often the settings were set.
    pub(super) fn settings_version(&self) -> u64 {
        self.settings_version
    }

    /// The versions kept, oldest first, with their numbers.
    pub(super) fn versions(&self) -> impl ExactSizeIterator<Item = (u64, &Version)> {
        let first = self.first();
        self.versions
            .iter()
            .enumerate()
            .map(move |(index, version)| (first.saturating_add(index as u64), version))
    }

    /// The version of that number, if it is kept.
    pub(super) fn version(&self, number: u64) -> Option<&Version> {
        self.versions.get(self.index(number)?)
    }

    /// The version that an unversioned request means.
    pub(super) fn addressed(&self, mode: ReadDeleted, now: Timestamp) -> Option<u64> {
        match mode {
            ReadDeleted::Strict => Some(self.highest).filter(|highest| *highest > 0),
            ReadDeleted::Live => self
                .versions()
                .filter(|(_, version)| version.is_live(now))
                .map(|(number, _)| number)
                .last(),
        }
    }

    /// Refuses a write whose `cas` is neither the version that an unversioned read serves now nor the highest, or that
    /// lacks one where it is required. Zero stands for a secret that was never written: one whose versions were all
    /// deleted is not overwritten by it, because they may be undeleted.
    ///
    /// # Errors
    /// [`Error::Invalid`] in Vault's words.
    pub(super) fn check_and_set(
        &self,
        cas: Option<i64>,
        mount: &MountSettings,
        mode: ReadDeleted,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(cas) = cas else {
            if mount.cas_required || self.settings.cas_required {
                return Err(Error::bad_request(
                    "check-and-set parameter required for this call",
                ));
            }
            return Ok(());
        };
        let matches = u64::try_from(cas)
            .is_ok_and(|cas| cas == self.highest || self.addressed(mode, now) == Some(cas));
        if matches {
            Ok(())
        } else {
            Err(Error::bad_request(
                "check-and-set parameter did not match the current version",
            ))
        }
    }

    /// Adds a version and drops the oldest beyond what is to be kept.
    pub(super) fn add_version(&mut self, mount: &MountSettings, now: Timestamp) -> Added {
        let oldest = self.first();
        self.versions.push_back(Version {
            created: now,
            deletion: self.expiry(mount, now),
            fate: Fate::Kept,
        });
        self.highest = self.highest.saturating_add(1);
        self.updated = now;
        let keep = usize::try_from(self.keep(mount)).unwrap_or(usize::MAX);
        let surplus = self.versions.len().saturating_sub(keep);
        self.versions.drain(..surplus);
        Added {
            number: self.highest,
            pruned: oldest..self.first(),
        }
    }

    /// Hides versions. Those that are not kept, or no longer, are passed over. Says whether anything changed.
    pub(super) fn delete(&mut self, numbers: &[u64], now: Timestamp) -> bool {
        self.change(numbers, |version| {
            let hides = version.fate == Fate::Kept;
            if hides {
                version.fate = Fate::Deleted;
                version.deletion = Some(version.deletion.map_or(now, |expiry| expiry.min(now)));
            }
            hides
        })
    }

    /// Brings versions back, unless they are destroyed, for good: they do not expire any more.
    pub(super) fn undelete(&mut self, numbers: &[u64]) -> bool {
        self.change(numbers, |version| {
            let returns = version.fate != Fate::Destroyed && version.deletion.is_some();
            if returns {
                version.fate = Fate::Kept;
                version.deletion = None;
            }
            returns
        })
    }

    /// Marks versions as destroyed; the caller deletes their data.
    pub(super) fn destroy(&mut self, numbers: &[u64]) -> bool {
        self.change(numbers, |version| {
            let falls = version.fate != Fate::Destroyed;
            version.fate = Fate::Destroyed;
            falls
        })
    }

    /// Takes new settings.
    pub(super) fn set_settings(&mut self, settings: Settings, now: Timestamp) {
        self.settings = settings;
        self.settings_version = self.settings_version.saturating_add(1);
        self.updated = now;
    }

    /// Applies `change` to those of the versions that are kept, and says whether it did something to any.
    fn change(&mut self, numbers: &[u64], mut change: impl FnMut(&mut Version) -> bool) -> bool {
        let mut changed = false;
        for number in numbers {
            let index = self.index(*number);
            if let Some(version) = index.and_then(|index| self.versions.get_mut(index)) {
                changed |= change(version);
            }
        }
        changed
    }

    /// The number of the first version kept, or of the first to come.
    fn first(&self) -> u64 {
        (self.highest + 1).saturating_sub(self.versions.len() as u64)
    }

    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first())?).ok()
    }

    /// How many versions to keep: the secret's own number, else the mount's, else the default.
    fn keep(&self, mount: &MountSettings) -> u64 {
        [
            self.settings.max_versions,
            mount.max_versions,
            DEFAULT_MAX_VERSIONS,
        ]
        .into_iter()
        .find(|number| *number > 0)
        .unwrap_or(DEFAULT_MAX_VERSIONS)
        .min(MAX_MAX_VERSIONS)
    }

    /// When a version written now expires: after the shorter of what the secret and the mount say. A negative duration
    /// of the mount turns expiry off.
    fn expiry(&self, mount: &MountSettings, now: Timestamp) -> Option<Timestamp> {
        let none = GoDuration::default();
        if mount.delete_version_after < none {
            return None;
        }
        [
            self.settings.delete_version_after,
            mount.delete_version_after,
        ]
        .into_iter()
        .filter(|duration| *duration > none)
        .min()
        .and_then(GoDuration::unsigned)
        .map(|duration| now.plus(duration))
    }
}

#[cfg(test)]
mod tests;
