//! `auth/token/create` and `create-orphan`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::own_grant;
use crate::auth::policies;
use crate::auth::token::create::{Maker, PARAMETERS, decide};
use crate::auth::token::entry::TokenEntry;
use crate::auth::token::tree;
use crate::barrier::Domain;
use crate::engines::Reply;
use crate::error::Error;
use crate::fields::Fields;
use crate::http::respond::Answer;
use crate::http::session::Session;
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
    let missing = tenant
        .view()
        .run(async |rows| {
            if let Some(parent) = made.entry.parent
                && tree::load(rows, parent, session.now).await?.is_none()
            {
                return Err(Error::no_token());
            }
            // A chosen token may exist. A random one cannot, so a row found is this call's own, committed in doubt.
            if is_chosen && !rows.attempt().maybe_committed {
                let taken = tree::load(rows, token, session.now).await?;
                if taken.is_some() {
                    return Err(Error::invalid(
                        "id",
                        "cannot create a token with a duplicate ID",
                    ));
                }
            }
            tree::insert(rows, token, &made.entry)?;
            let missing = policies::missing(rows, &made.entry.policies).await?;
            Ok(missing
                .into_iter()
                .map(|policy| format!("Policy \"{policy}\" does not exist"))
                .collect::<Vec<_>>())
        })
        .await?;
    made.warnings.extend(missing);
    made.warnings.extend(fields.unrecognized(&PARAMETERS));
    let view = AuthView::of(made.id.expose(), &made.entry, made.entry.creation_ttl_s);
    let mut reply = view.reply()?;
    reply.warnings = made.warnings;
    Ok(Answer::Enveloped(reply))
}
