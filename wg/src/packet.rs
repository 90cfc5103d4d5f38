//! The smallest IP and UDP: what carries a message inside the tunnel.
//!
//! WireGuard carries IP packets and nothing else, so a message travels as the payload of UDP between the overlay
//! addresses of two peers. Another implementation of WireGuard, with the kernel behind it, hands such a packet to an
//! ordinary UDP socket. Owns building and reading of those packets (RFC 791, 8200, 768). Refuses what it did not build
//! itself in essence: IPv4 fragments, IPv6 extension headers, other protocols, wrong lengths and wrong checksums.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const IPV4_HEADER_BYTES: usize = 20;
const IPV6_HEADER_BYTES: usize = 40;
const UDP_HEADER_BYTES: usize = 8;
const UDP: u8 = 17;
/// The usual time to live of a fresh packet.
const HOPS: u8 = 64;

/// A UDP datagram found in a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Datagram<'packet> {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub source_port: u16,
    pub destination_port: u16,
    pub payload: &'packet [u8],
}

/// How many bytes [`wrap`] puts before the payload.
pub(crate) fn overhead_bytes(address: IpAddr) -> usize {
    UDP_HEADER_BYTES
        + match address {
            IpAddr::V4(_) => IPV4_HEADER_BYTES,
            IpAddr::V6(_) => IPV6_HEADER_BYTES,
        }
}

/// A packet with `payload` from `port` of `source` to the same port of `destination`. None when the addresses are of
/// different families or the payload is too long for 16 bits of length.
pub(crate) fn wrap(
    source: IpAddr,
    destination: IpAddr,
    port: u16,
    payload: &[u8],
) -> Option<Vec<u8>> {
    let udp_length = u16::try_from(UDP_HEADER_BYTES + payload.len()).ok()?;
    let mut packet = Vec::with_capacity(overhead_bytes(source) + payload.len());
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            ipv4_header(&mut packet, source, destination, udp_length)?;
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            ipv6_header(&mut packet, source, destination, udp_length);
        }
        _ => return None,
    }
    let mut udp = [0; UDP_HEADER_BYTES];
    let fields = [port, port, udp_length];
    for (place, field) in udp.chunks_exact_mut(2).zip(fields) {
        place.copy_from_slice(&field.to_be_bytes());
    }
    let sum = pseudo_header(source, destination, udp_length) + words(&udp) + words(payload);
    // A checksum that computes to zero is sent as all ones (RFC 768), because zero says that there is none.
    let checksum = match fold(sum) {
        0 => u16::MAX,
        checksum => checksum,
    };
    let [.., high, low] = &mut udp;
    [*high, *low] = checksum.to_be_bytes();
    packet.extend_from_slice(&udp);
    packet.extend_from_slice(payload);
    Some(packet)
}

fn ipv4_header(
    packet: &mut Vec<u8>,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    udp_length: u16,
) -> Option<()> {
    let total = udp_length.checked_add(IPV4_HEADER_BYTES as u16)?;
    let [total_high, total_low] = total.to_be_bytes();
    let mut header = [0; IPV4_HEADER_BYTES];
    // Version and header length; total length; identification zero; "do not fragment"; hops; protocol; checksum zero.
    let front = [
        0x45, 0, total_high, total_low, 0, 0, 0x40, 0, HOPS, UDP, 0, 0,
    ];
    let fields = front
        .into_iter()
        .chain(source.octets())
        .chain(destination.octets());
    for (place, byte) in header.iter_mut().zip(fields) {
        *place = byte;
    }
    let checksum = fold(words(&header));
    if let Some(place) = header.get_mut(10..12) {
        place.copy_from_slice(&checksum.to_be_bytes());
    }
    packet.extend_from_slice(&header);
    Some(())
}

fn ipv6_header(packet: &mut Vec<u8>, source: Ipv6Addr, destination: Ipv6Addr, udp_length: u16) {
    packet.extend_from_slice(&[0x60, 0, 0, 0]);
    packet.extend_from_slice(&udp_length.to_be_bytes());
    packet.extend_from_slice(&[UDP, HOPS]);
    packet.extend_from_slice(&source.octets());
    packet.extend_from_slice(&destination.octets());
}

/// Source and destination of an IP packet. None when it is too short to have them.
pub(crate) fn addresses(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    match packet.first()? >> 4 {
        4 => {
            let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
            let destination: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            Some((source.into(), destination.into()))
        }
        6 => {
            let source: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
            let destination: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            Some((source.into(), destination.into()))
        }
        _ => None,
    }
}

/// The UDP datagram in an IP packet; none when the packet is anything else, or damaged.
pub(crate) fn unwrap(packet: &[u8]) -> Option<Datagram<'_>> {
    let (source, destination) = addresses(packet)?;
    let udp = match source {
        IpAddr::V4(_) => ipv4_body(packet)?,
        IpAddr::V6(_) => ipv6_body(packet)?,
    };
    let (header, payload) = udp.split_first_chunk::<UDP_HEADER_BYTES>()?;
    let [a, b, c, d, e, f, high, low] = *header;
    let length = u16::from_be_bytes([e, f]);
    if usize::from(length) != udp.len() {
        return None;
    }
    // Zero would say that there is no checksum, which IPv4 allows and nobody here does.
    let sum = pseudo_header(source, destination, length) + words(udp);
    if [high, low] == [0, 0] || fold(sum) != 0 {
        return None;
    }
    Some(Datagram {
        source,
        destination,
        source_port: u16::from_be_bytes([a, b]),
        destination_port: u16::from_be_bytes([c, d]),
        payload,
    })
}

