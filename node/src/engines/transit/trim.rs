//! POST `keys/:name/trim`: removes old versions for good.

use super::TransitEngine;
use super::keeper::Action;
use super::path::KeyName;
use crate::engines::{Call, Reply};
use crate::error::Error;

const FIELD: &str = "min_available_version";

/// Answers POST `keys/:name/trim`.
pub(super) async fn trim(
    engine: &TransitEngine,
    name: KeyName<'_>,
    call: &Call<'_>,
) -> Result<Reply, Error> {
    let oldest = call
        .fields
        .integer(FIELD)?
        .ok_or_else(|| Error::invalid(FIELD, format!("missing {FIELD}")))?;
    let changed = engine.change(name, Action::Trim(oldest), call.now).await?;
    engine.key_reply(changed, call.fields.unrecognized(&[FIELD]))
}
