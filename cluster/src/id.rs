//! Newtypes for everything that has an identity.

/// How a node is called: as its tunnel is.
pub use conclave_wg::peer::PeerName as NodeName;

/// Which cluster a node belongs to. Every packet carries it, so that two clusters that share keys by mistake do not mix.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClusterId(pub [u8; 16]);

/// One run of a node's process: a random number drawn at its start. A peer that shows another one has restarted and
/// remembers nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BootId(pub u64);

/// On whose behalf something is told. Opaque here; budgets are counted by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tenant(pub [u8; 16]);
