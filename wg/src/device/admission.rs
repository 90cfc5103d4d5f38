//! [`Admission`]: how many handshakes a second one place may ask for.
//!
//! boringtun asks for cookies when there are many handshakes, which stops forged sources. This stops a source that does
//! answer with cookies: each handshake costs a Diffie-Hellman before it is known whose it is.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Handshakes that one place may ask for in a second: what the Linux implementation allows. Many nodes may share a place
/// behind an address translator, but each asks once in two minutes.
pub(super) const HANDSHAKES_PER_PLACE: u32 = 20;

/// How many places are remembered. Filled within a second only by a flood; newcomers then wait for the next one.
pub(super) const MAX_PLACES: usize = 4096;

/// How long counts are kept.
const WINDOW: Duration = Duration::from_secs(1);

/// Counts by place, for the current second.
#[derive(Debug, Default)]
pub(super) struct Admission {
    counts: HashMap<IpAddr, u32>,
    until: Duration,
}

impl Admission {
    /// Whether a handshake from `source` is worth looking at.
    pub fn admits(&mut self, source: IpAddr) -> bool {
        let place = place(source);
        if self.counts.len() >= MAX_PLACES && !self.counts.contains_key(&place) {
            return false;
        }
        let count = self.counts.entry(place).or_default();
        *count += 1;
        *count <= HANDSHAKES_PER_PLACE
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Duration) {
        if now >= self.until {
            self.until = now + WINDOW;
            self.counts.clear();
        }
    }
}

/// An IPv4 address, or the /64 that an IPv6 host can pick addresses from at will.
fn place(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_gets_its_share_and_no_more_until_the_next_second() {
        let mut admission = Admission::default();
        let host: IpAddr = "fd00::1".parse().expect("an address");
        let neighbour: IpAddr = "fd00::2".parse().expect("an address");
        let stranger: IpAddr = "192.0.2.1".parse().expect("an address");
        admission.tick(Duration::ZERO);
        let admitted = (0..50).filter(|_| admission.admits(host)).count();
        assert_eq!(admitted, HANDSHAKES_PER_PLACE as usize);
        assert!(!admission.admits(neighbour), "the same /64");
        assert!(admission.admits(stranger));
        admission.tick(Duration::from_millis(999));
        assert!(!admission.admits(host));
        admission.tick(Duration::from_secs(1));
        assert!(admission.admits(host));
    }

    #[test]
    fn memory_is_bounded() {
        let mut admission = Admission::default();
        let admitted = (0..10_000u32)
            .filter(|at| admission.admits(IpAddr::V4((*at).into())))
            .count();
        assert_eq!(admitted, MAX_PLACES);
        assert_eq!(admission.counts.len(), MAX_PLACES);
    }
}
