//! Biscuits: the root and user tokens of an add-on, and the operator's own short-lived token.
//!
//! A Biscuit is a chain of signed blocks. The first, the *authority block*, is signed by the operator key and says whose
//! token it is; each later block was added by a holder, who needs no key for it, and holds checks that every request must
//! pass. Nodes know the operator's public key only, so they verify tokens and cannot make them.
//!
//! Promises: who the bearer is comes from the authority block alone; a later block can only take away. What a holder may
//! write into a block is limited to [`dialect`], so that no token can keep a node busy.
//! Refuses: blocks signed by third parties, and keys other than Ed25519, whose signatures would not be unique and would
//! let a revoked token change its [`RevocationId`].
//!
//! `key` and `mint` make tokens, `attenuate` and `pattern` narrow them, `contents`, `dialect` and `verify` judge them on
//! a node (with `cache`), and `inspect` shows them. Source: the Biscuit specification 3.3,
//! <https://doc.biscuitsec.org/reference/specifications>.

mod attenuate;
mod cache;
mod contents;
mod dialect;
mod inspect;
mod key;
mod mint;
mod pattern;
mod verify;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use biscuit_auth::{Algorithm, KeyPair, PrivateKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::id::TenantId;
use crate::rng::OsRandom;
use crate::secret::Secret;

pub use self::attenuate::{Attenuation, attenuate};
pub use self::inspect::{InspectedBlock, Inspection, inspect};
pub use self::key::{OperatorKey, OperatorPublicKey};
pub use self::mint::{MAX_OPERATOR_TTL, mint_addon_token, mint_operator_token};
pub use self::verify::{Biscuits, RequestFacts, VerifiedBiscuit};

/// The longest token text that is looked at, in bytes. A root token has about 350; HTTP servers stop at 8 KiB of headers.
pub const MAX_TEXT_BYTES: usize = 8 * 1024;

/// The most blocks a token may have: each costs a signature verification (about 60 us).
pub const MAX_BLOCKS: usize = 16;

/// What one of the two tokens of an add-on is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Administers the add-on.
    Root,
    /// Does day-to-day work.
    User,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::User => "user",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "root" => Ok(Self::Root),
            "user" => Ok(Self::User),
            _ => Err(Error::invalid("role", "a role is root or user")),
        }
    }
}

/// Whose token it is, as the authority block says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identity {
    /// A token of one add-on.
    Addon {
        /// Which add-on.
        tenant: TenantId,
        /// Root or user.
        role: Role,
        /// The token is void once the add-on's epoch for this role is higher (`conclave addon tokens rotate`).
        token_epoch: u64,
    },
    /// The operator, for node-wide routes.
    Operator,
}

/// Names one block of one token, for revocation: the block's signature. A token is revoked when any of its blocks is, so
/// revoking a block revokes everything that was narrowed from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevocationId([u8; 64]);

impl RevocationId {
    /// The id with these 64 bytes.
    pub fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes.
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Display for RevocationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RevocationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RevocationId({self})")
    }
}

/// Whether `text` may be a Biscuit. Costs next to nothing and is never wrong about a Biscuit, but says yes to some other
/// texts too: only [`Biscuits::parse`] decides. Service tokens have 43 characters; a Biscuit has at least 190 and
/// begins with the tag of its authority block (`E`) or of its root key id (`C`).
pub fn may_be_biscuit(text: &str) -> bool {
    (190..=MAX_TEXT_BYTES).contains(&text.len())
        && matches!(text.as_bytes().first(), Some(b'E' | b'C'))
}

/// Biscuits are printed without padding, and read with or without, because other tools print it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of a token; `None` for what cannot be one.
fn decode_text(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    BASE64.decode(text).ok().map(Zeroizing::new)
}

/// The text of a token.
fn encode_text(bytes: &[u8]) -> Secret<String> {
    Secret::new(BASE64.encode(bytes))
}

/// The key that signs a token's next block. It travels inside the token, so whoever holds that can narrow it.
fn next_key_pair(random: &OsRandom) -> Result<KeyPair, Error> {
    let seed = Zeroizing::new(random.array::<32>());
    PrivateKey::from_bytes(seed.as_slice(), Algorithm::Ed25519)
        .map(|key| KeyPair::from(&key))
        .map_err(|_| Error::Bug("32 bytes are not an Ed25519 key".into()))
}
