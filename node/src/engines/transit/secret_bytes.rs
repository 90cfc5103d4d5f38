//! Key material inside stored JSON: base64, decoded straight into memory that is wiped, with no text in between.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Visitor;
use serde::ser::Error as _;
use serde::{Deserializer, Serializer};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The longest material: an RSA-4096 private key in PKCS#8 is 2.4 kB, so 8 kB hold whatever a key type needs.
const MAX_BYTES: usize = 8 * 1024;

/// Writes the bytes as base64.
///
/// # Errors
/// What the format says.
pub fn serialize<S: Serializer>(bytes: &Secret<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    let bytes = bytes.expose();
    let mut text = Zeroizing::new(vec![0; bytes.len().div_ceil(3) * 4]);
    let length = STANDARD
        .encode_slice(bytes, &mut text)
        .map_err(S::Error::custom)?;
    let text = text.get(..length).unwrap_or_default();
    serializer.serialize_str(std::str::from_utf8(text).map_err(S::Error::custom)?)
}

/// Reads base64. The errors say nothing of the content.
///
/// # Errors
/// When it is no base64.
pub fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Secret<Vec<u8>>, D::Error> {
    struct Base64;

    impl Visitor<'_> for Base64 {
        type Value = Secret<Vec<u8>>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("base64")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            if text.len() > MAX_BYTES.div_ceil(3) * 4 {
                return Err(E::custom("material too long"));
            }
            let mut bytes = Secret::new(vec![0; text.len().div_ceil(4) * 3]);
            let length = STANDARD
                .decode_slice(text, bytes.expose_mut())
                .map_err(|_| E::custom("no base64"))?;
            bytes.expose_mut().truncate(length);
            Ok(bytes)
        }
    }

    deserializer.deserialize_str(Base64)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Row(#[serde(with = "super")] Secret<Vec<u8>>);

    #[test]
    fn material_survives_the_round_trip() {
        for length in 0..70u8 {
            let row = Row(Secret::new((0..length).collect()));
            let stored = serde_json::to_vec(&row).unwrap();
            let read: Row = serde_json::from_slice(&stored).unwrap();
            assert_eq!(read.0.expose(), row.0.expose());
        }
    }

    #[test]
    fn what_is_no_material_is_refused_without_being_shown() {
        for wrong in [r#""hunter2!""#, "5", r#"{"a":"hunter2!"}"#] {
            let refused = serde_json::from_str::<Row>(wrong)
                .err()
                .unwrap()
                .to_string();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
        let long = format!("\"{}\"", "A".repeat(20_000));
        assert!(serde_json::from_str::<Row>(&long).is_err());
    }
}
