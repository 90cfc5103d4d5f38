//! A checker of histories: whether what clients saw of some secrets is explained by one order of operations in which
//! each took effect at one moment between its request and its answer (linearizability, Herlihy and Wing 1990).
//!
//! Each secret of a versioned store tells the order of its writes itself, by their versions. So nothing has to be
//! searched: an order exists exactly if no operation that ended before another began has a later place than that other.
//! A write of unknown outcome may have happened at any time after it began, or never.

use std::collections::BTreeMap;

/// What a client did and saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    /// A write that was acknowledged as this version.
    Wrote { version: u64, value: u64 },
    /// A write whose outcome is not known.
    MayHaveWritten { value: u64 },
    /// A read: the version and value, or nothing yet (version 0).
    Read { version: u64, value: u64 },
    /// A check-and-set for this version that was refused.
    Refused { expected: u64 },
}

/// One operation on one secret, with when it was sent and when its answer had come, by one clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub secret: u64,
    pub began: u64,
    pub ended: u64,
    pub operation: Operation,
}

/// Why no order explains a history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Violation {
    /// Two writes were acknowledged as one version.
    SameVersion(Event, Event),
    /// A version was read that nobody wrote, or with another value.
    Invented(Event),
    /// A value that was seen before, or acknowledged, is behind what an operation saw that began only afterwards.
    WentBack { before: Event, after: Event },
    /// A version is missing that no write of unknown outcome explains.
    Lost { secret: u64, version: u64 },
    /// A check-and-set was refused although nothing else than what it expected can have been there.
    WronglyRefused(Event),
}

/// Where an operation stands in the order of its secret: after the write of this version and, for a read, before the next.
fn place(operation: &Operation) -> Option<(u64, bool)> {
    match operation {
        Operation::Wrote { version, .. } => Some((*version, false)),
        Operation::Read { version, .. } => Some((*version, true)),
        Operation::MayHaveWritten { .. } | Operation::Refused { .. } => None,
    }
}

/// Checks all secrets of a history.
pub fn check(history: &[Event]) -> Result<(), Violation> {
    let mut secrets: BTreeMap<u64, Vec<&Event>> = BTreeMap::new();
    for event in history {
        secrets.entry(event.secret).or_default().push(event);
    }
    secrets.values().try_for_each(|events| check_secret(events))
}

fn check_secret(events: &[&Event]) -> Result<(), Violation> {
    let written = versions(events)?;
    check_order(events)?;
    check_refusals(events, &written)
}

/// The value and the earliest beginning of each version that was seen.
fn versions(events: &[&Event]) -> Result<BTreeMap<u64, (u64, u64)>, Violation> {
    let mut acknowledged: BTreeMap<u64, &Event> = BTreeMap::new();
    let mut doubtful: Vec<&Event> = Vec::new();
    for event in events {
        match event.operation {
            Operation::Wrote { version, .. } => {
                if let Some(other) = acknowledged.insert(version, event) {
                    return Err(Violation::SameVersion(other.clone(), (*event).clone()));
                }
            }
            Operation::MayHaveWritten { .. } => doubtful.push(event),
            Operation::Read { .. } | Operation::Refused { .. } => {}
        }
    }
    let mut written: BTreeMap<u64, (u64, u64)> = acknowledged
        .iter()
        .filter_map(|(version, event)| match event.operation {
            Operation::Wrote { value, .. } => Some((*version, (value, event.began))),
            _ => None,
        })
        .collect();
    for event in events {
        let Operation::Read { version, value } = event.operation else {
            continue;
        };
        if version == 0 {
            continue;
        }
        let known = written.get(&version).copied().or_else(|| {
            let position = doubtful
                .iter()
                .position(|doubt| doubt.operation == Operation::MayHaveWritten { value })?;
            let doubt = doubtful.swap_remove(position);
            written.insert(version, (value, doubt.began));
            Some((value, doubt.began))
        });
        match known {
            Some((expected, began)) if expected == value && began < event.ended => {}
            _ => return Err(Violation::Invented((*event).clone())),
        }
    }
    // A version that nobody saw was one of the doubtful writes; each of those was at most one version.
    let highest = written.keys().next_back().copied().unwrap_or(0);
    let mut unexplained = doubtful.len();
    for version in 1..=highest {
        if written.contains_key(&version) {
            continue;
        }
        if unexplained == 0 {
            let secret = events.first().map_or(0, |event| event.secret);
            return Err(Violation::Lost { secret, version });
        }
        unexplained -= 1;
    }
    Ok(written)
}

/// No operation that ended before another began has a later place, and no two writes the same.
fn check_order(events: &[&Event]) -> Result<(), Violation> {
    let mut by_end: Vec<&Event> = events.to_vec();
    by_end.sort_by_key(|event| event.ended);
    let mut by_beginning: Vec<&Event> = events.to_vec();
    by_beginning.sort_by_key(|event| event.began);
    let mut furthest: Option<((u64, bool), &Event)> = None;
    let mut ended = by_end.into_iter().peekable();
    for event in by_beginning {
        while let Some(past) = ended.next_if(|past| past.ended < event.began) {
            if let Some(past_place) = place(&past.operation)
                && furthest.is_none_or(|(most, _)| most < past_place)
            {
                furthest = Some((past_place, past));
            }
        }
        let (Some(here), Some((most, before))) = (place(&event.operation), furthest) else {
            continue;
        };
        if here < most {
            return Err(Violation::WentBack {
                before: before.clone(),
                after: event.clone(),
            });
        }
    }
    Ok(())
}

