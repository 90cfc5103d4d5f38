//! The shapes of replies: one version's facts, and everything that is known of a secret.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::metadata::{Metadata, Version};
use crate::engines::{Outcome, Reply};
use crate::error::Error;

/// What a write replies, and what stands beside the data in a read. It also serves as the remembered result of a write.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct VersionFacts {
    created_time: String,
    custom_metadata: Option<BTreeMap<String, String>>,
    deletion_time: String,
    destroyed: bool,
    version: u64,
}

impl VersionFacts {
    /// The facts of the version `number`; `None` when it is not kept.
    pub(super) fn of(metadata: &Metadata, number: u64) -> Option<Self> {
        metadata.version(number).map(|version| Self {
            created_time: version.created_time(),
            custom_metadata: metadata.settings().custom_metadata.clone(),
            deletion_time: version.deletion_time(),
            destroyed: version.is_destroyed(),
            version: number,
        })
    }
}

/// The data of a version beside its facts.
///
/// # Errors
/// [`Error::Corrupt`] when the stored text is no JSON.
pub(super) fn live(facts: &VersionFacts, text: &[u8]) -> Result<Reply, Error> {
    #[derive(Serialize)]
    struct Body<'a> {
        data: &'a RawValue,
        metadata: &'a VersionFacts,
    }
    let data: &RawValue = serde_json::from_slice(text)
        .map_err(|_| Error::Corrupt("a version of a secret is no JSON".into()))?;
    Reply::data(&Body {
        data,
        metadata: facts,
    })
}

/// A version without its data, which is deleted or destroyed. `member` is where the data would stand.
///
/// # Errors
/// [`Error::Bug`] when it cannot be encoded.
pub(super) fn gone(facts: &VersionFacts, member: &'static str) -> Result<Reply, Error> {
    struct Body<'a>(&'static str, &'a VersionFacts);
    impl Serialize for Body<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(2))?;
            map.serialize_entry(self.0, &())?;
            map.serialize_entry("metadata", self.1)?;
            map.end()
        }
    }
    Ok(Reply::data(&Body(member, facts))?.with_outcome(Outcome::Missing))
}

/// Everything that is known of a secret.
#[derive(Serialize)]
pub(super) struct SecretFacts<'m> {
    cas_required: bool,
    created_time: String,
    current_metadata_version: u64,
    current_version: u64,
    custom_metadata: Option<&'m BTreeMap<String, String>>,
    delete_version_after: String,
    max_versions: u64,
    metadata_cas_required: bool,
    oldest_version: u64,
    updated_time: String,
    versions: VersionMap<'m>,
}

impl<'m> SecretFacts<'m> {
    pub(super) fn of(metadata: &'m Metadata) -> Self {
        let settings = metadata.settings();
        Self {
            cas_required: settings.cas_required,
            created_time: metadata.created().to_string(),
            current_metadata_version: metadata.settings_version(),
            current_version: metadata.highest(),
            custom_metadata: settings.custom_metadata.as_ref(),
            delete_version_after: settings.delete_version_after.to_string(),
            max_versions: settings.max_versions,
            metadata_cas_required: settings.metadata_cas_required,
            oldest_version: metadata.oldest(),
            updated_time: metadata.updated().to_string(),
            versions: VersionMap(metadata),
        }
    }
}

/// The versions by their decimal numbers, in the order of the numbers.
struct VersionMap<'m>(&'m Metadata);

impl Serialize for VersionMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Facts {
            created_time: String,
            deletion_time: String,
            destroyed: bool,
        }
        impl From<&Version> for Facts {
            fn from(version: &Version) -> Self {
                Self {
                    created_time: version.created_time(),
                    deletion_time: version.deletion_time(),
                    destroyed: version.is_destroyed(),
                }
            }
        }
        let versions = self.0.versions();
        let mut map = serializer.serialize_map(Some(versions.len()))?;
        for (number, version) in versions {
            map.serialize_entry(&number, &Facts::from(version))?;
        }
        map.end()
    }
}
