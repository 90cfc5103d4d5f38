//! Nodes that restart while others are open.

use super::world::{World, eventually};

#[actix::test]
async fn a_node_that_restarts_opens_with_the_keys_of_another() {
    let mut world = World::of(3).await;
    let (tenant, initialized) = world.addon("a").await;
    world.unseal(tenant, &initialized).await;
    world.restart(2).await;
    assert!(!world.nodes[2].is_open(tenant));
    world.all("open", |node| node.is_open(tenant)).await;
    assert_eq!(world.nodes[2].tenants.seal_counters().taken_over.get(), 1);
    // It can do all that the others can: seal.
    world.nodes[2].seal(tenant).seal().await.unwrap();
    world.all("sealed", |node| !node.is_open(tenant)).await;
}

#[actix::test]
async fn switched_off_on_the_node_or_by_the_add_on_it_waits_for_shares() {
    let mut world = World::of(2).await;
    let (tenant, initialized) = world.addon("a").await;
    world.unseal(tenant, &initialized).await;
    let seal = world.nodes[0].seal(tenant);
    assert!(seal.handoff().await.unwrap());
    seal.switch_handoff(false).await.unwrap();
    assert!(!world.nodes[1].seal(tenant).handoff().await.unwrap());
    world.restart(1).await;
    eventually("it was refused", || {
        world.nodes[0]
            .tenants
            .seal_counters()
            .handover_refused
            .get()
            > 0
    })
    .await;
    assert!(!world.nodes[1].is_open(tenant));
    for index in 0..3 {
        world.nodes[1]
            .give(tenant, &initialized, index)
            .await
            .unwrap();
    }
    assert!(world.nodes[1].is_open(tenant));

    seal.switch_handoff(true).await.unwrap();
    world.handoff = false;
    world.restart(1).await;
    world.all_up().await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(!world.nodes[1].is_open(tenant));
}

#[actix::test]
async fn who_missed_the_last_share_asks_for_the_keys() {
    let world = World::of(3).await;
    let (tenant, initialized) = world.addon("a").await;
    world.isolate(2);
    for index in 0..3 {
        world.nodes[index % 2]
            .give(tenant, &initialized, index)
            .await
            .unwrap();
    }
    eventually("open", || {
        world.nodes[0].is_open(tenant) && world.nodes[1].is_open(tenant)
    })
    .await;
    assert!(!world.nodes[2].is_open(tenant));
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    world.heal();
    world.all("open", |node| node.is_open(tenant)).await;
}

#[actix::test]
async fn a_whole_cluster_that_restarts_is_sealed() {
    let mut world = World::of(2).await;
    let (tenant, initialized) = world.addon("a").await;
    world.unseal(tenant, &initialized).await;
    world.kill(0);
    world.kill(1);
    world.restart(0).await;
    world.restart(1).await;
    world.all_up().await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(!world.nodes[0].is_open(tenant) && !world.nodes[1].is_open(tenant));
}
