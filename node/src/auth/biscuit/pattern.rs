//! Path patterns: what `--path` takes, and the one function that a token's checks may call.
//!
//! As in Vault's policies, `*` at the end stands for any rest and `+` as a whole segment for any one segment; everything
//! else is literal. A check holds its patterns as a set of strings, `$path.extern::path_in({"secret/data/app/*"})`, and
//! the node matches them here. Nothing is turned into a regular expression: compiling one costs more than all other
//! checks of a token together, and its cost is in the hands of whoever wrote it.

use std::sync::Arc;

use biscuit_auth::builder::Term;
use biscuit_auth::datalog::ExternFunc;

use crate::error::Error;

/// The function's name in Datalog.
pub(super) const FUNCTION: &str = "path_in";

/// The function itself, for an authorizer.
pub(super) fn function() -> ExternFunc {
    ExternFunc::new(Arc::new(path_in))
}

fn path_in(path: Term, patterns: Option<Term>) -> Result<Term, String> {
    let (Term::Str(path), Some(Term::Set(patterns))) = (path, patterns) else {
        return Err(String::from("takes a path and a set of patterns"));
    };
    let matched = patterns
        .iter()
        .any(|pattern| matches!(pattern, Term::Str(pattern) if matches(pattern, &path)));
    Ok(Term::Bool(matched))
}

/// The pattern that a user typed, as it goes into a token.
///
/// # Errors
/// [`Error::Invalid`] for an empty pattern, or a `*` before the end, which would be literal there.
pub(super) fn parse(pattern: &str) -> Result<&str, Error> {
    // Paths have no leading slash; Vault's policies accept one too.
    let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
    if pattern.is_empty() {
        return Err(Error::invalid("path", "a path pattern is not empty"));
    }
    if pattern.strip_suffix('*').unwrap_or(pattern).contains('*') {
        return Err(Error::invalid(
            "path",
            "* stands for the rest of a path and is its last character; use + for one segment",
        ));
    }
    Ok(pattern)
}

/// Whether `path` is one of those that `pattern` stands for. Takes time linear in the shorter of the two.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, open_ended) = match pattern.strip_suffix('*') {
        Some(prefix) => (prefix, true),
        None => (pattern, false),
    };
    let (mut wanted, mut given) = (pattern, path);
    while let Some((wanted_segment, wanted_rest)) = wanted.split_once('/') {
        let Some((given_segment, given_rest)) = given.split_once('/') else {
            return false;
        };
        let any_segment = wanted_segment == "+" && !given_segment.is_empty();
        if !any_segment && wanted_segment != given_segment {
            return false;
        }
        (wanted, given) = (wanted_rest, given_rest);
    }
    match (wanted, open_ended) {
        ("+", true) => !given.is_empty() && !given.starts_with('/'),
        ("+", false) => !given.is_empty() && !given.contains('/'),
        (prefix, true) => given.starts_with(prefix),
        (whole, false) => given == whole,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_policies() {
        let cases = [
            ("secret/data/app", "secret/data/app", true),
            ("secret/data/app", "secret/data/app/", false),
            ("secret/data/app/*", "secret/data/app/a/b", true),
            ("secret/data/app/*", "secret/data/app", false),
            ("secret/data/app*", "secret/data/apple/x", true),
            ("secret/+/app", "secret/data/app", true),
            ("secret/+/app", "secret/data/x/app", false),
            ("secret/+/app", "secret//app", false),
            ("secret/+", "secret/a/b", false),
            ("secret/+*", "secret/a/b", true),
            ("secret/a+", "secret/ab", false),
            ("*", "anything/at/all", true),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn patterns_that_cannot_mean_what_they_say_are_refused() {
        for pattern in ["", "/", "secret/*/app", "**", "a*b"] {
            assert!(parse(pattern).is_err(), "{pattern}");
        }
        assert_eq!(parse("/secret/*").unwrap(), "secret/*");
    }

    /// The same, said by splitting everything first.
    fn matches_by_segments(pattern: &str, path: &str) -> bool {
        let (pattern, open_ended) = match pattern.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (pattern, false),
        };
        let wanted: Vec<&str> = pattern.split('/').collect();
        let mut given: Vec<&str> = path.split('/').collect();
        if open_ended {
            given.truncate(wanted.len());
        }
        wanted.len() == given.len()
            && wanted
                .iter()
                .zip(&given)
                .enumerate()
                .all(|(position, (wanted, given))| {
                    let is_last = position + 1 == pattern.split('/').count();
                    match *wanted {
                        "+" => !given.is_empty(),
                        prefix if open_ended && is_last => given.starts_with(prefix),
                        whole => *given == whole,
                    }
                })
    }

    proptest! {
        #[test]
        fn both_ways_of_matching_agree(
            pattern in "[ab+]{0,2}(/[ab+]{0,2}){0,3}[*]?",
            path in "[ab+]{0,2}(/[ab+]{0,2}){0,3}",
        ) {
            prop_assert_eq!(matches(&pattern, &path), matches_by_segments(&pattern, &path));
        }
    }
}
