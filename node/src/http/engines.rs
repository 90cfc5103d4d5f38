//! Requests to secrets engines: find the mount, decide, call.

use super::respond::Answer;
use super::session::{Session, plain_operation};
use crate::auth::acl::Operation;
use crate::engines::{Call, Engine, Verb};
use crate::error::Error;

/// Answers a request to a mount.
///
/// # Errors
/// [`Error::Denied`] before anything is said about what exists; then what the engine says.
pub async fn route(session: &Session<'_>) -> Result<Answer, Error> {
    let request = session.request;
    let body = request.fields()?;
    let fields = match request.verb {
        Verb::Write | Verb::Patch => &body,
        _ => &request.query,
    };
    let tenant = &session.opened.tenant;
    let mut found = tenant.route(&request.path);
    if found.is_none() {
        // Rights first: what exists is nobody's business without them. Then a fresh look, because the mount may have
        // been made on another node a moment ago.
        session
            .authorize(plain_operation(request.verb), fields)
            .await?;
        tenant.reload_mounts().await?;
        found = tenant.route(&request.path);
    }
    let Some((mounted, path)) = found else {
        return Err(Error::NotFound(Some(format!(
            "no handler for route \"{}\". route entry not found.",
            request.path
        ))));
    };
    let call = Call {
        verb: request.verb,
        path,
        fields,
        content_type: request.content_type.as_deref(),
        token: session.principal.token(),
        now: session.now,
    };
    let operation = operation(session, mounted.engine.as_ref(), &call).await?;
    let allowed = session.authorize(operation, fields).await?;
    let Some(page_size) = allowed.page_size else {
        return mounted.engine.handle(&call).await.map(Answer::from);
    };
    let fields = fields.with_page_size(page_size)?;
    let call = Call {
        fields: &fields,
        ..call
    };
    mounted.engine.handle(&call).await.map(Answer::from)
}

/// What the request does. Whether a write creates or updates is looked up only where it makes a difference.
async fn operation(
    session: &Session<'_>,
    engine: &dyn Engine,
    call: &Call<'_>,
) -> Result<Operation, Error> {
    if call.verb != Verb::Write {
        return Ok(plain_operation(call.verb));
    }
    let path = &session.request.path;
    let may = |operation| {
        let attempt = session.attempt(operation, path, call.fields);
        let acl = session.principal.acl();
        acl.check(operation, path, attempt.fields, attempt.wrap_ttl)
            .is_allowed()
    };
    if may(Operation::Create) == may(Operation::Update) {
        return Ok(Operation::Update);
    }
    Ok(match engine.exists(call).await? {
        Some(false) => Operation::Create,
        Some(true) | None => Operation::Update,
    })
}
