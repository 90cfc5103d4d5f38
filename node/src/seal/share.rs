//! [`Share`]: one piece of the unseal key, as people hold it.
//!
//! 33 bytes: an index from 1 to 255, then one byte of the share for each byte of the key. Printed as base64url without
//! padding, as the KMS guide shows; accepted in that form, in standard base64, padded or not, and in hex.

use std::fmt;

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::secret::Secret;

/// How long a share is: its index and 32 bytes.
pub const SHARE_BYTES: usize = 33;

/// The longest text that is looked at. Hex needs 66 characters; the rest is room for a useful answer to a wrong paste.
const MAX_TEXT_BYTES: usize = 1024;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// One share. Boxed, so that moving it leaves no copy behind.
pub struct Share(Box<Secret<[u8; SHARE_BYTES]>>);

/// A salted hash of a share, by which a share is recognised without opening anything. A share has 256 bits of entropy,
/// so the hash gives nothing away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShareHash(pub [u8; 32]);

impl Share {
    /// The share that a user gave.
    ///
    /// # Errors
    /// [`Error::Invalid`] with Vault's texts; they say nothing of what was given but its length.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::bad_request(
                "'key' must be specified in request body as JSON, or 'reset' set to true",
            ));
        }
        let readings = if text.len() <= MAX_TEXT_BYTES {
            readings(text)
        } else {
            Vec::new()
        };
        let share = readings
            .iter()
            .find_map(|bytes| <&[u8; SHARE_BYTES]>::try_from(bytes.as_slice()).ok());
        match (share, readings.first()) {
            (Some(bytes), _) => Self::from_bytes(bytes),
            (None, None) => Err(Error::invalid(
                "key",
                "'key' must be a valid hex or base64 string",
            )),
            (None, Some(bytes)) if bytes.len() < SHARE_BYTES => {
                Err(invalid("key is shorter than minimum 33 bytes"))
            }
            (None, Some(_)) => Err(invalid("key is longer than maximum 33 bytes")),
        }
    }

    /// The share with these bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the index is zero: that would be the key itself.
    pub fn from_bytes(bytes: &[u8; SHARE_BYTES]) -> Result<Self, Error> {
        let share = Self(Box::new(Secret::new(*bytes)));
        if share.index() == 0 {
            return Err(invalid("a share's first byte cannot be zero"));
        }
        Ok(share)
    }

    /// Which of the shares this is, from 1.
    pub fn index(&self) -> u8 {
        let [index, ..] = self.0.expose();
        *index
    }

    /// All 33 bytes.
    pub fn expose(&self) -> &[u8; SHARE_BYTES] {
        self.0.expose()
    }

    /// As the guide prints it.
    pub fn to_base64url(&self) -> Secret<String> {
        Secret::new(BASE64_URL_SAFE_NO_PAD.encode(self.expose()))
    }

    /// As Vault's `keys` prints it.
    pub fn to_hex(&self) -> Secret<String> {
        Secret::new(hex::encode(self.expose()))
    }

    /// The hash to recognise it by, under the salt of its generation.
    pub fn hash(&self, salt: &[u8; 32]) -> ShareHash {
        let digest = Sha256::new()
            .chain_update(b"conclave share 1")
            .chain_update(salt)
            .chain_update(self.expose())
            .finalize();
        ShareHash(digest.into())
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Share(..)")
    }
}

impl ShareHash {
    /// Whether both are the same, in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for ShareHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ShareHash(..)")
    }
}

/// Vault's form of refusing a share.
fn invalid(why: &str) -> Error {
    Error::invalid("key", format!("invalid key: {why}"))
}

/// Every way to read `text`. A text can be both hex and base64; then its length decides.
fn readings(text: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let mut readings = Vec::new();
    let mut from_hex = Zeroizing::new(vec![0; text.len() / 2]);
    if hex::decode_to_slice(text, &mut from_hex).is_ok() {
        readings.push(from_hex);
    }
    for engine in [URL_SAFE, STANDARD] {
        // Room for all of it, so that growing leaves no copy behind.
        let mut from_base64 = Zeroizing::new(Vec::with_capacity(text.len()));
        if engine.decode_vec(text, &mut from_base64).is_ok() {
            readings.push(from_base64);
        }
    }
    readings
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    const GUIDE: &str = "AjoHPHK1ixLe5Dr9gV4STroKv_Kk3oHIQX_x-vAmo1xN";

    #[test]
    fn the_guides_share_is_read_and_printed_the_same() {
        let share = Share::parse(GUIDE).unwrap();
        assert_eq!(share.index(), 2);
        assert_eq!(share.to_base64url().expose(), GUIDE);
    }

    proptest! {
        #[test]
        fn each_form_is_read(index in 1u8.., rest: [u8; 32]) {
            let mut bytes = [index; SHARE_BYTES];
            bytes[1..].copy_from_slice(&rest);
            let share = Share::from_bytes(&bytes).unwrap();
            for text in [
                share.to_hex().expose().clone(),
                share.to_hex().expose().to_uppercase(),
                share.to_base64url().expose().clone(),
                BASE64_STANDARD.encode(bytes),
                BASE64_URL_SAFE.encode(bytes),
            ] {
                let read = Share::parse(&text).unwrap();
                prop_assert_eq!(read.expose(), &bytes);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            if let Ok(share) = Share::parse(&text) {
                prop_assert_ne!(share.index(), 0);
            }
        }
    }

    #[test]
    fn a_base64_share_of_hex_digits_only_is_still_base64() {
        let share = Share::parse(&"ab".repeat(22)).unwrap();
        assert_eq!(share.to_base64url().expose(), &"ab".repeat(22));
    }

    #[test]
    fn refusals_have_vaults_texts() {
        let refusal = |text: &str| Share::parse(text).unwrap_err().to_string();
        let garbage = "'key' must be a valid hex or base64 string";
        assert_eq!(refusal("not a key!"), garbage);
        assert_eq!(refusal(&"é".repeat(600)), garbage);
        assert_eq!(refusal(&"0a".repeat(5000)), garbage);
        assert_eq!(
            refusal("abcd"),
            "invalid key: key is shorter than minimum 33 bytes"
        );
        assert_eq!(
            refusal(&"00".repeat(34)),
            "invalid key: key is longer than maximum 33 bytes"
        );
        assert_eq!(
            refusal(&"00".repeat(33)),
            "invalid key: a share's first byte cannot be zero"
        );
    }

    #[test]
    fn a_hash_depends_on_share_and_salt() {
        let one = Share::from_bytes(&[1; 33]).unwrap();
        let two = Share::from_bytes(&[2; 33]).unwrap();
        let hash = one.hash(&[0; 32]);
        assert!(hash.matches(&one.hash(&[0; 32])));
        assert!(!hash.matches(&two.hash(&[0; 32])));
        assert!(!hash.matches(&one.hash(&[1; 32])));
    }

    #[test]
    fn debug_prints_nothing() {
        let share = Share::from_bytes(&[7; 33]).unwrap();
        assert_eq!(format!("{share:?}"), "Share(..)");
    }
}
