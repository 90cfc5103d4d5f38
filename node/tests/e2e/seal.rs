//! Init, unseal, seal and restart over raw HTTP.

use serde_json::{Value, json};

use super::support::{AddOn, TestNode, opened_node};

fn submit(node: &TestNode, addon: &AddOn, body: &Value) -> super::support::Answer {
    node.request("PUT", "sys/unseal")
        .token(&addon.root_token)
        .json(body)
        .send()
}

#[test]
fn a_restart_is_sealed_and_nothing_is_lost() {
    let mut opened = opened_node();
    opened.write("secret/data/a", &json!({"data": {"k": "v"}}), 200);
    assert!(opened.node.stop().success());
    opened.node.run();
    opened
        .request("GET", "secret/data/a")
        .send()
        .expect_errors(503, &["Vault is sealed"]);
    opened.node.request("GET", "sys/health").send().expect(503);
    opened.node.unseal(&opened.addon, &opened.shares[1..]);
    assert_eq!(
        opened.read("secret/data/a", 200)["data"]["data"],
        json!({"k": "v"})
    );
}

#[test]
fn init_refuses_what_vault_refuses() {
    let node = TestNode::start();
    let addon = node.default_addon();
    let init = |body: Value| {
        node.request("PUT", "sys/init")
            .token(&addon.root_token)
            .json(&body)
            .send()
    };
    for (shares, threshold) in [(0, 0), (1, 2), (5, 1), (256, 3), (5, 0)] {
        let body = json!({"secret_shares": shares, "secret_threshold": threshold});
        let answer = init(body.clone()).expect(400);
        assert!(answer.body.contains("errors"), "{body}: {}", answer.body);
    }
    let status = node.request("GET", "sys/init").send().expect(200).json();
    assert_eq!(status, json!({"initialized": false}));
    let made = init(json!({"secret_shares": 2, "secret_threshold": 2}))
        .expect(200)
        .json();
    for key in ["keys", "keys_base64", "root_token"] {
        assert!(!made[key].is_null(), "{made}");
    }
    assert_eq!(made["keys"].as_array().unwrap().len(), 2);
    init(json!({"secret_shares": 1, "secret_threshold": 1}))
        .expect_error_with(400, "Vault is already initialized");
}

#[test]
fn a_wrong_share_is_refused_alone_and_progress_is_kept() {
    let node = TestNode::start();
    let addon = node.default_addon();
    submit(&node, &addon, &json!({"key": "AQ"})).expect_error_with(400, "Vault is not initialized");
    let (shares, _) = node.init(&addon, 5, 3);
    let progress = |answer: super::support::Answer| answer.expect(200).json()["progress"].clone();
    assert_eq!(
        progress(submit(&node, &addon, &json!({"key": shares[0]}))),
        1
    );
    assert_eq!(
        progress(submit(&node, &addon, &json!({"key": shares[0]}))),
        1,
        "twice the same"
    );
    let mut forged: Vec<char> = shares[1].chars().collect();
    forged[20] = if forged[20] == 'A' { 'B' } else { 'A' };
    let forged: String = forged.into_iter().collect();
    for wrong in [forged.as_str(), "AQcE", "not a share", "", "0123456789"] {
        submit(&node, &addon, &json!({"key": wrong})).expect(400);
    }
    assert_eq!(
        progress(submit(&node, &addon, &json!({"key": shares[1]}))),
        2
    );
    let status = submit(&node, &addon, &json!({"reset": true}))
        .expect(200)
        .json();
    assert_eq!(
        (&status["progress"], &status["sealed"]),
        (&json!(0), &json!(true))
    );
    node.unseal(&addon, &shares[2..]);
}

#[test]
fn shares_come_in_hex_base64_and_base64url() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    let node = TestNode::start();
    let addon = node.default_addon();
    let (shares, _) = node.init(&addon, 3, 3);
    let bytes: Vec<Vec<u8>> = shares
        .iter()
        .map(|share| URL_SAFE_NO_PAD.decode(share).unwrap())
        .collect();
    node.unseal(
        &addon,
        &[
            hex::encode(&bytes[0]),
            STANDARD.encode(&bytes[1]),
            shares[2].clone(),
        ],
    );
}

