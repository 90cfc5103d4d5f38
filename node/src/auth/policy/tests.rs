//! Policy texts as users write them, and as nobody should.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;

fn parse(text: &str) -> Result<Policy, String> {
    Policy::parse("test".parse().unwrap(), text).map_err(|error| error.to_string())
}

fn rule(text: &str) -> Rule {
    let policy = parse(text).unwrap();
    assert_eq!(policy.rules().len(), 1, "{text}");
    policy.rules()[0].clone()
}

/// What a rule with this body is refused with, without the common beginning.
fn refusal(body: &str) -> String {
    let error = parse(&format!("path \"x\" {{\n{body}\n}}")).unwrap_err();
    error
        .strip_prefix("failed to parse policy: path \"x\": ")
        .unwrap_or_else(|| panic!("{error}"))
        .to_owned()
}

#[test]
fn every_notation_of_paths_says_the_same() {
    let expected = parse(r#"path "a/*" { capabilities = ["read"] } path "b" { policy = "deny" }"#);
    for text in [
        r#"path = { "a/*" = { capabilities = ["read"] }, "b" = { policy = "deny" } }"#,
        r#"path = { "a/*" { capabilities = ["read"] } "b" { policy = "deny" } }"#,
        r#"path = [{ "a/*" = { capabilities = ["read"] } }, { "b" = { policy = "deny" } }]"#,
        r#"path { "/a/*" { capabilities = ["read"] } "b" { capabilities = ["deny", "read"] } }"#,
        r#"{"path":{"a/*":{"capabilities":["read"]},"b":{"policy":"deny"}}}"#,
        r#" {"path":[{"a/*":{"capabilities":["read"]}},{"b":{"capabilities":["deny"]}}]}"#,
        r#"{"path":{"a/*":[{"capabilities":["read"]}],"b":[{"policy":"deny"}]}, "name":"n"}"#,
    ] {
        assert_eq!(parse(text), expected, "{text}");
    }
}

#[test]
fn every_key_is_read() {
    let rule = rule(
        r#"
        name = "ignored"
        path "secret/data/*" {
            comment = "why"
            policy = "read"
            capabilities = ["update"]
            allowed_parameters = { "Colour" = ["red", 5, true], "*" = [] }
            denied_parameters { "size" = [] }
            required_parameters = ["Colour"]
            min_wrapping_ttl = "1m"
            max_wrapping_ttl = 3600
            pagination_limit = 50
            expiration = "2030-01-02T03:04:05Z"
            mfa_methods = []
        }"#,
    );
    assert_eq!(rule.capabilities.names(), ["list", "read", "update"]);
    let demands = &rule.restrictions;
    let names: Vec<&str> = demands
        .allowed_parameters
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(names, ["*", "colour"], "in lower case");
    assert_eq!(demands.allowed_parameters["colour"].len(), 3);
    assert!(demands.denied_parameters["size"].is_empty());
    assert_eq!(demands.required_parameters, ["colour"]);
    assert_eq!(demands.min_wrapping_ttl, Some(Duration::from_secs(60)));
    assert_eq!(demands.max_wrapping_ttl, Some(Duration::from_secs(3600)));
    assert_eq!(demands.pagination_limit, Some(50));
    assert_eq!(
        rule.expires_at,
        Some(Timestamp::from_unix_seconds(1_893_553_445))
    );
}

#[test]
fn settings_that_say_nothing_demand_nothing() {
    let rule = rule(
        r#"path "x" {
            policy = ""
            capabilities = []
            min_wrapping_ttl = "0s"
            max_wrapping_ttl = 0
            pagination_limit = 0
            expiration = ""
        }"#,
    );
    assert_eq!(rule.capabilities, Capabilities::NONE);
    assert!(rule.restrictions.is_empty());
    assert_eq!(rule.expires_at, None);
}

#[test]
fn deny_stands_alone() {
    let rule = rule(
        r#"path "x" {
            capabilities = ["read", "deny", "sudo"]
            required_parameters = ["a"]
        }"#,
    );
    assert_eq!(rule.capabilities, Capabilities::DENY);
    assert!(rule.restrictions.is_empty());
}

