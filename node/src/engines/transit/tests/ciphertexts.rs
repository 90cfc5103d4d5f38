//! Encrypting, decrypting, rewrapping and data keys, one item at a time.

use super::super::key_type::KeyType;
use super::*;

#[actix::test]
async fn every_type_encrypts_and_decrypts() {
    let mount = Mounted::new().await;
    for key_type in KeyType::ALL {
        for (derived, convergent) in [(false, false), (true, false), (true, true)] {
            let key = format!("{}-{derived}-{convergent}", key_type.name());
            let fields = json!({
                "type": key_type.name(),
                "derived": derived,
                "convergent_encryption": convergent,
            });
            mount.done(&format!("keys/{key}"), fields).await;
            let bound = json!({
                "plaintext": base64("my secret data"),
                "context": base64("tenant 7"),
                "associated_data": base64("row 9"),
            });
            let path = format!("encrypt/{key}");
            let sealed = mount.done(&path, bound.clone()).await;
            assert_eq!(sealed["key_version"], 1);
            let again = mount.done(&path, bound).await;
            assert_eq!(sealed == again, convergent, "{key}");
            let open = async |context: &str, data: &str| {
                let fields = json!({
                    "ciphertext": sealed["ciphertext"],
                    "context": base64(context),
                    "associated_data": base64(data),
                });
                mount
                    .write(&format!("decrypt/{key}"), fields)
                    .await
                    .map(data_of_reply)
            };
            let opened = open("tenant 7", "row 9").await.unwrap();
            assert_eq!(opened, json!({ "plaintext": base64("my secret data") }));
            assert!(open("tenant 7", "row 8").await.is_err());
            assert_eq!(open("tenant 8", "row 9").await.is_err(), derived);
        }
    }
}

fn data_of_reply(reply: Reply) -> Value {
    data(reply)
}

#[actix::test]
async fn old_versions_decrypt_until_they_are_closed() {
    let mount = Mounted::new().await;
    let first = mount.encrypt("k", "one").await;
    assert!(first.starts_with("vault:v1:"));
    mount.done("keys/k/rotate", json!({})).await;
    let second = mount.encrypt("k", "two").await;
    assert!(second.starts_with("vault:v2:"));
    let chosen = json!({ "plaintext": base64("x"), "key_version": "1" });
    assert_eq!(mount.done("encrypt/k", chosen).await["key_version"], 1);
    assert_eq!(mount.decrypt("k", &first).await.unwrap(), "one");
    assert_eq!(mount.decrypt("k", &second).await.unwrap(), "two");
    let rewrapped = mount.done("rewrap/k", json!({ "ciphertext": first })).await;
    assert_eq!(rewrapped["key_version"], 2);
    mount
        .done("keys/k/config", json!({ "min_decryption_version": 2 }))
        .await;
    assert!(mount.decrypt("k", &first).await.is_err());
    let rewrapped = rewrapped["ciphertext"].as_str().unwrap();
    assert_eq!(mount.decrypt("k", rewrapped).await.unwrap(), "one");
}

#[actix::test]
async fn standard_base64_is_read_too() {
    let mount = Mounted::new().await;
    let sealed = mount
        .encrypt("k", "my secret data, long enough for any alphabet")
        .await;
    let standard = sealed.replace('-', "+").replace('_', "/");
    assert!(mount.decrypt("k", &standard).await.is_ok());
    let payload = standard.strip_prefix("vault:v1:").unwrap();
    let padding = "=".repeat((4 - payload.len() % 4) % 4);
    assert!(
        mount
            .decrypt("k", &format!("{standard}{padding}"))
            .await
            .is_ok()
    );
}

#[actix::test]
async fn wrong_parameters_of_encrypt_are_named() {
    let mount = Mounted::new().await;
    mount.done("keys/k", json!({})).await;
    mount.done("keys/derived", json!({ "derived": true })).await;
    let text = base64("x");
    for (key, fields, words) in [
        ("k", json!({}), "missing plaintext to encrypt"),
        (
            "k",
            json!({ "plaintext": null }),
            "missing plaintext to encrypt",
        ),
        (
            "k",
            json!({ "plaintext": "abc" }),
            "illegal base64 data at input byte 0",
        ),
        (
            "k",
            json!({ "plaintext": text, "key_version": 2 }),
            "requested version for encryption is higher than the latest key version",
        ),
        (
            "k",
            json!({ "plaintext": text, "key_version": -1 }),
            "requested version for encryption is negative",
        ),
        (
            "k",
            json!({ "plaintext": text, "context": "?" }),
            "failed to base64-decode context: illegal base64 data at input byte 0",
        ),
        (
            "k",
            json!({ "plaintext": text, "associated_data": "?" }),
            "failed to base64-decode associated_data: illegal base64 data at input byte 0",
        ),
        (
            "derived",
            json!({ "plaintext": text }),
            "missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key",
        ),
    ] {
        assert_eq!(
            mount.refused(&format!("encrypt/{key}"), fields).await,
            words
        );
    }
    let words = mount
        .refused("encrypt/k", json!({ "plaintext": { "a": "hunter2" } }))
        .await;
    assert!(
        words.contains("\"plaintext\"") && !words.contains("hunter2"),
        "{words}"
    );
    let config = json!({ "min_encryption_version": 2 });
    mount.done("keys/k/rotate", json!({})).await;
    mount.done("keys/k/config", config).await;
    assert_eq!(
        mount
            .refused("encrypt/k", json!({ "plaintext": text, "key_version": 1 }))
            .await,
        "requested version for encryption is less than the minimum encryption key version"
    );
}

