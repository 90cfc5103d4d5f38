//! Rekey, generate-root and new data keys on several nodes.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;

use super::world::{SOURCE, TestNode, World};
use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::id::TenantId;
use crate::rng::OsRandom;
use crate::seal::attempt::Purpose;
use crate::seal::generate_root::{generate_otp, parameters};
use crate::seal::rekey::{RekeyRequest, Rekeyed};
use crate::seal::verification::{self, Verified};
use crate::seal::{Given, Initialized, Quorum, Share, rotate};
use crate::store::key::Table;

async fn opened(nodes: usize) -> (World, TenantId, Initialized) {
    let world = World::of(nodes).await;
    let (tenant, initialized) = world.addon("a").await;
    world.unseal(tenant, &initialized).await;
    (world, tenant, initialized)
}

async fn begin(node: &TestNode, tenant: TenantId, shares: i64, require_verification: bool) {
    let request = RekeyRequest {
        quorum: Quorum::new(shares, 2).unwrap(),
        require_verification,
    };
    let parameters = request.parameters().unwrap();
    let seal = node.seal(tenant);
    let begun = seal.start_attempt(Purpose::Rekey, parameters).await;
    assert!(begun.unwrap().nonce.is_some());
}

async fn give(
    node: &TestNode,
    tenant: TenantId,
    purpose: Purpose,
    share: &Share,
) -> Result<Given, Error> {
    let seal = node.seal(tenant);
    let nonce = seal.progress(purpose).nonce;
    let text = share.to_hex();
    seal.give(purpose, text.expose(), nonce, SOURCE).await
}

async fn last(node: &TestNode, tenant: TenantId, purpose: Purpose, share: &Share) -> Vec<u8> {
    let given = give(node, tenant, purpose, share).await.unwrap();
    given.outcome.expect("the last share").to_vec()
}

async fn is_in_force(world: &World, tenant: TenantId, shares: &[Share]) {
    let count = u8::try_from(shares.len()).unwrap();
    world
        .all("the new shares are known", |node| {
            let seal = node.seal(tenant);
            seal.status().shares == count && seal.progress(Purpose::Rekey).nonce.is_none()
        })
        .await;
    world.nodes[0].seal(tenant).seal().await.unwrap();
    world.all("sealed", |node| !node.is_open(tenant)).await;
    for (share, node) in shares[..2].iter().zip(world.nodes.iter().rev()) {
        let text = share.to_hex();
        node.seal(tenant)
            .submit(text.expose(), SOURCE)
            .await
            .unwrap();
    }
    world.all("open", |node| node.is_open(tenant)).await;
}

#[actix::test]
async fn a_rekey_with_shares_given_to_each_node_in_turn_is_done_once_and_known_to_all() {
    let (world, tenant, initialized) = opened(3).await;
    begin(&world.nodes[0], tenant, 4, false).await;
    for index in [1, 2] {
        let node = &world.nodes[index];
        let given = give(node, tenant, Purpose::Rekey, &initialized.shares[index]);
        assert_eq!(given.await.unwrap().progress.given, index);
    }
    let node = &world.nodes[0];
    let outcome = last(node, tenant, Purpose::Rekey, &initialized.shares[0]).await;
    let rekeyed = Rekeyed::decode(&outcome.into()).unwrap();
    is_in_force(&world, tenant, &rekeyed.shares).await;
}

#[actix::test]
async fn a_node_that_dies_in_mid_rekey_loses_nothing() {
    let (mut world, tenant, initialized) = opened(3).await;
    let shares = &initialized.shares;
    begin(&world.nodes[2], tenant, 3, false).await;
    for share in &shares[..2] {
        give(&world.nodes[2], tenant, Purpose::Rekey, share)
            .await
            .unwrap();
    }
    world.kill(2);
    let outcome = last(&world.nodes[1], tenant, Purpose::Rekey, &shares[2]).await;
    let rekeyed = Rekeyed::decode(&outcome.into()).unwrap();
    world.restart(2).await;
    is_in_force(&world, tenant, &rekeyed.shares).await;
}

