//! What happens to a [ceremony](super::Ceremony), and what it asks for.

use super::parameters::Parameters;
use crate::error::Error;
use crate::id::SealEpoch;
use crate::seal::attempt::{AttemptId, Incarnation};
use crate::seal::config::SealConfig;
use crate::seal::share::Share;

/// What was read from the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Basis {
    /// The life of the store.
    pub incarnation: Incarnation,
    /// How often the add-on was sealed.
    pub epoch: SealEpoch,
    /// Its seal configuration.
    pub config: SealConfig,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The store was read; `None` when the add-on is not initialised.
    Configured(Option<Box<Basis>>),
    /// Somebody began an attempt that has to be begun: [`Purpose::is_always_open`](super::Purpose::is_always_open) says
    /// which.
    Started(Parameters),
    /// Somebody gave a share to this node.
    Submitted(Share),
    /// Another node told of its attempt. No shares: only that this is the attempt now.
    Heard {
        /// The other node's attempt.
        attempt: AttemptId,
        /// What it was begun with; nothing, when the node does not tell.
        parameters: Option<Parameters>,
        /// The shares it holds.
        shares: Vec<Share>,
    },
    /// Somebody gave up on the attempt.
    Reset,
    /// The attempt's shares were combined, and that will not be tried again.
    Finished(AttemptId),
    /// Time has passed.
    Ticked,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Tell this to whoever asks, and to the other nodes.
    Progress {
        /// The attempt now.
        attempt: AttemptId,
        /// How many shares it has.
        given: usize,
    },
    /// The share with this index was new here: give it to the other nodes ([`Ceremony::share`]).
    Replicate {
        /// The attempt it was given for.
        attempt: AttemptId,
        /// The share's index.
        index: u8,
    },
    /// There are enough shares: combine them ([`Ceremony::shares`]), then tell by [`Event::Finished`].
    Combine(AttemptId),
    /// Another node has seen a newer seal configuration or epoch: read the store.
    Reload,
    /// The event was refused; nothing that was held is lost.
    Refuse(Refusal),
}

/// Why an event was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There is nothing to give shares for.
    NotInitialized,
    /// This is not a share of the current generation.
    UnknownShare,
    /// The store says less than it said before: it was rolled back.
    RolledBack,
    /// The attempt was not begun.
    NotStarted,
    /// An attempt is on its way already.
    AlreadyStarted,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotInitialized => Self::bad_request("Vault is not initialized"),
            Refusal::UnknownShare => Self::invalid(
                "key",
                "invalid key: this is not one of this add-on's current key shares; the shares given before it still count",
            ),
            Refusal::NotStarted => Self::bad_request("no attempt is in progress; start one first"),
            Refusal::AlreadyStarted => {
                Self::bad_request("an attempt is already in progress; cancel it first")
            }
            Refusal::RolledBack => Self::Corrupt(
                "the store shows an older seal than before; was it rolled back?".into(),
            ),
        }
    }
}
