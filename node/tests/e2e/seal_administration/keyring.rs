//! New data keys.

use serde_json::json;

use crate::support::{Cluster, opened_node};

#[test]
fn the_keyring_is_rotated_and_everything_stays_readable() {
    let opened = opened_node();
    let status = || opened.read("sys/key-status", 200);
    let before = status();
    assert_eq!(
        (&before["term"], &before["data"]["term"]),
        (&json!(1), &json!(1))
    );
    assert!(
        before["encryptions"].as_u64().expect("a number") > 0,
        "{before}"
    );
    opened.write("secret/data/a", &json!({"data": {"k": "before"}}), 200);
    for path in ["sys/rotate", "sys/rotate/keyring"] {
        opened.request("GET", path).send().expect(405);
        opened.write(path, &json!({}), 204);
    }
    let after = status();
    assert_eq!(
        (&after["term"], &after["encryptions"]),
        (&json!(3), &json!(0))
    );
    assert_ne!(after["install_time"], before["install_time"]);
    opened.write("secret/data/b", &json!({"data": {"k": "after"}}), 200);
    opened.reopens_with(&[json!(opened.shares[0]), json!(opened.shares[1])]);
    for (path, value) in [("secret/data/a", "before"), ("secret/data/b", "after")] {
        assert_eq!(opened.read(path, 200)["data"]["data"]["k"], value);
    }
    assert_eq!(status()["term"], 3);
}

#[test]
fn unasked_rotation_has_vaults_bounds() {
    let opened = opened_node();
    let config = |path: &str| opened.read(path, 200)["data"].clone();
    let unset = json!({"enabled": true, "interval": 0, "max_operations": 3_865_470_566_u64});
    assert_eq!(config("sys/rotate/config"), unset);
    for (body, text) in [
        (
            json!({"max_operations": 5}),
            "max_operations must be in the range [1000000,3865470566]",
        ),
        (
            json!({"interval": "1h"}),
            "interval must be greater or equal to 24h0m0s",
        ),
    ] {
        let answer = opened.with_root("POST", "sys/rotate/config", &body);
        answer.expect_errors(400, &[text]);
    }
    for body in [
        json!({"interval": "x"}),
        json!({"enabled": "maybe"}),
        json!({"max_operations": "many"}),
    ] {
        opened
            .with_root("POST", "sys/rotate/config", &body)
            .expect(400);
    }
    opened.write(
        "sys/rotate/keyring/config",
        &json!({"interval": "48h", "max_operations": 2_000_000, "enabled": false}),
        204,
    );
    let set = json!({"enabled": false, "interval": "48h0m0s", "max_operations": 2_000_000});
    assert_eq!(config("sys/rotate/keyring/config"), set);
    opened.write("sys/rotate/config", &json!({"interval": 0}), 204);
    assert_eq!(config("sys/rotate/config")["interval"], 0);
    opened
        .request("DELETE", "sys/rotate/config")
        .send()
        .expect(405);
}

#[test]
fn a_rotation_on_one_node_is_known_to_all() {
    let opened = Cluster::start(2).open();
    let ask = |node: usize, method: &str, path: &str| opened.request(node, method, path);
    for term in 2..5 {
        ask(term % 2, "POST", "sys/rotate").send().expect(204);
        let path = format!("secret/data/of/{term}");
        let body = json!({"data": {"term": term}});
        ask(term % 2, "POST", &path).json(&body).send().expect(200);
        // At once, with a row of a term that the other node was not told of yet.
        let read = ask((term + 1) % 2, "GET", &path).send().expect(200).data();
        assert_eq!(read["data"]["term"], term);
        let status = ask((term + 1) % 2, "GET", "sys/key-status")
            .send()
            .expect(200)
            .data();
        assert_eq!(status["term"], term);
    }
}
