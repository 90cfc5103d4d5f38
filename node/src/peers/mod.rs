//! What nodes say to each other: shares, keys, orders to seal, and that something has changed.
//!
//! Three ways, by what is at stake ([`conclave_cluster`] carries all three between nodes of the roster only, encrypted):
//!
//! - *requests* to one peer ([`wire`]): shares, keys and orders. Secrets travel in no other way, are held no longer than
//!   the request is open, and are wiped;
//! - *facts* that spread until all know them ([`facts`]): up to where an add-on was sealed, and which attempt is on its
//!   way. No secrets, and never believed against the store;
//! - *hints*, sent once: that the change feed is worth reading now.
//!
//! A peer is of the roster, but may be old, restarted, partitioned, or rolled back. So everything that comes is bounded
//! and decoded strictly; shares are recognised by the add-on's own hashes; a seal is believed from the store; keys open
//! only what the store holds. What a peer can do at worst is what its key allows by design: ask for the keys of open
//! add-ons ([`handover`](crate::seal::handover)), and have add-ons closed.

pub(crate) mod facts;
mod keys;
mod port;
mod serve;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

use std::sync::Arc;

use actix::{Addr, ArbiterHandle};
use conclave_cluster::News;
use tokio::sync::mpsc;

use self::serve::Service;
use crate::audit::Audit;
use crate::clock::Clock;
use crate::tenant::Tenants;
use crate::tenant::feed::ChangeFeed;

pub use self::port::{PeersPort, Wanted};

/// What the other nodes' words are about.
pub struct Context {
    /// The add-ons.
    pub tenants: Arc<Tenants>,
    /// Follows the store.
    pub feed: Addr<ChangeFeed>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where keys that go from node to node are written down.
    pub audit: Arc<Audit>,
}

/// Begins to listen to the other nodes, in `arbiter`; ends with the cluster.
pub fn start(
    port: Arc<PeersPort>,
    wanted: Wanted,
    news: mpsc::Receiver<News>,
    context: Context,
    arbiter: &ArbiterHandle,
) {
    let service = Arc::new(Service::new(Arc::clone(&port), context));
    let serving = Arc::clone(&service);
    arbiter.spawn(async move { serving.run(news).await });
    arbiter.spawn(async move { keys::fetch(port, service, wanted).await });
}
