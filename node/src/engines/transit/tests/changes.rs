//! Routes that make and change keys, and those that show them.

use super::*;

#[actix::test]
async fn a_key_is_made_shown_listed_and_deleted() {
    let mount = Mounted::new().await;
    let made = mount.done("keys/my-key", Value::Null).await;
    assert_eq!(
        made,
        json!({
            "name": "my-key",
            "type": "xchacha20-poly1305",
            "keys": { "1": 1_700_000_000 },
            "latest_version": 1,
            "min_available_version": 0,
            "min_decryption_version": 1,
            "min_encryption_version": 0,
            "deletion_allowed": false,
            "derived": false,
            "exportable": false,
            "allow_plaintext_backup": false,
            "auto_rotate_period": 0,
            "imported_key": false,
            "soft_deleted": false,
            "supports_encryption": true,
            "supports_decryption": true,
            "supports_derivation": true,
            "supports_signing": false,
        })
    );
    assert_eq!(data(mount.read("keys/my-key").await.unwrap()), made);
    mount.done("keys/another", json!({})).await;
    let list = async |query: Value| {
        let reply = mount.call(Verb::List, "keys/", query, NOW).await?;
        Ok::<_, Error>(data(reply)["keys"].clone())
    };
    assert_eq!(list(json!({})).await.unwrap(), json!(["another", "my-key"]));
    assert_eq!(
        list(json!({ "after": "another" })).await.unwrap(),
        json!(["my-key"])
    );
    assert_eq!(
        list(json!({ "limit": "1" })).await.unwrap(),
        json!(["another"])
    );

    let delete = async |path: &str| mount.call(Verb::Delete, path, json!({}), NOW).await;
    let kept = delete("keys/my-key").await.unwrap_err().to_string();
    assert_eq!(
        kept,
        "error deleting policy my-key: deletion is not allowed for this key"
    );
    let missing = delete("keys/none").await.unwrap_err().to_string();
    assert_eq!(
        missing,
        "error deleting policy none: could not delete key; not found"
    );
    for key in ["my-key", "another"] {
        let path = format!("keys/{key}");
        let config = json!({ "deletion_allowed": "true" });
        mount.done(&format!("{path}/config"), config).await;
        let gone = delete(&path).await.unwrap();
        assert!(gone.data.is_none());
    }
    assert!(matches!(
        mount.read("keys/my-key").await,
        Err(Error::NotFound(None))
    ));
    assert!(matches!(list(json!({})).await, Err(Error::NotFound(None))));
}

#[actix::test]
async fn making_a_key_twice_changes_nothing() {
    let mount = Mounted::new().await;
    mount
        .done("keys/k", json!({ "type": "aes256-gcm96" }))
        .await;
    let again = mount
        .write(
            "keys/k",
            json!({ "type": "aes128-gcm96", "exportable": true }),
        )
        .await
        .unwrap();
    assert_eq!(again.warnings, ["key k already existed"]);
    let shown = data(again);
    assert_eq!(shown["type"], "aes256-gcm96");
    assert_eq!(shown["exportable"], false);
}

#[actix::test]
async fn settings_are_taken_as_strings_and_shown_as_what_they_are() {
    let mount = Mounted::new().await;
    let shown = mount
        .done(
            "keys/k",
            json!({
                "type": "aes128-gcm96",
                "derived": "true",
                "convergent_encryption": "1",
                "exportable": true,
                "allow_plaintext_backup": "t",
                "auto_rotate_period": "24h",
            }),
        )
        .await;
    assert_eq!(shown["type"], "aes128-gcm96");
    assert_eq!(shown["kdf"], "hkdf_sha256");
    assert_eq!(shown["convergent_encryption"], true);
    assert_eq!(shown["convergent_encryption_version"], -1);
    assert_eq!(shown["exportable"], true);
    assert_eq!(shown["allow_plaintext_backup"], true);
    assert_eq!(shown["auto_rotate_period"], 86_400);
}

#[actix::test]
async fn keys_that_cannot_be_made_are_refused_in_words() {
    let mount = Mounted::new().await;
    for (fields, words) in [
        (json!({ "type": "x" }), "unknown key type x"),
        (
            json!({ "convergent_encryption": true }),
            "convergent encryption requires derivation to be enabled",
        ),
        (
            json!({ "auto_rotate_period": "30m" }),
            "auto rotate period must be 0 to disable or at least an hour",
        ),
        (
            json!({ "key_size": 32 }),
            "key_size cannot be chosen for keys of type xchacha20-poly1305",
        ),
    ] {
        assert_eq!(mount.refused("keys/k", fields).await, words);
    }
    let words = mount.refused("keys/k", json!({ "type": "ed25519" })).await;
    assert!(
        words.starts_with("key type ed25519 is not supported here"),
        "{words}"
    );
    let words = mount
        .refused("keys/k", json!({ "derived": "perhaps" }))
        .await;
    assert!(words.contains("\"derived\""), "{words}");
    assert!(mount.read("keys/k").await.is_err());
}

#[actix::test]
async fn rotating_and_closing_versions_shows() {
    let mount = Mounted::new().await;
    mount.done("keys/k", json!({})).await;
    for latest in 2..=4 {
        let shown = mount.done("keys/k/rotate", Value::Null).await;
        assert_eq!(shown["latest_version"], latest);
    }
    let config = json!({ "min_decryption_version": "3", "min_encryption_version": 4 });
    let shown = mount.done("keys/k/config", config).await;
    let numbers: Vec<&String> = shown["keys"].as_object().unwrap().keys().collect();
    assert_eq!(numbers, ["3", "4"]);
    let shown = mount
        .done("keys/k/trim", json!({ "min_available_version": 2 }))
        .await;
    assert_eq!(shown["min_available_version"], 2);
    assert_eq!(
        mount.refused("keys/k/trim", json!({})).await,
        "missing min_available_version"
    );
    assert_eq!(
        mount
            .refused("keys/k/config", json!({ "min_decryption_version": 9 }))
            .await,
        "cannot set min decryption version of 9, latest key version is 4"
    );
    let shown = data(mount.read("keys/k").await.unwrap());
    assert_eq!(
        shown["min_decryption_version"], 3,
        "a refused change left nothing behind"
    );
}

