//! Who is alive, what each node says of itself, and direct messages to one peer.
//!
//! [`Cluster`] is the protocol: a pure state machine that [`state`] explains; [`actor`] runs it. Who belongs to the cluster
//! is a [`Roster`], which is configuration. Nodes tell each other three kinds of things: [`facts`] that spread until all
//! know them, [`hints`] that are sent once, and [`requests`] to one peer. The bytes are in [`wire`]; a
//! [transport](conclave_wg::transport) carries and encrypts them. With the feature `sim`, `sim` runs whole clusters in
//! virtual time.
//!
//! Nothing here knows what facts, hints and requests mean, and no secret is kept: a request's body is held until it is
//! answered, and wiped.

pub mod actor;
mod bounded;
mod budget;
mod counters;
mod event;
pub mod facts;
mod faults;
pub mod hints;
mod id;
mod peer;
mod pull;
mod random;
pub mod requests;
mod roster;
mod settings;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod skew;
pub mod state;
mod time;
mod view;
pub mod wire;

pub use actor::{ClusterHandle, News};
pub use bounded::{Body, Bounded, MAX_BODY_BYTES, TooLong};
pub use counters::Counters;
pub use event::{AskError, Effect, Event, Notice, RequestId, Ticket};
pub use facts::{Fact, FactKey, FactName, FactValue};
pub use hints::{Hint, HintContent};
pub use id::{BootId, ClusterId, NodeName, Tenant};
pub use requests::MAX_TIMEOUT;
pub use roster::{MAX_MEMBERS, Member, Roster, RosterError};
pub use settings::Settings;
pub use state::Cluster;
pub use time::{Moment, Time};
pub use view::{PeerView, View};
pub use wire::About;
