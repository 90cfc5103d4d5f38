//! POST `keys/:name/config`: changes what may be changed about a key (see `rules.rs`).

use super::TransitEngine;
use super::keeper::Action;
use super::path::KeyName;
use super::rules::{ConfigChange, auto_rotate_period_s};
use crate::engines::{Call, Reply};
use crate::error::Error;

const NAMES: [&str; 6] = [
    "min_decryption_version",
    "min_encryption_version",
    "deletion_allowed",
    "exportable",
    "allow_plaintext_backup",
    "auto_rotate_period",
];

/// Answers POST `keys/:name/config`.
pub(super) async fn configure(
    engine: &TransitEngine,
    name: KeyName<'_>,
    call: &Call<'_>,
) -> Result<Reply, Error> {
    let fields = call.fields;
    let change = ConfigChange {
        min_decryption_version: fields.integer("min_decryption_version")?,
        min_encryption_version: fields.integer("min_encryption_version")?,
        deletion_allowed: fields.boolean("deletion_allowed")?,
        exportable: fields.boolean("exportable")?,
        allow_plaintext_backup: fields.boolean("allow_plaintext_backup")?,
        auto_rotate_period_s: fields
            .duration("auto_rotate_period")?
            .map(auto_rotate_period_s)
            .transpose()?,
    };
    let changed = engine
        .change(name, Action::Configure(change), call.now)
        .await?;
    engine.key_reply(changed, fields.unrecognized(&NAMES))
}
