//! POST `keys/:name`: makes a key. One that exists stays as it is, and that is no error.

use super::TransitEngine;
use super::keeper::Action;
use super::key::KeySettings;
use super::key_type::KeyType;
use super::path::KeyName;
use super::rules::auto_rotate_period_s;
use crate::engines::{Call, Reply};
use crate::error::Error;
use crate::fields::Fields;

const NAMES: [&str; 8] = [
    "type",
    "derived",
    "convergent_encryption",
    "exportable",
    "allow_plaintext_backup",
    "auto_rotate_period",
    "key_size",
    "context",
];

/// Answers POST `keys/:name`.
pub(super) async fn create(
    engine: &TransitEngine,
    name: KeyName<'_>,
    call: &Call<'_>,
) -> Result<Reply, Error> {
    let settings = settings(call.fields)?;
    let changed = engine
        .change(name, Action::Create(settings), call.now)
        .await?;
    engine.key_reply(changed, call.fields.unrecognized(&NAMES))
}

fn settings(fields: &Fields) -> Result<KeySettings, Error> {
    let on = |name| Ok::<_, Error>(fields.boolean(name)?.unwrap_or(false));
    let settings = KeySettings {
        key_type: fields
            .string("type")?
            .filter(|name| !name.is_empty())
            .map_or(Ok(KeyType::DEFAULT), |name| KeyType::parse(&name))?,
        derived: on("derived")?,
        convergent: on("convergent_encryption")?,
        exportable: on("exportable")?,
        allow_plaintext_backup: on("allow_plaintext_backup")?,
        auto_rotate_period_s: fields
            .duration("auto_rotate_period")?
            .map_or(Ok(0), auto_rotate_period_s)?,
    };
    if fields.integer("key_size")?.is_some_and(|size| size != 0) {
        let name = settings.key_type.name();
        let message = format!("key_size cannot be chosen for keys of type {name}");
        return Err(Error::invalid("key_size", message));
    }
    settings.check()?;
    Ok(settings)
}
