//! Who may decrypt does not learn which keys exist.

use super::super::decrypt::REFUSED;
use super::*;

/// What can be sent to a key of which the caller knows nothing. Each is well formed.
async fn probes(mount: &Mounted) -> Vec<Value> {
    let foreign = mount.encrypt("other", "my secret data").await;
    let mut touched = foreign.clone();
    touched.pop();
    touched.push(if foreign.ends_with('A') { 'Q' } else { 'A' });
    let payload = foreign.strip_prefix("vault:v1:").unwrap();
    let with = |text: String| json!({ "ciphertext": text });
    vec![
        with(foreign.clone()),
        with(touched),
        with(format!("vault:v9:{payload}")),
        with(format!("vault:v4294967295:{payload}")),
        with("vault:v1:".into()),
        with("vault:v1:AAAA".into()),
        with(format!("vault:v1:{}", "A".repeat(36))),
        with(format!("vault:v1:{}", "A".repeat(400))),
        json!({ "ciphertext": foreign, "context": base64("c"), "associated_data": base64("d") }),
        json!({ "ciphertext": foreign, "key_version": 7 }),
    ]
}

async fn mount_with_keys() -> (Mounted, [&'static str; 4]) {
    let mount = Mounted::new().await;
    mount.done("keys/plain", json!({})).await;
    mount
        .done(
            "keys/derived",
            json!({ "derived": true, "type": "aes128-gcm96" }),
        )
        .await;
    mount
        .done("keys/closed", json!({ "type": "aes256-gcm96" }))
        .await;
    mount.done("keys/closed/rotate", json!({})).await;
    let closed = json!({ "min_decryption_version": 2, "min_encryption_version": 2 });
    mount.done("keys/closed/config", closed).await;
    mount
        .done("keys/closed/trim", json!({ "min_available_version": 2 }))
        .await;
    (mount, ["missing", "plain", "derived", "closed"])
}

#[actix::test]
async fn every_key_and_no_key_give_the_same_answer() {
    let (mount, keys) = mount_with_keys().await;
    for probe in probes(&mount).await {
        for operation in ["decrypt", "rewrap"] {
            for key in keys {
                let path = format!("{operation}/{key}");
                match mount.write(&path, probe.clone()).await {
                    Err(Error::Invalid {
                        field: None,
                        message,
                    }) => {
                        assert_eq!(message, REFUSED, "{path} {probe}");
                    }
                    other => panic!("{path} {probe}: {other:?}"),
                }
            }
        }
    }
}

#[actix::test]
async fn every_key_and_no_key_give_the_same_batch() {
    let (mount, keys) = mount_with_keys().await;
    let mut items = probes(&mount).await;
    items.push(json!({ "ciphertext": "no prefix", "reference": "r" }));
    items.push(json!({}));
    for operation in ["decrypt", "rewrap"] {
        let mut answers = Vec::new();
        for key in keys {
            let fields = json!({ "batch_input": items });
            let reply = mount
                .write(&format!("{operation}/{key}"), fields)
                .await
                .unwrap();
            assert_eq!(reply.outcome, Outcome::BatchFailed(None));
            answers.push(data(reply));
        }
        assert!(
            answers.iter().all(|answer| *answer == answers[0]),
            "{answers:#?}"
        );
    }
}

#[actix::test]
async fn malformed_ciphertexts_are_told_before_any_key_is_looked_at() {
    let (mount, keys) = mount_with_keys().await;
    mount.counts.take();
    for (fields, words) in [
        (json!({}), "missing ciphertext to decrypt"),
        (json!({ "ciphertext": "" }), "missing ciphertext to decrypt"),
        (
            json!({ "ciphertext": "v1:AAAA" }),
            "invalid ciphertext: no prefix",
        ),
        (
            json!({ "ciphertext": "vault:v1:A" }),
            "invalid ciphertext: could not decode base64",
        ),
        (
            json!({ "ciphertext": "vault:v1:AAAA", "context": "?" }),
            "failed to base64-decode context: illegal base64 data at input byte 0",
        ),
    ] {
        for operation in ["decrypt", "rewrap"] {
            for key in keys {
                let path = format!("{operation}/{key}");
                assert_eq!(mount.refused(&path, fields.clone()).await, words);
            }
        }
    }
    assert_eq!(mount.counts.take(), (0, 0));
}

#[actix::test]
async fn every_key_and_no_key_cost_the_same_rows() {
    let (mount, keys) = mount_with_keys().await;
    for probe in probes(&mount).await {
        let mut costs = Vec::new();
        for key in keys {
            mount.counts.take();
            mount
                .decrypt(key, probe["ciphertext"].as_str().unwrap())
                .await
                .unwrap_err();
            costs.push(mount.counts.take());
        }
        // The add-on's epoch, the mount's settings, and one row of the key or where it would be.
        assert_eq!(costs, [(1, 3); 4], "{probe}");
    }
}

#[actix::test]
async fn a_key_not_in_memory_costs_no_other_rows_than_none() {
    let (mount, keys) = mount_with_keys().await;
    let probe = mount.encrypt("other", "x").await;
    for key in keys {
        let cold = mount.other_node();
        cold.counts.take();
        cold.decrypt(key, &probe).await.unwrap_err();
        assert_eq!(cold.counts.take(), (1, 3), "{key}");
    }
}

#[actix::test]
async fn rewrap_tells_more_only_to_who_has_something_that_opens() {
    let mount = Mounted::new().await;
    let sealed = mount.encrypt("k", "x").await;
    let fields = json!({ "ciphertext": sealed, "key_version": 7 });
    assert_eq!(
        mount.refused("rewrap/k", fields).await,
        "requested version for encryption is higher than the latest key version"
    );
}
