//! Splitting the unseal key into shares and putting it together again, with the key-share functions of the
//! `shamirsecretsharing` crate (bit-sliced GF(2^8) with the AES polynomial, in constant time).
//!
//! Shares carry no integrity: combining wrong ones gives a wrong key, not an error. So [`config`](super::config)
//! recognises each share by its hash first, and the combined key is proven by opening the root key. This module checks
//! counts and indices, and wipes every buffer that it owns. What the crate leaves on its stack is beyond its reach;
//! the polynomial's coefficients come from the crate's own generator, which is seeded by the operating system.

use shamirsecretsharing::hazmat;
use zeroize::Zeroizing;

use super::quorum::Quorum;
use super::share::{SHARE_BYTES, Share};
use crate::error::Error;
use crate::secret::Secret;

/// Splits `key`, which must be uniformly random.
///
/// # Errors
/// [`Error::Bug`] when the crate does not do what it promises.
pub fn split(key: &Secret<[u8; 32]>, quorum: Quorum) -> Result<Vec<Share>, Error> {
    let pieces = hazmat::create_keyshares(key.expose(), quorum.shares(), quorum.threshold())
        .map(Zeroizing::new)
        .map_err(|_| Error::Bug("the unseal key could not be split".into()))?;
    pieces
        .iter()
        .map(|piece| {
            <&[u8; SHARE_BYTES]>::try_from(piece.as_slice())
                .map_err(|_| Error::Bug("a share of the wrong length".into()))
                .and_then(Share::from_bytes)
        })
        .collect()
}

/// Combines shares with distinct indices. The result is the key if they are enough shares of it, and else some other
/// 32 bytes that must stay secret all the same.
///
/// # Errors
/// [`Error::Invalid`], as Vault words it, when there are no shares or two have the same index.
pub fn combine<'s>(shares: impl IntoIterator<Item = &'s Share>) -> Result<Secret<[u8; 32]>, Error> {
    let refuse = |why: &str| {
        Err(Error::bad_request(format!(
            "invalid key: failed to compute combined key: {why}"
        )))
    };
    let mut seen = [false; 256];
    let mut pieces = Zeroizing::new(Vec::new());
    for share in shares {
        match seen.get_mut(usize::from(share.index())) {
            Some(seen) if !*seen => *seen = true,
            _ => return refuse("duplicate part detected"),
        }
        pieces.push(share.expose().to_vec());
    }
    if pieces.is_empty() {
        return refuse("cannot combine zero parts");
    }
    let combined = hazmat::combine_keyshares(&pieces)
        .map(Zeroizing::new)
        .map_err(|_| Error::Bug("shares of the right length were refused".into()))?;
    <&[u8; 32]>::try_from(combined.as_slice())
        .map(|key| Secret::new(*key))
        .map_err(|_| Error::Bug("a combined key of the wrong length".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::OsRandom;

    fn quorum(shares: i64, threshold: i64) -> Quorum {
        Quorum::new(shares, threshold).unwrap()
    }

    fn share(index: u8, rest: [u8; 32]) -> Share {
        let mut bytes = [index; 33];
        bytes[1..].copy_from_slice(&rest);
        Share::from_bytes(&bytes).unwrap()
    }

    #[test]
    fn a_subset_opens_when_it_reaches_the_threshold_and_only_then() {
        let key = Secret::new(OsRandom.array());
        let shares = split(&key, quorum(5, 3)).unwrap();
        for subset in 1u32..32 {
            let chosen: Vec<_> = shares
                .iter()
                .filter(|share| subset >> (share.index() - 1) & 1 == 1)
                .collect();
            let enough = chosen.len() >= 3;
            let combined = combine(chosen).unwrap();
            assert_eq!(combined.expose() == key.expose(), enough, "{subset:05b}");
        }
    }

    #[test]
    fn the_order_of_shares_does_not_matter() {
        let key = Secret::new(OsRandom.array());
        let shares = split(&key, quorum(5, 3)).unwrap();
        let combined = combine([&shares[4], &shares[0], &shares[2]]).unwrap();
        assert_eq!(combined.expose(), key.expose());
    }

    #[test]
    fn the_extremes_work() {
        for (count, threshold) in [(1, 1), (2, 2), (255, 2), (255, 255)] {
            let key = Secret::new(OsRandom.array());
            let shares = split(&key, quorum(count, threshold)).unwrap();
            let indices: Vec<_> = shares
                .iter()
                .map(|share| i64::from(share.index()))
                .collect();
            assert!(indices.into_iter().eq(1..=count));
            let last = shares.iter().rev().take(threshold as usize);
            assert_eq!(combine(last).unwrap().expose(), key.expose());
        }
    }

    /// In GF(2^8) with the AES polynomial, for the line y = 0x53 + 0xca * x: 0x53 and 0xca are FIPS 197's example of a
    /// product (they multiply to 1), so at x = 0x53 the line is at 0x52. The others were worked out by hand:
    /// 0xca * 2 = 0x8f, 0xca * 3 = 0x45.
    #[test]
    fn known_field_arithmetic() {
        let at = |x: u8, y: u8| share(x, [y; 32]);
        let points = [
            at(0x01, 0x99),
            at(0x02, 0xdc),
            at(0x03, 0x16),
            at(0x53, 0x52),
        ];
        for first in 0..points.len() {
            for second in 0..first {
                let key = combine([&points[first], &points[second]]).unwrap();
                assert_eq!(key.expose(), &[0x53; 32]);
            }
        }
    }

    #[test]
    fn no_shares_and_equal_indices_are_refused() {
        let none: [&Share; 0] = [];
        assert_eq!(
            combine(none).unwrap_err().to_string(),
            "invalid key: failed to compute combined key: cannot combine zero parts"
        );
        let error = combine([&share(1, [1; 32]), &share(1, [2; 32])]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid key: failed to compute combined key: duplicate part detected"
        );
    }
}
