//! What a warm transit request costs in the engine, from parsed parameters to the encoded reply, and with parsing.
//! Repeat with `cargo bench -p conclave --bench transit`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot start should stop and say why"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conclave::barrier::{Unsealed, View};
use conclave::clock::Timestamp;
use conclave::engines::transit::TransitEngine;
use conclave::engines::{Call, Engine, Reply, Verb};
use conclave::fields::Fields;
use conclave::id::{MountId, SealEpoch, TenantId};
use conclave::rng::OsRandom;
use conclave::seal::keyring::Keyring;
use conclave::store::embedded::EmbeddedStore;
use conclave::store::key::{Key, Scope, Table};
use conclave::store::{Store, transact};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt;

const NOW: Timestamp = Timestamp(1);
const MESSAGE_BYTES: usize = 256;

/// Each type, and what a user chooses beside it.
const KEYS: [(&str, &str); 5] = [
    ("xchacha20-poly1305", r#"{"type":"xchacha20-poly1305"}"#),
    ("chacha20-poly1305", r#"{"type":"chacha20-poly1305"}"#),
    ("aes256-gcm96", r#"{"type":"aes256-gcm96"}"#),
    ("aes128-gcm96", r#"{"type":"aes128-gcm96"}"#),
    (
        "convergent",
        r#"{"type":"xchacha20-poly1305","derived":true,"convergent_encryption":true}"#,
    ),
];

/// A transit mount of a fresh add-on in memory.
async fn mount() -> TransitEngine {
    let tenant = TenantId::generate(&OsRandom);
    let mount = MountId::generate(&OsRandom);
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
    let keyring = Keyring::generate(&OsRandom, NOW);
    let unsealed =
        Unsealed::new(tenant, SealEpoch(1), epoch_row, &keyring).expect("a keyring has a term");
    let view = View::new(store, Arc::new(unsealed), Scope::Mount(tenant, mount));
    TransitEngine::new(view, mount, &BTreeMap::new(), &actix::Arbiter::current())
        .expect("no options are wrong")
}

async fn write(engine: &TransitEngine, path: &str, fields: &Fields) -> Reply {
    let call = Call {
        verb: Verb::Write,
        path,
        fields,
        content_type: None,
        token: None,
        now: NOW,
    };
    engine.handle(&call).await.expect("it is done")
}

/// A warm request never waits, so that it ends at the first poll is part of what is measured.
fn warm(engine: &TransitEngine, path: &str, fields: &Fields) -> Reply {
    write(engine, path, fields)
        .now_or_never()
        .expect("a warm request does not wait")
}

fn parsed(body: &str) -> Fields {
    Fields::from_json(body.as_bytes()).expect("it parses")
}

fn transit(criterion: &mut Criterion) {
    let system = actix::System::new();
    let engine = system.block_on(async {
        let engine = mount().await;
        for (name, settings) in KEYS {
            write(&engine, &format!("keys/{name}"), &parsed(settings)).await;
        }
        engine
    });
    let plaintext = STANDARD.encode([7; MESSAGE_BYTES]);
    let mut group = criterion.benchmark_group("transit");
    group.throughput(Throughput::Bytes(MESSAGE_BYTES as u64));
    for (name, _) in KEYS {
        let (encrypt, decrypt) = (format!("encrypt/{name}"), format!("decrypt/{name}"));
        let body = format!(r#"{{"plaintext":"{plaintext}","context":"dGVuYW50"}}"#);
        let fields = parsed(&body);
        let reply = warm(&engine, &encrypt, &fields);
        let sealed = reply.data.expect("it has data");
        let sealed: serde_json::Value = serde_json::from_str(sealed.get()).expect("it is JSON");
        let sealed = parsed(&format!(
            r#"{{"ciphertext":{},"context":"dGVuYW50"}}"#,
            sealed["ciphertext"]
        ));
        group.bench_function(format!("encrypt {name}"), |bencher| {
            bencher.iter(|| warm(&engine, &encrypt, black_box(&fields)));
        });
        group.bench_function(format!("decrypt {name}"), |bencher| {
            bencher.iter(|| warm(&engine, &decrypt, black_box(&sealed)));
        });
        group.bench_function(format!("parse and encrypt {name}"), |bencher| {
            bencher.iter(|| warm(&engine, &encrypt, &parsed(black_box(&body))));
        });
    }
    group.finish();
}

criterion_group!(benches, transit);
criterion_main!(benches);
