//! Bytes to packets. Whatever the bytes are, it neither panics nor keeps more than they hold.

use std::time::Duration;

use super::{Echo, End, Heartbeat, OLDEST_VERSION, Packet, kind};
use crate::bounded::{Body, Bounded};
use crate::facts::{BUCKETS, Digest, Fact, FactKey};
use crate::hints::Hint;
use crate::id::{BootId, ClusterId, Tenant};

/// Why a packet is not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unreadable {
    /// It is of a version of the format that this node does not know.
    Version,
    /// It is of another cluster.
    OtherCluster(ClusterId),
    /// It is no packet.
    Malformed,
}

/// The packet that the bytes hold, for a node of this cluster that reads versions up to `newest`.
pub(crate) fn decode(bytes: &[u8], cluster: &ClusterId, newest: u8) -> Result<Packet, Unreadable> {
    let mut reader = Reader(bytes);
    let version = reader.u8().ok_or(Unreadable::Malformed)?;
    if !(OLDEST_VERSION..=newest).contains(&version) {
        return Err(Unreadable::Version);
    }
    let kind = reader.u8().ok_or(Unreadable::Malformed)?;
    let sender = reader.array().map(ClusterId).ok_or(Unreadable::Malformed)?;
    if sender != *cluster {
        return Err(Unreadable::OtherCluster(sender));
    }
    if bytes.len() > kind::limit(kind) {
        return Err(Unreadable::Malformed);
    }
    reader
        .packet(kind, version)
        .filter(|_| reader.0.is_empty())
        .ok_or(Unreadable::Malformed)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn packet(&mut self, kind: u8, version: u8) -> Option<Packet> {
        Some(match kind {
            kind::HEARTBEAT => Packet::Heartbeat(self.heartbeat(version)?),
            kind::FACTS => Packet::Facts {
                end: self.end()?,
                facts: self.list(Self::fact)?,
            },
            kind::DIGEST => Packet::Digest(self.digest()?),
            kind::HINTS => {
                self.u8().filter(|reserved| *reserved == 0)?;
                Packet::Hints(self.list(Self::hint)?)
            }
            kind::REQUEST => Packet::Request {
                id: self.u64()?,
                remaining_ms: self.array().map(u32::from_be_bytes)?,
                body: self.body()?,
            },
            kind::REPLY => Packet::Reply {
                id: self.u64()?,
                body: if self.flag()? {
                    Some(self.body()?)
                } else {
                    None
                },
            },
            _ => return None,
        })
    }

    fn heartbeat(&mut self, version: u8) -> Option<Heartbeat> {
        Some(Heartbeat {
            boot: BootId(self.u64()?),
            mark: self.nanoseconds()?,
            wall_ns: self.array().map(i64::from_be_bytes)?,
            newest_version: self.u8()?,
            wants_reply: self.flag()?,
            echo: if self.flag()? {
                Some(Echo {
                    boot: BootId(self.u64()?),
                    mark: self.nanoseconds()?,
                    held_ns: self.u64()?,
                })
            } else {
                None
            },
            facts_root: self.u64()?,
            about: {
                let length = self.u16()?;
                self.bounded(usize::from(length))?
            },
            roster: if version >= 2 {
                Some(self.u64()?)
            } else {
                None
            },
        })
    }

    fn end(&mut self) -> Option<End> {
        match self.u8()? {
            0 => Some(End::No),
            kind::HEARTBEAT => Some(End::Complete),
            kind::FACTS => Some(End::Partial),
            _ => None,
        }
    }

    fn fact(&mut self) -> Option<Fact> {
        Some(Fact {
            key: FactKey {
                tenant: Tenant(self.array()?),
                name: self.short()?,
            },
            version: self.u64()?,
            value: self.short()?,
            life: Duration::from_millis(self.array().map(u32::from_be_bytes)?.into()),
        })
    }

    fn digest(&mut self) -> Option<Digest> {
        let mut buckets = [0; BUCKETS as usize];
        for bucket in &mut buckets {
            *bucket = self.u64()?;
        }
        Some(Digest::from_buckets(buckets))
    }

    fn hint(&mut self) -> Option<Hint> {
        Some(Hint {
            tenant: Tenant(self.array()?),
            content: self.short()?,
        })
    }

    fn body(&mut self) -> Option<Body> {
        let length = self.u16()?;
        Body::new(self.take(usize::from(length))?.to_vec()).ok()
    }

    /// What is collected is bounded by the bytes that are there, not by the count that they claim.
    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u8()?;
        (0..count).map(|_| read(self)).collect()
    }

    fn short<const MAX: usize>(&mut self) -> Option<Bounded<MAX>> {
        let length = self.u8()?;
        self.bounded(usize::from(length))
    }

    fn bounded<const MAX: usize>(&mut self, length: usize) -> Option<Bounded<MAX>> {
        Bounded::new(self.take(length)?).ok()
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            kind::HEARTBEAT => Some(true),
            _ => None,
        }
    }

    fn nanoseconds(&mut self) -> Option<Duration> {
        self.u64().map(Duration::from_nanos)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}
