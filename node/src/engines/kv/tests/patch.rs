//! Patches of data, and the skeletons that subkeys shows.

use serde_json::json;

use super::*;

#[actix::test]
async fn a_patch_changes_members_and_keeps_the_text_of_numbers() {
    let kv = kv().await;
    kv.write(
        "data/a",
        r#"{"data":{"big":9007199254740993,"old":"x","deep":{"a":1.50,"b":2}}}"#,
    )
    .await
    .unwrap();
    let answer = kv
        .patch(
            "data/a",
            r#"{"data":{"old":null,"deep":{"b":null,"c":3},"new":1.0}}"#,
        )
        .await
        .unwrap();
    assert_eq!(answer["version"], 2);
    let reply = kv.call(Verb::Read, "data/a", "", None).await.unwrap();
    let body = reply.data.unwrap();
    let expected = r#"{"big":9007199254740993,"deep":{"a":1.50,"c":3},"new":1.0}"#;
    assert!(body.get().contains(expected), "{}", body.get());
}

#[actix::test]
async fn a_patch_goes_onto_the_served_version() {
    let kv = kv().await;
    kv.write("data/a", r#"{"data":{"v":1}}"#).await.unwrap();
    kv.write("data/a", r#"{"data":{"v":2}}"#).await.unwrap();
    kv.delete("data/a").await.unwrap();
    let answer = kv
        .patch("data/a", r#"{"data":{"p":true},"options":{"cas":1}}"#)
        .await
        .unwrap();
    assert_eq!(answer["version"], 3);
    assert_eq!(*value(&kv.read("data/a").await), json!({"v":1,"p":true}));
}

#[actix::test]
async fn what_cannot_be_patched_is_absent() {
    let kv = kv().await;
    let patch = r#"{"data":{"a":1}}"#;
    assert_eq!(kv.patch("data/a", patch).await, absent());
    kv.write("metadata/a", "{}").await.unwrap();
    assert_eq!(kv.patch("data/a", patch).await, absent());
    kv.write("data/a", r#"{"data":{}}"#).await.unwrap();
    kv.delete("data/a").await.unwrap();
    assert_eq!(kv.patch("data/a", patch).await, absent());
}

#[actix::test]
async fn a_patch_says_what_it_is() {
    let kv = kv().await;
    kv.write("data/a", r#"{"data":{}}"#).await.unwrap();
    let patch = async |path, content_type| {
        judge(
            kv.call(Verb::Patch, path, r#"{"data":{}}"#, content_type)
                .await,
        )
    };
    assert_eq!(patch("data/a", None).await, refused("mime: no media type"));
    for (path, other) in [("data/a", "text/plain"), ("metadata/a", "application/json")] {
        assert_eq!(
            patch(path, Some(other)).await,
            Err((
                415,
                Value::from(format!(
                    "PATCH requires Content-Type of application/merge-patch+json, provided {other}"
                ))
            ))
        );
    }
}

#[actix::test]
async fn a_patch_without_an_object_is_refused() {
    let kv = kv().await;
    kv.write("data/a", r#"{"data":{}}"#).await.unwrap();
    assert_eq!(kv.patch("data/a", "{}").await, refused("no data provided"));
    for data in ["null", "[]", "\"x\""] {
        assert_eq!(
            kv.patch("data/a", &format!(r#"{{"data":{data}}}"#)).await,
            refused("error converting input for field \"data\": expected an object")
        );
    }
    assert_eq!(
        kv.patch("data/a", r#"{"data":{},"options":{"cas":0}}"#)
            .await,
        refused("check-and-set parameter did not match the current version")
    );
}

#[actix::test]
async fn what_is_too_deep_for_a_skeleton_can_still_be_read_and_patched() {
    let kv = kv().await;
    let deep = format!("{}1{}", r#"{"a":"#.repeat(500), "}".repeat(500));
    kv.write("data/a", &format!(r#"{{"data":{{"deep":{deep}}}}}"#))
        .await
        .unwrap();
    let (status, _) = kv.read("subkeys/a").await.unwrap_err();
    assert_eq!(status, 400);
    kv.read_with("subkeys/a", r#"{"depth":3}"#).await.unwrap();
    let too_deep = format!(r#"{{"data":{{"deep":{deep}}}}}"#);
    assert_eq!(kv.patch("data/a", &too_deep).await.unwrap_err().0, 400);
    kv.patch("data/a", r#"{"data":{"new":1}}"#).await.unwrap();
    let reply = kv.call(Verb::Read, "data/a", "", None).await.unwrap();
    let expected = format!(r#"{{"deep":{deep},"new":1}}"#);
    assert!(reply.data.unwrap().get().contains(&expected));
}

#[actix::test]
async fn subkeys_show_names_and_no_values() {
    let kv = kv().await;
    assert_eq!(kv.read("subkeys/a").await, absent());
    kv.write("data/a", r#"{"data":{"v":1}}"#).await.unwrap();
    kv.write("data/a", r#"{"data":{"a":{"b":{"c":"x"}},"n":2,"e":{}}}"#)
        .await
        .unwrap();
    let answer = kv.read("subkeys/a").await.unwrap();
    assert_eq!(
        answer["subkeys"],
        json!({"a":{"b":{"c":null}},"n":null,"e":null})
    );
    assert_eq!(answer["metadata"]["version"], 2);
    let shallow = kv.read_with("subkeys/a", r#"{"depth":"1"}"#).await.unwrap();
    assert_eq!(shallow["subkeys"], json!({"a":null,"n":null,"e":null}));
    let first = kv
        .read_with("subkeys/a", r#"{"version":"1"}"#)
        .await
        .unwrap();
    assert_eq!(first["subkeys"], json!({"v":null}));
    assert_eq!(
        kv.read_with("subkeys/a", r#"{"depth":"-1"}"#).await,
        refused("depth must not be negative")
    );

    kv.write("destroy/a", r#"{"versions":[2]}"#).await.unwrap();
    let (status, body) = kv
        .read_with("subkeys/a", r#"{"version":"2"}"#)
        .await
        .unwrap_err();
    assert_eq!((status, &body["subkeys"]), (404, &json!(null)));
    assert_eq!(body["metadata"]["destroyed"], true);
}
