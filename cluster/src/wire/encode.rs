//! Packets to bytes.

use zeroize::Zeroizing;

use super::{HEADER_BYTES, Heartbeat, LIST_BYTES, Packet, fact_bytes, hint_bytes, kind};
use crate::bounded::Body;
use crate::facts::{BUCKETS, Digest, Fact};
use crate::hints::Hint;
use crate::id::ClusterId;
use crate::time::{to_ms, to_ns};

/// The packet in this version of the format. The bytes are wiped when dropped, since they may hold a [`Body`].
pub(crate) fn encode(packet: &Packet, cluster: &ClusterId, version: u8) -> Zeroizing<Vec<u8>> {
    // Room for all of it from the start: a buffer that grows leaves its content behind.
    let room = HEADER_BYTES + room_for(packet);
    let mut writer = Writer(Zeroizing::new(Vec::with_capacity(room)));
    let kind = match packet {
        Packet::Heartbeat(_) => kind::HEARTBEAT,
        Packet::Facts { .. } => kind::FACTS,
        Packet::Digest(_) => kind::DIGEST,
        Packet::Hints(_) => kind::HINTS,
        Packet::Request { .. } => kind::REQUEST,
        Packet::Reply { .. } => kind::REPLY,
    };
    writer.bytes(&[version, kind]);
    writer.bytes(&cluster.0);
    match packet {
        Packet::Heartbeat(heartbeat) => writer.heartbeat(heartbeat, version),
        Packet::Facts { end, facts } => {
            writer.bytes(&[*end as u8]);
            writer.list(facts, Writer::fact);
        }
        Packet::Digest(digest) => writer.digest(digest),
        Packet::Hints(hints) => {
            writer.bytes(&[0]);
            writer.list(hints, Writer::hint);
        }
        Packet::Request {
            id,
            remaining_ms,
            body,
        } => {
            writer.bytes(&id.to_be_bytes());
            writer.bytes(&remaining_ms.to_be_bytes());
            writer.body(body);
        }
        Packet::Reply { id, body } => {
            writer.bytes(&id.to_be_bytes());
            writer.bytes(&[u8::from(body.is_some())]);
            if let Some(body) = body {
                writer.body(body);
            }
        }
    }
    writer.0
}

/// At least as many bytes as the packet has behind its header.
fn room_for(packet: &Packet) -> usize {
    match packet {
        Packet::Heartbeat(heartbeat) => 80 + heartbeat.about.as_bytes().len(),
        Packet::Facts { facts, .. } => LIST_BYTES + facts.iter().map(fact_bytes).sum::<usize>(),
        Packet::Digest(_) => 8 * usize::from(BUCKETS),
        Packet::Hints(hints) => LIST_BYTES + hints.iter().map(hint_bytes).sum::<usize>(),
        Packet::Request { body, .. } => 14 + body.as_bytes().len(),
        Packet::Reply { body, .. } => 11 + body.as_ref().map_or(0, |body| body.as_bytes().len()),
    }
}

struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A length below 256 and as many bytes; the types in use hold no more.
    fn short(&mut self, bytes: &[u8]) {
        self.bytes(&[u8::try_from(bytes.len()).unwrap_or(u8::MAX)]);
        self.bytes(bytes);
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.bytes(&[u8::try_from(items.len()).unwrap_or(u8::MAX)]);
        for item in items {
            write(self, item);
        }
    }

    fn heartbeat(&mut self, heartbeat: &Heartbeat, version: u8) {
        self.bytes(&heartbeat.boot.0.to_be_bytes());
        self.bytes(&to_ns(heartbeat.mark).to_be_bytes());
        self.bytes(&heartbeat.wall_ns.to_be_bytes());
        self.bytes(&[heartbeat.newest_version, u8::from(heartbeat.wants_reply)]);
        self.bytes(&[u8::from(heartbeat.echo.is_some())]);
        if let Some(echo) = heartbeat.echo {
            self.bytes(&echo.boot.0.to_be_bytes());
            self.bytes(&to_ns(echo.mark).to_be_bytes());
            self.bytes(&echo.held_ns.to_be_bytes());
        }
        self.bytes(&heartbeat.facts_root.to_be_bytes());
        let about = heartbeat.about.as_bytes();
        self.bytes(&u16::try_from(about.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.bytes(about);
        if version >= 2 {
            self.bytes(&heartbeat.roster.unwrap_or(0).to_be_bytes());
        }
    }

    fn fact(&mut self, fact: &Fact) {
        self.bytes(&fact.key.tenant.0);
        self.short(fact.key.name.as_bytes());
        self.bytes(&fact.version.to_be_bytes());
        self.short(fact.value.as_bytes());
        self.bytes(&to_ms(fact.life).to_be_bytes());
    }

    fn digest(&mut self, digest: &Digest) {
        for bucket in digest.buckets() {
            self.bytes(&bucket.to_be_bytes());
        }
    }

    fn hint(&mut self, hint: &Hint) {
        self.bytes(&hint.tenant.0);
        self.short(hint.content.as_bytes());
    }

    fn body(&mut self, body: &Body) {
        let bytes = body.as_bytes();
        self.bytes(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.bytes(bytes);
    }
}
