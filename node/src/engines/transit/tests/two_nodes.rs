//! Two nodes on one store that have not heard of each other's changes: memory may be behind in what it grants, and is
//! never the reason for a refusal.

use super::super::decrypt::REFUSED;
use super::*;

#[actix::test]
async fn what_was_made_on_one_node_is_at_once_usable_on_the_other() {
    let here = Mounted::new().await;
    let there = here.other_node();
    here.decrypt("k", "vault:v1:AAAA").await.unwrap_err();
    there.done("keys/k", json!({})).await;
    let sealed = there.encrypt("k", "one").await;
    assert_eq!(here.exists(Verb::Write, "encrypt/k").await, Some(true));
    assert_eq!(here.decrypt("k", &sealed).await.unwrap(), "one");

    there.done("keys/k/rotate", json!({})).await;
    let sealed = there.encrypt("k", "two").await;
    assert!(sealed.starts_with("vault:v2:"));
    assert_eq!(here.decrypt("k", &sealed).await.unwrap(), "two");
    there.done("keys/k/rotate", json!({})).await;
    let chosen = json!({ "plaintext": "", "key_version": 3 });
    assert_eq!(here.done("encrypt/k", chosen).await["key_version"], 3);
    assert_eq!(
        data(here.read("keys/k").await.unwrap())["latest_version"],
        3
    );
}

#[actix::test]
async fn a_key_deleted_on_the_other_node_is_gone_from_reads_and_refusals() {
    let here = Mounted::new().await;
    let there = here.other_node();
    let sealed = here.encrypt("k", "x").await;
    there
        .done("keys/k/config", json!({ "deletion_allowed": true }))
        .await;
    there
        .call(Verb::Delete, "keys/k", json!({}), NOW)
        .await
        .unwrap();
    assert!(matches!(
        here.read("keys/k").await,
        Err(Error::NotFound(None))
    ));
    assert_eq!(here.decrypt("k", &sealed).await.unwrap_err(), REFUSED);
}

#[actix::test]
async fn a_key_made_again_under_its_name_is_another_key() {
    let here = Mounted::new().await;
    let there = here.other_node();
    let old = here.encrypt("k", "old").await;
    there
        .done("keys/k/config", json!({ "deletion_allowed": true }))
        .await;
    there
        .call(Verb::Delete, "keys/k", json!({}), NOW)
        .await
        .unwrap();
    let new = there.encrypt("k", "new").await;
    assert_eq!(here.decrypt("k", &new).await.unwrap(), "new");
    assert_eq!(here.decrypt("k", &old).await.unwrap_err(), REFUSED);
}

#[actix::test]
async fn a_closed_version_is_refused_once_the_node_hears_of_it() {
    let here = Mounted::new().await;
    let there = here.other_node();
    let sealed = here.encrypt("k", "x").await;
    there.done("keys/k/rotate", json!({})).await;
    there
        .done("keys/k/config", json!({ "min_decryption_version": 2 }))
        .await;
    here.engine.forget(here.engine.keys.pseudonym("k"));
    assert_eq!(here.decrypt("k", &sealed).await.unwrap_err(), REFUSED);
}

#[actix::test]
async fn every_change_is_told_to_the_other_nodes() {
    let here = Mounted::new().await;
    let Scope::Mount(tenant, mount) = here.view.scope() else {
        panic!("not a mount");
    };
    here.done("keys/k", json!({})).await;
    here.done("keys/k", json!({})).await;
    here.done("keys/k/rotate", json!({})).await;
    let config = json!({ "deletion_allowed": true, "min_encryption_version": 1 });
    here.done("keys/k/config", config).await;
    here.done("keys/k/trim", json!({ "min_available_version": 1 }))
        .await;
    here.call(Verb::Delete, "keys/k", json!({}), NOW)
        .await
        .unwrap();
    let changes = here
        .view
        .store()
        .changes_after(crate::store::Stamp::default(), 100)
        .await
        .unwrap();
    let facet = crate::store::change::Facet::TransitKey(mount, here.engine.keys.pseudonym("k"));
    let records: Vec<Vec<u8>> = changes.into_iter().map(|change| change.record).collect();
    assert_eq!(
        records,
        vec![facet.encode(tenant); 5],
        "making it twice is one change"
    );
}

#[actix::test]
async fn a_key_put_back_to_an_older_state_is_noticed() {
    use super::super::key::KeyPolicy;
    use super::super::keys::{read_policy, write_policy};

    let here = Mounted::new().await;
    let sealed = here.encrypt("k", "x").await;
    let pseudonym = here.engine.keys.pseudonym("k");
    let read = async || {
        let read = async |rows: &mut crate::barrier::Rows<'_>| read_policy(rows, pseudonym).await;
        here.view.run(read).await.unwrap().unwrap()
    };
    let old: KeyPolicy = read().await;
    here.done("keys/k/rotate", json!({})).await;
    here.view
        .run(async |rows| write_policy(rows, pseudonym, &old))
        .await
        .unwrap();
    assert!(matches!(here.read("keys/k").await, Err(Error::Corrupt(_))));
    assert_eq!(
        here.decrypt("k", &sealed).await.unwrap(),
        "x",
        "what is in memory still works"
    );
}
