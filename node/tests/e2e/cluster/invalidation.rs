//! What one node changed is so on the others in the next request, also with gossip cut.

use serde_json::json;

use super::wired::{Founded, Wired};
use crate::support::base64;

fn opened() -> Founded {
    let founded = Wired::start(3).found();
    founded.open();
    founded
}

#[test]
fn what_one_node_made_works_on_another_in_the_next_request() {
    check(&opened());
}

#[test]
fn it_does_so_without_gossip_too() {
    let founded = opened();
    founded.wired.links().for_each(|link| link.cut());
    check(&founded);
}

fn check(founded: &Founded) {
    let write = |node: usize, path: &str, body, status| {
        let request = founded.request(node, "POST", path);
        request.json(&body).send().expect(status)
    };
    for round in 0..5 {
        let (one, other, third) = (round % 3, (round + 1) % 3, (round + 2) % 3);
        // A policy and a token of it.
        let policy =
            "path \"secret/data/mine\" { capabilities = [\"create\", \"update\", \"read\"] }";
        let name = format!("mine-{round}");
        let path = format!("sys/policies/acl/{name}");
        write(one, &path, json!({ "policy": policy }), 204);
        let made = write(
            other,
            "auth/token/create",
            json!({ "policies": [name] }),
            200,
        )
        .json();
        let token = made["auth"]["client_token"].as_str().unwrap().to_owned();
        let as_token = |node: usize, method: &str, path: &str| {
            founded.wired.nodes[node]
                .request(method, path)
                .token(&token)
        };
        let body = json!({"data": {"round": round}});
        as_token(third, "POST", "secret/data/mine")
            .json(&body)
            .send()
            .expect(200);
        // A policy that grants more does so at once; the denial of a moment ago is not remembered.
        as_token(one, "GET", "secret/data/other").send().expect(403);
        let wider = format!(
            "{policy} path \"secret/data/other\" {{ capabilities = [\"create\", \"update\"] }}"
        );
        write(other, &path, json!({ "policy": wider }), 204);
        as_token(one, "POST", "secret/data/other")
            .json(&body)
            .send()
            .expect(200);
        // A mount.
        let mount = format!("more-{round}");
        write(
            one,
            &format!("sys/mounts/{mount}"),
            json!({"type": "kv-v2"}),
            204,
        );
        write(other, &format!("{mount}/data/x"), body.clone(), 200);
        // The user Biscuit may use it at once, too.
        let user = founded.wired.nodes[third].request("GET", &format!("{mount}/data/x"));
        user.token(&founded.addon.user_token).send().expect(200);
        // A key, its rotation, and a ciphertext of a version that a node has not seen.
        let key = format!("key-{round}");
        write(one, &format!("transit/keys/{key}"), json!({}), 200);
        for turn in 0..3 {
            let (writer, reader) = ((round + turn) % 3, (round + turn + 1) % 3);
            write(
                writer,
                &format!("transit/keys/{key}/rotate"),
                json!({}),
                200,
            );
            let body = json!({"plaintext": base64("word")});
            let path = format!("transit/encrypt/{key}");
            let made = write(writer, &path, body, 200).data();
            let body = json!({"ciphertext": made["ciphertext"]});
            let path = format!("transit/decrypt/{key}");
            let opened = write(reader, &path, body, 200).data();
            assert_eq!(opened["plaintext"], base64("word"));
        }
        // An add-on.
        let made = founded.wired.nodes[one].create_addon(&format!("addon-{round}"));
        let request = founded.wired.nodes[other].request("GET", "sys/seal-status");
        let status = request.token(&made.root_token).send().expect(200).json();
        assert_eq!(status["initialized"], false);
    }
}

#[test]
fn what_was_taken_away_is_gone_everywhere_within_the_bound() {
    use std::time::Duration;

    use super::wired::eventually;

    let founded = opened();
    founded.wired.links().for_each(|link| link.cut());
    let request = founded.request(0, "POST", "auth/token/create");
    let made = request
        .json(&json!({"policies": ["default"]}))
        .send()
        .expect(200)
        .json();
    let token = made["auth"]["client_token"].as_str().unwrap().to_owned();
    let works = |node: usize| {
        let request = founded.wired.nodes[node].request("GET", "auth/token/lookup-self");
        request.token(&token).send().status == 200
    };
    assert!((0..3).all(works));
    let request = founded.request(1, "POST", "auth/token/revoke");
    request.json(&json!({ "token": token })).send().expect(204);
    assert!(!works(1));
    for node in [0, 2] {
        assert!(
            eventually(Duration::from_secs(2), || !works(node)),
            "node {node}"
        );
    }
}
