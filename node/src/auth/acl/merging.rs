//! Tests of what several policies say together about one path, of demands beyond capabilities, and of the views.

use std::time::Duration;

use serde_json::json;

use super::{Acl, Operation, Verdict, no_identity};
use crate::auth::policy::Policy;
use crate::clock::Timestamp;
use crate::fields::Fields;

fn policies(texts: &[&str]) -> Vec<Policy> {
    texts
        .iter()
        .enumerate()
        .map(|(index, text)| Policy::parse(format!("p{index}").parse().unwrap(), text).unwrap())
        .collect()
}

fn acl(texts: &[&str]) -> Acl {
    Acl::compile(&policies(texts), Timestamp(0), &no_identity)
}

fn verdict(acl: &Acl, operation: Operation, body: &str) -> Verdict {
    let fields = Fields::from_json(body.as_bytes()).unwrap();
    acl.check(operation, "a", Some(&fields), None).verdict()
}

const ALLOWED: Verdict = Verdict::Allowed { page_size: None };

#[test]
fn the_verdict_and_its_policies_say_why() {
    let acl = acl(&[
        r#"path "a" { capabilities = ["read"] } path "x/*" { capabilities = ["deny"] }"#,
        r#"path "a" { capabilities = ["update", "sudo"] }"#,
        r#"path "a" { capabilities = ["update"] }"#,
    ]);
    for (operation, path, verdict, rule, names) in [
        (Operation::Read, "a", ALLOWED, Some("a"), vec!["p0"]),
        (Operation::Update, "a", ALLOWED, Some("a"), vec!["p1", "p2"]),
        (
            Operation::Delete,
            "a",
            Verdict::MissingCapability,
            Some("a"),
            vec!["p0", "p1", "p2"],
        ),
        (
            Operation::Read,
            "x/y",
            Verdict::Denied,
            Some("x/*"),
            vec!["p0"],
        ),
        (Operation::Read, "y", Verdict::NoRule, None, vec![]),
        (Operation::Help, "y", ALLOWED, None, vec![]),
        (Operation::Help, "x/y", ALLOWED, None, vec![]),
    ] {
        let decision = acl.check(operation, path, None, None);
        let decided: Vec<&str> = decision.policies().map(|name| name.as_str()).collect();
        assert_eq!(
            (decision.verdict(), decision.rule_path(), decided),
            (verdict, rule, names),
            "{operation:?} {path}"
        );
    }
    let root = Acl::root();
    let decision = root.check(Operation::Read, "y", None, None);
    let names: Vec<&str> = decision.policies().map(|name| name.as_str()).collect();
    assert_eq!(names, ["root"]);
}

