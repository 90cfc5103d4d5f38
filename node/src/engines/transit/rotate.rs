//! POST `keys/:name/rotate`: a new version, with which everything is encrypted from now on; the old ones still decrypt.
//!
//! A key with an `auto_rotate_period` is also rotated when it is about to encrypt something and its latest version is
//! too old. A key that is not used is not rotated: it makes no ciphertext that an old version could be blamed for.

use std::sync::Arc;

use super::TransitEngine;
use super::keeper::Action;
use super::loaded::LoadedKey;
use super::path::KeyName;
use crate::clock::Timestamp;
use crate::engines::{Call, Reply};
use crate::error::Error;

/// Answers POST `keys/:name/rotate`.
pub(super) async fn rotate(
    engine: &TransitEngine,
    name: KeyName<'_>,
    call: &Call<'_>,
) -> Result<Reply, Error> {
    let changed = engine.change(name, Action::Rotate, call.now).await?;
    engine.key_reply(changed, call.fields.unrecognized(&[]))
}

impl TransitEngine {
    /// The key to encrypt with: `key`, or what it becomes if its latest version is too old. One request sees to that,
    /// the others go on with the version there is.
    pub(super) async fn rotated_if_due(
        &self,
        name: KeyName<'_>,
        key: Arc<LoadedKey>,
        now: Timestamp,
    ) -> Arc<LoadedKey> {
        if key.claim_due_rotation(now) {
            self.rotated(name, key, now).await
        } else {
            key
        }
    }

    /// What `key` becomes by a rotation that is due. One that fails keeps nobody from encrypting: the keeper drops the
    /// copy in memory, and the next request with the key tries again.
    pub(super) async fn rotated(
        &self,
        name: KeyName<'_>,
        key: Arc<LoadedKey>,
        now: Timestamp,
    ) -> Arc<LoadedKey> {
        match self.change(name, Action::RotateIfDue, now).await {
            Ok(changed) => changed.key.unwrap_or(key),
            Err(error) => {
                tracing::warn!(%error, "a transit key that is due was not rotated");
                self.keys.cache().forget(key.pseudonym());
                key
            }
        }
    }
}
