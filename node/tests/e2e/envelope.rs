//! What every reply looks like, and how requests may come: the traps that Vault's clients fall into.

use serde_json::{Value, json};

use super::support::opened_node;

#[test]
fn the_envelope_is_complete_and_in_order() {
    let opened = opened_node();
    let answer = opened
        .request("GET", "sys/policies/acl/default")
        .send()
        .expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.body.ends_with("}\n"), "{:?}", answer.body);
    let keys = [
        "request_id",
        "lease_id",
        "renewable",
        "lease_duration",
        "data",
        "wrap_info",
        "warnings",
        "auth",
    ];
    let mut rest = answer.body.as_str();
    for key in keys {
        let place = rest.find(&format!("\"{key}\":"));
        rest = &rest
            [place.unwrap_or_else(|| panic!("no {key}, or not in its place: {}", answer.body))..];
    }
    let envelope = answer.json();
    assert_eq!(envelope["lease_id"], "");
    assert_eq!(envelope["renewable"], false);
    assert_eq!(envelope["lease_duration"], 0);
    assert_eq!(envelope["wrap_info"], Value::Null);
    assert_eq!(envelope["request_id"].as_str().unwrap().len(), 36);
    let again = opened.read("sys/policies/acl/default", 200);
    assert_ne!(again["request_id"], envelope["request_id"]);
}

#[test]
fn errors_are_a_list_with_the_plain_media_type() {
    let opened = opened_node();
    let missing = opened
        .request("GET", "secret/data/nothing")
        .send()
        .expect_errors(404, &[]);
    assert_eq!(missing.header("content-type"), Some("application/json"));
    let empty = opened
        .request("PUT", "sys/policies/acl/p")
        .json(&json!({"policy": ""}))
        .send();
    empty.expect_error_with(400, "'policy' parameter not supplied or empty");
    let empty = opened
        .request("DELETE", "secret/data/nothing")
        .send()
        .expect(204);
    assert_eq!(empty.body, "");
}

#[test]
fn put_is_post_and_bodies_need_no_content_type() {
    let opened = opened_node();
    let body = json!({"data": {"k": "v"}}).to_string();
    for (number, method) in ["PUT", "POST"].iter().enumerate() {
        for content_type in [
            None,
            Some("application/json"),
            Some("application/json; charset=utf-8"),
            Some("text/plain"),
            Some("application/x-www-form-urlencoded"),
        ] {
            let mut request = opened
                .request(method, &format!("secret/data/m{number}"))
                .body(body.clone());
            if let Some(content_type) = content_type {
                request = request.header("Content-Type", content_type);
            }
            request.send().expect(200);
        }
    }
    assert_eq!(
        opened.read("secret/data/m1", 200)["data"]["metadata"]["version"],
        5
    );
}

#[test]
fn a_form_is_read_when_it_says_so() {
    let opened = opened_node();
    let answer = opened
        .request("POST", "sys/capabilities-self")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("path=secret%2Fdata%2Fx")
        .send()
        .expect(200);
    assert_eq!(answer.data()["secret/data/x"], json!(["root"]));
}

#[test]
fn null_and_empty_bodies_are_no_parameters() {
    let opened = opened_node();
    for (number, body) in ["null", "", "  ", "{}"].iter().enumerate() {
        let request = opened.request("PUT", &format!("transit/keys/k{number}"));
        request.body(*body).send().expect(200);
    }
}

#[test]
fn list_has_a_verb_and_a_query() {
    let opened = opened_node();
    opened.write("secret/data/dir/a", &json!({"data": {}}), 200);
    opened.write("secret/data/dir", &json!({"data": {}}), 200);
    for (method, path, expected) in [
        ("LIST", "secret/metadata", json!(["dir", "dir/"])),
        ("LIST", "secret/metadata/", json!(["dir", "dir/"])),
        ("GET", "secret/metadata?list=true", json!(["dir", "dir/"])),
        ("GET", "secret/metadata/dir?list=1", json!(["a"])),
        ("GET", "secret/metadata/dir/?list=true", json!(["a"])),
    ] {
        let answer = opened.request(method, path).send().expect(200);
        assert_eq!(answer.data()["keys"], expected, "{method} {path}");
    }
    opened
        .request("GET", "secret/metadata/dir?list=false")
        .send()
        .expect(200);
    opened
        .request("GET", "secret/metadata/dir?list=junk")
        .send()
        .expect(400);
    opened
        .request("LIST", "secret/metadata/none")
        .send()
        .expect_errors(404, &[]);
    opened
        .request("LIST", "transit/keys")
        .send()
        .expect_errors(404, &[]);
}

