//! PATCH `data/:path`: a new version that is the present one with some members changed (RFC 7396).

use serde::{Deserialize, Serialize};

use super::json::merge_patch;
use super::path::SecretPath;
use super::reply::VersionFacts;
use super::rows::SecretRows;
use super::write_data::{self, append, cas_parameter, data_parameter};
use super::{KvEngine, config};
use crate::engines::{Call, Outcome, Reply};
use crate::error::Error;

/// The media type that a patch must have.
const MERGE_PATCH: &str = "application/merge-patch+json";

/// What Clever Tools sends instead; Vault refuses it.
const JSON: &str = "application/json";

/// What a patch came to.
#[derive(Serialize, Deserialize)]
enum Patched {
    /// The new version.
    New(VersionFacts),
    /// The version that it would have changed, which is deleted or destroyed (`read_deleted = "strict"` only).
    Gone(VersionFacts),
}

/// PATCH `data/:path`.
pub(super) async fn patch(engine: &KvEngine, call: &Call<'_>, path: &str) -> Result<Reply, Error> {
    let is_plain_json = call.content_type == Some(JSON);
    if !is_plain_json {
        require_merge_patch(call)?;
    }
    let path = SecretPath::writable(path)?;
    let patch = data_parameter(call.fields)?;
    if !patch.starts_with('{') {
        return Err(write_data::not_an_object());
    }
    // Clever Tools sends a `cas` of 0 with every update, which no secret that can be patched would match.
    let cas = cas_parameter(call.fields)?.filter(|cas| !(is_plain_json && *cas == 0));
    let patched = engine
        .view
        .run_once(call.now, async |rows| {
            let mount = config::load(rows).await?;
            let mut secret = SecretRows::new(rows, path);
            let mut metadata = secret.metadata().await?.ok_or_else(Error::not_found)?;
            metadata.check_and_set(cas, &mount, engine.mode, call.now)?;
            let number = metadata
                .addressed(engine.mode, call.now)
                .ok_or_else(Error::not_found)?;
            let version = metadata.version(number).ok_or_else(Error::not_found)?;
            if !version.is_live(call.now) {
                return VersionFacts::of(&metadata, number)
                    .map(Patched::Gone)
                    .ok_or_else(Error::not_found);
            }
            let text = merge_patch(&secret.data(number).await?, &patch)?;
            let facts = append(&mut secret, &mut metadata, &mount, call.now, &text)?;
            secret.update(&metadata)?;
            Ok(Patched::New(facts))
        })
        .await?;
    match patched {
        Patched::New(facts) => {
            Ok(Reply::data(&facts)?.with_warning(call.fields.unrecognized(write_data::FIELDS)))
        }
        Patched::Gone(facts) => Ok(Reply::data(&facts)?.with_outcome(Outcome::Missing)),
    }
}

/// Refuses a patch that does not say that it is a merge patch.
///
/// # Errors
/// [`Error::Invalid`] without a media type, [`Error::UnsupportedMediaType`] with another.
pub(super) fn require_merge_patch(call: &Call<'_>) -> Result<(), Error> {
    match call.content_type {
        Some(MERGE_PATCH) => Ok(()),
        None | Some("") => Err(Error::bad_request("mime: no media type")),
        Some(other) => Err(Error::UnsupportedMediaType(format!(
            "PATCH requires Content-Type of {MERGE_PATCH}, provided {other}"
        ))),
    }
}
