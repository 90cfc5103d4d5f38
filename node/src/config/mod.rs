//! The node's settings: what `conclave server --config node.hcl` is told. Tenants' settings live in the store.
//!
//! The file is HCL in Vault's own vocabulary. Unknown keys and unusable values are refused, each in one line that names
//! the file and the key. A variable `CONCLAVE_<KEY>` overrides the top-level key of that name; the environment is handed
//! in, so tests need none. Relative paths are relative to the working directory, as Vault takes them.

mod cluster;
mod operations;
mod read;
mod section;
mod storage;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::audit::file::FileOptions;
use crate::store::foundationdb::FoundationDbOptions;
use crate::store::postgres::PostgresOptions;

pub use cluster::{ClusterConfig, Host, WireGuard};

/// The largest configuration file that is read. A real one has a few kilobytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Vault's listener default, and room for the largest secret that its clients expect to store.
const DEFAULT_MAX_REQUEST_BYTES: u64 = 32 * 1024 * 1024;
/// Vault's listener default.
const DEFAULT_MAX_REQUEST_DURATION: Duration = Duration::from_secs(90);
/// Vault's system default, 32 days.
const DEFAULT_LEASE_TTL: Duration = Duration::from_secs(768 * 3600);
/// Enough for the hot rows of a small node, little enough for any machine that runs one.
const DEFAULT_CACHE_BYTES: u64 = 128 * 1024 * 1024;

/// Everything a node is told at its start. [`Config::load`] gives only settings that fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `storage "..." {}`: where rows are kept.
    pub storage: Storage,
    /// `listener "tcp" {}`, one or more: where requests come in. Never empty.
    pub listeners: Vec<Listener>,
    /// `cluster {}` and `wireguard {}`: the other nodes. Default: there are none.
    pub cluster: Option<ClusterConfig>,
    /// `api_addr`: the URL that clients use. Default: made from the first listener.
    pub api_addr: String,
    /// `cluster_name`: shown by `sys/seal-status` and `sys/health`. Default: `conclave`.
    pub cluster_name: String,
    /// `default_addon`: the name of the add-on that answers requests which name none. Default: `default`.
    pub default_addon: String,
    /// `addon_domain`: with `kms.example.org`, the host name `shop.kms.example.org` means the add-on `shop`. Default:
    /// host names mean nothing.
    pub addon_domain: Option<String>,
    /// `operator_key`: the file with the private key that signs add-on tokens. Default: `operator.key` in the folder of
    /// the embedded store; `None` with an in-memory store. Nodes need it only to be made on the first start. With a
    /// store that nodes share, it or `operator_public_key` must be given.
    pub operator_key: Option<PathBuf>,
    /// `operator_public_key`: what nodes check tokens with. Default: derived from the file `operator_key`.
    pub operator_public_key: Option<OperatorPublicKey>,
    /// `reported_version`: the version that clients are told, for those that gate features on Vault's number.
    /// Default: the version of this program.
    pub reported_version: Option<String>,
    /// `unauthenticated_seal_routes`: whether init and unseal of the default add-on need no token, Vault's habit.
    /// Default: true only while every listener is on loopback.
    pub unauthenticated_seal_routes: bool,
    /// `default_lease_ttl`: how long a token lives that asks for nothing. Default: 768h.
    pub default_lease_ttl: Duration,
    /// `max_lease_ttl`: how long a token may live at most. Default: 768h.
    pub max_lease_ttl: Duration,
    /// `log_level`: `trace`, `debug`, `info`, `warn` or `error`. Default: `info`.
    pub log_level: LogLevel,
    /// `log_format`: `text` or `json`. Default: `text`.
    pub log_format: LogFormat,
    /// `staleness_max`: how far behind the store a cached grant may be. Default: 500ms.
    pub staleness_max: Duration,
    /// `audit "file" {}`, any number: where it is written down who asked for what. Default: nowhere.
    pub audit: Vec<FileOptions>,
    /// `telemetry {}`: where the node's metrics are read. Default: nowhere.
    pub telemetry: Option<Telemetry>,
    /// `disable_mlock`: leave memory unlocked, so that it may be swapped out. Default: false.
    pub disable_mlock: bool,
    /// `attempt_ttl`: after how long an unfinished unseal, rekey or generate-root is forgotten. Default: 1h.
    pub attempt_ttl: Duration,
    /// `outage_grace`: how long keys stay in memory while the store is away. Default: 15m.
    pub outage_grace: Duration,
    /// `seal_handoff`: `peers` to take over the keys of open add-ons from other nodes after a restart, and to give them;
    /// `none` to wait for shares. Default: `peers`.
    pub seal_handoff: bool,
    /// `state_dir`: where the node keeps what it must not forget while the store is away. Default: the embedded store's
    /// folder, else nowhere.
    pub state_dir: Option<PathBuf>,
}

