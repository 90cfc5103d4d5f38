//! `auth/token/renew`, `-self` and `-accessor`.

use super::create::AuthView;
use super::lookup::own_text;
use super::{accessed_grant, named_grant, own_grant};
use crate::auth::token::entry::expiry;
use crate::auth::token::tree;
use crate::error::Error;
use crate::fields::Fields;
use crate::http::respond::Answer;
use crate::http::session::Session;
use crate::store::change::Facet;
use crate::store::key::Pseudonym;

/// The caller's own token.
///
/// # Errors
/// [`Error::Invalid`] for a token that cannot be renewed.
pub async fn of_self(session: &Session<'_>, fields: &Fields) -> Result<Answer, Error> {
    let grant = own_grant(session).ok_or_else(not_renewable)?;
    renew(session, fields, grant.token, own_text(session)).await
}

/// The token that is named.
///
/// # Errors
/// As [`of_self`], and for a token that is not valid.
pub async fn of_token(session: &Session<'_>, fields: &Fields) -> Result<Answer, Error> {
    let grant = named_grant(session, fields).await?;
    let grant = grant.ok_or_else(|| Error::invalid("token", "token not found"))?;
    let text = fields.string("token")?.unwrap_or_default();
    renew(session, fields, grant.token, &text).await
}

/// The token behind an accessor.
///
/// # Errors
/// As [`of_token`].
pub async fn of_accessor(session: &Session<'_>, fields: &Fields) -> Result<Answer, Error> {
    let grant = accessed_grant(session, fields).await?;
    let grant = grant
        .ok_or_else(|| Error::invalid("accessor", "1 error occurred:\n\t* invalid accessor\n\n"))?;
    renew(session, fields, grant.token, "").await
}

async fn renew(
    session: &Session<'_>,
    fields: &Fields,
    token: Pseudonym,
    text: &str,
) -> Result<Answer, Error> {
    let increment_s = fields.duration("increment")?.unwrap_or_default().seconds();
    if increment_s < 0 {
        return Err(Error::invalid("increment", "increment must be positive"));
    }
    let tenant = &session.opened.tenant;
    let limits = tenant.limits();
    let (entry, left_s) = tenant
        .view()
        .run(async |rows| {
            let entry = tree::load(rows, token, session.now).await?;
            let mut entry = entry.ok_or_else(|| Error::invalid("token", "token not found"))?;
            if !entry.renewable {
                return Err(not_renewable());
            }
            let ttl_s = entry.renewed_ttl_s(session.now, increment_s, limits);
            // Nothing left to give: the token keeps the moment it ends at.
            if ttl_s > 0 {
                entry.expires = expiry(session.now, ttl_s);
            }
            entry.last_renewal = Some(session.now);
            tree::update(rows, token, &entry).await?;
            rows.note_change(Facet::Token(token));
            let left_s = entry.ttl_s(session.now);
            Ok((entry, left_s))
        })
        .await?;
    tenant.access().forget(token);
    let capped = increment_s > left_s && entry.period_s == 0;
    let warning = capped.then(|| {
        format!(
            "TTL of \"{increment_s}s\" exceeded the effective max_ttl of \"{left_s}s\"; TTL value is capped accordingly"
        )
    });
    let reply = AuthView::of(text, &entry, left_s).reply()?;
    Ok(Answer::Enveloped(reply.with_warning(warning)))
}

fn not_renewable() -> Error {
    Error::bad_request("lease is not renewable")
}
