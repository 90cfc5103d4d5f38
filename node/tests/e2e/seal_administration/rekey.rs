//! New shares, over both families of routes.

use serde_json::{Value, json};

use super::{list, text};
use crate::support::opened_node;

#[test]
fn a_rekey_over_the_bare_routes() {
    let opened = opened_node();
    let idle = json!({"nonce": "", "started": false, "t": 0, "n": 0, "progress": 0, "required": 2,
        "pgp_fingerprints": null, "backup": false, "verification_required": false});
    let status = || {
        opened
            .bare("GET", "sys/rekey/init", &json!({}))
            .expect(200)
            .json()
    };
    assert_eq!(status(), idle);

    let quorum = json!({"secret_shares": 4, "secret_threshold": "3"});
    let begun = opened
        .bare("PUT", "sys/rekey/init", &quorum)
        .expect(200)
        .json();
    let nonce = text(&begun["nonce"]);
    let mut expected = idle.clone();
    for (key, value) in [("started", json!(true)), ("t", json!(3)), ("n", json!(4))] {
        expected[key] = value;
    }
    expected["nonce"] = json!(nonce);
    assert_eq!(begun, expected);

    let update = |key: &str| {
        let body = json!({"key": key, "nonce": nonce});
        opened.bare("PUT", "sys/rekey/update", &body)
    };
    expected["progress"] = json!(1);
    assert_eq!(update(&opened.shares[0]).expect(200).json(), expected);
    update(&opened.shares[0]).expect_errors(
        400,
        &["given key has already been provided during this generation operation"],
    );
    assert_eq!(status(), expected);
    let done = update(&opened.shares[2]).expect(200).json();
    assert_eq!(
        (&done["complete"], &done["nonce"]),
        (&json!(true), &json!(nonce))
    );
    assert_eq!(done.get("verification_nonce"), None);
    let new = list(&done["keys_base64"]);
    assert_eq!((new.len(), list(&done["keys"]).len()), (4, 4));
    let mut idle_now = idle;
    idle_now["required"] = json!(3);
    assert_eq!(status(), idle_now);

    opened.reopens_with(&new[1..]);
    let old = json!({"key": opened.shares[0]});
    opened.request("PUT", "sys/seal").send().expect(204);
    opened
        .bare("PUT", "sys/unseal", &old)
        .expect_error_with(400, "not one of this add-on's current key shares");
    let hex: Vec<Value> = list(&done["keys"])[..3].to_vec();
    for share in &hex {
        opened
            .bare("PUT", "sys/unseal", &json!({ "key": share }))
            .expect(200);
    }
    opened.read("sys/mounts", 200);
}