/// Where a configuration comes from, to read it again.
#[derive(Clone)]
pub struct Source {
    file: PathBuf,
    overrides: Vec<(String, String)>,
}

impl Source {
    /// `file`, with those variables of `environment` that override it.
    pub fn new<'a>(
        file: PathBuf,
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let overrides = environment
            .into_iter()
            .filter(|(name, _)| section::is_override(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            file,
            overrides: overrides.collect(),
        }
    }

    /// What it says now.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting that cannot be used.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let overrides = self.overrides.iter();
        Config::load(
            &self.file,
            overrides.map(|(name, value)| (name.as_str(), value.as_str())),
        )
    }
}

/// Where rows are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// `storage "embedded"`: one file of this process.
    Embedded {
        /// `path`: the folder of the data file. Made when it is missing.
        path: PathBuf,
        /// `cache_size`: bytes of rows kept in memory. Default: 134217728 (128 MiB).
        cache_bytes: u64,
    },
    /// `storage "foundationdb"`: a cluster that several nodes share.
    FoundationDb(FoundationDbOptions),
    /// `storage "postgres"`: a database that several nodes share.
    Postgres(PostgresOptions),
    /// `storage "inmem"`: memory; a restart loses everything.
    InMemory,
}

/// One `listener "tcp"` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `address`: IP address and port. Default: `127.0.0.1:8200`.
    pub address: SocketAddr,
    /// `tls_cert_file` and `tls_key_file`; `None` after `tls_disable = true`.
    pub tls: Option<ListenerTls>,
    /// `max_request_size`: bytes of a request's body; more is answered 413. Default: 33554432 (32 MiB).
    pub max_request_bytes: u64,
    /// `max_request_duration`: how long a request may take. Default: 90s.
    pub max_request_duration: Duration,
}

/// `telemetry {}`: a listener of its own, for the operator's Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// `prometheus_address`: IP address and port.
    pub address: SocketAddr,
    /// `tls_cert_file` and `tls_key_file`; `None` on loopback without them, or after `tls_disable = true`.
    pub tls: Option<ListenerTls>,
}

/// The certificate of one listener, read again on SIGHUP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// `tls_cert_file`: PEM, the node's certificate first.
    pub certificate_file: PathBuf,
    /// `tls_key_file`: PEM.
    pub key_file: PathBuf,
}

/// The public half of the operator key, as the configuration gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorPublicKey {
    /// The key itself: 32 bytes of Ed25519, written as 64 hex digits.
    Inline([u8; 32]),
    /// A file that holds it.
    File(PathBuf),
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// What helps to find a mistake.
    Debug,
    /// What an operator wants to know.
    Info,
    /// What an operator should look at.
    Warn,
    /// What an operator must look at.
    Error,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A setting that cannot be used. Prints as one line: where, which key, what is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    place: String,
    key: Option<String>,
    message: String,
}

