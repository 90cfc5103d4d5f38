//! Add-ons: their life, and that two of them see nothing of each other.

use serde_json::{Value, json};

use super::support::{AddOn, TestNode, opened_node};

/// An initialised and unsealed add-on with its opaque root token.
fn open_addon(node: &TestNode, name: &str) -> (AddOn, String) {
    let addon = node.create_addon(name);
    let (shares, root) = node.init(&addon, 1, 1);
    node.unseal(&addon, &shares);
    (addon, root)
}

#[test]
fn an_addon_lives_and_dies_online() {
    let node = TestNode::start();
    let made = node.addon_command(&["create", "myKMS", "--org", "orga_1"]);
    assert_eq!(
        (&made["name"], &made["org"]),
        (&json!("myKMS"), &json!("orga_1"))
    );
    assert_eq!(made["vault_addr"], node.url());
    assert!(made["id"].as_str().unwrap().starts_with("addon_"), "{made}");
    for token in ["root_token", "user_token"] {
        assert!(made[token].as_str().unwrap().len() > 200, "{made}");
    }
    let addon = |arguments: &[&str]| {
        let mut all = vec!["addon"];
        all.extend(arguments);
        all.extend(["--config", "node.hcl"]);
        node.conclave(None, &all)
    };
    addon(&["create", "myKMS", "--org", "x"])
        .expect(2)
        .expect_error("\"myKMS\" exists already");
    addon(&["create", "no/slash", "--org", "x"])
        .expect(2)
        .expect_error("name must be");
    let listed = addon(&["list"]).expect(0).output;
    assert!(
        listed.contains("myKMS") && listed.contains("default"),
        "{listed}"
    );
    let shown = node.addon_command(&["show", made["id"].as_str().unwrap()]);
    assert_eq!(
        (&shown["name"], shown.get("root_token")),
        (&json!("myKMS"), None)
    );
    addon(&["delete", "myKMS"]).expect(1).expect_error("--yes");
    addon(&["delete", "myKMS", "--yes"]).expect(0);
    addon(&["show", "myKMS"])
        .expect(2)
        .expect_error("there is no add-on \"myKMS\"");
    let token = made["root_token"].as_str().unwrap();
    node.request("GET", "auth/token/lookup-self")
        .token(token)
        .send()
        .expect(403);
}

#[test]
fn addons_are_made_without_a_node_too() {
    let mut node = TestNode::start();
    node.stop();
    let offline = node.create_addon("offline");
    assert!(node.addon_command(&["list"]).as_array().unwrap().len() == 2);
    node.run();
    let (shares, _) = node.init(&offline, 1, 1);
    node.unseal(&offline, &shares);
    let shown = node.addon_command(&["show", "offline"]);
    assert_eq!(shown["id"], offline.id.as_str());
}

#[test]
fn two_addons_see_nothing_of_each_other() {
    let node = TestNode::start();
    let (one, one_root) = open_addon(&node, "one");
    let (two, two_root) = open_addon(&node, "two");
    let write = |token: &str, path: &str, body: Value| {
        node.request("POST", path).token(token).json(&body).send()
    };
    let read = |token: &str, path: &str| node.request("GET", path).token(token).send();
    write(&one_root, "secret/data/x", json!({"data": {"of": "one"}})).expect(200);
    write(&two_root, "secret/data/x", json!({"data": {"of": "two"}})).expect(200);
    write(&one_root, "secret/data/mine", json!({"data": {}})).expect(200);
    for (tokens, name) in [
        ([&one_root, &one.root_token, &one.user_token], "one"),
        ([&two_root, &two.root_token, &two.user_token], "two"),
    ] {
        for token in tokens
            .iter()
            .filter(|token| **token != &one.root_token && **token != &two.root_token)
        {
            assert_eq!(
                read(token, "secret/data/x").expect(200).data()["data"]["of"],
                name
            );
        }
    }
    read(&two_root, "secret/data/mine").expect_errors(404, &[]);
    // Naming an add-on that is not the token's is refused, and tells nothing about which exist.
    for token in [&one_root, &one.user_token] {
        for named in ["two", "none"] {
            let request = node.request("GET", "secret/data/x").token(token);
            request
                .header("X-Vault-Namespace", named)
                .send()
                .expect_errors(403, &["permission denied"]);
        }
        let request = node.request("GET", "secret/data/x").token(token);
        request
            .header("X-Vault-Namespace", "one/")
            .send()
            .expect(200);
    }
    // One add-on's key does not open what another's closed, though both are called alike.
    for token in [&one_root, &two_root] {
        write(token, "transit/keys/k", json!({})).expect(200);
    }
    let ciphertext =
        write(&one_root, "transit/encrypt/k", json!({"plaintext": "AA=="})).data()["ciphertext"]
            .clone();
    write(
        &two_root,
        "transit/decrypt/k",
        json!({ "ciphertext": ciphertext }),
    )
    .expect_errors(400, &["Unable to decrypt the secret"]);
    // Tokens and accessors are unknown next door.
    let made = write(&one_root, "auth/token/create", json!({}))
        .expect(200)
        .json();
    let body = json!({"accessor": made["auth"]["accessor"]});
    write(&two_root, "auth/token/lookup-accessor", body).expect_error_with(400, "invalid accessor");
    let body = json!({"token": made["auth"]["client_token"]});
    write(&two_root, "auth/token/lookup", body).expect(403);
    // Sealing one leaves the other open.
    node.request("PUT", "sys/seal")
        .token(&one_root)
        .send()
        .expect(204);
    read(&one_root, "secret/data/x").expect(503);
    read(&two_root, "secret/data/x").expect(200);
    let status = read(&two_root, "sys/seal-status").expect(200).json();
    assert_eq!(status["sealed"], false);
}

