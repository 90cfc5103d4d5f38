//! `auth/token/create` and `create-orphan`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::own_grant;
use crate::auth::policies;
use crate::auth::token::create::{Maker, PARAMETERS, decide};
use crate::auth::token::entry::TokenEntry;
use crate::auth::token::tree;
use crate::barrier::{Domain, View};
use crate::clock::Timestamp;
use crate::engines::Reply;
use crate::error::Error;
use crate::fields::Fields;
use crate::http::respond::Answer;
use crate::http::session::Session;
use crate::store::key::Pseudonym;
use crate::tenant::principal::Allowed;

/// The envelope's `auth`.
#[derive(Serialize)]
pub struct AuthView<'a> {
    client_token: &'a str,
    accessor: &'a str,
    policies: &'a [String],
    token_policies: &'a [String],
    metadata: Option<&'a BTreeMap<String, String>>,
    lease_duration: i64,
    renewable: bool,
    entity_id: &'static str,
    token_type: &'static str,
    orphan: bool,
    mfa_requirement: Option<()>,
    num_uses: i64,
}

impl<'a> AuthView<'a> {
    /// What the bearer of `client_token` is told; the text is empty where only its accessor was known.
    pub fn of(client_token: &'a str, entry: &'a TokenEntry, lease_duration: i64) -> Self {
        Self {
            client_token,
            accessor: &entry.accessor,
            policies: &entry.policies,
            token_policies: &entry.policies,
            metadata: entry.meta.as_ref(),
            lease_duration,
            renewable: entry.renewable,
            entity_id: "",
            token_type: "service",
            orphan: entry.parent.is_none(),
            mfa_requirement: None,
            num_uses: entry.uses_left,
        }
    }

    /// The reply that carries it.
    ///
    /// # Errors
    /// [`Error::Bug`] when it cannot be encoded.
    pub fn reply(&self) -> Result<Reply, Error> {
        let auth = serde_json::value::to_raw_value(self)
            .map_err(|_| Error::Bug("a token could not be encoded".into()))?;
        Ok(Reply {
            auth: Some(auth),
            ..Reply::empty()
        })
    }
}

/// Makes a token.
///
/// # Errors
/// [`Error::Invalid`] in Vault's words for what the caller may not ask for.
pub async fn create(
    session: &Session<'_>,
    fields: &Fields,
    allowed: Allowed,
    orphan: bool,
) -> Result<Answer, Error> {
    let tenant = &session.opened.tenant;
    let own = own_grant(session);
    let policies = session.principal.policies();
    let maker = Maker {
        token: own.map(|grant| grant.token),
        policies: &policies,
        depth: own.map_or(0, |grant| grant.entry.depth),
        is_root: session.principal.acl().is_root(),
        is_privileged: allowed.is_privileged,
        orphan,
        is_limited: own.is_some_and(|grant| grant.entry.uses_left != 0),
        is_narrowed: session.principal.is_narrowed(),
        origin: session.principal.origin(),
    };
    let mut made = decide(
        fields,
        &maker,
        &session.request.path,
        tenant.tag(),
        tenant.limits(),
        &session.node.random,
        session.now,
    )?;
    let token = tenant
        .view()
        .pseudonym(Domain::Token, made.id.expose().as_bytes());
    let is_chosen = fields.contains("id");
    let missing = store(tenant.view(), token, &made.entry, is_chosen, session.now).await?;
    made.warnings.extend(missing);
    made.warnings.extend(fields.unrecognized(&PARAMETERS));
    let view = AuthView::of(made.id.expose(), &made.entry, made.entry.creation_ttl_s);
    let mut reply = view.reply()?;
    reply.warnings = made.warnings;
    Ok(Answer::Enveloped(reply))
}

/// Writes a new token's rows; says which of its policies do not exist.
async fn store(
    view: &View,
    token: Pseudonym,
    entry: &TokenEntry,
    is_chosen: bool,
    now: Timestamp,
) -> Result<Vec<String>, Error> {
    // Once: a second run after a commit in doubt could bring back what was revoked in between.
    view.run_once(now, async |rows| {
        if let Some(parent) = entry.parent
            && tree::load(rows, parent, now).await?.is_none()
        {
            return Err(Error::no_token());
        }
        // A chosen token may exist. A random one cannot.
        if is_chosen && tree::load(rows, token, now).await?.is_some() {
            return Err(Error::invalid(
                "id",
                "cannot create a token with a duplicate ID",
            ));
        }
        tree::insert(rows, token, entry)?;
        let missing = policies::missing(rows, &entry.policies).await?;
        Ok(missing
            .into_iter()
            .map(|policy| format!("Policy \"{policy}\" does not exist"))
            .collect::<Vec<_>>())
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::barrier::testing::tenant_view;
    use crate::store::contract::doubt::{Doubtful, Fate};

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);
    const TOKEN: Pseudonym = Pseudonym([7; 16]);

    #[actix::test]
    async fn a_token_revoked_while_its_commit_was_in_doubt_stays_revoked() {
        let view = tenant_view().await;
        let doubtful = Arc::new(Doubtful::new(Arc::clone(view.store())));
        doubtful.plan(&[Fate::DoneInDoubt]);
        let unsure = View::new(doubtful, Arc::clone(view.unsealed()), view.scope());
        let entry = TokenEntry::root("accessor".to_owned(), NOW);
        let revoked = async {
            while view
                .run(async |rows| {
                    let found = tree::load(rows, TOKEN, NOW).await?.is_some();
                    tree::revoke_batch(rows, &mut vec![TOKEN]).await?;
                    Ok(!found)
                })
                .await
                .unwrap()
            {
                tokio::task::yield_now().await;
            }
        };
        let stored = store(&unsure, TOKEN, &entry, true, NOW);
        let (stored, ()) = futures_util::future::join(stored, revoked).await;
        stored.unwrap();
        let found = view.run(async |rows| tree::load(rows, TOKEN, NOW).await);
        assert!(found.await.unwrap().is_none());
    }
}
