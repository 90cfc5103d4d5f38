//! [`Subnet`]: an address with a prefix length, as in `AllowedIPs` and `Address`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address and how many of its leading bits name the network. The host bits are kept, because an interface's
/// `Address` needs them; [`Subnet::contains`] looks past them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Subnet {
    address: IpAddr,
    prefix: u8,
}

/// A text that is no subnet.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no address or subnet such as 10.90.0.1/24 or fd00::1/64")]
pub struct SubnetError(String);

impl Subnet {
    /// The subnet of the one address.
    pub fn host(address: IpAddr) -> Self {
        let prefix = width(address);
        Self { address, prefix }
    }

    /// An address with `prefix` network bits; none when the address has fewer bits than that.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        (prefix <= width(address)).then_some(Self { address, prefix })
    }

    /// The address as written, host bits included.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits name the network.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether it holds a single address.
    pub fn is_host(&self) -> bool {
        self.prefix == width(self.address)
    }

    /// The same network with its host bits cleared, as routes want it.
    pub fn network(&self) -> Self {
        let address = match self.address {
            IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(
                address.to_bits() & mask_v4(self.prefix),
            )),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
                address.to_bits() & mask_v6(self.prefix),
            )),
        };
        Self { address, ..*self }
    }

    /// Whether `address` belongs to the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits()) & mask_v4(self.prefix) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()) & mask_v6(self.prefix) == 0
            }
            _ => false,
        }
    }

    /// Whether all of `other` belongs to the network.
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    /// A bare address is a subnet of one.
    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let refused = || SubnetError(text.chars().take(64).collect());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        match prefix {
            None => Ok(Self::host(address)),
            Some(prefix) => {
                let prefix = prefix.parse().map_err(|_| refused())?;
                Self::new(address, prefix).ok_or_else(refused)
            }
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn mask_v4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn mask_v6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().expect("a subnet")
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn contains_looks_at_the_network_bits_only() {
        assert!(subnet("10.90.0.1/24").contains(address("10.90.0.77")));
        assert!(!subnet("10.90.0.1/24").contains(address("10.90.1.1")));
        assert!(subnet("0.0.0.0/0").contains(address("192.0.2.1")));
        assert!(!subnet("0.0.0.0/0").contains(address("::1")));
        assert!(subnet("fd00::/64").contains(address("fd00::9")));
        assert!(!subnet("fd00::/64").contains(address("fd00:0:0:1::9")));
        assert!(subnet("::/0").contains(address("fd00::9")));
        assert!(subnet("10.0.0.1").contains(address("10.0.0.1")));
        assert!(!subnet("10.0.0.1").contains(address("10.0.0.0")));
    }

    #[test]
    fn covers_compares_networks() {
        assert!(subnet("10.90.0.1/24").covers(&subnet("10.90.0.7/32")));
        assert!(subnet("10.90.0.1/24").covers(&subnet("10.90.0.0/24")));
        assert!(!subnet("10.90.0.1/24").covers(&subnet("10.90.0.0/16")));
        assert!(!subnet("10.90.0.1/24").covers(&subnet("10.91.0.0/24")));
        assert!(!subnet("0.0.0.0/0").covers(&subnet("fd00::/8")));
    }

    #[test]
    fn network_clears_the_host_bits() {
        assert_eq!(subnet("10.90.7.9/16").network().to_string(), "10.90.0.0/16");
        assert_eq!(subnet("fd00::9/8").network().to_string(), "fd00::/8");
        assert_eq!(subnet("10.90.7.9/0").network().to_string(), "0.0.0.0/0");
    }

    #[test]
    fn texts_that_are_no_subnet_are_refused() {
        for text in [
            "",
            "/",
            "10.0.0.1/33",
            "10.0.0.1/",
            "10.0.0.1/x",
            "fd00::/129",
            "host/8",
            "1/8",
        ] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }
}
