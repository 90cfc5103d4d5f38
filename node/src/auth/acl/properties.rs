//! The compiled rules answer as a slow and obvious reading of Vault's words does.

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

fn reference<'r>(rules: &'r [String], operation: Operation, path: &str) -> Option<&'r str> {
    let is_exact = |rule: &str| !rule.ends_with('*') && !rule.split('/').any(|s| s == "+");
    let exact = |path: &str| rules.iter().find(|rule| is_exact(rule) && *rule == path);
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
        .map(String::as_str)
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]{0,2}", 1..4).prop_map(|segments| segments.join("/"))
}

fn rule() -> impl Strategy<Value = String> {
    let segment = prop_oneof![3 => "[ab]{1,2}", 1 => Just("+".to_owned())];
    (prop::collection::vec(segment, 1..4), any::<bool>()).prop_map(|(segments, open)| {
        let path = segments.join("/");
        match open {
            true if !path.ends_with('+') => format!("{path}*"),
            _ => path,
        }
    })
}

proptest! {
    #[test]
    fn the_deciding_rule_is_the_references(
        mut rules in prop::collection::vec(rule(), 0..8),
        path in path(),
        lists in any::<bool>(),
    ) {
        rules.sort();
        rules.dedup();
        let text: String = rules
            .iter()
            .map(|rule| format!("path \"{rule}\" {{ capabilities = [\"read\", \"list\"] }}\n"))
            .collect();
        let policy = Policy::parse("p".parse().unwrap(), &text).unwrap();
        let acl = Acl::compile([&policy], Timestamp(0), &no_identity);
        let operation = if lists { Operation::List } else { Operation::Read };
        let decision = acl.check(operation, &path, None, None);
        prop_assert_eq!(decision.rule_path(), reference(&rules, operation, &path));
    }
}
