//! Makes connections: to the primary and to nothing else, over TLS where the network is not this machine's own, with
//! the settings that the store counts on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use zeroize::Zeroizing;

use super::super::StoreError;
use super::failure::describe;
use super::options::PostgresOptions;
use super::session::{self, Backend, Server};
use crate::error::Error;

/// How soon a connection whose other end is gone without a word is noticed.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// See the module's documentation.
pub(super) struct Connector {
    /// One for each host, in the order given.
    hosts: Vec<Config>,
    /// The host that was the primary last.
    preferred: AtomicUsize,
    password_file: Option<PathBuf>,
    tls: Option<MakeRustlsConnect>,
    connect_timeout: Duration,
    session: String,
}

/// A connection to the primary, and what it said of itself.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) server: Server,
    pub(super) backend: Backend,
}

impl Connector {
    /// Reads the options.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the option that cannot be used.
    pub(super) fn new(options: &PostgresOptions) -> Result<Self, Error> {
        let url: Config = options.url.expose().parse().map_err(unreadable)?;
        if options.tls_disable && options.tls_ca_file.is_some() {
            return Err(wrong("tls_disable", "contradicts tls_ca_file"));
        }
        let tls = options.tls_ca_file.as_ref().map(tls).transpose()?;
        if tls.is_none() && url.get_ssl_mode() == SslMode::Require {
            let message = "is missing, but sslmode=require asks for TLS";
            return Err(wrong("tls_ca_file", message));
        }
        let is_local = url
            .get_hostaddrs()
            .iter()
            .all(|address| address.is_loopback())
            && url.get_hosts().iter().all(is_local);
        if tls.is_none() && !options.tls_disable && !is_local {
            let message =
                "is missing, and the database is on another machine; or set tls_disable = true";
            return Err(wrong("tls_ca_file", message));
        }
        Ok(Self {
            hosts: hosts(&url, tls.is_some())?,
            preferred: AtomicUsize::new(0),
            password_file: options.password_file.clone(),
            tls,
            connect_timeout: options.connect_timeout,
            session: session::settings(options.request_timeout),
        })
    }

    /// Connects to the host that takes writes.
    pub(super) async fn connect(&self) -> Result<Connected, StoreError> {
        let preferred = self.preferred.load(Ordering::Relaxed);
        let mut reasons = Vec::with_capacity(self.hosts.len());
        for step in 0..self.hosts.len() {
            let index = (preferred + step) % self.hosts.len();
            let Some(host) = self.hosts.get(index) else {
                continue;
            };
            let reason = match timeout(self.connect_timeout, self.connect_to(host)).await {
                Ok(Ok(connected)) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(connected);
                }
                Ok(Err(reason)) => reason,
                Err(_) => "it does not answer".into(),
            };
            reasons.push(format!("{}: {reason}", name(host)));
        }
        Err(StoreError::Unavailable(reasons.join("; ")))
    }

    async fn connect_to(&self, host: &Config) -> Result<Connected, String> {
        let mut host = host.clone();
        if let Some(file) = &self.password_file {
            let wrong = |error| format!("password_file {}: {error}", file.display());
            let password = std::fs::read_to_string(file).map(Zeroizing::new);
            host.password(password.map_err(wrong)?.trim_end_matches(['\r', '\n']));
        }
        let client = match &self.tls {
            Some(tls) => {
                let connection = host.connect(tls.clone()).await;
                connection.map(|(client, driver)| drive(client, driver))
            }
            None => {
                let connection = host.connect(NoTls).await;
                connection.map(|(client, driver)| drive(client, driver))
            }
        }
        .map_err(|error| describe(&error))?;
        let answers = client.simple_query(&self.session).await;
        let (server, backend) = session::check(&answers.map_err(|error| describe(&error))?)?;
        Ok(Connected {
            client,
            server,
            backend,
        })
    }
}

/// Lets the connection's two ends talk until the client is dropped.
fn drive<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    client: Client,
    driver: tokio_postgres::Connection<Socket, S>,
) -> Client {
    tokio::spawn(async move {
        if let Err(error) = driver.await {
            tracing::debug!(reason = describe(&error), "a database connection ended");
        }
    });
    client
}

/// One configuration for each host, so that each has its own time: a host that hangs must not use up the others'.
fn hosts(url: &Config, with_tls: bool) -> Result<Vec<Config>, Error> {
    let (names, addresses) = (url.get_hosts(), url.get_hostaddrs());
    let count = names.len().max(addresses.len());
    let fits = |others: usize| others <= 1 || others == count;
    if count == 0
        || !fits(url.get_ports().len())
        || !(names.is_empty() || addresses.is_empty() || names.len() == addresses.len())
    {
        let message = "names no host, or not as many hosts as addresses and ports";
        return Err(wrong("url", message));
    }
    let host = |index: usize| {
        let mut host = Config::new();
        match names.get(index) {
            Some(Host::Tcp(name)) => drop(host.host(name)),
            Some(Host::Unix(folder)) => drop(host.host_path(folder)),
            None => {}
        }
        if let Some(address) = addresses.get(index) {
            host.hostaddr(*address);
        }
        let ports = url.get_ports();
        if let Some(port) = ports.get(index).or(ports.first()) {
            host.port(*port);
        }
        if let Some(user) = url.get_user() {
            host.user(user);
        }
        if let Some(password) = url.get_password() {
            host.password(password);
        }
        if let Some(database) = url.get_dbname() {
            host.dbname(database);
        }
        host.application_name(url.get_application_name().unwrap_or("conclave"))
            .ssl_mode(if with_tls {
                SslMode::Require
            } else {
                SslMode::Disable
            })
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(KEEPALIVE / 3)
            .keepalives_retries(3);
        host
    };
    Ok((0..count).map(host).collect())
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse()
                    .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
    }
}

fn name(host: &Config) -> String {
    let name = match (host.get_hosts().first(), host.get_hostaddrs().first()) {
        (Some(Host::Tcp(name)), _) => name.clone(),
        (Some(Host::Unix(folder)), _) => folder.display().to_string(),
        (None, Some(address)) => address.to_string(),
        (None, None) => String::new(),
    };
    match host.get_ports().first() {
        Some(port) => format!("{name}:{port}"),
        None => name,
    }
}

fn tls(file: &PathBuf) -> Result<MakeRustlsConnect, Error> {
    let unusable = |why: String| wrong("tls_ca_file", format!("{}: {why}", file.display()));
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(|error| unusable(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("holds no certificate".into()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Bug(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// A complaint about one option.
fn wrong(option: &'static str, message: impl std::fmt::Display) -> Error {
    Error::invalid(option, format!("{option}: {message}"))
}

/// The library's own message is shown only where it cannot quote a piece of a password.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: tokio_postgres::Error) -> Error {
    let reason = describe(&error);
    let Some(start) = reason.find("invalid value for option") else {
        return wrong(
            "url",
            "must be of the form postgres://user@host:5432/database",
        );
    };
    let what = reason.get(start..).unwrap_or_default();
    let hint = if what.contains("sslmode") {
        "; with tls_ca_file, the server's name is always verified"
    } else {
        ""
    };
    wrong("url", format_args!("{what}{hint}"))
}
