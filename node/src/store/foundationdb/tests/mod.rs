//! The contract on real FoundationDB clusters, and what happens when those fail. Where there is no FoundationDB, these
//! tests are ignored; `scripts/test` runs them where there is.

mod limits;
mod outages;
mod server;
mod sharing;
mod start;

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use self::server::{Cluster, Layout, library};
use super::{FoundationDbOptions, FoundationDbStore};
use crate::store::Store;
use crate::store::contract::Room;

/// How the store finds a cluster, in a subspace that no other test uses.
fn options(cluster: &Cluster) -> FoundationDbOptions {
    static SUBSPACES: AtomicU64 = AtomicU64::new(0);
    let number = SUBSPACES.fetch_add(1, Ordering::SeqCst);
    FoundationDbOptions {
        cluster_file: cluster.cluster_file(),
        library_path: library(),
        tenant_prefix: format!("test {number}"),
        ..FoundationDbOptions::default()
    }
}

async fn room(options: &FoundationDbOptions) -> Room {
    Room::new(Arc::new(FoundationDbStore::open(options).await.unwrap()))
}

/// A store in a cluster that all tests of this process use.
async fn store_in(cluster: &OnceLock<Cluster>, layout: Layout) -> (Arc<dyn Store>, ()) {
    let cluster = tokio::task::block_in_place(|| cluster.get_or_init(|| Cluster::start(layout)));
    let store = FoundationDbStore::open(&options(cluster)).await.unwrap();
    (Arc::new(store), ())
}

static MEMORY: OnceLock<Cluster> = OnceLock::new();

mod memory {
    use super::{Layout, MEMORY, store_in};

    crate::store::contract::suite!(
        #[ignore = "needs FoundationDB"]
        store_in(&MEMORY, Layout::Memory)
    );
}

mod ssd {
    use super::{Cluster, Layout, OnceLock, store_in};

    static SSD: OnceLock<Cluster> = OnceLock::new();

    crate::store::contract::suite!(
        #[ignore = "needs FoundationDB"]
        store_in(&SSD, Layout::Ssd)
    );
}

mod double {
    use super::{Cluster, Layout, OnceLock, store_in};

    static DOUBLE: OnceLock<Cluster> = OnceLock::new();

    crate::store::contract::suite!(
        #[ignore = "needs FoundationDB"]
        store_in(&DOUBLE, Layout::Double)
    );
}
