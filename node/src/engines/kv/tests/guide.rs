//! The guide's walk through `vault kv`, request by request as the CLI sends them.

use serde_json::json;

use super::*;

#[actix::test]
async fn the_walk_through_the_guide() {
    let kv = kv().await;
    let secret = "data/identity_user_1";

    // Create and get a secret.
    let put = r#"{"data":{"firstname":"John","lastname":"Doe"},"options":{}}"#;
    assert_eq!(kv.write(secret, put).await.unwrap()["version"], 1);
    let read = kv.read(secret).await;
    assert_eq!(*value(&read), json!({"firstname":"John","lastname":"Doe"}));

    // Update it, and read the first version.
    let put = r#"{"data":{"firstname":"John","lastname":"Doe","phone":"666"},"options":{}}"#;
    assert_eq!(kv.write(secret, put).await.unwrap()["version"], 2);
    let read = kv.read_with(secret, r#"{"version":"1"}"#).await;
    assert_eq!(*value(&read), json!({"firstname":"John","lastname":"Doe"}));

    // Delete: the remaining version is version 1.
    kv.delete(secret).await.unwrap();
    let read = kv.read(secret).await.unwrap();
    assert_eq!(read["metadata"]["version"], 1);
    assert_eq!(read["data"], json!({"firstname":"John","lastname":"Doe"}));

    // Delete again: "No value found", which is what the CLI makes of a 404 without a body.
    kv.delete(secret).await.unwrap();
    assert_eq!(kv.read(secret).await, absent());

    // Undelete version 2: it is back, version 1 is not.
    kv.write("undelete/identity_user_1", r#"{"versions":["2"]}"#)
        .await
        .unwrap();
    let (status, body) = kv
        .read_with(secret, r#"{"version":"1"}"#)
        .await
        .unwrap_err();
    assert_eq!((status, &body["data"]), (404, &json!(null)));
    assert_eq!(body["metadata"]["destroyed"], false);
    assert_ne!(body["metadata"]["deletion_time"], "");
    let read = kv.read(secret).await.unwrap();
    assert_eq!(read["metadata"]["version"], 2);
    assert_eq!(read["data"]["phone"], "666");

    // Destroy version 1: it cannot be undeleted.
    kv.write("destroy/identity_user_1", r#"{"versions":["1"]}"#)
        .await
        .unwrap();
    kv.write("undelete/identity_user_1", r#"{"versions":["1"]}"#)
        .await
        .unwrap();
    let (status, body) = kv
        .read_with(secret, r#"{"version":"1"}"#)
        .await
        .unwrap_err();
    assert_eq!((status, &body["data"]), (404, &json!(null)));
    assert_eq!(body["metadata"]["destroyed"], true);

    // Version 2 is still available and readable.
    let read = kv.read_with(secret, r#"{"version":"2"}"#).await;
    assert_eq!(value(&read)["phone"], "666");
}

#[actix::test]
async fn the_requests_of_clever_tools() {
    let kv = kv().await;
    let put = r#"{"data":{"mySecret":"myValue"},"options":{"cas":0}}"#;
    kv.write("data/mySecret", put).await.unwrap();
    assert_eq!(
        kv.write("data/mySecret", put).await,
        refused("check-and-set parameter did not match the current version")
    );

    let patch = r#"{"data":{"mySecret":"myNewValue"},"options":{"cas":0}}"#;
    let json_patch = async |body| {
        judge(
            kv.call(Verb::Patch, "data/mySecret", body, Some("application/json"))
                .await,
        )
    };
    assert_eq!(json_patch(patch).await.unwrap()["version"], 2);
    assert_eq!(json_patch(patch).await.unwrap()["version"], 3);
    assert_eq!(
        *value(&kv.read("data/mySecret").await),
        json!({"mySecret":"myNewValue"})
    );

    // Only the zero that means nothing is overlooked.
    assert!(
        json_patch(r#"{"data":{},"options":{"cas":1}}"#)
            .await
            .is_err()
    );
    kv.write("metadata/mySecret", r#"{"cas_required":true}"#)
        .await
        .unwrap();
    assert_eq!(
        json_patch(patch).await,
        refused("check-and-set parameter required for this call")
    );

    kv.delete("metadata/mySecret").await.unwrap();
    assert_eq!(kv.list("metadata/", "").await, absent());
    kv.write("data/mySecret", put).await.unwrap();
}
