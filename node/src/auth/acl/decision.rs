//! [`Decision`]: the answer to one question, with its reason for audit lines and explanations.

use super::permissions::Permissions;
use crate::auth::policy::{Capabilities, PolicyName};

/// Whether a request is allowed, and why.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'acl> {
    pub(super) verdict: Verdict,
    pub(super) needed: Capabilities,
    pub(super) authority: Authority<'acl>,
}

/// The answer proper.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Go ahead.
    Allowed {
        /// For lists: give at most this many names at once.
        page_size: Option<u32>,
    },
    /// No rule is about this path.
    NoRule,
    /// The rule says `deny`.
    Denied,
    /// The rule does not grant the capability.
    MissingCapability,
    /// The rule demands a wrapped reply, or one that lives for another time.
    Wrapping,
    /// The rule does not allow these parameters.
    Parameters,
}

/// What decided.
#[derive(Clone, Copy, Debug)]
pub(super) enum Authority<'acl> {
    Root(&'acl PolicyName),
    Rule(&'acl Permissions),
    Nothing,
}

impl<'acl> Decision<'acl> {
    /// Whether the request may go ahead.
    pub fn is_allowed(&self) -> bool {
        matches!(self.verdict, Verdict::Allowed { .. })
    }

    /// The answer with its reason.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether the caller has root privileges on this path; paths of [`requires_sudo`](super::requires_sudo) need them
    /// besides [`is_allowed`](Self::is_allowed).
    pub fn has_root_privileges(&self) -> bool {
        match self.authority {
            Authority::Root(_) => true,
            Authority::Rule(rule) => rule.capabilities.contains(Capabilities::SUDO),
            Authority::Nothing => false,
        }
    }

    /// For lists that are allowed: give at most this many names at once. Whoever runs the list must obey it.
    pub fn page_size(&self) -> Option<u32> {
        match self.verdict {
            Verdict::Allowed { page_size } => page_size,
            _ => None,
        }
    }

    /// The path of the rule that decided, as policies write it.
    pub fn rule_path(&self) -> Option<&'acl str> {
        match self.authority {
            Authority::Rule(rule) => Some(&rule.path),
            Authority::Root(_) | Authority::Nothing => None,
        }
    }

    /// The policies that decided: those that grant what was allowed, those that say `deny`, or all that are about the
    /// path where none grants enough.
    pub fn policies(&self) -> impl Iterator<Item = &'acl PolicyName> {
        let (root, rule) = match self.authority {
            Authority::Root(name) => (Some(name), None),
            Authority::Rule(rule) => (None, Some(rule)),
            Authority::Nothing => (None, None),
        };
        let decisive = match self.verdict {
            Verdict::Denied => Capabilities::DENY,
            Verdict::NoRule | Verdict::MissingCapability => Capabilities::NONE,
            Verdict::Allowed { .. } | Verdict::Wrapping | Verdict::Parameters => self.needed,
        };
        let of_rule = rule
            .into_iter()
            .flat_map(|rule| &rule.sources)
            .filter(move |(_, capabilities)| capabilities.contains(decisive))
            .map(|(name, _)| name);
        root.into_iter().chain(of_rule)
    }
}
