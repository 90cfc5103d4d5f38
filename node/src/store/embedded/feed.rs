//! The change feed as rows, in the order of their commits.

use std::borrow::Borrow;

use super::super::key::Key;
use super::super::{Change, Stamp, StoreError};
use super::snapshot::{Snapshot, StoredRow};

/// The newest record's stamp.
pub(super) fn last_change(snapshot: &Snapshot) -> Result<Stamp, StoreError> {
    let all = Key::changes_after(Stamp::default());
    let newest = snapshot.scan((&all.begin, &all.end), true, |rows| rows.next().transpose())?;
    newest.map_or(Ok(Stamp::default()), |(key, _)| stamp_of(key.borrow()))
}

/// At most `limit` records after `after`, but always all of a commit's.
pub(super) fn changes_after(
    snapshot: &Snapshot,
    after: Stamp,
    limit: usize,
) -> Result<Vec<Change>, StoreError> {
    let range = Key::changes_after(after);
    snapshot.scan((&range.begin, &range.end), false, |rows| {
        whole_commits(rows, limit)
    })
}

fn whole_commits(
    rows: &mut dyn Iterator<Item = StoredRow>,
    limit: usize,
) -> Result<Vec<Change>, StoreError> {
    let mut changes: Vec<Change> = Vec::new();
    // How many records belong to commits that are complete.
    let mut complete = 0;
    for row in rows {
        let (key, record) = row?;
        let stamp = stamp_of(key.borrow())?;
        if changes.last().is_some_and(|last| last.stamp != stamp) {
            complete = changes.len();
        }
        // A commit that alone is over the limit comes whole all the same, or nobody would ever get past it.
        if changes.len() >= limit && complete > 0 {
            changes.truncate(complete);
            break;
        }
        let record: &[u8] = record.borrow();
        changes.push(Change {
            stamp,
            record: record.to_vec(),
        });
    }
    Ok(changes)
}

fn stamp_of(key: &[u8]) -> Result<Stamp, StoreError> {
    Key::from_stored(key.to_vec()).change_stamp()
}
