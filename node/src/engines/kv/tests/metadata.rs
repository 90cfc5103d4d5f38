//! The settings and notes of a secret.

use serde_json::json;

use super::*;

#[actix::test]
async fn all_that_is_known() {
    let kv = kv().await;
    for _ in 0..12 {
        kv.write("data/a", r#"{"data":{}}"#).await.unwrap();
    }
    kv.delete("data/a").await.unwrap();
    kv.write("destroy/a", r#"{"versions":[11]}"#).await.unwrap();
    let reply = kv.call(Verb::Read, "metadata/a", "", None).await.unwrap();
    let text = reply.data.unwrap();
    let order = [3, 4, 9, 10, 11, 12].map(|number| text.get().find(&format!("\"{number}\":")));
    assert!(order.iter().all(Option::is_some) && order.is_sorted());
    let mut metadata: Value = serde_json::from_str(text.get()).unwrap();
    assert_eq!(
        metadata["versions"]["12"],
        json!({
            "created_time": "2023-11-14T22:13:32Z",
            "deletion_time": "2023-11-14T22:13:33Z",
            "destroyed": false,
        })
    );
    assert_eq!(metadata["versions"]["11"]["destroyed"], true);
    metadata["versions"] = json!(null);
    assert_eq!(
        metadata,
        json!({
            "cas_required": false,
            "created_time": "2023-11-14T22:13:21Z",
            "current_metadata_version": 0,
            "current_version": 12,
            "custom_metadata": null,
            "delete_version_after": "0s",
            "max_versions": 0,
            "metadata_cas_required": false,
            "oldest_version": 3,
            "updated_time": "2023-11-14T22:13:32Z",
            "versions": null,
        })
    );
}

#[actix::test]
async fn an_empty_secret_can_be_made() {
    let kv = kv().await;
    kv.write("metadata/a/b", "{}").await.unwrap();
    let metadata = kv.read("metadata/a/b").await.unwrap();
    assert_eq!(metadata["current_version"], 0);
    assert_eq!(metadata["oldest_version"], 0);
    assert_eq!(metadata["versions"], json!({}));
    assert_eq!(kv.read("data/a/b").await, absent());
    assert_eq!(
        kv.list("metadata/a/", "").await.unwrap()["keys"],
        json!(["b"])
    );
    kv.write("data/a/b", r#"{"data":{},"options":{"cas":0}}"#)
        .await
        .unwrap();
}

#[actix::test]
async fn only_what_is_given_is_set() {
    let kv = kv().await;
    kv.write(
        "metadata/a",
        r#"{"max_versions":"5","cas_required":"true","delete_version_after":"3h0m0s",
            "custom_metadata":{"owner":"me","n":5}}"#,
    )
    .await
    .unwrap();
    kv.write("metadata/a", r#"{"max_versions":6}"#)
        .await
        .unwrap();
    let metadata = kv.read("metadata/a").await.unwrap();
    assert_eq!(metadata["max_versions"], 6);
    assert_eq!(metadata["cas_required"], true);
    assert_eq!(metadata["delete_version_after"], "3h0m0s");
    assert_eq!(metadata["custom_metadata"], json!({"owner":"me","n":"5"}));

    kv.write("metadata/a", r#"{"custom_metadata":{"other":"x"}}"#)
        .await
        .unwrap();
    let metadata = kv.read("metadata/a").await.unwrap();
    assert_eq!(metadata["custom_metadata"], json!({"other":"x"}));
    assert_eq!(metadata["current_metadata_version"], 3);
}

#[actix::test]
async fn a_patch_merges_and_takes_away() {
    let kv = kv().await;
    assert_eq!(kv.patch("metadata/a", "{}").await, absent());
    kv.write(
        "metadata/a",
        r#"{"max_versions":5,"cas_required":true,"delete_version_after":"1h",
            "custom_metadata":{"a":"1","b":"2"}}"#,
    )
    .await
    .unwrap();
    kv.patch(
        "metadata/a",
        r#"{"max_versions":null,"custom_metadata":{"a":null,"c":3}}"#,
    )
    .await
    .unwrap();
    let metadata = kv.read("metadata/a").await.unwrap();
    assert_eq!(metadata["max_versions"], 0);
    assert_eq!(metadata["cas_required"], true);
    assert_eq!(metadata["delete_version_after"], "1h0m0s");
    assert_eq!(metadata["custom_metadata"], json!({"b":"2","c":"3"}));

    kv.patch(
        "metadata/a",
        r#"{"cas_required":null,"delete_version_after":null,"custom_metadata":null}"#,
    )
    .await
    .unwrap();
    let metadata = kv.read("metadata/a").await.unwrap();
    assert_eq!(metadata["cas_required"], false);
    assert_eq!(metadata["delete_version_after"], "0s");
    assert_eq!(metadata["custom_metadata"], json!(null));
}

#[actix::test]
async fn notes_are_shown_with_the_data() {
    let kv = kv().await;
    kv.write("metadata/a", r#"{"custom_metadata":"owner=me"}"#)
        .await
        .unwrap();
    let written = kv.write("data/a", r#"{"data":{}}"#).await.unwrap();
    assert_eq!(written["custom_metadata"], json!({"owner":"me"}));
    let read = kv.read("data/a").await.unwrap();
    assert_eq!(read["metadata"], written);
}

#[actix::test]
async fn what_goes_beyond_the_bounds_is_refused() {
    let kv = kv().await;
    kv.write("metadata/a", r#"{"custom_metadata":{"k":"v"}}"#)
        .await
        .unwrap();
    let many: Vec<String> = (0..65).map(|n| format!(r#""k{n}":"v""#)).collect();
    let many = format!("{{{}}}", many.join(","));
    let long_key = format!(r#"{{"{}":"v"}}"#, "k".repeat(129));
    let long_value = format!(r#"{{"k":"{}"}}"#, "v".repeat(513));
    for notes in [
        &many,
        &long_key,
        &long_value,
        r#"{"":"v"}"#,
        r#"{"k":""}"#,
        r#"{"k":"a\u0007"}"#,
    ] {
        let body = format!(r#"{{"custom_metadata":{notes}}}"#);
        for answer in [
            kv.write("metadata/a", &body).await,
            kv.patch("metadata/a", &body).await,
        ] {
            let (status, message) = answer.unwrap_err();
            assert_eq!(status, 400);
            let message = message.as_str().unwrap();
            assert!(
                message.starts_with("custom_metadata validation failed: "),
                "{message}"
            );
        }
    }
    for body in [
        r#"{"custom_metadata":{"k":{}}}"#,
        r#"{"max_versions":-1}"#,
        r#"{"max_versions":1001}"#,
        r#"{"max_versions":"x"}"#,
        r#"{"delete_version_after":"-1s"}"#,
        r#"{"delete_version_after":"2d12h"}"#,
        r#"{"cas_required":"maybe"}"#,
    ] {
        assert_eq!(kv.write("metadata/a", body).await.unwrap_err().0, 400);
        assert_eq!(kv.patch("metadata/a", body).await.unwrap_err().0, 400);
    }
    let metadata = kv.read("metadata/a").await.unwrap();
    assert_eq!(metadata["current_metadata_version"], 1);
}

#[actix::test]
async fn changes_of_settings_can_be_checked_too() {
    let kv = kv().await;
    kv.write(
        "metadata/a",
        r#"{"metadata_cas_required":true,"metadata_cas":0}"#,
    )
    .await
    .unwrap();
    assert_eq!(
        kv.write("metadata/a", "{}").await,
        refused("metadata check-and-set parameter required for this call")
    );
    assert_eq!(
        kv.patch("metadata/a", r#"{"metadata_cas":0}"#).await,
        refused("metadata check-and-set parameter did not match the current version")
    );
    kv.write("data/a", r#"{"data":{}}"#).await.unwrap();
    kv.patch("metadata/a", r#"{"metadata_cas":"1","max_versions":3}"#)
        .await
        .unwrap();
}

#[actix::test]
async fn versions_expire() {
    let kv = kv().await;
    kv.write("metadata/a", r#"{"delete_version_after":"60s"}"#)
        .await
        .unwrap();
    let written = kv.write("data/a", r#"{"data":{"x":1}}"#).await.unwrap();
    assert_eq!(written["deletion_time"], "2023-11-14T22:14:22Z");
    assert!(kv.read("data/a").await.is_ok());
    kv.wait_s(60);
    assert_eq!(kv.read("data/a").await, absent());
    kv.write("undelete/a", r#"{"versions":[1]}"#).await.unwrap();
    assert!(kv.read("data/a").await.is_ok());
}
