//! How to reach the cluster, as the configuration says it.

use std::path::PathBuf;
use std::time::Duration;

/// `storage "foundationdb" {}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundationDbOptions {
    /// `cluster_file`: names the cluster's coordinators. The library rewrites it when those change. Default:
    /// `/etc/foundationdb/fdb.cluster`.
    pub cluster_file: PathBuf,
    /// `library_path`: FoundationDB's client library. Default: `libfdb_c.so`, from where the system keeps libraries.
    pub library_path: PathBuf,
    /// `tenant_prefix`: what the keys of this deployment begin with, so that others can share the cluster. Default:
    /// `conclave`.
    pub tenant_prefix: String,
    /// `tls_cert_file` and the like. Default: whatever the cluster file asks for, without a certificate.
    pub tls: Option<FoundationDbTls>,
    /// `request_timeout`: how long one read or commit may take. Default: 5s.
    pub request_timeout: Duration,
}

/// How this node shows who it is to the cluster, and whom it believes. The cluster file says whether TLS is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundationDbTls {
    /// `tls_cert_file`: PEM, the node's certificate first.
    pub certificate_file: PathBuf,
    /// `tls_key_file`: PEM.
    pub key_file: PathBuf,
    /// `tls_ca_file`: PEM; who signs the certificates of the cluster.
    pub ca_file: Option<PathBuf>,
    /// `tls_verify_peers`: what else a certificate must say, such as `Check.Valid=1,S.CN=fdb`.
    pub verify_peers: Option<String>,
}

impl Default for FoundationDbOptions {
    fn default() -> Self {
        Self {
            // Where FoundationDB's packages put the two.
            cluster_file: ::foundationdb::default_config_path().into(),
            library_path: "libfdb_c.so".into(),
            tenant_prefix: "conclave".into(),
            tls: None,
            // As long as FoundationDB lets a transaction live.
            request_timeout: Duration::from_secs(5),
        }
    }
}
