//! Seals, with and without gossip and store.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use conclave_cluster::{Fact, FactKey, FactName, FactValue, Tenant};

use super::world::{STALENESS_MAX, World, eventually};
use crate::error::Error;
use crate::id::SealEpoch;
use crate::peers::facts;
use crate::seal::attempt::Incarnation;
use crate::seal::peers::Order;

#[actix::test]
async fn one_seal_closes_all_before_it_is_answered() {
    let world = World::of(3).await;
    let (tenant, initialized) = world.addon("a").await;
    let (other, others) = world.addon("b").await;
    world.unseal(tenant, &initialized).await;
    world.unseal(other, &others).await;
    world.nodes[1].seal(tenant).seal().await.unwrap();
    for node in &world.nodes {
        assert!(!node.is_open(tenant));
        assert!(node.is_open(other));
    }
    world.unseal(tenant, &initialized).await;
}

#[actix::test]
async fn without_gossip_the_change_feed_closes_within_the_staleness() {
    let world = World::of(3).await;
    let (tenant, initialized) = world.addon("a").await;
    world.unseal(tenant, &initialized).await;
    world.silence();
    world.nodes[0].seal(tenant).seal().await.unwrap();
    let asked = tokio::time::Instant::now();
    for node in &world.nodes[1..] {
        node.freshness.require(&node.feed).await.unwrap();
        if asked.elapsed() > STALENESS_MAX {
            assert!(!node.is_open(tenant));
        }
        node.freshness.catch_up(&node.feed).await.unwrap();
        assert!(!node.is_open(tenant), "confirmed, so closed");
    }
}

#[actix::test]
async fn shares_given_before_a_seal_count_for_nothing_after_it() {
    let world = World::of(2).await;
    let (tenant, initialized) = world.addon("a").await;
    world.nodes[0].give(tenant, &initialized, 0).await.unwrap();
    world.nodes[1].give(tenant, &initialized, 1).await.unwrap();
    world.nodes[0].seal(tenant).seal().await.unwrap();
    for node in &world.nodes {
        assert_eq!(node.seal(tenant).status().progress, 0);
    }
}

#[actix::test]
async fn a_node_without_store_has_another_one_seal() {
    let world = World::of(3).await;
    let (tenant, initialized) = world.addon("a").await;
    world.unseal(tenant, &initialized).await;
    world.nodes[0].store.cut.store(true, SeqCst);
    world.nodes[0].seal(tenant).seal().await.unwrap();
    world.all("sealed", |node| !node.is_open(tenant)).await;
    let opened = world.nodes[1].give(tenant, &initialized, 0).await.unwrap();
    assert_eq!(opened.progress, 1);
}

#[actix::test]
async fn a_node_without_keys_has_the_others_seal() {
    let mut world = World::with(3, false, None).await;
    let (tenant, initialized) = world.addon("a").await;
    world.unseal(tenant, &initialized).await;
    world.restart(2).await;
    world.all_up().await;
    assert!(!world.nodes[2].is_open(tenant));
    world.nodes[2].seal(tenant).seal().await.unwrap();
    for node in &world.nodes {
        assert!(!node.is_open(tenant));
    }
    world.silence();
    eventually("alone", || world.nodes[2].cluster.live_peers().is_empty()).await;
    let answer = world.nodes[2].seal(tenant).seal().await.unwrap_err();
    assert!(answer.to_string().contains("1 of 3 nodes"), "{answer}");
}

#[actix::test]
async fn without_any_store_all_close_and_the_seal_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::with(3, true, Some(folder.path().into())).await;
    let (tenant, initialized) = world.addon("a").await;
    world.unseal(tenant, &initialized).await;
    for node in &world.nodes {
        node.store.cut.store(true, SeqCst);
    }
    let answer = world.nodes[0].seal(tenant).seal().await.unwrap_err();
    assert!(matches!(answer, Error::Unavailable(_)));
    let text = answer.to_string();
    assert!(
        text.contains("sealed on 3 of 3 nodes, not yet durable"),
        "{text}"
    );
    for node in &world.nodes {
        assert!(!node.is_open(tenant));
    }
    for place in 0..3 {
        world.kill(place);
    }
    // Only the first comes back, with the store; nobody gave it keys.
    world.restart(0).await;
    let first = world.nodes[0].give(tenant, &initialized, 0).await.unwrap();
    assert_eq!(first.progress, 1);
    let node = &world.nodes[0];
    for index in 1..3 {
        node.give(tenant, &initialized, index).await.unwrap();
    }
    let opened = node.tenants.by_id(tenant).unwrap().opened().unwrap();
    assert_eq!(opened.tenant.view().unsealed().epoch(), SealEpoch(2));
}

