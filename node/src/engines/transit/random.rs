//! `random`, with the number of bytes and their source in the path or not: bytes from the operating system.

use serde::Serialize;
use zeroize::Zeroizing;

use super::hash::encode;
use crate::engines::{Call, Reply};
use crate::error::Error;
use crate::rng::OsRandom;

/// How many bytes there are when nobody says.
const DEFAULT_BYTES: i64 = 32;

/// The most that may be asked for: Vault's.
const MAX_BYTES: i64 = 128 * 1024;

/// The only source there is. Vault's others need a seal that gives randomness.
const SOURCE: &str = "platform";

#[derive(Serialize)]
struct RandomBytes {
    random_bytes: String,
}

/// Answers POST `random`. Each part of the path is a number of bytes or a source.
pub(super) fn random(
    call: &Call<'_>,
    first: Option<&str>,
    second: Option<&str>,
) -> Result<Reply, Error> {
    let mut count = call.fields.integer("bytes")?.unwrap_or(DEFAULT_BYTES);
    let mut source = call.fields.string("source")?;
    for part in [first, second].into_iter().flatten() {
        match part.parse() {
            Ok(number) => count = number,
            Err(_) => source = Some(part.to_owned()),
        }
    }
    if let Some(source) = source.filter(|source| !source.is_empty() && source != SOURCE) {
        let message = format!("unsupported entropy source {source:?}; must be {SOURCE:?}");
        return Err(Error::invalid("source", message));
    }
    let refuse = |message: String| Err(Error::invalid("bytes", message));
    if count < 1 {
        return refuse("'bytes' cannot be less than 1".into());
    }
    if count > MAX_BYTES {
        return refuse(format!("'bytes' should be less than {MAX_BYTES}"));
    }
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(count).unwrap_or(0)]);
    OsRandom.fill(&mut bytes);
    let random_bytes = encode(call.fields, "base64", &bytes)?;
    let warning = call.fields.unrecognized(&["bytes", "source", "format"]);
    Ok(Reply::data(&RandomBytes { random_bytes })?.with_warning(warning))
}
