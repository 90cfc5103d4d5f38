//! Service tokens and policies over HTTP and with the CLI.

use serde_json::{Value, json};

use super::support::opened_node;

fn client_token(made: &Value) -> &str {
    made["auth"]["client_token"].as_str().unwrap()
}

#[test]
fn the_initial_root_token_looks_as_vaults_does() {
    let opened = opened_node();
    let token = opened.read("auth/token/lookup-self", 200)["data"].clone();
    for (key, expected) in [
        ("display_name", json!("root")),
        ("path", json!("auth/token/root")),
        ("policies", json!(["root"])),
        ("ttl", json!(0)),
        ("creation_ttl", json!(0)),
        ("explicit_max_ttl", json!(0)),
        ("num_uses", json!(0)),
        ("orphan", json!(true)),
        ("type", json!("service")),
        ("expire_time", Value::Null),
        ("meta", Value::Null),
        ("entity_id", json!("")),
        ("id", json!(opened.root)),
    ] {
        assert_eq!(token[key], expected, "{key} in {token}");
    }
    assert!(token["creation_time"].is_u64(), "{token}");
    assert!(token["accessor"].is_string(), "{token}");
}

#[test]
fn a_made_token_has_what_was_asked_for() {
    let opened = opened_node();
    let body = json!({
        "policies": ["B", "a", "a"], "ttl": "1h", "meta": {"team": "x"}, "display_name": "ci", "num_uses": 0,
        "explicit_max_ttl": "0s", "period": "0s", "type": "service", "renewable": true, "entity_alias": "",
    });
    let made = opened.write("auth/token/create", &body, 200);
    assert_eq!(made["data"], Value::Null);
    let auth = &made["auth"];
    assert_eq!(auth["policies"], json!(["a", "b", "default"]));
    assert_eq!(auth["token_policies"], auth["policies"]);
    assert_eq!(auth["metadata"], json!({"team": "x"}));
    assert_eq!(
        (&auth["lease_duration"], &auth["renewable"]),
        (&json!(3600), &json!(true))
    );
    assert_eq!(
        (&auth["token_type"], &auth["orphan"]),
        (&json!("service"), &json!(false))
    );
    let warnings = made["warnings"].as_array().unwrap();
    assert!(
        warnings
            .iter()
            .any(|w| w.as_str().unwrap().contains("\"a\" does not exist")),
        "{made}"
    );
    let lookup = opened.write(
        "auth/token/lookup",
        &json!({"token": client_token(&made)}),
        200,
    )["data"]
        .clone();
    assert_eq!(lookup["display_name"], "token-ci");
    assert_eq!(lookup["path"], "auth/token/create");
    assert!(
        lookup["expire_time"].is_string() && lookup["issue_time"].is_string(),
        "{lookup}"
    );
    let body = json!({"accessor": lookup["accessor"]});
    let by_accessor = opened.write("auth/token/lookup-accessor", &body, 200);
    assert_eq!(by_accessor["data"]["id"], "");
}

#[test]
fn ttls_are_capped_with_a_warning() {
    let opened = opened_node();
    let made = opened.write(
        "auth/token/create",
        &json!({"ttl": "9999h", "policies": "default"}),
        200,
    );
    assert_eq!(made["auth"]["lease_duration"], 768 * 3600);
    assert!(
        made["warnings"][0].as_str().unwrap().contains("capped"),
        "{made}"
    );
}

#[test]
fn a_token_may_not_give_more_than_it_has() {
    let opened = opened_node();
    let policy = "path \"auth/token/create\" { capabilities = [\"update\"] }";
    opened.write("sys/policies/acl/maker", &json!({ "policy": policy }), 204);
    let made = opened.write("auth/token/create", &json!({"policies": ["maker"]}), 200);
    let create = |body: Value| {
        let request = opened
            .node
            .request("POST", "auth/token/create")
            .token(client_token(&made));
        request.json(&body).send()
    };
    create(json!({})).expect(200);
    create(json!({"policies": ["maker"]})).expect(200);
    create(json!({"policies": ["root"]})).expect(400);
    create(json!({"policies": ["other"]}))
        .expect_error_with(400, "child policies must be subset of parent");
    create(json!({"no_parent": true})).expect_error_with(
        400,
        "root or sudo privileges required to create orphan token",
    );
}

