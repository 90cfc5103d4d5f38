//! HMACs, hashes and random bytes.

use super::*;

const ABC: &str = "YWJj";

#[actix::test]
async fn hashes_are_those_of_fips_180_4() {
    let mount = Mounted::new().await;
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let sum = async |path: &str, fields: Value| mount.done(path, fields).await["sum"].clone();
    assert_eq!(sum("hash", json!({ "input": ABC })).await, sha256);
    assert_eq!(sum("hash/sha2-256", json!({ "input": ABC })).await, sha256);
    let in_base64 = json!({ "input": ABC, "format": "base64" });
    assert_eq!(
        sum("hash", in_base64).await,
        STANDARD.encode(hex::decode(sha256).unwrap())
    );
    for (name, beginning) in [
        ("sha2-224", "23097d223405d8228642a477bda255b3"),
        ("sha2-384", "cb00753f45a35e8bb5a03d699ac65007"),
        ("sha2-512", "ddaf35a193617abacc417349ae204131"),
    ] {
        let by_path = sum(&format!("hash/{name}"), json!({ "input": ABC })).await;
        assert!(by_path.as_str().unwrap().starts_with(beginning), "{name}");
        let by_field = json!({ "input": ABC, "algorithm": name });
        assert_eq!(sum("hash", by_field).await, by_path);
    }
    assert_eq!(
        mount.refused("hash/md5", json!({ "input": ABC })).await,
        "unsupported algorithm md5"
    );
    assert_eq!(
        mount.refused("hash", json!({ "input": "?" })).await,
        "unable to decode input as base64: illegal base64 data at input byte 0"
    );
    let words = mount
        .refused("hash", json!({ "input": ABC, "format": "octal" }))
        .await;
    assert_eq!(
        words,
        r#"unsupported encoding format "octal"; must be "hex" or "base64""#
    );
}

#[actix::test]
async fn random_bytes_are_as_many_as_asked_for() {
    let mount = Mounted::new().await;
    let bytes = async |path: &str, fields: Value| {
        let data = mount.done(path, fields).await;
        data["random_bytes"].as_str().unwrap().to_owned()
    };
    let decoded =
        async |path: &str, fields: Value| STANDARD.decode(bytes(path, fields).await).unwrap().len();
    assert_eq!(decoded("random", json!({})).await, 32);
    assert_eq!(
        decoded("random", json!({ "bytes": "131072" })).await,
        131_072
    );
    assert_eq!(decoded("random/1", json!({})).await, 1);
    assert_eq!(decoded("random/platform/7", json!({})).await, 7);
    assert_eq!(decoded("random/7/platform", json!({})).await, 7);
    assert_eq!(decoded("random/platform", json!({ "bytes": 9 })).await, 9);
    assert_eq!(
        bytes("random/16", json!({ "format": "hex" })).await.len(),
        32
    );
    assert_ne!(
        bytes("random", json!({})).await,
        bytes("random", json!({})).await
    );
    for (path, fields, words) in [
        ("random/0", json!({}), "'bytes' cannot be less than 1"),
        (
            "random",
            json!({ "bytes": -5 }),
            "'bytes' cannot be less than 1",
        ),
        (
            "random",
            json!({ "bytes": 131_073 }),
            "'bytes' should be less than 131072",
        ),
        (
            "random/seal",
            json!({}),
            r#"unsupported entropy source "seal"; must be "platform""#,
        ),
    ] {
        assert_eq!(mount.refused(path, fields).await, words);
    }
}

#[actix::test]
async fn hmacs_are_of_the_version_and_the_algorithm() {
    let mount = Mounted::new().await;
    assert_eq!(
        mount.refused("hmac/k", json!({ "input": ABC })).await,
        "encryption key not found"
    );
    mount.done("keys/k", json!({})).await;
    let hmac = async |path: &str, fields: Value| {
        mount.done(path, fields).await["hmac"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let first = hmac("hmac/k", json!({ "input": ABC })).await;
    assert_eq!(
        hmac("hmac/k/sha2-256", json!({ "input": ABC })).await,
        first
    );
    let payload = first.strip_prefix("vault:v1:").unwrap();
    assert_eq!(STANDARD.decode(payload).unwrap().len(), 32);
    let long = hmac("hmac/k/sha2-512", json!({ "input": ABC })).await;
    let payload = long.strip_prefix("vault:v1:").unwrap();
    assert_eq!(STANDARD.decode(payload).unwrap().len(), 64);
    mount.done("keys/k/rotate", json!({})).await;
    let second = hmac("hmac/k", json!({ "input": ABC })).await;
    assert!(second.starts_with("vault:v2:"));
    let chosen = json!({ "input": ABC, "key_version": 1 });
    assert_eq!(hmac("hmac/k", chosen).await, first);
    for (fields, words) in [
        (json!({}), "missing input for HMAC"),
        (
            json!({ "input": "?" }),
            "unable to decode input as base64: illegal base64 data at input byte 0",
        ),
        (
            json!({ "input": ABC, "key_version": 3 }),
            "cannot generate HMAC: version is higher than the latest key version",
        ),
        (
            json!({ "input": ABC, "algorithm": "md5" }),
            "unsupported algorithm md5",
        ),
    ] {
        assert_eq!(mount.refused("hmac/k", fields).await, words);
    }
    let items = json!({ "batch_input": [{ "input": ABC }, {}] });
    let reply = mount.write("hmac/k", items).await.unwrap();
    assert_eq!(
        reply.outcome,
        Outcome::Done,
        "failed items show in the item alone"
    );
    let lines = data(reply);
    assert_eq!(lines["batch_results"][0]["hmac"], second);
    assert_eq!(lines["batch_results"][1]["error"], "missing input for HMAC");
}
