//! [`Reassembler`]: joins the fragments that one peer sends.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use super::MAX_MESSAGE_BYTES;
use super::header::Header;

/// How long a message may stay incomplete. Its packets are sent one right after the other, so this is generous.
pub(crate) const PARTIAL_TTL: Duration = Duration::from_secs(5);

/// How many incomplete messages of one peer are kept; more at once means that most of them have lost a packet.
pub(crate) const MAX_PARTIALS: usize = 16;

/// How many bytes of incomplete messages of one peer are kept.
pub(crate) const MAX_PARTIAL_BYTES: usize = 4 * MAX_MESSAGE_BYTES;

/// What happened to a fragment.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Joined {
    /// It is kept until the others are here.
    Waiting,
    /// It was the last one: the message.
    Message(Vec<u8>),
    /// It is no fragment, or contradicts another one of its message.
    Malformed,
}

/// The incomplete messages of one peer.
#[derive(Debug, Default)]
pub(crate) struct Reassembler {
    partials: BTreeMap<u64, Partial>,
    bytes: usize,
    lost: u64,
}

#[derive(Debug)]
struct Partial {
    header: Header,
    pieces: BTreeMap<u16, Vec<u8>>,
    bytes: usize,
    since: Duration,
}

impl Reassembler {
    /// Takes a fragment that arrived at `now`.
    pub fn accept(&mut self, fragment: &[u8], now: Duration) -> Joined {
        let Some((header, piece)) = Header::decode(fragment) else {
            return Joined::Malformed;
        };
        if header.count() == 1 {
            return Joined::Message(piece.to_vec());
        }
        self.expire(now);
        let partial = self.partials.entry(header.id).or_insert_with(|| Partial {
            header,
            pieces: BTreeMap::new(),
            bytes: 0,
            since: now,
        });
        if !partial.header.same_message(&header) {
            return Joined::Malformed;
        }
        if let Entry::Vacant(place) = partial.pieces.entry(header.index) {
            place.insert(piece.to_vec());
            partial.bytes += piece.len();
            self.bytes += piece.len();
        }
        if partial.pieces.len() == usize::from(header.count()) {
            return self
                .remove(header.id)
                .map_or(Joined::Waiting, Partial::join);
        }
        while self.partials.len() > MAX_PARTIALS || self.bytes > MAX_PARTIAL_BYTES {
            self.lose_oldest();
        }
        Joined::Waiting
    }

    /// Drops what is incomplete for too long.
    pub fn expire(&mut self, now: Duration) {
        let late = |partial: &Partial| now.saturating_sub(partial.since) > PARTIAL_TTL;
        while self.oldest().is_some_and(|(_, partial)| late(partial)) {
            self.lose_oldest();
        }
    }

    /// How many messages were dropped incomplete since this was last asked.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    fn oldest(&self) -> Option<(u64, &Partial)> {
        let oldest = self
            .partials
            .iter()
            .min_by_key(|(id, partial)| (partial.since, **id));
        oldest.map(|(id, partial)| (*id, partial))
    }

    fn lose_oldest(&mut self) {
        if let Some((id, _)) = self.oldest() {
            self.remove(id);
            self.lost += 1;
        }
    }

    fn remove(&mut self, id: u64) -> Option<Partial> {
        let partial = self.partials.remove(&id)?;
        self.bytes -= partial.bytes;
        Some(partial)
    }

    #[cfg(test)]
    pub fn held(&self) -> (usize, usize) {
        let bytes = self
            .partials
            .values()
            .flat_map(|partial| partial.pieces.values());
        (self.partials.len(), bytes.map(Vec::len).sum())
    }
}

impl Partial {
    fn join(self) -> Joined {
        let mut message = Vec::with_capacity(self.bytes);
        for piece in self.pieces.into_values() {
            message.extend_from_slice(&piece);
        }
        Joined::Message(message)
    }
}
