//! DELETE `data/:path`: hides the version that an unversioned read would serve. Doing it twice hides two versions.

use super::KvEngine;
use super::path::SecretPath;
use super::rows::SecretRows;
use crate::engines::{Call, Reply};
use crate::error::Error;

/// DELETE `data/:path`. Its parameters mean nothing, and deleting what is not there is no mistake.
pub(super) async fn delete(engine: &KvEngine, call: &Call<'_>, path: &str) -> Result<Reply, Error> {
    let path = SecretPath::existing(path)?;
    engine
        .view
        .run_once(call.now, async |rows| {
            let mut secret = SecretRows::new(rows, path);
            if let Some(mut metadata) = secret.metadata().await?
                && let Some(number) = metadata.addressed(engine.mode, call.now)
                && metadata.delete(&[number], call.now)
            {
                secret.update(&metadata)?;
            }
            Ok(())
        })
        .await?;
    Ok(Reply::empty())
}