#[test]
fn revoking_takes_the_children_along() {
    let opened = opened_node();
    let policy = "path \"auth/token/create\" { capabilities = [\"update\"] }";
    opened.write("sys/policies/acl/maker", &json!({ "policy": policy }), 204);
    let parent = opened.write("auth/token/create", &json!({"policies": ["maker"]}), 200);
    let as_parent = |method: &str, path: &str| {
        opened
            .node
            .request(method, path)
            .token(client_token(&parent))
    };
    let child = as_parent("POST", "auth/token/create")
        .send()
        .expect(200)
        .json();
    let alive = |token: &Value| {
        let request = opened
            .node
            .request("GET", "auth/token/lookup-self")
            .token(client_token(token));
        request.send().status
    };
    assert_eq!((alive(&parent), alive(&child)), (200, 200));
    let renewed = as_parent("PUT", "auth/token/renew-self")
        .json(&json!({"increment": 0}))
        .send();
    assert_eq!(renewed.expect(200).json()["auth"]["renewable"], true);
    as_parent("PUT", "auth/token/revoke-self")
        .body("null")
        .send()
        .expect(204);
    assert_eq!((alive(&parent), alive(&child)), (403, 403));
    opened.write(
        "auth/token/revoke",
        &json!({"token": client_token(&parent)}),
        204,
    );
    let body = json!({"token": "nothing"});
    let answer = opened
        .request("POST", "auth/token/lookup")
        .json(&body)
        .send();
    answer.expect_error_with(403, "bad token");
}

#[test]
fn uses_run_out() {
    let opened = opened_node();
    let made = opened.write("auth/token/create", &json!({"num_uses": 2}), 200);
    let look = || {
        opened
            .node
            .request("GET", "auth/token/lookup-self")
            .token(client_token(&made))
            .send()
    };
    assert_eq!(look().expect(200).data()["num_uses"], 1);
    assert_eq!(look().expect(200).data()["num_uses"], -1);
    look().expect(403);
}

#[test]
fn policies_grant_and_deny_by_the_most_specific_path() {
    let opened = opened_node();
    let policy = r#"
        path "secret/data/*"           { capabilities = ["create", "read", "update"] }
        path "secret/data/app/private" { capabilities = ["deny"] }
        path "secret/data/+/only-read" { capabilities = ["read"] }
        path "secret/metadata/"        { capabilities = ["list"] }
    "#;
    opened.write("sys/policies/acl/Mixed", &json!({ "policy": policy }), 204);
    assert_eq!(
        opened.read("sys/policies/acl/mixed", 200)["data"]["policy"],
        policy
    );
    let made = opened.write("auth/token/create", &json!({"policies": ["mixed"]}), 200);
    let status = |method: &str, path: &str| {
        let request = opened.node.request(method, path).token(client_token(&made));
        request.json(&json!({"data": {}})).send().status
    };
    assert_eq!(status("POST", "secret/data/app/db"), 200);
    assert_eq!(status("GET", "secret/data/app/db"), 200);
    assert_eq!(status("DELETE", "secret/data/app/db"), 403);
    assert_eq!(status("GET", "secret/data/app/private"), 403);
    assert_eq!(status("POST", "secret/data/app/only-read"), 403);
    assert_eq!(status("GET", "secret/data/app/only-read"), 404);
    assert_eq!(status("LIST", "secret/metadata"), 200);
    assert_eq!(status("GET", "sys/mounts"), 403);
    // A change of the policy takes effect at once.
    let policy = "path \"secret/data/*\" { capabilities = [\"delete\"] }";
    opened.write("sys/policies/acl/mixed", &json!({ "policy": policy }), 204);
    assert_eq!(status("GET", "secret/data/app/db"), 403);
    assert_eq!(status("DELETE", "secret/data/app/db"), 204);
}

