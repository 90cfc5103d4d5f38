//! The ciphertext's text: `vault:v<version>:` and then, in base64url without padding, nonce, ciphertext and tag. Standard
//! base64, padded or not, is read too, since that is what other servers write.
//!
//! What is wrong with a text can be told without looking at any key, so these refusals may be specific; everything that
//! depends on a key may not (see `decrypt.rs`).

use std::fmt::Write;

use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::key::KeyVersion;

/// What every ciphertext begins with, whatever the server is called.
const PREFIX: &str = "vault:v";

const WRITTEN: GeneralPurpose = lenient(&URL_SAFE);
const ALSO_READ: GeneralPurpose = lenient(&STANDARD);

/// Padding is optional, but unused bits must be zero: one ciphertext has one text in each alphabet.
const fn lenient(alphabet: &Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config)
}

/// A ciphertext taken apart.
#[derive(PartialEq, Eq, Debug)]
pub struct Ciphertext {
    /// The key version that made it.
    pub version: KeyVersion,
    /// Nonce, ciphertext, tag.
    pub sealed: Vec<u8>,
}

impl Ciphertext {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// What is wrong with it, in Vault's words.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text
            .strip_prefix(PREFIX)
            .ok_or("invalid ciphertext: no prefix")?;
        let (version, payload) = rest
            .split_once(':')
            .ok_or("invalid ciphertext: wrong number of fields")?;
        let version = KeyVersion::parse(version)
            .ok_or("invalid ciphertext: version number could not be decoded")?;
        let alphabet = if payload.contains(['+', '/']) {
            ALSO_READ
        } else {
            WRITTEN
        };
        let sealed = alphabet
            .decode(payload)
            .map_err(|_| "invalid ciphertext: could not decode base64")?;
        Ok(Self { version, sealed })
    }
}

/// The text of what `version` made.
pub fn encode(version: KeyVersion, sealed: &[u8]) -> String {
    let number_digits = 10;
    let mut text =
        String::with_capacity(PREFIX.len() + number_digits + 1 + sealed.len().div_ceil(3) * 4);
    text.push_str(PREFIX);
    // Writing to a string cannot fail.
    let _ = write!(text, "{version}:");
    WRITTEN.encode_string(sealed, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_mistake_has_its_words() {
        for (text, mistake) in [
            ("", "no prefix"),
            ("vault", "no prefix"),
            ("Vault:v1:AAAA", "no prefix"),
            ("vault:v1", "wrong number of fields"),
            ("vault:v:AAAA", "version number could not be decoded"),
            ("vault:v0:AAAA", "version number could not be decoded"),
            ("vault:v01:AAAA", "version number could not be decoded"),
            ("vault:v+1:AAAA", "version number could not be decoded"),
            (
                "vault:v99999999999:AAAA",
                "version number could not be decoded",
            ),
            ("vault:v1:AA!A", "could not decode base64"),
            ("vault:v1:AAAA:AAAA", "could not decode base64"),
            ("vault:v1:-+AA", "could not decode base64"),
            ("vault:v1:AB", "could not decode base64"),
        ] {
            let refused = Ciphertext::parse(text).unwrap_err();
            assert_eq!(refused, format!("invalid ciphertext: {mistake}"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(version in 1u32.., sealed: Vec<u8>) {
            let expected = Ciphertext { version: KeyVersion(version), sealed };
            let text = encode(expected.version, &expected.sealed);
            prop_assert_eq!(&Ciphertext::parse(&text).unwrap(), &expected);
            let payload = base64::engine::general_purpose::STANDARD.encode(&expected.sealed);
            let standard = format!("vault:v{version}:{payload}");
            prop_assert_eq!(&Ciphertext::parse(&standard).unwrap(), &expected);
            let unpadded = standard.trim_end_matches('=');
            prop_assert_eq!(&Ciphertext::parse(unpadded).unwrap(), &expected);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text: String, tail: String) {
            let _ = Ciphertext::parse(&text);
            let _ = Ciphertext::parse(&format!("vault:v{tail}"));
        }
    }
}
