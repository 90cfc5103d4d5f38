//! Reading a whole store: its rows in order, a page at a time.

use std::collections::VecDeque;

use sha2::{Digest, Sha256};

use super::address::Address;
use super::{Moved, life};
use crate::error::Error;
use crate::store::key::{KeyRange, Table};
use crate::store::{Row, Store, Transaction, transact};

/// How many rows are read in one go. Rows have at most 64 KiB or so, and FoundationDB takes 10 MB and five seconds for a
/// transaction.
const PAGE_ROWS: usize = 128;

/// All rows from `begin` up to but not including `end`.
pub(super) struct Page {
    pub(super) begin: Vec<u8>,
    pub(super) end: Vec<u8>,
    pub(super) rows: Vec<Row>,
}

/// Where pages come from. They follow each other without gaps, except for what belongs to the life of one store.
pub(super) trait PageSource {
    /// The next page.
    async fn next_page(&mut self) -> Result<Option<Page>, Error>;
}

/// The pages of a store.
pub(super) struct StorePages<'s> {
    store: &'s dyn Store,
    moment: Option<&'s mut dyn Transaction>,
    rest: VecDeque<KeyRange>,
    with_stamps: bool,
}

impl<'s> StorePages<'s> {
    /// What is copied, as of one `moment`, or each page as of when it is read.
    pub(super) fn new(store: &'s dyn Store, moment: Option<&'s mut dyn Transaction>) -> Self {
        Self {
            store,
            moment,
            rest: life::ranges_without().into(),
            with_stamps: false,
        }
    }

    /// The same with the stamps of the store's order.
    pub(super) fn whole(store: &'s dyn Store, moment: Option<&'s mut dyn Transaction>) -> Self {
        Self {
            with_stamps: true,
            ..Self::new(store, moment)
        }
    }
}

impl PageSource for StorePages<'_> {
    async fn next_page(&mut self) -> Result<Option<Page>, Error> {
        let Some(range) = self.rest.pop_front() else {
            return Ok(None);
        };
        let mut rows = match &mut self.moment {
            Some(moment) => moment.range(&range, PAGE_ROWS, false).await?,
            None => {
                let read = transact(self.store, async |transaction, _| {
                    Ok(transaction.range(&range, PAGE_ROWS, false).await?)
                });
                read.await?.0
            }
        };
        let KeyRange { begin, mut end } = range;
        if let Some((last, _)) = rows.last().filter(|_| rows.len() == PAGE_ROWS) {
            let mut next = last.as_bytes().to_vec();
            next.push(0);
            let rest = std::mem::replace(&mut end, next.clone());
            self.rest.push_front(KeyRange {
                begin: next,
                end: rest,
            });
        }
        if !self.with_stamps {
            rows.retain(|(key, _)| {
                !Address::of(key).is_ok_and(|address| address.table == Table::ChangeStamp)
            });
        }
        Ok(Some(Page { begin, end, rows }))
    }
}

/// Counts rows and works out their digest.
#[derive(Default)]
pub(super) struct Tally {
    rows: u64,
    bytes: u64,
    digest: Sha256,
}

impl Tally {
    pub(super) fn add(&mut self, (key, value): &Row) {
        for field in [key.as_bytes(), value] {
            self.digest.update((field.len() as u64).to_be_bytes());
            self.digest.update(field);
            self.bytes += field.len() as u64;
        }
        self.rows += 1;
    }

    /// Rows and bytes so far.
    pub(super) fn so_far(&self) -> (u64, u64) {
        (self.rows, self.bytes)
    }

    pub(super) fn finish(self) -> Moved {
        Moved {
            rows: self.rows,
            bytes: self.bytes,
            digest: self.digest.finalize().into(),
        }
    }
}
