//! Stamps and the change feed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Room;
use crate::store::{Change, Stamp, StoreError};

/// How long a follower may take to be woken on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

impl Room {
    /// A record that other rooms' tests do not write.
    fn record(&self, text: &str) -> Vec<u8> {
        [&self.tenant.as_bytes()[..], text.as_bytes()].concat()
    }

    /// This room's records among `changes`.
    fn own(&self, changes: Vec<Change>) -> Vec<Change> {
        let own = |change: &Change| change.record.starts_with(self.tenant.as_bytes());
        changes.into_iter().filter(own).collect()
    }

    async fn append(&self, records: &[&str]) -> Stamp {
        let mut transaction = self.begin().await;
        for record in records {
            transaction.append_change(&self.record(record));
        }
        transaction.commit().await.unwrap()
    }

    fn change(&self, stamp: Stamp, text: &str) -> Change {
        Change {
            stamp,
            record: self.record(text),
        }
    }
}

pub(crate) async fn stamps_grow_and_are_what_the_commit_returned(room: Room) {
    let mut last = room.append(&["start"]).await;
    assert!(last > Stamp::default());
    for round in 0..10 {
        let mut transaction = room.begin().await;
        transaction.set(&room.row(1), b"overwritten by the stamp");
        transaction.set_stamp(&room.row(1));
        transaction.append_change(&room.record("stamped"));
        let stamp = transaction.commit().await.unwrap();
        assert!(stamp > last, "round {round}");
        assert_eq!(room.read(1).await.as_deref(), Some(&stamp.0[..]));
        let changes = room.own(room.store.changes_after(last, 100).await.unwrap());
        assert_eq!(changes, [room.change(stamp, "stamped")]);
        last = stamp;
    }
    let mut reading = room.begin().await;
    reading.get(&room.row(1)).await.unwrap();
    assert!(reading.commit().await.unwrap() >= last);
}

pub(crate) async fn a_stamp_cannot_be_read_before_its_commit(room: Room) {
    let mut transaction = room.begin().await;
    transaction.set_stamp(&room.row(1));
    assert!(matches!(
        transaction.get(&room.row(1)).await,
        Err(StoreError::Misuse(_))
    ));
    let range = transaction.range(&room.rows(0, 9), 9, false).await;
    assert!(matches!(range, Err(StoreError::Misuse(_))));
    transaction.commit().await.unwrap();
    assert!(room.read(1).await.is_some());
}

/// Eight writers, one follower with small pages: it finds every record once, in stamp order, none late.
pub(crate) async fn a_follower_misses_nothing(room: Room) {
    const WRITERS: usize = 8;
    const COMMITS: usize = 20;
    let start = room.append(&["start"]).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let room = room.clone();
            tokio::spawn(async move {
                let mut written = Vec::new();
                for commit in 0..COMMITS {
                    let texts: Vec<String> = (0..=commit % 3)
                        .map(|part| format!("{writer} {commit} {part}"))
                        .collect();
                    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                    let stamp = room.append(&texts).await;
                    written.extend(texts.into_iter().map(|text| room.change(stamp, text)));
                }
                written
            })
        })
        .collect();
    let follower = tokio::spawn({
        let room = room.clone();
        async move {
            let (mut position, mut seen) = (start, Vec::new());
            let total = WRITERS * (0..COMMITS).map(|commit| commit % 3 + 1).sum::<usize>();
            while seen.len() < total {
                room.store.wait_for_change(position).await.unwrap();
                let page = room.store.changes_after(position, 7).await.unwrap();
                if let Some(last) = page.last() {
                    position = last.stamp;
                }
                seen.extend(room.own(page));
            }
            seen
        }
    });
    let seen = tokio::time::timeout(PATIENCE, follower)
        .await
        .unwrap()
        .unwrap();
    assert!(seen.is_sorted_by_key(|change| change.stamp));
    let mut written = Vec::new();
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    // A stable sort: within a commit the records keep the order in which they were appended.
    written.sort_by_key(|change| change.stamp);
    assert_eq!(seen, written);
}

pub(crate) async fn a_page_never_splits_a_commit(room: Room) {
    let start = room.append(&["start"]).await;
    let mut commits = BTreeMap::new();
    for size in [1_usize, 4, 2, 9, 3] {
        commits.insert(room.append(&vec!["record"; size]).await, size);
    }
    for limit in 1..25 {
        let (mut position, mut found) = (start, BTreeMap::new());
        loop {
            let page = room.store.changes_after(position, limit).await.unwrap();
            let Some(last) = page.last() else { break };
            let one_commit = page.iter().all(|change| change.stamp == last.stamp);
            assert!(page.len() <= limit || one_commit, "limit {limit}");
            position = last.stamp;
            for change in room.own(page) {
                *found.entry(change.stamp).or_default() += 1;
            }
        }
        assert_eq!(found, commits, "limit {limit}");
    }
}

pub(crate) async fn trimmed_changes_are_gone_and_later_ones_stay(room: Room) {
    let start = room.append(&["zero"]).await;
    room.append(&["one"]).await;
    let second = room.append(&["two"]).await;
    let third = room.append(&["three"]).await;
    room.store.trim_changes(second).await.unwrap();
    let left = room.own(room.store.changes_after(start, 100).await.unwrap());
    assert_eq!(
        left,
        [room.change(second, "two"), room.change(third, "three")]
    );
}

pub(crate) async fn a_waiting_follower_is_woken(room: Room) {
    let start = room.append(&["start"]).await;
    // Something already there is not waited for.
    room.store.wait_for_change(Stamp::default()).await.unwrap();
    let follower = tokio::spawn({
        let room = room.clone();
        async move {
            loop {
                let changes = room.own(room.store.changes_after(start, 100).await.unwrap());
                if !changes.is_empty() {
                    return changes;
                }
                room.store.wait_for_change(start).await.unwrap();
            }
        }
    });
    tokio::task::yield_now().await;
    let stamp = room.append(&["news"]).await;
    let changes = tokio::time::timeout(PATIENCE, follower)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(changes, [room.change(stamp, "news")]);
}
