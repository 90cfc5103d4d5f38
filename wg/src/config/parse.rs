//! Reading a [`Config`].

use std::num::NonZeroU16;
use std::str::FromStr;

use super::Config;
use crate::device::Settings;
use crate::key::{KeyError, PresharedKey, PrivateKey, PublicKey};
use crate::peer::{Endpoint, EndpointError, NameError, Peer, PeerName};
use crate::subnet::{Subnet, SubnetError};

/// Longest text that is read: 1024 peers with a kilobyte each.
pub const MAX_CONFIG_BYTES: usize = 1024 * 1024;

/// What is wrong with a configuration, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ConfigError {
    /// Counted from 1; the first line of a section when something is missing in it.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong with a configuration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant says what it is in its message")]
pub enum Problem {
    #[error("the configuration is longer than 1 MiB")]
    TooLong,
    #[error("neither `[Interface]`, `[Peer]`, `Key = value`, nor a comment")]
    NoAssignment,
    #[error("an assignment before the first section")]
    NoSection,
    #[error("there is no section of that name; there are [Interface] and [Peer]")]
    UnknownSection,
    #[error("a second [Interface]")]
    SecondInterface,
    #[error("there is no [Interface]")]
    NoInterface,
    #[error(
        "`{0}` runs a command or changes more than the tunnel, which is not supported here; remove it"
    )]
    Unsupported(&'static str),
    #[error("that key does not exist in this section")]
    UnknownKey,
    #[error("`{0}` stands here twice")]
    Twice(&'static str),
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("{0}: {1}")]
    Key(&'static str, KeyError),
    #[error("{0}: {1}")]
    Subnet(&'static str, SubnetError),
    #[error("Endpoint: {0}")]
    Endpoint(#[from] EndpointError),
    #[error("Name: {0}")]
    Name(#[from] NameError),
    #[error("{0} must be a number from {1} to {2}")]
    Number(&'static str, u16, u16),
    #[error("AllowedIPs must hold the peer's own address inside the tunnel, such as 10.90.0.2/32")]
    NoHostAddress,
}

/// Keys of `wg-quick` that would do more than set up a tunnel.
const UNSUPPORTED: [&str; 8] = [
    "DNS",
    "Table",
    "FwMark",
    "SaveConfig",
    "PreUp",
    "PostUp",
    "PreDown",
    "PostDown",
];

#[derive(Default)]
struct InterfaceSection {
    line: usize,
    private_key: Option<PrivateKey>,
    listen_port: Option<u16>,
    addresses: Vec<Subnet>,
    mtu: Option<u16>,
}

#[derive(Default)]
struct PeerSection {
    line: usize,
    name: Option<PeerName>,
    public_key: Option<PublicKey>,
    preshared_key: Option<PresharedKey>,
    endpoint: Option<Endpoint>,
    allowed: Vec<Subnet>,
    keepalive: Option<Option<NonZeroU16>>,
}

enum Section {
    None,
    Interface,
    Peer(PeerSection),
}

impl Config {
    /// Reads a configuration. Keys and section names are not case-sensitive, as in WireGuard's own tools.
    ///
    /// # Errors
    /// A [`ConfigError`] for the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.len() > MAX_CONFIG_BYTES {
            return Err(ConfigError {
                line: 1,
                problem: Problem::TooLong,
            });
        }
        let mut reader = Reader {
            interface: None,
            peers: Vec::new(),
            section: Section::None,
        };
        for (number, line) in (1..).zip(text.lines()) {
            let read = reader.line(number, line.trim());
            read.map_err(|problem| ConfigError {
                line: number,
                problem,
            })?;
        }
        reader.finish()
    }
}

struct Reader {
    interface: Option<InterfaceSection>,
    peers: Vec<PeerSection>,
    section: Section,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), Problem> {
        if let Some(comment) = line.strip_prefix('#') {
            return self.comment(comment);
        }
        let code = line.split('#').next().unwrap_or_default().trim();
        if code.is_empty() {
            return Ok(());
        }
        if let Some(name) = code.strip_prefix('[') {
            let name = name.strip_suffix(']').ok_or(Problem::NoAssignment)?;
            return self.open(number, name.trim());
        }
        let (key, value) = code.split_once('=').ok_or(Problem::NoAssignment)?;
        let (key, value) = (key.trim(), value.trim());
        if let Some(key) = UNSUPPORTED
            .iter()
            .find(|name| name.eq_ignore_ascii_case(key))
        {
            return Err(Problem::Unsupported(key));
        }
        match (&mut self.section, &mut self.interface) {
            (Section::Peer(peer), _) => peer.assign(&key.to_ascii_lowercase(), value),
            (Section::Interface, Some(interface)) => {
                interface.assign(&key.to_ascii_lowercase(), value)
            }
            _ => Err(Problem::NoSection),
        }
    }

    /// A comment means nothing, unless it gives a peer its name.
    fn comment(&mut self, comment: &str) -> Result<(), Problem> {
        if let Section::Peer(peer) = &mut self.section
            && let Some((key, value)) = comment.split_once('=')
            && key.trim().eq_ignore_ascii_case("Name")
        {
            return set(&mut peer.name, "Name", value.trim().parse()?);
        }
        Ok(())
    }

    fn open(&mut self, line: usize, name: &str) -> Result<(), Problem> {
        self.close();
        if name.eq_ignore_ascii_case("Peer") {
            self.section = Section::Peer(PeerSection {
                line,
                ..PeerSection::default()
            });
            Ok(())
        } else if name.eq_ignore_ascii_case("Interface") {
            self.section = Section::Interface;
            match self.interface.replace(InterfaceSection {
                line,
                ..InterfaceSection::default()
            }) {
                None => Ok(()),
                Some(_) => Err(Problem::SecondInterface),
            }
        } else {
            Err(Problem::UnknownSection)
        }
    }

    fn close(&mut self) {
        if let Section::Peer(peer) = std::mem::replace(&mut self.section, Section::None) {
            self.peers.push(peer);
        }
    }

    fn finish(mut self) -> Result<Config, ConfigError> {
        self.close();
        let missing = |line, problem| ConfigError { line, problem };
        let interface = self
            .interface
            .ok_or_else(|| missing(1, Problem::NoInterface))?;
        let private_key = interface.private_key;
        Ok(Config {
            private_key: private_key
                .ok_or_else(|| missing(interface.line, Problem::Missing("PrivateKey")))?,
            listen_port: interface.listen_port,
            addresses: interface.addresses,
            mtu: interface.mtu,
            peers: self
                .peers
                .into_iter()
                .map(PeerSection::finish)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl InterfaceSection {
    fn assign(&mut self, key: &str, value: &str) -> Result<(), Problem> {
        match key {
            "privatekey" => {
                let key = value
                    .parse()
                    .map_err(|error| Problem::Key("PrivateKey", error))?;
                set(&mut self.private_key, "PrivateKey", key)
            }
            "listenport" => set(
                &mut self.listen_port,
                "ListenPort",
                number("ListenPort", value, 0, u16::MAX)?,
            ),
            "address" => subnets(&mut self.addresses, "Address", value),
            "mtu" => {
                let mtu = number("MTU", value, Settings::MIN_MTU, Settings::MAX_MTU)?;
                set(&mut self.mtu, "MTU", mtu)
            }
            _ => Err(Problem::UnknownKey),
        }
    }
}

impl PeerSection {
    fn assign(&mut self, key: &str, value: &str) -> Result<(), Problem> {
        match key {
            "publickey" => {
                let key = value
                    .parse()
                    .map_err(|error| Problem::Key("PublicKey", error))?;
                set(&mut self.public_key, "PublicKey", key)
            }
            "presharedkey" => {
                let key = value
                    .parse()
                    .map_err(|error| Problem::Key("PresharedKey", error))?;
                set(&mut self.preshared_key, "PresharedKey", key)
            }
            "endpoint" => set(&mut self.endpoint, "Endpoint", value.parse()?),
            "allowedips" => subnets(&mut self.allowed, "AllowedIPs", value),
            "persistentkeepalive" => {
                let value = if value.eq_ignore_ascii_case("off") {
                    "0"
                } else {
                    value
                };
                let seconds = number("PersistentKeepalive", value, 0, u16::MAX)?;
                set(
                    &mut self.keepalive,
                    "PersistentKeepalive",
                    NonZeroU16::new(seconds),
                )
            }
            _ => Err(Problem::UnknownKey),
        }
    }

    fn finish(self) -> Result<Peer, ConfigError> {
        let line = self.line;
        let missing = |problem| ConfigError { line, problem };
        let own = self.allowed.iter().position(Subnet::is_host);
        let own = own.ok_or_else(|| missing(Problem::NoHostAddress))?;
        let mut routes = self.allowed;
        let address = routes.remove(own).address();
        let name = match self.name {
            Some(name) => name,
            None => address
                .to_string()
                .parse()
                .map_err(|error| missing(Problem::Name(error)))?,
        };
        Ok(Peer {
            name,
            public_key: self
                .public_key
                .ok_or_else(|| missing(Problem::Missing("PublicKey")))?,
            preshared_key: self.preshared_key,
            endpoint: self.endpoint,
            address,
            routes,
            keepalive_seconds: self.keepalive.flatten(),
        })
    }
}

fn set<T>(place: &mut Option<T>, key: &'static str, value: T) -> Result<(), Problem> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Problem::Twice(key)),
    }
}

fn subnets(into: &mut Vec<Subnet>, key: &'static str, value: &str) -> Result<(), Problem> {
    for part in value.split(',') {
        into.push(
            part.trim()
                .parse()
                .map_err(|error| Problem::Subnet(key, error))?,
        );
    }
    Ok(())
}

fn number(key: &'static str, value: &str, least: u16, most: u16) -> Result<u16, Problem> {
    let number = u16::from_str(value)
        .ok()
        .filter(|number| (least..=most).contains(number));
    number.ok_or(Problem::Number(key, least, most))
}
