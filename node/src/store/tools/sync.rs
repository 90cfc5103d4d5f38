//! Making the rows of a target those of a source. A page that is the same already is left alone, so that doing it again
//! verifies what was done, and an interrupted copy goes on where it stopped.

use super::pages::{Page, PageSource, Tally};
use super::{Moved, Progress, Watcher};
use crate::error::Error;
use crate::store::key::KeyRange;
use crate::store::{Row, Store, transact};

/// How much is written in one transaction, far below what any store takes.
const SLICE_BYTES: usize = 1024 * 1024;

/// What came of it.
pub(super) struct Pass {
    /// The source's rows.
    pub(super) moved: Moved,
    /// Whether the target had all of them before, and nothing else.
    pub(super) was_same: bool,
}

/// Goes through the source once. The target is empty, or was begun by an earlier pass.
///
/// # Errors
/// What either side says.
pub(super) async fn sync(
    source: &mut impl PageSource,
    target: &dyn Store,
    mut progress: Progress,
    watcher: Watcher<'_>,
) -> Result<Pass, Error> {
    let mut tally = Tally::default();
    let mut was_same = true;
    while let Some(page) = source.next_page().await? {
        page.rows.iter().for_each(|row| tally.add(row));
        for slice in slices(page) {
            was_same &= write_slice(target, &slice).await?;
        }
        (progress.rows, progress.bytes) = tally.so_far();
        watcher(progress);
    }
    Ok(Pass {
        moved: tally.finish(),
        was_same,
    })
}

/// Cuts a page so that each piece fits a transaction.
fn slices(page: Page) -> Vec<Page> {
    let Page { begin, end, rows } = page;
    let mut slices = vec![Page {
        begin,
        end: Vec::new(),
        rows: Vec::new(),
    }];
    let mut bytes = 0;
    for row in rows {
        let row_bytes = row.0.as_bytes().len() + row.1.len();
        if let Some(last) = slices.last_mut() {
            if bytes > 0 && bytes + row_bytes > SLICE_BYTES {
                let border = row.0.as_bytes().to_vec();
                last.end.clone_from(&border);
                slices.push(Page {
                    begin: border,
                    end: Vec::new(),
                    rows: vec![row],
                });
                bytes = row_bytes;
            } else {
                last.rows.push(row);
                bytes += row_bytes;
            }
        }
    }
    if let Some(last) = slices.last_mut() {
        last.end = end;
    }
    slices
}

/// Writes a slice unless it is there already; whether it was.
async fn write_slice(target: &dyn Store, slice: &Page) -> Result<bool, Error> {
    let most = target.properties().max_value_bytes;
    if let Some((key, value)) = slice.rows.iter().find(|(_, value)| value.len() > most) {
        return Err(Error::Corrupt(format!(
            "the row at {} has {} bytes; {} takes {most}",
            hex::encode(key.as_bytes()),
            value.len(),
            target.properties().name
        )));
    }
    let range = KeyRange {
        begin: slice.begin.clone(),
        end: slice.end.clone(),
    };
    let (was_same, _) = transact(target, async |transaction, attempt| {
        let there: Vec<Row> = transaction
            .range(&range, slice.rows.len() + 1, false)
            .await?;
        if there == slice.rows {
            // Perhaps by the commit of this very call that was in doubt.
            return Ok(!attempt.maybe_committed);
        }
        transaction.clear_range(&range);
        for (key, value) in &slice.rows {
            transaction.set(key, value);
        }
        Ok(false)
    })
    .await?;
    Ok(was_same)
}
