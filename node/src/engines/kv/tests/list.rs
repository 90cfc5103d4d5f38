//! Lists and scans, plain and detailed.

use serde_json::json;

use super::*;
use crate::engines::kv::list::names_below;
use crate::engines::kv::path::Page;

async fn filled() -> Bench<KvEngine> {
    let kv = kv().await;
    for path in ["a", "a/x", "a/y/z", "a-b", "c/d/e/f", "é"] {
        kv.write(&format!("data/{path}"), r#"{"data":{}}"#)
            .await
            .unwrap();
    }
    kv
}

#[actix::test]
async fn a_list_shows_secrets_and_directories() {
    let kv = filled().await;
    let keys = async |path, query| kv.list(path, query).await.map(|data| data["keys"].clone());
    assert_eq!(
        keys("metadata/", "").await.unwrap(),
        json!(["a", "a-b", "a/", "c/", "é"])
    );
    assert_eq!(keys("metadata/a/", "").await.unwrap(), json!(["x", "y/"]));
    assert_eq!(
        keys("metadata/", r#"{"after":"a-b","limit":"2"}"#)
            .await
            .unwrap(),
        json!(["a/", "c/"])
    );
    assert_eq!(keys("metadata/b/", "").await, absent());
    assert_eq!(keys("metadata/a/x/", "").await, absent());
    assert_eq!(keys("metadata/", r#"{"after":"é"}"#).await, absent());
}

#[actix::test]
async fn a_deleted_secret_is_listed_until_its_metadata_goes() {
    let kv = filled().await;
    kv.delete("data/a/y/z").await.unwrap();
    assert_eq!(
        kv.list("metadata/a/y/", "").await.unwrap()["keys"],
        json!(["z"])
    );
    kv.delete("metadata/a/y/z").await.unwrap();
    assert_eq!(kv.list("metadata/a/y/", "").await, absent());
    assert_eq!(
        kv.list("metadata/a/", "").await.unwrap()["keys"],
        json!(["x"])
    );
}

#[actix::test]
async fn a_scan_shows_all_secrets_below() {
    let kv = filled().await;
    let all = ["a", "a-b", "a/x", "a/y/z", "c/d/e/f", "é"];
    let keys =
        async |path, query: &str| kv.scan(path, query).await.map(|data| data["keys"].clone());
    assert_eq!(keys("metadata/", "").await.unwrap(), json!(all));
    assert_eq!(keys("metadata/a/", "").await.unwrap(), json!(["x", "y/z"]));
    assert_eq!(kv.scan("metadata/b/", "").await.unwrap(), json!({}));

    for begin in 0..all.len() {
        for limit in 1..=all.len() {
            let after = if begin == 0 { "" } else { all[begin - 1] };
            let page = keys(
                "metadata/",
                &format!(r#"{{"after":"{after}","limit":{limit}}}"#),
            )
            .await
            .unwrap();
            let end = (begin + limit).min(all.len());
            assert_eq!(page, json!(all[begin..end]));
        }
    }
    assert_eq!(
        keys("metadata/", r#"{"after":"c/d"}"#).await.unwrap(),
        json!(["c/d/e/f", "é"])
    );
}

#[actix::test]
async fn a_scan_of_too_much_asks_for_pages() {
    let kv = kv().await;
    for name in 10..30 {
        kv.write(&format!("data/dir/{name}"), r#"{"data":{}}"#)
            .await
            .unwrap();
    }
    let scan = async |after: Option<&str>, limit| {
        let page = Page {
            after: after.map(str::to_owned),
            limit,
        };
        names_below(&kv.engine.view, "", &page, 5).await
    };
    assert!(matches!(scan(None, None).await, Err(Error::Invalid { .. })));
    assert!(matches!(
        scan(None, Some(6)).await,
        Err(Error::Invalid { .. })
    ));
    assert_eq!(scan(None, Some(5)).await.unwrap().len(), 5);
    assert_eq!(
        scan(Some("dir/26"), None).await.unwrap(),
        ["dir/27", "dir/28", "dir/29"]
    );
}

#[actix::test]
async fn detailed_lists_tell_of_each_secret() {
    let kv = filled().await;
    let known = kv.read("metadata/a").await.unwrap();
    let answer = kv.list("detailed-metadata/", "").await.unwrap();
    assert_eq!(answer["keys"], json!(["a", "a-b", "a/", "c/", "é"]));
    let infos = answer["key_info"].as_object().unwrap();
    assert_eq!(infos.keys().collect::<Vec<_>>(), ["a", "a-b", "é"]);
    assert_eq!(infos["a"], known);
    let page = kv
        .list("detailed-metadata/", r#"{"limit":1}"#)
        .await
        .unwrap();
    assert_eq!(page["keys"], json!(["a"]));
    assert_eq!(kv.list("detailed-metadata/b/", "").await, absent());

    let deep = kv.scan("detailed-metadata/a/", "").await.unwrap();
    assert_eq!(deep["keys"], json!(["x", "y/z"]));
    assert_eq!(deep["key_info"]["y/z"]["current_version"], 1);
    assert_eq!(
        kv.scan("detailed-metadata/b/", "").await.unwrap(),
        json!({})
    );
}
