//! A seal's life on a store that works.

use std::sync::Arc;
use std::time::Duration;

use super::doubles::{Bench, SOURCE, eventually, start};
use crate::error::Error;
use crate::id::SealEpoch;
use crate::seal::limit::TryLimits;
use crate::seal::{Quorum, SealSettings};
use crate::store::change::Facet;
use crate::store::key::Table;
use crate::store::{Stamp, Store};

#[actix::test]
async fn init_hands_out_shares_and_leaves_the_add_on_sealed() {
    let bench = Bench::new().await;
    let before = bench.seal.status();
    assert_eq!((before.initialized, before.sealed), (false, true));
    let initialized = bench.seal.init(Quorum::new(7, 4).unwrap()).await.unwrap();
    assert_eq!(initialized.shares.len(), 7);
    assert_eq!(initialized.root_token.expose(), "root 0");
    assert_eq!(
        serde_json::to_value(bench.seal.status().as_ref()).unwrap(),
        serde_json::json!({
            "type": "shamir", "initialized": true, "sealed": true, "t": 4, "n": 7,
            "progress": 0, "nonce": "", "migration": false, "recovery_seal": false,
        })
    );
    assert!(!bench.gate.is_open());
}

#[actix::test]
async fn an_add_on_is_initialised_once() {
    let bench = Bench::new().await;
    let (_, other_node) = start(bench.tenant, &bench.store, bench.settings)
        .await
        .unwrap();
    let quorum = Quorum::new(5, 3).unwrap();
    let (one, two) = tokio::join!(bench.seal.init(quorum), other_node.init(quorum));
    let (initialized, refused) = if one.is_ok() { (one, two) } else { (two, one) };
    let text = "Vault is already initialized";
    assert_eq!(refused.unwrap_err().to_string(), text);
    let again = bench.seal.init(quorum).await.unwrap_err();
    assert_eq!(again.to_string(), text);
    bench.unseal(&initialized.unwrap()).await;
}

#[actix::test]
async fn an_init_that_cannot_found_the_add_on_leaves_nothing() {
    let bench = Bench::new().await;
    bench
        .gate
        .found_fails
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let quorum = Quorum::new(5, 3).unwrap();
    assert!(bench.seal.init(quorum).await.is_err());
    let bench = bench.restart().await;
    assert!(!bench.seal.status().initialized);
    bench.init().await;
}

#[actix::test]
async fn three_of_five_shares_unseal() {
    let bench = Bench::new().await;
    let initialized = bench.init().await;

    let first = bench.give(&initialized, 2).await.unwrap();
    assert_eq!((first.progress, first.sealed), (1, true));
    assert_eq!(first.nonce.len(), 36);
    let duplicate = bench.give(&initialized, 2).await.unwrap();
    assert_eq!(duplicate, first);

    let strangers = Bench::new().await.init().await;
    let wrong = bench.give(&strangers, 0).await.unwrap_err();
    assert!(wrong.to_string().starts_with("invalid key: "), "{wrong}");
    let garbage = bench.seal.submit("no share", SOURCE).await.unwrap_err();
    assert_eq!(
        garbage.to_string(),
        "'key' must be a valid hex or base64 string"
    );
    assert_eq!(bench.seal.status(), first, "progress is kept");

    let second = bench.give(&initialized, 0).await.unwrap();
    assert_eq!((second.progress, &second.nonce), (2, &first.nonce));
    assert!(!bench.gate.is_open());
    let hex = initialized.shares[4].to_hex();
    let third = bench.seal.submit(hex.expose(), SOURCE).await.unwrap();
    assert_eq!((third.sealed, third.progress), (false, 0));
    assert_eq!(third.nonce, "");

    let founded = bench
        .gate
        .view(&bench.store)
        .run(async |rows| rows.get(Table::Mounts, &[]).await)
        .await
        .unwrap();
    assert_eq!(&*founded.unwrap(), b"root 0");

    let more = bench.give(&initialized, 1).await.unwrap();
    assert!(!more.sealed, "a share too many is no error");
}

#[actix::test]
async fn a_share_given_before_init_is_refused() {
    let bench = Bench::new().await;
    let strangers = Bench::new().await.init().await;
    let refused = bench.give(&strangers, 0).await.unwrap_err();
    assert_eq!(refused.to_string(), "Vault is not initialized");
    assert!(matches!(refused, Error::Invalid { .. }));
}

