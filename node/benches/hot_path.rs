//! What every request pays: one row through the barrier, and the check of a service token.
//! Repeat with `cargo bench -p conclave --bench hot_path`.
#![allow(
    clippy::expect_used,
    missing_docs,
    reason = "a benchmark that cannot start has nothing to say"
)]

use std::hint::black_box;
use std::sync::Arc;

use conclave::auth::acl::Operation;
use conclave::auth::policies;
use conclave::auth::token::entry::TokenEntry;
use conclave::auth::token::{id, tree};
use conclave::barrier::envelope::RowCipher;
use conclave::barrier::{Domain, Unsealed, View};
use conclave::clock::Timestamp;
use conclave::id::{SealEpoch, TenantId};
use conclave::rng::OsRandom;
use conclave::seal::keyring::Keyring;
use conclave::secret::Secret;
use conclave::store::embedded::EmbeddedStore;
use conclave::store::key::{Key, Scope, Table};
use conclave::store::{Store, transact};
use conclave::tenant::access::AccessCache;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const POLICY: &str = r#"
    path "secret/data/app/*"      { capabilities = ["create", "read", "update"] }
    path "secret/metadata/app/*"  { capabilities = ["list", "read"] }
    path "transit/encrypt/orders" { capabilities = ["update"] }
"#;

fn barrier(criterion: &mut Criterion) {
    let cipher = RowCipher::new(&Secret::new([7; 32]));
    let mut group = criterion.benchmark_group("barrier");
    for bytes in [256usize, 4096] {
        let plaintext = vec![1; bytes];
        let envelope = cipher
            .seal(&OsRandom, 1, b"address", &plaintext)
            .expect("it fits");
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(format!("seal {bytes} B"), |bencher| {
            bencher.iter(|| cipher.seal(&OsRandom, 1, b"address", black_box(&plaintext)));
        });
        group.bench_function(format!("open {bytes} B"), |bencher| {
            bencher.iter(|| cipher.open(b"address", black_box(&envelope)));
        });
    }
    group.finish();
}

/// An open add-on with one policy and one token that has it.
async fn token_of_an_open_addon() -> (AccessCache, String) {
    let tenant = TenantId::generate(&OsRandom);
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::in_memory().expect("a store"));
    let epoch_row = b"epoch".to_vec();
    transact(store.as_ref(), async |transaction, _| {
        transaction.set(
            &Key::row(Scope::Tenant(tenant), Table::Epoch, &[]),
            &epoch_row,
        );
        Ok(())
    })
    .await
    .expect("the epoch is written");
    let keyring = Keyring::generate(&OsRandom, Timestamp(0));
    let unsealed =
        Unsealed::new(tenant, SealEpoch(1), epoch_row, &keyring).expect("a keyring has a term");
    let view = View::new(store, Arc::new(unsealed), Scope::Tenant(tenant));
    let token = id::generate(&OsRandom, [1; 8]).expose().clone();
    let mut entry = TokenEntry::root(id::generate_accessor(&OsRandom), Timestamp(0));
    entry.policies = vec!["app".to_owned()];
    let name = "app".parse().expect("a policy name");
    view.run(async |rows| {
        policies::write(rows, &name, POLICY).await?;
        let pseudonym = rows.pseudonym(Domain::Token, token.as_bytes());
        tree::insert(rows, pseudonym, &entry)
    })
    .await
    .expect("the token is written");
    (AccessCache::new(view), token)
}

fn token_check(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let (access, token) = runtime.block_on(token_of_an_open_addon());
    let now = Timestamp(1);
    let mut group = criterion.benchmark_group("token check");
    group.bench_function("warm: grant and policy", |bencher| {
        bencher.iter(|| {
            let grant = runtime
                .block_on(access.grant(black_box(&token), now))
                .expect("the store answers")
                .expect("the token is valid");
            grant
                .acl
                .check(Operation::Update, "transit/encrypt/orders", None, None)
                .is_allowed()
        });
    });
    group.bench_function("cold: rows and compiling", |bencher| {
        bencher.iter(|| {
            access.forget_all();
            runtime.block_on(access.grant(black_box(&token), now))
        });
    });
    group.finish();
}

criterion_group!(benches, barrier, token_check);
criterion_main!(benches);
