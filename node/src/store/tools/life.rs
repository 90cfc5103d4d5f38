//! The life of a store: it begins when the first node starts on it, or when a copy or restore into it is complete. Each
//! life has a random id, the incarnation, which whatever nodes remember of the store is keyed by.
//!
//! While rows are being copied into a store it is marked with where they come from: no node starts on it, and only the
//! same copy may go on.

use crate::error::Error;
use crate::rng::OsRandom;
use crate::store::key::{Key, KeyRange, Scope, Table};
use crate::store::{Store, Transaction, transact};

/// Where the rows of an unfinished copy come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// The store of this incarnation.
    Store([u8; 16]),
    /// The backup with this digest.
    Backup([u8; 32]),
}

/// Refuses a store into which rows are still to be copied.
///
/// # Errors
/// [`Error::Invalid`] saying so.
pub async fn refuse_unfinished(transaction: &mut dyn Transaction) -> Result<(), Error> {
    match transaction.get(&mark_key()).await? {
        None => Ok(()),
        Some(_) => Err(Error::invalid(
            "storage",
            "a copy or restore into this store was not finished; run it again, it goes on where it stopped",
        )),
    }
}

/// Begins the life of a store that has none yet. Every node calls it before it reads anything else.
///
/// # Errors
/// As [`refuse_unfinished`], or what the store says.
pub async fn ensure(store: &dyn Store, random: &OsRandom) -> Result<(), Error> {
    let fresh: [u8; 16] = random.array();
    transact(store, async |transaction, _| {
        refuse_unfinished(transaction).await?;
        if transaction.get(&incarnation_key()).await?.is_none() {
            transaction.set(&incarnation_key(), &fresh);
        }
        Ok(())
    })
    .await
    .map(drop)
}

/// The origin that a store is to a copy of it.
///
/// # Errors
/// [`Error::Invalid`] when it is not complete itself, or holds nothing.
pub(super) async fn origin(store: &dyn Store) -> Result<Origin, Error> {
    transact(store, async |transaction, _| {
        refuse_unfinished(transaction).await?;
        if is_empty(transaction).await? {
            return Err(Error::invalid("storage", "the store to copy from is empty"));
        }
        let incarnation = transaction.get(&incarnation_key()).await?;
        incarnation
            .and_then(|bytes| bytes.try_into().ok())
            .map(Origin::Store)
            .ok_or_else(|| Error::Corrupt("the store has no incarnation".into()))
    })
    .await
    .map(|(origin, _)| origin)
}

/// Marks an empty store as the target of a copy. One that is marked with the same origin may go on.
///
/// # Errors
/// [`Error::Invalid`] when it holds anything else.
pub(super) async fn begin(store: &dyn Store, origin: &Origin) -> Result<(), Error> {
    let mark = origin.encode();
    transact(store, async |transaction, _| {
        match transaction.get(&mark_key()).await? {
            Some(known) if known == mark => Ok(()),
            Some(_) => Err(Error::invalid(
                "storage",
                "the store holds an unfinished copy of something else; use an empty one",
            )),
            None if is_empty(transaction).await? => {
                transaction.set(&mark_key(), &mark);
                Ok(())
            }
            None => Err(Error::invalid(
                "storage",
                "the store to write to is not empty; use an empty one",
            )),
        }
    })
    .await
    .map(drop)
}

/// Ends a copy and begins the life of the target: the last that is written.
///
/// # Errors
/// [`Error::Invalid`] when the mark is another one by now.
pub(super) async fn finish(
    store: &dyn Store,
    origin: &Origin,
    random: &OsRandom,
) -> Result<(), Error> {
    let (mark, fresh): (_, [u8; 16]) = (origin.encode(), random.array());
    transact(store, async |transaction, attempt| {
        match transaction.get(&mark_key()).await? {
            Some(known) if known == mark => {
                transaction.clear(&mark_key());
                transaction.set(&incarnation_key(), &fresh);
                Ok(())
            }
            None if attempt.maybe_committed => Ok(()),
            _ => {
                let message = "another copy into the store was begun or finished meanwhile";
                Err(Error::invalid("storage", message))
            }
        }
    })
    .await
    .map(drop)
}

/// Looks whether a store is complete and has a life.
///
/// # Errors
/// [`Error::Invalid`] or [`Error::Corrupt`] when it is not.
pub(super) async fn look_at(transaction: &mut dyn Transaction) -> Result<(), Error> {
    refuse_unfinished(transaction).await?;
    match transaction.get(&incarnation_key()).await? {
        Some(incarnation) if incarnation.len() == 16 => Ok(()),
        Some(_) => Err(Error::Corrupt(
            "the incarnation has the wrong length".into(),
        )),
        None => Err(Error::Corrupt("there is no incarnation".into())),
    }
}

/// The key space without the rows that belong to the life of one store.
pub(super) fn ranges_without() -> Vec<KeyRange> {
    let changes = KeyRange::rows(Scope::Node, Table::Change, &[]);
    let mut ranges = Vec::new();
    let mut begin = Vec::new();
    let mut leave_out = |from: Vec<u8>, to: Vec<u8>| {
        let end = from;
        let begin = std::mem::replace(&mut begin, to);
        ranges.push(KeyRange { begin, end });
    };
    let row = |key: Key| (key.as_bytes().to_vec(), [key.as_bytes(), &[0]].concat());
    let (from, to) = row(incarnation_key());
    leave_out(from, to);
    leave_out(changes.begin, changes.end);
    let (from, to) = row(mark_key());
    leave_out(from, to);
    // No tuple begins with this byte.
    leave_out(vec![0xff], Vec::new());
    ranges
}

async fn is_empty(transaction: &mut dyn Transaction) -> Result<bool, Error> {
    for range in ranges_without() {
        if !transaction.range(&range, 1, false).await?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn incarnation_key() -> Key {
    Key::row(Scope::Node, Table::Incarnation, &[])
}

fn mark_key() -> Key {
    Key::row(Scope::Node, Table::CopyMark, &[])
}

impl Origin {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Store(incarnation) => [&b"store "[..], incarnation].concat(),
            Self::Backup(digest) => [&b"backup "[..], digest].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_exactly_the_life_of_the_store() {
        let ranges = ranges_without();
        assert!(ranges.windows(2).all(|two| two[0].end <= two[1].begin));
        let copied = |key: &Key| ranges.iter().any(|range| range.contains(key.as_bytes()));
        assert!(!copied(&incarnation_key()) && !copied(&mark_key()));
        assert!(!copied(&Key::change(crate::store::Stamp([7; 10]), 3)));
        let tenant = Scope::Tenant(crate::id::TenantId::from_bytes([0; 16]));
        for key in [
            Key::row(Scope::Node, Table::AddOn, &[]),
            Key::row(Scope::Node, Table::AddOnName, &[1_u64.into()]),
            Key::row(Scope::Node, Table::Chunk, &[]),
            Key::row(tenant, Table::Epoch, &[]),
            Key::row(tenant, Table::CopyMark, &[]),
        ] {
            assert!(copied(&key), "{key:?}");
        }
    }
}