#[test]
fn a_rekey_refuses_what_vault_refuses() {
    let opened = opened_node();
    let init = |body: Value| opened.bare("PUT", "sys/rekey/init", &body);
    for (body, text) in [
        (
            json!({}),
            "invalid rekey seal configuration: shares must be at least one",
        ),
        (
            json!({"secret_shares": 3, "secret_threshold": 5}),
            "invalid rekey seal configuration: threshold cannot be larger than shares",
        ),
        (
            json!({"secret_shares": 256, "secret_threshold": 3}),
            "invalid rekey seal configuration: shares must be less than 256",
        ),
        (
            json!({"secret_shares": 3, "secret_threshold": 1}),
            "invalid rekey seal configuration: threshold must be greater than one for multiple shares",
        ),
    ] {
        init(body).expect_errors(400, &[text]);
    }
    let two = |extra: &str, value: Value| {
        let mut body = json!({"secret_shares": 2, "secret_threshold": 2});
        body[extra] = value;
        body
    };
    init(two("backup", json!(true))).expect_error_with(400, "cannot request a backup");
    init(two("pgp_keys", json!(["a", "b"]))).expect_error_with(400, "pgp_keys is not supported");
    init(two("secret_shares", json!("many"))).expect(400);
    init(two("require_verification", json!("maybe"))).expect(400);

    let update = |body: Value| opened.bare("PUT", "sys/rekey/update", &body);
    let key = &opened.shares[0];
    update(json!({"key": key, "nonce": "x"})).expect_errors(400, &["no barrier rekey in progress"]);
    opened
        .bare("GET", "sys/rekey/verify", &json!({}))
        .expect_errors(400, &["no rekey configuration found"]);
    let begun = init(two("stored_shares", json!(1))).expect(200).json();
    init(two("stored_shares", json!(1))).expect_errors(400, &["rekey already in progress"]);
    let nonce = text(&begun["nonce"]);
    let wrong_nonce =
        format!("incorrect nonce supplied; nonce for this rekey operation is {nonce:?}");
    let missing = "'key' must be specified in request body as JSON";
    for (body, text) in [
        (json!({"key": key, "nonce": "x"}), wrong_nonce.as_str()),
        (json!({"key": key}), wrong_nonce.as_str()),
        (json!({"nonce": nonce}), missing),
        (json!({"key": "", "nonce": nonce}), missing),
        (
            json!({"key": "zz!", "nonce": nonce}),
            "'key' must be a valid hex or base64 string",
        ),
        (
            json!({"key": "abcd", "nonce": nonce}),
            "invalid key: key is shorter than minimum 33 bytes",
        ),
        (
            json!({"key": "00".repeat(40), "nonce": nonce}),
            "invalid key: key is longer than maximum 33 bytes",
        ),
    ] {
        update(body).expect_errors(400, &[text]);
    }
    let mut forged: Vec<char> = key.chars().collect();
    forged[20] = if forged[20] == 'A' { 'B' } else { 'A' };
    let forged: String = forged.into_iter().collect();
    update(json!({"key": forged, "nonce": nonce}))
        .expect_error_with(400, "not one of this add-on's");
    update(json!({"key": key, "nonce": nonce})).expect(200);
    let status = opened
        .bare("GET", "sys/rekey/verify", &json!({}))
        .expect(200)
        .json();
    assert_eq!(
        (&status["started"], &status["progress"]),
        (&json!(false), &json!(0))
    );
    let verify = json!({"key": key, "nonce": nonce});
    opened
        .bare("PUT", "sys/rekey/verify", &verify)
        .expect_errors(400, &["no rekey verification in progress"]);
    opened
        .bare("DELETE", "sys/rekey/init", &json!({}))
        .expect(204);
    opened
        .bare("DELETE", "sys/rekey/init", &json!({}))
        .expect(204);
    update(json!({"key": key, "nonce": nonce}))
        .expect_errors(400, &["no barrier rekey in progress"]);

    opened
        .bare("PATCH", "sys/rekey/init", &json!({}))
        .expect_errors(405, &[]);
    opened
        .bare("GET", "sys/rekey/update", &json!({}))
        .expect_errors(405, &[]);
    for path in ["init", "update", "verify"] {
        opened
            .bare("GET", &format!("sys/rekey-recovery-key/{path}"), &json!({}))
            .expect_errors(400, &["recovery rekeying not supported"]);
    }
    for path in [
        "sys/rekey/backup",
        "sys/rekey/recovery-key-backup",
        "sys/rotate/root/backup",
    ] {
        opened
            .with_root("GET", path, &json!({}))
            .expect_errors(400, &["no backed-up keys found"]);
        opened.with_root("DELETE", path, &json!({})).expect(204);
    }
    opened.reopens_with(&[json!(opened.shares[0]), json!(opened.shares[1])]);
}

