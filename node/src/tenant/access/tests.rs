//! The cache against a store that other nodes change behind its back.

use std::time::Duration;

use super::*;
use crate::auth::acl::Operation;
use crate::auth::policies::MAX_TOKEN_BYTES;
use crate::barrier::testing::tenant_view;
use crate::engines::kv::plain::PlainEngine;
use crate::rng::OsRandom;
use crate::store::contract::doubt::{Doubtful, Fate};
use crate::tenant::mount::{EngineKind, Mount, Mounted};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

async fn insert(access: &AccessCache, text: &str, change: impl Fn(&mut TokenEntry)) -> Pseudonym {
    let mut entry = TokenEntry::root(format!("accessor of {text}"), NOW);
    entry.policies = vec!["a".to_owned(), "default".to_owned()];
    change(&mut entry);
    let token = access.pseudonym(text);
    access
        .view
        .run(async |rows| tree::insert(rows, token, &entry))
        .await
        .unwrap();
    token
}

async fn write_policy(access: &AccessCache, name: &str, text: &str) {
    access
        .view
        .run(async |rows| policies::write(rows, &name.parse()?, text).await)
        .await
        .unwrap();
}

async fn loaded(access: &AccessCache, token: Pseudonym) -> Arc<Grant> {
    access.load(token, NOW).await.unwrap().unwrap()
}

fn may_read(grant: &Grant, path: &str) -> bool {
    grant
        .acl
        .check(Operation::Read, path, None, None)
        .is_allowed()
}

#[actix::test]
async fn rules_are_compiled_once_for_all_tokens_that_share_them() {
    let access = AccessCache::new(tenant_view().await);
    write_policy(&access, "a", "path \"x\" { policy = \"read\" }").await;
    let (one, two) = (
        insert(&access, "one", |_| {}).await,
        insert(&access, "two", |_| {}).await,
    );
    let other = insert(&access, "other", |entry| {
        entry.policies = vec!["default".to_owned()];
    })
    .await;
    let first = loaded(&access, one).await;
    // A denial looks the token up again, past the cache.
    assert!(Arc::ptr_eq(&first.acl, &loaded(&access, one).await.acl));
    assert!(Arc::ptr_eq(&first.acl, &loaded(&access, two).await.acl));
    assert!(!Arc::ptr_eq(&first.acl, &loaded(&access, other).await.acl));
}

#[actix::test]
async fn a_lookup_sees_a_policy_that_changed_although_the_feed_said_nothing() {
    let access = AccessCache::new(tenant_view().await);
    write_policy(&access, "a", "path \"x\" { policy = \"read\" }").await;
    let token = insert(&access, "one", |_| {}).await;
    assert!(may_read(&*loaded(&access, token).await, "x"));
    write_policy(&access, "a", "path \"y\" { policy = \"read\" }").await;
    let grant = loaded(&access, token).await;
    assert!(!may_read(&grant, "x") && may_read(&grant, "y"));
    let cached = access.grant("one", NOW).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&cached, &grant), "and the old one is forgotten");
    access
        .view
        .run(async |rows| policies::delete(rows, &"a".parse()?).await)
        .await
        .unwrap();
    assert!(!may_read(&*loaded(&access, token).await, "y"));
}

#[actix::test]
async fn a_rule_ends_although_its_policy_is_the_same() {
    let access = AccessCache::new(tenant_view().await);
    let text = format!(
        "path \"x\" {{ policy = \"read\" expiration = {} }}",
        NOW.unix_seconds() + 10
    );
    write_policy(&access, "a", &text).await;
    let token = insert(&access, "one", |_| {}).await;
    assert!(may_read(&*loaded(&access, token).await, "x"));
    let later = NOW.plus(Duration::from_secs(10));
    let grant = access.load(token, later).await.unwrap().unwrap();
    assert!(!may_read(&grant, "x"));
}

