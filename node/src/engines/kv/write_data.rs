//! POST `data/:path`: a new version of a secret.

use std::borrow::Cow;

use serde_json::Value;

use super::KvEngine;
use super::config::{self, MountSettings};
use super::metadata::Metadata;
use super::path::SecretPath;
use super::reply::VersionFacts;
use super::rows::SecretRows;
use crate::clock::Timestamp;
use crate::engines::{Call, Reply};
use crate::error::Error;
use crate::fields::Fields;

/// What a write or patch understands.
pub(super) const FIELDS: &[&str] = &["data", "options", "version"];

/// POST `data/:path`.
pub(super) async fn write(engine: &KvEngine, call: &Call<'_>, path: &str) -> Result<Reply, Error> {
    let path = SecretPath::writable(path)?;
    let text = data_parameter(call.fields)?;
    if !(text.starts_with('{') || text == "null") {
        return Err(not_an_object());
    }
    let cas = cas_parameter(call.fields)?;
    let facts = engine
        .view
        .run_once(call.now, async |rows| {
            let mount = config::load(rows).await?;
            let mut secret = SecretRows::new(rows, path);
            let stored = secret.metadata().await?;
            let is_new = stored.is_none();
            let mut metadata = stored.unwrap_or_else(|| Metadata::new(call.now));
            metadata.check_and_set(cas, &mount, engine.mode, call.now)?;
            let facts = append(
                &mut secret,
                &mut metadata,
                &mount,
                call.now,
                text.as_bytes(),
            )?;
            if is_new {
                secret.create(&metadata)?;
            } else {
                secret.update(&metadata)?;
            }
            Ok(facts)
        })
        .await?;
    Ok(Reply::data(&facts)?.with_warning(call.fields.unrecognized(FIELDS)))
}

/// Adds a version with this JSON text, and deletes the data of those that are no longer kept. The caller writes the
/// metadata.
///
/// # Errors
/// What the barrier says.
pub(super) fn append(
    secret: &mut SecretRows<'_, '_, '_>,
    metadata: &mut Metadata,
    mount: &MountSettings,
    now: Timestamp,
    text: &[u8],
) -> Result<VersionFacts, Error> {
    let added = metadata.add_version(mount, now);
    for number in added.pruned {
        secret.delete_data(number);
    }
    secret.put_data(added.number, text)?;
    VersionFacts::of(metadata, added.number)
        .ok_or_else(|| Error::Bug("a version is gone as soon as it is written".into()))
}

/// The exact JSON text of the parameter `data`.
///
/// # Errors
/// [`Error::Invalid`] when there is none.
pub(super) fn data_parameter(fields: &Fields) -> Result<Cow<'_, str>, Error> {
    fields
        .raw("data")
        .ok_or_else(|| Error::invalid("data", "no data provided"))
}

/// The complaint about data that is neither an object nor `null`.
pub(super) fn not_an_object() -> Error {
    Error::invalid(
        "data",
        "error converting input for field \"data\": expected an object",
    )
}

/// The option `cas`; absent and `null` are no check.
///
/// # Errors
/// [`Error::Invalid`] when `options` is no object, or `cas` no whole number.
pub(super) fn cas_parameter(fields: &Fields) -> Result<Option<i64>, Error> {
    let options = match fields.value("options") {
        None => return Ok(None),
        Some(Value::Object(options)) => options,
        Some(_) => {
            return Err(Error::invalid(
                "options",
                "error converting input for field \"options\": expected an object",
            ));
        }
    };
    let number = match options.get("cas") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    number
        .map(Some)
        .ok_or_else(|| Error::invalid("options", "error parsing check-and-set parameter"))
}
