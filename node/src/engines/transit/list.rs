//! `keys`: the names of all keys, or a page of them (OpenBao's `after` and `limit`).

use super::TransitEngine;
use crate::barrier::names;
use crate::engines::{Call, Reply};
use crate::error::Error;

/// Answers LIST `keys`.
pub(super) async fn list(engine: &TransitEngine, call: &Call<'_>) -> Result<Reply, Error> {
    let after = call.fields.string("after")?.filter(|name| !name.is_empty());
    let limit = call
        .fields
        .integer("limit")?
        .filter(|limit| *limit > 0)
        .and_then(|limit| usize::try_from(limit).ok());
    let names = engine
        .keys
        .view()
        .run(async |rows| names::list(rows, "", after.as_deref(), limit).await)
        .await?;
    Reply::keys(&names)
}
