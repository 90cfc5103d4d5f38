//! DELETE `metadata/:path`: the end of a secret, with all its versions.

use super::KvEngine;
use super::path::SecretPath;
use super::rows::SecretRows;
use crate::engines::{Call, Reply};
use crate::error::Error;

/// DELETE `metadata/:path`. Deleting what is not there is no mistake.
pub(super) async fn delete(engine: &KvEngine, call: &Call<'_>, path: &str) -> Result<Reply, Error> {
    let path = SecretPath::existing(path)?;
    engine
        .view
        .run_once(call.now, async |rows| {
            let mut secret = SecretRows::new(rows, path);
            if secret.exists().await? {
                secret.remove().await?;
            }
            Ok(())
        })
        .await?;
    Ok(Reply::empty())
}