#[actix::test]
async fn a_seal_that_the_store_contradicts_is_counted_and_not_believed() {
    let world = World::of(2).await;
    let (tenant, initialized) = world.addon("a").await;
    world.unseal(tenant, &initialized).await;
    let lie = |through| {
        facts::sealed(&Order {
            tenant,
            incarnation: Incarnation::default(),
            through: SealEpoch(through),
        })
        .unwrap()
    };
    world.nodes[0].cluster.publish(lie(7)).unwrap();
    let counters = world.nodes[1].tenants.seal_counters();
    eventually("it is counted", || counters.contradicted.get() == 1).await;
    assert!(world.nodes[1].is_open(tenant));

    world.nodes[1].store.cut.store(true, SeqCst);
    world.nodes[0].cluster.publish(lie(8)).unwrap();
    eventually("closed: the store does not say otherwise", || {
        !world.nodes[1].is_open(tenant)
    })
    .await;
    assert!(world.nodes[0].is_open(tenant));
}

#[actix::test]
async fn facts_that_mean_nothing_stop_nobody() {
    let world = World::of(2).await;
    let (tenant, initialized) = world.addon("a").await;
    let strange = Fact {
        key: FactKey {
            tenant: Tenant(*tenant.as_bytes()),
            name: FactName::new(b"\x01\x02\x09strange").unwrap(),
        },
        version: 1,
        value: FactValue::new(b"?").unwrap(),
        life: Duration::from_secs(60),
    };
    world.nodes[0].cluster.publish(strange).unwrap();
    world.unseal(tenant, &initialized).await;
}

/// In every order of a seal and a last share at different nodes: whatever is open afterwards was opened by shares that
/// were given after the seal, so here nothing is.
#[actix::test]
async fn a_seal_wins_over_an_unseal_on_its_way() {
    let world = World::of(3).await;
    let (tenant, initialized) = world.addon("a").await;
    for round in 0..10 {
        world.unseal(tenant, &initialized).await;
        world.nodes[round % 3].seal(tenant).seal().await.unwrap();
        world.nodes[0].give(tenant, &initialized, 0).await.unwrap();
        world.nodes[1].give(tenant, &initialized, 1).await.unwrap();
        let (opener, sealer) = (&world.nodes[round % 3], &world.nodes[(round + 1) % 3]);
        let seal = sealer.seal(tenant);
        let (given, sealed) = tokio::join!(opener.give(tenant, &initialized, 2), async {
            tokio::time::sleep(Duration::from_micros(round as u64 * 300)).await;
            seal.seal().await
        });
        drop(given);
        sealed.unwrap();
        // What the share did before the seal is over; a share that came after it is one of three.
        world.all("sealed", |node| !node.is_open(tenant)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        for node in &world.nodes {
            assert!(!node.is_open(tenant), "round {round}");
        }
        // Whatever was left over does not disturb the next round.
        world.nodes[0].seal(tenant).reset().await.unwrap();
    }
}

#[actix::test]
async fn a_node_that_missed_a_seal_seals_what_was_opened_since() {
    let world = World::of(2).await;
    let (tenant, initialized) = world.addon("a").await;
    world.unseal(tenant, &initialized).await;
    // The first node hears and reads nothing, while at the other the add-on is sealed and opened again.
    world.silence();
    world.nodes[0].store.cut.store(true, SeqCst);
    world.nodes[1].seal(tenant).seal().await.unwrap();
    for index in 0..3 {
        let given = world.nodes[1].give(tenant, &initialized, index).await;
        given.unwrap();
    }
    assert!(world.nodes[1].is_open(tenant));
    world.nodes[0].store.cut.store(false, SeqCst);
    // Parted from the other, it must not say that all is sealed.
    assert!(world.nodes[0].seal(tenant).seal().await.is_err());
    world.heal();
    world.all_up().await;
    world.nodes[0].seal(tenant).seal().await.unwrap();
    world.all("sealed", |node| !node.is_open(tenant)).await;
}