#[test]
fn shares_of_one_addon_do_not_open_another() {
    let node = TestNode::start();
    let (one, two) = (node.create_addon("one"), node.create_addon("two"));
    let (shares_of_one, _) = node.init(&one, 2, 2);
    node.init(&two, 2, 2);
    let request = node.request("PUT", "sys/unseal").token(&two.root_token);
    request
        .json(&json!({"key": shares_of_one[0]}))
        .send()
        .expect(400);
}

#[test]
fn an_unknown_namespace_answers_as_an_unauthorised_one() {
    let node = TestNode::start();
    node.create_addon("known");
    let answer = |name: &str| {
        let request = node
            .request("GET", "secret/data/x")
            .header("X-Vault-Namespace", name);
        request.token("wrong").send()
    };
    let unknown = answer("unknown");
    assert_eq!(unknown.status, 403);
    assert_eq!(unknown.body, "{\"errors\":[\"permission denied\"]}\n");
}

#[test]
fn deleting_an_addon_removes_its_rows() {
    // The default add-on is open: it is who answers a token that belongs to nobody.
    let node = opened_node().node;
    let (_, root) = open_addon(&node, "gone");
    node.request("POST", "secret/data/x")
        .token(&root)
        .json(&json!({"data": {}}))
        .send()
        .expect(200);
    node.addon_command(&["delete", "gone", "--yes"]);
    node.request("GET", "secret/data/x")
        .token(&root)
        .send()
        .expect(403);
    // The name is free again, and nothing of the old one is left.
    let (_, root) = open_addon(&node, "gone");
    node.request("GET", "secret/data/x")
        .token(&root)
        .send()
        .expect_errors(404, &[]);
}

#[test]
fn whether_an_addon_exists_is_told_to_its_own_callers_only() {
    let node = TestNode::start();
    let addon = node.create_addon("hidden");
    let answers = |name: &str, token: Option<&str>| -> Vec<(u16, String)> {
        [
            ("GET", "secret/data/a"),
            ("GET", "sys/seal-status"),
            ("GET", "sys/internal/ui/mounts"),
            ("PUT", "sys/unseal"),
            ("PUT", "sys/init"),
            ("GET", "auth/token/lookup-self"),
        ]
        .into_iter()
        .map(|(method, path)| {
            let mut request = node.request(method, path).header("X-Vault-Namespace", name);
            if let Some(token) = token {
                request = request.token(token);
            }
            let answer = request.send();
            (answer.status, answer.body)
        })
        .collect()
    };
    for token in [
        None,
        Some("junk"),
        Some(node.default_addon().root_token.as_str()),
    ] {
        let there = answers("hidden", token);
        assert_eq!(there, answers("missing", token), "{token:?}");
        assert!(there.iter().all(|(status, _)| *status == 403), "{there:?}");
    }
    let own = answers("hidden", Some(&addon.root_token));
    assert_eq!(own[0].0, 503, "its own caller is told that it is sealed");
    assert_eq!(own[1].0, 200);
}
