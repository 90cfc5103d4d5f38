//! Wrong requests: each gets the status that says whose mistake it is, and the node lives on.

use std::io::Write;

use serde_json::json;

use super::support::{TestNode, opened_node};

#[test]
fn what_is_not_a_json_object_is_400() {
    let opened = opened_node();
    for body in [
        "{",
        "[]",
        "[{\"data\":{}}]",
        "\"text\"",
        "17",
        "{\"data\":}",
        "\u{0}",
        "{\"a\":1} trailing",
        "{'a':1}",
    ] {
        for path in [
            "secret/data/x",
            "transit/keys/x",
            "auth/token/create",
            "sys/mounts/x",
            "sys/policies/acl/x",
        ] {
            let answer = opened.request("POST", path).body(body).send();
            answer.expect_error_with(400, "");
        }
    }
    let deep = "[".repeat(100_000);
    opened
        .request("POST", "secret/data/x")
        .body(format!("{{\"data\":{deep}"))
        .send()
        .expect(400);
    opened
        .request("POST", "secret/data/x")
        .body(b"{\"data\":\"\xff\xfe\"}".to_vec())
        .send()
        .expect(400);
    opened.read("sys/mounts", 200);
}

#[test]
fn a_wrong_type_is_400_and_names_the_field() {
    let opened = opened_node();
    opened.write("transit/keys/k", &json!({}), 200);
    for (path, body, field) in [
        ("secret/data/x", json!({"data": "text"}), "data"),
        ("secret/data/x", json!({"data": [1]}), "data"),
        (
            "secret/data/x",
            json!({"data": {}, "options": {"cas": "x"}}),
            "check-and-set",
        ),
        (
            "secret/data/x",
            json!({"data": {}, "options": 7}),
            "options",
        ),
        (
            "secret/config",
            json!({"max_versions": "many"}),
            "max_versions",
        ),
        (
            "secret/config",
            json!({"cas_required": "perhaps"}),
            "cas_required",
        ),
        (
            "secret/metadata/x",
            json!({"delete_version_after": "1w"}),
            "delete_version_after",
        ),
        (
            "secret/metadata/x",
            json!({"custom_metadata": {"a": {"b": 1}}}),
            "custom_metadata",
        ),
        ("secret/delete/x", json!({"versions": {"a": 1}}), "versions"),
        (
            "transit/encrypt/k",
            json!({"plaintext": "*"}),
            "illegal base64",
        ),
        (
            "transit/encrypt/k",
            json!({"plaintext": {"a": 1}}),
            "plaintext",
        ),
        ("transit/encrypt/k", json!({}), "plaintext"),
        (
            "transit/encrypt/k",
            json!({"plaintext": "AA==", "key_version": "x"}),
            "key_version",
        ),
        ("transit/encrypt/k", json!({"batch_input": "x"}), "batch"),
        ("transit/keys/k2", json!({"type": "rot13"}), "rot13"),
        ("transit/keys/k2", json!({"derived": "perhaps"}), "derived"),
        (
            "transit/keys/k/config",
            json!({"min_decryption_version": "x"}),
            "min_decryption_version",
        ),
        ("auth/token/create", json!({"ttl": "soon"}), "ttl"),
        ("auth/token/create", json!({"num_uses": "x"}), "num_uses"),
        (
            "auth/token/create",
            json!({"policies": {"a": {}}}),
            "policies",
        ),
        ("sys/mounts/x", json!({"type": "nothing"}), "nothing"),
        ("sys/mounts/x", json!({}), "type"),
        ("sys/policies/acl/x", json!({"policy": "path {"}), "policy"),
        (
            "sys/policies/acl/x",
            json!({"policy": "path \"a\" { capabilities = [\"bogus\"] }"}),
            "bogus",
        ),
        ("sys/capabilities-self", json!({}), "paths"),
    ] {
        let answer = opened.request("POST", path).json(&body).send();
        answer.expect_error_with(400, field);
    }
}

#[test]
fn a_body_over_the_limit_is_413() {
    let node = TestNode::start_with("", "max_request_size = 4096");
    let addon = node.default_addon();
    let (shares, root) = node.init(&addon, 1, 1);
    node.unseal(&addon, &shares);
    let send = |bytes: usize| {
        let text = json!({"data": {"k": "x".repeat(bytes)}}).to_string();
        node.request("POST", "secret/data/x")
            .token(&root)
            .body(text)
            .send()
    };
    send(4000).expect(200);
    send(5000).expect_error_with(413, "request body too large");
    send(1_000_000).expect(413);
    send(10).expect(200);
}

#[test]
fn the_default_limit_lets_a_large_secret_through() {
    let opened = opened_node();
    let value = "0123456789abcdef".repeat(64 * 1024);
    opened.write("secret/data/large", &json!({"data": {"k": value}}), 200);
    assert_eq!(
        opened.read("secret/data/large", 200)["data"]["data"]["k"],
        value
    );
    let over = vec![b' '; 32 * 1024 * 1024 + 1];
    opened
        .request("POST", "secret/data/large")
        .body(over)
        .send()
        .expect(413);
}

#[test]
fn a_missing_or_wrong_token_is_403() {
    let opened = opened_node();
    let other = opened.root.chars().rev().collect::<String>();
    let long = "x".repeat(20_000);
    for (method, path) in [
        ("GET", "secret/data/x"),
        ("POST", "secret/data/x"),
        ("POST", "transit/encrypt/k"),
        ("GET", "auth/token/lookup-self"),
        ("POST", "auth/token/create"),
        ("GET", "sys/mounts"),
        ("POST", "conclave/addons"),
        ("PUT", "sys/seal"),
    ] {
        opened.node.request(method, path).send().expect(403);
        for token in [
            "wrong",
            other.as_str(),
            "s.abcdefghijklmnopqrstuvwx",
            "%00",
            "\u{e9}",
        ] {
            let answer = opened.node.request(method, path).token(token).send();
            answer.expect_error_with(403, "permission denied");
        }
        let answer = opened.node.request(method, path).token(&long).send();
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    opened
        .node
        .request("POST", "conclave/addons")
        .token(&opened.root)
        .send()
        .expect(403);
    let root = &opened.addon.root_token;
    opened
        .node
        .request("POST", "conclave/addons")
        .token(root)
        .send()
        .expect(403);
}

#[test]
fn bad_paths_are_refused() {
    let opened = opened_node();
    let long = "x".repeat(20_000);
    for (path, statuses) in [
        ("secret/data/%00", [400, 400]),
        ("secret/data/%ff", [400, 400]),
        ("secret/data/a%0ab", [400, 400]),
        ("secret/data/", [404, 405]),
        ("secret/x", [404, 404]),
        (long.as_str(), [400, 414]),
    ] {
        let answer = opened.request("GET", path).send();
        assert!(
            statuses.contains(&answer.status),
            "{:.40}: {}",
            path,
            answer.status
        );
    }
    let warned = opened.request("GET", "secret/x").send().expect(404).json();
    assert!(
        warned["warnings"][0]
            .as_str()
            .unwrap()
            .contains("Invalid path for a versioned K/V"),
        "{warned}"
    );
}

#[test]
fn what_is_not_http_closes_one_connection_only() {
    let opened = opened_node();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"GET\r\n\r\n",
        b"\r\n\r\n\r\n",
        &[0; 100],
    ] {
        let mut stream = std::net::TcpStream::connect(opened.node.address()).unwrap();
        stream.write_all(garbage).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        drop(stream);
    }
    opened.read("sys/mounts", 200);
}
