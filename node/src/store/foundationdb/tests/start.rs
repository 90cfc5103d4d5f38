//! What is said when the store cannot be opened.

use std::time::Duration;

use tokio::time::Instant;

use super::{FoundationDbOptions, FoundationDbStore, Layout, MEMORY, options, store_in};
use crate::error::Error;
use crate::store::foundationdb::FoundationDbTls;

async fn refusal(options: &FoundationDbOptions) -> String {
    match FoundationDbStore::open(options).await {
        Ok(_) => panic!("it was not refused"),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains('\n'), "{text}");
            text
        }
    }
}

#[tokio::test]
async fn a_missing_file_is_named_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let cluster_file = folder.path().join("fdb.cluster");
    let options = FoundationDbOptions {
        cluster_file: cluster_file.clone(),
        library_path: folder.path().join("libfdb_c.so"),
        ..FoundationDbOptions::default()
    };
    let why = refusal(&options).await;
    assert!(
        why.contains("cluster_file: ") && why.contains("No such file"),
        "{why}"
    );
    std::fs::write(cluster_file, "test:test@127.0.0.1:1\n").unwrap();
    let why = refusal(&options).await;
    assert!(why.contains("library_path: "), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs FoundationDB"]
async fn a_cluster_that_is_not_there_is_told_within_the_deadline() {
    let (_, ()) = store_in(&MEMORY, Layout::Memory).await;
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(MEMORY.get().unwrap());
    options.cluster_file = folder.path().join("fdb.cluster");
    options.request_timeout = Duration::from_millis(500);
    std::fs::write(&options.cluster_file, "test:test@127.0.0.1:1\n").unwrap();
    let began = Instant::now();
    let why = refusal(&options).await;
    assert!(
        why.contains("cluster_file") && why.contains("does not answer"),
        "{why}"
    );
    assert!(began.elapsed() < Duration::from_secs(3));
    std::fs::write(&options.cluster_file, "this is no cluster file").unwrap();
    let why = refusal(&options).await;
    assert!(why.contains("cluster_file"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs FoundationDB"]
async fn one_process_has_one_library_and_one_certificate() {
    let (_, ()) = store_in(&MEMORY, Layout::Memory).await;
    let usual = options(MEMORY.get().unwrap());
    let mut options = usual.clone();
    options.library_path = "other.so".into();
    let error = FoundationDbStore::open(&options).await.err();
    assert!(
        matches!(
            error,
            Some(Error::Invalid {
                field: Some("library_path"),
                ..
            })
        ),
        "{error:?}"
    );
    let mut options = usual;
    options.tls = Some(FoundationDbTls {
        certificate_file: "node.pem".into(),
        key_file: "node.key".into(),
        ca_file: None,
        verify_peers: None,
    });
    let error = FoundationDbStore::open(&options).await.err();
    assert!(
        matches!(
            error,
            Some(Error::Invalid {
                field: Some("tls_cert_file"),
                ..
            })
        ),
        "{error:?}"
    );
}
