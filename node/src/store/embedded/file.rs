//! The file on disk: made for its owner only and complete or not at all, opened by one process at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError};

use super::super::StoreError;
use super::checked_file::CheckedFile;
use super::snapshot::{failed, guarded};
use super::{EmbeddedOptions, writer};

/// The name of the file in the data folder.
pub const FILE_NAME: &str = "conclave.store";
/// The file while it is being made. A crash leaves it behind, and the next start makes it anew.
const UNFINISHED_NAME: &str = "conclave.store.new";

/// Where the file is and how to open it.
pub(super) struct Location {
    folder: PathBuf,
    path: PathBuf,
    options: EmbeddedOptions,
    /// See [`CheckedFile::open`].
    sync_failed: Arc<AtomicBool>,
}

impl Location {
    pub(super) fn new(folder: &Path, options: EmbeddedOptions) -> Self {
        Self {
            folder: folder.to_owned(),
            path: folder.join(FILE_NAME),
            options,
            sync_failed: Arc::default(),
        }
    }

    /// Opens the file, making it and the folder where they are missing.
    ///
    /// # Errors
    /// One line that names the file and says what is wrong with it.
    pub(super) fn open_or_create(&self) -> Result<Database, StoreError> {
        let exists = self.path.try_exists().map_err(io_failed);
        let created = exists.and_then(|exists| {
            if exists {
                Ok(())
            } else {
                guarded(|| self.create())
            }
        });
        created.map_err(|error| self.name_in(error))?;
        self.open()
    }

    /// Opens the file, which must be there: one that has gone is not replaced by an empty one.
    ///
    /// # Errors
    /// As [`Location::open_or_create`].
    pub(super) fn open(&self) -> Result<Database, StoreError> {
        guarded(|| self.open_database(&self.path, false)).map_err(|error| self.name_in(error))
    }

    /// Puts the file's name in front of an error.
    fn name_in(&self, error: StoreError) -> StoreError {
        let name = |what: String| format!("{}: {what}", self.path.display());
        match error {
            StoreError::Unavailable(what) => StoreError::Unavailable(name(what)),
            StoreError::Corrupt(what) => StoreError::Corrupt(name(what)),
            other => other,
        }
    }

    fn create(&self) -> Result<(), StoreError> {
        let mut folder = DirBuilder::new();
        folder
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(io_failed)?;
        let folder = File::open(&self.folder).map_err(io_failed)?;
        // Two processes that start at once must not make it twice.
        folder.lock().map_err(io_failed)?;
        if self.path.try_exists().map_err(io_failed)? {
            return Ok(());
        }
        let unfinished = self.folder.join(UNFINISHED_NAME);
        let database = self.open_database(&unfinished, true)?;
        writer::prepare(&database)?;
        drop(database);
        std::fs::rename(&unfinished, &self.path).map_err(io_failed)?;
        // Without this, a power cut could take the name away, and with it acknowledged commits.
        folder.sync_all().map_err(io_failed)
    }

    fn open_database(&self, path: &Path, anew: bool) -> Result<Database, StoreError> {
        let mut open = OpenOptions::new();
        open.read(true).write(true).create(anew).mode(0o600);
        let file = open.open(path).map_err(io_failed)?;
        // Before anything is read: what another process is writing would look damaged. redb locks the file as well.
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => in_use(),
            TryLockError::Error(error) => io_failed(error),
        })?;
        if anew {
            file.set_len(0).map_err(io_failed)?;
        } else if file.metadata().map_err(io_failed)?.len() == 0 {
            return Err(StoreError::Corrupt(
                "the file is empty, which no store is".into(),
            ));
        }
        let file = FileBackend::new(file).map_err(refused)?;
        let file = CheckedFile::open(file, Arc::clone(&self.sync_failed)).map_err(io_failed)?;
        let mut builder = Database::builder();
        builder
            .set_cache_size(self.options.cache_bytes)
            .create_with_backend(file)
            .map_err(refused)
    }
}

fn in_use() -> StoreError {
    StoreError::Unavailable("the file is in use by another process".into())
}

fn refused(error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => in_use(),
        error => failed(error),
    }
}

fn io_failed(error: io::Error) -> StoreError {
    failed(redb::Error::Io(error))
}
