//! [`ResultantAcl`]: the compiled rules as user interfaces read them from `sys/internal/ui/resultant-acl`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Acl;
use super::permissions::Permissions;
use crate::auth::policy::{ParameterRules, Restrictions};

/// All rules of a token, or just that it is root.
#[derive(Serialize, Debug, PartialEq)]
pub struct ResultantAcl<'acl> {
    root: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    exact_paths: Option<BTreeMap<&'acl str, PathView<'acl>>>,
    /// By the path without its trailing `*`; those with `+` segments as they are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    glob_paths: Option<BTreeMap<&'acl str, PathView<'acl>>>,
}

/// What counts for one path.
#[derive(Serialize, Debug, PartialEq)]
pub struct PathView<'acl> {
    capabilities: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_wrapping_ttl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_wrapping_ttl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_parameters: Option<&'acl ParameterRules>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denied_parameters: Option<&'acl ParameterRules>,
    #[serde(skip_serializing_if = "Option::is_none")]
    required_parameters: Option<&'acl [String]>,
}

impl<'acl> ResultantAcl<'acl> {
    pub(super) fn of(acl: &'acl Acl) -> Self {
        if acl.is_root() {
            return Self {
                root: true,
                exact_paths: None,
                glob_paths: None,
            };
        }
        let exact = acl.exact.iter();
        let globs = acl.wildcards.iter().map(|(pattern, rule)| {
            let path = if pattern.has_segment_wildcards() {
                &rule.path
            } else {
                pattern.text()
            };
            (path, PathView::of(rule))
        });
        Self {
            root: false,
            exact_paths: Some(
                exact
                    .map(|(path, rule)| (path.as_str(), PathView::of(rule)))
                    .collect(),
            ),
            glob_paths: Some(globs.collect()),
        }
    }
}

impl<'acl> PathView<'acl> {
    fn of(rule: &'acl Permissions) -> Self {
        let demands = rule.restrictions.as_deref();
        let seconds = |ttl: fn(&Restrictions) -> Option<Duration>| {
            demands.and_then(ttl).map(|ttl| ttl.as_secs())
        };
        let rules = |rules: fn(&Restrictions) -> &ParameterRules| {
            demands.map(rules).filter(|rules| !rules.is_empty())
        };
        Self {
            capabilities: rule.capabilities.names(),
            min_wrapping_ttl: seconds(|demands| demands.min_wrapping_ttl),
            max_wrapping_ttl: seconds(|demands| demands.max_wrapping_ttl),
            allowed_parameters: rules(|demands| &demands.allowed_parameters),
            denied_parameters: rules(|demands| &demands.denied_parameters),
            required_parameters: demands
                .map(|demands| demands.required_parameters.as_slice())
                .filter(|names| !names.is_empty()),
        }
    }
}
