//! The four stores side by side: what a client of the kv and transit engines gets from each, without HTTP. Prints a
//! table. Repeat with `cargo bench -p conclave --bench stores`; `-- --quick` for a first impression.
//!
//! PostgreSQL and FoundationDB are started for it as in the tests, on this machine. Unlike there, PostgreSQL waits for
//! the disk before it acknowledges. A store whose servers are not installed is left out.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a benchmark takes the time, prints, and stops when it cannot start"
)]

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conclave::barrier::{Unsealed, View};
use conclave::clock::Timestamp;
use conclave::engines::kv::KvEngine;
use conclave::engines::transit::TransitEngine;
use conclave::engines::{Call, Engine, Verb};
use conclave::fields::Fields;
use conclave::id::{MountId, SealEpoch, TenantId};
use conclave::rng::OsRandom;
use conclave::seal::keyring::Keyring;
use conclave::store::embedded::{EmbeddedOptions, EmbeddedStore};
use conclave::store::foundationdb::{FoundationDbOptions, FoundationDbStore};
use conclave::store::key::{Key, Scope, Table};
use conclave::store::postgres::{ConnectionUrl, PostgresOptions, PostgresStore};
use conclave::store::{Store, transact};
use futures_util::future::join_all;

#[path = "../src/store/foundationdb/tests/server.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod foundationdb;
#[path = "../src/store/postgres/tests/server.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod postgres;

const NOW: Timestamp = Timestamp(1);
/// What is written and encrypted, in bytes.
const MESSAGE_BYTES: usize = 256;
/// How many secrets the reader chooses from.
const SECRETS: usize = 1000;

/// The mounts of a fresh add-on.
struct Mounts {
    kv: KvEngine,
    transit: TransitEngine,
}

/// How many operations were done in a second, and how long one of them took in the middle.
struct Rate {
    per_second: f64,
    median: Duration,
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let duration = Duration::from_millis(if quick { 500 } else { 3000 });
    println!("operations per second (and the median time of one), {MESSAGE_BYTES} bytes each");
    println!();
    println!(
        "| store | KV read | KV write, 1 client | 32 clients | 256 clients | transit encrypt |"
    );
    println!("|---|---|---|---|---|---|");
    let measure = |name: &str, store: Arc<dyn Store>| {
        let rates = actix::System::new().block_on(measured(store, duration));
        let cells: Vec<String> = rates.iter().map(Rate::to_string).collect();
        println!("| {name} | {} |", cells.join(" | "));
    };
    measure(
        "in memory",
        Arc::new(EmbeddedStore::in_memory().expect("a store")),
    );
    let folder = tempfile::tempdir().expect("a folder");
    let store = EmbeddedStore::open(folder.path(), EmbeddedOptions::default());
    measure("embedded", Arc::new(store.expect("a store")));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    if is_installed("psql".into()) {
        let mut server = postgres::Server::stopped();
        server.run_with(&["listen_addresses=", "fsync=on"]);
        let poll_interval = Duration::from_millis(250);
        let url = format!(
            "host={} user=conclave dbname=postgres",
            server.folder.display()
        );
        let options = PostgresOptions::new(ConnectionUrl::new(url));
        let opening = PostgresStore::open(&options, poll_interval);
        measure(
            "PostgreSQL",
            Arc::new(runtime.block_on(opening).expect("a store")),
        );
    }
    if is_installed(foundationdb::program("fdbserver")) {
        let cluster = foundationdb::Cluster::start(foundationdb::Layout::Ssd);
        let options = FoundationDbOptions {
            cluster_file: cluster.cluster_file(),
            library_path: foundationdb::library(),
            ..FoundationDbOptions::default()
        };
        let opening = FoundationDbStore::open(&options);
        measure(
            "FoundationDB",
            Arc::new(runtime.block_on(opening).expect("a store")),
        );
    }
}

