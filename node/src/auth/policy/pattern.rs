//! [`Pattern`]: the path of a rule. `*` as the last character stands for any rest, `+` as a whole segment for exactly
//! one segment; everywhere else both are ordinary characters.

use std::cmp::{Ordering, Reverse};

/// A rule's path, taken apart once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    /// Without a trailing `*`.
    text: String,
    /// How much of the text comes before the first wildcard.
    stem_bytes: usize,
    /// Whether it ended in `*`.
    open_ended: bool,
    plus_segments: usize,
}

impl Pattern {
    /// Takes a path as a policy writes it. A leading slash means nothing.
    ///
    /// # Errors
    /// A sentence for the user when it holds `+*`, which Vault reserves.
    pub fn parse(path: &str) -> Result<Self, String> {
        let path = path.strip_prefix('/').unwrap_or(path);
        if path.contains("+*") {
            return Err("invalid use of wildcards ('+*' is forbidden)".to_owned());
        }
        let (text, open_ended) = match path.strip_suffix('*') {
            Some(text) => (text, true),
            None => (path, false),
        };
        let mut offset = 0;
        let mut first_plus = None;
        let mut plus_segments = 0;
        for segment in text.split('/') {
            if segment == "+" {
                plus_segments += 1;
                first_plus.get_or_insert(offset);
            }
            offset += segment.len() + 1;
        }
        Ok(Self {
            text: text.to_owned(),
            stem_bytes: first_plus.unwrap_or(text.len()),
            open_ended,
            plus_segments,
        })
    }

    /// Whether it matches one path only.
    pub fn is_exact(&self) -> bool {
        self.plus_segments == 0 && !self.open_ended
    }

    /// Whether it holds a `+`.
    pub fn has_segment_wildcards(&self) -> bool {
        self.plus_segments > 0
    }

    /// The path without a trailing `*`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The path as it was written, without a leading slash.
    pub fn written(&self) -> String {
        let star = if self.open_ended { "*" } else { "" };
        format!("{}{star}", self.text)
    }

    /// What every path that it matches begins with: all that comes before the first wildcard.
    pub fn stem(&self) -> &str {
        self.text.get(..self.stem_bytes).unwrap_or(&self.text)
    }

    /// Whether a path matches that consists of the stem and `rest`.
    pub fn matches_after_stem(&self, rest: &str) -> bool {
        if self.plus_segments == 0 {
            return self.open_ended || rest.is_empty();
        }
        let mut unmatched = Some(rest);
        let mut wanted = self.after_stem().split('/').peekable();
        while let Some(segment) = wanted.next() {
            let Some(path) = unmatched else {
                return false;
            };
            if self.open_ended && wanted.peek().is_none() {
                return path.starts_with(segment);
            }
            let (head, tail) = match path.split_once('/') {
                Some((head, tail)) => (head, Some(tail)),
                None => (path, None),
            };
            if segment != "+" && segment != head {
                return false;
            }
            unmatched = tail;
        }
        unmatched.is_none()
    }

    /// Whether it may match something at or below `mount` (with its trailing slash). A plain prefix that covers the whole
    /// mount and more does not count here.
    pub fn reaches_into(&self, mount: &str) -> bool {
        if self.plus_segments == 0 {
            return self.text.starts_with(mount);
        }
        let mut wanted = self.text.split('/').peekable();
        for there in mount.trim_end_matches('/').split('/') {
            let Some(segment) = wanted.next() else {
                return false;
            };
            if self.open_ended && wanted.peek().is_none() {
                return there.starts_with(segment);
            }
            if segment != "+" && segment != there {
                return false;
            }
        }
        true
    }

    /// Which of two patterns with the same stem decides, where both match: the greater one. Among all patterns that match
    /// a path, those with the longest stem decide. Together these are Vault's rules of priority.
    pub fn compare_priority(&self, other: &Self) -> Ordering {
        let rank = |pattern: &Self| {
            (
                !pattern.open_ended,
                Reverse(pattern.plus_segments),
                pattern.text.len(),
            )
        };
        rank(self)
            .cmp(&rank(other))
            .then_with(|| self.text.cmp(&other.text))
    }

