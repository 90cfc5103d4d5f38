//! The room that each kind of revocation has, and that none is lost.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::auth::biscuit::{Attenuation, Biscuits, OperatorKey, attenuate, mint_addon_token};
use crate::clock::Timestamp;
use crate::rng::OsRandom;
use crate::store::embedded::EmbeddedStore;
use crate::tenant::registry;

const ROOT: Shelf = Shelf {
    role: Role::Root,
    narrowed: false,
};
const USER: Shelf = Shelf {
    role: Role::User,
    narrowed: false,
};
const NARROWED_USER: Shelf = Shelf {
    role: Role::User,
    narrowed: true,
};

struct World {
    store: EmbeddedStore,
    tenant: TenantId,
    key: OperatorKey,
    node: Biscuits,
}

impl World {
    fn new() -> Self {
        let key = OperatorKey::generate(&OsRandom).unwrap();
        Self {
            store: EmbeddedStore::in_memory().unwrap(),
            tenant: TenantId::generate(&OsRandom),
            node: Biscuits::new(key.public()),
            key,
        }
    }

    fn token(&self, role: Role) -> String {
        let token = mint_addon_token(&self.key, &OsRandom, self.tenant, role, 1).unwrap();
        token.expose().clone()
    }

    fn narrowed(&self, token: &str) -> String {
        let hour = Attenuation {
            ttl: Some(Duration::from_secs(3600)),
            ..Attenuation::default()
        };
        let narrowed = attenuate(&OsRandom, token, &hour, Timestamp(0)).unwrap();
        narrowed.expose().clone()
    }

    fn parsed(&self, token: &str) -> Arc<VerifiedBiscuit> {
        self.node.parse(token).unwrap()
    }

    async fn revoke(&self, token: &str, by: By) -> Result<Pseudonym, Error> {
        revoke(&self.store, self.tenant, &self.parsed(token), by).await
    }

    async fn plant_count(&self, shelf: Shelf, count: u64) {
        transact(&self.store, async |transaction, _| {
            transaction.set(&shelf.count_key(self.tenant), &count.to_be_bytes());
            Ok(())
        })
        .await
        .unwrap();
    }

    async fn plant_rows(&self, shelf: Shelf, numbers: std::ops::Range<u64>) {
        transact(&self.store, async |transaction, _| {
            for number in numbers.clone() {
                let row = shelf.row_key(self.tenant, part(&id(number)));
                transaction.set(&row, b"");
            }
            Ok(())
        })
        .await
        .unwrap();
    }

    async fn renew(&self, revoked: &Revoked) {
        let snapshot = revoked.read(&self.store, self.tenant).await.unwrap();
        revoked.replace(snapshot, true);
    }
}

fn id(number: u64) -> RevocationId {
    let mut bytes = [0; 64];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    RevocationId::from_bytes(bytes)
}

fn is_full(result: &Result<Pseudonym, Error>) -> bool {
    matches!(result, Err(Error::Invalid { .. }))
}

#[actix::test]
async fn what_bearers_revoke_leaves_room_for_administrators() {
    let world = World::new();
    let token = world.token(Role::User);
    let narrowed = world.narrowed(&token);
    world.plant_count(NARROWED_USER, MAX_NARROWED - 1).await;
    world.revoke(&narrowed, By::Bearer).await.unwrap();
    let another = world.narrowed(&token);
    assert!(is_full(&world.revoke(&another, By::Bearer).await));
    // Once more changes nothing, and so needs no room.
    world.revoke(&narrowed, By::Bearer).await.unwrap();
    world.revoke(&another, By::Administrator).await.unwrap();
    let root = world.narrowed(&world.token(Role::Root));
    world.revoke(&root, By::Bearer).await.unwrap();
    world.revoke(&token, By::Bearer).await.unwrap();

    let revoked = Revoked::default();
    world.renew(&revoked).await;
    let third = world.narrowed(&token);
    assert!(revoked.covers(world.parsed(&third).revocation_ids().iter().map(part)));
    let other = world.token(Role::User);
    assert!(!revoked.covers(world.parsed(&other).revocation_ids().iter().map(part)));
}

