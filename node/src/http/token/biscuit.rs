//! What the bearer of a root or user Biscuit may ask about it, also while the add-on is sealed: `vault login` looks the
//! token up before anything can be unsealed.

use super::lookup::TokenView;
use crate::auth::acl::Operation;
use crate::auth::biscuit::VerifiedBiscuit;
use crate::engines::{Reply, Verb};
use crate::error::Error;
use crate::fields::Fields;
use crate::http::request::Request;
use crate::http::respond::Answer;
use crate::http::session::{Credential, credential, tenant_of};
use crate::node::Node;
use crate::tenant::principal::{Attempt, Principal};
use crate::tenant::revoked::By;

/// How many bytes of a revocation id stand in as accessor.
const ACCESSOR_BYTES: usize = 18;

/// Whether this is `lookup-self` or `revoke-self` for a Biscuit.
///
/// # Errors
/// [`Error::Invalid`] for a Biscuit that nodes do not evaluate.
pub fn concerns_biscuit(node: &Node, request: &Request) -> Result<bool, Error> {
    let is_of_self = matches!(
        request.path.as_str(),
        "auth/token/lookup-self" | "auth/token/revoke-self"
    );
    Ok(is_of_self && matches!(credential(node, request)?, Credential::Biscuit(_)))
}

/// What stands in for a Biscuit where its bearer must not become known.
pub fn biscuit_accessor(biscuit: &VerifiedBiscuit) -> Option<String> {
    let id = biscuit.own_revocation_id()?.to_string();
    Some(id.chars().take(2 * ACCESSOR_BYTES).collect())
}

/// Answers `lookup-self` and `revoke-self` for a Biscuit.
///
/// # Errors
/// [`Error::Denied`] for a Biscuit that is void or whose checks forbid it.
pub async fn of_biscuit(node: &Node, request: &Request) -> Result<Answer, Error> {
    let credential = credential(node, request)?;
    let Credential::Biscuit(biscuit) = &credential else {
        return Err(Error::no_token());
    };
    let tenant = tenant_of(node, request, &credential)?;
    let principal = tenant
        .biscuit_principal(biscuit)?
        .ok_or_else(Error::no_token)?;
    let revokes = request.path.ends_with("revoke-self");
    let operation = match (request.verb, revokes) {
        (Verb::Read, false) => Operation::Read,
        (Verb::Write, _) => Operation::Update,
        _ => return Err(Error::UnsupportedOperation),
    };
    let fields = Fields::default();
    principal.pass_checks(&Attempt {
        tenant: tenant.id(),
        operation,
        path: &request.path,
        fields: Some(&fields),
        wrap_ttl: None,
        now: node.clock.now(),
    })?;
    let accessor = biscuit_accessor(biscuit).ok_or_else(Error::no_token)?;
    if revokes {
        tenant
            .revoke_biscuit(node.store.as_ref(), biscuit, By::Bearer)
            .await?;
        return Ok(Answer::Enveloped(Reply::empty()));
    }
    let addon = tenant.addon();
    let policies = principal.policies();
    let Principal::Biscuit { role, .. } = &principal else {
        return Err(Error::no_token());
    };
    let view = TokenView {
        id: request.token.as_ref().map_or("", |token| token.expose()),
        accessor: &accessor,
        policies: &policies,
        path: "conclave/addons",
        meta: None,
        display_name: &role.to_string(),
        num_uses: 0,
        creation_time: addon.created.unix_seconds(),
        creation_ttl: 0,
        ttl: 0,
        expire_time: None,
        explicit_max_ttl: 0,
        orphan: true,
        r#type: "service",
        entity_id: "",
        renewable: false,
        issue_time: None,
        period: None,
        last_renewal: None,
        last_renewal_time: None,
    };
    Reply::data(&view).map(Answer::Enveloped)
}
