//! A file that audit lines are appended to.
//!
//! A line is one `write` at the end of the file, made by the thread that serves the request; the lock around it covers
//! nothing else, and the system takes one of its own for the same time. With `sync`, lines that wait at once share one
//! `fdatasync`. A line that was cut off, because the disk became full, is ended before the next one.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::error::Error;

/// The path that means standard output, as in Vault.
const STANDARD_OUTPUT: &str = "stdout";

/// How a device is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// How it is called in `sys/audit`, without slash.
    pub name: String,
    /// `path`: the file, which is made when it is missing, or `stdout`.
    pub path: PathBuf,
    /// `sync`: whether a line must have reached the disk, not only the system. Default: false.
    pub sync: bool,
    /// `mode`: the file's permissions. Default: 0600 for a file that is made, and those it has for one that exists.
    pub mode: Option<u32>,
    /// `prefix`: what stands before each line. Default: nothing.
    pub prefix: String,
}

/// An open device.
pub struct FileDevice {
    options: FileOptions,
    open: Mutex<Open>,
    /// Held during `fdatasync`: how many lines have reached the disk.
    synced: tokio::sync::Mutex<u64>,
    /// Whether the last line failed, so that a full disk is not logged once per request.
    failing: AtomicBool,
}

struct Open {
    file: Arc<File>,
    lines: u64,
    /// Whether the last line was cut off.
    torn: bool,
}

impl FileDevice {
    /// Opens the file.
    ///
    /// # Errors
    /// [`Error::Invalid`] when that is not possible.
    pub fn open(options: FileOptions) -> Result<Self, Error> {
        let file = open_file(&options).map_err(|error| {
            let path = options.path.display();
            Error::invalid("path", format!("audit file {path}: {error}"))
        })?;
        Ok(Self {
            options,
            open: Mutex::new(Open {
                file: Arc::new(file),
                lines: 0,
                torn: false,
            }),
            synced: tokio::sync::Mutex::new(0),
            failing: AtomicBool::new(false),
        })
    }

    /// How it is configured.
    pub fn options(&self) -> &FileOptions {
        &self.options
    }

    /// Opens the file at its path again, which lets a log be moved away. When that fails, the old one stays in use.
    pub fn reopen(&self) {
        let reopened = open_file(&self.options).and_then(|file| {
            let mut open = self.open.lock();
            if self.options.sync {
                // Lines whose requests still wait for the disk are in the old file.
                open.file.sync_data()?;
            }
            open.file = Arc::new(file);
            open.torn = false;
            Ok(())
        });
        let file = self.options.path.display();
        match reopened {
            Ok(()) => tracing::info!(%file, "opened the audit file again"),
            Err(error) => tracing::error!(%file, %error, "the old audit file stays in use"),
        }
    }

