//! `auth/token/revoke`, `-self`, `-accessor` and `-orphan`.

use super::{accessed_grant, named_grant, own_grant};
use crate::engines::Reply;
use crate::error::Error;
use crate::fields::Fields;
use crate::http::respond::Answer;
use crate::http::session::Session;
use crate::tenant::keeper::Change;
use crate::tenant::revoked::By;

/// The caller's own token, with its descendants.
///
/// # Errors
/// [`Error::Denied`] for what is no stored token.
pub async fn of_self(session: &Session<'_>) -> Result<Answer, Error> {
    let grant = own_grant(session).ok_or_else(Error::no_token)?;
    session.change(Change::Revoke(grant.token)).await?;
    Ok(Answer::Enveloped(Reply::empty()))
}

/// The token that is named, with its descendants. One that is not valid is no error. A Biscuit is voided for good.
///
/// # Errors
/// [`Error::Invalid`] when none is named.
pub async fn of_token(session: &Session<'_>, fields: &Fields) -> Result<Answer, Error> {
    let text = fields.required_string("token", "missing token ID")?;
    if let Ok(biscuit) = session.node.biscuits.parse(&text) {
        if session.tenant.biscuit_principal(&biscuit)?.is_some() {
            let store = session.node.store.as_ref();
            session
                .tenant
                .revoke_biscuit(store, &biscuit, By::Administrator)
                .await?;
        }
        return Ok(Answer::Enveloped(Reply::empty()));
    }
    if let Some(grant) = named_grant(session, fields).await? {
        session.change(Change::Revoke(grant.token)).await?;
    }
    Ok(Answer::Enveloped(Reply::empty()))
}

/// The token behind an accessor, with its descendants.
///
/// # Errors
/// [`Error::Invalid`] when none is named.
pub async fn of_accessor(session: &Session<'_>, fields: &Fields) -> Result<Answer, Error> {
    let Some(grant) = accessed_grant(session, fields).await? else {
        let warning = "No token found with this accessor".to_owned();
        return Ok(Answer::Enveloped(
            Reply::empty().with_warning(Some(warning)),
        ));
    };
    session.change(Change::Revoke(grant.token)).await?;
    Ok(Answer::Enveloped(Reply::empty()))
}

/// The token that is named; its children become orphans.
///
/// # Errors
/// [`Error::Invalid`] when there is no such token.
pub async fn orphaning(session: &Session<'_>, fields: &Fields) -> Result<Answer, Error> {
    let grant = named_grant(session, fields).await?;
    let grant = grant.ok_or_else(|| Error::invalid("token", "token to revoke not found"))?;
    session.change(Change::RevokeOrphan(grant.token)).await?;
    Ok(Answer::Enveloped(Reply::empty()))
}
