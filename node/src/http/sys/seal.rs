//! Init, unseal, seal and their status: bare objects, as Vault's clients expect them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actix_web::http::StatusCode;
use serde::Serialize;
use serde_json::json;

use crate::engines::Reply;
use crate::error::Error;
use crate::fields::Fields;
use crate::http::request::Request;
use crate::http::respond::Answer;
use crate::http::session::{
    Credential, count_use, credential, is_default, is_of, plain_operation, principal, tenant_of,
};
use crate::node::Node;
use crate::seal::{Quorum, SealStatus, Share};
use crate::secret::Secret;
use crate::tenant::Tenant;
use crate::tenant::principal::Attempt;

/// How many shares and which threshold Vault's CLI asks for when the user says nothing.
const DEFAULT_SHARES: i64 = 5;
const DEFAULT_THRESHOLD: i64 = 3;

/// Parameters of Vault's init that ask for what this server does not do. Absent, null, 0 and empty ask for nothing.
const UNSUPPORTED_INIT: [&str; 5] = [
    "pgp_keys",
    "recovery_pgp_keys",
    "root_token_pgp_key",
    "recovery_shares",
    "recovery_threshold",
];

/// The seal's status with what is the node's.
#[derive(Serialize)]
struct Status<'a> {
    #[serde(flatten)]
    seal: &'a SealStatus,
    version: &'a str,
    build_date: &'static str,
    storage_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<String>,
}

/// `GET sys/seal-status`.
///
/// # Errors
/// [`Error::Denied`] when the caller names an add-on that it has no token of.
pub async fn status(node: &Node, request: &Request) -> Result<Answer, Error> {
    let tenant = readable(node, request).await?;
    describe(node, &tenant)
}

/// `GET sys/init`.
///
/// # Errors
/// As [`status`].
pub async fn init_status(node: &Node, request: &Request) -> Result<Answer, Error> {
    let tenant = readable(node, request).await?;
    let initialized = tenant.seal().status().initialized;
    Answer::bare(StatusCode::OK, &json!({"initialized": initialized}))
}

/// `PUT sys/init`.
///
/// # Errors
/// [`Error::Denied`], or [`Error::Invalid`] in Vault's words.
pub async fn init(node: &Node, request: &Request) -> Result<Answer, Error> {
    let fields = request.fields()?;
    let tenant = writable(node, request, &fields).await?;
    for name in UNSUPPORTED_INIT {
        let asked = match fields.value(name) {
            None => false,
            Some(serde_json::Value::Array(items)) => !items.is_empty(),
            Some(value) => !matches!(value.to_string().as_str(), "0" | "\"\""),
        };
        if asked {
            return Err(Error::invalid(
                name,
                format!("{name} is not supported: shares and root token are returned as they are"),
            ));
        }
    }
    let shares = fields.integer("secret_shares")?.unwrap_or(DEFAULT_SHARES);
    let threshold = fields
        .integer("secret_threshold")?
        .unwrap_or(DEFAULT_THRESHOLD);
    let made = tenant.seal().init(Quorum::new(shares, threshold)?).await?;
    let texts = |encode: fn(&Share) -> Secret<String>| {
        made.shares
            .iter()
            .map(|share| encode(share).expose().clone())
            .collect::<Vec<_>>()
    };
    Answer::bare(
        StatusCode::OK,
        &json!({
            "keys": texts(Share::to_hex),
            "keys_base64": texts(Share::to_base64url),
            "root_token": made.root_token.expose(),
        }),
    )
}

/// `PUT sys/unseal`.
///
/// # Errors
/// [`Error::Denied`], or [`Error::Invalid`] for what is no share of this add-on.
pub async fn unseal(node: &Node, request: &Request) -> Result<Answer, Error> {
    let fields = request.fields()?;
    let tenant = writable(node, request, &fields).await?;
    let seal = tenant.seal();
    if !seal.status().initialized {
        return Err(Error::bad_request("Vault is not initialized"));
    }
    if fields.boolean("reset")?.unwrap_or(false) {
        seal.reset().await?;
        return describe(node, &tenant);
    }
    let share = Secret::new(fields.required_string(
        "key",
        "'key' must be specified in request body as JSON, or 'reset' set to true",
    )?);
    seal.submit(share.expose(), source_of(request)).await?;
    describe(node, &tenant)
}

