//! Reads, writes and deletes of data.

use serde_json::json;

use super::*;

#[actix::test]
async fn a_write_answers_with_the_new_version() {
    let kv = kv().await;
    let answer = kv.write("data/a", r#"{"data":{"x":1}}"#).await.unwrap();
    assert_eq!(
        answer,
        json!({
            "created_time": "2023-11-14T22:13:21Z",
            "custom_metadata": null,
            "deletion_time": "",
            "destroyed": false,
            "version": 1,
        })
    );
    let read = kv.read("data/a").await.unwrap();
    assert_eq!(read["metadata"], answer);
    assert_eq!(read["data"], json!({"x":1}));
}

#[actix::test]
async fn data_keeps_its_exact_text() {
    let kv = kv().await;
    let text = r#"{"z":9007199254740993,"a":1.0,"e":1E400,"n":{ "d":[-0.10] },"u":"\u00e9/é"}"#;
    kv.write("data/a", &format!(r#"{{"data":{text}}}"#))
        .await
        .unwrap();
    let reply = kv.call(Verb::Read, "data/a", "", None).await.unwrap();
    let body = reply.data.unwrap();
    assert!(body.get().contains(text), "{}", body.get());
}

#[actix::test]
async fn what_is_no_data_is_refused() {
    let kv = kv().await;
    for body in ["", "{}", "null", r#"{"options":{"cas":0}}"#] {
        assert_eq!(kv.write("data/a", body).await, refused("no data provided"));
    }
    for data in ["1", "\"x\"", "[1]", "true"] {
        assert_eq!(
            kv.write("data/a", &format!(r#"{{"data":{data}}}"#)).await,
            refused("error converting input for field \"data\": expected an object")
        );
    }
    assert_eq!(kv.exists("data/a").await, Some(false));
    kv.write("data/a", r#"{"data":null}"#).await.unwrap();
    assert_eq!(*value(&kv.read("data/a").await), json!(null));
}

#[actix::test]
async fn check_and_set() {
    let kv = kv().await;
    let write = async |cas: &str| {
        kv.write(
            "data/a",
            &format!(r#"{{"data":{{}},"options":{{"cas":{cas}}}}}"#),
        )
        .await
    };
    let mismatch = refused("check-and-set parameter did not match the current version");
    assert_eq!(write("1").await, mismatch);
    write("0").await.unwrap();
    assert_eq!(write("0").await, mismatch);
    write("1").await.unwrap();
    write("\"2\"").await.unwrap();
    assert_eq!(write("-3").await, mismatch);
    for cas in ["\"x\"", "1.5", "{}", "true"] {
        assert_eq!(
            write(cas).await,
            refused("error parsing check-and-set parameter")
        );
    }
    write("null").await.unwrap();
    assert_eq!(
        kv.write("data/a", r#"{"data":{},"options":"cas=1"}"#).await,
        refused("error converting input for field \"options\": expected an object")
    );

    // Version 4 is deleted: both it and 3, which is served, are good; nought is not, even when all are deleted.
    kv.delete("data/a").await.unwrap();
    write("3").await.unwrap();
    kv.delete("data/a").await.unwrap();
    write("5").await.unwrap();
    kv.write("delete/a", r#"{"versions":"1,2,3,4,5,6"}"#)
        .await
        .unwrap();
    assert_eq!(kv.read("data/a").await, absent());
    assert_eq!(write("0").await, mismatch);
    assert_eq!(write("6").await.unwrap()["version"], 7);
}

#[actix::test]
async fn reads_of_versions() {
    let kv = kv().await;
    assert_eq!(kv.read("data/a").await, absent());
    kv.write("data/a", r#"{"data":{"v":1}}"#).await.unwrap();
    kv.write("data/a", r#"{"data":{"v":2}}"#).await.unwrap();
    for (query, version) in [("0", 2), ("-1", 2), ("\"1\"", 1), ("2", 2)] {
        let answer = kv
            .read_with("data/a", &format!(r#"{{"version":{query}}}"#))
            .await;
        assert_eq!(value(&answer)["v"], version);
    }
    assert_eq!(kv.read_with("data/a", r#"{"version":"3"}"#).await, absent());
    let (status, message) = kv
        .read_with("data/a", r#"{"version":"x"}"#)
        .await
        .unwrap_err();
    assert_eq!(status, 400);
    let message = message.as_str().unwrap();
    assert!(
        message.starts_with("Field validation failed: "),
        "{message}"
    );
}

#[actix::test]
async fn strictly_a_deleted_secret_is_not_served() {
    let kv = strict().await;
    kv.write("data/a", r#"{"data":{"v":1}}"#).await.unwrap();
    kv.write("data/a", r#"{"data":{"v":2}}"#).await.unwrap();
    kv.delete("data/a").await.unwrap();
    kv.delete("data/a").await.unwrap();
    let (status, body) = kv.read("data/a").await.unwrap_err();
    assert_eq!((status, &body["metadata"]["version"]), (404, &json!(2)));
    let first = kv.read_with("data/a", r#"{"version":"1"}"#).await;
    assert_eq!(value(&first)["v"], 1);
    assert_eq!(
        kv.write("data/a", r#"{"data":{},"options":{"cas":1}}"#)
            .await,
        refused("check-and-set parameter did not match the current version")
    );
    let (status, body) = kv.patch("data/a", r#"{"data":{}}"#).await.unwrap_err();
    assert_eq!((status, &body["version"]), (404, &json!(2)));
}

#[actix::test]
async fn an_option_that_means_nothing_is_refused() {
    let options = BTreeMap::from([("read_deleted".to_owned(), "strickt".to_owned())]);
    assert!(KvEngine::new(mount_view().await, &options).is_err());
    let options = BTreeMap::from([("version".to_owned(), "2".to_owned())]);
    assert!(KvEngine::new(mount_view().await, &options).is_ok());
}

#[actix::test]
async fn deleting_what_is_not_there_is_no_mistake() {
    let kv = kv().await;
    kv.delete("data/a").await.unwrap();
    kv.delete("metadata/a").await.unwrap();
    assert_eq!(kv.exists("data/a").await, Some(false));
}

#[actix::test]
async fn paths_of_an_unversioned_engine_get_a_hint() {
    let kv = kv().await;
    for (verb, path, command) in [
        (Verb::Read, "a", "get"),
        (Verb::Write, "a/b", "put"),
        (Verb::List, "", "list"),
        (Verb::Delete, "data", "delete"),
    ] {
        let reply = kv.call(verb, path, "", None).await.unwrap();
        assert_eq!(reply.outcome, Outcome::Missing);
        assert!(reply.data.is_none());
        assert_eq!(
            reply.warnings,
            [format!(
                "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API \
                 endpoints to use. If using the Vault CLI, use 'vault kv {command}' for this operation."
            )]
        );
    }
}

#[actix::test]
async fn known_paths_refuse_other_verbs() {
    let kv = kv().await;
    for (verb, path) in [
        (Verb::List, "data/"),
        (Verb::Scan, "data/a/"),
        (Verb::Delete, "config"),
        (Verb::Read, "delete/a"),
        (Verb::Patch, "undelete/a"),
        (Verb::Delete, "destroy/a"),
        (Verb::Write, "subkeys/a"),
        (Verb::Write, "detailed-metadata/a"),
        (Verb::Read, "data/"),
    ] {
        let (status, _) = judge(kv.call(verb, path, "", None).await).unwrap_err();
        assert_eq!(status, 405, "{verb:?} {path}");
    }
    assert_eq!(kv.read("data/a/").await, absent());
    for path in ["data/a/", "data/", "metadata/a/"] {
        assert_eq!(
            kv.write(path, r#"{"data":{}}"#).await,
            refused("cannot write to a path ending in '/'")
        );
    }
}

#[actix::test]
async fn existence_is_known_for_the_writes_that_can_create() {
    let kv = kv().await;
    for path in ["data/a", "metadata/a"] {
        assert_eq!(kv.exists(path).await, Some(false));
    }
    kv.write("data/a", r#"{"data":{}}"#).await.unwrap();
    kv.delete("data/a").await.unwrap();
    for path in ["data/a", "metadata/a"] {
        assert_eq!(kv.exists(path).await, Some(true));
    }
    for path in ["config", "delete/a", "destroy/a", "a", "data/a/"] {
        assert_eq!(kv.exists(path).await, None);
    }
}

#[actix::test]
async fn unknown_parameters_are_warned_of() {
    let kv = kv().await;
    let reply = kv
        .call(Verb::Write, "data/a", r#"{"data":{},"cas":1}"#, None)
        .await
        .unwrap();
    assert_eq!(
        reply.warnings,
        ["Endpoint ignored these unrecognized parameters: [cas]"]
    );
}

#[actix::test]
async fn long_secrets_are_whole() {
    let kv = kv().await;
    let long = "x".repeat(300_000);
    kv.write("data/a", &format!(r#"{{"data":{{"long":"{long}"}}}}"#))
        .await
        .unwrap();
    assert_eq!(value(&kv.read("data/a").await)["long"], long.as_str());
}