#[test]
fn a_rule_that_cannot_be_kept_is_refused() {
    for (body, refused) in [
        (
            r#"capabilities = ["read", "bogus"]"#,
            r#"invalid capability "bogus""#,
        ),
        (r#"capabilities = ["Read"]"#, r#"invalid capability "Read""#),
        (
            r#"capabilities = ["subscribe"]"#,
            r#"invalid capability "subscribe""#,
        ),
        (
            r#"capabilities = "read""#,
            "capabilities must be a list of strings",
        ),
        (
            "capabilities = [1]",
            "an element of capabilities must be a string",
        ),
        (r#"policy = "admin""#, r#"invalid policy "admin""#),
        ("\ncapability = []", r#"invalid key "capability" on line 3"#),
        (
            "Capabilities = []",
            r#"invalid key "Capabilities" on line 2"#,
        ),
        (
            r#"capabilities "x" {}"#,
            "capabilities takes no label on line 2",
        ),
        (
            "capabilities = []\ncapabilities = []",
            r#"The argument "capabilities" was already set. Each argument can only be defined once"#,
        ),
        ("comment = 5", "comment must be a string"),
        (
            r#"allowed_parameters = ["a"]"#,
            "allowed_parameters must map names to lists of values",
        ),
        (
            r#"denied_parameters = { "a" = "b" }"#,
            r#"denied_parameters: the values of "a" must be a list"#,
        ),
        (
            r#"denied_parameters = { "a" = [], "A" = ["x"] }"#,
            r#"denied_parameters: "a" is given twice"#,
        ),
        (
            r#"required_parameters = "a""#,
            "required_parameters must be a list of strings",
        ),
        (
            "min_wrapping_ttl = 1.5",
            "error parsing min_wrapping_ttl: must be a duration",
        ),
        (
            r#"max_wrapping_ttl = "1w""#,
            r#"error parsing max_wrapping_ttl: "1w" is no duration"#,
        ),
        (
            "max_wrapping_ttl = -5",
            r#"error parsing max_wrapping_ttl: "-5" is no duration"#,
        ),
        (
            "min_wrapping_ttl = 10\nmax_wrapping_ttl = 5",
            "max_wrapping_ttl cannot be less than min_wrapping_ttl",
        ),
        (
            "pagination_limit = -1",
            "pagination_limit must be a whole number, zero or more",
        ),
        (
            r#"expiration = "tomorrow""#,
            "invalid expiration time: could not parse string as date and time",
        ),
        (
            r#"mfa_methods = ["totp"]"#,
            "mfa_methods cannot be enforced by this server on line 2; remove it to use the policy",
        ),
        (
            "control_group = {}",
            "control_group cannot be enforced by this server on line 2; remove it to use the policy",
        ),
        (
            r#"list_scan_response_keys_filter_path = "x""#,
            "list_scan_response_keys_filter_path cannot be enforced by this server on line 2; \
             remove it to use the policy",
        ),
    ] {
        assert_eq!(refusal(body), refused, "{body}");
    }
}

#[test]
fn a_policy_has_room_for_so_many_rules() {
    let rules = |count: usize| {
        let text: String = (0..count)
            .map(|number| format!("path \"{number}\" {{}}\n"))
            .collect();
        Policy::parse("p".parse().unwrap(), &text)
    };
    assert_eq!(rules(MAX_RULES).unwrap().rules().len(), MAX_RULES);
    assert!(rules(MAX_RULES + 1).is_err());
}

#[test]
fn a_document_that_is_no_policy_is_refused() {
    let long = "#".repeat(MAX_TEXT_BYTES + 1);
    for (text, part) in [
        (
            "paths \"x\" {}",
            "failed to parse policy: invalid key \"paths\" on line 1",
        ),
        (
            "{\"policy\":1}",
            "failed to parse policy: invalid key \"policy\"",
        ),
        ("name = 5", "name must be a string on line 1"),
        ("path \"x\" \"y\" {}", "path takes one label on line 1"),
        (
            "path = \"x\"",
            "path must hold objects, one for each path on line 1",
        ),
        ("path { \"x\" = 1 }", "path \"x\": must be an object"),
        (
            "path \"x\" { capabilities = [\"read\"]",
            "At 1:35: expected a key or '}'",
        ),
        ("{\"path\":", "failed to parse policy: EOF while parsing"),
        ("[]", "At 1:1: expected a key"),
        (
            "path \"a/+*\" {}",
            "path \"a/+*\": invalid use of wildcards ('+*' is forbidden)",
        ),
        ("path \"a/{{x\" {}", "unbalanced templating characters"),
        (long.as_str(), "the text is longer than 524288 bytes"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.starts_with("failed to parse policy: "), "{error}");
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn no_text_can_be_called_root() {
    for text in ["", "path \"*\" { policy = \"sudo\" }"] {
        let refused = Policy::parse(PolicyName::root(), text).unwrap_err();
        assert_eq!(refused.to_string(), "cannot update \"root\" policy");
    }
    assert!(Policy::root().name().is_root());
}

#[test]
fn texts_come_plain_or_in_base64() {
    let text = "path \"x\" { policy = \"read\" }";
    assert_eq!(submitted_text(text).unwrap(), text);
    assert_eq!(submitted_text(&STANDARD.encode(text)).unwrap(), text);
    assert!(submitted_text("//79").is_err(), "base64 of no UTF-8");
}

#[test]
fn nesting_is_bounded_in_both_notations() {
    let lists = format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let objects = format!(
        "{{\"path\":{}0{}}}",
        "{\"a\":".repeat(50_000),
        "}".repeat(50_000)
    );
    for text in [lists, objects] {
        assert!(parse(&text).unwrap_err().contains("nested more than"));
    }
}

proptest! {
    #[test]
    fn no_near_miss_makes_it_panic(text in "[{}\\[\\]\"=,#/*<\\\\a-c \\n0-9.-]{0,60}") {
        let _ = parse(&text);
        let _ = parse(&format!("path \"x\" {{ {text} }}"));
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\{?(path|\"[a+*{}]{0,4}\"|[={}\\[\\],:]|capabilities|\"read\"|5| ){0,30}") {
        let _ = parse(&text);
    }

    #[test]
    fn refusals_are_the_users_fault(text: String) {
        if let Err(error) = Policy::parse("test".parse().unwrap(), &text) {
            let is_invalid = matches!(error, Error::Invalid { .. });
            prop_assert!(is_invalid);
        }
    }
}
