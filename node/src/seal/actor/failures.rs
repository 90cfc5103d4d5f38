//! A seal whose store, gate or callers misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::MAILBOX;
use super::doubles::{Bench, SOURCE, TestStore, eventually, start};
use crate::error::Error;
use crate::id::{SealEpoch, TenantId};
use crate::rng::OsRandom;
use crate::seal::Initialized;
use crate::store::StoreError;
use crate::store::key::Table;

/// Gives three shares; what the last one answers.
async fn last_answer(bench: &Bench, initialized: &Initialized) -> Error {
    bench.give(initialized, 0).await.unwrap();
    bench.give(initialized, 1).await.unwrap();
    bench.give(initialized, 2).await.unwrap_err()
}

#[actix::test]
async fn a_seal_without_a_store_drops_the_keys_and_is_made_durable_later() {
    let faults: [fn(&TestStore) -> &AtomicBool; 3] = [
        |store| &store.down,
        |store| &store.hangs,
        |store| &store.full,
    ];
    for fault in faults {
        let bench = Bench::new().await;
        let initialized = bench.init().await;
        bench.unseal(&initialized).await;
        let fault = fault(&bench.store);
        fault.store(true, SeqCst);

        let answer = bench.seal.seal().await.unwrap_err();
        assert!(matches!(answer, Error::Unavailable(_)));
        assert!(answer.to_string().contains("not yet durable"), "{answer}");
        assert!(!bench.gate.is_open());
        assert!(bench.seal.status().sealed);
        for index in 0..3 {
            let refused = bench.give(&initialized, index).await.unwrap_err();
            assert!(matches!(refused, Error::Unavailable(_)));
        }
        assert!(!bench.gate.is_open(), "no unseal at the old epoch");

        fault.store(false, SeqCst);
        eventually(async || stored_epoch(&bench).await == SealEpoch(2)).await;
        bench.unseal(&initialized).await;
        assert_eq!(
            bench.gate.view(&bench.store).unsealed().epoch(),
            SealEpoch(2)
        );
    }
}

async fn stored_epoch(bench: &Bench) -> SealEpoch {
    let address = crate::seal::epoch::address(bench.tenant);
    let read = crate::store::transact(bench.store.as_ref(), async |transaction, _| {
        Ok(transaction.get(&address).await?)
    });
    let (row, _) = read.await.unwrap();
    crate::seal::epoch::claim(&row.unwrap()).unwrap()
}

#[actix::test]
async fn a_commit_in_doubt_is_neither_lost_nor_done_twice() {
    let bench = Bench::new().await;
    let doubt = || Some(StoreError::MaybeCommitted("as told".into()));
    *bench.store.next_commit.lock() = doubt();
    let initialized = bench.init().await;
    assert_eq!(initialized.root_token.expose(), "root 0");
    bench.unseal(&initialized).await;
    *bench.store.next_commit.lock() = doubt();
    bench.seal.seal().await.unwrap();
    assert!(
        bench.store.next_commit.lock().is_none(),
        "there was a doubt"
    );
    assert_eq!(stored_epoch(&bench).await, SealEpoch(2));
}

#[actix::test]
async fn an_init_run_again_after_a_conflict_hands_out_the_token_that_was_stored() {
    let bench = Bench::new().await;
    *bench.store.next_commit.lock() = Some(StoreError::Conflict);
    let initialized = bench.init().await;
    assert_eq!(initialized.root_token.expose(), "root 1");
    bench.unseal(&initialized).await;
    let stored = bench
        .gate
        .view(&bench.store)
        .run(async |rows| rows.get(Table::Mounts, &[]).await)
        .await
        .unwrap();
    assert_eq!(&*stored.unwrap(), b"root 1");
}

#[actix::test]
async fn a_seal_does_not_start_without_a_store() {
    let bench = Bench::new().await;
    bench.store.down.store(true, SeqCst);
    let tenant = TenantId::generate(&OsRandom);
    let started = start(tenant, &bench.store, bench.settings).await;
    assert!(matches!(started, Err(Error::Unavailable(_))));
}

#[actix::test]
async fn when_the_add_on_cannot_load_the_shares_are_kept_and_it_is_tried_again() {
    let bench = Bench::new().await;
    let initialized = bench.init().await;
    let away = || Error::Unavailable("away".into());
    bench.gate.next_opens.lock().extend([away(), away()]);
    let answer = last_answer(&bench, &initialized).await;
    assert!(matches!(answer, Error::Unavailable(_)));
    eventually(async || !bench.seal.status().sealed).await;
    assert!(bench.gate.next_opens.lock().is_empty());
    let again = bench.give(&initialized, 0).await.unwrap();
    assert_eq!((again.sealed, again.progress), (false, 0));
}

