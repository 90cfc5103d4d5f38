//! Transit over HTTP: what the guide does not show.

use serde_json::{Value, json};

use super::support::{base64, opened_node};

#[test]
fn each_type_encrypts_and_decrypts() {
    let opened = opened_node();
    let plaintext = base64("text");
    for kind in [
        "xchacha20-poly1305",
        "chacha20-poly1305",
        "aes256-gcm96",
        "aes128-gcm96",
    ] {
        let key = opened.write(
            &format!("transit/keys/{kind}"),
            &json!({ "type": kind }),
            200,
        );
        assert_eq!(key["data"]["type"], kind);
        assert!(key["data"]["keys"]["1"].is_u64(), "{key}");
        let context = base64("header");
        let body = json!({"plaintext": plaintext, "associated_data": context});
        let encrypted = opened.write(&format!("transit/encrypt/{kind}"), &body, 200);
        let ciphertext = &encrypted["data"]["ciphertext"];
        let body = json!({"ciphertext": ciphertext, "associated_data": context});
        let decrypted = opened.write(&format!("transit/decrypt/{kind}"), &body, 200);
        assert_eq!(decrypted["data"]["plaintext"], plaintext.as_str());
        opened.write(
            &format!("transit/decrypt/{kind}"),
            &json!({ "ciphertext": ciphertext }),
            400,
        );
    }
}

#[test]
fn missing_and_wrong_keys_cannot_be_told_apart() {
    let opened = opened_node();
    opened.write("transit/keys/right", &json!({}), 200);
    opened.write("transit/keys/wrong", &json!({}), 200);
    let encrypted = opened.write(
        "transit/encrypt/right",
        &json!({"plaintext": base64("x")}),
        200,
    );
    let ciphertext = encrypted["data"]["ciphertext"].clone();
    let body = json!({ "ciphertext": ciphertext });
    let answer = |operation: &str, key: &str, body: &Value| {
        let answer = opened
            .request("POST", &format!("transit/{operation}/{key}"))
            .json(body)
            .send();
        let mut headers = answer.headers;
        headers.retain(|(name, _)| name != "date");
        headers.sort();
        (answer.status, headers, answer.body)
    };
    let future = json!({"ciphertext": ciphertext.as_str().unwrap().replace("v1", "v9")});
    for operation in ["decrypt", "rewrap"] {
        let wrong = answer(operation, "wrong", &body);
        assert_eq!(wrong.0, 400);
        assert_eq!(wrong.2, "{\"errors\":[\"Unable to decrypt the secret\"]}\n");
        assert_eq!(answer(operation, "missing", &body), wrong);
        assert_eq!(answer(operation, "right", &future), wrong);
    }
    let batch = json!({"batch_input": [{ "ciphertext": ciphertext }]});
    let items = |key: &str| {
        let answer = opened
            .request("POST", &format!("transit/decrypt/{key}"))
            .json(&batch)
            .send();
        answer.expect(400).data()["batch_results"].clone()
    };
    assert_eq!(items("wrong"), items("missing"));
}

#[test]
fn a_batch_keeps_order_and_reports_each_item() {
    let opened = opened_node();
    let one = json!({"plaintext": base64("1"), "reference": "a"});
    let two = json!({"plaintext": base64("2")});
    let body = json!({"batch_input": [one, two]});
    let encrypted = opened.write("transit/encrypt/batch", &body, 200);
    let results = encrypted["data"]["batch_results"].clone();
    assert_eq!(results[0]["reference"], "a");
    let broken = json!([
        {"ciphertext": results[1]["ciphertext"]},
        {"ciphertext": "vault:v1:AAAA"},
        {"ciphertext": results[0]["ciphertext"], "reference": "z"},
    ]);
    let answer = opened
        .request("POST", "transit/decrypt/batch")
        .json(&json!({"batch_input": broken}))
        .send();
    let results = answer.expect(400).json();
    assert_eq!(results.get("errors"), None);
    let results = &results["data"]["batch_results"];
    assert_eq!(results[0]["plaintext"], base64("2").as_str());
    assert!(results[1]["error"].is_string(), "{results}");
    assert_eq!(
        (&results[2]["plaintext"], &results[2]["reference"]),
        (&json!(base64("1")), &json!("z"))
    );
    let body = json!({"batch_input": broken, "partial_failure_response_code": 207});
    opened
        .request("POST", "transit/decrypt/batch")
        .json(&body)
        .send()
        .expect(207);
    opened.write("transit/decrypt/batch", &json!({"batch_input": []}), 400);
}

