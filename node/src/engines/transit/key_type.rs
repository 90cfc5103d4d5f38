//! Key types: what each is called and what it can do. Operations ask for a capability, never for a type, so a new type
//! is a line in each table here and an arm in `cipher.rs`.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A type of key. The texts are both the API's and the stored format.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum KeyType {
    /// AES-128 in Galois/counter mode, 96-bit nonces (NIST SP 800-38D).
    #[serde(rename = "aes128-gcm96")]
    Aes128Gcm96,
    /// AES-256 in Galois/counter mode, 96-bit nonces (NIST SP 800-38D).
    #[serde(rename = "aes256-gcm96")]
    Aes256Gcm96,
    /// ChaCha20-Poly1305, 96-bit nonces (RFC 8439).
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20Poly1305,
    /// XChaCha20-Poly1305, 192-bit nonces (draft-irtf-cfrg-xchacha-03). The default: nonces so long can be drawn at
    /// random for ever, where 96-bit ones should end after 2^32 messages under one key version.
    #[serde(rename = "xchacha20-poly1305")]
    XChaCha20Poly1305,
}

/// What keys of a type can be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// Encrypting, rewrapping, making data keys.
    pub encryption: bool,
    /// Decrypting.
    pub decryption: bool,
    /// One key for each context.
    pub derivation: bool,
    /// Signing and verifying.
    pub signing: bool,
}

/// What an authenticated cipher can do.
const CIPHER: Capabilities = Capabilities {
    encryption: true,
    decryption: true,
    derivation: true,
    signing: false,
};

/// Types that a Vault user may ask for and that this engine does not have: refused by name, so that nobody looks for a
/// typing mistake.
const FOREIGN_TYPES: [&str; 13] = [
    "ed25519",
    "ecdsa-p256",
    "ecdsa-p384",
    "ecdsa-p521",
    "rsa-2048",
    "rsa-3072",
    "rsa-4096",
    "hmac",
    "managed_key",
    "aes128-cmac",
    "aes192-cmac",
    "aes256-cmac",
    "ml-dsa",
];

impl KeyType {
    /// Every type.
    pub const ALL: [Self; 4] = [
        Self::Aes128Gcm96,
        Self::Aes256Gcm96,
        Self::ChaCha20Poly1305,
        Self::XChaCha20Poly1305,
    ];

    /// What a key is when nobody says.
    pub const DEFAULT: Self = Self::XChaCha20Poly1305;

    /// The type called `name`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other name.
    pub fn parse(name: &str) -> Result<Self, Error> {
        if let Some(key_type) = Self::ALL.into_iter().find(|each| each.name() == name) {
            return Ok(key_type);
        }
        let message = if FOREIGN_TYPES.contains(&name) {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("key type {name} is not supported here; choose one of {known}")
        } else {
            format!("unknown key type {name}")
        };
        Err(Error::invalid("type", message))
    }

    /// What the API calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm96 => "aes128-gcm96",
            Self::Aes256Gcm96 => "aes256-gcm96",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::XChaCha20Poly1305 => "xchacha20-poly1305",
        }
    }

    /// What it can do.
    pub fn capabilities(self) -> Capabilities {
        match self {
            Self::Aes128Gcm96
            | Self::Aes256Gcm96
            | Self::ChaCha20Poly1305
            | Self::XChaCha20Poly1305 => CIPHER,
        }
    }

    /// How long a key is.
    pub fn key_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm96 => 16,
            Self::Aes256Gcm96 | Self::ChaCha20Poly1305 | Self::XChaCha20Poly1305 => 32,
        }
    }

    /// How long a nonce is.
    pub fn nonce_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm96 | Self::Aes256Gcm96 | Self::ChaCha20Poly1305 => 12,
            Self::XChaCha20Poly1305 => 24,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_is_stored() {
        for key_type in KeyType::ALL {
            let stored = serde_json::to_value(key_type).unwrap();
            assert_eq!(stored, key_type.name());
            assert_eq!(KeyType::parse(key_type.name()).unwrap(), key_type);
        }
    }

    #[test]
    fn other_names_are_refused_by_name() {
        let unknown = KeyType::parse("aes").unwrap_err().to_string();
        assert_eq!(unknown, "unknown key type aes");
        for foreign in FOREIGN_TYPES {
            let refused = KeyType::parse(foreign).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("key type {foreign} is not supported here")));
        }
        assert!(KeyType::parse("").is_err());
    }
}
