//! [`Acl`]: all policies of a token, compiled once, answering in well under a microsecond.
//!
//! The one thing to know about Vault's rules: only the most specific rule counts, and less specific ones add nothing to
//! it. An exact path wins; for lists also the same path without its trailing slash; then the rules with wildcards, by the
//! order in [`wildcards`]; then for lists the same without the slash. Rules for the same path text in several policies
//! are merged first.
//!
//! Paths are those of the API without `/v1/`, canonical (no leading slash, no `//` or `..`, decoded once), with a
//! trailing slash for lists. Any other text is just a path that rules match or not.

mod decision;
#[cfg(test)]
mod merging;
mod operation;
mod permissions;
#[cfg(test)]
mod properties;
mod sudo;
#[cfg(test)]
mod tests;
mod view;
mod wildcards;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

pub use self::decision::{Decision, Verdict};
pub use self::operation::Operation;
pub use self::sudo::requires_sudo;
pub use self::view::{PathView, ResultantAcl};

use self::decision::Authority;
use self::permissions::Permissions;
use self::wildcards::WildcardRules;
use super::policy::{Capabilities, Pattern, Policy, PolicyName, RulePath};
use crate::clock::Timestamp;
use crate::fields::Fields;

/// What a token may do. Immutable.
#[derive(Debug)]
pub struct Acl {
    /// Set for the root policy: everything is allowed.
    root: Option<PolicyName>,
    exact: HashMap<String, Permissions>,
    wildcards: WildcardRules,
    expires_at: Option<Timestamp>,
}

/// Says that a caller has no identity, so that rules with templates count for nothing.
pub fn no_identity(_directive: &str) -> Option<String> {
    None
}

impl Acl {
    /// The rights of the root policy.
    pub fn root() -> Self {
        Self {
            root: Some(PolicyName::root()),
            exact: HashMap::new(),
            wildcards: WildcardRules::default(),
            expires_at: None,
        }
    }

