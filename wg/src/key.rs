//! Curve25519 keys in the form that `wg` prints: 32 bytes, base64 with padding.
//!
//! Owns the three kinds of key a tunnel needs. Secret ones are wiped when dropped, print nothing in `Debug` and are
//! compared in constant time. Makes no randomness: whoever makes a key brings the bytes from the operating system.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::tunnel::public_of;

/// Bytes in every key.
pub const KEY_BYTES: usize = 32;

/// A text that is no key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a WireGuard key is 32 bytes in base64: 44 characters, the last one '='")]
pub struct KeyError;

/// Who a peer is. Public, so it may be printed and stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    /// The key made of these bytes.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        decode(text).map(|bytes| Self(*bytes))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What proves to peers who this node is.
pub struct PrivateKey([u8; KEY_BYTES]);

impl PrivateKey {
    /// The key made of 32 random bytes, clamped as RFC 7748 section 5 says, so that it prints as `wg genkey` would.
    pub fn from_random(mut bytes: [u8; KEY_BYTES]) -> Self {
        let [first, .., last] = &mut bytes;
        *first &= 0b1111_1000;
        *last = (*last & 0b0111_1111) | 0b0100_0000;
        let key = Self(bytes);
        bytes.zeroize();
        key
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        public_of(self)
    }

    /// Its text, as `wg genkey` prints it. Wiped when dropped.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0))
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl FromStr for PrivateKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        decode(text).map(|bytes| Self::from_random(*bytes))
    }
}

/// A secret that two peers share beforehand; mixed into each handshake, so that a recorded session stays closed even to
/// somebody who can break Curve25519 one day.
#[derive(Clone)]
pub struct PresharedKey([u8; KEY_BYTES]);

impl PresharedKey {
    /// The key made of 32 random bytes.
    pub fn from_random(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Its text, as `wg genpsk` prints it. Wiped when dropped.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0))
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl FromStr for PresharedKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        decode(text).map(|bytes| Self(*bytes))
    }
}

/// What both kinds of secret key promise.
macro_rules! secret_key {
    ($name:ident) => {
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0).into()
            }
        }

        impl Eq for $name {}

        impl Drop for $name {
            fn drop(&mut self) {
                self.0.zeroize();
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

secret_key!(PrivateKey);
secret_key!(PresharedKey);

fn decode(text: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyError> {
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| KeyError)?);
    let array = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map_err(|_| KeyError)?;
    Ok(Zeroizing::new(array))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Alice's pair of RFC 7748 section 6.1, in the base64 that `wg pubkey` takes and prints.
    const ALICE_PRIVATE: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
    const ALICE_PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

    #[test]
    fn the_public_half_is_that_of_rfc_7748() {
        let private: PrivateKey = ALICE_PRIVATE.parse().expect("a key");
        assert_eq!(private.public().to_string(), ALICE_PUBLIC);
    }

    #[test]
    fn texts_that_are_no_key_are_refused() {
        for text in ["", "x", "AAAA", &"A".repeat(44), &"A".repeat(43), "\u{e9}"] {
            assert_eq!(text.parse::<PublicKey>(), Err(KeyError), "{text:?}");
            assert!(text.parse::<PrivateKey>().is_err(), "{text:?}");
            assert!(text.parse::<PresharedKey>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_new_private_key_is_clamped_and_reads_back() {
        let key = PrivateKey::from_random([0xff; KEY_BYTES]);
        assert_eq!(key.expose()[0] & 7, 0);
        assert_eq!(key.expose()[31] & 0xc0, 0x40);
        let again: PrivateKey = key.to_base64().parse().expect("a key");
        assert_eq!(again, key);
    }

    #[test]
    fn secret_keys_print_nothing() {
        let private: PrivateKey = ALICE_PRIVATE.parse().expect("a key");
        let shared = PresharedKey::from_random([7; KEY_BYTES]);
        assert_eq!(
            format!("{private:?}{shared:?}"),
            "PrivateKey(..)PresharedKey(..)"
        );
    }
}