#[actix::test]
async fn when_the_add_on_is_damaged_the_attempt_ends() {
    let bench = Bench::new().await;
    let initialized = bench.init().await;
    let damaged = Error::Corrupt("mounts".into());
    bench.gate.next_opens.lock().push_back(damaged);
    let answer = last_answer(&bench, &initialized).await;
    assert!(matches!(answer, Error::Corrupt(_)));
    assert!(!bench.gate.is_open());
    assert_eq!(bench.seal.status().progress, 0);
    bench.unseal(&initialized).await;
}

#[actix::test]
async fn a_loading_that_takes_too_long_is_given_up() {
    let bench = Bench::new().await;
    let initialized = bench.init().await;
    bench.gate.turnstile.forget_permits(100);
    let answer = last_answer(&bench, &initialized).await;
    assert!(matches!(answer, Error::Unavailable(_)));
    assert!(bench.seal.status().sealed);
    bench.gate.turnstile.add_permits(1);
    eventually(async || !bench.seal.status().sealed).await;
}

#[actix::test]
async fn changed_rows_do_not_open() {
    for table in [Table::Epoch, Table::SealConfig, Table::Keyring] {
        let bench = Bench::new().await;
        let initialized = bench.init().await;
        // A byte of the MAC, or of the keyring's nonce: what is read while sealed stays well-formed.
        bench.tamper(table, |row| row[20] ^= 1).await;
        let answer = last_answer(&bench, &initialized).await;
        assert!(matches!(answer, Error::Corrupt(_)), "{answer}");
        assert!(!bench.gate.is_open());
        assert_eq!(bench.seal.status().progress, 0);
        bench.tamper(table, |row| row[20] ^= 1).await;
        bench.unseal(&initialized).await;
    }
}

#[actix::test]
async fn a_store_that_was_rolled_back_behind_a_seal_is_noticed() {
    let bench = Bench::new().await;
    let initialized = bench.init().await;
    let first = parking_lot::Mutex::new(Vec::new());
    let remember = |row: &mut Vec<u8>| first.lock().clone_from(row);
    bench.tamper(Table::Epoch, remember).await;
    bench.unseal(&initialized).await;
    bench.seal.seal().await.unwrap();
    let roll_back = |row: &mut Vec<u8>| row.clone_from(&first.lock());
    bench.tamper(Table::Epoch, roll_back).await;
    let answer = bench.give(&initialized, 1).await.unwrap_err();
    assert!(answer.to_string().contains("rolled back"), "{answer}");
}

#[actix::test]
async fn a_full_mailbox_is_told_at_once_and_stays_bounded() {
    let bench = Bench::new().await;
    let initialized = bench.init().await;
    bench.give(&initialized, 0).await.unwrap();
    bench.give(&initialized, 1).await.unwrap();
    bench.gate.turnstile.forget_permits(100);
    let seal = bench.seal.clone();
    let text = initialized.shares[2].to_hex();
    let opening = actix::spawn(async move { seal.submit(text.expose(), SOURCE).await });
    eventually(async || bench.gate.is_open()).await;

    let mut waiting = Vec::new();
    for _ in 0..3 * MAILBOX {
        let seal = bench.seal.clone();
        waiting.push(actix::spawn(async move { seal.reset().await }));
    }
    bench.gate.turnstile.add_permits(1);
    assert!(opening.await.unwrap().is_ok());
    let mut refused = 0;
    for answer in waiting {
        let error = answer.await.unwrap().unwrap_err();
        refused += usize::from(matches!(error, Error::Unavailable(_)));
    }
    assert_eq!(refused, 2 * MAILBOX);
    bench.seal.seal().await.unwrap();
}

#[actix::test]
async fn a_panic_closes_the_gate() {
    let bench = Bench::new().await;
    let initialized = bench.init().await;
    bench.gate.open_panics.store(true, SeqCst);
    let answer = last_answer(&bench, &initialized).await;
    assert!(matches!(answer, Error::Unavailable(_)));
    eventually(async || !bench.gate.is_open() && !bench.seal.connected()).await;
    let later = bench.seal.reset().await;
    assert!(matches!(later, Err(Error::Unavailable(_))));

    let gate = Arc::clone(&bench.gate);
    let bench = bench.restart().await;
    bench.unseal(&initialized).await;
    assert!(!gate.is_open());
}