#[actix::test]
async fn of_two_rekeys_begun_apart_one_goes_on_and_takes_no_share_of_the_other() {
    let (world, tenant, initialized) = opened(2).await;
    world.isolate(1);
    begin(&world.nodes[0], tenant, 3, false).await;
    begin(&world.nodes[1], tenant, 4, false).await;
    for (node, share) in world.nodes.iter().zip(&initialized.shares) {
        give(node, tenant, Purpose::Rekey, share).await.unwrap();
    }
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    world.heal();
    let progress = |node: &TestNode| node.seal(tenant).progress(Purpose::Rekey);
    world
        .all("one of them", |node| {
            let (here, there) = (progress(node), progress(&world.nodes[0]));
            here == there && here.nonce.is_some() && here.given == 1
        })
        .await;
}

#[actix::test]
async fn new_shares_are_given_back_to_any_node() {
    let (world, tenant, initialized) = opened(3).await;
    begin(&world.nodes[0], tenant, 3, true).await;
    for share in &initialized.shares[..2] {
        give(&world.nodes[1], tenant, Purpose::Rekey, share)
            .await
            .unwrap();
    }
    let node = &world.nodes[2];
    let outcome = last(node, tenant, Purpose::Rekey, &initialized.shares[2]).await;
    let rekeyed = Rekeyed::decode(&outcome.into()).unwrap();
    let nonce = rekeyed.verification_nonce.unwrap().to_string();
    let back = async |node: &TestNode, share: &Share| {
        let opened = node.tenants.by_id(tenant).unwrap().opened().unwrap();
        verification::give(opened.tenant.view(), share, &nonce, SystemClock.now()).await
    };
    let noted = back(&world.nodes[0], &rekeyed.shares[0]).await.unwrap();
    assert!(matches!(noted, Some(Verified::Noted(_))));
    let complete = back(&world.nodes[1], &rekeyed.shares[2]).await.unwrap();
    assert_eq!(complete, Some(Verified::Complete));
    is_in_force(&world, tenant, &rekeyed.shares).await;
}

#[actix::test]
async fn a_root_token_made_at_one_node_is_good_at_another() {
    let (world, tenant, initialized) = opened(3).await;
    let otp = generate_otp(&OsRandom);
    let parameters = parameters(&otp, &OsRandom).unwrap();
    let purpose = Purpose::GenerateRoot;
    let seal = world.nodes[0].seal(tenant);
    seal.start_attempt(purpose, parameters).await.unwrap();
    for index in [0, 1] {
        let node = &world.nodes[index];
        give(node, tenant, purpose, &initialized.shares[index])
            .await
            .unwrap();
    }
    let encoded = last(&world.nodes[2], tenant, purpose, &initialized.shares[4]).await;
    let combined = BASE64_STANDARD_NO_PAD.decode(encoded);
    let token = combined.unwrap().into_iter().zip(otp.expose().bytes());
    let token: String = token.map(|(byte, pad)| char::from(byte ^ pad)).collect();
    for node in &world.nodes {
        let found = node.tenants.by_id(tenant).unwrap();
        let opened = found.opened().unwrap();
        let caller = found.token_principal(&opened, &token, SystemClock.now());
        assert!(caller.await.unwrap().is_some());
    }
    world
        .all("the attempt is over", |node| {
            let progress = node.seal(tenant).progress(purpose);
            (progress.nonce, progress.given) == (None, 0)
        })
        .await;
}

#[actix::test]
async fn new_data_keys_reach_nodes_that_are_open_and_nodes_that_are_handed_the_old_ones() {
    let (mut world, tenant, _) = opened(2).await;
    let view = |node: &TestNode| {
        let opened = node.tenants.by_id(tenant).unwrap().opened().unwrap();
        opened.tenant.view().clone()
    };
    let first = view(&world.nodes[0]);
    rotate::rotate(&first, &OsRandom, SystemClock.now())
        .await
        .unwrap();
    first
        .run(async |rows| rows.put(Table::KvPlain, &[], b"newest"))
        .await
        .unwrap();
    for restart in [false, true] {
        if restart {
            world.restart(1).await;
            world.all("open", |node| node.is_open(tenant)).await;
        }
        let second = view(&world.nodes[1]);
        let read = second.run(async |rows| rows.get(Table::KvPlain, &[]).await);
        assert_eq!(&*read.await.unwrap().unwrap(), b"newest");
        assert_eq!(rotate::key_status(&second).await.unwrap().number, 2);
    }
}