impl Config {
    /// Reads the file and the overrides in `environment`, of which only names that start with `CONCLAVE_` are looked at.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting that cannot be used.
    pub fn load<'a>(
        file: &Path,
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        let name = file.display().to_string();
        let unreadable =
            |why: &dyn fmt::Display| ConfigError::new(&name, format!("cannot be read: {why}"));
        let bytes = std::fs::metadata(file)
            .map_err(|error| unreadable(&error))?
            .len();
        if bytes > MAX_FILE_BYTES {
            return Err(unreadable(&format!("larger than {MAX_FILE_BYTES} bytes")));
        }
        let text = std::fs::read_to_string(file).map_err(|error| unreadable(&error))?;
        Self::parse(&name, &text, environment)
    }

    /// The same from text; `name` stands in for the file in messages.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting that cannot be used.
    pub fn parse<'a>(
        name: &str,
        text: &str,
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        read::config(name, text, environment)
    }

    /// What `conclave server --dev` runs with: everything in memory, plain HTTP on a loopback address.
    ///
    /// # Errors
    /// [`ConfigError`] when `address` is not on loopback: a dev node has no secrets worth the name.
    pub fn dev(address: SocketAddr) -> Result<Self, ConfigError> {
        if !address.ip().is_loopback() {
            return Err(ConfigError::new(
                "--dev-listen-address",
                format!("{address} is not a loopback address; a dev node listens on nothing else"),
            ));
        }
        let listener = Listener {
            address,
            ..Listener::default()
        };
        Ok(Self {
            api_addr: listener.url(),
            listeners: vec![listener],
            ..Self::default()
        })
    }

    /// Where a command on this machine finds the node, if it runs: the first listener, and loopback for one that
    /// listens on every address.
    pub fn local_url(&self) -> String {
        self.listeners
            .first()
            .map_or_else(|| self.api_addr.clone(), Listener::url)
    }

    /// Whether nothing but this machine can reach any listener.
    pub fn is_loopback_only(&self) -> bool {
        self.listeners
            .iter()
            .all(|listener| listener.address.ip().is_loopback())
    }
}

/// An in-memory node on loopback.
impl Default for Config {
    fn default() -> Self {
        let listener = Listener::default();
        Self {
            storage: Storage::InMemory,
            api_addr: listener.url(),
            listeners: vec![listener],
            cluster: None,
            cluster_name: "conclave".into(),
            default_addon: "default".into(),
            addon_domain: None,
            operator_key: None,
            operator_public_key: None,
            reported_version: None,
            unauthenticated_seal_routes: true,
            default_lease_ttl: DEFAULT_LEASE_TTL,
            max_lease_ttl: DEFAULT_LEASE_TTL,
            log_level: LogLevel::Info,
            log_format: LogFormat::Text,
            staleness_max: Duration::from_millis(500),
            audit: Vec::new(),
            telemetry: None,
            disable_mlock: false,
            attempt_ttl: Duration::from_secs(3600),
            outage_grace: Duration::from_secs(15 * 60),
            seal_handoff: true,
            state_dir: None,
        }
    }
}

/// Plain HTTP on 127.0.0.1:8200.
impl Default for Listener {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8200)),
            tls: None,
            max_request_bytes: DEFAULT_MAX_REQUEST_BYTES,
            max_request_duration: DEFAULT_MAX_REQUEST_DURATION,
        }
    }
}

impl Listener {
    /// The URL of this listener, with loopback in place of the unspecified address.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        format!("{scheme}://{address}")
    }
}

impl LogLevel {
    /// As the configuration and `tracing` write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl ConfigError {
    /// Something wrong with the place as a whole.
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            key: None,
            message: message.into(),
        }
    }

    /// Something wrong with one key.
    fn at(place: impl Into<String>, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: Some(key.into()),
            ..Self::new(place, message)
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.place)?;
        if let Some(key) = &self.key {
            write!(formatter, "{key}: ")?;
        }
        // Parser messages may hold line breaks; an error is one line.
        let words: Vec<&str> = self.message.split_whitespace().collect();
        formatter.write_str(&words.join(" "))
    }
}

impl std::error::Error for ConfigError {}
