//! Files that hold a private key: read only when nobody but their owner may, written for the owner's eyes only, and never
//! over another file.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::Error;

/// A PEM file with one key has some hundred bytes; comments and line ends may be around it.
const MAX_FILE_BYTES: usize = 4096;

/// What the file holds. `field` names the setting in complaints.
///
/// # Errors
/// [`Error::Invalid`] when the file is not there, may be read by others than its owner, or is no text.
pub fn read(field: &'static str, path: &Path) -> Result<Zeroizing<String>, Error> {
    read_bounded(field, path, MAX_FILE_BYTES)
}

/// The same for files that may be longer than one key; the rest of one that is too long is left out.
///
/// # Errors
/// As [`read`].
pub fn read_bounded(
    field: &'static str,
    path: &Path,
    most_bytes: usize,
) -> Result<Zeroizing<String>, Error> {
    let refuse = |what: fmt::Arguments<'_>| {
        Err(Error::invalid(field, format!("{}: {what}", path.display())))
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return refuse(format_args!("cannot be opened: {error}")),
    };
    let mode = match file.metadata() {
        Ok(metadata) if metadata.is_file() => metadata.permissions().mode() & 0o777,
        Ok(_) => return refuse(format_args!("is not a file")),
        Err(error) => return refuse(format_args!("cannot be read: {error}")),
    };
    if mode & 0o077 != 0 {
        return refuse(format_args!(
            "others than its owner may use this private key (mode {mode:04o}); run chmod 600 on it"
        ));
    }
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(most_bytes));
    if let Err(error) = file.take(most_bytes as u64).read_to_string(&mut text) {
        return refuse(format_args!("cannot be read: {error}"));
    }
    Ok(text)
}

/// Writes `content` to `path`, which must not exist yet, and makes sure that it is on disk: what a lost key signed or
/// opened cannot be made again.
///
/// # Errors
/// What the system says.
pub fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    match path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
