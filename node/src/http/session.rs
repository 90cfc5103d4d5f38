//! Which add-on a request means, who calls, and whether that caller may.

use std::sync::Arc;

use super::request::Request;
use crate::auth::acl::Operation;
use crate::auth::biscuit::{Identity, VerifiedBiscuit, may_be_biscuit};
use crate::auth::token::id;
use crate::clock::Timestamp;
use crate::engines::Verb;
use crate::error::{Denial, Error};
use crate::fields::Fields;
use crate::node::Node;
use crate::tenant::Tenant;
use crate::tenant::access::Grant;
use crate::tenant::gate::Opened;
use crate::tenant::keeper::{Change, apply};
use crate::tenant::principal::{Allowed, Attempt, Principal};

/// The caller's token, as far as it can be told without an add-on.
pub enum Credential<'r> {
    /// None was sent.
    None,
    /// Some text; only an unsealed add-on can say more.
    Opaque(&'r str),
    /// Signed by the operator key.
    Biscuit(Arc<VerifiedBiscuit>),
}

/// An authenticated caller of an unsealed add-on.
pub struct Caller {
    /// The add-on.
    pub tenant: Arc<Tenant>,
    /// Its unsealed state.
    pub opened: Arc<Opened>,
    /// Who calls.
    pub principal: Principal,
    /// Since when that is known.
    pub now: Timestamp,
}

/// An authenticated request to an unsealed add-on.
pub struct Session<'r> {
    /// The node.
    pub node: &'r Node,
    /// The request.
    pub request: &'r Request,
    /// The add-on.
    pub tenant: Arc<Tenant>,
    /// The add-on's unsealed state, as of when the request came.
    pub opened: Arc<Opened>,
    /// Who calls.
    pub principal: Principal,
    /// When it came.
    pub now: Timestamp,
}

/// The caller's token.
///
/// # Errors
/// [`Error::Invalid`] for a Biscuit that a holder narrowed in a way that nodes do not evaluate.
pub fn credential<'r>(node: &Node, request: &'r Request) -> Result<Credential<'r>, Error> {
    match request.token.as_ref().map(|token| token.expose().as_str()) {
        None => Ok(Credential::None),
        Some(text) if may_be_biscuit(text) => match node.biscuits.parse(text) {
            Ok(biscuit) => Ok(Credential::Biscuit(biscuit)),
            Err(Error::Denied(_)) => Ok(Credential::Opaque(text)),
            Err(error) => Err(error),
        },
        Some(text) => Ok(Credential::Opaque(text)),
    }
}

/// The add-on that a request means: its token's, else the one it names, else by host name, else the default one.
///
/// # Errors
/// [`Error::Denied`] when it names an unknown add-on, or another one than its token's: no telling which exist.
pub fn tenant_of(
    node: &Node,
    request: &Request,
    credential: &Credential<'_>,
) -> Result<Arc<Tenant>, Error> {
    let by_token = match credential {
        Credential::None => None,
        // A token of the generated form is its add-on's or nobody's: no other token may look like one.
        Credential::Opaque(text) => match id::tag_of(text) {
            Some(tag) => Some(node.tenants.by_tag(tag).ok_or_else(Error::no_token)?),
            None => None,
        },
        Credential::Biscuit(biscuit) => match biscuit.identity() {
            Identity::Addon { tenant, .. } => {
                Some(node.tenants.by_id(tenant).ok_or_else(Error::no_token)?)
            }
            Identity::Operator => None,
        },
    };
    if let Some(name) = &request.namespace {
        let named = node.tenants.named(name).ok_or_else(Error::no_token)?;
        return match by_token {
            Some(tenant) if tenant.id() != named.id() => Err(Error::no_token()),
            _ => Ok(named),
        };
    }
    if let Some(tenant) = by_token {
        return Ok(tenant);
    }
    let name = host_label(node, request).unwrap_or(&node.settings.default_addon);
    node.tenants.named(name).ok_or_else(Error::no_token)
}

