//! Who asks, and what a request's lines say of it.

use std::sync::Arc;

use crate::audit::line::Object;
use crate::auth::biscuit::Identity;
use crate::http::request::Request;
use crate::http::session::{Credential, credential, principal, tenant_of};
use crate::http::token::biscuit_accessor;
use crate::node::Node;
use crate::tenant::Tenant;
use crate::tenant::gate::Opened;
use crate::tenant::principal::Principal;

/// Who asks, as far as it is known.
pub struct Asker {
    /// The add-on that is meant.
    pub tenant: Option<Arc<Tenant>>,
    /// The same, if it is unsealed.
    pub opened: Option<Arc<Opened>>,
    /// The caller, if its token is good.
    pub principal: Option<Principal>,
    /// Whether it is the operator.
    pub is_operator: bool,
}

/// What stands in both objects of a line.
pub struct Hashes {
    /// The token's.
    pub token: Option<String>,
    /// Its accessor's.
    pub accessor: Option<String>,
}

impl Hashes {
    /// The token's, or nothing.
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// The accessor's, or nothing.
    pub fn accessor(&self) -> &str {
        self.accessor.as_deref().unwrap_or_default()
    }
}

impl Asker {
    /// Who seems to ask, for routes that decide by themselves, and for requests that are refused.
    pub async fn guess(node: &Node, request: &Request) -> Self {
        let credential = credential(node, request).unwrap_or(Credential::None);
        let is_operator = matches!(
            &credential,
            Credential::Biscuit(biscuit) if biscuit.identity() == Identity::Operator
        );
        let tenant = match is_operator {
            true => None,
            false => tenant_of(node, request, &credential).ok(),
        };
        let principal = match (&tenant, &credential) {
            (None, _) | (_, Credential::None) => None,
            (Some(tenant), credential) => principal(node, tenant, credential, node.clock.now())
                .await
                .ok(),
        };
        let opened = tenant.as_ref().and_then(|tenant| tenant.opened());
        Self {
            tenant,
            opened,
            principal,
            is_operator,
        }
    }

    /// What stands in for the caller's token in lookups.
    pub fn accessor(&self) -> Option<String> {
        match self.principal.as_ref()? {
            Principal::Biscuit { biscuit, .. } => biscuit_accessor(biscuit),
            Principal::Token(grant) => Some(grant.entry.accessor.clone()),
        }
    }

    /// Whether a token was shown that is good for something.
    pub fn is_known(&self) -> bool {
        self.is_operator || self.principal.is_some()
    }

    /// Vault's `auth` object.
    pub fn auth(&self, hashes: &Hashes) -> String {
        let mut auth = Object::default();
        if self.is_operator {
            auth = auth.text("display_name", "operator");
        }
        let Some(principal) = &self.principal else {
            return auth.finish();
        };
        auth = auth
            .text("client_token", hashes.token())
            .text("accessor", hashes.accessor());
        let policies = principal.policies();
        auth = match principal {
            Principal::Biscuit { role, .. } => auth.text("display_name", &role.to_string()),
            Principal::Token(grant) => auth
                .text("display_name", &grant.entry.display_name)
                .number("token_ttl", grant.entry.creation_ttl_s)
                .text("token_issue_time", &grant.entry.created.to_string())
                .number("remaining_uses", grant.entry.uses_left),
        };
        auth.texts("policies", &policies)
            .texts("token_policies", &policies)
            .text("token_type", "service")
            .finish()
    }
}
