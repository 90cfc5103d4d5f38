//! `sys/internal/ui/mounts`: what the CLI's `kv` commands ask before anything else. A mount may be seen by whoever has
//! any right below it; a missing one looks like a forbidden one.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::mount_view::MountView;
use crate::auth::acl::Operation;
use crate::engines::{Reply, Verb};
use crate::error::Error;
use crate::fields::Fields;
use crate::http::request::Request;
use crate::http::respond::Answer;
use crate::http::session::{Credential, Session, is_default, tenant_of};
use crate::node::Node;
use crate::tenant::mount::Mount;
use crate::tenant::principal::Principal;

#[derive(Serialize)]
struct Visible<T> {
    auth: BTreeMap<String, T>,
    secret: BTreeMap<String, T>,
}

/// Without a token: the mounts that say so.
///
/// # Errors
/// [`Error::Denied`] for an unknown add-on.
pub fn visible_to_all(node: &Node, request: &Request) -> Result<Answer, Error> {
    let tenant = tenant_of(node, request, &Credential::None)?;
    if !is_default(node, &tenant) {
        return Err(Error::no_token());
    }
    let mounts = tenant.opened().map(|opened| opened.tenant.mounts());
    let secret = mounts
        .iter()
        .flat_map(|mounts| mounts.iter())
        .map(|mounted| &mounted.mount)
        .filter(|mount| mount.config.listing_visibility == "unauth")
        .map(|mount| {
            let view = json!({
                "type": mount.kind.name(),
                "description": mount.description,
                "options": mount.options,
            });
            (mount.path.clone(), view)
        })
        .collect();
    let visible = Visible {
        auth: BTreeMap::new(),
        secret,
    };
    Ok(Answer::Enveloped(Reply::data(&visible)?))
}

/// All mounts that the caller has any right below.
///
/// # Errors
/// [`Error::Denied`] when a Biscuit's checks say so.
pub fn all(session: &Session<'_>) -> Result<Answer, Error> {
    check_biscuit(session)?;
    let mounts = session.opened.tenant.mounts();
    let secret = mounts
        .iter()
        .map(|mounted| &mounted.mount)
        .filter(|mount| may_see(session, mount))
        .map(|mount| (mount.path.clone(), MountView::of(mount)))
        .collect();
    let auth = BTreeMap::from([(
        "token/".to_owned(),
        MountView::of_tokens(session.tenant.id()),
    )]);
    Ok(Answer::Enveloped(Reply::data(&Visible { auth, secret })?))
}

/// The mount that a path lies in.
///
/// # Errors
/// [`Error::Denied`] in the CLI's words when there is none or the caller has no right below it.
pub async fn one(session: &Session<'_>, path: &str) -> Result<Answer, Error> {
    #[derive(Serialize)]
    struct One<'a> {
        path: &'a str,
        #[serde(flatten)]
        mount: MountView<'a>,
    }
    check_biscuit(session)?;
    let tenant = &session.opened.tenant;
    let path = format!("{}/", path.trim_end_matches('/'));
    let mut found = tenant.route(&path);
    if found.is_none() {
        tenant.reload_mounts().await?;
        found = tenant.route(&path);
    }
    match found {
        Some((mounted, _)) if may_see(session, &mounted.mount) => {
            let one = One {
                path: &mounted.mount.path,
                mount: MountView::of(&mounted.mount),
            };
            Ok(Answer::Enveloped(Reply::data(&one)?))
        }
        _ => Err(Error::Refused(format!(
            "preflight capability check returned 403, please ensure client's policies grant access to path \"{path}\""
        ))),
    }
}

/// `sys/internal/ui/resultant-acl`: the caller's rules.
///
/// # Errors
/// [`Error::Denied`].
pub async fn resultant_acl(session: &Session<'_>) -> Result<Answer, Error> {
    if session.request.verb != Verb::Read {
        return Err(Error::UnsupportedOperation);
    }
    session
        .authorize(Operation::Read, &Fields::default())
        .await?;
    let acl = session.principal.acl().resultant();
    Ok(Answer::Enveloped(Reply::data(&acl)?))
}

fn may_see(session: &Session<'_>, mount: &Mount) -> bool {
    session.principal.acl().any_access_under(&mount.path)
}

/// No policy speaks of the preflight, but a narrowed Biscuit's checks do.
fn check_biscuit(session: &Session<'_>) -> Result<(), Error> {
    if session.request.verb != Verb::Read {
        return Err(Error::UnsupportedOperation);
    }
    let fields = Fields::default();
    match &session.principal {
        Principal::Token(_) => Ok(()),
        Principal::Biscuit { .. } => {
            let attempt = session.attempt(Operation::Read, &session.request.path, &fields);
            session.principal.pass_checks(&attempt)
        }
    }
}
