//! How many shares one source may try at one add-on: a token bucket per source, asked before anything is decoded or
//! hashed and before the actor hears of it. A share that counted gives its try back, so an honest ceremony of any size
//! is never slowed down. The table is bounded; sources beyond it share one bucket, so a crowd of them gains nothing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::error::Error;

/// How many sources are told apart. At about 64 bytes each this is 64 KiB for an add-on under attack.
const MAX_SOURCES: usize = 1024;

/// The limits of one source.
#[derive(Clone, Copy, Debug)]
pub struct TryLimits {
    /// How many tries it may make at once.
    pub burst: u32,
    /// After how long it gets one back.
    pub refill: Duration,
}

/// Twenty wrong pastes in a row are a person having a bad day; after that, one every three seconds leaves the actor
/// idle. Guessing is no concern: a share has 256 bits.
impl Default for TryLimits {
    fn default() -> Self {
        Self {
            burst: 20,
            refill: Duration::from_secs(3),
        }
    }
}

/// The buckets of one add-on.
#[derive(Debug)]
pub struct TryLimiter {
    limits: TryLimits,
    buckets: HashMap<IpAddr, Bucket>,
    overflow: Bucket,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// When the bucket is full again, if nothing more is taken out: time since boot. In the past when it is full.
    full_at: Duration,
}

impl TryLimiter {
    /// Full buckets for everybody.
    pub fn new(limits: TryLimits) -> Self {
        Self {
            limits,
            buckets: HashMap::new(),
            overflow: Bucket {
                full_at: Duration::ZERO,
            },
        }
    }

    /// Takes a try of `source` at `now` (time since boot).
    ///
    /// # Errors
    /// [`Error::TooManyRequests`] when it has none left.
    pub fn take(&mut self, source: IpAddr, now: Duration) -> Result<(), Error> {
        let limits = self.limits;
        let bucket = self.bucket(source, now);
        let full_at = bucket.full_at.max(now) + limits.refill;
        let fits_until = now + limits.refill * limits.burst;
        if full_at > fits_until {
            let wait = full_at - fits_until;
            return Err(Error::TooManyRequests {
                retry_after_s: wait
                    .as_millis()
                    .div_ceil(1000)
                    .try_into()
                    .unwrap_or(u64::MAX),
            });
        }
        bucket.full_at = full_at;
        Ok(())
    }

    /// Gives a try back to `source`.
    pub fn give_back(&mut self, source: IpAddr, now: Duration) {
        let refill = self.limits.refill;
        let bucket = self.bucket(source, now);
        bucket.full_at = bucket.full_at.saturating_sub(refill);
    }

    fn bucket(&mut self, source: IpAddr, now: Duration) -> &mut Bucket {
        let source = network(source);
        if !self.buckets.contains_key(&source) && self.buckets.len() >= MAX_SOURCES {
            self.buckets.retain(|_, bucket| bucket.full_at > now);
            if self.buckets.len() >= MAX_SOURCES {
                return &mut self.overflow;
            }
        }
        self.buckets.entry(source).or_insert(Bucket {
            full_at: Duration::ZERO,
        })
    }
}

/// What counts as one source: an IPv4 address, or a whole IPv6 /64, which is the least that one customer gets.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn limiter() -> TryLimiter {
        TryLimiter::new(TryLimits {
            burst: 3,
            refill: Duration::from_secs(10),
        })
    }

    fn source(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(number))
    }

    fn retry_after(limiter: &mut TryLimiter, source: IpAddr, now: Duration) -> Option<u64> {
        match limiter.take(source, now) {
            Ok(()) => None,
            Err(Error::TooManyRequests { retry_after_s }) => Some(retry_after_s),
            Err(error) => panic!("{error}"),
        }
    }

    fn exhaust(limiter: &mut TryLimiter, source: IpAddr, now: Duration) {
        while limiter.take(source, now).is_ok() {}
    }

    #[test]
    fn a_source_has_its_burst_and_then_one_try_per_refill() {
        let mut limiter = limiter();
        for _ in 0..3 {
            assert_eq!(retry_after(&mut limiter, source(1), NOW), None);
        }
        assert_eq!(retry_after(&mut limiter, source(1), NOW), Some(10));
        let later = NOW + Duration::from_millis(9500);
        assert_eq!(retry_after(&mut limiter, source(1), later), Some(1));
        let refilled = NOW + Duration::from_secs(10);
        assert_eq!(retry_after(&mut limiter, source(1), refilled), None);
        assert_eq!(retry_after(&mut limiter, source(1), refilled), Some(10));
    }

    #[test]
    fn sources_do_not_disturb_each_other() {
        let mut limiter = limiter();
        exhaust(&mut limiter, source(1), NOW);
        assert_eq!(retry_after(&mut limiter, source(2), NOW), None);
    }

    #[test]
    fn a_try_given_back_can_be_made_again_but_is_not_saved_up() {
        let mut limiter = limiter();
        for _ in 0..50 {
            limiter.take(source(1), NOW).unwrap();
            limiter.give_back(source(1), NOW);
        }
        let mut tries = 0;
        while limiter.take(source(1), NOW).is_ok() {
            tries += 1;
        }
        assert_eq!(tries, 3);
    }

    #[test]
    fn a_crowd_shares_one_bucket_and_the_table_stays_bounded() {
        let mut limiter = limiter();
        let mut admitted = 0;
        for number in 0..3000 {
            admitted += usize::from(limiter.take(source(number), NOW).is_ok());
        }
        assert_eq!(admitted, MAX_SOURCES + 3);
        assert_eq!(limiter.buckets.len(), MAX_SOURCES);
        let refilled = NOW + Duration::from_secs(10);
        assert_eq!(retry_after(&mut limiter, source(5000), refilled), None);
        assert_eq!(limiter.buckets.len(), 1, "full buckets are forgotten");
    }

    #[test]
    fn an_ipv6_customer_and_a_mapped_ipv4_address_are_one_source_each() {
        let mut limiter = limiter();
        exhaust(&mut limiter, "2001:db8::1".parse().unwrap(), NOW);
        let neighbour = "2001:db8::ffff:1".parse().unwrap();
        assert_eq!(retry_after(&mut limiter, neighbour, NOW), Some(10));
        let other = "2001:db8:0:1::1".parse().unwrap();
        assert_eq!(retry_after(&mut limiter, other, NOW), None);

        exhaust(&mut limiter, "192.0.2.1".parse().unwrap(), NOW);
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(retry_after(&mut limiter, mapped, NOW), Some(10));
    }
}
