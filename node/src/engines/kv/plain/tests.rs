//! Both unversioned engines on an in-memory store.

use serde_json::{Value, json};

use super::*;
use crate::barrier::testing::mount_view;
use crate::engines::kv::tests::{Bench, absent, judge, refused};

async fn kv() -> Bench<PlainEngine> {
    Bench::of(PlainEngine::kv(mount_view().await, 2_764_800))
}

async fn cubbyhole() -> Bench<PlainEngine> {
    let bench = Bench::of(PlainEngine::cubbyhole(mount_view().await));
    bench.token.set(Some(ALICE));
    bench
}

const ALICE: Pseudonym = Pseudonym([1; 16]);
const BOB: Pseudonym = Pseudonym([2; 16]);

#[actix::test]
async fn what_is_written_is_read_to_the_letter() {
    let kv = kv().await;
    assert_eq!(kv.read("a").await, absent());
    assert_eq!(kv.write("a", "{}").await, refused("missing data fields"));
    let text = r#"{"a \"quoted\" name":1.0,"big":9007199254740993,"deep":{ "x":[null] }}"#;
    kv.write("a", text).await.unwrap();
    let reply = kv.call(Verb::Read, "a", "", None).await.unwrap();
    assert_eq!(reply.data.unwrap().get(), text);
    kv.write("a", r#"{"b":2}"#).await.unwrap();
    assert_eq!(kv.read("a").await.unwrap(), json!({"b":2}));
    kv.delete("a").await.unwrap();
    kv.delete("a").await.unwrap();
    assert_eq!(kv.read("a").await, absent());
}

#[actix::test]
async fn the_lease_is_the_secrets_own_or_the_mounts() {
    let kv = kv().await;
    for (body, lease_s) in [
        (r#"{"a":1}"#, 2_764_800),
        (r#"{"ttl":"1h"}"#, 3_600),
        (r#"{"lease":90}"#, 90),
        (r#"{"ttl":"30","lease":"60"}"#, 30),
        (r#"{"ttl":"soon"}"#, 2_764_800),
        (r#"{"ttl":"-1h"}"#, 2_764_800),
        (r#"{"ttl":null,"lease":{"x":1}}"#, 2_764_800),
    ] {
        kv.write("a", body).await.unwrap();
        let reply = kv.call(Verb::Read, "a", "", None).await.unwrap();
        assert_eq!(reply.lease_duration_s, lease_s, "{body}");
    }
}

#[actix::test]
async fn names_are_listed_and_go_with_their_secrets() {
    for bench in [kv().await, cubbyhole().await] {
        assert_eq!(bench.list("", "").await, absent());
        for path in ["a", "a/b", "c/d/e", "f"] {
            bench.write(path, r#"{"x":1}"#).await.unwrap();
            bench.write(path, r#"{"x":2}"#).await.unwrap();
        }
        let keys = |answer: Result<Value, (u16, Value)>| answer.unwrap()["keys"].clone();
        assert_eq!(
            keys(bench.list("", "").await),
            json!(["a", "a/", "c/", "f"])
        );
        assert_eq!(keys(bench.list("c/", "").await), json!(["d/"]));
        assert_eq!(
            keys(bench.list("", r#"{"after":"a","limit":2}"#).await),
            json!(["a/", "c/"])
        );
        assert_eq!(
            keys(bench.scan("", "").await),
            json!(["a", "a/b", "c/d/e", "f"])
        );
        assert_eq!(keys(bench.scan("c/", "").await), json!(["d/e"]));
        assert_eq!(
            keys(bench.scan("", r#"{"after":"a/b","limit":1}"#).await),
            json!(["c/d/e"])
        );
        bench.delete("c/d/e").await.unwrap();
        assert_eq!(keys(bench.list("", "").await), json!(["a", "a/", "f"]));
        assert_eq!(bench.list("c/", "").await, absent());
        assert_eq!(bench.scan("c/", "").await.unwrap(), json!({}));
    }
}

#[actix::test]
async fn paths_and_verbs_are_checked() {
    for bench in [kv().await, cubbyhole().await] {
        assert_eq!(
            bench.write("a/", r#"{"x":1}"#).await,
            refused("cannot write to a path ending in '/'")
        );
        assert_eq!(bench.read("a/").await, absent());
        let patched = bench.call(Verb::Patch, "a", r#"{"x":1}"#, None).await;
        assert_eq!(judge(patched).unwrap_err().0, 405);
        assert_eq!(bench.exists("a").await, Some(false));
        bench.write("a", r#"{"x":1}"#).await.unwrap();
        assert_eq!(bench.exists("a").await, Some(true));
        assert_eq!(bench.exists("a/").await, None);
    }
}

#[actix::test]
async fn each_token_has_its_own_cubbyhole() {
    let cubbyhole = cubbyhole().await;
    cubbyhole.write("a/b", r#"{"of":"alice"}"#).await.unwrap();
    cubbyhole.token.set(Some(BOB));
    assert_eq!(cubbyhole.read("a/b").await, absent());
    assert_eq!(cubbyhole.list("", "").await, absent());
    assert_eq!(cubbyhole.exists("a/b").await, Some(false));
    cubbyhole.write("a/b", r#"{"of":"bob"}"#).await.unwrap();
    cubbyhole.token.set(Some(ALICE));
    assert_eq!(cubbyhole.read("a/b").await.unwrap(), json!({"of":"alice"}));
    assert_eq!(
        cubbyhole
            .call(Verb::Read, "a/b", "", None)
            .await
            .unwrap()
            .lease_duration_s,
        0
    );

    cubbyhole.token.set(None);
    let refusal = refused("cubbyhole operations are only supported by 'service' type tokens");
    assert_eq!(cubbyhole.read("a/b").await, refusal);
    assert_eq!(cubbyhole.write("a/b", r#"{"x":1}"#).await, refusal);
    assert_eq!(cubbyhole.list("", "").await, refusal);
    assert_eq!(cubbyhole.exists("a/b").await, None);
}

#[actix::test]
async fn a_cubbyhole_ends_with_its_token() {
    let cubbyhole = cubbyhole().await;
    let long = format!(r#"{{"long":"{}"}}"#, "x".repeat(200_000));
    cubbyhole.write("a", &long).await.unwrap();
    cubbyhole.write("b/c", r#"{"x":1}"#).await.unwrap();
    cubbyhole.token.set(Some(BOB));
    cubbyhole.write("a", r#"{"of":"bob"}"#).await.unwrap();

    let view = &cubbyhole.engine.view;
    view.run(async |rows| {
        delete_cubbyhole(rows, ALICE);
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(cubbyhole.read("a").await.unwrap(), json!({"of":"bob"}));
    view.run(async |rows| {
        for table in [Table::KvPlain, Table::Name] {
            assert!(!rows.any_below(table, &[ALICE.into()]).await?);
            assert!(rows.any_below(table, &[BOB.into()]).await?);
        }
        assert!(
            !rows.any_below(Table::Chunk, &[]).await?,
            "no piece is left"
        );
        Ok(())
    })
    .await
    .unwrap();
    cubbyhole.token.set(Some(ALICE));
    assert_eq!(cubbyhole.list("", "").await, absent());
}
