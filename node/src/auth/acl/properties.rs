//! The compiled rules answer as a slow and obvious reading of Vault's words does.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Acl, Operation, no_identity};
use crate::auth::policy::Policy;
use crate::clock::Timestamp;

/// Whether a pattern matches a whole path, one segment at a time.
fn matches(pattern: &str, path: &str) -> bool {
    let (text, open) = match pattern.strip_suffix('*') {
        Some(text) => (text, true),
        None => (pattern, false),
    };
    if !text.split('/').any(|segment| segment == "+") {
        return if open {
            path.starts_with(text)
        } else {
            path == text
        };
    }
    let wanted: Vec<&str> = text.split('/').collect();
    let there: Vec<&str> = path.split('/').collect();
    if there.len() < wanted.len() || (!open && there.len() > wanted.len()) {
        return false;
    }
    wanted.iter().enumerate().all(|(index, segment)| {
        let last = index + 1 == wanted.len();
        *segment == "+"
            || there[index] == *segment
            || (open && last && there[index..].join("/").starts_with(segment))
    })
}

/// Vault's order among patterns with wildcards that match the same path; the greatest decides.
fn rank(pattern: &str) -> (usize, bool, std::cmp::Reverse<usize>, usize, &str) {
    let plusses = pattern.split('/').filter(|segment| *segment == "+").count();
    let mut first = pattern.len();
    let mut offset = 0;
    for segment in pattern.split('/') {
        if segment == "+" {
            first = offset;
            break;
        }
        offset += segment.len() + 1;
    }
    if let Some(text) = pattern.strip_suffix('*') {
        first = first.min(text.len());
    }
    (
        first,
        !pattern.ends_with('*'),
        std::cmp::Reverse(plusses),
        pattern.len(),
        pattern,
    )
}

fn reference<'r>(rules: &BTreeSet<&'r str>, operation: Operation, path: &str) -> Option<&'r str> {
    let is_exact = |rule: &str| !rule.ends_with('*') && !rule.split('/').any(|s| s == "+");
    let exact = |path: &str| rules.get(path).filter(|rule| is_exact(rule));
    let best = |path: &str| {
        rules
            .iter()
            .filter(|rule| !is_exact(rule) && matches(rule, path))
            .max_by_key(|rule| rank(rule))
    };
    let bare = path
        .strip_suffix('/')
        .filter(|_| operation == Operation::List);
    exact(path)
        .or_else(|| bare.and_then(exact))
        .or_else(|| best(path))
        .or_else(|| bare.and_then(best))
        .copied()
}

/// What all grants of the deciding path say together.
fn granted<'g>(grants: &'g [Grant], path: &str) -> BTreeSet<&'g str> {
    let names: BTreeSet<&str> = grants
        .iter()
        .filter(|grant| grant.path == path)
        .flat_map(|grant| &grant.capabilities)
        .copied()
        .collect();
    if names.contains("deny") {
        BTreeSet::new()
    } else {
        names
    }
}

#[derive(Clone, Debug)]
struct Grant {
    path: String,
    capabilities: Vec<&'static str>,
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]{0,2}", 1..4).prop_map(|segments| segments.join("/"))
}

fn rule_path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![3 => "[ab]{0,2}", 1 => Just("+".to_owned())];
    (prop::collection::vec(segment, 1..4), any::<bool>()).prop_map(|(segments, open)| {
        let path = segments.join("/");
        // A leading slash means nothing in a rule, and paths of requests have none.
        let path = path.trim_start_matches('/');
        match open {
            true if !path.ends_with('+') => format!("{path}*"),
            _ => path.to_owned(),
        }
    })
}

/// `deny` is rare, or it would hide what the others do.
fn grant() -> impl Strategy<Value = Grant> {
    let capability = prop_oneof![
        4 => prop::sample::select(vec!["read", "list", "update", "patch", "delete"]),
        1 => Just("deny"),
    ];
    (rule_path(), prop::collection::vec(capability, 0..3))
        .prop_map(|(path, capabilities)| Grant { path, capabilities })
}

fn policy(name: &str, grants: &[Grant]) -> Policy {
    let text: String = grants
        .iter()
        .map(|grant| {
            let Grant { path, capabilities } = grant;
            format!("path {path:?} {{ capabilities = {capabilities:?} }}\n")
        })
        .collect();
    Policy::parse(name.parse().unwrap(), &text).unwrap()
}

proptest! {
    #[test]
    fn answers_are_the_references(
        grants in prop::collection::vec(grant(), 0..10),
        in_first in 0..10usize,
        paths in prop::collection::vec(path(), 1..6),
    ) {
        let (one, other) = grants.split_at(in_first.min(grants.len()));
        let policies = [policy("one", one), policy("other", other)];
        let acl = Acl::compile(&policies, Timestamp(0), &no_identity);
        let rules: BTreeSet<&str> = grants.iter().map(|grant| grant.path.as_str()).collect();
        for path in &paths {
            for operation in [
                Operation::Read,
                Operation::List,
                Operation::Update,
                Operation::Patch,
                Operation::Delete,
            ] {
                let expected = reference(&rules, operation, path);
                let names = expected.map(|rule| granted(&grants, rule)).unwrap_or_default();
                let decision = acl.check(operation, path, None, None);
                prop_assert_eq!(decision.rule_path(), expected, "{:?} {}", operation, path);
                prop_assert_eq!(
                    decision.is_allowed(),
                    names.contains(operation.as_str()),
                    "{:?} {}: {:?}", operation, path, names
                );
                if decision.is_allowed() {
                    let mount = path.split_inclusive('/').next().unwrap_or_default();
                    prop_assert!(!mount.ends_with('/') || acl.any_access_under(mount), "{}", mount);
                }
            }
        }
    }
}