#[test]
fn root_among_the_policies_is_root() {
    let mut policies = policies(&[r#"path "*" { capabilities = ["deny"] }"#]);
    policies.push(Policy::root());
    assert!(Acl::compile(&policies, Timestamp(0), &no_identity).is_root());
}

#[test]
fn parameters_of_several_policies_are_merged() {
    let acl = acl(&[
        r#"path "a" {
            capabilities = ["update"]
            allowed_parameters = { "one" = ["x"], "two" = ["x"] }
            required_parameters = ["one"]
        }"#,
        r#"path "a" {
            capabilities = ["update"]
            allowed_parameters = { "one" = ["y"], "two" = [], "three" = [] }
            denied_parameters = { "three" = ["bad*"] }
            required_parameters = ["one", "two"]
        }"#,
    ]);
    for (body, expected) in [
        (r#"{"one":"x","two":"x"}"#, ALLOWED),
        (r#"{"one":"y","two":"any"}"#, ALLOWED),
        (r#"{"one":"z","two":"x"}"#, Verdict::Parameters),
        (r#"{"one":"x"}"#, Verdict::Parameters),
        (r#"{"one":"x","two":"x","three":"good"}"#, ALLOWED),
        (
            r#"{"one":"x","two":"x","three":"bad one"}"#,
            Verdict::Parameters,
        ),
        (r#"{"one":"x","two":"x","four":1}"#, Verdict::Parameters),
    ] {
        assert_eq!(verdict(&acl, Operation::Update, body), expected, "{body}");
    }
}

#[test]
fn a_denial_wipes_the_demands_too() {
    let demands = r#"path "a" { capabilities = ["read"] required_parameters = ["x"] }"#;
    let denial = r#"path "a" { capabilities = ["deny"] }"#;
    for texts in [[demands, denial], [denial, demands]] {
        assert_eq!(
            verdict(&acl(&texts), Operation::Read, "{}"),
            Verdict::Denied
        );
    }
}

#[test]
fn parameters_count_for_reads_and_writes_only() {
    let acl = acl(&[r#"path "a" {
        capabilities = ["create", "read", "update", "patch", "delete", "list", "scan"]
        required_parameters = ["x"]
    }"#]);
    for operation in [
        Operation::Create,
        Operation::Read,
        Operation::Update,
        Operation::Patch,
    ] {
        assert_eq!(
            verdict(&acl, operation, "{}"),
            Verdict::Parameters,
            "{operation:?}"
        );
        assert_eq!(
            verdict(&acl, operation, r#"{"x":null}"#),
            ALLOWED,
            "{operation:?}"
        );
        let without = acl.check(operation, "a", None, None).verdict();
        assert_eq!(without, Verdict::Parameters, "{operation:?}");
        assert_eq!(
            verdict(&acl, operation, r#"{"X":1}"#),
            Verdict::Parameters,
            "engines look for the lower-case name"
        );
    }
    for operation in [Operation::Delete, Operation::List, Operation::Scan] {
        assert_eq!(verdict(&acl, operation, "{}"), ALLOWED, "{operation:?}");
    }
}

#[test]
fn a_star_stands_for_all_parameters() {
    let denied =
        acl(&[r#"path "a" { capabilities = ["update"] denied_parameters = { "*" = [] } }"#]);
    assert_eq!(verdict(&denied, Operation::Update, "{}"), ALLOWED);
    assert_eq!(
        verdict(&denied, Operation::Update, r#"{"x":1}"#),
        Verdict::Parameters
    );
    let others = acl(&[r#"path "a" {
        capabilities = ["update"]
        allowed_parameters = { "x" = [1], "*" = [] }
    }"#]);
    assert_eq!(
        verdict(&others, Operation::Update, r#"{"y":9,"x":"1"}"#),
        ALLOWED
    );
    assert_eq!(
        verdict(&others, Operation::Update, r#"{"y":9,"x":2}"#),
        Verdict::Parameters
    );
}

#[test]
fn a_denied_value_hides_in_no_other_type_and_no_list() {
    let acl = acl(&[r#"path "a" {
        capabilities = ["update"]
        denied_parameters = { "exportable" = [true], "policies" = ["admin"], "size" = [9] }
    }"#]);
    for body in [
        r#"{"exportable":true}"#,
        r#"{"exportable":"true"}"#,
        r#"{"exportable":1}"#,
        r#"{"EXPORTABLE":"T"}"#,
        r#"{"policies":"admin"}"#,
        r#"{"policies":["x","admin"]}"#,
        r#"{"size":"9"}"#,
        r#"{"size":9.0}"#,
    ] {
        assert_eq!(
            verdict(&acl, Operation::Update, body),
            Verdict::Parameters,
            "{body}"
        );
    }
    let body = r#"{"exportable":false,"policies":["x"],"size":8}"#;
    assert_eq!(verdict(&acl, Operation::Update, body), ALLOWED);
}

#[test]
fn the_smaller_wrapping_bounds_count_and_may_exclude_each_other() {
    let first =
        r#"path "a" { capabilities = ["read"] min_wrapping_ttl = 60 max_wrapping_ttl = 600 }"#;
    let second =
        r#"path "a" { capabilities = ["read"] min_wrapping_ttl = 10 max_wrapping_ttl = 90 }"#;
    let third = r#"path "a" { capabilities = ["read"] max_wrapping_ttl = 5 }"#;
    let may = |texts: &[&str], seconds| {
        acl(texts)
            .check(
                Operation::Read,
                "a",
                None,
                Some(Duration::from_secs(seconds)),
            )
            .is_allowed()
    };
    for (seconds, allowed) in [(9, false), (10, true), (90, true), (91, false)] {
        assert_eq!(may(&[first, second], seconds), allowed, "{seconds}");
    }
    for seconds in [1, 5, 10, 60] {
        assert!(!may(&[first, second, third], seconds), "{seconds}");
    }
}

#[test]
fn pages_are_limited_to_the_smallest_limit() {
    let acl = acl(&[
        r#"path "a" { capabilities = ["list", "read"] pagination_limit = 100 }"#,
        r#"path "a" { capabilities = ["scan"] pagination_limit = 20 }"#,
        r#"path "a" { capabilities = ["scan"] }"#,
    ]);
    let page = |page_size| Verdict::Allowed { page_size };
    for (query, expected) in [
        ("{}", page(Some(20))),
        (r#"{"limit":"5"}"#, page(Some(5))),
        (r#"{"limit":"20"}"#, page(Some(20))),
        (r#"{"limit":"0"}"#, page(Some(20))),
        (r#"{"limit":"max"}"#, page(Some(20))),
        (r#"{"limit":""}"#, page(Some(20))),
        (r#"{"limit":"21"}"#, Verdict::Parameters),
        (r#"{"limit":"-1"}"#, Verdict::Parameters),
        (r#"{"limit":"many"}"#, Verdict::Parameters),
    ] {
        assert_eq!(verdict(&acl, Operation::List, query), expected, "{query}");
        assert_eq!(verdict(&acl, Operation::Scan, query), expected, "{query}");
    }
    assert_eq!(verdict(&acl, Operation::Read, "{}"), ALLOWED);
    let must_ask = self::acl(&[r#"path "a" {
        capabilities = ["list"]
        pagination_limit = 20
        required_parameters = ["limit"]
    }"#]);
    assert_eq!(
        verdict(&must_ask, Operation::List, "{}"),
        Verdict::Parameters
    );
    assert_eq!(
        verdict(&must_ask, Operation::List, r#"{"limit":"max"}"#),
        page(Some(20))
    );
}

#[test]
fn a_rule_ends_at_its_expiration() {
    let policies = policies(&[
        r#"path "a" { capabilities = ["read"] expiration = "100" }"#,
        r#"path "a" { capabilities = ["update"] expiration = "1970-01-01T00:03:20Z" }"#,
        r#"path "b" { capabilities = ["read"] }"#,
    ]);
    let at = |seconds| {
        let now = Timestamp::from_unix_seconds(seconds);
        let acl = Acl::compile(&policies, now, &no_identity);
        (
            acl.capabilities("a"),
            acl.expires_at().map(Timestamp::unix_seconds),
        )
    };
    assert_eq!(at(0), (vec!["read", "update"], Some(100)));
    assert_eq!(at(99), (vec!["read", "update"], Some(100)));
    assert_eq!(at(100), (vec!["update"], Some(200)));
    assert_eq!(at(200), (vec!["deny"], None));
}

#[test]
fn capabilities_are_asked_as_for_a_folder() {
    let acl = acl(&[r#"
        path "a/b" { capabilities = ["list", "create"] }
        path "a/*" { capabilities = ["sudo", "read"] }
        path "n"   { capabilities = [] }
    "#]);
    assert_eq!(acl.capabilities("a/b"), ["create", "list"]);
    assert_eq!(acl.capabilities("a/b/"), ["create", "list"]);
    assert_eq!(acl.capabilities("a/c"), ["read", "sudo"]);
    assert_eq!(
        acl.capabilities("n"),
        ["deny"],
        "a rule that grants nothing"
    );
}

#[test]
fn a_preflight_is_not_misled_by_a_rule_for_the_mount_itself() {
    let may = |text: &str| acl(&[text]).any_access_under("kv/");
    assert!(may(r#"path "k*" { policy = "read" }"#));
    assert!(may(
        r#"path "kv" { policy = "deny" } path "k*" { policy = "read" }"#
    ));
    assert!(may(
        r#"path "kv/*" { policy = "deny" } path "kv/a/b" { policy = "read" }"#
    ));
    assert!(may(
        r#"path "+/+" { policy = "deny" } path "*" { policy = "read" }"#
    ));
    assert!(!may(
        r#"path "kv/*" { policy = "deny" } path "*" { policy = "read" }"#
    ));
    assert!(!may(r#"path "kw/*" { policy = "read" }"#));
    assert!(!may(r#"path "kv/a" { capabilities = [] }"#));
    assert!(!acl(&[]).any_access_under("kv/"));
    assert!(Acl::root().any_access_under("kv/"));
}

#[test]
fn the_resultant_rules_are_shown_as_user_interfaces_read_them() {
    let acl = acl(&[r#"
        path "a" {
            capabilities = ["update", "create"]
            allowed_parameters = { "Colour" = ["red", 5] }
            required_parameters = ["colour"]
            min_wrapping_ttl = "1m"
        }
        path "b/*"   { capabilities = ["read"] }
        path "+/c/*" { capabilities = ["deny"] }
    "#]);
    assert_eq!(
        serde_json::to_value(acl.resultant()).unwrap(),
        json!({
            "root": false,
            "exact_paths": {
                "a": {
                    "capabilities": ["create", "update"],
                    "allowed_parameters": {"colour": ["red", 5]},
                    "required_parameters": ["colour"],
                    "min_wrapping_ttl": 60,
                },
            },
            "glob_paths": {
                "b/": {"capabilities": ["read"]},
                "+/c/*": {"capabilities": ["deny"]},
            },
        })
    );
    let root = serde_json::to_value(Acl::root().resultant()).unwrap();
    assert_eq!(root, json!({"root": true}));
}
