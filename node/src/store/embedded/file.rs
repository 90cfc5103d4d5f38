//! The file on disk: made for its owner only, opened by one process at a time.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError};

use super::super::StoreError;
use super::EmbeddedOptions;
use super::snapshot::{failed, guarded};

/// Opens or makes the file at `path` in `folder`.
pub(super) fn open(
    folder: &Path,
    path: &Path,
    options: EmbeddedOptions,
) -> Result<Database, StoreError> {
    let file =
        open_file(folder, path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    guarded(|| {
        let backend = FileBackend::new(file).map_err(refused)?;
        Database::builder()
            .set_cache_size(options.cache_bytes)
            .create_with_backend(backend)
            .map_err(refused)
    })
}

fn open_file(folder: &Path, path: &Path) -> io::Result<File> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let is_new = !path.try_exists()?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    if is_new {
        // Without this, a power cut could take the file's name away and leave its acknowledged commits nowhere.
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

fn refused(error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            StoreError::Unavailable("it is in use by another process".into())
        }
        error => failed(error),
    }
}
