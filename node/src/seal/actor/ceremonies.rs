//! Rekey, verification and generate-root, from the first share to what is in the store.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;

use super::doubles::{Bench, SOURCE, TestGate, eventually, start};
use crate::barrier::View;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::error::Error;
use crate::rng::OsRandom;
use crate::seal::attempt::Purpose;
use crate::seal::rekey::{RekeyRequest, Rekeyed};
use crate::seal::verification::{self, Verified};
use crate::seal::{Given, Initialized, Quorum, SealHandle, Share, generate_root, rotate};
use crate::secret::Secret;
use crate::store::StoreError;
use crate::store::key::Table;

fn request(shares: i64, threshold: i64, require_verification: bool) -> RekeyRequest {
    RekeyRequest {
        quorum: Quorum::new(shares, threshold).unwrap(),
        require_verification,
    }
}

async fn begin(seal: &SealHandle, request: RekeyRequest) {
    let parameters = request.parameters().unwrap();
    let begun = seal.start_attempt(Purpose::Rekey, parameters).await;
    let begun = begun.unwrap();
    assert_eq!((begun.given, begun.required), (0, 3));
    assert!(begun.nonce.is_some());
}

async fn give(seal: &SealHandle, purpose: Purpose, share: &Share) -> Result<Given, Error> {
    let nonce = seal.progress(purpose).nonce;
    let text = share.to_base64url();
    seal.give(purpose, text.expose(), nonce, SOURCE).await
}

async fn rekey(bench: &Bench, old: &[Share], request: RekeyRequest) -> Rekeyed {
    begin(&bench.seal, request).await;
    finish(bench, old).await
}

async fn finish(bench: &Bench, old: &[Share]) -> Rekeyed {
    for share in &old[..2] {
        let given = give(&bench.seal, Purpose::Rekey, share).await.unwrap();
        assert!(given.counted && given.outcome.is_none());
    }
    let given = give(&bench.seal, Purpose::Rekey, &old[2]).await.unwrap();
    Rekeyed::decode(&given.outcome.unwrap()).unwrap()
}

async fn unseals(bench: &Bench, shares: &[Share]) -> bool {
    bench.seal.seal().await.unwrap();
    for share in shares {
        let text = share.to_hex();
        if bench.seal.submit(text.expose(), SOURCE).await.is_err() {
            return false;
        }
    }
    !bench.seal.status().sealed
}

fn quorum_of(bench: &Bench) -> (u8, u8) {
    let status = bench.seal.status();
    (status.shares, status.threshold)
}

fn now() -> Timestamp {
    SystemClock.now()
}

async fn opened() -> (Bench, Initialized) {
    let bench = Bench::new().await;
    let initialized = bench.init().await;
    bench.unseal(&initialized).await;
    (bench, initialized)
}

#[actix::test]
async fn a_rekey_replaces_the_shares_and_nothing_else() {
    let (bench, initialized) = opened().await;
    let view = bench.gate.view(&bench.store);
    rotate::rotate(&view, &OsRandom, now()).await.unwrap();
    view.run(async |rows| rows.put(Table::KvPlain, &[], b"kept"))
        .await
        .unwrap();
    let rekeyed = rekey(&bench, &initialized.shares, request(4, 2, false)).await;
    assert_eq!(rekeyed.shares.len(), 4);
    assert_eq!(rekeyed.verification_nonce, None);
    assert_eq!(quorum_of(&bench), (4, 2));
    assert!(bench.seal.progress(Purpose::Rekey).nonce.is_none());
    assert!(bench.gate.is_open(), "nobody is sealed by it");

    assert!(!unseals(&bench, &initialized.shares[..1]).await);
    assert!(unseals(&bench, &rekeyed.shares[2..]).await);
    let view = bench.gate.view(&bench.store);
    let kept = view.run(async |rows| rows.get(Table::KvPlain, &[]).await);
    assert_eq!(&*kept.await.unwrap().unwrap(), b"kept");
}