#[test]
fn new_shares_are_verified_before_they_are_in_force() {
    let opened = opened_node();
    let root = |method: &str, path: &str, body: Value| {
        opened.with_root(method, &format!("sys/rotate/root/{path}"), &body)
    };
    let idle = root("GET", "init", json!({})).expect(200).data();
    assert_eq!(
        idle,
        json!({"started": false, "t": 0, "n": 0, "required": 2})
    );
    root("POST", "update", json!({"key": "x", "nonce": "x"}))
        .expect_errors(400, &["no rotation in progress"]);
    root("GET", "verify", json!({})).expect_errors(400, &["no rotation configuration found"]);

    let body = json!({"secret_shares": 3, "secret_threshold": 2, "require_verification": true});
    let begun = root("POST", "init", body.clone()).expect(200).data();
    assert_eq!(
        (
            &begun["verification_required"],
            &begun["verification_nonce"]
        ),
        (&json!(true), &json!(""))
    );
    root("POST", "init", body).expect_errors(400, &["rotation already in progress"]);
    let nonce = text(&begun["nonce"]);
    root("PUT", "update", json!({"nonce": nonce}))
        .expect_errors(400, &["missing required field 'key'"]);
    let other = format!("incorrect nonce supplied; nonce for rotation is {nonce:?}");
    root(
        "PUT",
        "update",
        json!({"key": opened.shares[0], "nonce": "x"}),
    )
    .expect_errors(400, &[&other]);
    let mut done = Value::Null;
    for share in &opened.shares[..2] {
        done = root("PUT", "update", json!({"key": share, "nonce": nonce}))
            .expect(200)
            .data();
    }
    assert_eq!(done["complete"], true, "{done}");
    let new: Vec<&str> = list(&done["keys_base64"]).iter().map(text).collect();
    let verification = text(&done["verification_nonce"]);

    let status = root("GET", "init", json!({})).expect(200).data();
    assert_eq!(
        (&status["started"], &status["verification_nonce"]),
        (&json!(true), &json!(verification))
    );
    root(
        "PUT",
        "update",
        json!({"key": opened.shares[0], "nonce": nonce}),
    )
    .expect_error_with(400, "verification must be performed");
    let on = json!({"nonce": verification, "started": true, "t": 2, "n": 3, "progress": 0});
    assert_eq!(root("GET", "verify", json!({})).expect(200).data(), on);
    let verify =
        |key: &str, nonce: &str| root("PUT", "verify", json!({"key": key, "nonce": nonce}));
    let other =
        format!("incorrect nonce supplied; nonce for this verify operation is {verification:?}");
    verify(new[0], "x").expect_errors(400, &[&other]);
    verify(&opened.shares[0], verification).expect_error_with(400, "not one of the new key shares");
    assert_eq!(
        verify(new[0], verification).expect(200).data()["progress"],
        1
    );
    verify(new[0], verification).expect_errors(
        400,
        &["given key has already been provided during this verify operation"],
    );

    let restarted = root("DELETE", "verify", json!({})).expect(200).data();
    assert_eq!(restarted["progress"], 0);
    let again = text(&restarted["nonce"]);
    verify(new[0], verification).expect(400);
    // Both families speak of the same rekey.
    let bare = opened
        .bare("GET", "sys/rekey/verify", &json!({}))
        .expect(200)
        .json();
    assert_eq!(bare["nonce"], again);
    verify(new[2], again).expect(200);
    let complete = verify(new[1], again).expect(200).data();
    assert_eq!(complete, json!({"nonce": again, "complete": true}));
    root("GET", "verify", json!({})).expect_errors(400, &["no rotation configuration found"]);
    opened.reopens_with(&[json!(new[0]), json!(new[1])]);
    opened.request("PUT", "sys/seal").send().expect(204);
    opened
        .bare("PUT", "sys/unseal", &json!({"key": opened.shares[0]}))
        .expect(400);
}

#[test]
fn recovery_keys_belong_to_automatic_unsealing() {
    let opened = opened_node();
    let body = json!({"secret_shares": 2, "secret_threshold": 2});
    for (method, path, text) in [
        ("GET", "init", "recovery keys not supported"),
        ("POST", "init", "recovery keys not supported"),
        ("POST", "update", "recovery keys not supported"),
        ("GET", "backup", "no backed-up keys found"),
        ("GET", "verify", "no rotation configuration found"),
    ] {
        let path = format!("sys/rotate/recovery/{path}");
        opened
            .with_root(method, &path, &body)
            .expect_errors(400, &[text]);
    }
    opened
        .with_root("POST", "sys/rotate/recovery", &json!({}))
        .expect_error_with(404, "unsupported path");
}

#[test]
fn guessing_shares_is_limited_in_every_ceremony() {
    let opened = opened_node();
    let body = json!({"secret_shares": 2, "secret_threshold": 2});
    let begun = opened
        .bare("PUT", "sys/rekey/init", &body)
        .expect(200)
        .json();
    let guess = || {
        let body = json!({"key": "ab".repeat(33), "nonce": begun["nonce"]});
        opened.bare("PUT", "sys/rekey/update", &body).status
    };
    let refused = (0..40).map(|_| guess()).find(|status| *status != 400);
    assert_eq!(refused, Some(429));
}
