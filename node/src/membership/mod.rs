//! [`Membership`]: this node's place among the nodes of its cluster, and the tunnels to them.
//!
//! Owns what operators are shown of it ([`Status`], [`cluster_metrics`]); who the nodes are, and whether they live, is
//! the business of the crates `conclave-cluster` and `conclave-wg`. Started in `app/cluster.rs`.

mod about;
mod metrics;
mod status;

use std::sync::Arc;

use conclave_cluster::ClusterHandle;
use conclave_wg::udp::UdpTransport;

pub use about::About;
pub use metrics::cluster_metrics;
pub use status::Status;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Membership {
    /// Speaks to the other nodes.
    pub cluster: ClusterHandle,
    /// Carries and encrypts it.
    pub tunnels: Arc<UdpTransport>,
}
