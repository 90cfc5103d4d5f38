//! GET `metadata/:path`: everything that is known of a secret, except its data.

use super::KvEngine;
use super::path::SecretPath;
use super::reply::SecretFacts;
use super::rows::SecretRows;
use crate::engines::Reply;
use crate::error::Error;

/// GET `metadata/:path`.
pub(super) async fn read(engine: &KvEngine, path: &str) -> Result<Reply, Error> {
    let path = SecretPath::existing(path)?;
    let metadata = engine
        .view
        .run(async |rows| SecretRows::new(rows, path).metadata().await)
        .await?
        .ok_or_else(Error::not_found)?;
    Reply::data(&SecretFacts::of(&metadata))
}