#[test]
fn derived_and_convergent_keys() {
    let opened = opened_node();
    opened.write(
        "transit/keys/c",
        &json!({"convergent_encryption": true}),
        400,
    );
    let body = json!({"derived": true, "convergent_encryption": "true", "type": "aes256-gcm96"});
    opened.write("transit/keys/c", &body, 200);
    let encrypt = |context: &str| {
        let body = json!({"plaintext": base64("x"), "context": base64(context)});
        opened.write("transit/encrypt/c", &body, 200)["data"]["ciphertext"].clone()
    };
    assert_eq!(encrypt("one"), encrypt("one"));
    assert_ne!(encrypt("one"), encrypt("two"));
    opened.write("transit/encrypt/c", &json!({"plaintext": base64("x")}), 400);
    let body = json!({"ciphertext": encrypt("one"), "context": base64("two")});
    opened.write("transit/decrypt/c", &body, 400);
}

#[test]
fn config_limits_versions_and_allows_deletion() {
    let opened = opened_node();
    opened.write("transit/keys/k", &json!({}), 200);
    let body = json!({"plaintext": base64("x")});
    let old = opened.write("transit/encrypt/k", &body, 200)["data"]["ciphertext"].clone();
    assert_eq!(
        opened.write("transit/keys/k/rotate", &json!({}), 200)["data"]["latest_version"],
        2
    );
    opened.write(
        "transit/keys/k/config",
        &json!({"min_decryption_version": 9}),
        400,
    );
    opened.write(
        "transit/keys/k/config",
        &json!({"min_decryption_version": 2}),
        200,
    );
    opened.write("transit/decrypt/k", &json!({ "ciphertext": old }), 400);
    opened
        .request("DELETE", "transit/keys/k")
        .send()
        .expect(400);
    opened.write(
        "transit/keys/k/config",
        &json!({"deletion_allowed": true}),
        200,
    );
    opened
        .request("DELETE", "transit/keys/k")
        .send()
        .expect(204);
    opened
        .request("GET", "transit/keys/k")
        .send()
        .expect_errors(404, &[]);
}

#[test]
fn datakeys_and_random_bytes() {
    let opened = opened_node();
    opened.write("transit/keys/k", &json!({}), 200);
    let made = opened.write("transit/datakey/plaintext/k", &json!({}), 200)["data"].clone();
    let body = json!({"ciphertext": made["ciphertext"]});
    let opened_key = opened.write("transit/decrypt/k", &body, 200);
    assert_eq!(opened_key["data"]["plaintext"], made["plaintext"]);
    let wrapped = opened.write("transit/datakey/wrapped/k", &json!({"bits": "512"}), 200);
    assert_eq!(wrapped["data"].get("plaintext"), None);
    let random = opened.write("transit/random/32", &json!({"format": "hex"}), 200);
    assert_eq!(random["data"]["random_bytes"].as_str().unwrap().len(), 64);
    opened.write("transit/random/0", &json!({}), 400);
}

#[test]
fn the_users_token_cannot_delete_keys() {
    let opened = opened_node();
    let user = |method: &str, path: &str| {
        opened
            .node
            .request(method, path)
            .token(&opened.addon.user_token)
    };
    user("POST", "transit/keys/k").send().expect(200);
    user("POST", "transit/keys/k/rotate").send().expect(200);
    user("POST", "transit/keys/k/config")
        .json(&json!({"deletion_allowed": true}))
        .send()
        .expect(200);
    user("DELETE", "transit/keys/k").send().expect(403);
    let listed = user("LIST", "transit/keys").send().expect(200).data();
    assert_eq!(listed["keys"], json!(["k"]));
}