/// The label that stands before the add-ons' domain in the request's host name.
fn host_label<'r>(node: &Node, request: &'r Request) -> Option<&'r str> {
    let domain = node.settings.addon_domain.as_deref()?;
    let label = request.host.as_deref()?.strip_suffix(domain)?;
    label.strip_suffix('.').filter(|label| !label.is_empty())
}

/// The caller, if the token is one of this add-on's and valid. An opaque token means nothing while sealed.
///
/// # Errors
/// [`Error::Denied`] for no or a bad token, [`Error::Sealed`] for an opaque one while sealed.
pub async fn principal(
    node: &Node,
    tenant: &Tenant,
    credential: &Credential<'_>,
    now: Timestamp,
) -> Result<Principal, Error> {
    let opened = tenant.opened();
    // While sealed there is nothing to serve but the seal itself, which asks the store anyway.
    if opened.is_some() {
        node.freshness.require(&node.feed).await?;
    }
    let principal = match (credential, opened) {
        (Credential::None, _) => None,
        (Credential::Biscuit(biscuit), _) => tenant.biscuit_principal(biscuit)?,
        (Credential::Opaque(text), Some(opened)) => {
            tenant.token_principal(&opened, text, now).await?
        }
        (Credential::Opaque(_), None) => return Err(sealed(node, tenant, credential)?),
    };
    principal.ok_or_else(Error::no_token)
}

/// Whether the caller's token is this add-on's, as far as can be told while it is sealed.
///
/// # Errors
/// [`Error::Bug`] when the built-in policy does not compile.
pub fn is_of(tenant: &Tenant, credential: &Credential<'_>) -> Result<bool, Error> {
    Ok(match credential {
        Credential::None => false,
        Credential::Opaque(text) => id::tag_of(text) == Some(tenant.addon().tag),
        Credential::Biscuit(biscuit) => tenant.biscuit_principal(biscuit)?.is_some(),
    })
}

/// Whether requests that name no add-on mean this one.
pub fn is_default(node: &Node, tenant: &Tenant) -> bool {
    tenant.addon().name == node.settings.default_addon
}

/// What a caller is told of a sealed add-on: whether it exists is for those only who have a token of it.
fn sealed(node: &Node, tenant: &Tenant, credential: &Credential<'_>) -> Result<Error, Error> {
    if is_default(node, tenant) || is_of(tenant, credential)? {
        return Ok(Error::Sealed);
    }
    Ok(Error::no_token())
}

impl Caller {
    /// Finds add-on and caller. A sealed add-on is told before a bad token, as in Vault. A limited token loses a use.
    ///
    /// # Errors
    /// [`Error::Sealed`], [`Error::Denied`], or what the store says.
    pub async fn of(node: &Node, request: &Request) -> Result<Self, Error> {
        match Self::find(node, request).await {
            Err(Error::Denied(_)) => {
                // Add-on or token may have been made on another node a moment ago.
                node.catch_up().await?;
                Self::find(node, request).await
            }
            found => found,
        }
    }

    async fn find(node: &Node, request: &Request) -> Result<Self, Error> {
        let credential = credential(node, request)?;
        let tenant = tenant_of(node, request, &credential)?;
        let opened = match tenant.opened() {
            Some(opened) => opened,
            None => return Err(sealed(node, &tenant, &credential)?),
        };
        let now = node.clock.now();
        let principal = principal(node, &tenant, &credential, now).await?;
        let principal = count_use(&opened, principal, now).await?;
        Ok(Self {
            tenant,
            opened,
            principal,
            now,
        })
    }
}

impl<'r> Session<'r> {
    /// A request with its caller.
    pub fn new(node: &'r Node, request: &'r Request, caller: Caller) -> Self {
        let Caller {
            tenant,
            opened,
            principal,
            now,
        } = caller;
        Self {
            node,
            request,
            tenant,
            opened,
            principal,
            now,
        }
    }

