//! One line for each rule of Vault's about which rule of a policy decides.

use std::time::Duration;

use super::{Acl, Operation, Verdict, no_identity, requires_sudo};
use crate::auth::policy::Policy;
use crate::clock::Timestamp;
use crate::fields::Fields;

fn acl(texts: &[&str]) -> Acl {
    let policies: Vec<Policy> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| Policy::parse(format!("p{index}").parse().unwrap(), text).unwrap())
        .collect();
    Acl::compile(&policies, Timestamp(0), &no_identity)
}

fn grants(rules: &[(&str, &str)]) -> String {
    rules
        .iter()
        .map(|(path, capabilities)| {
            let list: Vec<String> = capabilities
                .split(' ')
                .map(|c| format!("\"{c}\""))
                .collect();
            format!(
                "path \"{path}\" {{ capabilities = [{}] }}\n",
                list.join(", ")
            )
        })
        .collect()
}

fn may(acl: &Acl, operation: Operation, path: &str) -> bool {
    acl.check(operation, path, None, None).is_allowed()
}

#[test]
fn only_the_most_specific_rule_decides() {
    // (what it shows, the rules, the path, the rule that decides)
    type Line<'l> = (&'l str, &'l [(&'l str, &'l str)], &'l str, &'l str);
    let table: &[Line<'_>] = &[
        (
            "an exact path beats a prefix",
            &[("a/*", "update"), ("a/b", "read")],
            "a/b",
            "a/b",
        ),
        (
            "an exact path beats a plus",
            &[("a/+", "update"), ("a/b", "read")],
            "a/b",
            "a/b",
        ),
        (
            "the longer prefix wins",
            &[("a/*", "update"), ("a/b*", "read")],
            "a/bc",
            "a/b*",
        ),
        (
            "the later first wildcard wins",
            &[("a/+/c/d", "update"), ("a/b/*", "read")],
            "a/b/c/d",
            "a/b/*",
        ),
        (
            "with the first wildcard at one place, not ending in a star wins",
            &[("a/+/*", "update"), ("a/+/c", "read")],
            "a/b/c",
            "a/+/c",
        ),
        (
            "a plus and a star at one place: the plus does not end in a star",
            &[("a/*", "update"), ("a/+", "read")],
            "a/b",
            "a/+",
        ),
        (
            "fewer plusses win",
            &[("a/+/+", "update"), ("a/+/c", "read")],
            "a/b/c",
            "a/+/c",
        ),
        (
            "the longer one wins",
            &[("a/+/c*", "update"), ("a/+/cd*", "read")],
            "a/b/cde",
            "a/+/cd*",
        ),
        (
            "a star is not aware of segments",
            &[("a/b*", "read")],
            "a/bx/c",
            "a/b*",
        ),
    ];
    for (why, rules, path, decides) in table {
        let acl = acl(&[&grants(rules)]);
        let decision = acl.check(Operation::Read, path, None, None);
        assert_eq!(decision.rule_path(), Some(*decides), "{why}");
        assert!(decision.is_allowed(), "{why}");
        assert!(
            !may(&acl, Operation::Update, path),
            "{why}: less specific rules add nothing"
        );
    }
}

#[test]
fn a_denial_counts_within_its_path_only() {
    let text = grants(&[("a/*", "deny"), ("a/b", "read")]);
    assert!(may(&acl(&[&text]), Operation::Read, "a/b"));
    assert!(!may(&acl(&[&text]), Operation::Read, "a/c"));
    let both = acl(&[
        &grants(&[("a/b", "read")]),
        &grants(&[("a/b", "deny update")]),
    ]);
    let decision = both.check(Operation::Read, "a/b", None, None);
    assert_eq!(decision.verdict(), Verdict::Denied);
    let names: Vec<&str> = decision.policies().map(|name| name.as_str()).collect();
    assert_eq!(names, ["p1"], "the policy that says deny");
}

#[test]
fn the_same_path_in_several_policies_adds_up() {
    let acl = acl(&[&grants(&[("a/b", "read")]), &grants(&[("a/b", "update")])]);
    assert!(may(&acl, Operation::Read, "a/b"));
    assert!(may(&acl, Operation::Update, "a/b"));
    assert_eq!(acl.capabilities("a/b"), ["read", "update"]);
    assert_eq!(acl.capabilities("x"), ["deny"]);
}

#[test]
fn capabilities_imply_nothing() {
    for (granted, denied) in [
        ("read", Operation::List),
        ("update", Operation::Patch),
        ("update", Operation::Create),
        ("create", Operation::Update),
        ("list", Operation::Scan),
        ("sudo", Operation::Read),
    ] {
        let acl = acl(&[&grants(&[("a", granted)])]);
        assert!(!may(&acl, denied, "a"), "{granted} and {denied:?}");
    }
}

