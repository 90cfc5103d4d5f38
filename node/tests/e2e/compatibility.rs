//! The README's compatibility table: each route is asked once, and the table is what came back.
//!
//! `CONCLAVE_TEST_UPDATE_README=1 cargo test --test e2e compatibility` writes the table; without it, a README that says
//! something else than this run fails.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::support::{Opened, base64, opened_node};

const BEGIN: &str = "<!-- compatibility: written by the end-to-end tests -->";
const END: &str = "<!-- /compatibility -->";

/// A group of routes, in the order in which they must be asked.
struct Group {
    title: &'static str,
    routes: Vec<Route>,
}

/// One request, as the table shows it and as it is sent.
struct Route {
    method: &'static str,
    /// With `:name` where `path` has a name.
    shown: &'static str,
    path: &'static str,
    body: Value,
    status: u16,
}

fn route(
    method: &'static str,
    shown: &'static str,
    path: &'static str,
    body: Value,
    status: u16,
) -> Route {
    Route {
        method,
        shown,
        path,
        body,
        status,
    }
}

fn read(shown: &'static str, path: &'static str) -> Route {
    route("GET", shown, path, Value::Null, 200)
}

fn list(shown: &'static str, path: &'static str) -> Route {
    route("LIST", shown, path, Value::Null, 200)
}

fn write(shown: &'static str, path: &'static str, body: Value, status: u16) -> Route {
    route("POST", shown, path, body, status)
}

fn delete(shown: &'static str, path: &'static str) -> Route {
    route("DELETE", shown, path, Value::Null, 204)
}

fn system() -> Group {
    let policy = json!({"policy": "path \"x\" { capabilities = [\"read\"] }"});
    Group {
        title: "System",
        routes: vec![
            read("sys/seal-status", "sys/seal-status"),
            read("sys/health", "sys/health"),
            route("HEAD", "sys/health", "sys/health", Value::Null, 200),
            read("sys/leader", "sys/leader"),
            read("sys/init", "sys/init"),
            read("sys/mounts", "sys/mounts"),
            write(
                "sys/mounts/:path",
                "sys/mounts/more",
                json!({"type": "kv", "options": {"version": "2"}}),
                204,
            ),
            read("sys/mounts/:path", "sys/mounts/more"),
            read("sys/mounts/:path/tune", "sys/mounts/more/tune"),
            write(
                "sys/mounts/:path/tune",
                "sys/mounts/more/tune",
                json!({"default_lease_ttl": "1h"}),
                204,
            ),
            delete("sys/mounts/:path", "sys/mounts/more"),
            write(
                "sys/policies/acl/:name",
                "sys/policies/acl/p",
                policy.clone(),
                204,
            ),
            read("sys/policies/acl/:name", "sys/policies/acl/p"),
            list("sys/policies/acl", "sys/policies/acl"),
            delete("sys/policies/acl/:name", "sys/policies/acl/p"),
            write("sys/policy/:name", "sys/policy/p", policy, 204),
            read("sys/policy/:name", "sys/policy/p"),
            read("sys/policy", "sys/policy"),
            delete("sys/policy/:name", "sys/policy/p"),
            write(
                "sys/capabilities-self",
                "sys/capabilities-self",
                json!({"paths": ["secret/data/x"]}),
                200,
            ),
            read("sys/internal/ui/mounts", "sys/internal/ui/mounts"),
            read(
                "sys/internal/ui/mounts/:path",
                "sys/internal/ui/mounts/secret",
            ),
            read(
                "sys/internal/ui/resultant-acl",
                "sys/internal/ui/resultant-acl",
            ),
        ],
    }
}

fn tokens() -> Group {
    Group {
        title: "Tokens",
        routes: vec![
            write(
                "auth/token/create",
                "auth/token/create",
                json!({"id": "8a1ec3a0-d2f5-4b7c-9e6d-3f21ab54c0de-77", "policies": "default"}),
                200,
            ),
            write(
                "auth/token/create-orphan",
                "auth/token/create-orphan",
                json!({}),
                200,
            ),
            read("auth/token/lookup-self", "auth/token/lookup-self"),
            write(
                "auth/token/lookup",
                "auth/token/lookup",
                json!({"token": "8a1ec3a0-d2f5-4b7c-9e6d-3f21ab54c0de-77"}),
                200,
            ),
            list("auth/token/accessors", "auth/token/accessors"),
            write(
                "auth/token/renew",
                "auth/token/renew",
                json!({"token": "8a1ec3a0-d2f5-4b7c-9e6d-3f21ab54c0de-77"}),
                200,
            ),
            write(
                "auth/token/revoke",
                "auth/token/revoke",
                json!({"token": "8a1ec3a0-d2f5-4b7c-9e6d-3f21ab54c0de-77"}),
                204,
            ),
        ],
    }
}

