//! Deleting, undeleting and destroying named versions, and how many are kept.

use serde_json::json;

use super::*;
use crate::barrier::Domain;
use crate::store::key::{Part, Table};

#[actix::test]
async fn versions_come_as_numbers_texts_or_between_commas() {
    let kv = kv().await;
    for _ in 0..6 {
        kv.write("data/a", r#"{"data":{}}"#).await.unwrap();
    }
    for versions in ["[1]", r#"["2"]"#, r#""3, 4""#, "5", "[-7,0,99]"] {
        kv.write("delete/a", &format!(r#"{{"versions":{versions}}}"#))
            .await
            .unwrap();
    }
    for version in 1..=6 {
        let answer = kv
            .read_with("data/a", &format!(r#"{{"version":{version}}}"#))
            .await;
        assert_eq!(answer.is_ok(), version == 6, "{version}");
    }
}

#[actix::test]
async fn no_versions_are_a_mistake_and_unknown_secrets_are_not() {
    let kv = kv().await;
    for path in ["delete/a", "undelete/a", "destroy/a"] {
        for body in ["", r#"{"versions":[]}"#, r#"{"versions":""}"#] {
            assert_eq!(
                kv.write(path, body).await,
                refused("No version number provided")
            );
        }
        assert_eq!(
            kv.write(path, r#"{"versions":["x"]}"#).await,
            refused("error converting input for field \"versions\": expected whole numbers")
        );
        kv.write(path, r#"{"versions":[1]}"#).await.unwrap();
    }
    assert_eq!(kv.exists("data/a").await, Some(false));
}

/// Whether the row with a version's data is there.
async fn has_row(kv: &Bench<KvEngine>, path: &str, version: u64) -> bool {
    kv.engine
        .view
        .run(async |rows| {
            let name = rows.pseudonym(Domain::Path, path.as_bytes());
            rows.get(Table::KvVersion, &[name.into(), Part::Number(version)])
                .await
        })
        .await
        .unwrap()
        .is_some()
}

#[actix::test]
async fn what_is_destroyed_or_pruned_is_gone_from_the_store() {
    let kv = kv().await;
    kv.write("metadata/a", r#"{"max_versions":4}"#)
        .await
        .unwrap();
    for _ in 0..5 {
        kv.write("data/a", r#"{"data":{"x":1}}"#).await.unwrap();
    }
    assert!(!has_row(&kv, "a", 1).await);
    assert_eq!(kv.read_with("data/a", r#"{"version":1}"#).await, absent());
    assert!(has_row(&kv, "a", 3).await);
    kv.write("destroy/a", r#"{"versions":[3]}"#).await.unwrap();
    assert!(!has_row(&kv, "a", 3).await);
    kv.write("delete/a", r#"{"versions":[4]}"#).await.unwrap();
    assert!(has_row(&kv, "a", 4).await);

    let metadata = kv.read("metadata/a").await.unwrap();
    assert_eq!(metadata["oldest_version"], 2);
    assert_eq!(metadata["current_version"], 5);

    kv.write("metadata/a", r#"{"max_versions":1}"#)
        .await
        .unwrap();
    assert!(has_row(&kv, "a", 5).await);
    kv.patch("data/a", r#"{"data":{"y":2}}"#).await.unwrap();
    for version in 1..=5 {
        assert!(!has_row(&kv, "a", version).await, "{version}");
    }
    let metadata = kv.read("metadata/a").await.unwrap();
    assert_eq!(metadata["oldest_version"], 6);
    assert_eq!(*value(&kv.read("data/a").await), json!({"x":1,"y":2}));

    kv.delete("metadata/a").await.unwrap();
    assert!(!has_row(&kv, "a", 6).await);
    assert_eq!(kv.read("metadata/a").await, absent());
}

#[actix::test]
async fn the_current_version_stays_the_highest() {
    let kv = kv().await;
    for _ in 0..2 {
        kv.write("data/a", r#"{"data":{}}"#).await.unwrap();
    }
    kv.delete("data/a").await.unwrap();
    let metadata = kv.read("metadata/a").await.unwrap();
    assert_eq!(metadata["current_version"], 2);
    assert_eq!(
        kv.write("data/a", r#"{"data":{}}"#).await.unwrap()["version"],
        3
    );
}