#[actix::test]
async fn keys_that_are_not_there_cannot_be_changed() {
    let mount = Mounted::new().await;
    assert_eq!(
        mount.refused("keys/k/rotate", json!({})).await,
        "key not found"
    );
    assert_eq!(
        mount
            .refused("keys/k/trim", json!({ "min_available_version": 1 }))
            .await,
        "key not found"
    );
    assert_eq!(
        mount.refused("keys/k/config", json!({})).await,
        "no existing key named k could be found"
    );
    assert!(matches!(
        mount.read("keys/k").await,
        Err(Error::NotFound(None))
    ));
}

#[actix::test]
async fn unknown_parameters_are_told_and_ignored() {
    let mount = Mounted::new().await;
    for path in [
        "keys/k",
        "keys/k/config",
        "keys/k/rotate",
        "hmac/k",
        "encrypt/k",
        "hash",
    ] {
        let fields = json!({ "input": "", "plaintext": "", "zzz": 1 });
        let reply = mount.write(path, fields).await.unwrap();
        let warning = reply.warnings.last().unwrap();
        assert!(warning.contains("zzz"), "{path}: {warning}");
    }
}

#[actix::test]
async fn the_old_reply_to_key_writes_is_empty() {
    let mount = Mounted::with_options(&[("legacy_key_reply", "true")]).await;
    for path in ["keys/k", "keys/k/rotate", "keys/k/config"] {
        let reply = mount.write(path, Value::Null).await.unwrap();
        assert!(reply.data.is_none() && reply.warnings.is_empty(), "{path}");
    }
    let view = mount_view().await;
    let options = BTreeMap::from([("legacy_key_reply".to_owned(), "perhaps".to_owned())]);
    let mount = MountId::from_bytes([0; 16]);
    let refused = TransitEngine::new(view, mount, &options, &Arbiter::current());
    assert!(matches!(refused, Err(Error::Invalid { .. })));
}

#[actix::test]
async fn paths_and_verbs_that_mean_nothing_are_refused() {
    let mount = Mounted::new().await;
    for path in [
        "",
        "keys/-k",
        "keys/k/sign",
        "encrypt",
        "encrypt/a b",
        "export/encryption-key/k",
    ] {
        match mount.write(path, json!({})).await {
            Err(Error::NotFound(Some(words))) => assert!(words.contains("unsupported path")),
            other => panic!("{path}: {other:?}"),
        }
    }
    for (verb, path) in [
        (Verb::Read, "encrypt/k"),
        (Verb::Read, "keys"),
        (Verb::Write, "keys"),
        (Verb::Patch, "keys/k"),
        (Verb::Delete, "keys/k/config"),
        (Verb::Read, "hash"),
        (Verb::List, "decrypt/k"),
    ] {
        let refused = mount.call(verb, path, json!({}), NOW).await;
        assert!(
            matches!(refused, Err(Error::UnsupportedOperation)),
            "{verb:?} {path}"
        );
    }
}

#[actix::test]
async fn settings_of_the_mount_are_kept() {
    let mount = Mounted::new().await;
    let read = async |path| data(mount.read(path).await.unwrap());
    assert_eq!(
        read("config/keys").await,
        json!({ "disable_upsert": false })
    );
    assert_eq!(read("cache-config").await, json!({ "size": 0 }));
    let shown = mount
        .done("config/keys", json!({ "disable_upsert": "true" }))
        .await;
    assert_eq!(shown, json!({ "disable_upsert": true }));
    mount.done("cache-config", json!({ "size": "10" })).await;
    assert_eq!(read("config/keys").await, json!({ "disable_upsert": true }));
    assert_eq!(read("cache-config").await, json!({ "size": 10 }));
    for wrong in [9, -1, 40_000] {
        let words = mount
            .refused("cache-config", json!({ "size": wrong }))
            .await;
        assert!(words.starts_with("size must be 0 or a value greater or equal to 10"));
    }
    assert_eq!(
        mount.refused("cache-config", json!({})).await,
        "missing size"
    );
}

#[actix::test]
async fn a_change_whose_commit_is_in_doubt_is_made_once() {
    let mount = Mounted::new().await;
    let doubt = || {
        mount
            .counts
            .doubts
            .store(1, std::sync::atomic::Ordering::SeqCst);
    };
    doubt();
    let made = mount.write("keys/k", json!({})).await.unwrap();
    assert!(made.warnings.is_empty(), "it did not exist before");
    let sealed = mount.encrypt("k", "x").await;
    for latest in 2..5 {
        doubt();
        let shown = mount.done("keys/k/rotate", json!({})).await;
        assert_eq!(shown["latest_version"], latest);
        assert_eq!(data(mount.read("keys/k").await.unwrap()), shown);
    }
    assert_eq!(mount.decrypt("k", &sealed).await.unwrap(), "x");
    let config = json!({ "deletion_allowed": true });
    mount.done("keys/k/config", config).await;
    doubt();
    let deleted = mount.call(Verb::Delete, "keys/k", json!({}), NOW).await;
    assert!(deleted.unwrap().data.is_none());
    assert!(mount.read("keys/k").await.is_err());
}