fn ipv4_body(packet: &[u8]) -> Option<&[u8]> {
    let header_bytes = usize::from(packet.first()? & 0x0f) * 4;
    let (header, body) = packet.split_at_checked(header_bytes)?;
    let total: [u8; 2] = header.get(2..4)?.try_into().ok()?;
    let fragment: [u8; 2] = header.get(6..8)?.try_into().ok()?;
    // Neither "more fragments" nor an offset.
    let whole = u16::from_be_bytes(fragment) & 0x3fff == 0;
    let fits = usize::from(u16::from_be_bytes(total)) == packet.len();
    let valid = header_bytes >= IPV4_HEADER_BYTES && fold(words(header)) == 0;
    (whole && fits && valid && *header.get(9)? == UDP).then_some(body)
}

fn ipv6_body(packet: &[u8]) -> Option<&[u8]> {
    let (header, body) = packet.split_at_checked(IPV6_HEADER_BYTES)?;
    let length: [u8; 2] = header.get(4..6)?.try_into().ok()?;
    let fits = usize::from(u16::from_be_bytes(length)) == body.len();
    (fits && *header.get(6)? == UDP).then_some(body)
}

/// The addresses, protocol and length that a UDP checksum also covers.
fn pseudo_header(source: IpAddr, destination: IpAddr, udp_length: u16) -> u64 {
    let addresses = [source, destination]
        .into_iter()
        .map(|address| match address {
            IpAddr::V4(address) => words(&address.octets()),
            IpAddr::V6(address) => words(&address.octets()),
        });
    addresses.sum::<u64>() + u64::from(UDP) + u64::from(udp_length)
}

/// The sum of the 16-bit words; an odd byte counts as if a zero followed. 64 bits cannot overflow on 64 KiB.
fn words(bytes: &[u8]) -> u64 {
    let pairs = bytes.chunks_exact(2);
    let odd = pairs
        .remainder()
        .first()
        .map_or(0, |byte| u64::from(*byte) << 8);
    let sum = |sum: u64, pair: &[u8]| match pair {
        [high, low] => sum + u64::from(u16::from_be_bytes([*high, *low])),
        _ => sum,
    };
    pairs.fold(odd, sum)
}

/// The Internet checksum (RFC 1071) of a sum of words: zero when the checksum was part of it and all is well.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addresses_of(v6: bool) -> (IpAddr, IpAddr) {
        if v6 {
            (
                "fd00::1".parse().expect("v6"),
                "fd00::2".parse().expect("v6"),
            )
        } else {
            (
                "10.9.0.1".parse().expect("v4"),
                "10.9.0.2".parse().expect("v4"),
            )
        }
    }

    /// 127.0.0.1 port 4660 to itself, payload "wg!", its checksums worked out by another program.
    const KNOWN: [u8; 31] = [
        0x45, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0x3c, 0xcc, 0x7f, 0x00, 0x00,
        0x01, 0x7f, 0x00, 0x00, 0x01, 0x12, 0x34, 0x12, 0x34, 0x00, 0x0b, 0x45, 0x06, 0x77, 0x67,
        0x21,
    ];

    #[test]
    fn builds_a_known_packet() {
        let home = "127.0.0.1".parse().expect("v4");
        assert_eq!(wrap(home, home, 4660, b"wg!").expect("a packet"), KNOWN);
        assert_eq!(unwrap(&KNOWN).expect("a datagram").payload, b"wg!");
    }

    #[test]
    fn mixed_families_and_long_payloads_are_refused() {
        let (v4, v6) = (addresses_of(false).0, addresses_of(true).0);
        assert_eq!(wrap(v4, v6, 1, b""), None);
        assert_eq!(wrap(v4, v4, 1, &[0; 65_508]), None);
        assert_eq!(wrap(v6, v6, 1, &[0; 65_528]), None);
        assert!(wrap(v4, v4, 1, &[0; 65_507]).is_some());
    }

    proptest! {
        #[test]
        fn what_was_wrapped_unwraps(v6: bool, port: u16, payload in prop::collection::vec(any::<u8>(), 0..2000)) {
            let (source, destination) = addresses_of(v6);
            let packet = wrap(source, destination, port, &payload).expect("a packet");
            prop_assert_eq!(packet.len(), overhead_bytes(source) + payload.len());
            let expected = Datagram { source, destination, source_port: port, destination_port: port, payload: &payload };
            prop_assert_eq!(unwrap(&packet), Some(expected));
        }

        #[test]
        fn any_changed_byte_is_noticed(v6: bool, at: prop::sample::Index, change in 1u8.., payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let (source, destination) = addresses_of(v6);
            let mut packet = wrap(source, destination, 7, &payload).expect("a packet");
            let at = at.index(packet.len());
            // IPv6 has no checksum of its own: traffic class, flow label and hops may change on the way.
            prop_assume!(!(v6 && (at < 4 || at == 7)));
            packet[at] ^= change;
            prop_assert_eq!(unwrap(&packet), None);
        }

        #[test]
        fn noise_never_panics(mut noise in prop::collection::vec(any::<u8>(), 0..200), version in 0u8..8) {
            if let Some(first) = noise.first_mut() {
                *first = (*first & 0x0f) | (version << 4);
            }
            let _ = addresses(&noise);
            let _ = unwrap(&noise);
        }
    }
}
