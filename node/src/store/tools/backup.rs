//! Backup into one file and restore from it. The file holds rows as stored: only ciphertext, and what stands plain in a
//! store as well. It is written under another name and renamed once it is whole and on the disk; it is checked from
//! beginning to end before the first row of it is restored.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::archive::{Header, Reader, Writer};
use super::life::Origin;
use super::pages::{Page, PageSource, StorePages, Tally};
use super::sync::sync;
use super::{MAX_READINGS, Moved, Progress, Watcher, life};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::rng::OsRandom;
use crate::store::key::KeyRange;
use crate::store::{Row, Store};

/// What a restore brought back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restored {
    /// How much.
    pub moved: Moved,
    /// When the backup was made.
    pub created: Timestamp,
}

/// Writes all rows of `source` into `file`, which must not exist yet, readable by its owner only. See
/// [`copy`](super::copy()) for what moment they are of.
///
/// # Errors
/// [`Error::Invalid`] when the file cannot be written; [`Error::Unavailable`] when the source does not hold still.
pub async fn backup(
    source: &dyn Store,
    file: &Path,
    now: Timestamp,
    watcher: Watcher<'_>,
) -> Result<Moved, Error> {
    let Origin::Store(incarnation) = life::origin(source).await? else {
        return Err(Error::Bug("a store is not a backup".into()));
    };
    let header = Header {
        created: now,
        incarnation,
    };
    let unfinished = Unfinished::new(file)?;
    if let Some(mut moment) = source.moment().await? {
        let pages = StorePages::new(source, Some(moment.as_mut()));
        let moved = unfinished.write(pages, header, "Writing", watcher).await?;
        return unfinished.complete(file).map(|()| moved);
    }
    let pages = StorePages::new(source, None);
    let mut moved = unfinished.write(pages, header, "Writing", watcher).await?;
    for _ in 1..MAX_READINGS {
        let pages = StorePages::new(source, None);
        let again = tally(pages, "Verifying", Some(moved.rows), watcher).await?;
        if again == moved {
            return unfinished.complete(file).map(|()| moved);
        }
        let pages = StorePages::new(source, None);
        moved = unfinished.write(pages, header, "Writing", watcher).await?;
    }
    Err(Error::Unavailable(
        "the store is being written to; stop its nodes and run the backup again".into(),
    ))
}

/// Brings the rows of a backup into `target`, which is empty or holds an unfinished restore of the same backup.
///
/// # Errors
/// [`Error::Invalid`] when the file is no whole backup, or the store holds anything else; what the store says.
pub async fn restore(
    file: &Path,
    target: &dyn Store,
    random: &OsRandom,
    watcher: Watcher<'_>,
) -> Result<Restored, Error> {
    let mut checked = FilePages::open(file)?;
    let created = checked.reader.header().created;
    let whole = tally(&mut checked, "Checking", None, watcher).await?;
    let digest = checked.reader.digest();
    let digest = digest.ok_or_else(|| Error::Bug("a backup without an end".into()))?;
    let origin = Origin::Backup(digest);
    life::begin(target, &origin).await?;
    let mut progress = Progress {
        step: "Restoring",
        of_rows: Some(whole.rows),
        ..Progress::default()
    };
    for _ in 0..MAX_READINGS {
        let mut pages = FilePages::open(file)?;
        let pass = sync(&mut pages, target, progress, watcher).await?;
        if pages.reader.digest() != Some(digest) {
            return Err(Error::invalid("file", "the backup was changed meanwhile"));
        }
        if pass.was_same {
            life::finish(target, &origin, random).await?;
            let moved = pass.moved;
            return Ok(Restored { moved, created });
        }
        progress.step = "Verifying";
    }
    Err(Error::Corrupt(
        "the store does not keep what is written into it".into(),
    ))
}

/// Reads all pages for what they add up to.
async fn tally(
    mut pages: impl PageSource,
    step: &'static str,
    of_rows: Option<u64>,
    watcher: Watcher<'_>,
) -> Result<Moved, Error> {
    let mut tally = Tally::default();
    while let Some(page) = pages.next_page().await? {
        page.rows.iter().for_each(|row| tally.add(row));
        let (rows, bytes) = tally.so_far();
        watcher(Progress {
            step,
            rows,
            bytes,
            of_rows,
        });
    }
    Ok(tally.finish())
}

