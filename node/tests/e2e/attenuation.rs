//! Root and user Biscuits, and what is left of them when their holder narrows them offline.

use serde_json::json;

use super::support::{Opened, opened_node};

fn narrowed(opened: &Opened, token: &str, arguments: &[&str]) -> String {
    let mut all = vec!["token", "attenuate"];
    all.extend(arguments);
    let outcome = opened.node.conclave(Some(token), &all).expect(0);
    outcome.output.trim().to_owned()
}

#[test]
fn a_narrowed_token_reads_what_it_may_and_nothing_else() {
    let opened = opened_node();
    for name in ["app/db", "app/cache", "private"] {
        opened.write(
            &format!("secret/data/{name}"),
            &json!({"data": {"name": name}}),
            200,
        );
    }
    let arguments = [
        "--path",
        "secret/data/app/*",
        "--ttl",
        "1h",
        "--operation",
        "read",
    ];
    let token = narrowed(&opened, &opened.addon.user_token, &arguments);
    let bao = |arguments: &[&str]| opened.node.bao(Some(&token), arguments);
    bao(&["kv", "get", "-mount=secret", "app/db"])
        .expect(0)
        .expect_line("name app/db");
    bao(&["kv", "get", "secret/app/cache"]).expect(0);
    bao(&["kv", "get", "-mount=secret", "private"])
        .expect(2)
        .expect_error("permission denied");
    bao(&["kv", "put", "-mount=secret", "app/db", "a=b"])
        .expect(2)
        .expect_error("permission denied");
    bao(&["kv", "delete", "-mount=secret", "app/db"]).expect(2);
    bao(&["token", "lookup"]).expect(0);
    opened
        .node
        .bao_with_input(None, &["login", "-"], &token)
        .expect(0);
    // The one it was made from is as it was.
    opened
        .node
        .bao(
            Some(&opened.addon.user_token),
            &["kv", "get", "secret/private"],
        )
        .expect(0);
}

#[test]
fn narrowing_adds_up_and_never_widens() {
    let opened = opened_node();
    opened.write("secret/data/a", &json!({"data": {}}), 200);
    opened.write("secret/data/b", &json!({"data": {}}), 200);
    let once = narrowed(
        &opened,
        &opened.addon.user_token,
        &["--path", "secret/data/a"],
    );
    let twice = narrowed(
        &opened,
        &once,
        &["--path", "secret/data/*", "--operation", "read"],
    );
    let status = |token: &str, method: &str, path: &str| {
        let request = opened.node.request(method, path).token(token);
        request.json(&json!({"data": {}})).send().status
    };
    assert_eq!(status(&once, "POST", "secret/data/a"), 200);
    assert_eq!(status(&once, "GET", "secret/data/b"), 403);
    assert_eq!(status(&twice, "GET", "secret/data/a"), 200);
    assert_eq!(status(&twice, "POST", "secret/data/a"), 403);
    assert_eq!(status(&twice, "GET", "secret/data/b"), 403);
    // Other spellings of a path are the same path.
    assert_eq!(status(&once, "GET", "secret/data/%61"), 200);
    assert_eq!(status(&once, "GET", "secret/data/%62"), 403);
    // A user token narrowed to what only root may do can do nothing.
    let hopeful = narrowed(&opened, &opened.addon.user_token, &["--path", "sys/*"]);
    assert_eq!(status(&hopeful, "PUT", "sys/seal"), 403);
}

#[test]
fn a_narrowed_token_expires() {
    let opened = opened_node();
    let token = narrowed(&opened, &opened.addon.user_token, &["--ttl", "2s"]);
    let status = || {
        let request = opened
            .node
            .request("GET", "auth/token/lookup-self")
            .token(&token);
        request.send().status
    };
    assert_eq!(status(), 200);
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(status(), 403);
}

