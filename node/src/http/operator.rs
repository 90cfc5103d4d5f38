//! `conclave/addons` and `conclave/metrics`: what only the operator may do, shown by a short-lived Biscuit of the operator
//! key.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::request::Request;
use super::respond::Answer;
use super::session::{Credential, credential, plain_operation};
use super::sys::unsupported_path;
use crate::auth::biscuit::{Identity, RequestFacts, Role};
use crate::engines::{Reply, Verb};
use crate::error::Error;
use crate::metrics::scrape;
use crate::node::Node;
use crate::tenant::registry::{self, AddOn};

/// An add-on as its operator sees it.
#[derive(Serialize)]
struct AddOnView<'a> {
    id: String,
    name: &'a str,
    org: &'a str,
    created_time: String,
    root_token_epoch: u64,
    user_token_epoch: u64,
}

impl<'a> AddOnView<'a> {
    fn of(addon: &'a AddOn) -> Self {
        Self {
            id: addon.id.to_string(),
            name: &addon.name,
            org: &addon.org,
            created_time: addon.created.to_string(),
            root_token_epoch: addon.root_token_epoch,
            user_token_epoch: addon.user_token_epoch,
        }
    }
}

/// The routes at and below `conclave/addons`; `rest` is what follows it.
///
/// # Errors
/// [`Error::Denied`] for everybody but the operator.
pub async fn route(node: &Node, request: &Request, rest: &str) -> Result<Answer, Error> {
    authenticate(node, request)?;
    match (rest.trim_end_matches('/'), request.verb) {
        ("", Verb::List) => list(node).await,
        ("", Verb::Write) => create(node, request).await,
        ("", _) => Err(Error::UnsupportedOperation),
        (path, verb) => {
            let name = path.strip_prefix('/').ok_or_else(unsupported_path)?;
            if let Some(name) = name.strip_suffix("/tokens/rotate") {
                return rotate(node, request, name).await;
            }
            match verb {
                Verb::Read => {
                    let addon = registry::find(node.store.as_ref(), name).await?;
                    show(&addon)
                }
                Verb::Delete => {
                    let addon = registry::delete(node.store.as_ref(), name).await?;
                    node.tenants.renew(addon.id).await?;
                    tracing::info!(id = %addon.id, name = addon.name, "deleted an add-on");
                    Ok(Answer::Enveloped(Reply::empty()))
                }
                _ => Err(Error::UnsupportedOperation),
            }
        }
    }
}

/// `conclave/metrics`: what the whole node counts, which add-ons do not see. It asks the store nothing.
///
/// # Errors
/// [`Error::Denied`] for everybody but the operator.
pub fn metrics(node: &Node, request: &Request) -> Result<Answer, Error> {
    authenticate(node, request)?;
    let text = scrape::text(node)?;
    Ok(Answer::Text(StatusCode::OK, text))
}

/// Makes sure that the operator asks.
///
/// # Errors
/// [`Error::Denied`] for everybody else.
pub fn authenticate(node: &Node, request: &Request) -> Result<(), Error> {
    let Credential::Biscuit(biscuit) = credential(node, request)? else {
        return Err(Error::no_token());
    };
    if biscuit.identity() != Identity::Operator {
        return Err(Error::forbidden());
    }
    biscuit.authorize(&RequestFacts {
        tenant: None,
        operation: plain_operation(request.verb).as_str(),
        path: &request.path,
        now: node.clock.now(),
    })
}

async fn list(node: &Node) -> Result<Answer, Error> {
    let addons = registry::list(node.store.as_ref()).await?;
    let keys: Vec<String> = addons.iter().map(|addon| addon.id.to_string()).collect();
    if keys.is_empty() {
        return Err(Error::not_found());
    }
    let key_info: BTreeMap<String, AddOnView<'_>> = addons
        .iter()
        .map(|addon| (addon.id.to_string(), AddOnView::of(addon)))
        .collect();
    let data = json!({"keys": keys, "key_info": key_info});
    Ok(Answer::Enveloped(Reply::data(&data)?))
}

async fn create(node: &Node, request: &Request) -> Result<Answer, Error> {
    let fields = request.fields()?;
    let name = fields.required_string("name", "name is missing")?;
    let org = fields.required_string("org", "org is missing")?;
    let now = node.clock.now();
    let addon = registry::create(node.store.as_ref(), &node.random, now, &name, &org).await?;
    node.tenants.renew(addon.id).await?;
    tracing::info!(id = %addon.id, name, "made an add-on");
    show(&addon)
}

/// Voids the add-on's Biscuits: those of one `role`, or all.
async fn rotate(node: &Node, request: &Request, name: &str) -> Result<Answer, Error> {
    if request.verb != Verb::Write {
        return Err(Error::UnsupportedOperation);
    }
    let role = request.fields()?.string("role")?.unwrap_or_default();
    let role: Option<Role> = match role.as_str() {
        "" => None,
        role => Some(role.parse()?),
    };
    let (root, user) = (role != Some(Role::User), role != Some(Role::Root));
    let addon = registry::rotate_tokens(node.store.as_ref(), name, root, user).await?;
    node.tenants.renew(addon.id).await?;
    tracing::info!(id = %addon.id, root, user, "rotated an add-on's tokens");
    show(&addon)
}

fn show(addon: &AddOn) -> Result<Answer, Error> {
    Reply::data(&AddOnView::of(addon)).map(Answer::Enveloped)
}
