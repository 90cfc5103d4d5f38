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

/// What came of an order at one node, which is sealed now in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Obeyed {
    /// It had keys, and the store does not know of the seal yet.
    Unfinished = 0,
    /// It had nothing to seal.
    Idle = 1,
    /// The raised epoch is committed.
    Committed = 2,
}

impl Obeyed {
    /// The one with this number on the wire.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Unfinished, Self::Idle, Self::Committed]
            .into_iter()
            .find(|obeyed| *obeyed as u8 == number)
    }
}

/// What came of an order at the other nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SealedElsewhere {
    /// How many other nodes the cluster has.
    pub nodes: usize,
    /// How many of them have answered that they are sealed.
    pub sealed: usize,
    /// How many of these have not told the store yet.
    pub unfinished: usize,
    /// Whether one of them says that the raised epoch is committed.
    pub durable: bool,
}

impl SealedElsewhere {
    /// Whether nobody can be open, and nothing is left to be done, though this node had no keys to see to it.
    pub fn is_settled(&self) -> bool {
        self.durable || (self.sealed == self.nodes && self.unfinished == 0)
    }
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