#[test]
fn seal_status_and_health_are_bare_and_say_what_vault_says() {
    let opened = opened_node();
    let status = opened
        .node
        .request("GET", "sys/seal-status")
        .send()
        .expect(200)
        .json();
    for (key, expected) in [
        ("type", json!("shamir")),
        ("initialized", json!(true)),
        ("sealed", json!(false)),
        ("t", json!(2)),
        ("n", json!(3)),
        ("progress", json!(0)),
        ("nonce", json!("")),
        ("migration", json!(false)),
        ("recovery_seal", json!(false)),
        ("storage_type", json!("embedded")),
        ("cluster_name", json!("conclave")),
    ] {
        assert_eq!(status[key], expected, "{key} in {status}");
    }
    assert!(status["cluster_id"].is_string(), "{status}");
    assert_eq!(
        status["version"].as_str().unwrap().split('.').count(),
        3,
        "{status}"
    );
    assert_eq!(status.get("data"), None);

    let health = opened
        .node
        .request("GET", "sys/health")
        .send()
        .expect(200)
        .json();
    assert_eq!(
        (&health["sealed"], &health["standby"]),
        (&json!(false), &json!(false))
    );
    assert!(health["server_time_utc"].is_u64(), "{health}");
    opened.request("PUT", "sys/seal").send().expect(204);
    let sealed = opened
        .node
        .request("GET", "sys/health")
        .send()
        .expect(503)
        .json();
    assert_eq!(
        (&sealed["sealed"], &sealed["standby"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(sealed.get("cluster_id"), None);
    let status = opened
        .node
        .request("GET", "sys/seal-status")
        .send()
        .expect(200)
        .json();
    assert_eq!(
        (status.get("cluster_name"), status.get("cluster_id")),
        (None, None)
    );
}

#[test]
fn health_codes_can_be_chosen() {
    let node = TestNode::start();
    let get = |query: &str| {
        node.request("GET", &format!("sys/health{query}"))
            .send()
            .status
    };
    assert_eq!(get(""), 501);
    assert_eq!(get("?uninitcode=299&sealedcode=298&haunhealhty=299"), 299);
    assert_eq!(get("?uninitcode=soon"), 400);
    assert_eq!(
        node.request("HEAD", "sys/health").send().expect(501).body,
        ""
    );
    let addon = node.default_addon();
    node.init(&addon, 1, 1);
    assert_eq!(get("?sealedcode=298"), 298);
    assert_eq!(get(""), 503);
}

#[test]
fn sealing_needs_the_right_and_takes_effect_at_once() {
    let opened = opened_node();
    opened
        .node
        .request("PUT", "sys/seal")
        .send()
        .expect_errors(403, &["permission denied"]);
    let user = &opened.addon.user_token;
    opened
        .node
        .request("PUT", "sys/seal")
        .token(user)
        .send()
        .expect(403);
    opened
        .request("GET", "sys/seal")
        .send()
        .expect_errors(405, &[]);
    opened.read("sys/mounts", 200);
    opened.request("PUT", "sys/seal").send().expect(204);
    opened
        .request("GET", "sys/mounts")
        .send()
        .expect_errors(503, &["Vault is sealed"]);
}

#[test]
fn seal_routes_of_other_addons_need_their_token() {
    let node = TestNode::start();
    let addon = node.create_addon("other");
    let body = json!({"secret_shares": 1, "secret_threshold": 1});
    let init = || {
        node.request("PUT", "sys/init")
            .header("X-Vault-Namespace", "other")
            .json(&body)
    };
    init().send().expect(403);
    init().token(&addon.user_token).send().expect(403);
    init().token(&addon.root_token).send().expect(200);
    let unseal = |key: &str| {
        let body = json!({ "key": key });
        node.request("PUT", "sys/unseal")
            .header("X-Vault-Namespace", "other")
            .json(&body)
    };
    unseal("AQ").send().expect(403);
    // The default add-on on loopback is as open as Vault.
    node.request("PUT", "sys/init")
        .json(&body)
        .send()
        .expect(200);
}
