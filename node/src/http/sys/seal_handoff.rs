//! `sys/seal-handoff`: whether nodes may hand the add-on's keys to a node that has restarted. Only here; Vault has nothing
//! like it.

use serde_json::json;

use crate::engines::{Reply, Verb};
use crate::error::Error;
use crate::http::respond::Answer;
use crate::http::session::{Session, plain_operation};

/// `GET sys/seal-handoff` and `POST sys/seal-handoff` with `enabled`.
///
/// # Errors
/// [`Error::Denied`], or [`Error::Invalid`] when `enabled` is missing.
pub async fn route(session: &Session<'_>) -> Result<Answer, Error> {
    let fields = session.request.fields()?;
    let operation = plain_operation(session.request.verb);
    session.authorize(operation, &fields).await?;
    let seal = session.tenant.seal();
    match session.request.verb {
        Verb::Read => {
            let enabled = seal.handoff().await?;
            Ok(Answer::Enveloped(Reply::data(
                &json!({"enabled": enabled}),
            )?))
        }
        Verb::Write => {
            let enabled = fields.boolean("enabled")?.ok_or_else(|| {
                Error::invalid(
                    "enabled",
                    "enabled is missing: true lets nodes that restart take the keys from nodes that are open, false has them wait for shares",
                )
            })?;
            seal.switch_handoff(enabled).await?;
            tracing::info!(tenant = %session.tenant.id(), enabled, "hand-over switched");
            Ok(Answer::Enveloped(Reply::empty()))
        }
        _ => Err(Error::UnsupportedOperation),
    }
}
