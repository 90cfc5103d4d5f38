//! How to reach the database, as the configuration says it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

/// `storage "postgres" {}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresOptions {
    /// `url`: `postgres://user@host:5432/database`, or PostgreSQL's `host=... dbname=...`. Several hosts may be named;
    /// the one that takes writes is used.
    pub url: ConnectionUrl,
    /// `password_file`: holds the password, so that the configuration need not. Read again for each connection.
    pub password_file: Option<PathBuf>,
    /// `tls_ca_file`: PEM; who signs the server's certificate. With it, connections are encrypted and the server's name
    /// is verified.
    pub tls_ca_file: Option<PathBuf>,
    /// `tls_disable`: whether to connect without TLS to another machine.
    pub tls_disable: bool,
    /// `max_connections`: how many connections this node keeps at most. Default: 16.
    pub max_connections: u32,
    /// `connect_timeout`: how long one host may take to let this node in. Default: 2s.
    pub connect_timeout: Duration,
    /// `request_timeout`: how long one read or commit may take, waiting for a connection included. Default: 5s.
    pub request_timeout: Duration,
}

impl PostgresOptions {
    /// The defaults, for the database at `url`.
    pub fn new(url: ConnectionUrl) -> Self {
        Self {
            url,
            password_file: None,
            tls_ca_file: None,
            tls_disable: false,
            // Each connection is a process of the server, which by default takes 100 of them from all nodes.
            max_connections: 16,
            // A server in reach answers in milliseconds; two seconds let one lost packet be sent again.
            connect_timeout: Duration::from_secs(2),
            // What FoundationDB allows a transaction.
            request_timeout: Duration::from_secs(5),
        }
    }
}

/// A connection string. It may hold a password, so it does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionUrl(Zeroizing<String>);

impl ConnectionUrl {
    /// Takes the string as given; [`PostgresStore::open`](super::PostgresStore::open) reads it.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The string itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConnectionUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ConnectionUrl(..)")
    }
}