/// A refused check-and-set saw another version than it expected: one must have been possible while it was under way.
fn check_refusals(events: &[&Event], written: &BTreeMap<u64, (u64, u64)>) -> Result<(), Violation> {
    let has_doubt = events
        .iter()
        .any(|event| matches!(event.operation, Operation::MayHaveWritten { .. }));
    for event in events {
        let Operation::Refused { expected } = event.operation else {
            continue;
        };
        let seen_before = events
            .iter()
            .filter(|other| other.ended < event.began)
            .filter_map(|other| place(&other.operation).map(|(version, _)| version))
            .max()
            .unwrap_or(0);
        let begun_by_then = written
            .iter()
            .any(|(version, (_, began))| *version > expected && *began < event.ended);
        if seen_before == expected && !begun_by_then && !has_doubt {
            return Err(Violation::WronglyRefused((*event).clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(began: u64, ended: u64, operation: Operation) -> Event {
        Event {
            secret: 1,
            began,
            ended,
            operation,
        }
    }

    fn wrote(began: u64, ended: u64, version: u64) -> Event {
        let value = version * 100;
        event(began, ended, Operation::Wrote { version, value })
    }

    fn read(began: u64, ended: u64, version: u64) -> Event {
        let value = version * 100;
        event(began, ended, Operation::Read { version, value })
    }

    #[test]
    fn what_one_order_explains_is_accepted() {
        let history = [
            read(0, 1, 0),
            wrote(2, 6, 1),
            // Both sides of a write that is under way.
            read(3, 4, 0),
            read(3, 5, 1),
            wrote(7, 9, 2),
            read(8, 12, 1),
            read(10, 11, 2),
            event(10, 11, Operation::Refused { expected: 1 }),
        ];
        assert_eq!(check(&history), Ok(()));
    }

    #[test]
    fn a_stale_read_is_rejected() {
        let (old, new, stale) = (wrote(0, 1, 1), wrote(2, 3, 2), read(4, 5, 1));
        let found = check(&[old, new.clone(), stale.clone()]);
        let (before, after) = (new, stale);
        assert_eq!(found, Err(Violation::WentBack { before, after }));
    }

    #[test]
    fn two_reads_that_go_back_are_rejected_although_the_write_was_under_way() {
        let history = [wrote(0, 1, 1), wrote(2, 9, 2), read(3, 4, 2), read(5, 6, 1)];
        assert!(matches!(check(&history), Err(Violation::WentBack { .. })));
    }

    #[test]
    fn a_lost_write_is_rejected() {
        // Acknowledged, then overwritten by a write that did not see it.
        let twice = [wrote(0, 1, 1), wrote(2, 3, 1)];
        assert!(matches!(check(&twice), Err(Violation::SameVersion(..))));
        // Acknowledged, then not there.
        let gone = [wrote(0, 1, 1), read(2, 3, 0)];
        assert!(matches!(check(&gone), Err(Violation::WentBack { .. })));
        // A version between two that nobody wrote.
        let hole = [wrote(0, 1, 1), wrote(2, 3, 3)];
        let (secret, version) = (1, 2);
        assert_eq!(check(&hole), Err(Violation::Lost { secret, version }));
    }

    #[test]
    fn a_write_of_unknown_outcome_explains_one_version_or_none() {
        let doubt = event(0, 1, Operation::MayHaveWritten { value: 100 });
        assert_eq!(check(&[doubt.clone(), read(2, 3, 0)]), Ok(()));
        assert_eq!(
            check(&[doubt.clone(), read(2, 3, 0), read(4, 5, 1)]),
            Ok(())
        );
        assert_eq!(check(&[doubt.clone(), wrote(2, 3, 2)]), Ok(()));
        let (secret, version) = (1, 2);
        let found = check(&[doubt, wrote(2, 3, 3)]);
        assert_eq!(found, Err(Violation::Lost { secret, version }));
    }

    #[test]
    fn a_value_that_nobody_wrote_is_rejected() {
        let read = event(
            2,
            3,
            Operation::Read {
                version: 1,
                value: 7,
            },
        );
        let found = check(&[wrote(0, 1, 1), read.clone()]);
        assert_eq!(found, Err(Violation::Invented(read)));
        let early = event(
            0,
            1,
            Operation::Read {
                version: 1,
                value: 100,
            },
        );
        let found = check(&[early.clone(), wrote(2, 3, 1)]);
        assert_eq!(found, Err(Violation::Invented(early)));
    }

    #[test]
    fn a_refusal_without_reason_is_rejected() {
        let refused = event(2, 3, Operation::Refused { expected: 1 });
        let found = check(&[wrote(0, 1, 1), refused.clone()]);
        assert_eq!(found, Err(Violation::WronglyRefused(refused)));
    }

    #[test]
    fn secrets_are_judged_one_by_one() {
        let mut other = wrote(2, 3, 1);
        other.secret = 2;
        assert_eq!(check(&[wrote(0, 1, 1), other]), Ok(()));
    }
}
