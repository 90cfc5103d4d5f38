//! `sys/capabilities`, `-self` and `-accessor`: what a token may do to given paths. `sys/capabilities-explain`, of our own,
//! says why.

use serde_json::{Map, Value, json};

use crate::auth::acl::{Acl, Operation, Verdict, requires_sudo};
use crate::auth::policy::PolicyName;
use crate::auth::token::tree;
use crate::engines::{Reply, Verb};
use crate::error::Error;
use crate::fields::Fields;
use crate::http::respond::Answer;
use crate::http::session::{Credential, Session, plain_operation, principal};
use crate::tenant::principal::{Attempt, Principal};

/// How many paths one request may ask about.
const MAX_PATHS: usize = 1000;

/// The caller's own.
///
/// # Errors
/// [`Error::Denied`], or [`Error::Invalid`] without paths.
pub async fn of_self(session: &Session<'_>) -> Result<Answer, Error> {
    let fields = authorized(session).await?;
    describe(session.principal.acl(), &fields)
}

/// Those of the token that is named.
///
/// # Errors
/// As [`of_self`], and [`Error::Invalid`] for a token that is not valid.
pub async fn of_token(session: &Session<'_>) -> Result<Answer, Error> {
    let fields = authorized(session).await?;
    describe(bearer(session, &fields).await?.acl(), &fields)
}

/// Whoever bears the token that the request's body names.
async fn bearer(session: &Session<'_>, fields: &Fields) -> Result<Principal, Error> {
    let invalid = || Error::invalid("token", "1 error occurred:\n\t* invalid token\n\n");
    let token = fields.string("token")?.ok_or_else(invalid)?;
    let biscuit = session.node.biscuits.parse(&token);
    let credential = match biscuit {
        Ok(biscuit) => Credential::Biscuit(biscuit),
        Err(_) => Credential::Opaque(&token),
    };
    principal(session.node, &session.tenant, &credential, session.now)
        .await
        .map_err(|error| match error {
            Error::Denied(_) => invalid(),
            error => error,
        })
}

/// Which rule decides what a token may do to a path, and why: the caller's token, or the one that is named. For people
/// who write policies; `conclave policy explain` asks it.
///
/// # Errors
/// As [`of_token`], and [`Error::Invalid`] for an unknown operation.
pub async fn explain(session: &Session<'_>) -> Result<Answer, Error> {
    let fields = authorized(session).await?;
    let path = fields.required_string("path", "'path' says what the request is for")?;
    let path = path.trim_start_matches('/');
    let operation = fields.required_string("operation", "'operation' says what is done to it")?;
    let operation = Operation::from_name(&operation).ok_or_else(|| {
        Error::invalid(
            "operation",
            "operation must be create, read, update, patch, delete, list or scan",
        )
    })?;
    let named = match fields.string("token")? {
        Some(_) => Some(bearer(session, &fields).await?),
        None => None,
    };
    let principal = named.as_ref().unwrap_or(&session.principal);
    let attempt = Attempt {
        fields: None,
        ..session.attempt(operation, path, &fields)
    };
    let narrowed = match principal.pass_checks(&attempt) {
        Ok(()) => false,
        Err(Error::Denied(_)) => true,
        Err(error) => return Err(error),
    };
    let decision = principal.acl().check(operation, path, None, None);
    let lacks_sudo = requires_sudo(operation, path) && !decision.has_root_privileges();
    let reason = match decision.verdict() {
        _ if narrowed => "the token was narrowed, and its checks do not let this pass",
        Verdict::Allowed { .. } if lacks_sudo => "this path needs the capability sudo besides",
        Verdict::Allowed { .. } => "the rule grants it",
        Verdict::NoRule => "no rule of the token's policies is about this path",
        Verdict::Denied => "the rule says deny",
        Verdict::MissingCapability => "the rule is the most specific one, and does not grant it",
        Verdict::Wrapping => "the rule demands a wrapped reply",
        Verdict::Parameters => "the rule demands parameters",
    };
    let policies: Vec<&str> = decision.policies().map(PolicyName::as_str).collect();
    Ok(Answer::from(Reply::data(&json!({
        "allowed": decision.is_allowed() && !lacks_sudo && !narrowed,
        "reason": reason,
        "rule": decision.rule_path(),
        "policies": policies,
        "operation": operation.as_str(),
        "path": path,
    }))?))
}

/// Those of the token behind an accessor.
///
/// # Errors
/// As [`of_token`].
pub async fn of_accessor(session: &Session<'_>) -> Result<Answer, Error> {
    let fields = authorized(session).await?;
    let invalid = || Error::invalid("accessor", "1 error occurred:\n\t* invalid accessor\n\n");
    let accessor = fields.string("accessor")?.ok_or_else(invalid)?;
    let tenant = &session.opened.tenant;
    let found = tenant
        .view()
        .run(async |rows| tree::by_accessor(rows, &accessor, session.now).await)
        .await?
        .ok_or_else(invalid)?;
    let grant = tenant.access().load(found.token, session.now).await?;
    describe(&grant.ok_or_else(invalid)?.acl, &fields)
}

async fn authorized(session: &Session<'_>) -> Result<Fields, Error> {
    let fields = session.request.fields()?;
    session
        .authorize(plain_operation(session.request.verb), &fields)
        .await?;
    match session.request.verb {
        Verb::Write => Ok(fields),
        _ => Err(Error::UnsupportedOperation),
    }
}

/// Each path with its capabilities, and `capabilities` when it is only one.
fn describe(acl: &Acl, fields: &Fields) -> Result<Answer, Error> {
    let mut paths = fields.list("paths")?.unwrap_or_default();
    if paths.is_empty() {
        paths = fields.list("path")?.unwrap_or_default();
    }
    if paths.is_empty() {
        return Err(Error::invalid("paths", "paths must be supplied"));
    }
    if paths.len() > MAX_PATHS {
        return Err(Error::invalid(
            "paths",
            format!("at most {MAX_PATHS} paths in one request"),
        ));
    }
    let mut data: Map<String, Value> = paths
        .iter()
        .map(|path| {
            (
                path.clone(),
                json!(acl.capabilities(path.trim_start_matches('/'))),
            )
        })
        .collect();
    if let [path] = paths.as_slice() {
        let only = data.get(path).cloned().unwrap_or_default();
        data.insert("capabilities".to_owned(), only);
    }
    Ok(Answer::Flattened(Reply::data(&data)?))
}
