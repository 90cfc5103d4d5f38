//! `auth/token/lookup`, `-self`, `-accessor`, and the list of accessors.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{accessed_grant, named_grant, own_grant};
use crate::auth::token::entry::TokenEntry;
use crate::auth::token::tree;
use crate::clock::Timestamp;
use crate::engines::Reply;
use crate::error::Error;
use crate::fields::Fields;
use crate::http::respond::Answer;
use crate::http::session::Session;

/// How many accessors one reply lists.
const MAX_ACCESSORS: usize = 100_000;

/// A token as lookups show it.
#[derive(Serialize)]
pub struct TokenView<'a> {
    /// The token itself; empty where only its accessor was known.
    pub id: &'a str,
    /// Its accessor.
    pub accessor: &'a str,
    /// Its policies.
    pub policies: &'a [String],
    /// Where it was made.
    pub path: &'a str,
    /// Its own labels.
    pub meta: Option<&'a BTreeMap<String, String>>,
    /// Its name.
    pub display_name: &'a str,
    /// Uses left; 0 is unlimited.
    pub num_uses: i64,
    /// Unix seconds.
    pub creation_time: i64,
    /// Seconds it was made for.
    pub creation_ttl: i64,
    /// Seconds left.
    pub ttl: i64,
    /// When it ends.
    pub expire_time: Option<String>,
    /// Seconds that no renewal passes.
    pub explicit_max_ttl: i64,
    /// Whether it has no parent.
    pub orphan: bool,
    /// `service`: it is presented as such.
    pub r#type: &'static str,
    /// Always empty: there are no identities.
    pub entity_id: &'static str,
    /// Whether it can be renewed. Vault leaves it out for the first root token; it is always here.
    pub renewable: bool,
    /// When it was made; absent for the first root token, as in Vault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issue_time: Option<String>,
    /// Seconds that a renewal gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<i64>,
    /// When it was last renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_renewal: Option<String>,
    /// The same in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_renewal_time: Option<i64>,
}

impl<'a> TokenView<'a> {
    fn of(id: &'a str, entry: &'a TokenEntry, now: Timestamp) -> Self {
        Self {
            id,
            accessor: &entry.accessor,
            policies: &entry.policies,
            path: &entry.path,
            meta: entry.meta.as_ref(),
            display_name: &entry.display_name,
            num_uses: entry.uses_left,
            creation_time: entry.created.unix_seconds(),
            creation_ttl: entry.creation_ttl_s,
            ttl: entry.ttl_s(now),
            expire_time: entry.expires.map(|expires| expires.to_string()),
            explicit_max_ttl: entry.explicit_max_ttl_s,
            orphan: entry.parent.is_none(),
            r#type: "service",
            entity_id: "",
            renewable: entry.renewable,
            issue_time: (entry.path != "auth/token/root").then(|| entry.created.to_string()),
            period: (entry.period_s > 0).then_some(entry.period_s),
            last_renewal: entry.last_renewal.map(|moment| moment.to_string()),
            last_renewal_time: entry.last_renewal.map(Timestamp::unix_seconds),
        }
    }
}

/// The caller's own token.
///
/// # Errors
/// [`Error::Denied`] for what is no stored token.
pub fn of_self(session: &Session<'_>) -> Result<Answer, Error> {
    let grant = own_grant(session).ok_or_else(Error::no_token)?;
    show(own_text(session), &grant.entry, session.now)
}

/// The token that is named; the caller's own when none is.
///
/// # Errors
/// [`Error::Refused`] with `bad token` for one that is not valid.
pub async fn of_token(session: &Session<'_>, fields: &Fields) -> Result<Answer, Error> {
    let text = fields.string("token")?.unwrap_or_default();
    if text.is_empty() {
        return of_self(session);
    }
    let grant = named_grant(session, fields).await?;
    let grant = grant.ok_or_else(|| Error::Refused("bad token".into()))?;
    show(&text, &grant.entry, session.now)
}

/// The token behind an accessor, without its text.
///
/// # Errors
/// [`Error::Invalid`] for an accessor that is not valid.
pub async fn of_accessor(session: &Session<'_>, fields: &Fields) -> Result<Answer, Error> {
    let grant = accessed_grant(session, fields).await?;
    let grant = grant
        .ok_or_else(|| Error::invalid("accessor", "1 error occurred:\n\t* invalid accessor\n\n"))?;
    show("", &grant.entry, session.now)
}

/// All accessors.
///
/// # Errors
/// What the store says.
pub async fn accessors(session: &Session<'_>) -> Result<Answer, Error> {
    let view = session.opened.tenant.view();
    let accessors = view
        .run(async |rows| tree::accessors(rows, MAX_ACCESSORS).await)
        .await?;
    Ok(Answer::Enveloped(Reply::keys(&accessors)?))
}

/// The text that the caller sent.
pub fn own_text<'s>(session: &'s Session<'_>) -> &'s str {
    let token = session.request.token.as_ref();
    token.map_or("", |token| token.expose())
}

fn show(id: &str, entry: &TokenEntry, now: Timestamp) -> Result<Answer, Error> {
    Reply::data(&TokenView::of(id, entry, now)).map(Answer::Enveloped)
}
