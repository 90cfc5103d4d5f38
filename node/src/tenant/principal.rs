//! Who calls, and what that caller may do to one add-on.

use std::sync::Arc;
use std::time::Duration;

use super::access::Grant;
use super::revoked;
use crate::auth::acl::{Acl, Operation, requires_sudo};
use crate::auth::biscuit::{Identity, RequestFacts, Role, VerifiedBiscuit};
use crate::auth::token::entry::Origin;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::fields::Fields;
use crate::id::TenantId;
use crate::store::key::Pseudonym;

/// An authenticated caller of one add-on.
#[derive(Clone)]
pub enum Principal {
    /// The bearer of a root or user Biscuit.
    Biscuit {
        /// The token, verified.
        biscuit: Arc<VerifiedBiscuit>,
        /// Root or user.
        role: Role,
        /// What the role may do.
        acl: Arc<Acl>,
    },
    /// The bearer of a stored service token.
    Token(Arc<Grant>),
}

/// What a request wants to do, as policies and Biscuits look at it.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The add-on.
    pub tenant: TenantId,
    /// What.
    pub operation: Operation,
    /// To what; canonical.
    pub path: &'a str,
    /// With which parameters.
    pub fields: Option<&'a Fields>,
    /// Wrapped for how long.
    pub wrap_ttl: Option<Duration>,
    /// When.
    pub now: Timestamp,
}

/// What an allowed request comes with.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// The caller is root or has `sudo` here.
    pub is_privileged: bool,
    /// Lists are cut after this many names.
    pub page_size: Option<u32>,
}

impl Principal {
    /// Whether the caller may do this.
    ///
    /// # Errors
    /// [`Error::Denied`] when not; [`Error::Unavailable`] when a Biscuit's checks could not be run within their limits.
    pub fn authorize(&self, attempt: &Attempt<'_>) -> Result<Allowed, Error> {
        self.pass_checks(attempt)?;
        let decision = self.acl().check(
            attempt.operation,
            attempt.path,
            attempt.fields,
            attempt.wrap_ttl,
        );
        let is_privileged = decision.has_root_privileges();
        let guarded = requires_sudo(attempt.operation, attempt.path);
        if !decision.is_allowed() || (guarded && !is_privileged) {
            return Err(Error::forbidden());
        }
        Ok(Allowed {
            is_privileged,
            page_size: decision.page_size(),
        })
    }

    /// Whether the checks of a Biscuit let this pass; other tokens have none.
    ///
    /// # Errors
    /// As [`Principal::authorize`].
    pub fn pass_checks(&self, attempt: &Attempt<'_>) -> Result<(), Error> {
        match self {
            Self::Token(_) => Ok(()),
            Self::Biscuit { biscuit, .. } => biscuit.authorize(&RequestFacts {
                tenant: Some(attempt.tenant),
                operation: biscuit_operation(attempt.operation),
                path: attempt.path,
                now: attempt.now,
            }),
        }
    }

    /// The caller's rules.
    pub fn acl(&self) -> &Acl {
        match self {
            Self::Biscuit { acl, .. } => acl,
            Self::Token(grant) => &grant.acl,
        }
    }

    /// Where the caller's own rows sit, for stored tokens.
    pub fn token(&self) -> Option<Pseudonym> {
        match self {
            Self::Biscuit { .. } => None,
            Self::Token(grant) => Some(grant.token),
        }
    }

    /// Whether it is a Biscuit that its holder narrowed.
    pub fn is_narrowed(&self) -> bool {
        match self {
            Self::Biscuit { biscuit, .. } => biscuit.has_checks(),
            Self::Token(_) => false,
        }
    }

    /// The Biscuit that the caller's token is or descends from.
    pub fn origin(&self) -> Option<Origin> {
        match self {
            Self::Token(grant) => grant.entry.origin.clone(),
            Self::Biscuit { biscuit, .. } => match biscuit.identity() {
                Identity::Operator => None,
                Identity::Addon {
                    role, token_epoch, ..
                } => Some(Origin {
                    role,
                    token_epoch,
                    revocations: biscuit.revocation_ids().iter().map(revoked::part).collect(),
                }),
            },
        }
    }

    /// The caller's policies.
    pub fn policies(&self) -> Vec<String> {
        match self {
            Self::Biscuit { role, .. } => vec![role.to_string()],
            Self::Token(grant) => grant.entry.policies.clone(),
        }
    }
}

/// The operation as Biscuits name it: they do not tell a first write from a later one.
fn biscuit_operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => Operation::Update.as_str(),
        operation => operation.as_str(),
    }
}
