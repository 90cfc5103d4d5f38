//! Finds the one rule with wildcards that decides about a path.
//!
//! Vault's first rule of priority is that the later first wildcard wins, so the pattern whose stem (all that comes before
//! it) is longest decides. Stems are kept sorted, each with the next shorter one that it begins with: the greatest stem
//! not after the path, and those it begins with, are all the stems that the path can begin with, longest first.

use std::collections::BTreeMap;

use super::permissions::Permissions;
use crate::auth::policy::Pattern;

/// All rules with wildcards.
#[derive(Debug, Default)]
pub(super) struct WildcardRules {
    /// Sorted by text.
    stems: Vec<Stem>,
}

#[derive(Debug)]
struct Stem {
    text: String,
    /// The longest other stem that this one begins with.
    parent: Option<usize>,
    /// Those that win come first.
    rules: Vec<(Pattern, Permissions)>,
}

impl WildcardRules {
    /// Sorts the rules. No two may have the same pattern.
    pub(super) fn new(rules: impl Iterator<Item = (Pattern, Permissions)>) -> Self {
        let mut by_stem: BTreeMap<String, Vec<(Pattern, Permissions)>> = BTreeMap::new();
        for (pattern, permissions) in rules {
            by_stem
                .entry(pattern.stem().to_owned())
                .or_default()
                .push((pattern, permissions));
        }
        let mut stems: Vec<Stem> = Vec::with_capacity(by_stem.len());
        // The chain of stems that the next one may begin with, shortest first.
        let mut open: Vec<(String, usize)> = Vec::new();
        for (text, mut rules) in by_stem {
            rules.sort_by(|(one, _), (other, _)| other.compare_priority(one));
            while open.last().is_some_and(|(stem, _)| !text.starts_with(stem)) {
                open.pop();
            }
            let parent = open.last().map(|(_, index)| *index);
            open.push((text.clone(), stems.len()));
            stems.push(Stem {
                text,
                parent,
                rules,
            });
        }
        Self { stems }
    }

    /// The rule that decides about `path`, if one matches.
    pub(super) fn find(&self, path: &str) -> Option<&Permissions> {
        self.stems_of(path).find_map(|(stem, rest)| {
            stem.rules
                .iter()
                .find(|(pattern, _)| pattern.matches_after_stem(rest))
                .map(|(_, permissions)| permissions)
        })
    }

    /// The longest plain prefix of `folder`: the rule for what lies deep in it, where no other rule reaches.
    pub(super) fn covering(&self, folder: &str) -> Option<&Permissions> {
        self.stems_of(folder).find_map(|(stem, _)| {
            stem.rules
                .iter()
                .find(|(pattern, _)| !pattern.has_segment_wildcards())
                .map(|(_, permissions)| permissions)
        })
    }

    /// All stems that the path begins with, longest first, each with the rest of the path.
    fn stems_of<'s, 'p>(&'s self, path: &'p str) -> impl Iterator<Item = (&'s Stem, &'p str)> {
        let after = self
            .stems
            .partition_point(|stem| stem.text.as_str() <= path);
        let last = after.checked_sub(1).and_then(|index| self.stems.get(index));
        std::iter::successors(last, |stem| self.stems.get(stem.parent?))
            .filter_map(|stem| Some((stem, path.strip_prefix(stem.text.as_str())?)))
    }

    /// All rules, by stem.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Pattern, Permissions)> {
        self.stems.iter().flat_map(|stem| &stem.rules)
    }
}
