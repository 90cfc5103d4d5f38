//! GET `data/:path`: a version of a secret.

use zeroize::Zeroizing;

use super::KvEngine;
use super::path::SecretPath;
use super::reply::{self, VersionFacts};
use super::rows::SecretRows;
use crate::engines::{Call, Reply};
use crate::error::Error;
use crate::fields::Fields;

/// GET `data/:path`, of the version in `version`, or of the one that an unversioned request means.
pub(super) async fn read(engine: &KvEngine, call: &Call<'_>, path: &str) -> Result<Reply, Error> {
    match find(engine, call, path).await? {
        (facts, Some(text)) => reply::live(&facts, &text),
        (facts, None) => reply::gone(&facts, "data"),
    }
}

/// The version that a read asks for, with its data unless it is deleted or destroyed.
///
/// # Errors
/// [`Error::NotFound`] when there is no such version.
pub(super) async fn find(
    engine: &KvEngine,
    call: &Call<'_>,
    path: &str,
) -> Result<(VersionFacts, Option<Zeroizing<Vec<u8>>>), Error> {
    let path = SecretPath::existing(path)?;
    let wanted = version_parameter(call.fields)?;
    engine
        .view
        .run(async |rows| {
            let mut secret = SecretRows::new(rows, path);
            let metadata = secret.metadata().await?.ok_or_else(Error::not_found)?;
            let number = wanted
                .or_else(|| metadata.addressed(engine.mode, call.now))
                .ok_or_else(Error::not_found)?;
            let version = metadata.version(number).ok_or_else(Error::not_found)?;
            let facts = VersionFacts::of(&metadata, number).ok_or_else(Error::not_found)?;
            let text = if version.is_live(call.now) {
                Some(secret.data(number).await?)
            } else {
                None
            };
            Ok((facts, text))
        })
        .await
}

/// The query parameter `version`; zero and less ask for no particular one.
fn version_parameter(fields: &Fields) -> Result<Option<u64>, Error> {
    let number = fields.integer("version").map_err(|error| match error {
        Error::Invalid { field, message } => Error::Invalid {
            field,
            message: format!("Field validation failed: {message}"),
        },
        other => other,
    })?;
    Ok(number
        .and_then(|number| u64::try_from(number).ok())
        .filter(|number| *number > 0))
}