#[actix::test]
async fn an_attempt_must_be_begun_and_takes_current_shares_with_its_nonce() {
    let (bench, initialized) = opened().await;
    let seal = &bench.seal;
    assert!(
        give(seal, Purpose::Rekey, &initialized.shares[0])
            .await
            .is_err()
    );
    begin(seal, request(5, 3, false)).await;
    let again = request(2, 2, false).parameters().unwrap();
    assert!(seal.start_attempt(Purpose::Rekey, again).await.is_err());

    let strangers = Bench::new().await.init().await;
    assert!(
        give(seal, Purpose::Rekey, &strangers.shares[0])
            .await
            .is_err()
    );
    let given = give(seal, Purpose::Rekey, &initialized.shares[0]).await;
    assert_eq!(given.unwrap().progress.given, 1);
    let twice = give(seal, Purpose::Rekey, &initialized.shares[0]).await;
    let twice = twice.unwrap();
    assert_eq!((twice.counted, twice.progress.given), (false, 1));

    let old_nonce = seal.progress(Purpose::Rekey).nonce;
    seal.cancel(Purpose::Rekey).await.unwrap();
    begin(seal, request(5, 3, false)).await;
    assert_eq!(seal.progress(Purpose::Rekey).given, 0);
    let text = initialized.shares[0].to_base64url();
    let late = seal.give(Purpose::Rekey, text.expose(), old_nonce, SOURCE);
    assert!(late.await.is_err());
}

#[actix::test]
async fn a_sealed_add_on_has_no_ceremonies_but_the_unseal() {
    let bench = Bench::new().await;
    let initialized = bench.init().await;
    let parameters = request(5, 3, false).parameters().unwrap();
    let refused = bench.seal.start_attempt(Purpose::Rekey, parameters).await;
    assert!(matches!(refused, Err(Error::Sealed)));
    bench.unseal(&initialized).await;
    begin(&bench.seal, request(5, 3, false)).await;
    give(&bench.seal, Purpose::Rekey, &initialized.shares[0])
        .await
        .unwrap();
    bench.seal.seal().await.unwrap();
    bench.unseal(&initialized).await;
    let progress = bench.seal.progress(Purpose::Rekey);
    assert_eq!(
        (progress.nonce, progress.given),
        (None, 0),
        "a seal ends it"
    );
}

#[actix::test]
async fn a_commit_in_doubt_loses_no_share() {
    let (bench, initialized) = opened().await;
    begin(&bench.seal, request(3, 2, false)).await;
    for share in &initialized.shares[..2] {
        give(&bench.seal, Purpose::Rekey, share).await.unwrap();
    }
    *bench.store.next_commit.lock() = Some(StoreError::MaybeCommitted("as told".into()));
    let given = give(&bench.seal, Purpose::Rekey, &initialized.shares[2]).await;
    let rekeyed = Rekeyed::decode(&given.unwrap().outcome.unwrap()).unwrap();
    assert!(unseals(&bench, &rekeyed.shares[1..]).await);
}

#[actix::test]
async fn a_store_that_is_away_for_a_moment_is_waited_for() {
    let (bench, initialized) = opened().await;
    begin(&bench.seal, request(3, 2, false)).await;
    for share in &initialized.shares[..2] {
        give(&bench.seal, Purpose::Rekey, share).await.unwrap();
    }
    bench.store.full.store(true, SeqCst);
    let full = Arc::clone(&bench.store.full);
    actix::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        full.store(false, SeqCst);
    });
    let given = give(&bench.seal, Purpose::Rekey, &initialized.shares[2]).await;
    let rekeyed = Rekeyed::decode(&given.unwrap().outcome.unwrap()).unwrap();
    assert!(unseals(&bench, &rekeyed.shares[..2]).await);
}

