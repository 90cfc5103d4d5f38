//! `sys/rotate`: adding a data key, and when that happens unasked. OpenBao has the same below `sys/rotate/keyring`, and
//! renews the shares below `sys/rotate/root`.

use serde_json::{Value, json};

use crate::duration::GoDuration;
use crate::engines::{Reply, Verb};
use crate::error::Error;
use crate::http::respond::Answer;
use crate::http::session::{Session, plain_operation};
use crate::seal::rotate::{self, RotationChange};

/// What is below `sys/rotate`; `path` is empty for itself.
///
/// # Errors
/// [`Error::Denied`], [`Error::Invalid`] in Vault's words.
pub async fn route(session: &Session<'_>, path: &str) -> Result<Answer, Error> {
    let fields = session.request.fields()?;
    let operation = plain_operation(session.request.verb);
    session.authorize(operation, &fields).await?;
    let view = session.opened.tenant.view();
    match (path, session.request.verb) {
        ("" | "keyring", Verb::Write) => {
            rotate::rotate(view, &session.node.random, session.now).await?;
            Ok(Answer::Enveloped(Reply::empty()))
        }
        ("config" | "keyring/config", Verb::Read) => {
            let config = rotate::rotation_config(view).await?;
            let interval = match config.interval {
                interval if interval == GoDuration::default() => Value::from(0),
                interval => Value::from(interval.to_string()),
            };
            let data = json!({
                "enabled": config.enabled,
                "interval": interval,
                "max_operations": config.max_operations,
            });
            Ok(Answer::Enveloped(Reply::data(&data)?))
        }
        ("config" | "keyring/config", Verb::Write) => {
            let change = RotationChange {
                enabled: fields.boolean("enabled")?,
                interval: fields.duration("interval")?,
                max_operations: fields.integer("max_operations")?,
            };
            rotate::configure_rotation(view, change).await?;
            let warning = fields.unrecognized(&["enabled", "interval", "max_operations"]);
            Ok(Answer::Enveloped(Reply::empty().with_warning(warning)))
        }
        ("" | "keyring" | "config" | "keyring/config", _) => Err(Error::UnsupportedOperation),
        _ => Err(super::unsupported_path()),
    }
}
