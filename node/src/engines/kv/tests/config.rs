//! The settings of the mount.

use serde_json::json;

use super::*;

#[actix::test]
async fn settings_are_kept_and_changed_one_by_one() {
    let kv = kv().await;
    assert_eq!(
        kv.read("config").await.unwrap(),
        json!({
            "cas_required": false,
            "delete_version_after": "0s",
            "max_versions": 0,
            "metadata_cas_required": false,
        })
    );
    kv.write(
        "config",
        r#"{"max_versions":"3","delete_version_after":"30s"}"#,
    )
    .await
    .unwrap();
    kv.write("config", r#"{"cas_required":true}"#)
        .await
        .unwrap();
    let config = kv.read("config").await.unwrap();
    assert_eq!(config["max_versions"], 3);
    assert_eq!(config["delete_version_after"], "30s");
    assert_eq!(config["cas_required"], true);
    for body in [r#"{"max_versions":-1}"#, r#"{"max_versions":1000000000}"#] {
        assert_eq!(
            kv.write("config", body).await,
            refused("max_versions must be between 0 and 1000")
        );
    }
}

#[actix::test]
async fn they_hold_for_every_secret() {
    let kv = kv().await;
    kv.write(
        "config",
        r#"{"max_versions":2,"delete_version_after":"1h"}"#,
    )
    .await
    .unwrap();
    for _ in 0..3 {
        let written = kv.write("data/a", r#"{"data":{}}"#).await.unwrap();
        assert_ne!(written["deletion_time"], "");
    }
    assert_eq!(kv.read("metadata/a").await.unwrap()["oldest_version"], 2);

    kv.write(
        "config",
        r#"{"cas_required":true,"delete_version_after":"-5s"}"#,
    )
    .await
    .unwrap();
    assert_eq!(
        kv.write("data/a", r#"{"data":{}}"#).await,
        refused("check-and-set parameter required for this call")
    );
    let written = kv
        .write("data/a", r#"{"data":{},"options":{"cas":3}}"#)
        .await
        .unwrap();
    assert_eq!(written["deletion_time"], "");
    assert_eq!(
        kv.read("config").await.unwrap()["delete_version_after"],
        "-1s"
    );
    let reply = kv
        .call(Verb::Write, "metadata/a", r#"{"cas_required":false}"#, None)
        .await
        .unwrap();
    assert_eq!(reply.warnings.len(), 1);

    kv.write("config", r#"{"metadata_cas_required":true}"#)
        .await
        .unwrap();
    assert_eq!(
        kv.write("metadata/a", "{}").await,
        refused("metadata check-and-set parameter required for this call")
    );
}
