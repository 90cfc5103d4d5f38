//! Policy texts as users write them, and as nobody should.

use proptest::prelude::*;

use super::{Capabilities, Policy, submitted_text};

fn parse(text: &str) -> Result<Policy, String> {
    Policy::parse("p".parse().unwrap(), text).map_err(|error| error.to_string())
}

#[test]
fn hcl_and_json_say_the_same() {
    let hcl = parse(
        r#"
        # a comment
        path "secret/data/*" { // another
          capabilities = ["read", "list",]
        }
        path "old" { policy = "write" }
        "#,
    )
    .unwrap();
    let json = parse(
        r#"{"path": {"secret/data/*": {"capabilities": ["read", "list"]}, "old": {"policy": "write"}}}"#,
    )
    .unwrap();
    let mut rules = json.rules().to_vec();
    rules.sort_by_key(|rule| rule.capabilities.names().len());
    assert_eq!(hcl.rules(), rules);
    assert!(hcl.rules()[1].capabilities.contains(Capabilities::CREATE));
}

#[test]
fn what_cannot_be_enforced_or_is_unknown_is_refused() {
    for (text, says) in [
        (
            r#"path "x" { capabilities = ["bogus"] }"#,
            r#"path "x": invalid capability "bogus""#,
        ),
        (r#"path "x" { capability = ["read"] }"#, "capability"),
        (r#"paths "x" { capabilities = ["read"] }"#, "paths"),
        (
            r#"path "x" { capabilities = ["read"] control_group = {} }"#,
            "cannot be enforced",
        ),
        (
            r#"path "x" { capabilities = ["read"] mfa_methods = ["a"] }"#,
            "cannot be enforced",
        ),
        (r#"path "x" {"#, "failed to parse policy"),
        (r#"path "a/+*" { capabilities = ["read"] }"#, "+*"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn nesting_and_length_are_bounded() {
    let deep = format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(parse(&deep).is_err());
    let deep = format!(
        "{{\"path\":{}{}}}",
        "{\"a\":".repeat(50_000),
        "}".repeat(50_000)
    );
    assert!(parse(&deep).is_err());
    let long = format!("# {}", "x".repeat(super::MAX_TEXT_BYTES));
    assert!(parse(&long).is_err());
}

#[test]
fn a_text_may_come_in_base64() {
    assert_eq!(submitted_text("cGF0aCAieCIge30=").unwrap(), "path \"x\" {}");
    assert_eq!(submitted_text("path \"x\" {}").unwrap(), "path \"x\" {}");
}

proptest! {
    #[test]
    fn no_text_makes_the_parsers_panic(text: String) {
        let _ = parse(&text);
    }

    #[test]
    fn no_near_miss_makes_the_parsers_panic(text in "[{}\\[\\]\"=,#/*<\\\\a-c \\n0-9.-]{0,60}") {
        let _ = parse(&text);
        let _ = parse(&format!("path \"x\" {{ {text} }}"));
    }
}
