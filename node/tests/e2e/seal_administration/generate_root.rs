//! Root tokens for holders of shares, over both families of routes.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde_json::{Value, json};

use super::text;
use crate::support::opened_node;

fn decode(encoded: &Value, otp: &str) -> String {
    let combined = BASE64_STANDARD_NO_PAD
        .decode(text(encoded))
        .expect("base64 without padding");
    let bytes = combined
        .iter()
        .zip(otp.bytes())
        .map(|(byte, pad)| byte ^ pad)
        .collect();
    String::from_utf8(bytes).expect("a token")
}

#[test]
fn a_root_token_is_generated_over_the_bare_routes() {
    let opened = opened_node();
    let attempt =
        |method: &str, body: Value| opened.bare(method, "sys/generate-root/attempt", &body);
    let update = |body: Value| opened.bare("PUT", "sys/generate-root/update", &body);
    let idle = json!({"nonce": "", "started": false, "progress": 0, "required": 2, "complete": false,
        "encoded_token": "", "encoded_root_token": "", "pgp_fingerprint": "", "otp": "", "otp_length": 43});
    assert_eq!(attempt("GET", json!({})).expect(200).json(), idle);
    update(json!({"key": opened.shares[0], "nonce": "x"}))
        .expect_errors(400, &["no root generation in progress"]);
    attempt("PUT", json!({"otp": "abc"})).expect_errors(400, &["OTP string has incorrect length"]);
    attempt("PUT", json!({"pgp_key": "abc"})).expect_error_with(400, "pgp_key is not supported");

    let begun = attempt("PUT", json!({"otp": "", "pgp_key": ""}))
        .expect(200)
        .json();
    let (nonce, otp) = (text(&begun["nonce"]), text(&begun["otp"]));
    assert_eq!(otp.len(), 43);
    attempt("PUT", json!({})).expect_errors(400, &["root generation already in progress"]);
    let shown = attempt("GET", json!({})).expect(200).json();
    assert_eq!(
        (&shown["otp"], &shown["nonce"]),
        (&json!(""), &json!(nonce))
    );
    let wrong =
        format!("incorrect nonce supplied; nonce for this root generation operation is {nonce:?}");
    update(json!({"key": opened.shares[0]})).expect_errors(400, &[&wrong]);
    update(json!({"nonce": nonce}))
        .expect_errors(400, &["'key' must be specified in request body as JSON"]);
    update(json!({"nonce": nonce, "key": "zz!"}))
        .expect_errors(400, &["'key' must be a valid hex or base64 string"]);
    let first = update(json!({"key": opened.shares[0], "nonce": nonce}))
        .expect(200)
        .json();
    assert_eq!(
        (&first["progress"], &first["complete"]),
        (&json!(1), &json!(false))
    );
    update(json!({"key": opened.shares[0], "nonce": nonce}))
        .expect_error_with(400, "already been provided");
    let last = update(json!({"key": opened.shares[1], "nonce": nonce}))
        .expect(200)
        .json();
    assert_eq!(
        (&last["progress"], &last["complete"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(last["encoded_token"], last["encoded_root_token"]);
    assert_eq!(attempt("GET", json!({})).expect(200).json(), idle);

    let token = decode(&last["encoded_token"], otp);
    let looked_up = opened
        .node
        .request("GET", "auth/token/lookup-self")
        .token(&token)
        .send()
        .expect(200)
        .data();
    assert_eq!(
        (&looked_up["policies"], &looked_up["ttl"]),
        (&json!(["root"]), &json!(0))
    );
    opened
        .node
        .request("GET", "sys/mounts")
        .token(&token)
        .send()
        .expect(200);
    assert_ne!(token, opened.root);

    attempt("PUT", json!({})).expect(200);
    attempt("DELETE", json!({})).expect(204);
    attempt("DELETE", json!({})).expect(204);
    assert_eq!(attempt("GET", json!({})).expect(200).json(), idle);
}

#[test]
fn a_root_token_is_generated_over_the_enveloped_routes_with_a_chosen_pad() {
    let opened = opened_node();
    let attempt = |method: &str, body: Value| {
        opened.with_root(method, "sys/generate-root-token/attempt", &body)
    };
    let update = |body: Value| opened.with_root("PUT", "sys/generate-root-token/update", &body);
    let idle = json!({"complete": false, "otp": "", "otp_length": 43, "progress": 0, "required": 2, "started": false});
    assert_eq!(attempt("GET", json!({})).expect(200).data(), idle);
    let otp = "p".repeat(43);
    let begun = attempt("POST", json!({"otp": otp})).expect(200).data();
    assert_eq!(begun["otp"], "", "who chose it knows it");
    let nonce = text(&begun["nonce"]);
    update(json!({"nonce": nonce})).expect_errors(400, &["key is required"]);
    update(json!({"nonce": "x", "key": opened.shares[0]}))
        .expect_error_with(400, "incorrect nonce supplied");
    let first = update(json!({"key": opened.shares[2], "nonce": nonce}))
        .expect(200)
        .data();
    let expected = json!({"complete": false, "encoded_token": "", "nonce": nonce, "pgp_fingerprint": "",
        "progress": 1, "required": 2, "started": true});
    assert_eq!(first, expected);
    let last = update(json!({"key": opened.shares[1], "nonce": nonce}))
        .expect(200)
        .data();
    let token = decode(&last["encoded_token"], &otp);
    opened
        .node
        .request("GET", "sys/mounts")
        .token(&token)
        .send()
        .expect(200);
}
