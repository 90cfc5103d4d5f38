//! Many writers at once.

use futures_util::future::join_all;
use serde_json::json;

use super::*;

const WRITERS: u64 = 24;

#[actix::test]
async fn every_write_without_check_makes_a_version() {
    let kv = kv().await;
    kv.write("config", &format!(r#"{{"max_versions":{WRITERS}}}"#))
        .await
        .unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let body = format!(r#"{{"data":{{"writer":{writer}}}}}"#);
        let kv = &kv;
        async move { kv.write("data/a", &body).await.unwrap()["version"].clone() }
    });
    let mut versions: Vec<u64> = join_all(writers)
        .await
        .iter()
        .map(|version| version.as_u64().unwrap())
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=WRITERS).collect::<Vec<_>>());
    let mut seen: Vec<u64> = Vec::new();
    for version in versions {
        let read = kv
            .read_with("data/a", &format!(r#"{{"version":{version}}}"#))
            .await;
        seen.push(value(&read)["writer"].as_u64().unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..WRITERS).collect::<Vec<_>>());
}

#[actix::test]
async fn of_the_writes_with_check_one_wins() {
    let kv = kv().await;
    for cas in 0..3 {
        let body = format!(r#"{{"data":{{}},"options":{{"cas":{cas}}}}}"#);
        let answers = join_all((0..WRITERS).map(|_| kv.write("data/a", &body))).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        assert_eq!(won[0].as_ref().unwrap()["version"], cas + 1);
        assert!(lost.iter().all(|answer| *answer
            == refused("check-and-set parameter did not match the current version")));
    }
}

#[actix::test]
async fn every_delete_hides_a_version_of_its_own() {
    let kv = kv().await;
    for _ in 0..5 {
        kv.write("data/a", r#"{"data":{}}"#).await.unwrap();
    }
    for answer in join_all((0..4).map(|_| kv.delete("data/a"))).await {
        answer.unwrap();
    }
    let read = kv.read("data/a").await.unwrap();
    assert_eq!(read["metadata"]["version"], 1);
}

#[actix::test]
async fn neighbours_come_and_go_without_losing_each_other() {
    let kv = kv().await;
    let names: Vec<u64> = (0..WRITERS).collect();
    join_all(names.iter().map(|name| {
        let path = format!("data/dir/{name}");
        let kv = &kv;
        async move { kv.write(&path, r#"{"data":{}}"#).await.unwrap() }
    }))
    .await;
    join_all(names.iter().map(|name| {
        let kv = &kv;
        async move {
            let data = format!("data/dir/{}", name + WRITERS);
            let metadata = format!("metadata/dir/{name}");
            if name % 2 == 0 {
                kv.write(&data, r#"{"data":{}}"#).await.unwrap();
            } else {
                kv.delete(&metadata).await.unwrap();
            }
        }
    }))
    .await;
    let listed = kv.list("metadata/dir/", "").await.unwrap();
    assert_eq!(listed["keys"].as_array().unwrap().len() as u64, WRITERS);
    let scanned = kv.scan("metadata/", "").await.unwrap();
    assert_eq!(scanned["keys"].as_array().unwrap().len() as u64, WRITERS);
    assert_eq!(
        kv.list("metadata/", "").await.unwrap()["keys"],
        json!(["dir/"])
    );
}
