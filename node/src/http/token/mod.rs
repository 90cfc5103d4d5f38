//! `auth/token/`: making, looking up, renewing and revoking tokens.

mod biscuit;
mod create;
mod lookup;
mod renew;
mod revoke;

use std::sync::Arc;

use super::respond::Answer;
use super::session::{Session, plain_operation};
use super::sys::unsupported_path;
use crate::auth::token::tree;
use crate::engines::Verb;
use crate::error::Error;
use crate::fields::Fields;
use crate::tenant::access::Grant;
use crate::tenant::principal::Principal;

pub use self::biscuit::{biscuit_accessor, concerns_biscuit, of_biscuit};

/// The routes below `auth/`; `path` is what follows it.
///
/// # Errors
/// What the route says; [`Error::NotFound`] for an unknown one, after [`Error::Denied`].
pub async fn route(session: &Session<'_>, path: &str) -> Result<Answer, Error> {
    let verb = session.request.verb;
    let fields = session.request.fields()?;
    let allowed = session.authorize(plain_operation(verb), &fields).await?;
    let Some(operation) = path.strip_prefix("token/") else {
        return Err(unsupported_path());
    };
    match (operation, verb) {
        ("create", Verb::Write) => create::create(session, &fields, allowed, false).await,
        ("create-orphan", Verb::Write) => create::create(session, &fields, allowed, true).await,
        ("lookup-self", Verb::Read | Verb::Write) => lookup::of_self(session),
        ("lookup", Verb::Read) => lookup::of_self(session),
        ("lookup", Verb::Write) => lookup::of_token(session, &fields).await,
        ("lookup-accessor", Verb::Write) => lookup::of_accessor(session, &fields).await,
        ("accessors/", Verb::List) => lookup::accessors(session).await,
        ("renew-self", Verb::Write) => renew::of_self(session, &fields).await,
        ("renew", Verb::Write) => renew::of_token(session, &fields).await,
        ("renew-accessor", Verb::Write) => renew::of_accessor(session, &fields).await,
        ("revoke-self", Verb::Write) => revoke::of_self(session).await,
        ("revoke", Verb::Write) => revoke::of_token(session, &fields).await,
        ("revoke-accessor", Verb::Write) => revoke::of_accessor(session, &fields).await,
        ("revoke-orphan", Verb::Write) => revoke::orphaning(session, &fields).await,
        (
            "create" | "create-orphan" | "lookup-self" | "lookup" | "lookup-accessor" | "accessors"
            | "renew-self" | "renew" | "renew-accessor" | "revoke-self" | "revoke"
            | "revoke-accessor" | "revoke-orphan",
            _,
        ) => Err(Error::UnsupportedOperation),
        _ => Err(unsupported_path()),
    }
}

/// The caller's own stored token; a Biscuit has no row to speak of.
fn own_grant<'s>(session: &'s Session<'_>) -> Option<&'s Grant> {
    match &session.principal {
        Principal::Token(grant) => Some(grant),
        Principal::Biscuit { .. } => None,
    }
}

/// The valid token with the text in `token`.
async fn named_grant(session: &Session<'_>, fields: &Fields) -> Result<Option<Arc<Grant>>, Error> {
    let text = fields.required_string("token", "missing token ID")?;
    let access = session.opened.tenant.access();
    access.load(access.pseudonym(&text), session.now).await
}

/// The valid token behind the accessor in `accessor`.
async fn accessed_grant(
    session: &Session<'_>,
    fields: &Fields,
) -> Result<Option<Arc<Grant>>, Error> {
    let accessor = fields.required_string("accessor", "missing accessor")?;
    let tenant = &session.opened.tenant;
    let found = tenant
        .view()
        .run(async |rows| tree::by_accessor(rows, &accessor, session.now).await)
        .await?;
    match found {
        None => Ok(None),
        Some(found) => tenant.access().load(found.token, session.now).await,
    }
}