#[actix::test]
async fn nothing_and_wrapped_lines_can_be_encrypted() {
    let mount = Mounted::new().await;
    let sealed = mount.encrypt("k", "").await;
    assert_eq!(mount.decrypt("k", &sealed).await.unwrap(), "");
    let wrapped = json!({ "plaintext": "bXkgc2Vj\ncmV0\r\n" });
    let sealed = mount.done("encrypt/k", wrapped).await;
    let sealed = sealed["ciphertext"].as_str().unwrap();
    assert_eq!(mount.decrypt("k", sealed).await.unwrap(), "my secret");
}

#[actix::test]
async fn encrypting_makes_the_key_unless_that_is_forbidden() {
    let mount = Mounted::new().await;
    assert_eq!(mount.exists(Verb::Write, "encrypt/k").await, Some(false));
    assert_eq!(mount.exists(Verb::Write, "keys/k").await, None);
    let made = json!({
        "plaintext": base64("x"), "type": "aes256-gcm96", "context": base64("c"),
        "convergent_encryption": true,
    });
    mount.done("encrypt/k", made).await;
    assert_eq!(mount.exists(Verb::Write, "encrypt/k").await, Some(true));
    let shown = data(mount.read("keys/k").await.unwrap());
    assert_eq!(shown["type"], "aes256-gcm96");
    assert_eq!(shown["derived"], true);
    assert_eq!(shown["convergent_encryption"], true);

    for nothing_to_encrypt in [json!({}), json!({ "plaintext": "!" })] {
        mount.refused("encrypt/none", nothing_to_encrypt).await;
    }
    let plain = base64("x");
    mount
        .refused("encrypt/none", json!({ "plaintext": plain, "type": "x" }))
        .await;
    mount
        .refused(
            "encrypt/none",
            json!({ "plaintext": plain, "derived": true }),
        )
        .await;
    let bare = json!({ "plaintext": plain, "convergent_encryption": true });
    mount.refused("encrypt/none", bare).await;
    mount
        .done("config/keys", json!({ "disable_upsert": true }))
        .await;
    assert_eq!(
        mount
            .refused("encrypt/none", json!({ "plaintext": plain }))
            .await,
        "encryption key not found"
    );
    assert!(
        mount.read("keys/none").await.is_err(),
        "a refused request made a key"
    );
    mount
        .done("encrypt/k", json!({ "plaintext": plain, "context": plain }))
        .await;
}

#[actix::test]
async fn data_keys_come_wrapped_and_on_request_in_the_clear() {
    let mount = Mounted::new().await;
    assert_eq!(
        mount.refused("datakey/plaintext/k", json!({})).await,
        "encryption key not found"
    );
    mount.done("keys/k", json!({})).await;
    for (bits, bytes) in [
        (json!(128), 16),
        (json!("256"), 32),
        (json!(512), 64),
        (Value::Null, 32),
    ] {
        let made = mount
            .done("datakey/plaintext/k", json!({ "bits": bits }))
            .await;
        let plaintext = made["plaintext"].as_str().unwrap();
        assert_eq!(STANDARD.decode(plaintext).unwrap().len(), bytes);
        let fields = json!({ "ciphertext": made["ciphertext"] });
        assert_eq!(
            mount.done("decrypt/k", fields).await["plaintext"],
            plaintext
        );
    }
    let wrapped = mount.done("datakey/wrapped/k", json!({})).await;
    assert!(wrapped.get("plaintext").is_none());
    assert_eq!(wrapped["key_version"], 1);
    assert_eq!(
        mount.refused("datakey/other/k", json!({})).await,
        "Invalid path, must be 'plaintext' or 'wrapped'"
    );
    let words = mount
        .refused("datakey/wrapped/k", json!({ "bits": 384 }))
        .await;
    assert!(words.contains("128, 256 or 512"));
}

#[actix::test]
async fn a_warm_request_asks_nothing_of_the_store() {
    let mount = Mounted::new().await;
    let sealed = mount.encrypt("k", "x").await;
    mount.counts.take();
    let bound = json!({ "plaintext": base64("x") });
    mount.done("encrypt/k", bound).await;
    mount.decrypt("k", &sealed).await.unwrap();
    mount
        .done("rewrap/k", json!({ "ciphertext": sealed }))
        .await;
    mount.done("datakey/wrapped/k", json!({})).await;
    mount.done("hmac/k", json!({ "input": "" })).await;
    assert_eq!(mount.exists(Verb::Write, "encrypt/k").await, Some(true));
    assert_eq!(mount.counts.take(), (0, 0));
    mount
        .counts
        .down
        .store(true, std::sync::atomic::Ordering::SeqCst);
    mount.decrypt("k", &sealed).await.unwrap();
}
