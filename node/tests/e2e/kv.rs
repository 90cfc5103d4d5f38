//! KV v2 over HTTP: what the guide does not show.

use serde_json::json;

use super::support::{TestNode, opened_node};

#[test]
fn clever_tools_requests_work_as_they_are_sent() {
    let opened = opened_node();
    let send = |method: &str, body: serde_json::Value| {
        opened
            .node
            .request(method, "secret/data/s")
            .token(&opened.addon.user_token)
            .header("Content-Type", "application/json")
            .json(&body)
            .send()
    };
    send("POST", json!({"data": {"a": "1"}, "options": {"cas": 0}})).expect(200);
    send("POST", json!({"data": {"a": "2"}, "options": {"cas": 0}})).expect_errors(
        400,
        &["check-and-set parameter did not match the current version"],
    );
    let changed = send("PATCH", json!({"data": {"b": "2"}, "options": {"cas": 0}})).expect(200);
    assert_eq!(changed.data()["version"], 2);
    assert_eq!(
        opened.read("secret/data/s", 200)["data"]["data"],
        json!({"a": "1", "b": "2"})
    );
}

#[test]
fn patch_is_a_merge_patch_of_the_data() {
    let opened = opened_node();
    let patch = |content_type: Option<&str>, body: serde_json::Value| {
        let request = opened.request("PATCH", "secret/data/p").json(&body);
        match content_type {
            Some(content_type) => request.header("Content-Type", content_type).send(),
            None => request.send(),
        }
    };
    let merge = Some("application/merge-patch+json");
    patch(merge, json!({"data": {"a": 1}})).expect_errors(404, &[]);
    opened.write(
        "secret/data/p",
        &json!({"data": {"keep": 1, "drop": 2, "deep": {"x": 1}}}),
        200,
    );
    patch(merge, json!({"data": {"drop": null, "deep": {"y": 2}}})).expect(200);
    let read = opened.read("secret/data/p", 200)["data"]["data"].clone();
    assert_eq!(read, json!({"keep": 1, "deep": {"x": 1, "y": 2}}));
    patch(merge, json!({"data": {}, "options": {"cas": 1}})).expect(400);
    patch(merge, json!({"data": {}, "options": {"cas": 2}})).expect(200);
    patch(Some("text/plain"), json!({"data": {}}))
        .expect_error_with(415, "application/merge-patch+json");
    patch(None, json!({"data": {}})).expect(400);
}

#[test]
fn a_deleted_version_is_404_with_its_metadata() {
    let opened = opened_node();
    opened.write("secret/data/d", &json!({"data": {"v": 1}}), 200);
    opened.write("secret/data/d", &json!({"data": {"v": 2}}), 200);
    opened.request("DELETE", "secret/data/d").send().expect(204);
    assert_eq!(
        opened.read("secret/data/d", 200)["data"]["metadata"]["version"],
        1
    );
    let deleted = opened.read("secret/data/d?version=2", 404);
    assert_eq!(deleted["data"]["data"], serde_json::Value::Null);
    assert_eq!(deleted["data"]["metadata"]["version"], 2);
    assert_ne!(deleted["data"]["metadata"]["deletion_time"], "");
    opened.request("DELETE", "secret/data/d").send().expect(204);
    opened
        .request("GET", "secret/data/d")
        .send()
        .expect_errors(404, &[]);
    opened
        .request("GET", "secret/data/d?version=3")
        .send()
        .expect_errors(404, &[]);
    opened
        .request("GET", "secret/data/d?version=x")
        .send()
        .expect(400);
    opened.write("secret/destroy/d", &json!({"versions": [1]}), 204);
    let metadata = opened.read("secret/metadata/d", 200)["data"].clone();
    assert_eq!(metadata["versions"]["1"]["destroyed"], true);
    assert_eq!(
        (&metadata["current_version"], &metadata["oldest_version"]),
        (&json!(2), &json!(0))
    );
    opened
        .request("DELETE", "secret/metadata/d")
        .send()
        .expect(204);
    opened
        .request("GET", "secret/metadata/d")
        .send()
        .expect_errors(404, &[]);
}

#[test]
fn strict_mounts_answer_as_vault_does() {
    let opened = opened_node();
    let body = json!({"type": "kv", "options": {"version": "2", "read_deleted": "strict"}});
    opened.write("sys/mounts/strict", &body, 204);
    for _ in 0..2 {
        opened.write("strict/data/d", &json!({"data": {}}), 200);
    }
    opened.request("DELETE", "strict/data/d").send().expect(204);
    let read = opened.read("strict/data/d", 404);
    assert_eq!(read["data"]["metadata"]["version"], 2);
}

