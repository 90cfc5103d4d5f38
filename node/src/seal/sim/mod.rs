//! The seal in virtual time, from a seed: the decisions that the node runs ([`Ceremony`](super::state::Ceremony),
//! [`Watch`](super::watch::Watch), [`lease`](super::lease), [`handover`](super::handover),
//! [`Acknowledgement`](super::acknowledge::Acknowledgement)), with the wire format of [`peers`](crate::peers), over the very
//! protocol of `conclave-cluster`, on a model of the store. What is not here is what the shell does in between: reading
//! rows, combining shares, and the gate.
//!
//! What is checked, always:
//!
//! - a node opens only with a threshold of shares that users gave for this very attempt at this epoch, or with the keys of
//!   a node that is open at the epoch that the store has (invariant 3);
//! - no request is served later than a lease after a seal was committed, whatever is cut (invariant 4);
//! - a share is acknowledged only when each peer has it, is gone, or has kept us waiting.
//!
//! And after peace: a seal that was ordered is done, shares at different nodes open all, a node that restarts opens
//! too, and one seal closes all.

mod node;
mod scenario;
mod tests;
mod truth;
