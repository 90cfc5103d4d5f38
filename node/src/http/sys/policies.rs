//! `sys/policies/acl` and the older `sys/policy`, which names its members differently and repeats them at the top.

use serde_json::json;

use crate::auth::builtin;
use crate::auth::policies;
use crate::auth::policy::{Policy, PolicyName, submitted_text};
use crate::engines::{Reply, Verb};
use crate::error::Error;
use crate::fields::Fields;
use crate::http::respond::Answer;
use crate::http::session::{Session, plain_operation};
use crate::tenant::keeper::Change;

/// `sys/policies/acl` (for an empty `name`) and what is below it.
///
/// # Errors
/// [`Error::Denied`], [`Error::Invalid`] in Vault's words.
pub async fn route(session: &Session<'_>, name: &str) -> Result<Answer, Error> {
    let fields = authorized(session, "sys/policies/acl", name).await?;
    match (name, session.request.verb) {
        ("", Verb::List) => {
            let names = list(session).await?;
            Ok(Answer::Enveloped(Reply::keys(&names)?))
        }
        ("", _) => Err(Error::UnsupportedOperation),
        (name, Verb::Read) => {
            let (name, text) = read(session, name).await?;
            let data = json!({"name": name.as_str(), "policy": text});
            Ok(Answer::Enveloped(Reply::data(&data)?))
        }
        (name, Verb::Write) => {
            let warning = write(session, name, &fields).await?;
            Ok(Answer::Enveloped(Reply::empty().with_warning(warning)))
        }
        (name, Verb::Delete) => delete(session, name).await,
        _ => Err(Error::UnsupportedOperation),
    }
}

/// `sys/policy` (for an empty `name`) and what is below it.
///
/// # Errors
/// As [`route`].
pub async fn legacy(session: &Session<'_>, name: &str) -> Result<Answer, Error> {
    let fields = authorized(session, "sys/policy", name).await?;
    match (name, session.request.verb) {
        ("", Verb::Read | Verb::List) => {
            let names = list(session).await?;
            let data = json!({"keys": names, "policies": names});
            Ok(Answer::Flattened(Reply::data(&data)?))
        }
        (name, Verb::Read) => {
            let (name, text) = read(session, name).await?;
            let data = json!({"name": name.as_str(), "rules": text});
            Ok(Answer::Flattened(Reply::data(&data)?))
        }
        (name, Verb::Write) if !name.is_empty() => {
            let warning = write(session, name, &fields).await?;
            Ok(Answer::Enveloped(Reply::empty().with_warning(warning)))
        }
        (name, Verb::Delete) if !name.is_empty() => delete(session, name).await,
        _ => Err(Error::UnsupportedOperation),
    }
}

/// Policies are looked at for the name as it is stored: `ADMIN` must not slip past a rule about `admin`.
async fn authorized(session: &Session<'_>, folder: &str, name: &str) -> Result<Fields, Error> {
    let fields = session.request.fields()?;
    let operation = plain_operation(session.request.verb);
    if name.is_empty() {
        session.authorize(operation, &fields).await?;
    } else {
        let path = format!("{folder}/{}", name.to_lowercase());
        session.authorize_path(operation, &path, &fields).await?;
    }
    Ok(fields)
}

async fn list(session: &Session<'_>) -> Result<Vec<String>, Error> {
    let view = session.opened.tenant.view();
    view.run(async |rows| policies::list(rows).await).await
}

async fn read(session: &Session<'_>, name: &str) -> Result<(PolicyName, String), Error> {
    let name: PolicyName = name.parse()?;
    let view = session.opened.tenant.view();
    let text = view
        .run(async |rows| policies::read(rows, &name).await)
        .await?;
    Ok((name, text.ok_or_else(Error::not_found)?))
}

/// Stores a policy if it parses; says so when an old parameter name was used.
async fn write(
    session: &Session<'_>,
    name: &str,
    fields: &Fields,
) -> Result<Option<String>, Error> {
    let name: PolicyName = name.parse()?;
    if builtin::is_reserved(name.as_str()) {
        return Err(Error::bad_request(format!(
            "cannot update {:?} policy",
            name.as_str()
        )));
    }
    let (sent, warning) = match (fields.string("policy")?, fields.string("rules")?) {
        (Some(policy), _) => (policy, None),
        (None, Some(rules)) => (
            rules,
            Some("'rules' is deprecated, please use 'policy' instead".to_owned()),
        ),
        (None, None) => (String::new(), None),
    };
    if sent.is_empty() {
        return Err(Error::invalid(
            "policy",
            "'policy' parameter not supplied or empty",
        ));
    }
    let text = submitted_text(&sent)?.into_owned();
    Policy::parse(name.clone(), &text)?;
    session.change(Change::WritePolicy(name, text)).await?;
    Ok(warning)
}

async fn delete(session: &Session<'_>, name: &str) -> Result<Answer, Error> {
    session.change(Change::DeletePolicy(name.parse()?)).await?;
    Ok(Answer::Enveloped(Reply::empty()))
}