#[actix::test]
async fn of_two_rekeys_on_two_nodes_one_happens() {
    let (bench, initialized) = opened().await;
    let (_gate, other) = start(bench.tenant, &bench.store, bench.settings)
        .await
        .unwrap();
    for share in &initialized.shares[..3] {
        let text = share.to_base64url();
        other.submit(text.expose(), SOURCE).await.unwrap();
    }
    begin(&bench.seal, request(3, 2, false)).await;
    begin(&other, request(7, 4, false)).await;
    for share in &initialized.shares[..2] {
        give(&other, Purpose::Rekey, share).await.unwrap();
    }
    let rekeyed = finish(&bench, &initialized.shares).await;
    assert!(
        give(&other, Purpose::Rekey, &initialized.shares[2])
            .await
            .is_err()
    );
    assert_eq!(quorum_of(&bench), (3, 2));
    assert!(unseals(&bench, &rekeyed.shares[..2]).await);
}

async fn verify(view: &View, share: &Share, nonce: &str) -> Result<Verified, Error> {
    let verified = verification::give(view, share, nonce, now()).await?;
    Ok(verified.expect("a verification is on"))
}

#[actix::test]
async fn new_shares_are_in_force_once_enough_were_given_back() {
    let (bench, initialized) = opened().await;
    let rekeyed = rekey(&bench, &initialized.shares, request(4, 3, true)).await;
    let nonce = rekeyed.verification_nonce.unwrap().to_string();
    assert_eq!(quorum_of(&bench), (5, 3), "not yet");
    let view = bench.gate.view(&bench.store);
    let status = verification::status(&view, now()).await.unwrap().unwrap();
    assert_eq!((&status.nonce, status.given), (&nonce, 0));

    let new = &rekeyed.shares;
    for (share, nonce, text) in [
        (
            &new[0],
            "x",
            "incorrect nonce supplied; nonce for this verify operation is",
        ),
        (
            &initialized.shares[0],
            nonce.as_str(),
            "not one of the new key shares",
        ),
    ] {
        let refused = verify(&view, share, nonce).await.unwrap_err().to_string();
        assert!(refused.contains(text), "{refused}");
    }
    let noted = |verified: Verified| match verified {
        Verified::Noted(status) => status.given,
        Verified::Complete => panic!("too early"),
    };
    assert_eq!(noted(verify(&view, &new[3], &nonce).await.unwrap()), 1);
    let twice = verify(&view, &new[3], &nonce).await.unwrap_err();
    assert!(twice.to_string().contains("already been provided"));
    assert_eq!(noted(verify(&view, &new[1], &nonce).await.unwrap()), 2);
    // The last share's commit is in doubt.
    *bench.store.next_commit.lock() = Some(StoreError::MaybeCommitted("as told".into()));
    let last = verify(&view, &new[0], &nonce).await.unwrap();
    assert_eq!(last, Verified::Complete);
    bench.seal.reread().await.unwrap();
    assert_eq!(quorum_of(&bench), (4, 3));
    let more = verification::give(&view, &new[2], &nonce, now()).await;
    assert_eq!(more.unwrap(), None);
    assert!(unseals(&bench, &new[..3]).await);
}

