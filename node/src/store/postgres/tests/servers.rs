//! Which servers the store accepts, and what it makes of one that was moved or went back in time.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::server::{Server, as_user};
use crate::error::Error;
use crate::store::contract::Room;
use crate::store::postgres::{ConnectionUrl, PostgresOptions, PostgresStore};
use crate::store::{Stamp, Store, StoreError, transact};

async fn open(options: &PostgresOptions) -> Result<PostgresStore, Error> {
    PostgresStore::open(options, Duration::from_millis(50)).await
}

async fn refusal(options: &PostgresOptions) -> String {
    match open(options).await {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error.to_string(),
    }
}

fn at(url: &str) -> PostgresOptions {
    PostgresOptions::new(ConnectionUrl::new(url.into()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_refused_until_it_is_the_primary() {
    let mut standby = Server::stopped();
    std::fs::write(standby.data().join("standby.signal"), "").unwrap();
    standby.run();
    let why = refusal(&standby.options()).await;
    assert!(why.contains("does not allow writes"), "{why}");

    let primary = Server::start();
    let (first, second) = (standby.folder.display(), primary.folder.display());
    let both = at(&format!(
        "host={first},{second} user=conclave dbname=postgres"
    ));
    let room = Room::new(Arc::new(open(&both).await.unwrap()));
    room.put(&[(1, b"on the primary")]).await;
    assert!(primary.sql("SELECT 1 FROM conclave.rows").await.is_some());

    standby.sql("SELECT pg_promote()").await.unwrap();
    open(&standby.options()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_verifies_the_server() {
    let mut server = Server::stopped();
    let data = server.data();
    for (name, host) in [("server", "localhost"), ("other", "localhost")] {
        let made = as_user("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
            ])
            .args(["-nodes", "-days", "2", "-subj", "/CN=test"])
            .args(["-addext", &format!("subjectAltName=DNS:{host}")])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(data.join(format!("{name}.key")))
            .arg("-out")
            .arg(data.join(format!("{name}.crt")))
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    std::fs::write(
        data.join("pg_hba.conf"),
        "local all all trust\nhostssl all all 127.0.0.1/32 trust\n",
    )
    .unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    server.run_with(&[
        "listen_addresses=127.0.0.1",
        &format!("port={port}"),
        "ssl=on",
        "ssl_cert_file=server.crt",
        "ssl_key_file=server.key",
    ]);

    let named = format!("postgres://conclave@localhost:{port}/postgres");
    let with_ca = |url: &str, name: &str| PostgresOptions {
        tls_ca_file: Some(data.join(format!("{name}.crt"))),
        ..at(url)
    };
    open(&with_ca(&named, "server")).await.unwrap();
    let why = refusal(&with_ca(&named, "other")).await;
    assert!(why.contains("certificate"), "{why}");
    // The certificate is not for this name.
    let by_number = format!("postgres://conclave@127.0.0.1:{port}/postgres");
    let why = refusal(&with_ca(&by_number, "server")).await;
    assert!(why.contains("certificate"), "{why}");
    // The server takes nobody without TLS, so the first connection had it.
    let why = refusal(&at(&named)).await;
    assert!(why.contains("pg_hba.conf"), "{why}");
}

#[tokio::test]
async fn options_that_cannot_be_used_are_refused_by_name() {
    let why = refusal(&at("postgres:/me:hunter2@there/x")).await;
    assert!(
        why.contains("postgres://user@host") && !why.contains("hunter2"),
        "{why}"
    );
    let why = refusal(&at("password=two words host=/tmp")).await;
    assert!(!why.contains("words"), "{why}");
    let why = refusal(&at("postgres://me@localhost/x?sslmode=verify-full")).await;
    assert!(why.contains("sslmode"), "{why}");
    let why = refusal(&at("postgres://me@db.example.org/x")).await;
    assert!(why.contains("another machine"), "{why}");
    let why = refusal(&at("postgres://me@localhost/x?sslmode=require")).await;
    assert!(why.contains("asks for TLS"), "{why}");
    let contradictory = PostgresOptions {
        tls_disable: true,
        tls_ca_file: Some("ca.pem".into()),
        ..at("host=/tmp")
    };
    assert!(refusal(&contradictory).await.contains("contradicts"));
    let passwordless = PostgresOptions {
        password_file: Some("missing".into()),
        ..at("host=/tmp user=me")
    };
    let why = refusal(&passwordless).await;
    assert!(why.contains("password_file missing"), "{why}");
}

/// As after an asynchronous failover: commits that were acknowledged and followed are gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lost_commits_is_refused() {
    let mut server = Server::start();
    let room = Room::new(Arc::new(server.store().await));
    room.put(&[(1, b"old")]).await;
    server.kill();
    let (data, copy) = (server.data(), server.folder.join("copy"));
    let copied = Command::new("cp").arg("-a").args([&data, &copy]).status();
    assert!(copied.unwrap().success());
    server.run();
    while room.begin().await.get(&room.row(1)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..100 {
        room.put(&[(1, b"new")]).await;
    }
    server.kill();
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(copy, data).unwrap();
    server.run();
    let mut reasons = String::new();
    for _ in 0..20 {
        match room.begin().await.get(&room.row(1)).await {
            Err(StoreError::Unavailable(why)) => reasons += &why,
            other => assert!(matches!(other, Err(StoreError::Conflict)), "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(reasons.contains("has lost commits"), "{reasons}");
}

/// As after a dump and restore, where the numbers of transactions begin again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stamps_grow_when_the_database_moves_to_another_server() {
    let server = Server::start();
    let room = Room::new(Arc::new(server.store().await));
    let before = room.put(&[(1, b"here")]).await;
    server.sql("UPDATE conclave.about SET server = '1'").await;
    let moved = Room::new(Arc::new(server.store().await));
    let (_, start) = transact(moved.store.as_ref(), async |_, _| Ok(()))
        .await
        .unwrap();
    let after = moved.put(&[(1, b"there")]).await;
    assert!(before < start && start < after);
    let again = Room::new(Arc::new(server.store().await));
    let later = again.put(&[(1, b"still there")]).await;
    assert_eq!(later.0[..2], after.0[..2]);
    assert!(after < later);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_is_made_once_and_a_newer_one_is_refused() {
    let server = Server::start();
    // Nodes that start together do not get into each other's way.
    let options = server.options();
    let opened = futures_util::future::join_all((0..6).map(|_| open(&options))).await;
    opened.into_iter().for_each(|store| drop(store.unwrap()));
    server.sql("UPDATE conclave.about SET version = 2").await;
    let why = refusal(&options).await;
    assert!(why.contains("newer Conclave"), "{why}");
}

/// A long transaction of somebody else on the same server neither hides changes nor holds them back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_seen_at_once_beside_a_long_transaction() {
    let server = Server::start();
    let store = server.store().await;
    let stranger = server.client().await;
    stranger
        .batch_execute("BEGIN; SELECT pg_current_xact_id()")
        .await
        .unwrap();
    let append = async |record: &[u8]| {
        let mut transaction = store.begin().await.unwrap();
        transaction.append_change(record);
        transaction.commit().await.unwrap()
    };
    let first = append(b"first").await;
    let (_, start) = transact(&store, async |_, _| Ok(())).await.unwrap();
    let second = append(b"second").await;
    let stamps = async |after: Stamp| -> Vec<Stamp> {
        let changes = store.changes_after(after, 10).await.unwrap();
        changes.into_iter().map(|change| change.stamp).collect()
    };
    assert_eq!(stamps(first).await, [second]);
    // The moment's stamp is a lower one than it could be, so the first change is told again; none is missed.
    assert_eq!(stamps(start).await, [first, second]);
    stranger.batch_execute("COMMIT").await.unwrap();
    let (_, start) = transact(&store, async |_, _| Ok(())).await.unwrap();
    assert!(start >= second);
}
