//! [`Peer`]: what is known of another node before a word was spoken with it.

use std::borrow::Borrow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;
use std::sync::Arc;

use crate::key::{PresharedKey, PublicKey};
use crate::subnet::Subnet;

/// Longest name of a peer in bytes; a label of a host name has at most 63.
pub const MAX_NAME_BYTES: usize = 63;

/// How a peer is called. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerName(Arc<str>);

/// A text that is no name for a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a peer's name has 1 to 63 of the characters a-z A-Z 0-9 . _ : -")]
pub struct NameError;

impl PeerName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PeerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        if (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(NameError)
        }
    }
}

impl Borrow<str> for PeerName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for PeerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where a peer is first looked for. Once it has been heard from, the place it was heard at counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// A fixed address.
    Address(SocketAddr),
    /// A host name, looked up again for as long as the peer cannot be reached.
    Name {
        /// The host.
        host: String,
        /// The UDP port.
        port: u16,
    },
}

/// A text that is no endpoint.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` is no endpoint such as 192.0.2.1:51820, [2001:db8::1]:51820 or node-1.example:51820"
)]
pub struct EndpointError(String);

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let refused = || EndpointError(text.chars().take(80).collect());
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let port = port.parse().map_err(|_| refused())?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        // 253 bytes is the longest host name that DNS can carry (RFC 1035, section 2.3.4).
        if (1..=253).contains(&host.len()) && host.bytes().all(allowed) {
            Ok(Self::Name {
                host: host.into(),
                port,
            })
        } else {
            Err(refused())
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(formatter, "{address}"),
            Self::Name { host, port } => write!(formatter, "{host}:{port}"),
        }
    }
}

/// Another node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// How it is called here.
    pub name: PeerName,
    /// Who it is.
    pub public_key: PublicKey,
    /// A secret shared with this peer alone.
    pub preshared_key: Option<PresharedKey>,
    /// Where to look for it first. Without one the peer must speak first.
    pub endpoint: Option<Endpoint>,
    /// Its address inside the tunnel: messages go there, and come from nowhere else.
    pub address: IpAddr,
    /// More addresses that it may send from and that are routed to it.
    pub routes: Vec<Subnet>,
    /// How often, in seconds, something is sent even when there is nothing to say, so that address translators keep the
    /// way open. With it the tunnel is also set up at once, and again whenever it broke.
    pub keepalive_seconds: Option<NonZeroU16>,
}

impl Peer {
    /// All that is routed to this peer, its own address first.
    pub fn allowed(&self) -> impl Iterator<Item = Subnet> + '_ {
        std::iter::once(Subnet::host(self.address)).chain(self.routes.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_plain() {
        for name in ["a", "node-1", "10.90.0.1", "fd00::1", &"x".repeat(63)] {
            assert!(name.parse::<PeerName>().is_ok(), "{name}");
        }
        for name in ["", "a b", "a\n", "n\u{f6}de", "a/b", &"x".repeat(64)] {
            assert!(name.parse::<PeerName>().is_err(), "{name}");
        }
    }

    #[test]
    fn endpoints_print_as_they_are_written() {
        for text in ["192.0.2.1:51820", "[2001:db8::1]:51820", "node-1.example:1"] {
            let endpoint: Endpoint = text.parse().expect("an endpoint");
            assert_eq!(endpoint.to_string(), text);
        }
        for text in [
            "",
            ":1",
            "host",
            "host:",
            "host:65536",
            "ho st:1",
            "::1:1",
            "[::1]",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