#[test]
fn built_in_policies_are_protected() {
    let opened = opened_node();
    let list = opened
        .request("LIST", "sys/policies/acl")
        .send()
        .expect(200)
        .data();
    assert_eq!(list["keys"], json!(["default", "root", "user"]));
    for (method, name, text) in [
        ("DELETE", "root", "cannot delete \"root\" policy"),
        ("DELETE", "default", "cannot delete default policy"),
    ] {
        let answer = opened
            .request(method, &format!("sys/policies/acl/{name}"))
            .send();
        answer.expect_error_with(400, text);
    }
    opened
        .request("GET", "sys/policies/acl/nothing")
        .send()
        .expect_errors(404, &[]);
}

#[test]
fn the_cli_handles_tokens_policies_and_mounts() {
    let opened = opened_node();
    let bao = |arguments: &[&str]| opened.node.bao(Some(&opened.root), arguments);
    bao(&["policy", "list"])
        .expect(0)
        .expect_line("default")
        .expect_line("root");
    let policy = "path \"secret/data/ci/*\" { capabilities = [\"read\"] }";
    opened
        .node
        .bao_with_input(Some(&opened.root), &["policy", "write", "ci", "-"], policy)
        .expect(0);
    bao(&["policy", "read", "ci"]).expect(0).expect_line(policy);
    let made = bao(&["token", "create", "-policy=ci", "-ttl=1h"])
        .expect(0)
        .expect_line("token_renewable true");
    let token = made.value("token");
    bao(&["token", "lookup", &token])
        .expect(0)
        .expect_line("creation_ttl 1h");
    bao(&["token", "capabilities", &token, "secret/data/ci/x"])
        .expect(0)
        .expect_line("read");
    bao(&["token", "renew", &token]).expect(0);
    bao(&["token", "revoke", &token]).expect(0);
    bao(&["token", "lookup", &token]).expect(2);
    bao(&["secrets", "enable", "-path=kv2", "-version=2", "kv"]).expect(0);
    bao(&["secrets", "list"])
        .expect(0)
        .expect_line("Path Type Accessor Description");
    bao(&["kv", "put", "kv2/x", "a=b"]).expect(0);
    bao(&["secrets", "enable", "-path=kv2", "kv"])
        .expect(2)
        .expect_error("path is already in use at kv2/");
    bao(&["secrets", "disable", "kv2"]).expect(0);
    bao(&["kv", "get", "kv2/x"]).expect(2);
    bao(&["policy", "delete", "ci"]).expect(0);
}

#[test]
fn explain_says_which_rule_decides() {
    let opened = opened_node();
    let policy = "path \"secret/data/app/*\" { capabilities = [\"read\"] }\n\
                  path \"secret/data/app/closed\" { capabilities = [\"deny\"] }";
    opened.write("sys/policies/acl/app", &json!({ "policy": policy }), 204);
    let made = opened.write("auth/token/create", &json!({"policies": ["app"]}), 200);
    let file = opened.node.folder().join("token");
    std::fs::write(&file, client_token(&made)).unwrap();
    let explain = |path: &str, operation: &str| {
        let arguments = [
            "policy",
            "explain",
            "--path",
            path,
            "--operation",
            operation,
        ];
        let mut arguments = arguments.to_vec();
        arguments.extend(["--token-file", "token"]);
        opened.node.conclave(Some(&opened.root), &arguments)
    };
    let granted = explain("secret/data/app/one", "read").expect(0);
    assert_eq!(granted.value("allowed"), "yes");
    assert_eq!(granted.value("rule"), "secret/data/app/*");
    assert_eq!(granted.value("policies"), "app");
    let lacking = explain("secret/data/app/one", "update").expect(0);
    assert_eq!(lacking.value("allowed"), "no");
    assert!(lacking.value("reason").contains("most specific"));
    let denied = explain("secret/data/app/closed", "read").expect(0);
    assert!(denied.value("reason").contains("deny"));
    let unknown = explain("elsewhere", "read").expect(0);
    assert!(unknown.value("reason").contains("no rule"));
    let guarded = explain("auth/token/accessors/", "list").expect(0);
    assert_eq!(guarded.value("allowed"), "no");
    explain("a", "eat")
        .expect(2)
        .expect_error("operation must be");
    // Whoever may not ask is told nothing.
    let arguments = ["policy", "explain", "--path", "a", "--operation", "read"];
    let asked = opened.node.conclave(Some(client_token(&made)), &arguments);
    asked.expect(2).expect_error("permission denied");
}
