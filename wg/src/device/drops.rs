//! Why things are dropped, and how often.

use crate::tunnel::Refusal;

/// Why a datagram, packet or message went nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DropReason {
    /// No WireGuard message.
    Malformed,
    /// Proofs that do not hold.
    Forged,
    /// Seen before, or too late to tell.
    Replayed,
    /// Of a session or handshake that is over.
    Stale,
    /// A handshake by a key that is on no list.
    UnknownPeer,
    /// A handshake that must be repeated with a cookie, because there are many.
    UnderLoad,
    /// More handshakes from one place than any peer needs.
    TooManyHandshakes,
    /// A packet from an address that is not the peer's.
    WrongSource,
    /// Inside a tunnel, but no IP packet.
    NotIp,
    /// A packet that is no message, while there is no interface to hand it to.
    NoInterface,
    /// For the message port, but no fragment of a message.
    BadMessage,
    /// A message of which fragments did not arrive in time.
    Incomplete,
    /// To an address that no peer has, or to a peer that nobody knows how to reach.
    NoRoute,
    /// Longer than a datagram can be.
    Oversize,
    /// Nobody took the messages or packets out as fast as they came.
    Overflow,
}

impl DropReason {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 15] = [
        Self::Malformed,
        Self::Forged,
        Self::Replayed,
        Self::Stale,
        Self::UnknownPeer,
        Self::UnderLoad,
        Self::TooManyHandshakes,
        Self::WrongSource,
        Self::NotIp,
        Self::NoInterface,
        Self::BadMessage,
        Self::Incomplete,
        Self::NoRoute,
        Self::Oversize,
        Self::Overflow,
    ];

    /// Its name as a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Forged => "forged",
            Self::Replayed => "replayed",
            Self::Stale => "stale",
            Self::UnknownPeer => "unknown_peer",
            Self::UnderLoad => "under_load",
            Self::TooManyHandshakes => "too_many_handshakes",
            Self::WrongSource => "wrong_source",
            Self::NotIp => "not_ip",
            Self::NoInterface => "no_interface",
            Self::BadMessage => "bad_message",
            Self::Incomplete => "incomplete",
            Self::NoRoute => "no_route",
            Self::Oversize => "oversize",
            Self::Overflow => "overflow",
        }
    }
}

impl From<Refusal> for DropReason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed => Self::Malformed,
            Refusal::Forged => Self::Forged,
            Refusal::Replayed => Self::Replayed,
            Refusal::Stale => Self::Stale,
        }
    }
}

/// A counter for each reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Drops([u64; DropReason::ALL.len()]);

impl Drops {
    /// How often it happened.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// Each reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.into_iter().zip(self.0)
    }

    pub(crate) fn count(&mut self, reason: DropReason) {
        self.add(reason, 1);
    }

    pub(crate) fn add(&mut self, reason: DropReason, times: u64) {
        if let Some(counter) = self.0.get_mut(reason as usize) {
            *counter += times;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_counter() {
        let mut drops = Drops::default();
        for (times, reason) in (1..).zip(DropReason::ALL) {
            drops.add(reason, times);
        }
        for ((reason, count), expected) in drops.iter().zip(1..) {
            assert_eq!(
                (drops.of(reason), count),
                (expected, expected),
                "{}",
                reason.as_str()
            );
        }
    }
}
