//! [`Permissions`]: what all policies of a token together say about one path.

use crate::auth::policy::{Capabilities, Pattern, PolicyName, Restrictions, Rule};

/// The merged rules for one path text.
#[derive(Debug)]
pub(super) struct Permissions {
    /// As policies write it.
    pub(super) path: String,
    pub(super) capabilities: Capabilities,
    /// `None` where nothing is demanded, which is the common case.
    pub(super) restrictions: Option<Box<Restrictions>>,
    /// Who said what, in the order of the policies.
    pub(super) sources: Vec<(PolicyName, Capabilities)>,
}

impl Permissions {
    pub(super) fn new(pattern: &Pattern) -> Self {
        Self {
            path: pattern.written(),
            capabilities: Capabilities::NONE,
            restrictions: None,
            sources: Vec::new(),
        }
    }

    /// Adds what one policy says about the same path. Capabilities add up, and `deny` wipes them and all demands.
    pub(super) fn merge(&mut self, policy: &PolicyName, rule: &Rule) {
        self.sources.push((policy.clone(), rule.capabilities));
        self.capabilities |= rule.capabilities;
        if self.capabilities.contains(Capabilities::DENY) {
            self.capabilities = Capabilities::DENY;
            self.restrictions = None;
        } else if !rule.restrictions.is_empty() {
            self.restrictions
                .get_or_insert_default()
                .merge(&rule.restrictions);
        }
    }
}
