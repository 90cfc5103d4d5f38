//! The thread in which FoundationDB's library talks to the cluster. The library allows one of it in the life of a
//! process: it is started with the first store and stops when the program ends.

use std::path::{Path, PathBuf};

use ::foundationdb::api::{FdbApiBuilder, get_max_api_version};
use ::foundationdb::options::NetworkOption;
use parking_lot::Mutex;

use super::library;
use super::options::{FoundationDbOptions, FoundationDbTls};
use crate::error::Error;

/// What this program is written for: FoundationDB 7.3.
const API_VERSION: i32 = 730;

/// The one of this process.
static NETWORK: Mutex<Network> = Mutex::new(Network::NotStarted);

enum Network {
    NotStarted,
    Running(Running),
    /// It was tried, and cannot be tried again.
    Failed(String),
}

struct Running {
    library_path: PathBuf,
    tls: Option<FoundationDbTls>,
}

/// Loads the library and starts the thread, unless that was done.
///
/// # Errors
/// [`Error::Invalid`] naming the option that cannot be used, or that differs from the first store's;
/// [`Error::Unavailable`] when the library refuses to work.
pub(super) fn start(options: &FoundationDbOptions) -> Result<(), Error> {
    let mut network = NETWORK.lock();
    match &*network {
        Network::Failed(why) => return Err(Error::Unavailable(why.clone())),
        Network::Running(running) if running.library_path != options.library_path => {
            return Err(wrong("library_path", "one process loads only one library"));
        }
        Network::Running(running) if running.tls != options.tls => {
            let message = "one process shows only one certificate to FoundationDB";
            return Err(wrong("tls_cert_file", message));
        }
        Network::Running(_) => return Ok(()),
        Network::NotStarted => {}
    }
    for (key, file) in options.tls.iter().flat_map(FoundationDbTls::files) {
        check_readable(key, file)?;
    }
    load(&options.library_path)?;
    match run(options) {
        Ok(running) => {
            *network = Network::Running(running);
            Ok(())
        }
        Err(why) => {
            let why = format!("FoundationDB's library does not start: {why}");
            *network = Network::Failed(why.clone());
            Err(Error::Unavailable(why))
        }
    }
}

/// # Errors
/// [`Error::Invalid`] when a file cannot be read.
pub(super) fn check_readable(key: &'static str, file: &Path) -> Result<(), Error> {
    match std::fs::File::open(file) {
        Ok(_) => Ok(()),
        Err(error) => Err(wrong(key, &format!("{}: {error}", file.display()))),
    }
}

/// A setting that cannot be used, named.
pub(super) fn wrong(key: &'static str, message: &str) -> Error {
    Error::invalid(key, format!("storage \"foundationdb\": {key}: {message}"))
}

fn load(path: &Path) -> Result<(), Error> {
    let refused = |why: &str| {
        let path = path.display();
        let message = format!(
            "{path} cannot be used: {why}; install FoundationDB's client package, version 7.3"
        );
        wrong("library_path", &message)
    };
    library::load(path).map_err(|why| refused(&why))?;
    if get_max_api_version() < API_VERSION {
        return Err(refused("it is too old"));
    }
    Ok(())
}

fn run(options: &FoundationDbOptions) -> Result<Running, String> {
    let mut builder = FdbApiBuilder::default()
        .set_runtime_version(API_VERSION)
        .build()
        .map_err(|error| error.to_string())?;
    for option in options.tls.iter().flat_map(FoundationDbTls::options) {
        let named = format!("{option:?}");
        builder = builder
            .set_option(option)
            .map_err(|error| format!("{named}: {error}"))?;
    }
    let (runner, running) = builder.build().map_err(|error| error.to_string())?;
    library::run(runner)?;
    running.wait();
    Ok(Running {
        library_path: options.library_path.clone(),
        tls: options.tls.clone(),
    })
}

impl FoundationDbTls {
    fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let ca_file = self.ca_file.as_deref().map(|file| ("tls_ca_file", file));
        [
            ("tls_cert_file", self.certificate_file.as_path()),
            ("tls_key_file", self.key_file.as_path()),
        ]
        .into_iter()
        .chain(ca_file)
    }

    fn options(&self) -> impl Iterator<Item = NetworkOption> {
        let path = |path: &Path| path.display().to_string();
        let ca_file = self.ca_file.as_deref().map(path);
        let verify_peers = self.verify_peers.clone().map(String::into_bytes);
        [
            NetworkOption::TLSCertPath(path(&self.certificate_file)),
            NetworkOption::TLSKeyPath(path(&self.key_file)),
        ]
        .into_iter()
        .chain(ca_file.map(NetworkOption::TLSCaPath))
        .chain(verify_peers.map(NetworkOption::TLSVerifyPeers))
    }
}