#[actix::test]
async fn policies_too_long_together_grant_nothing() {
    let access = AccessCache::new(tenant_view().await);
    let half = format!(
        "path \"x\" {{ policy = \"read\" }}{}",
        "#".repeat(MAX_TOKEN_BYTES / 2 - 31)
    );
    for name in ["a", "b"] {
        write_policy(&access, name, &half).await;
    }
    let of = |names: &'static [&'static str]| {
        move |entry: &mut TokenEntry| {
            entry.policies = names.iter().map(|name| (*name).to_owned()).collect();
        }
    };
    let short = insert(&access, "short", of(&["a"])).await;
    let long = insert(&access, "long", of(&["a", "b", "default"])).await;
    assert!(may_read(&*loaded(&access, short).await, "x"));
    let grant = loaded(&access, long).await;
    assert!(!may_read(&grant, "x") && !may_read(&grant, "auth/token/lookup-self"));
}

#[actix::test]
async fn a_forgotten_token_takes_the_children_of_all_with_it() {
    let access = AccessCache::new(tenant_view().await);
    let parent = insert(&access, "parent", |_| {}).await;
    let child = insert(&access, "child", |entry| {
        entry.parent = Some(parent);
        entry.depth = 1;
    })
    .await;
    let stranger = insert(&access, "stranger", |_| {}).await;
    for token in [parent, child, stranger] {
        loaded(&access, token).await;
    }
    access.forget(parent);
    let cached = access.cached.read();
    let is_cached = [parent, child, stranger].map(|token| cached.grant(token).is_some());
    assert_eq!(is_cached, [false, false, true]);
}

#[actix::test]
async fn a_cached_child_ends_with_its_parent() {
    let access = AccessCache::new(tenant_view().await);
    let soon = NOW.plus(Duration::from_secs(10));
    let grandparent = insert(&access, "grandparent", |entry| entry.expires = Some(soon)).await;
    let parent = insert(&access, "parent", |entry| {
        entry.parent = Some(grandparent);
        entry.depth = 1;
    })
    .await;
    insert(&access, "child", |entry| {
        entry.parent = Some(parent);
        entry.depth = 2;
        entry.expires = Some(NOW.plus(Duration::from_secs(3600)));
    })
    .await;
    let just_before = Timestamp(soon.0 - 1);
    assert!(access.grant("child", NOW).await.unwrap().is_some());
    assert!(access.grant("child", just_before).await.unwrap().is_some());
    assert!(access.grant("child", soon).await.unwrap().is_none());
}

#[actix::test]
async fn mounts_from_before_a_change_leave_nothing_behind() {
    let view = tenant_view().await;
    let access = AccessCache::new(view.clone());
    let before = Arc::new(MountTable::new([]));
    let mount = Mount::new(&OsRandom, "kv/", EngineKind::Kv, BTreeMap::new());
    let engine: Arc<dyn Engine> = Arc::new(PlainEngine::kv(view.mount(mount.id), 1));
    let after = Arc::new(MountTable::new([Arc::new(Mounted { mount, engine })]));
    let may_list = |mounts: &Arc<MountTable<dyn Engine>>| {
        let acl = access.user(mounts).unwrap();
        acl.check(Operation::List, "kv/", None, None).is_allowed()
    };
    access.forget_all();
    // A request that loaded the mounts before the change comes to ask after it.
    assert!(!may_list(&before));
    assert!(may_list(&after));
    let (one, two) = (access.user(&after).unwrap(), access.user(&after).unwrap());
    assert!(Arc::ptr_eq(&one, &two));
}

#[actix::test]
async fn a_use_is_taken_once_although_the_commit_is_in_doubt() {
    let view = tenant_view().await;
    let store = Arc::new(Doubtful::new(Arc::clone(view.store())));
    let view = View::new(store.clone(), Arc::clone(view.unsealed()), view.scope());
    let access = AccessCache::new(view);
    let token = insert(&access, "limited", |entry| entry.uses_left = 3).await;
    let mut left = Vec::new();
    for fates in [
        &[Fate::DoneInDoubt][..],
        &[Fate::LostInDoubt],
        &[Fate::DoneInDoubt],
    ] {
        store.plan(fates);
        left.push(access.take_use(token, NOW).await.unwrap().uses_left);
    }
    assert_eq!(left, [2, 1, -1], "and the last one is granted");
    assert!(access.take_use(token, NOW).await.is_err());
}
