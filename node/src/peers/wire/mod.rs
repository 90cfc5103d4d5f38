//! The bytes of requests and their answers:
//!
//! ```text
//! version (1) | kind (1) | fields, numbers big-endian, as `encode` writes and `decode` reads them
//! ```
//!
//! Decoding is strict: each message has one encoding, nothing may follow it, and lengths are bounded by what is
//! meant.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use conclave_cluster::Body;

use crate::seal::handover::{Ask, HandedOver, Refusal};
use crate::seal::peers::{Obeyed, Offer, Order};

/// Raised when an old node could mistake a new message.
const VERSION: u8 = 1;

/// What one node asks another.
#[derive(Debug)]
pub enum Question {
    /// Keep these shares too.
    Offer(Offer),
    /// Hand over the keys.
    Keys(Ask),
    /// Seal.
    Seal(Order),
}

/// What it answers.
#[derive(Debug)]
pub enum Answer {
    /// Whether the shares are kept.
    Held(bool),
    /// The keys.
    Keys(HandedOver),
    /// No keys.
    Refused(Refusal),
    /// It is sealed.
    Sealed(Obeyed),
    /// The question makes no sense here: it is of another version, or broken.
    NotUnderstood,
}

/// The bytes are no message of this version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a message that does not decode")]
pub struct Malformed;

impl Question {
    /// As it travels.
    ///
    /// # Errors
    /// [`Malformed`] when it has more than can be sent, which shares of one attempt cannot be.
    pub fn encode(&self) -> Result<Body, Malformed> {
        encode::question(self)
    }

    /// What these bytes ask.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(body: &Body) -> Result<Self, Malformed> {
        decode::question(body.as_bytes())
    }
}

impl Answer {
    /// As it travels.
    pub fn encode(&self) -> Body {
        encode::answer(self)
    }

    /// What these bytes answer.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(body: &Body) -> Result<Self, Malformed> {
        decode::answer(body.as_bytes())
    }
}
