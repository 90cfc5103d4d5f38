//! The change feed: rows whose keys begin with the stamp of their commit, which FoundationDB fills in, and one row, the
//! *head*, that holds the stamp of the newest. Who waits for a change watches the head.

use std::time::Duration;

use ::foundationdb::Transaction;
use tokio::time::timeout;

use super::super::key::{Key, KeyRange};
use super::super::{Change, Stamp, StoreError};
use super::failure::while_reading;
use super::{Shared, stamp};

/// How long one watch is kept. A cluster that is gone does not end a watch; looking again finds that out.
const WATCH: Duration = Duration::from_secs(5);

impl Shared {
    /// At most `limit` records after `after`, but always all of a commit's.
    pub(super) async fn changes_after(
        &self,
        after: Stamp,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        let transaction = self.transaction()?;
        let range = Key::changes_after(after);
        let mut found = self
            .changes_in(&transaction, &range, limit.saturating_add(1))
            .await?;
        if found.len() > limit
            && let (Some(first), Some(cut)) = (found.first(), found.last())
        {
            let (first, cut) = (first.stamp, cut.stamp);
            found.retain(|change| change.stamp < cut);
            if found.is_empty() {
                // One commit that alone is over the limit comes whole all the same, or nobody would get past it.
                let range = Key::changes_of(first);
                found = self.changes_in(&transaction, &range, usize::MAX).await?;
            }
        }
        Ok(found)
    }

    /// Returns when the head is newer than `after`, and now and then without that.
    pub(super) async fn wait_for_change(&self, after: Stamp) -> Result<(), StoreError> {
        let transaction = self.transaction()?;
        let key = self.stored(Key::feed_head().as_bytes());
        let head = self.answer(transaction.get(&key, true)).await?;
        if let Some(head) = head
            && stamp(&head)? > after
        {
            return Ok(());
        }
        // From here on, the watch sees whatever comes after that read. Dropping it ends it.
        let watch = transaction.watch(&key);
        let watching = async move { transaction.commit().await.map_err(|error| *error) };
        self.answer(watching).await?;
        match timeout(WATCH, watch).await {
            Ok(changed) => changed.map_err(while_reading),
            Err(_) => Ok(()),
        }
    }

    /// Removes the records before `before`.
    pub(super) async fn trim_changes(&self, before: Stamp) -> Result<(), StoreError> {
        let transaction = self.transaction()?;
        let (begin, end) = self.stored_range(&Key::changes_before(before));
        transaction.clear_range(&begin, &end);
        // In doubt or not: whoever trims does it again some time, and nobody misses or minds what is left.
        let trimming = async move { transaction.commit().await.map_err(|error| *error) };
        self.answer(trimming).await.map(drop)
    }

    async fn changes_in(
        &self,
        transaction: &Transaction,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        if range.begin >= range.end {
            return Ok(Vec::new());
        }
        let mut rest = Some(self.page(range, limit, false));
        let mut changes = Vec::new();
        while let Some(option) = rest {
            let page = self.answer(transaction.get_range(&option, 1, true)).await?;
            for row in &page {
                let key = Key::from_stored(self.own(row.key())?.to_vec());
                changes.push(Change {
                    stamp: key.change_stamp()?,
                    record: row.value().to_vec(),
                });
            }
            rest = option.next_range(&page);
        }
        Ok(changes)
    }
}