#[test]
fn root_administers_and_user_works() {
    let opened = opened_node();
    let AddOnTokens { root, user } = AddOnTokens {
        root: &opened.addon.root_token,
        user: &opened.addon.user_token,
    };
    let policy = json!({"policy": "path \"a\" { capabilities = [\"read\"] }"});
    for (method, path, body, by_root, by_user) in [
        ("GET", "sys/mounts", json!({}), 200, 403),
        (
            "POST",
            "sys/mounts/more",
            json!({"type": "kv-v2"}),
            204,
            403,
        ),
        ("POST", "sys/policies/acl/p", policy, 204, 403),
        ("POST", "auth/token/create", json!({}), 200, 403),
        ("POST", "secret/data/x", json!({"data": {}}), 200, 200),
        ("GET", "secret/data/x", json!({}), 200, 200),
        ("LIST", "secret/metadata", json!({}), 200, 200),
        (
            "POST",
            "secret/destroy/x",
            json!({"versions": [1]}),
            204,
            204,
        ),
        ("DELETE", "secret/metadata/x", json!({}), 204, 204),
        ("POST", "transit/keys/k", json!({}), 200, 200),
        (
            "POST",
            "transit/encrypt/k",
            json!({"plaintext": ""}),
            200,
            200,
        ),
        ("GET", "auth/token/lookup-self", json!({}), 200, 200),
        ("PUT", "sys/seal", json!({}), 204, 403),
    ] {
        for (token, expected) in [(user, by_user), (root, by_root)] {
            let answer = opened
                .node
                .request(method, path)
                .token(token)
                .json(&body)
                .send();
            assert_eq!(answer.status, expected, "{method} {path}: {}", answer.body);
        }
    }
}

struct AddOnTokens<'a> {
    root: &'a str,
    user: &'a str,
}

#[test]
fn forged_tokens_are_refused() {
    let opened = opened_node();
    let other = opened_node();
    // A token of another operator's key, and one with a flipped character.
    let flipped: String = opened
        .addon
        .root_token
        .char_indices()
        .map(|(place, c)| {
            if place == 60 {
                if c == 'A' { 'B' } else { 'A' }
            } else {
                c
            }
        })
        .collect();
    for token in [&other.addon.root_token, &flipped] {
        let request = opened.node.request("GET", "sys/mounts").token(token);
        request.send().expect_errors(403, &["permission denied"]);
    }
}

#[test]
fn a_revoked_biscuit_and_what_was_narrowed_from_it_are_void() {
    let opened = opened_node();
    let first = narrowed(&opened, &opened.addon.user_token, &["--ttl", "1h"]);
    let second = narrowed(&opened, &first, &["--operation", "read"]);
    let status = |token: &str| {
        opened
            .node
            .request("GET", "auth/token/lookup-self")
            .token(token)
            .send()
            .status
    };
    assert_eq!((status(&first), status(&second)), (200, 200));
    opened
        .node
        .request("POST", "auth/token/revoke-self")
        .token(&first)
        .send()
        .expect(204);
    assert_eq!((status(&first), status(&second)), (403, 403));
    assert_eq!(status(&opened.addon.user_token), 200);
}

#[test]
fn nothing_outlives_the_biscuit_that_made_it() {
    let opened = opened_node();
    let root = &opened.addon.root_token;
    let request = |token: &str, path: &str, body: &serde_json::Value| {
        opened
            .node
            .request("POST", path)
            .token(token)
            .json(body)
            .send()
    };
    let short = narrowed(&opened, root, &["--ttl", "1h"]);
    request(&short, "auth/token/create", &json!({"policies": ["root"]}))
        .expect_error_with(400, "a narrowed token cannot make tokens");
    let made = request(root, "auth/token/create", &json!({"policies": ["default"]}))
        .expect(200)
        .json();
    let token = made["auth"]["client_token"].as_str().unwrap();
    let child = request(token, "auth/token/create", &json!({}));
    assert_eq!(child.status, 403, "the default policy does not allow it");
    let alive = || {
        let request = opened.node.request("GET", "auth/token/lookup-self");
        request.token(token).send().status
    };
    assert_eq!(alive(), 200);
    request(root, "auth/token/revoke-self", &json!({})).expect(204);
    assert_eq!(alive(), 403);
}
