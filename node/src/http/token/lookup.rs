//! `auth/token/lookup`, `-self`, `-accessor`, and the list of accessors.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{accessed_grant, named_grant, own_grant};
use crate::auth::token::entry::TokenEntry;
use crate::auth::token::tree;
use crate::barrier::View;
use crate::clock::Timestamp;
use crate::engines::Reply;
use crate::error::Error;
use crate::fields::Fields;
use crate::http::respond::Answer;
use crate::http::session::Session;

/// How many accessors one reply lists.
const MAX_ACCESSORS: usize = 100_000;

/// How many are read in one transaction.
const PAGE_ACCESSORS: usize = 1000;

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

/// All accessors, as far as they fit into one reply. Those of tokens that come or go meanwhile may or may not be there.
///
/// # Errors
/// What the store says.
pub async fn accessors(session: &Session<'_>) -> Result<Answer, Error> {
    let (accessors, all) = read_accessors(session.opened.tenant.view(), MAX_ACCESSORS).await?;
    let warning = (!all).then(|| {
        format!(
            "there are more than {MAX_ACCESSORS} tokens; the accessors of the others are not listed"
        )
    });
    Ok(Answer::Enveloped(
        Reply::keys(&accessors)?.with_warning(warning),
    ))
}

/// At most `most` accessors, and whether they are all.
async fn read_accessors(view: &View, most: usize) -> Result<(Vec<String>, bool), Error> {
    let mut accessors = Vec::new();
    let mut next = None;
    loop {
        // One more than fits tells whether there are more.
        let limit = PAGE_ACCESSORS.min(most + 1 - accessors.len());
        let page = view
            .run(async |rows| tree::accessors(rows, next.as_deref(), limit).await)
            .await?;
        accessors.extend(page.accessors);
        next = page.next;
        let all = accessors.len() <= most;
        if next.is_none() || !all {
            accessors.truncate(most);
            return Ok((accessors, all));
        }
        // A store on this machine may answer without a pause.
        tokio::task::yield_now().await;
    }
}

/// The text that the caller sent.
pub fn own_text<'s>(session: &'s Session<'_>) -> &'s str {
    let token = session.request.token.as_ref();
    token.map_or("", |token| token.expose())
}

fn show(id: &str, entry: &TokenEntry, now: Timestamp) -> Result<Answer, Error> {
    Reply::data(&TokenView::of(id, entry, now)).map(Answer::Enveloped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::testing::tenant_view;
    use crate::store::key::Pseudonym;

    #[actix::test]
    async fn accessors_are_read_in_pages_up_to_a_limit() {
        let view = tenant_view().await;
        let count = PAGE_ACCESSORS + 5;
        view.run(async |rows| {
            for number in 0..count {
                let entry = TokenEntry::root(format!("accessor {number}"), Timestamp(0));
                let token = Pseudonym((number as u128).to_be_bytes());
                tree::insert(rows, token, &entry)?;
            }
            Ok(())
        })
        .await
        .unwrap();
        for (most, listed, whole) in [
            (MAX_ACCESSORS, count, true),
            (count, count, true),
            (count - 1, count - 1, false),
            (PAGE_ACCESSORS, PAGE_ACCESSORS, false),
            (3, 3, false),
        ] {
            let (mut accessors, all) = read_accessors(&view, most).await.unwrap();
            accessors.sort();
            accessors.dedup();
            assert_eq!((accessors.len(), all), (listed, whole), "{most}");
        }
    }
}