#[test]
fn numbers_keep_their_exact_text() {
    let opened = opened_node();
    let text = r#"{"data":{"big":9007199254740993,"decimal":1.0,"tiny":1e-400,"huge":123456789012345678901234567890}}"#;
    opened
        .request("POST", "secret/data/n")
        .body(text)
        .send()
        .expect(200);
    let body = opened
        .request("GET", "secret/data/n")
        .send()
        .expect(200)
        .body;
    for number in [
        "\"big\":9007199254740993",
        "\"decimal\":1.0",
        "\"huge\":123456789012345678901234567890",
    ] {
        assert!(body.contains(number), "no {number} in {body}");
    }
    assert!(body.contains("\"tiny\":1e-400"), "{body}");
}

#[test]
fn old_versions_fall_off() {
    let opened = opened_node();
    opened.write(
        "secret/metadata/m",
        &json!({"max_versions": "2", "custom_metadata": {"owner": "me"}}),
        204,
    );
    for version in 1..=4 {
        opened.write("secret/data/m", &json!({"data": {"v": version}}), 200);
    }
    let metadata = opened.read("secret/metadata/m", 200)["data"].clone();
    let versions: Vec<&String> = metadata["versions"].as_object().unwrap().keys().collect();
    assert_eq!(versions, ["3", "4"]);
    assert_eq!(metadata["oldest_version"], 3);
    assert_eq!(metadata["custom_metadata"], json!({"owner": "me"}));
    opened
        .request("GET", "secret/data/m?version=2")
        .send()
        .expect_errors(404, &[]);
    opened.write("secret/config", &json!({"cas_required": true}), 204);
    let body = json!({"data": {}});
    let answer = opened.request("POST", "secret/data/m").json(&body).send();
    answer.expect_errors(400, &["check-and-set parameter required for this call"]);
}

#[test]
fn subkeys_show_structure_only() {
    let opened = opened_node();
    opened.write(
        "secret/data/s",
        &json!({"data": {"a": {"b": "secret"}, "c": 1}}),
        200,
    );
    let subkeys = opened.read("secret/subkeys/s", 200)["data"]["subkeys"].clone();
    assert_eq!(subkeys, json!({"a": {"b": null}, "c": null}));
    let shallow = opened.read("secret/subkeys/s?depth=1", 200)["data"]["subkeys"].clone();
    assert_eq!(shallow, json!({"a": null, "c": null}));
}

#[test]
fn the_cli_patches_rolls_back_and_lists() {
    let opened = opened_node();
    let kv = |arguments: &[&str]| {
        let mut all = vec!["kv"];
        all.extend(arguments);
        opened.node.bao(Some(&opened.root), &all)
    };
    kv(&["put", "secret/app/db", "user=a", "password=b"])
        .expect(0)
        .expect_line("version 1");
    kv(&["patch", "secret/app/db", "password=c"])
        .expect(0)
        .expect_line("version 2");
    kv(&["patch", "-method=rw", "secret/app/db", "user=d"])
        .expect(0)
        .expect_line("version 3");
    kv(&["rollback", "-version=1", "secret/app/db"])
        .expect(0)
        .expect_line("version 4");
    kv(&["get", "-field=password", "secret/app/db"])
        .expect(0)
        .expect_line("b");
    kv(&["put", "-cas=1", "secret/app/db", "x=y"])
        .expect(2)
        .expect_error("check-and-set");
    kv(&["list", "secret/app"]).expect(0).expect_line("db");
    kv(&["list", "secret/none"]).expect(2);
    kv(&[
        "metadata",
        "put",
        "-max-versions=3",
        "-custom-metadata=team=a",
        "secret/app/db",
    ])
    .expect(0);
    kv(&["metadata", "get", "secret/app/db"])
        .expect(0)
        .expect_line("max_versions 3");
    kv(&["metadata", "delete", "secret/app/db"]).expect(0);
    kv(&["get", "secret/app/db"]).expect(2);
    kv(&["get", "none/app"])
        .expect(2)
        .expect_error("preflight capability check returned 403");
}

#[test]
fn what_is_stored_names_nobody() {
    let mut opened = super::support::opened_node();
    let (name, value) = ("marker-name-5d1f", "marker-value-9c2e");
    opened.write(
        &format!("secret/data/{name}"),
        &json!({"data": {"k": value}}),
        200,
    );
    opened.write(&format!("transit/keys/{name}"), &json!({}), 200);
    opened.node.stop();
    let stored = std::fs::read(stored_file(&opened.node)).unwrap();
    for marker in [name, value, opened.root.as_str(), opened.shares[0].as_str()] {
        let found = stored
            .windows(marker.len())
            .any(|window| window == marker.as_bytes());
        assert!(!found, "{marker} is readable in the store");
    }
}

fn stored_file(node: &TestNode) -> std::path::PathBuf {
    let files = std::fs::read_dir(node.folder().join("data")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "store")
    });
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}