    /// Whether the caller may do `operation` to the request's path. A denial is never given from a cache: the rules are
    /// read again first.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub async fn authorize(&self, operation: Operation, fields: &Fields) -> Result<Allowed, Error> {
        self.authorize_path(operation, &self.request.path, fields)
            .await
    }

    /// The same for another path.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub async fn authorize_path(
        &self,
        operation: Operation,
        path: &str,
        fields: &Fields,
    ) -> Result<Allowed, Error> {
        let attempt = self.attempt(operation, path, fields);
        let denied = match self.principal.authorize(&attempt) {
            Err(Error::Denied(Denial::Policy)) => Error::forbidden(),
            decided => return decided,
        };
        match &self.principal {
            Principal::Biscuit { biscuit, .. } => {
                // What a user may do depends on the mounts there are.
                self.node.catch_up().await?;
                let renewed = self.tenant.biscuit_principal(biscuit)?;
                match renewed.ok_or_else(Error::no_token)?.authorize(&attempt) {
                    Err(Error::Denied(_)) => Err(denied),
                    decided => decided,
                }
            }
            Principal::Token(grant) => {
                let access = self.opened.tenant.access();
                let grant = access.load(grant.token, self.now).await?;
                Principal::Token(grant.ok_or_else(Error::no_token)?).authorize(&attempt)
            }
        }
    }

    /// What the caller wants, in the terms of policies.
    pub fn attempt<'a>(
        &'a self,
        operation: Operation,
        path: &'a str,
        fields: &'a Fields,
    ) -> Attempt<'a> {
        Attempt {
            tenant: self.tenant.id(),
            operation,
            path,
            fields: Some(fields),
            wrap_ttl: self.request.wrap_ttl,
            now: self.now,
        }
    }

    /// Makes a change through the add-on's keeper.
    ///
    /// # Errors
    /// What the change says; [`Error::Unavailable`] when too many wait.
    pub async fn change(&self, change: Change) -> Result<(), Error> {
        apply(&self.opened.keeper, change).await
    }

    /// Fails if the add-on was sealed since the request came, here or on another node: checked once more just before a
    /// reply leaves, because a warm request has asked the store nothing and a slow one may have asked long ago.
    ///
    /// # Errors
    /// [`Error::Sealed`]; [`Error::Unavailable`] when the store does not say that it is open.
    pub async fn still_open(&self) -> Result<(), Error> {
        self.node.freshness.require(&self.node.feed).await?;
        if self.tenant.is_still(&self.opened) {
            Ok(())
        } else {
            Err(Error::Sealed)
        }
    }

    /// Ends a token whose uses are used up; to be called when its last request is done.
    ///
    /// # Errors
    /// What the store says.
    pub async fn end_spent_token(&self) -> Result<(), Error> {
        match &self.principal {
            Principal::Token(grant) if grant.entry.is_spent() => {
                self.change(Change::Revoke(grant.token)).await
            }
            _ => Ok(()),
        }
    }
}

/// Takes one use off a limited token, in the store, so that no two requests get the same one.
///
/// # Errors
/// [`Error::Denied`] when none is left.
pub async fn count_use(
    opened: &Opened,
    principal: Principal,
    now: Timestamp,
) -> Result<Principal, Error> {
    let Principal::Token(grant) = &principal else {
        return Ok(principal);
    };
    if grant.entry.uses_left == 0 {
        return Ok(principal);
    }
    let (token, ends, acl) = (grant.token, grant.ends, Arc::clone(&grant.acl));
    let entry = opened.tenant.access().take_use(token, now).await?;
    Ok(Principal::Token(Arc::new(Grant {
        token,
        entry,
        ends,
        acl,
    })))
}

/// The operation of a verb on a path that does not tell creation from update.
pub fn plain_operation(verb: Verb) -> Operation {
    match verb {
        Verb::Read => Operation::Read,
        Verb::List => Operation::List,
        Verb::Scan => Operation::Scan,
        Verb::Write => Operation::Update,
        Verb::Patch => Operation::Patch,
        Verb::Delete => Operation::Delete,
    }
}