fn is_installed(program: std::ffi::OsString) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// The cells of one row.
async fn measured(store: Arc<dyn Store>, duration: Duration) -> [Rate; 5] {
    let mounts = mounts(store).await;
    let value = "x".repeat(MESSAGE_BYTES);
    let secret = parsed(&format!(r#"{{"data":{{"value":"{value}"}}}}"#));
    let nothing = Fields::default();
    for number in 0..SECRETS {
        let path = format!("data/read/{number}");
        done(&mounts.kv, Verb::Write, &path, &secret).await;
    }
    let read = rate(1, duration, async |_, round| {
        let path = format!("data/read/{}", (round * 7919) % SECRETS);
        done(&mounts.kv, Verb::Read, &path, &nothing).await;
    })
    .await;
    let write = async |clients: usize| {
        rate(clients, duration, async |client, round| {
            let path = format!("data/write {clients}/{client}/{round}");
            done(&mounts.kv, Verb::Write, &path, &secret).await;
        })
        .await
    };
    let writes = (write(1).await, write(32).await, write(256).await);
    let plaintext = parsed(&format!(r#"{{"plaintext":"{value}"}}"#));
    done(&mounts.transit, Verb::Write, "keys/key", &Fields::default()).await;
    let encrypt = rate(1, duration, async |_, _| {
        done(&mounts.transit, Verb::Write, "encrypt/key", &plaintext).await;
    })
    .await;
    [read, writes.0, writes.1, writes.2, encrypt]
}

/// Lets clients repeat an operation until the time is over.
async fn rate(clients: usize, duration: Duration, operation: impl AsyncFn(usize, usize)) -> Rate {
    let began = Instant::now();
    let times = (0..clients).map(async |client| {
        let mut times = Vec::new();
        while began.elapsed() < duration {
            let began = Instant::now();
            operation(client, times.len()).await;
            times.push(began.elapsed());
        }
        times
    });
    let mut times: Vec<Duration> = join_all(times).await.into_iter().flatten().collect();
    let elapsed = began.elapsed();
    times.sort_unstable();
    Rate {
        per_second: times.len() as f64 / elapsed.as_secs_f64(),
        median: times[times.len() / 2],
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = self.median.as_secs_f64() * 1e6;
        let median = if micros < 1000.0 {
            format!("{micros:.0} µs")
        } else {
            format!("{:.1} ms", micros / 1000.0)
        };
        write!(formatter, "{:.0} ({median})", self.per_second)
    }
}

async fn mounts(store: Arc<dyn Store>) -> Mounts {
    let tenant = TenantId::generate(&OsRandom);
    let epoch_row = b"epoch".to_vec();
    transact(store.as_ref(), async |transaction, _| {
        let key = Key::row(Scope::Tenant(tenant), Table::Epoch, &[]);
        transaction.set(&key, &epoch_row);
        Ok(())
    })
    .await
    .expect("the epoch is written");
    let keyring = Keyring::generate(&OsRandom, NOW);
    let unsealed = Unsealed::new(tenant, SealEpoch(1), epoch_row, &keyring);
    let unsealed = Arc::new(unsealed.expect("a keyring has a term"));
    let view = |mount| {
        let scope = Scope::Mount(tenant, mount);
        View::new(Arc::clone(&store), Arc::clone(&unsealed), scope)
    };
    let (kv, transit) = (MountId::generate(&OsRandom), MountId::generate(&OsRandom));
    let keepers = actix::Arbiter::current();
    let options = BTreeMap::new();
    Mounts {
        kv: KvEngine::new(view(kv), &options).expect("no options are wrong"),
        transit: TransitEngine::new(view(transit), transit, &options, &keepers)
            .expect("no options are wrong"),
    }
}

async fn done(engine: &dyn Engine, verb: Verb, path: &str, fields: &Fields) {
    let call = Call {
        verb,
        path,
        fields,
        content_type: None,
        token: None,
        now: NOW,
    };
    engine.handle(&call).await.expect("it is done");
}

fn parsed(body: &str) -> Fields {
    Fields::from_json(body.as_bytes()).expect("it parses")
}
