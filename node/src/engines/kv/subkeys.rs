//! GET `subkeys/:path`: the names of a secret's members without their values.

use serde::Serialize;
use serde_json::Value;

use super::KvEngine;
use super::json::skeleton;
use super::read_data::find;
use super::reply::{self, VersionFacts};
use crate::engines::{Call, Reply};
use crate::error::Error;

/// GET `subkeys/:path`, of a `version`, down to a `depth`.
pub(super) async fn read(engine: &KvEngine, call: &Call<'_>, path: &str) -> Result<Reply, Error> {
    #[derive(Serialize)]
    struct Body {
        metadata: VersionFacts,
        subkeys: Value,
    }
    let depth = u64::try_from(call.fields.integer("depth")?.unwrap_or(0))
        .map_err(|_| Error::invalid("depth", "depth must not be negative"))?;
    match find(engine, call, path).await? {
        (metadata, Some(text)) => Reply::data(&Body {
            metadata,
            subkeys: skeleton(&text, depth)?,
        }),
        (metadata, None) => reply::gone(&metadata, "subkeys"),
    }
}