/// The file while it is being written. Gone when dropped.
struct Unfinished(PathBuf);

impl Unfinished {
    fn new(file: &Path) -> Result<Self, Error> {
        if file.exists() {
            return Err(cannot(file, &"it exists already"));
        }
        let mut name = file
            .file_name()
            .ok_or_else(|| cannot(file, &"it is no file's name"))?
            .to_owned();
        name.push(".unfinished");
        Ok(Self(file.with_file_name(name)))
    }

    async fn write(
        &self,
        mut pages: impl PageSource,
        header: Header,
        step: &'static str,
        watcher: Watcher<'_>,
    ) -> Result<Moved, Error> {
        // One that a crash left behind may have been made with other rights.
        let _ = std::fs::remove_file(&self.0);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.0)
            .map_err(|error| cannot(&self.0, &error))?;
        let mut writer = Writer::new(BufWriter::new(file), header)?;
        let mut tally = Tally::default();
        while let Some(page) = pages.next_page().await? {
            for row in &page.rows {
                tally.add(row);
                writer.add(row)?;
            }
            let (rows, bytes) = tally.so_far();
            watcher(Progress {
                step,
                rows,
                bytes,
                of_rows: None,
            });
        }
        let mut output = writer.finish()?;
        let on_disk = output.flush().and_then(|()| output.get_ref().sync_all());
        on_disk.map_err(|error| cannot(&self.0, &error))?;
        Ok(tally.finish())
    }

    /// Gives the file its name, for good.
    fn complete(&self, file: &Path) -> Result<(), Error> {
        // A link, unlike a rename, does not replace what appeared meanwhile.
        std::fs::hard_link(&self.0, file).map_err(|error| cannot(file, &error))?;
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))
            .and_then(|folder| folder.sync_all())
            .map_err(|error| cannot(file, &error))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The pages of a backup. Between its rows there are none: a page reaches to where the next begins.
struct FilePages {
    reader: Reader<BufReader<File>>,
    ranges: std::vec::IntoIter<KeyRange>,
    range: Option<KeyRange>,
    rows: std::collections::VecDeque<Row>,
    is_over: bool,
}

impl FilePages {
    fn open(file: &Path) -> Result<Self, Error> {
        let opened = File::open(file).map_err(|error| cannot(file, &error))?;
        let mut ranges = life::ranges_without().into_iter();
        Ok(Self {
            reader: Reader::new(BufReader::new(opened))?,
            range: ranges.next(),
            ranges,
            rows: std::collections::VecDeque::new(),
            is_over: false,
        })
    }
}

impl PageSource for &mut FilePages {
    async fn next_page(&mut self) -> Result<Option<Page>, Error> {
        (**self).next_page().await
    }
}

impl PageSource for FilePages {
    async fn next_page(&mut self) -> Result<Option<Page>, Error> {
        let Some(mut range) = self.range.take() else {
            return Ok(None);
        };
        if self.rows.is_empty() && !self.is_over {
            match self.reader.next_rows()? {
                Some(rows) => self.rows = rows.into(),
                None => self.is_over = true,
            }
        }
        let inside = self
            .rows
            .iter()
            .take_while(|(key, _)| range.contains(key.as_bytes()))
            .count();
        let rows: Vec<Row> = self.rows.drain(..inside).collect();
        let begin = range.begin.clone();
        // The block's rows may go on in the next block.
        if self.rows.is_empty() && !self.is_over {
            if let Some((last, _)) = rows.last() {
                range.begin = [last.as_bytes(), &[0]].concat();
            }
            let end = range.begin.clone();
            self.range = Some(range);
            return Ok(Some(Page { begin, end, rows }));
        }
        self.range = self.ranges.next();
        if self.range.is_none() && !self.rows.is_empty() {
            let message = "the backup is damaged: it has rows that no backup has";
            return Err(Error::invalid("file", message));
        }
        let end = range.end;
        Ok(Some(Page { begin, end, rows }))
    }
}

fn cannot(file: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::invalid("file", format!("{}: {why}", file.display()))
}
