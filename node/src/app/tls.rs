//! TLS at the node: rustls with TLS 1.2 and 1.3, the certificate read again on SIGHUP.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::ListenerTls;
use crate::error::Error;

/// The certificate in use.
struct Certificate(ArcSwap<CertifiedKey>);

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Certificate(..)")
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// What a listener needs, from its files; keeps reading them again on each SIGHUP.
///
/// # Errors
/// [`Error::Invalid`] naming the file that cannot be used.
pub fn server_config(files: &ListenerTls) -> Result<ServerConfig, Error> {
    let certificate = Arc::new(Certificate(ArcSwap::from_pointee(load(files)?)));
    reload_on_hangup(files.clone(), Arc::clone(&certificate))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Bug(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    Ok(config)
}

fn reload_on_hangup(files: ListenerTls, certificate: Arc<Certificate>) -> Result<(), Error> {
    let mut hangups =
        signal(SignalKind::hangup()).map_err(|error| Error::Unavailable(error.to_string()))?;
    actix_web::rt::spawn(async move {
        while hangups.recv().await.is_some() {
            match load(&files) {
                Ok(key) => {
                    certificate.0.store(Arc::new(key));
                    tracing::info!(file = %files.certificate_file.display(), "read the certificate again");
                }
                Err(error) => tracing::error!(%error, "the old certificate stays in use"),
            }
        }
    });
    Ok(())
}

fn load(files: &ListenerTls) -> Result<CertifiedKey, Error> {
    let wrong = |field, path: &std::path::Path, error: &dyn fmt::Display| {
        Error::invalid(field, format!("{}: {error}", path.display()))
    };
    let path = &files.certificate_file;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| wrong("tls_cert_file", path, &error))?;
    if chain.is_empty() {
        return Err(wrong("tls_cert_file", path, &"holds no certificate"));
    }
    let path = &files.key_file;
    let key =
        PrivateKeyDer::from_pem_file(path).map_err(|error| wrong("tls_key_file", path, &error))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| wrong("tls_key_file", path, &error))
}
