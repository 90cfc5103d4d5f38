//! [`Peers`]: what a seal says to the other nodes' seals. The room [`peers`](crate::peers) carries it; a node without a
//! cluster is [`Alone`].

use futures_util::future::BoxFuture;

use super::attempt::{AttemptId, Incarnation};
use super::share::Share;
use super::state::Parameters;
use crate::id::{SealEpoch, TenantId};

/// An attempt as one node holds it. Told without shares, it says only that this is the attempt now.
#[derive(Debug)]
pub struct Offer {
    /// Which attempt.
    pub attempt: AttemptId,
    /// What it was begun with.
    pub parameters: Option<Parameters>,
    /// Shares of it.
    pub shares: Vec<Share>,
}

/// Tells that this is the attempt now, and that earlier ones are over.
pub fn end_at(attempt: AttemptId) -> Offer {
    Offer {
        attempt,
        parameters: None,
        shares: Vec::new(),
    }
}

/// An order of a user to seal, which the node that got it may not be able to carry out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// Which add-on.
    pub tenant: TenantId,
    /// In which life of the store.
    pub incarnation: Incarnation,
    /// All openings up to this epoch are to end.
    pub through: SealEpoch,
}

/// What came of an order at the other nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SealedElsewhere {
    /// How many other nodes the cluster has.
    pub nodes: usize,
    /// How many of them have answered that they are sealed.
    pub sealed: usize,
    /// Whether one of them says that the raised epoch is committed.
    pub durable: bool,
}

/// See the module. Nothing here fails: a peer that cannot be told now finds out from the store.
pub trait Peers: Send + Sync + 'static {
    /// Gives an attempt to all live peers. Begins at once; the future is done when the giver may be told.
    fn offer(&self, offer: Offer) -> BoxFuture<'static, ()>;

    /// Has all live peers seal. Begins at once.
    fn seal(&self, order: Order) -> BoxFuture<'static, SealedElsewhere>;

    /// Tells the cluster that a seal is committed.
    fn tell_sealed(&self, order: Order);

    /// The add-on is sealed here while it may be open elsewhere: asks for its keys when there is time.
    fn want_keys(&self, tenant: TenantId);

    /// Tells the cluster which attempt is on its way, and how many shares it has.
    fn tell_attempt(&self, attempt: AttemptId, given: usize);
}

/// No other nodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Peers for Alone {
    fn offer(&self, _: Offer) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn seal(&self, _: Order) -> BoxFuture<'static, SealedElsewhere> {
        Box::pin(async { SealedElsewhere::default() })
    }

    fn tell_sealed(&self, _: Order) {}

    fn want_keys(&self, _: TenantId) {}

    fn tell_attempt(&self, _: AttemptId, _: usize) {}
}
