//! Newtypes for everything that has an identity. Constructors parse; holding one means it is well formed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::rng::OsRandom;

/// One add-on. Shown as `addon_` and a UUID; stored as the UUID's 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(uuid::Uuid);

impl TenantId {
    const PREFIX: &'static str = "addon_";

    /// A fresh random id.
    pub fn generate(random: &OsRandom) -> Self {
        Self(random.uuid())
    }

    /// The 16 bytes that keys in the store begin with.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id whose stored form is `bytes`.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", Self::PREFIX, self.0.hyphenated())
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for TenantId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.strip_prefix(Self::PREFIX)
            .and_then(|id| uuid::Uuid::try_parse(id).ok())
            .map(Self)
            .ok_or_else(|| Error::invalid("id", "an add-on id looks like addon_<uuid>"))
    }
}

impl TryFrom<String> for TenantId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<TenantId> for String {
    fn from(id: TenantId) -> Self {
        id.to_string()
    }
}

/// One mount, for life: moving the mount to another path keeps it, so no row is rewritten.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct MountId(uuid::Uuid);

impl MountId {
    /// A fresh random id.
    pub fn generate(random: &OsRandom) -> Self {
        Self(random.uuid())
    }

    /// The 16 bytes used inside store keys.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id whose stored form is `bytes`.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for MountId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.hyphenated())
    }
}

/// How often an add-on was sealed. Only grows; whatever was read under an earlier epoch is void.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize,
)]
pub struct SealEpoch(pub u64);

impl SealEpoch {
    /// The epoch after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