#[test]
fn tokens_come_in_two_headers() {
    let opened = opened_node();
    let node = &opened.node;
    let bearer = format!("Bearer {}", opened.root);
    node.request("GET", "sys/mounts")
        .header("Authorization", &bearer)
        .send()
        .expect(200);
    let both = node
        .request("GET", "sys/mounts")
        .header("Authorization", &bearer)
        .token("wrong");
    both.send().expect(403);
    let basic = node
        .request("GET", "sys/mounts")
        .header("Authorization", "Basic eDp5");
    basic.send().expect_errors(403, &["permission denied"]);
}

#[test]
fn denied_comes_before_not_found() {
    let opened = opened_node();
    let node = &opened.node;
    for path in [
        "nothing/x",
        "secret/data/x",
        "sys/nothing",
        "auth/nothing/login",
        "sys/mounts",
    ] {
        node.request("GET", path)
            .send()
            .expect_errors(403, &["permission denied"]);
        node.request("GET", path)
            .token("wrong")
            .send()
            .expect_error_with(403, "permission denied");
    }
    opened
        .request("GET", "nothing/x")
        .send()
        .expect_error_with(404, "no handler for route \"nothing/x\"");
    opened
        .request("GET", "sys/nothing")
        .send()
        .expect_error_with(404, "unsupported path");
    opened
        .request("GET", "transit/nothing")
        .send()
        .expect_error_with(404, "unsupported path");
    let user = &opened.addon.user_token;
    node.request("GET", "sys/mounts")
        .token(user)
        .send()
        .expect_error_with(403, "1 error occurred");
}

#[test]
fn a_known_path_with_another_verb_is_405() {
    let opened = opened_node();
    for (method, path) in [
        ("GET", "sys/policies/acl"),
        ("GET", "auth/token/create"),
        ("PATCH", "sys/mounts/secret"),
        ("GET", "transit/encrypt/k"),
        ("DELETE", "transit/encrypt/k"),
        ("TRACE", "sys/mounts"),
        ("FROBNICATE", "sys/mounts"),
        ("HEAD", "secret/data/x"),
        ("LIST", "secret/data"),
    ] {
        opened.request(method, path).send().expect(405);
    }
}

#[test]
fn paths_are_decoded_once_and_cleaned_by_redirect() {
    let opened = opened_node();
    let written = [
        ("secret/data/a%20b", "a b"),
        ("secret/data/d%2Fe", "d/e"),
        ("secret/data/c%2525", "c%25"),
    ];
    for (path, name) in written {
        opened.write(path, &json!({"data": {"name": name}}), 200);
    }
    assert_eq!(
        opened.read("secret/data/d/e", 200)["data"]["data"]["name"],
        "d/e"
    );
    let keys = opened
        .request("LIST", "secret/metadata")
        .send()
        .expect(200)
        .data();
    assert_eq!(keys["keys"], json!(["a b", "c%25", "d/"]));
    for path in ["secret//data/x", "secret/data/../x", "secret/./data/x"] {
        let moved = opened.request("GET", path).send().expect(307);
        let location = moved.header("location").unwrap();
        assert!(location.starts_with("/v1/secret/"), "{location}");
        assert!(
            !location.contains("//") && !location.contains(".."),
            "{location}"
        );
    }
    for (path, status) in [
        ("/", 404),
        ("/v1", 404),
        ("/v1/", 404),
        ("/v2/sys/health", 404),
    ] {
        let request = super::support::Request::new(&opened.node.address(), "GET", path);
        request.token(&opened.root).send().expect(status);
    }
}

#[test]
fn strings_become_what_is_asked_for() {
    let opened = opened_node();
    let body = json!({"type": "aes256-gcm96", "exportable": "true", "auto_rotate_period": "24h"});
    opened.write("transit/keys/coerced", &body, 200);
    let key = opened.read("transit/keys/coerced", 200)["data"].clone();
    assert_eq!(
        (&key["exportable"], &key["auto_rotate_period"]),
        (&json!(true), &json!(86400))
    );
    for _ in 0..2 {
        opened.write("secret/data/v", &json!({"data": {}}), 200);
    }
    for versions in [
        json!("1,2"),
        json!(["1", "2"]),
        json!([1, 2]),
        json!(1),
        json!("2"),
    ] {
        opened.write("secret/delete/v", &json!({ "versions": versions }), 204);
        opened.write("secret/undelete/v", &json!({"versions": [1, 2]}), 204);
    }
    opened.write("secret/delete/v", &json!({"versions": ["x"]}), 400);
    for cas in [json!(2), json!("3")] {
        let body = json!({"data": {}, "options": {"cas": cas}});
        opened.write("secret/data/v", &body, 200);
    }
}