    /// Appends a line, given without its end; says which one it is. It has reached the system when this returns.
    ///
    /// # Errors
    /// What the system says.
    pub fn append(&self, line: &str) -> io::Result<u64> {
        let mut open = self.open.lock();
        let mut bytes = Vec::with_capacity(line.len() + self.options.prefix.len() + 2);
        if open.torn {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(self.options.prefix.as_bytes());
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        let file = Arc::clone(&open.file);
        // From here on, unless it ends well.
        open.torn = true;
        (&*file).write_all(&bytes)?;
        open.torn = false;
        open.lines += 1;
        Ok(open.lines)
    }

    /// Waits until a line has reached the disk, if the device is to.
    ///
    /// # Errors
    /// What the system says.
    pub async fn reached_disk(&self, line: u64) -> io::Result<()> {
        if !self.options.sync {
            return Ok(());
        }
        let mut synced = self.synced.lock().await;
        if *synced >= line {
            return Ok(());
        }
        let (file, lines) = {
            let open = self.open.lock();
            (Arc::clone(&open.file), open.lines)
        };
        tokio::task::spawn_blocking(move || file.sync_data())
            .await
            .map_err(io::Error::other)??;
        *synced = lines;
        Ok(())
    }

    /// Takes note of how a line went. The first failure and the first success after one are logged.
    pub fn note_outcome(&self, error: Option<&io::Error>) {
        let was_failing = self.failing.swap(error.is_some(), Ordering::Relaxed);
        let file = self.options.path.display();
        match error {
            Some(error) if !was_failing => {
                tracing::error!(%file, %error, "the audit file cannot be written");
            }
            None if was_failing => tracing::info!(%file, "the audit file can be written again"),
            _ => {}
        }
    }
}

fn open_file(options: &FileOptions) -> io::Result<File> {
    if options.path.as_os_str() == STANDARD_OUTPUT {
        let handle = rustix::io::dup(io::stdout())?;
        return Ok(File::from(handle));
    }
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(options.mode.unwrap_or(0o600))
        .open(&options.path)?;
    let metadata = file.metadata()?;
    let kind = metadata.file_type();
    // A reader that is slow or gone would hold up every request.
    if kind.is_fifo() || kind.is_socket() {
        return Err(io::Error::other("is a pipe or socket; a file is needed"));
    }
    if let Some(mode) = options.mode
        && kind.is_file()
        && metadata.permissions().mode() & 0o7777 != mode
    {
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(path: impl Into<PathBuf>) -> FileOptions {
        FileOptions {
            name: "file".into(),
            path: path.into(),
            sync: false,
            mode: None,
            prefix: String::new(),
        }
    }

    #[test]
    fn lines_of_many_threads_stay_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let device = FileDevice::open(FileOptions {
            prefix: "@cee: ".into(),
            ..options(&path)
        })
        .unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let device = &device;
                scope.spawn(move || {
                    for number in 0..100 {
                        let line = format!("{thread} {number} {}", "x".repeat(number * 50));
                        device.append(&line).unwrap();
                    }
                });
            }
        });
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 800);
        for line in text.lines() {
            let words: Vec<&str> = line.strip_prefix("@cee: ").unwrap().split(' ').collect();
            let number: usize = words[1].parse().unwrap();
            assert_eq!(words[2].len(), number * 50);
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_line_that_was_cut_off_is_ended_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let device = FileDevice::open(options(&path)).unwrap();
        device.append("one").unwrap();
        {
            let mut open = device.open.lock();
            (&*open.file).write_all(b"{\"cut").unwrap();
            open.torn = true;
        }
        device.append("two").unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "one\n{\"cut\ntwo\n"
        );
    }

    #[test]
    fn a_log_can_be_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("a"), folder.path().join("b"));
        let device = FileDevice::open(FileOptions {
            mode: Some(0o640),
            ..options(&path)
        })
        .unwrap();
        device.append("old").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        device.append("late").unwrap();
        device.reopen();
        device.append("new").unwrap();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "old\nlate\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        std::fs::remove_dir_all(folder.path()).unwrap();
        device.reopen();
        device.append("still").unwrap();
    }

    #[actix::test]
    async fn lines_that_wait_for_the_disk_share_the_wait() {
        let folder = tempfile::tempdir().unwrap();
        let device = FileDevice::open(FileOptions {
            sync: true,
            ..options(folder.path().join("audit.log"))
        })
        .unwrap();
        let first = device.append("one").unwrap();
        let last = device.append("two").unwrap();
        device.reached_disk(first).await.unwrap();
        assert_eq!(*device.synced.lock().await, last);
        device.reached_disk(last).await.unwrap();
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        let full = FileDevice::open(options("/dev/full")).unwrap();
        assert!(full.append("line").is_err());
        assert!(FileDevice::open(options("/nonexistent/folder/file")).is_err());
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        // A reader, so that opening it to write does not wait.
        let _reader = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&pipe)
            .unwrap();
        assert!(FileDevice::open(options(&pipe)).is_err());
    }
}
