//! Facts: what all nodes are to know, merged by maximum.
//!
//! ```text
//! sealed through     name: 1, 1, incarnation             version: the epoch
//! the attempt now    name: 1, 2, purpose, incarnation    version: place in the order of attempts    value: which
//! ```
//!
//! The first number is this format's. A fact may be lost when a tenant tells too much or when it is older than its life;
//! the store, and the push to a peer that comes up, tell the same.

use std::time::Duration;

use conclave_cluster::{Fact, FactKey, FactName, FactValue, Tenant};

use crate::id::{SealEpoch, TenantId};
use crate::seal::attempt::{AttemptId, Incarnation, Purpose, Subject};
use crate::seal::peers::Order;

const FORMAT: u8 = 1;
const SEALED: u8 = 1;
const ATTEMPT: u8 = 2;

/// How long facts live. Longer than nodes are apart as a rule; whoever was away for longer reads the store.
const LIFE: Duration = Duration::from_secs(60 * 60);

/// What a fact says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// All openings up to there are over.
    Sealed(Order),
    /// This is the attempt now.
    Attempt(AttemptId),
}

/// The fact that a seal is committed.
pub fn sealed(order: &Order) -> Option<Fact> {
    let mut name = vec![FORMAT, SEALED];
    name.extend_from_slice(&order.incarnation.0);
    fact(order.tenant, &name, order.through.0, &[])
}

/// The fact that this is the attempt now, with `given` shares.
pub fn attempt(attempt: &AttemptId, given: usize) -> Option<Fact> {
    let mut name = vec![FORMAT, ATTEMPT, attempt.purpose as u8];
    name.extend_from_slice(&attempt.incarnation.0);
    let mut value = Vec::with_capacity(41);
    value.extend_from_slice(&attempt.generation.to_be_bytes());
    value.extend_from_slice(&attempt.epoch.0.to_be_bytes());
    value.extend_from_slice(&attempt.number.to_be_bytes());
    value.extend_from_slice(&attempt.subject.0);
    value.push(u8::try_from(given).unwrap_or(u8::MAX));
    fact(attempt.tenant, &name, place(attempt), &value)
}

/// The place of an attempt among all of its purpose: by epoch, generation and number, each as far as there is room. An
/// add-on that was sealed or rekeyed a million times has worse gossip, and nothing else.
fn place(attempt: &AttemptId) -> u64 {
    let part = |number: u64, bits: u32| number.min((1 << bits) - 1);
    part(attempt.epoch.0, 20) << 44 | part(attempt.generation, 20) << 24 | part(attempt.number, 24)
}

fn fact(tenant: TenantId, name: &[u8], version: u64, value: &[u8]) -> Option<Fact> {
    Some(Fact {
        key: FactKey {
            tenant: Tenant(*tenant.as_bytes()),
            name: FactName::new(name).ok()?,
        },
        version,
        value: FactValue::new(value).ok()?,
        life: LIFE,
    })
}

/// What a fact says; `None` when it is of another format or kind.
pub fn read(fact: &Fact) -> Option<Known> {
    let tenant = TenantId::from_bytes(fact.key.tenant.0);
    match fact.key.name.as_bytes() {
        [FORMAT, SEALED, incarnation @ ..] => Some(Known::Sealed(Order {
            tenant,
            incarnation: Incarnation(incarnation.try_into().ok()?),
            through: SealEpoch(fact.version),
        })),
        [FORMAT, ATTEMPT, purpose, incarnation @ ..] => {
            let (generation, rest) = fact.value.as_bytes().split_first_chunk()?;
            let (epoch, rest) = rest.split_first_chunk()?;
            let (number, rest) = rest.split_first_chunk()?;
            let (subject, rest) = rest.split_first_chunk()?;
            let [_given] = rest else { return None };
            Some(Known::Attempt(AttemptId {
                incarnation: Incarnation(incarnation.try_into().ok()?),
                tenant,
                purpose: Purpose::from_number(*purpose)?,
                generation: u64::from_be_bytes(*generation),
                epoch: SealEpoch(u64::from_be_bytes(*epoch)),
                number: u64::from_be_bytes(*number),
                subject: Subject(*subject),
            }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> AttemptId {
        AttemptId {
            incarnation: Incarnation([1; 16]),
            tenant: TenantId::from_bytes([2; 16]),
            purpose: Purpose::Rekey,
            generation: 3,
            epoch: SealEpoch(4),
            number: 5,
            subject: Subject([6; 16]),
        }
    }

    #[test]
    fn facts_survive_the_way() {
        let order = Order {
            tenant: id().tenant,
            incarnation: id().incarnation,
            through: SealEpoch(u64::MAX),
        };
        assert_eq!(read(&sealed(&order).unwrap()), Some(Known::Sealed(order)));
        assert_eq!(
            read(&attempt(&id(), 300).unwrap()),
            Some(Known::Attempt(id()))
        );
    }

    #[test]
    fn a_later_attempt_is_the_greater_fact() {
        let later = [
            AttemptId { number: 6, ..id() },
            AttemptId {
                generation: 4,
                number: 1,
                ..id()
            },
            AttemptId {
                epoch: SealEpoch(5),
                generation: 1,
                number: 1,
                ..id()
            },
        ];
        let greater = |attempt_id: &AttemptId, given| {
            let fact = attempt(attempt_id, given).unwrap();
            (fact.version, fact.value)
        };
        for later in later {
            assert!(greater(&later, 0) > greater(&id(), 2));
        }
        assert!(greater(&id(), 2) > greater(&id(), 1));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_left(name in prop::collection::vec(any::<u8>(), 0..48), value in prop::collection::vec(any::<u8>(), 0..64), kind in 0..4u8) {
            let mut name = name;
            if let [format, place, ..] = name.as_mut_slice() {
                (*format, *place) = (FORMAT, kind);
            }
            let strange = fact(id().tenant, &name, 7, &value).unwrap();
            if let Some(Known::Attempt(read)) = read(&strange) {
                prop_assert_eq!(&attempt(&read, usize::from(value[40])).unwrap().value, &strange.value);
            }
        }
    }
}