#[actix::test]
async fn a_reset_forgets_the_shares_and_changes_the_nonce() {
    let bench = Bench::new().await;
    let initialized = bench.init().await;
    let before = bench.give(&initialized, 0).await.unwrap();
    let reset = bench.seal.reset().await.unwrap();
    assert_eq!((reset.progress, reset.nonce.as_str()), (0, ""));
    let after = bench.give(&initialized, 0).await.unwrap();
    assert_eq!(after.progress, 1);
    assert_ne!(after.nonce, before.nonce);

    bench.give(&initialized, 1).await.unwrap();
    bench.give(&initialized, 2).await.unwrap();
    let refused = bench.seal.reset().await.unwrap_err();
    assert_eq!(refused.to_string(), "vault is unsealed");
    assert!(bench.gate.is_open());
}

#[actix::test]
async fn a_seal_ends_every_view_and_can_be_opened_again() {
    let bench = Bench::new().await;
    let initialized = bench.init().await;
    bench.unseal(&initialized).await;
    let view = bench.gate.view(&bench.store);
    assert_eq!(view.unsealed().epoch(), SealEpoch(1));

    bench.seal.seal().await.unwrap();
    assert!(bench.seal.status().sealed);
    assert!(!bench.gate.is_open());
    let ended = view
        .run(async |rows| rows.get(Table::Mounts, &[]).await)
        .await;
    assert!(matches!(ended, Err(Error::Sealed)));
    let changes = bench
        .store
        .changes_after(Stamp::default(), 10)
        .await
        .unwrap();
    let facets: Vec<_> = changes
        .iter()
        .map(|change| Facet::decode(&change.record).unwrap())
        .collect();
    assert_eq!(facets, [(bench.tenant, Facet::Seal); 2], "init and seal");

    bench.unseal(&initialized).await;
    let view = bench.gate.view(&bench.store);
    assert_eq!(view.unsealed().epoch(), SealEpoch(2));
}

#[actix::test]
async fn sealing_a_sealed_add_on_voids_the_shares_given() {
    let bench = Bench::new().await;
    let initialized = bench.init().await;
    bench.give(&initialized, 0).await.unwrap();
    bench.seal.seal().await.unwrap();
    assert_eq!(bench.seal.status().progress, 0);
}

#[actix::test]
async fn a_restart_is_sealed_and_the_gate_closes_with_the_actor() {
    let bench = Bench::new().await;
    let initialized = bench.init().await;
    bench.unseal(&initialized).await;
    let old_gate = Arc::clone(&bench.gate);
    let bench = bench.restart().await;
    eventually(async || !old_gate.is_open()).await;
    let status = bench.seal.status();
    assert_eq!((status.initialized, status.sealed), (true, true));
    assert_eq!((status.shares, status.threshold), (5, 3));
    bench.unseal(&initialized).await;
}

#[actix::test]
async fn an_attempt_expires_by_itself() {
    let bench = Bench::with(SealSettings {
        attempt_ttl: Duration::from_millis(30),
        ..SealSettings::default()
    })
    .await;
    let initialized = bench.init().await;
    assert_eq!(bench.give(&initialized, 0).await.unwrap().progress, 1);
    eventually(async || bench.seal.status().progress == 0).await;
}

#[actix::test]
async fn wrong_tries_are_limited_and_right_ones_are_not() {
    let bench = Bench::with(SealSettings {
        tries: TryLimits {
            burst: 2,
            refill: Duration::from_secs(1000),
        },
        ..SealSettings::default()
    })
    .await;
    let initialized = bench.init().await;
    bench.unseal(&initialized).await;
    bench.seal.seal().await.unwrap();
    for _ in 0..2 {
        assert!(bench.seal.submit("garbage!", SOURCE).await.is_err());
    }
    let limited = bench.give(&initialized, 0).await.unwrap_err();
    assert!(matches!(limited, Error::TooManyRequests { .. }));
    let elsewhere = "192.0.2.1".parse().unwrap();
    let text = initialized.shares[0].to_base64url();
    let status = bench.seal.submit(text.expose(), elsewhere).await.unwrap();
    assert_eq!(status.progress, 1);
}
