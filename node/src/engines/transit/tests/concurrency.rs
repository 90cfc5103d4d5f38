//! Many at once.

use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join, join_all};

use super::*;

#[actix::test]
async fn rotations_at_once_all_count_and_nobody_fails_to_encrypt() {
    let mount = Mounted::new().await;
    mount.done("keys/k", json!({})).await;
    let rotations = join_all((0..32).map(|_| mount.done("keys/k/rotate", json!({}))));
    let encryptions = join_all((0..64).map(|_| async {
        tokio::task::yield_now().await;
        mount.encrypt("k", "x").await
    }));
    let (rotations, sealed) = join(rotations, encryptions).await;
    let mut latest: Vec<i64> = rotations
        .iter()
        .map(|shown| shown["latest_version"].as_i64().unwrap())
        .collect();
    latest.sort_unstable();
    assert_eq!(latest, (2..=33).collect::<Vec<_>>());
    assert_eq!(
        data(mount.read("keys/k").await.unwrap())["latest_version"],
        33
    );
    for sealed in sealed {
        assert_eq!(mount.decrypt("k", &sealed).await.unwrap(), "x");
    }
}

#[actix::test]
async fn rotations_through_two_nodes_all_count() {
    let here = Mounted::new().await;
    let there = here.other_node();
    here.done("keys/k", json!({})).await;
    let rotations = (0..32).map(|number| {
        let node = if number % 2 == 0 { &here } else { &there };
        node.done("keys/k/rotate", json!({}))
    });
    join_all(rotations).await;
    for node in [&here, &there] {
        let shown = data(node.read("keys/k").await.unwrap());
        assert_eq!(shown["latest_version"], 33);
    }
}

#[actix::test]
async fn those_who_miss_the_same_key_share_a_load() {
    let mount = Mounted::new().await;
    let probe = mount.encrypt("other", "x").await;
    mount.counts.slow.store(true, Ordering::SeqCst);
    mount.counts.take();
    let refused = join_all((0..200).map(|_| mount.decrypt("missing", &probe))).await;
    assert!(refused.iter().all(Result::is_err));
    let (transactions, _) = mount.counts.take();
    assert_eq!(
        transactions, 2,
        "the first one's, and one for all who came during it"
    );
}

#[actix::test]
async fn encrypting_with_a_new_name_at_once_makes_one_key() {
    let mount = Mounted::new().await;
    let sealed = join_all((0..32).map(|_| mount.encrypt("k", "x"))).await;
    for sealed in sealed {
        assert!(sealed.starts_with("vault:v1:"));
        assert_eq!(mount.decrypt("k", &sealed).await.unwrap(), "x");
    }
}

#[actix::test]
async fn a_full_mailbox_refuses_at_once() {
    let view = mount_view().await;
    let arbiter = Arbiter::new();
    let engine = TransitEngine::new(
        view.clone(),
        MountId::from_bytes([1; 16]),
        &BTreeMap::new(),
        &arbiter.handle(),
    )
    .unwrap();
    // The keeper's thread is kept busy, so what it is sent stays in its mailbox.
    let (started, wait_for_start) = mpsc::channel();
    let (release, wait_for_release) = mpsc::channel::<()>();
    arbiter.spawn_fn(move || {
        started.send(()).unwrap();
        let _ = wait_for_release.recv_timeout(Duration::from_secs(30));
    });
    wait_for_start
        .recv_timeout(Duration::from_secs(30))
        .unwrap();

    let name = KeyName::parse("k").unwrap();
    let changes = (0..MAILBOX + 50)
        .map(|_| Box::pin(engine.change(name, Action::Upsert(Default::default()), NOW)));
    let mut waiting = Vec::new();
    let mut refused = 0;
    for mut change in changes {
        match (&mut change).now_or_never() {
            None => waiting.push(change),
            Some(Err(Error::Unavailable(_))) => refused += 1,
            Some(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((waiting.len(), refused), (MAILBOX, 50));
    release.send(()).unwrap();
    for result in join_all(waiting).await {
        assert!(result.unwrap().key.is_some());
    }
    arbiter.stop();
}

#[actix::test]
async fn dropping_the_engine_stops_its_keeper_and_drops_its_keys() {
    let mount = Mounted::new().await;
    mount.encrypt("k", "x").await;
    let keys = Arc::downgrade(&mount.engine.keys);
    drop(mount);
    for _ in 0..100 {
        if keys.upgrade().is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the keys are still held");
}

#[actix::test]
async fn a_store_that_is_down_is_not_told_as_a_missing_key() {
    let mount = Mounted::new().await;
    let sealed = mount.encrypt("k", "x").await;
    mount.counts.down.store(true, Ordering::SeqCst);
    let down = |result: Result<Reply, Error>| matches!(result, Err(Error::Unavailable(_)));
    let probe = json!({ "ciphertext": sealed });
    assert!(down(mount.write("decrypt/missing", probe.clone()).await));
    assert!(down(
        mount
            .write("encrypt/missing", json!({ "plaintext": "" }))
            .await
    ));
    assert!(down(mount.write("keys/k/rotate", json!({})).await));
    assert!(down(mount.read("keys/k").await));
    mount.counts.down.store(false, Ordering::SeqCst);
    mount.write("decrypt/k", probe).await.unwrap();
}
