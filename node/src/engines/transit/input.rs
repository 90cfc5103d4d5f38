//! Parameters as transit's callers send them: base64 in the way of Go's decoder, and the few that all operations share.

use std::borrow::Cow;

use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine};

use crate::fields::Fields;

/// What is wrong with a parameter.
pub type Text = Cow<'static, str>;

/// Padding is required, unused bits are not looked at: as Go's `StdEncoding`.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// A text, borrowed from the request where it stands there as it is (base64 nearly always does).
///
/// # Errors
/// When it is a list or an object.
pub fn text<'f>(fields: &'f Fields, name: &'static str) -> Result<Option<Cow<'f, str>>, Text> {
    if let Some(Cow::Borrowed(json)) = fields.raw(name)
        && let Ok(text) = serde_json::from_str::<&str>(json)
    {
        return Ok(Some(Cow::Borrowed(text)));
    }
    let text = fields.string(name).map_err(|error| error.to_string())?;
    Ok(text.map(Cow::Owned))
}

/// Appends the bytes that `text` encodes. Line ends are skipped, as Go does: the `base64` command writes them.
///
/// # Errors
/// Where it stops being base64, in Go's words.
pub fn decode_base64(text: &str, into: &mut Vec<u8>) -> Result<(), Text> {
    let joined: Cow<'_, str> = if text.contains(['\n', '\r']) {
        text.replace(['\n', '\r'], "").into()
    } else {
        text.into()
    };
    BASE64.decode_vec(joined.as_bytes(), into).map_err(|error| {
        let position = match error {
            DecodeError::InvalidByte(position, _) | DecodeError::InvalidLastSymbol(position, _) => {
                position
            }
            DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => {
                joined.len() - joined.len() % 4
            }
        };
        format!("illegal base64 data at input byte {position}").into()
    })
}

/// The bytes of a parameter that holds base64; empty when it was not sent.
///
/// # Errors
/// When it is no base64, naming the parameter.
pub fn bytes(fields: &Fields, name: &'static str) -> Result<Vec<u8>, Text> {
    let mut bytes = Vec::new();
    if let Some(text) = text(fields, name)? {
        decode_base64(&text, &mut bytes)
            .map_err(|why| format!("failed to base64-decode {name}: {why}"))?;
    }
    Ok(bytes)
}

/// The parameters that all operations with a key share.
#[derive(Debug, Default)]
pub struct Parameters {
    /// Which key, of those derived from this one.
    pub context: Vec<u8>,
    /// What is authenticated beside the text.
    pub associated_data: Vec<u8>,
    /// The version to use; 0 for the latest.
    pub key_version: i64,
}

impl Parameters {
    /// Their names.
    pub const NAMES: [&'static str; 3] = ["context", "associated_data", "key_version"];

    /// Reads them.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn read(fields: &Fields) -> Result<Self, Text> {
        let key_version = fields
            .integer("key_version")
            .map_err(|error| error.to_string())?;
        Ok(Self {
            context: bytes(fields, "context")?,
            associated_data: bytes(fields, "associated_data")?,
            key_version: key_version.unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose;
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &str) -> Result<Vec<u8>, Text> {
        let mut bytes = Vec::new();
        decode_base64(text, &mut bytes).map(|()| bytes)
    }

    #[test]
    fn mistakes_are_told_as_go_tells_them() {
        for (text, position) in [("!!!!", 0), ("abc", 0), ("hello", 4), ("YWJj YWJj", 4)] {
            let expected = format!("illegal base64 data at input byte {position}");
            assert_eq!(decoded(text).unwrap_err(), expected, "{text}");
        }
        assert!(decoded("-_-_").is_err());
    }

    #[test]
    fn line_ends_are_skipped() {
        assert_eq!(decoded("YW\r\nJj\n").unwrap(), b"abc");
        assert_eq!(decoded("").unwrap(), b"");
    }

    #[test]
    fn texts_are_borrowed_unless_they_are_escaped() {
        let fields =
            Fields::from_json(br#"{"a":"plain","b":"a\/b","c":5,"d":{},"e":null}"#).unwrap();
        assert!(matches!(
            text(&fields, "a"),
            Ok(Some(Cow::Borrowed("plain")))
        ));
        assert_eq!(text(&fields, "b").unwrap().unwrap(), "a/b");
        assert_eq!(text(&fields, "c").unwrap().unwrap(), "5");
        assert!(text(&fields, "d").is_err());
        assert_eq!(text(&fields, "e").unwrap(), None);
        assert_eq!(text(&fields, "f").unwrap(), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes: Vec<u8>) {
            let text = general_purpose::STANDARD.encode(&bytes);
            prop_assert_eq!(decoded(&text).unwrap(), bytes);
        }

        #[test]
        fn no_text_makes_the_decoder_panic(text: String) {
            let _ = decoded(&text);
        }
    }
}