#[test]
fn a_list_also_matches_the_rule_without_its_slash() {
    let exact = acl(&[&grants(&[("a/b", "list")])]);
    assert!(may(&exact, Operation::List, "a/b/"));
    let slash = acl(&[&grants(&[("a/b", "deny"), ("a/b/", "list")])]);
    assert!(may(&slash, Operation::List, "a/b/"), "with its slash first");
    let plus = acl(&[&grants(&[("a/+", "list")])]);
    assert!(may(&plus, Operation::List, "a/b/"));
    assert!(!may(&plus, Operation::Read, "a/b/"), "for lists only");
}

#[test]
fn root_may_everything() {
    let root = Acl::root();
    assert!(root.is_root());
    let decision = root.check(Operation::Delete, "sys/anything", None, None);
    assert!(decision.is_allowed() && decision.has_root_privileges());
    assert_eq!(root.capabilities("x"), ["root"]);
}

#[test]
fn sudo_comes_with_the_operations_own_capability() {
    let acl = acl(&[&grants(&[
        ("sys/seal", "update sudo"),
        ("sys/rotate", "update"),
    ])]);
    assert!(
        acl.check(Operation::Update, "sys/seal", None, None)
            .has_root_privileges()
    );
    assert!(
        !acl.check(Operation::Update, "sys/rotate", None, None)
            .has_root_privileges()
    );
    assert!(requires_sudo(Operation::Update, "sys/seal"));
    assert!(requires_sudo(Operation::List, "auth/token/accessors/"));
    assert!(!requires_sudo(Operation::Update, "sys/mounts/a"));
    assert!(requires_sudo(
        Operation::Update,
        "sys/mounts/auth/token/tune"
    ));
}

#[test]
fn parameters_are_weighed() {
    let acl = acl(&[r#"
        path "a" {
          capabilities = ["update"]
          allowed_parameters = { "colour" = ["red", "b*"], "size" = [] }
          required_parameters = ["colour"]
        }
        path "b" {
          capabilities = ["update"]
          denied_parameters = { "admin" = [], "level" = ["9"] }
        }"#]);
    let may = |path, body: &str| {
        let fields = Fields::from_json(body.as_bytes()).unwrap();
        acl.check(Operation::Update, path, Some(&fields), None)
            .is_allowed()
    };
    assert!(may("a", r#"{"colour":"red","size":"any"}"#));
    assert!(may("a", r#"{"colour":"blue"}"#), "a star in a value");
    assert!(!may("a", r#"{"colour":"green"}"#));
    assert!(!may("a", r#"{"size":"any"}"#), "colour is required");
    assert!(!may("a", r#"{"colour":"red","other":1}"#), "not listed");
    assert!(may("b", r#"{"level":"1"}"#));
    assert!(!may("b", r#"{"level":"9"}"#));
    assert!(
        !may("b", r#"{"ADMIN":true}"#),
        "names are compared in lower case"
    );
}

#[test]
fn wrapping_may_be_demanded() {
    let acl = acl(&[r#"path "a" {
        capabilities = ["read"]
        min_wrapping_ttl = "1m"
        max_wrapping_ttl = "1h"
    }"#]);
    let may = |seconds: Option<u64>| {
        acl.check(Operation::Read, "a", None, seconds.map(Duration::from_secs))
            .is_allowed()
    };
    assert!(may(Some(60)) && may(Some(3600)));
    assert!(!may(None) && !may(Some(59)) && !may(Some(3601)));
}

#[test]
fn the_preflight_sees_any_right_below() {
    let acl = acl(&[&grants(&[
        ("secret/data/app/*", "read"),
        ("kv/+/x", "deny"),
        ("+/keys/a", "list"),
    ])]);
    assert!(acl.any_access_under("secret/"));
    assert!(acl.any_access_under("transit/"), "by the plus");
    assert!(!self::acl(&[&grants(&[("kv/+/x", "deny")])]).any_access_under("kv/"));
}

#[test]
fn a_rule_with_a_template_counts_for_nobody_without_identity() {
    let text = grants(&[("secret/{{identity.entity.id}}/*", "read")]);
    assert!(!may(&acl(&[&text]), Operation::Read, "secret/e1/x"));
    let policy = Policy::parse("p".parse().unwrap(), &text).unwrap();
    assert!(policy.is_templated());
    let filled = Acl::compile([&policy], Timestamp(0), &|directive| {
        (directive == "identity.entity.id").then(|| "e1".to_owned())
    });
    assert!(may(&filled, Operation::Read, "secret/e1/x"));
    assert!(!may(&filled, Operation::Read, "secret/e2/x"));
}