    fn after_stem(&self) -> &str {
        self.text.get(self.stem_bytes..).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let pattern = Pattern::parse(pattern).unwrap();
        path.strip_prefix(pattern.stem())
            .is_some_and(|rest| pattern.matches_after_stem(rest))
    }

    #[test]
    fn a_star_is_a_plain_prefix() {
        assert!(matches("foo*", "foobar/x"));
        assert!(matches("foo*", "foo"));
        assert!(matches("foo/*", "foo/"));
        assert!(matches("foo/*", "foo/a/b"));
        assert!(!matches("foo/*", "foo"));
        assert!(matches("*", "any/thing"));
        assert!(matches("/foo/*", "foo/a"), "a leading slash means nothing");
        assert!(
            !matches("foo/*/bar", "foo/x/bar"),
            "only the last one counts"
        );
        assert!(matches("foo/*/bar", "foo/*/bar"));
    }

    #[test]
    fn a_plus_is_one_segment() {
        assert!(matches("foo/+/bar", "foo/x/bar"));
        assert!(!matches("foo/+/bar", "foo/x/y/bar"));
        assert!(!matches("foo/+/bar", "foo/bar"));
        assert!(matches("+/+/c", "a/b/c"));
        assert!(matches("foo/+", "foo/x"));
        assert!(matches("foo/+", "foo/"), "a list of foo/");
        assert!(!matches("foo/+", "foo"));
        assert!(!matches("foo/+", "foo/x/"));
        assert!(matches("foo/+/", "foo/x/"));
        assert!(matches("foo/+/ba*", "foo/x/bar/deep/er"));
        assert!(!matches("foo/+/ba*", "foo/x/car"));
        assert!(matches("+/*", "a/"));
        assert!(!matches("+/*", "a"));
        assert!(
            matches("a+b/c", "a+b/c"),
            "within a segment it is a character"
        );
        assert!(!matches("a+b/c", "axb/c"));
    }

    #[test]
    fn among_patterns_with_one_stem_the_order_is_vaults() {
        for (why, winner, loser) in [
            ("not ending in a star", "a/+/b", "a/+/b*"),
            (
                "not ending in a star, though with more plusses",
                "a/+/+",
                "a/+/b*",
            ),
            ("not ending in a star, against a plain prefix", "a/+", "a/*"),
            ("fewer plusses, though shorter", "a/+/b/c", "a/+/+/ccc"),
            ("fewer plusses: none", "*", "+/*"),
            ("longer, though smaller", "+/+/a/bb*", "+/a/+/b*"),
            ("larger, where all else is equal", "+/b/+", "+/+/b"),
        ] {
            let (winner, loser) = (Pattern::parse(winner), Pattern::parse(loser));
            let (winner, loser) = (winner.unwrap(), loser.unwrap());
            assert_eq!(winner.stem(), loser.stem(), "{why}");
            assert_eq!(winner.compare_priority(&loser), Ordering::Greater, "{why}");
            assert_eq!(loser.compare_priority(&winner), Ordering::Less, "{why}");
        }
    }

    #[test]
    fn plus_star_is_refused() {
        assert!(Pattern::parse("foo/+*").is_err());
        assert!(Pattern::parse("foo/+*/bar").is_err());
    }

    #[test]
    fn what_may_match_below_a_mount_reaches_into_it() {
        let reaches = |pattern, mount| Pattern::parse(pattern).unwrap().reaches_into(mount);
        for pattern in [
            "foo/bar",
            "foo/",
            "foo/*",
            "foo/b*",
            "+",
            "+/*",
            "foo/+",
            "+/data/x",
            "foo/+/+/*",
            "+/da*",
        ] {
            assert!(reaches(pattern, "foo/"), "{pattern}");
        }
        for pattern in ["foo", "*", "bar/*", "fob*", "bar/+", "+bar/x", "bar/+/*"] {
            assert!(!reaches(pattern, "foo/"), "{pattern}");
        }
        assert!(reaches("+/b*", "a/bc/"));
        assert!(reaches("+/bc/d", "a/bc/"));
        assert!(!reaches("+/x", "a/bc/"));
        assert!(!reaches("+", "a/bc/"), "too short");
    }
}
