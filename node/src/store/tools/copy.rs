//! Copying a store into an empty one.
//!
//! Where the source has lasting transactions, all rows are of one moment of it, and nodes may go on meanwhile; what they
//! write later is not copied. Where it has none, its pages are of different moments: it is read again until nothing
//! differed in a whole reading, which nodes that write keep from happening; then the copy is refused, and goes on when it
//! is run again. Either way the last reading found every row in the target as it is in the source.

use super::pages::StorePages;
use super::sync::sync;
use super::{MAX_READINGS, Moved, Progress, Watcher, life};
use crate::error::Error;
use crate::rng::OsRandom;
use crate::store::{Store, Transaction};

/// Copies all rows of `source` into `target`, which is empty or holds an earlier, unfinished copy of the same source.
///
/// # Errors
/// [`Error::Invalid`] when the two are not such stores, [`Error::Conflict`]-like advice when the source does not hold
/// still, or what the stores say. Running it again goes on where it stopped.
pub async fn copy(
    source: &dyn Store,
    target: &dyn Store,
    random: &OsRandom,
    watcher: Watcher<'_>,
) -> Result<Moved, Error> {
    let origin = life::origin(source).await?;
    life::begin(target, &origin).await?;
    let mut moment = source.moment().await?;
    let mut progress = Progress {
        step: "Copying",
        ..Progress::default()
    };
    for _ in 0..MAX_READINGS {
        // The cast ends the transaction's own lifetime, which is longer.
        let lasting = moment
            .as_mut()
            .map(|moment| moment.as_mut() as &mut dyn Transaction);
        let mut pages = StorePages::new(source, lasting);
        let pass = sync(&mut pages, target, progress, watcher).await?;
        if pass.was_same {
            life::finish(target, &origin, random).await?;
            return Ok(pass.moved);
        }
        progress.step = "Verifying";
        progress.of_rows = Some(pass.moved.rows);
    }
    Err(match moment {
        Some(_) => Error::Corrupt("the target does not keep what is written into it".into()),
        None => Error::Unavailable(
            "the source is being written to; stop its nodes and run the copy again, it goes on where it stopped".into(),
        ),
    })
}
