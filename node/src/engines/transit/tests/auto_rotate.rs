//! Keys whose latest version became too old.

use std::time::Duration;

use super::*;

#[actix::test]
async fn a_key_is_rotated_when_it_encrypts_after_its_period() {
    let mount = Mounted::new().await;
    let period = Duration::from_secs(3600);
    let period_field = json!({ "auto_rotate_period": "1h" });
    mount.done("keys/k", period_field).await;
    let version = async |path: &str, fields: Value, now: Timestamp| {
        let reply = mount.call(Verb::Write, path, fields, now).await.unwrap();
        data(reply)["key_version"].clone()
    };
    let plain = json!({ "plaintext": "" });
    let sealed = mount.encrypt("k", "x").await;
    let just_before = Timestamp(NOW.plus(period).0 - 1);
    assert_eq!(version("encrypt/k", plain.clone(), just_before).await, 1);
    assert_eq!(
        version("encrypt/k", plain.clone(), NOW.plus(period)).await,
        2
    );
    assert_eq!(version("encrypt/k", plain, NOW.plus(period)).await, 2);
    let wrapped = version("datakey/wrapped/k", json!({}), NOW.plus(3 * period)).await;
    assert_eq!(wrapped, 3, "two periods passed, one rotation is enough");
    let later = NOW.plus(5 * period);
    let wrong = json!({ "ciphertext": "vault:v1:AAAA" });
    assert!(
        mount
            .call(Verb::Write, "rewrap/k", wrong, later)
            .await
            .is_err()
    );
    assert_eq!(
        data(mount.read("keys/k").await.unwrap())["latest_version"],
        3
    );
    let rewrapped = version("rewrap/k", json!({ "ciphertext": sealed }), later).await;
    assert_eq!(rewrapped, 4);
    assert_eq!(mount.decrypt("k", &sealed).await.unwrap(), "x");
}

#[actix::test]
async fn many_requests_after_the_period_rotate_once() {
    let mount = Mounted::new().await;
    mount
        .done("keys/k", json!({ "auto_rotate_period": "1h" }))
        .await;
    let later = NOW.plus(Duration::from_secs(7200));
    let other = mount.other_node();
    let requests = (0..40).map(|number| {
        let node = if number % 2 == 0 { &mount } else { &other };
        node.call(Verb::Write, "encrypt/k", json!({ "plaintext": "" }), later)
    });
    for reply in futures_util::future::join_all(requests).await {
        reply.unwrap();
    }
    assert_eq!(
        data(mount.read("keys/k").await.unwrap())["latest_version"],
        2
    );
}

#[actix::test]
async fn a_rotation_that_fails_keeps_nobody_from_encrypting() {
    let mount = Mounted::new().await;
    mount
        .done("keys/k", json!({ "auto_rotate_period": "1h" }))
        .await;
    let later = NOW.plus(Duration::from_secs(7200));
    mount
        .counts
        .down
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let plain = json!({ "plaintext": "" });
    let reply = mount
        .call(Verb::Write, "encrypt/k", plain.clone(), later)
        .await;
    assert_eq!(data(reply.unwrap())["key_version"], 1);
    mount
        .counts
        .down
        .store(false, std::sync::atomic::Ordering::SeqCst);
    let reply = mount.call(Verb::Write, "encrypt/k", plain, later).await;
    assert_eq!(data(reply.unwrap())["key_version"], 2);
}
