//! DELETE `keys/:name`: removes a key that was configured to allow it. Nothing that it encrypted can be opened again.

use super::TransitEngine;
use super::keeper::Action;
use super::path::KeyName;
use crate::engines::{Call, Reply};
use crate::error::Error;

/// Answers DELETE `keys/:name`.
pub(super) async fn delete(
    engine: &TransitEngine,
    name: KeyName<'_>,
    call: &Call<'_>,
) -> Result<Reply, Error> {
    engine.change(name, Action::Delete, call.now).await?;
    Ok(Reply::empty())
}