    /// Compiles policies as they stand `now`. `identity` gives the value of a template's directive, such as
    /// `identity.entity.id`, for this caller; a rule whose template cannot be filled counts for nothing.
    ///
    /// Whoever keeps the result must compile anew at [`expires_at`](Self::expires_at), and must not share it between
    /// callers if one of the policies [is templated](Policy::is_templated).
    pub fn compile<'p>(
        policies: impl IntoIterator<Item = &'p Policy>,
        now: Timestamp,
        identity: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let mut merged: BTreeMap<String, (Pattern, Permissions)> = BTreeMap::new();
        let mut expires_at: Option<Timestamp> = None;
        for policy in policies {
            if policy.name().is_root() {
                return Self::root();
            }
            for rule in policy.rules() {
                if let Some(moment) = rule.expires_at {
                    if moment <= now {
                        continue;
                    }
                    expires_at = Some(expires_at.map_or(moment, |first| first.min(moment)));
                }
                let Some(pattern) = pattern(&rule.path, identity) else {
                    continue;
                };
                let (_, permissions) = merged.entry(pattern.written()).or_insert_with(|| {
                    let permissions = Permissions::new(&pattern);
                    (pattern, permissions)
                });
                permissions.merge(policy.name(), rule);
            }
        }
        let (exact, wildcards): (Vec<_>, Vec<_>) = merged
            .into_values()
            .partition(|(pattern, _)| pattern.is_exact());
        Self {
            root: None,
            exact: exact
                .into_iter()
                .map(|(_, permissions)| (permissions.path.clone(), permissions))
                .collect(),
            wildcards: WildcardRules::new(wildcards.into_iter()),
            expires_at,
        }
    }

    /// Whether everything is allowed.
    pub fn is_root(&self) -> bool {
        self.root.is_some()
    }

    /// When the first of the rules expires, after which this must not be used any more.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Whether the policies allow a request. `parameters` are the body's top level for writes, the query for reads and
    /// lists; `wrap_ttl` is how long the reply is to be wrapped for.
    pub fn check(
        &self,
        operation: Operation,
        path: &str,
        parameters: Option<&Fields>,
        wrap_ttl: Option<Duration>,
    ) -> Decision<'_> {
        let needed = operation.capability();
        let allowed = Verdict::Allowed { page_size: None };
        let (verdict, authority) = match (&self.root, self.find(operation, path)) {
            (Some(root), _) => (allowed, Authority::Root(root)),
            _ if operation == Operation::Help => (allowed, Authority::Nothing),
            (None, None) => (Verdict::NoRule, Authority::Nothing),
            (None, Some(rule)) => (
                verdict(rule, operation, parameters, wrap_ttl),
                Authority::Rule(rule),
            ),
        };
        Decision {
            verdict,
            needed,
            authority,
        }
    }

    /// What `sys/capabilities` says about a path: names in alphabetical order, `["root"]` or `["deny"]`.
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        if self.is_root() {
            return vec!["root"];
        }
        self.granted(path).names()
    }

    /// Whether there may be anything to do at the mount or below: what the CLI's preflight asks for. It looks for any
    /// grant whose path may lie there, and does not weigh it against other rules, except that of the prefixes that
    /// cover the whole mount only the longest counts.
    pub fn any_access_under(&self, mount: &str) -> bool {
        self.is_root()
            || self.granted(mount).grants_anything()
            || self
                .wildcards
                .covering(mount)
                .is_some_and(|rule| rule.capabilities.grants_anything())
            || self
                .exact
                .values()
                .any(|rule| rule.path.starts_with(mount) && rule.capabilities.grants_anything())
            || self.wildcards.iter().any(|(pattern, rule)| {
                rule.capabilities.grants_anything() && pattern.reaches_into(mount)
            })
    }

    /// What `sys/internal/ui/resultant-acl` shows.
    pub fn resultant(&self) -> ResultantAcl<'_> {
        ResultantAcl::of(self)
    }

    /// The capabilities on a path whose kind of request is not known. Asked as for a list, so that rules without a
    /// trailing slash count for a folder.
    fn granted(&self, path: &str) -> Capabilities {
        self.find(Operation::List, path)
            .map_or(Capabilities::NONE, |rule| rule.capabilities)
    }

    /// The one rule that counts.
    fn find(&self, operation: Operation, path: &str) -> Option<&Permissions> {
        let without_slash = || path.strip_suffix('/').filter(|_| operation.shows_names());
        self.exact
            .get(path)
            .or_else(|| self.exact.get(without_slash()?))
            .or_else(|| self.wildcards.find(path))
            .or_else(|| self.wildcards.find(without_slash()?))
    }
}

/// The path of a rule for one caller.
fn pattern(path: &RulePath, identity: &dyn Fn(&str) -> Option<String>) -> Option<Pattern> {
    match path {
        RulePath::Fixed(pattern) => Some(pattern.clone()),
        RulePath::Template(template) => Pattern::parse(&template.fill(identity)?).ok(),
    }
}

fn verdict(
    rule: &Permissions,
    operation: Operation,
    parameters: Option<&Fields>,
    wrap_ttl: Option<Duration>,
) -> Verdict {
    if rule.capabilities.contains(Capabilities::DENY) {
        return Verdict::Denied;
    }
    if !rule.capabilities.contains(operation.capability()) {
        return Verdict::MissingCapability;
    }
    let Some(demands) = &rule.restrictions else {
        return Verdict::Allowed { page_size: None };
    };
    if !demands.allow_wrapping(wrap_ttl) {
        return Verdict::Wrapping;
    }
    if operation.has_parameters() && !demands.allow_parameters(parameters) {
        return Verdict::Parameters;
    }
    if !operation.shows_names() {
        return Verdict::Allowed { page_size: None };
    }
    match demands.page_size(parameters) {
        Ok(page_size) => Verdict::Allowed { page_size },
        Err(_) => Verdict::Parameters,
    }
}
