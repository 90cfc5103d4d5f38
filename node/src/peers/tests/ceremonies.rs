//! Attempts that are shared by several nodes.

use futures_util::future::join_all;

use super::world::{TestNode, World};
use crate::seal::attempt::Purpose;
use crate::seal::state::Parameters;
use zeroize::Zeroizing;

#[actix::test]
async fn shares_given_to_each_node_in_turn_open_all_and_progress_is_the_same_everywhere() {
    let world = World::of(3).await;
    let (tenant, initialized) = world.addon("a").await;
    for index in 0..2 {
        let given = world.nodes[index]
            .give(tenant, &initialized, index)
            .await
            .unwrap();
        assert_eq!(given.progress, index + 1);
        for node in &world.nodes {
            assert_eq!(
                node.seal(tenant).status(),
                given,
                "acknowledged, so everywhere"
            );
        }
    }
    let last = world.nodes[2].give(tenant, &initialized, 2).await.unwrap();
    assert!(!last.sealed);
    world.all("open", |node| node.is_open(tenant)).await;
    world
        .all("the shares are gone", |node| {
            node.seal(tenant).status().progress == 0
        })
        .await;
}

#[actix::test]
async fn a_node_that_dies_in_mid_attempt_loses_nothing() {
    let mut world = World::of(3).await;
    let (tenant, initialized) = world.addon("a").await;
    world.nodes[0].give(tenant, &initialized, 0).await.unwrap();
    world.nodes[1].give(tenant, &initialized, 1).await.unwrap();
    world.kill(0);
    let last = world.nodes[2].give(tenant, &initialized, 2).await.unwrap();
    assert!(!last.sealed);
    super::world::eventually("open", || world.nodes[1].is_open(tenant)).await;
}

#[actix::test]
async fn a_node_that_starts_in_mid_attempt_gets_the_shares() {
    let mut world = World::with(3, false, None).await;
    let (tenant, initialized) = world.addon("a").await;
    world.nodes[0].give(tenant, &initialized, 0).await.unwrap();
    world.restart(2).await;
    world
        .all("one share", |node| node.seal(tenant).status().progress == 1)
        .await;
    world.nodes[2].give(tenant, &initialized, 1).await.unwrap();
    world.nodes[1].give(tenant, &initialized, 2).await.unwrap();
    world.all("open", |node| node.is_open(tenant)).await;
}

#[actix::test]
async fn a_reset_wipes_everywhere_and_a_wrong_share_is_refused_alone() {
    let world = World::of(3).await;
    let (tenant, initialized) = world.addon("a").await;
    let (_, strangers) = world.addon("b").await;
    let before = world.nodes[0].give(tenant, &initialized, 0).await.unwrap();
    assert!(world.nodes[1].give(tenant, &strangers, 1).await.is_err());
    assert_eq!(world.nodes[2].seal(tenant).status(), before);
    world.nodes[1].seal(tenant).reset().await.unwrap();
    for node in &world.nodes {
        assert_eq!(node.seal(tenant).status().progress, 0);
    }
    let after = world.nodes[2].give(tenant, &initialized, 0).await.unwrap();
    assert_eq!(after.progress, 1);
    assert_ne!(after.nonce, before.nonce);
}

#[actix::test]
async fn two_sides_of_a_partition_add_up_when_it_heals() {
    let world = World::of(3).await;
    let (tenant, initialized) = world.addon("a").await;
    world.isolate(2);
    world.nodes[0].give(tenant, &initialized, 0).await.unwrap();
    world.nodes[2].give(tenant, &initialized, 1).await.unwrap();
    assert_eq!(world.nodes[2].seal(tenant).status().progress, 1);
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    world.heal();
    world
        .all("both shares", |node| {
            node.seal(tenant).status().progress == 2
        })
        .await;
}

#[actix::test]
async fn what_is_begun_on_one_node_goes_on_at_another_and_ends_everywhere() {
    let world = World::of(2).await;
    let (tenant, initialized) = world.addon("a").await;
    world.unseal(tenant, &initialized).await;
    let parameters = Parameters::new(Zeroizing::new(b"5 of 7".to_vec())).unwrap();
    let purpose = Purpose::Rekey;
    let begun = world.nodes[0]
        .seal(tenant)
        .start_attempt(purpose, parameters)
        .await
        .unwrap();
    assert!(begun.nonce.is_some());
    assert_eq!(world.nodes[1].seal(tenant).progress(purpose), begun);
    let text = initialized.shares[0].to_hex();
    let source = "192.0.2.1".parse().unwrap();
    let seal = world.nodes[1].seal(tenant);
    let given = seal
        .give(purpose, text.expose(), begun.nonce, source)
        .await
        .unwrap();
    assert_eq!(given.progress.given, 1);
    assert_eq!(
        world.nodes[0].seal(tenant).progress(purpose),
        given.progress
    );
    world.nodes[0].seal(tenant).cancel(purpose).await.unwrap();
    assert_eq!(world.nodes[1].seal(tenant).progress(purpose).nonce, None);
}

#[actix::test]
async fn fifty_of_a_thousand_add_ons_do_not_mix() {
    let world = &World::of(3).await;
    for number in 0..950 {
        world.quiet_addon(&format!("q{number}")).await;
    }
    let mut addons = Vec::new();
    for number in 0..50 {
        addons.push(world.addon(&format!("a{number}")).await);
    }
    let give = |round: usize| {
        let given = addons
            .iter()
            .enumerate()
            .map(move |(number, (tenant, initialized))| {
                let node = &world.nodes[(number + round) % 3];
                node.give(*tenant, initialized, (number + round) % 5)
            });
        join_all(given)
    };
    for round in 0..2 {
        assert!(give(round).await.iter().all(Result::is_ok));
        for (tenant, _) in &addons {
            let shows = |node: &TestNode| node.seal(*tenant).status().progress == round + 1;
            world.all("the shares", shows).await;
        }
    }
    for (tenant, _) in addons.iter().step_by(5) {
        world.nodes[0].seal(*tenant).reset().await.unwrap();
        let shows = |node: &TestNode| node.seal(*tenant).status().progress == 0;
        world.all("no shares", shows).await;
    }
    assert!(give(2).await.iter().all(Result::is_ok));
    for (number, (tenant, _)) in addons.iter().enumerate() {
        if number % 5 > 0 {
            world.all("open", |node| node.is_open(*tenant)).await;
        } else {
            let shows = |node: &TestNode| node.seal(*tenant).status().progress == 1;
            world.all("one share", shows).await;
        }
    }
}
