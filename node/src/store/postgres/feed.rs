//! The change feed. Commits that append to it do so one after the other, each while holding a lock until it is visible,
//! and are numbered while they hold it: what a reader sees of the feed is all of it up to some stamp.

use tokio::time::{timeout, timeout_at};

use super::super::{Change, Stamp, StoreError};
use super::Shared;
use super::commit::stamp;
use super::failure::Trouble;

/// How many records are removed at a time, so that a long feed is not one long statement.
const TRIM_RECORDS: u64 = 10_000;

impl Shared {
    /// At most `limit` records after `after`, but always all of a commit's.
    pub(super) async fn changes_after(
        &self,
        after: Stamp,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        let deadline = self.pool.deadline();
        let mut lease = self.pool.lease(deadline).await?;
        let asking = lease
            .connection()?
            .changes(number(after), limit.saturating_add(1));
        let answer = timeout_at(deadline, asking).await;
        let mut found = lease.heed(answer).map_err(Trouble::while_asking)?;
        if found.len() > limit
            && let (Some((first, _)), Some((cut, _))) = (found.first(), found.last())
        {
            let (first, cut) = (*first, *cut);
            found.retain(|(number, _)| *number < cut);
            if found.is_empty() {
                // One commit that alone is over the limit comes whole all the same, or nobody would get past it.
                let answer = timeout_at(deadline, lease.connection()?.changes_of(first)).await;
                let records = lease.heed(answer).map_err(Trouble::while_asking)?;
                found = records.into_iter().map(|record| (first, record)).collect();
            }
        }
        if let Some((last, _)) = found.last() {
            self.heard_of(*last);
        }
        let change = |(number, record)| Change {
            stamp: stamp(number),
            record,
        };
        Ok(found.into_iter().map(change).collect())
    }

    /// Looks every `poll_interval`, and whenever this node itself appended.
    pub(super) async fn wait_for_change(&self, after: Stamp) -> Result<(), StoreError> {
        loop {
            // Waiting begins before looking, so that nothing falls in between.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.has_changes(after).await? {
                return Ok(());
            }
            // Either way, it is time to look again.
            let _ = timeout(self.poll_interval, changed).await;
        }
    }

    async fn has_changes(&self, after: Stamp) -> Result<bool, StoreError> {
        let deadline = self.pool.deadline();
        let mut lease = self.pool.lease(deadline).await?;
        let answer = timeout_at(deadline, lease.connection()?.has_changes(number(after))).await;
        lease.heed(answer).map_err(Trouble::while_asking)
    }

    /// Removes the records before `before`.
    pub(super) async fn trim_changes(&self, before: Stamp) -> Result<(), StoreError> {
        loop {
            let deadline = self.pool.deadline();
            let mut lease = self.pool.lease(deadline).await?;
            let trimming = lease.connection()?.trim(number(before), TRIM_RECORDS);
            let removed = timeout_at(deadline, trimming).await;
            if lease.heed(removed).map_err(Trouble::while_asking)? < TRIM_RECORDS {
                return Ok(());
            }
        }
    }
}

/// The number inside a stamp.
fn number(stamp: Stamp) -> i64 {
    let [a, b, c, d, e, f, g, h, _, _] = stamp.0;
    i64::try_from(u64::from_be_bytes([a, b, c, d, e, f, g, h])).unwrap_or(i64::MAX)
}