#[test]
fn durations_are_read_as_vault_reads_them() {
    let opened = opened_node();
    for (ttl, seconds) in [
        (json!(3600), 3600),
        (json!("3600"), 3600),
        (json!("1h30m"), 5400),
        (json!("1.5h"), 5400),
        (json!("1d"), 86400),
    ] {
        let made = opened.write("auth/token/create", &json!({ "ttl": ttl }), 200);
        assert_eq!(made["auth"]["lease_duration"], seconds, "{ttl}");
    }
    for ttl in [json!("2d12h"), json!("1w"), json!("1m30"), json!("soon")] {
        opened.write("auth/token/create", &json!({ "ttl": ttl }), 400);
    }
    let config = json!({"delete_version_after": "3h"});
    opened.write("secret/metadata/d", &config, 204);
    let metadata = opened.read("secret/metadata/d", 200)["data"].clone();
    assert_eq!(metadata["delete_version_after"], "3h0m0s");
}

#[test]
fn unknown_parameters_warn_and_absent_things_can_be_deleted() {
    let opened = opened_node();
    opened.write("sys/mounts/kv2", &json!({"type": "kv-v2"}), 204);
    let tuned = opened.write("sys/mounts/kv2/tune", &json!({"colour": "red"}), 200);
    assert!(
        tuned["warnings"][0].as_str().unwrap().contains("colour"),
        "{tuned}"
    );
    for path in [
        "sys/mounts/none",
        "sys/policies/acl/none",
        "secret/metadata/none",
    ] {
        opened.request("DELETE", path).send().expect(204);
    }
}

#[test]
fn old_routes_repeat_data_at_the_top() {
    let opened = opened_node();
    let mounts = opened.read("sys/mounts", 200);
    assert_eq!(mounts["secret/"], mounts["data"]["secret/"]);
    assert_eq!(mounts["secret/"]["options"]["version"], "2");
    assert_eq!(mounts["transit/"]["type"], "transit");
    opened.write(
        "sys/policy/p",
        &json!({"rules": "path \"a\" { capabilities = [\"read\"] }"}),
        200,
    );
    let policy = opened.read("sys/policy/p", 200);
    assert_eq!(policy["rules"], policy["data"]["rules"]);
    let list = opened
        .request("GET", "sys/policy")
        .send()
        .expect(200)
        .json();
    assert_eq!(list["policies"], json!(["default", "p", "root", "user"]));
    let capabilities = opened.write("sys/capabilities-self", &json!({"path": "x"}), 200);
    assert_eq!(capabilities["capabilities"], json!(["root"]));
    // The newer policy route does not.
    assert_eq!(opened.read("sys/policies/acl/p", 200).get("policy"), None);
}

#[test]
fn the_preflight_answers_for_any_depth_and_never_404() {
    let opened = opened_node();
    let preflight = |token: &str, path: &str| {
        let path = format!("sys/internal/ui/mounts/{path}");
        opened.node.request("GET", &path).token(token).send()
    };
    for path in ["secret", "secret/", "secret/a/deep/path", "secret/data/x"] {
        let answer = preflight(&opened.root, path).expect(200).data();
        assert_eq!(answer["path"], "secret/", "{path}");
        assert_eq!(answer["options"]["version"], "2", "{path}");
        assert_eq!(answer["type"], "kv", "{path}");
    }
    preflight(&opened.addon.user_token, "secret/x").expect(200);
    preflight(&opened.root, "nothing/x")
        .expect_error_with(403, "preflight capability check returned 403");
    let policy = "path \"secret/data/only/this\" { capabilities = [\"read\"] }";
    opened.write("sys/policies/acl/narrow", &json!({ "policy": policy }), 204);
    let body = json!({"policies": ["narrow"], "no_default_policy": true});
    let made = opened.write("auth/token/create", &body, 200);
    let token = made["auth"]["client_token"].as_str().unwrap();
    preflight(token, "secret").expect(200);
    preflight(token, "transit").expect(403);
    opened
        .node
        .request("GET", "sys/internal/ui/mounts")
        .send()
        .expect(200);
}

#[test]
fn probes_are_plain() {
    let opened = opened_node();
    for path in ["/healthz", "/readyz"] {
        let request = super::support::Request::new(&opened.node.address(), "GET", path);
        request.send().expect(200);
    }
    let leader = opened
        .node
        .request("GET", "sys/leader")
        .send()
        .expect(200)
        .json();
    assert_eq!(leader["ha_enabled"], false);
    assert_eq!(leader.get("data"), None);
}

#[test]
fn a_chosen_status_without_body_leaves_the_connection_in_step() {
    use std::io::{Read, Write};

    let node = super::support::TestNode::start();
    let mut stream = std::net::TcpStream::connect(node.address()).unwrap();
    let ask = "GET /v1/sys/health?uninitcode=204 HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{ask}{last}").as_bytes()).unwrap();
    let mut both = String::new();
    stream.read_to_string(&mut both).unwrap();
    let (first, second) = both.split_once("\r\n\r\n").unwrap();
    assert!(first.starts_with("HTTP/1.1 204"), "{both}");
    assert!(
        second.starts_with("HTTP/1.1 200"),
        "the next reply follows at once: {both}"
    );
}
