//! `config`: settings for all secrets of the mount.

use serde::{Deserialize, Serialize};

use super::KvEngine;
use super::metadata::MAX_MAX_VERSIONS;
use crate::barrier::Rows;
use crate::duration::GoDuration;
use crate::engines::{Call, Reply};
use crate::error::Error;
use crate::fields::Fields;
use crate::store::key::Table;

const FIELDS: &[&str] = &[
    "max_versions",
    "cas_required",
    "metadata_cas_required",
    "delete_version_after",
];

/// What the mount says where a secret says nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct MountSettings {
    /// How many versions to keep; zero stands for ten.
    pub(super) max_versions: u64,
    /// Whether every write needs `cas`.
    pub(super) cas_required: bool,
    /// Whether every change of a secret's settings needs `metadata_cas`.
    pub(super) metadata_cas_required: bool,
    /// How long a version lives: zero is for ever, negative is for ever whatever the secret says.
    pub(super) delete_version_after: GoDuration,
}

/// The settings of the mount; the defaults until some were written.
///
/// # Errors
/// What the store says.
pub(super) async fn load(rows: &mut Rows<'_>) -> Result<MountSettings, Error> {
    let stored = rows.get_json(Table::KvConfig, &[]).await?;
    Ok(stored.unwrap_or_default())
}

/// GET `config`.
pub(super) async fn read(engine: &KvEngine) -> Result<Reply, Error> {
    #[derive(Serialize)]
    struct Body {
        cas_required: bool,
        delete_version_after: String,
        max_versions: u64,
        metadata_cas_required: bool,
    }
    let settings = engine.view.run(load).await?;
    Reply::data(&Body {
        cas_required: settings.cas_required,
        delete_version_after: settings.delete_version_after.to_string(),
        max_versions: settings.max_versions,
        metadata_cas_required: settings.metadata_cas_required,
    })
}

/// POST `config`: changes what is given and leaves the rest.
pub(super) async fn write(engine: &KvEngine, call: &Call<'_>) -> Result<Reply, Error> {
    let max_versions = max_versions(call.fields)?;
    let cas_required = call.fields.boolean("cas_required")?;
    let metadata_cas_required = call.fields.boolean("metadata_cas_required")?;
    let delete_version_after = call
        .fields
        .duration("delete_version_after")?
        .map(|duration| duration.max(OFF));
    engine
        .view
        .run_once(call.now, async |rows| {
            let old = load(rows).await?;
            let new = MountSettings {
                max_versions: max_versions.unwrap_or(old.max_versions),
                cas_required: cas_required.unwrap_or(old.cas_required),
                metadata_cas_required: metadata_cas_required.unwrap_or(old.metadata_cas_required),
                delete_version_after: delete_version_after.unwrap_or(old.delete_version_after),
            };
            rows.put_json(Table::KvConfig, &[], &new)
        })
        .await?;
    Ok(Reply::empty().with_warning(call.fields.unrecognized(FIELDS)))
}

/// What every negative `delete_version_after` of a mount is kept as.
const OFF: GoDuration = GoDuration(-1_000_000_000);

/// The parameter `max_versions`, of a mount or of a secret.
///
/// # Errors
/// [`Error::Invalid`] when it is negative, or more than can be kept: versions would silently vanish otherwise.
pub(super) fn max_versions(fields: &Fields) -> Result<Option<u64>, Error> {
    let Some(number) = fields.integer("max_versions")? else {
        return Ok(None);
    };
    u64::try_from(number)
        .ok()
        .filter(|number| *number <= MAX_MAX_VERSIONS)
        .map(Some)
        .ok_or_else(|| {
            Error::invalid(
                "max_versions",
                format!("max_versions must be between 0 and {MAX_MAX_VERSIONS}"),
            )
        })
}
