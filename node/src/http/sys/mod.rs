//! `sys/`: the add-on's own affairs.

mod audit;
mod capabilities;
pub mod ceremony;
mod generate_root;
pub mod health;
mod key_status;
mod mount_view;
mod mounts;
mod policies;
pub mod preflight;
mod rekey;
mod rotate;
pub mod seal;
mod seal_handoff;

use actix_web::http::StatusCode;

use super::respond::Answer;
use super::session::{Session, plain_operation};
use crate::engines::Verb;
use crate::error::Error;
use crate::tenant::Tenant;

/// Vault's `cluster_id`: the add-on is the cluster that its clients see.
fn cluster_id(tenant: &Tenant) -> String {
    tenant
        .id()
        .to_string()
        .trim_start_matches("addon_")
        .to_owned()
}

/// The routes below `sys/` that need a session; `path` is what follows it.
///
/// # Errors
/// What the route says; [`Error::NotFound`] for an unknown one, after [`Error::Denied`].
pub async fn route(session: &Session<'_>, path: &str) -> Result<Answer, Error> {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    match (first, rest) {
        ("internal", "ui/mounts" | "ui/mounts/") => preflight::all(session),
        ("internal", rest) if rest.starts_with("ui/mounts/") => {
            preflight::one(session, rest.trim_start_matches("ui/mounts/")).await
        }
        ("internal", "ui/resultant-acl") => preflight::resultant_acl(session).await,
        ("metrics", "") => metrics(session).await,
        ("audit", rest) => audit::route(session, rest).await,
        ("audit-hash", rest) => audit::hash(session, rest).await,
        ("auth", "") => mounts::list_auth(session).await,
        ("mounts", "") => mounts::list(session).await,
        ("mounts", rest) => mounts::route(session, rest).await,
        ("policies", rest) if rest == "acl" || rest.starts_with("acl/") => {
            policies::route(
                session,
                rest.trim_start_matches("acl").trim_start_matches('/'),
            )
            .await
        }
        ("rekey", "backup" | "recovery-key-backup") => rekey::backup_within(session).await,
        ("key-status", "") => key_status::route(session).await,
        ("generate-root-token", rest) => generate_root::enveloped(session, rest).await,
        ("rotate", rest) if rest.starts_with("root/") || rest.starts_with("recovery/") => {
            rekey::enveloped(session, rest).await
        }
        ("rotate", rest) => rotate::route(session, rest).await,
        ("seal-handoff", "") => seal_handoff::route(session).await,
        ("policy", rest) => policies::legacy(session, rest).await,
        ("capabilities-self", "") => capabilities::of_self(session).await,
        ("capabilities", "") => capabilities::of_token(session).await,
        ("capabilities-explain", "") => capabilities::explain(session).await,
        ("capabilities-accessor", "") => capabilities::of_accessor(session).await,
        _ => {
            let fields = session.request.fields()?;
            let operation = plain_operation(session.request.verb);
            session.authorize(operation, &fields).await?;
            Err(unsupported_path())
        }
    }
}

/// `sys/metrics?format=prometheus`: the add-on's own metrics.
async fn metrics(session: &Session<'_>) -> Result<Answer, Error> {
    let request = session.request;
    session
        .authorize(plain_operation(request.verb), &request.query)
        .await?;
    if request.verb != Verb::Read {
        return Err(Error::UnsupportedOperation);
    }
    match request.query.string("format")?.as_deref() {
        Some("prometheus") => Ok(Answer::Text(
            StatusCode::OK,
            session.tenant.metrics().text(true)?,
        )),
        _ => Err(Error::invalid(
            "format",
            "metrics come in one format: add ?format=prometheus",
        )),
    }
}

/// Vault's answer for a path that no handler of a backend knows.
pub fn unsupported_path() -> Error {
    Error::NotFound(Some(
        "1 error occurred:\n\t* unsupported path\n\n".to_owned(),
    ))
}