fn key_value() -> Group {
    Group {
        title: "KV version 2 (`secret/`)",
        routes: vec![
            write(
                "secret/config",
                "secret/config",
                json!({"max_versions": 5}),
                204,
            ),
            read("secret/config", "secret/config"),
            write(
                "secret/data/:path",
                "secret/data/a",
                json!({"data": {"k": "v"}}),
                200,
            ),
            write(
                "secret/data/:path (cas)",
                "secret/data/a",
                json!({"data": {}, "options": {"cas": 1}}),
                200,
            ),
            route(
                "PATCH",
                "secret/data/:path",
                "secret/data/a",
                json!({"data": {"k": "v"}}),
                200,
            ),
            read("secret/data/:path", "secret/data/a"),
            read("secret/data/:path?version=", "secret/data/a?version=1"),
            read("secret/subkeys/:path", "secret/subkeys/a"),
            delete("secret/data/:path", "secret/data/a"),
            write(
                "secret/undelete/:path",
                "secret/undelete/a",
                json!({"versions": [3]}),
                204,
            ),
            write(
                "secret/delete/:path",
                "secret/delete/a",
                json!({"versions": [1]}),
                204,
            ),
            write(
                "secret/destroy/:path",
                "secret/destroy/a",
                json!({"versions": [1]}),
                204,
            ),
            write(
                "secret/metadata/:path",
                "secret/metadata/a",
                json!({"custom_metadata": {"a": "b"}}),
                204,
            ),
            route(
                "PATCH",
                "secret/metadata/:path",
                "secret/metadata/a",
                json!({"max_versions": 3}),
                204,
            ),
            read("secret/metadata/:path", "secret/metadata/a"),
            list("secret/metadata/:path", "secret/metadata"),
            delete("secret/metadata/:path", "secret/metadata/a"),
        ],
    }
}

fn transit(ciphertext: &str) -> Group {
    let sealed = json!({ "ciphertext": ciphertext });
    Group {
        title: "Transit (`transit/`)",
        routes: vec![
            write("transit/keys/:name", "transit/keys/k", json!({}), 200),
            read("transit/keys/:name", "transit/keys/k"),
            list("transit/keys", "transit/keys"),
            write(
                "transit/keys/:name/config",
                "transit/keys/k/config",
                json!({"deletion_allowed": true}),
                200,
            ),
            write(
                "transit/encrypt/:name",
                "transit/encrypt/k",
                json!({"plaintext": base64("x")}),
                200,
            ),
            write(
                "transit/encrypt/:name (batch)",
                "transit/encrypt/k",
                json!({"batch_input": [{"plaintext": base64("x")}]}),
                200,
            ),
            write(
                "transit/decrypt/:name",
                "transit/decrypt/known",
                sealed.clone(),
                200,
            ),
            write(
                "transit/keys/:name/rotate",
                "transit/keys/known/rotate",
                json!({}),
                200,
            ),
            write("transit/rewrap/:name", "transit/rewrap/known", sealed, 200),
            write(
                "transit/datakey/plaintext/:name",
                "transit/datakey/plaintext/k",
                json!({}),
                200,
            ),
            write(
                "transit/datakey/wrapped/:name",
                "transit/datakey/wrapped/k",
                json!({}),
                200,
            ),
            write("transit/random/:bytes", "transit/random/16", json!({}), 200),
            delete("transit/keys/:name", "transit/keys/k"),
        ],
    }
}

fn ending() -> Group {
    Group {
        title: "Seal",
        routes: vec![
            write(
                "auth/token/revoke-self",
                "auth/token/revoke-self",
                json!({}),
                204,
            ),
            write("sys/seal", "sys/seal", json!({}), 204),
            write("sys/unseal", "sys/unseal", json!({"reset": true}), 200),
        ],
    }
}

/// Asks each route and describes it in a row.
fn ask(opened: &Opened, group: &Group, rows: &mut String) {
    for route in &group.routes {
        let mut request = opened
            .node
            .request(route.method, route.path)
            .token(&opened.root);
        if route.path == "auth/token/revoke-self" {
            let made = opened.write("auth/token/create", &json!({}), 200);
            let token = made["auth"]["client_token"].as_str().unwrap();
            request = opened.node.request(route.method, route.path).token(token);
        }
        if !route.body.is_null() {
            request = request.json(&route.body);
        }
        if route.method == "PATCH" {
            request = request.header("Content-Type", "application/merge-patch+json");
        }
        let answer = request.send();
        let Route { method, shown, .. } = route;
        assert_eq!(
            answer.status, route.status,
            "{method} {shown}: {}",
            answer.body
        );
        writeln!(
            rows,
            "| {} | {method} | `{shown}` | {} |",
            group.title, answer.status
        )
        .unwrap();
    }
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "a switch for whoever writes the README"
)]
fn the_readme_says_what_this_run_found() {
    let opened = opened_node();
    opened.write("transit/keys/known", &json!({}), 200);
    let encrypted = opened.write(
        "transit/encrypt/known",
        &json!({"plaintext": base64("x")}),
        200,
    );
    let ciphertext = encrypted["data"]["ciphertext"].as_str().unwrap();
    let mut table = String::from("| Area | Method | Route | Answer |\n|---|---|---|---|\n");
    for group in [
        system(),
        tokens(),
        key_value(),
        transit(ciphertext),
        ending(),
    ] {
        ask(&opened, &group, &mut table);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = readme
        .split_once(BEGIN)
        .expect("the README has a place for the table");
    let (_, after) = rest.split_once(END).expect("the README ends the table");
    let expected = format!("{before}{BEGIN}\n\n{table}\n{END}{after}");
    if std::env::var_os("CONCLAVE_TEST_UPDATE_README").is_some() {
        std::fs::write(&file, expected).unwrap();
    } else {
        assert!(
            readme == expected,
            "the README's compatibility table is old; run CONCLAVE_TEST_UPDATE_README=1 cargo test --test e2e compatibility"
        );
    }
}
