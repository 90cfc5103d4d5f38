//! `hash` and `hash/:algorithm`: hashes without a key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use zeroize::Zeroizing;

use super::digest::HashAlgorithm;
use super::input::{decode_base64, text};
use crate::engines::{Call, Reply};
use crate::error::Error;
use crate::fields::Fields;

#[derive(Serialize)]
struct Sum {
    sum: String,
}

/// Answers POST `hash` and `hash/:algorithm`.
pub(super) fn hash(call: &Call<'_>, algorithm: Option<&str>) -> Result<Reply, Error> {
    let algorithm = HashAlgorithm::of(call, algorithm)?;
    let wrong = |why| Error::invalid("input", format!("unable to decode input as base64: {why}"));
    let encoded = text(call.fields, "input")
        .map_err(|why| Error::invalid("input", why))?
        .ok_or_else(|| Error::invalid("input", "missing input to hash"))?;
    let mut input = Zeroizing::new(Vec::new());
    decode_base64(&encoded, &mut input).map_err(wrong)?;
    let sum = encode(call.fields, "hex", &algorithm.digest(&input))?;
    let warning = call.fields.unrecognized(&["input", "algorithm", "format"]);
    Ok(Reply::data(&Sum { sum })?.with_warning(warning))
}

/// `bytes` in the form that the parameter `format` asks for.
///
/// # Errors
/// [`Error::Invalid`] for a form that is not known.
pub(super) fn encode(fields: &Fields, default: &str, bytes: &[u8]) -> Result<String, Error> {
    let format = fields.string("format")?.filter(|format| !format.is_empty());
    match format.as_deref().unwrap_or(default) {
        "hex" => Ok(hex::encode(bytes)),
        "base64" => Ok(STANDARD.encode(bytes)),
        other => Err(Error::invalid(
            "format",
            format!("unsupported encoding format {other:?}; must be \"hex\" or \"base64\""),
        )),
    }
}