#[actix::test]
async fn calls_at_once_do_not_get_past_the_limit() {
    let world = World::new();
    world.plant_count(USER, MAX_REVOKED - 3).await;
    let ids: Vec<_> = (0..8).map(id).collect();
    let calls = ids
        .iter()
        .map(|id| file(&world.store, world.tenant, USER, id));
    let results = futures_util::future::join_all(calls).await;
    assert_eq!(results.iter().filter(|result| is_full(result)).count(), 5);
    // The other role is not concerned.
    file(&world.store, world.tenant, ROOT, &id(99))
        .await
        .unwrap();
}

#[actix::test]
async fn more_rows_than_one_role_may_have_are_all_read() {
    let world = World::new();
    world.plant_rows(ROOT, 0..6000).await;
    world.plant_rows(USER, 6000..12_000).await;
    let revoked = Revoked::default();
    world.renew(&revoked).await;
    assert!((0..12_000).all(|number| revoked.covers(std::iter::once(part(&id(number))))));
    assert!(!revoked.covers(std::iter::once(part(&id(12_000)))));
}

#[actix::test]
async fn rows_that_cannot_be_let_nobody_in() {
    let world = World::new();
    let revoked = Revoked::default();
    for half in [0..12_000, 12_000..24_000] {
        world.plant_rows(ROOT, half).await;
    }
    world.renew(&revoked).await;
    assert!(!revoked.covers(std::iter::once(part(&id(50_000)))));
    world.plant_rows(ROOT, 24_000..24_001).await;
    world.renew(&revoked).await;
    assert!(revoked.covers(std::iter::once(part(&id(50_000)))));
    transact(&world.store, async |transaction, _| {
        clear(transaction, world.tenant, Role::Root);
        Ok(())
    })
    .await
    .unwrap();
    world.renew(&revoked).await;
    assert!(
        !revoked.covers(std::iter::once(part(&id(0)))),
        "rotating makes it good again"
    );
}

#[actix::test]
async fn what_is_noted_while_the_rows_are_read_is_kept() {
    let world = World::new();
    let revoked = Revoked::default();
    let snapshot = revoked.read(&world.store, world.tenant).await.unwrap();
    let noted = file(&world.store, world.tenant, USER, &id(1))
        .await
        .unwrap();
    revoked.note(noted);
    revoked.replace(snapshot, true);
    assert!(revoked.covers(std::iter::once(part(&id(1)))));
    // Rows without it, and no rotation known: the rotation that removed them will be told of.
    revoked.replace(
        Snapshot {
            parts: Some(HashSet::new()),
        },
        false,
    );
    assert!(revoked.covers(std::iter::once(part(&id(1)))));
}

#[actix::test]
async fn rotating_one_role_forgets_its_revocations_only() {
    let mut world = World::new();
    let addon = registry::create(&world.store, &OsRandom, Timestamp(0), "a", "o")
        .await
        .unwrap();
    world.tenant = addon.id;
    world.plant_count(USER, MAX_REVOKED).await;
    world.plant_rows(USER, 0..1).await;
    world.plant_rows(ROOT, 1..2).await;
    registry::rotate_tokens(&world.store, "a", false, true)
        .await
        .unwrap();
    let revoked = Revoked::default();
    world.renew(&revoked).await;
    assert!(
        !revoked.covers(std::iter::once(part(&id(0))))
            && revoked.covers(std::iter::once(part(&id(1))))
    );
    file(&world.store, world.tenant, USER, &id(2))
        .await
        .unwrap();
}

#[actix::test]
async fn rotating_both_roles_forgets_damaged_rows_too() {
    let mut world = World::new();
    let addon = registry::create(&world.store, &OsRandom, Timestamp(0), "a", "o")
        .await
        .unwrap();
    world.tenant = addon.id;
    let damaged = [Part::Name(Pseudonym([1; 16]))];
    let damaged = Key::row(Scope::Tenant(addon.id), Table::RevokedBiscuit, &damaged);
    transact(&world.store, async |transaction, _| {
        transaction.set(&damaged, b"");
        Ok(())
    })
    .await
    .unwrap();
    let revoked = Revoked::default();
    world.renew(&revoked).await;
    assert!(revoked.covers(std::iter::once(part(&id(0)))));
    registry::rotate_tokens(&world.store, "a", true, true)
        .await
        .unwrap();
    world.renew(&revoked).await;
    assert!(!revoked.covers(std::iter::once(part(&id(0)))));
}