#[actix::test]
async fn new_shares_that_are_not_given_back_never_come_into_force() {
    let (bench, initialized) = opened().await;
    let old = &initialized.shares;
    let view = bench.gate.view(&bench.store);
    let first = rekey(&bench, old, request(2, 2, true)).await;
    let first_nonce = first.verification_nonce.unwrap().to_string();
    verify(&view, &first.shares[0], &first_nonce).await.unwrap();

    // Another rekey has to wait for it.
    begin(&bench.seal, request(2, 2, true)).await;
    for share in &old[..2] {
        give(&bench.seal, Purpose::Rekey, share).await.unwrap();
    }
    let refused = give(&bench.seal, Purpose::Rekey, &old[2])
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("already in progress"));

    // Started over, what was given back does not count.
    let restarted = verification::restart(&view, &OsRandom, now()).await;
    let restarted = restarted.unwrap().unwrap();
    assert_eq!(restarted.given, 0);
    assert!(verify(&view, &first.shares[1], &first_nonce).await.is_err());
    let noted = verify(&view, &first.shares[1], &restarted.nonce).await;
    assert!(matches!(noted, Ok(Verified::Noted(_))));

    // It does not wait for ever.
    let later = now().plus(bench.settings.attempt_ttl + Duration::from_secs(1));
    assert_eq!(verification::status(&view, later).await.unwrap(), None);
    let late = verification::give(&view, &first.shares[0], &restarted.nonce, later);
    assert_eq!(late.await.unwrap(), None);

    verification::cancel(&view).await.unwrap();
    let cancelled = verification::give(&view, &first.shares[0], &restarted.nonce, now());
    assert_eq!(cancelled.await.unwrap(), None);

    // A seal ends it too.
    let second = rekey(&bench, old, request(2, 2, true)).await;
    assert!(unseals(&bench, &old[..3]).await);
    let view = bench.gate.view(&bench.store);
    let nonce = second.verification_nonce.unwrap().to_string();
    let sealed = verification::give(&view, &second.shares[0], &nonce, now());
    assert_eq!(sealed.await.unwrap(), None);
    assert_eq!(quorum_of(&bench), (5, 3));
}

async fn root_token(gate: &Arc<TestGate>, bench: &Bench) -> Option<Vec<u8>> {
    let view = gate.view(&bench.store);
    let token = view.run(async |rows| rows.get(Table::Token, &[]).await);
    token.await.unwrap().map(|token| token.to_vec())
}

#[actix::test]
async fn enough_shares_make_a_root_token_that_only_the_pad_decodes() {
    let (bench, initialized) = opened().await;
    let otp = generate_root::generate_otp(&OsRandom);
    let parameters = generate_root::parameters(&otp, &OsRandom).unwrap();
    let seal = &bench.seal;
    seal.start_attempt(Purpose::GenerateRoot, parameters)
        .await
        .unwrap();
    for share in &initialized.shares[..2] {
        let given = give(seal, Purpose::GenerateRoot, share).await.unwrap();
        assert!(given.outcome.is_none());
        assert_eq!(root_token(&bench.gate, &bench).await, None);
    }
    let given = give(seal, Purpose::GenerateRoot, &initialized.shares[2]).await;
    let encoded = given.unwrap().outcome.unwrap();
    let combined = BASE64_STANDARD_NO_PAD.decode(&*encoded).unwrap();
    let token: Vec<u8> = combined
        .iter()
        .zip(otp.expose().bytes())
        .map(|(combined, pad)| combined ^ pad)
        .collect();
    assert_eq!(root_token(&bench.gate, &bench).await, Some(token));
    assert!(seal.progress(Purpose::GenerateRoot).nonce.is_none());
    assert_eq!(quorum_of(&bench), (5, 3));
}

#[actix::test]
async fn what_another_ceremony_was_begun_with_is_refused() {
    let (bench, initialized) = opened().await;
    let otp = Secret::new("o".repeat(generate_root::OTP_BYTES));
    let of_root = generate_root::parameters(&otp, &OsRandom).unwrap();
    let of_rekey = request(2, 2, false).parameters().unwrap();
    for (purpose, parameters) in [(Purpose::Rekey, of_root), (Purpose::GenerateRoot, of_rekey)] {
        bench.seal.start_attempt(purpose, parameters).await.unwrap();
        for share in &initialized.shares[..2] {
            give(&bench.seal, purpose, share).await.unwrap();
        }
        let refused = give(&bench.seal, purpose, &initialized.shares[2]).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })));
        eventually(async || bench.seal.progress(purpose).nonce.is_none()).await;
    }
    assert_eq!(root_token(&bench.gate, &bench).await, None);
}