/// `PUT sys/seal`. The answer means that it is durable.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Unavailable`] when it is sealed here but the store does not know yet.
pub async fn seal(node: &Node, request: &Request) -> Result<Answer, Error> {
    let fields = request.fields()?;
    let credential = credential(node, request)?;
    let tenant = tenant_of(node, request, &credential)?;
    authorize(node, request, &tenant, &credential, &fields).await?;
    tenant.seal().seal().await?;
    Ok(Answer::Enveloped(Reply::empty()))
}

/// The add-on, if the caller may see its seal: the default one by anybody, others by whoever has a token of it.
async fn readable(node: &Node, request: &Request) -> Result<Arc<Tenant>, Error> {
    let (tenant, credential) = known(node, request).await?;
    if is_default(node, &tenant) || is_of(&tenant, &credential)? {
        return Ok(tenant);
    }
    Err(Error::no_token())
}

/// The add-on, if the caller may initialise and unseal it, or do what else Vault lets everybody do who has shares.
///
/// # Errors
/// [`Error::Denied`].
pub(super) async fn writable(
    node: &Node,
    request: &Request,
    fields: &Fields,
) -> Result<Arc<Tenant>, Error> {
    let open_to_all = node.settings.unauthenticated_seal_routes;
    let (tenant, credential) = known(node, request).await?;
    if !(open_to_all && is_default(node, &tenant)) {
        authorize(node, request, &tenant, &credential, fields).await?;
    }
    Ok(tenant)
}

/// The add-on that is meant, also if it was made or initialised on another node a moment ago.
async fn known<'r>(
    node: &Node,
    request: &'r Request,
) -> Result<(Arc<Tenant>, Credential<'r>), Error> {
    let sent = credential(node, request);
    let found = sent.and_then(|sent| tenant_of(node, request, &sent));
    if found.is_ok_and(|tenant| tenant.seal().status().initialized) {
        return lenient(node, request);
    }
    node.catch_up().await?;
    let (tenant, credential) = lenient(node, request)?;
    if !tenant.seal().status().initialized {
        tenant.seal().reread().await?;
    }
    Ok((tenant, credential))
}

/// Whose tries are counted.
pub(super) fn source_of(request: &Request) -> IpAddr {
    request.source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// The add-on that is meant. A bad token is no token here: these routes are for callers who may have none.
fn lenient<'r>(node: &Node, request: &'r Request) -> Result<(Arc<Tenant>, Credential<'r>), Error> {
    let sent = credential(node, request).unwrap_or(Credential::None);
    match tenant_of(node, request, &sent) {
        Ok(tenant) => Ok((tenant, sent)),
        Err(_) if request.namespace.is_none() => {
            tenant_of(node, request, &Credential::None).map(|tenant| (tenant, Credential::None))
        }
        Err(error) => Err(error),
    }
}

async fn authorize(
    node: &Node,
    request: &Request,
    tenant: &Tenant,
    credential: &Credential<'_>,
    fields: &Fields,
) -> Result<(), Error> {
    let now = node.clock.now();
    let mut principal = principal(node, tenant, credential, now).await?;
    if let Some(opened) = tenant.opened() {
        principal = count_use(&opened, principal, now).await?;
    }
    principal
        .authorize(&Attempt {
            tenant: tenant.id(),
            operation: plain_operation(request.verb),
            path: &request.path,
            fields: Some(fields),
            wrap_ttl: None,
            now,
        })
        .map(drop)
}

fn describe(node: &Node, tenant: &Tenant) -> Result<Answer, Error> {
    let status = tenant.seal().status();
    let shown = |value| (!status.sealed).then_some(value);
    Answer::bare(
        StatusCode::OK,
        &Status {
            seal: &status,
            version: &node.settings.version,
            build_date: "",
            storage_type: node.store.properties().name,
            cluster_name: shown(node.settings.cluster_name.as_str()),
            cluster_id: (!status.sealed).then(|| super::cluster_id(tenant)),
        },
    )
}
