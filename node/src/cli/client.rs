//! The HTTP client of the command line. It finds and trusts a node as the Vault CLI does (`VAULT_ADDR`, `VAULT_CACERT`,
//! `VAULT_SKIP_VERIFY` and their `BAO_` forms), waits a bounded time for a bounded answer, follows no redirects and
//! uses no proxy, so a token reaches the node that was named and nobody else.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::header::HeaderValue;
use ureq::http::{Method, Request, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::Failure;
use super::environment::Environment;
use crate::secret::Secret;

/// The Vault CLI's own default.
const DEFAULT_ADDRESS: &str = "https://127.0.0.1:8200";
/// The Vault CLI's own default.
const TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The node's own limit on a request, so that whatever was stored can be read.
const MAX_ANSWER_BYTES: u64 = 32 * 1024 * 1024;
/// A bundle of all public certificate authorities has a quarter of this.
const MAX_CERTIFICATE_FILE_BYTES: u64 = 1024 * 1024;
/// Where Debian, Red Hat and Alpine keep the certificate authorities that the system trusts.
const SYSTEM_CERTIFICATES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// A connection to one node with one token.
pub(super) struct Client {
    agent: Agent,
    address: String,
    token: Secret<String>,
}

/// What the node answered.
pub(super) struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The body; `Null` when there was none.
    pub body: Value,
}

/// Why there is no answer.
pub(super) enum CallError {
    /// Nobody listens there.
    Refused(Failure),
    /// Anything else.
    Failed(Failure),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let (CallError::Refused(failure) | CallError::Failed(failure)) = error;
        failure
    }
}

impl Client {
    /// A client of the node at `address`, or where the environment says.
    pub(super) fn new(
        address: Option<&str>,
        token: Secret<String>,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let address = address
            .or_else(|| environment.vault("ADDR"))
            .unwrap_or(DEFAULT_ADDRESS)
            .trim_end_matches('/');
        if !address.starts_with("http://") && !address.starts_with("https://") {
            return Err(Failure::Local(format!(
                "the address {address:?} is not a URL such as https://127.0.0.1:8200"
            )));
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT));
        if address.starts_with("https://") {
            config = config.tls_config(tls(environment)?);
        }
        Ok(Self {
            agent: config.build().into(),
            address: address.to_owned(),
            token,
        })
    }

    /// Where it talks to.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Reads what is at `path` (below `/v1/`, already percent-encoded).
    pub(super) fn get(&self, path: &str) -> Result<Answer, CallError> {
        self.send(Method::GET, path, None)
    }

    /// Writes to `path`.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Answer, CallError> {
        self.send(Method::POST, path, Some(("application/json", body)))
    }

    /// Changes part of what is at `path` (RFC 7396).
    pub(super) fn patch(&self, path: &str, body: &Value) -> Result<Answer, CallError> {
        self.send(
            Method::PATCH,
            path,
            Some(("application/merge-patch+json", body)),
        )
    }

    /// Removes what is at `path`.
    pub(super) fn delete(&self, path: &str) -> Result<Answer, CallError> {
        self.send(Method::DELETE, path, None)
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Answer, CallError> {
        let url = format!("{}/v1/{path}", self.address);
        let shown = format!("{method} {url}");
        let local = |message: String| CallError::Failed(Failure::Local(message));
        let mut token = HeaderValue::from_str(self.token.expose())
            .map_err(|_| local("the token holds characters that no token has".into()))?;
        token.set_sensitive(true);
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header("X-Vault-Request", "true")
            .header("X-Vault-Token", token);
        let unusable = |error| local(format!("{shown}: {error}"));
        let sent = match body {
            Some((media_type, body)) => {
                let request = request.header("Content-Type", media_type);
                self.agent
                    .run(request.body(body.to_string()).map_err(unusable)?)
            }
            None => self.agent.run(request.body(()).map_err(unusable)?),
        };
        let mut response = sent.map_err(|error| failed(&shown, &error))?;
        let status = response.status();
        let text = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER_BYTES)
            .read_to_vec()
            .map_err(|error| failed(&shown, &error))?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&text).map_err(|_| {
                CallError::Failed(Failure::Remote(format!(
                    "{shown}: {status}, and no JSON; is this a Conclave node?"
                )))
            })?
        };
        Ok(Answer { status, body })
    }
}

impl Answer {
    /// The envelope's `data`, or why the node did not do it.
    pub(super) fn data(&self) -> Result<&Value, Failure> {
        if self.status.is_success() {
            return Ok(self.body.get("data").unwrap_or(&Value::Null));
        }
        if self.status.is_redirection() {
            return Err(Failure::remote(
                "the node sends us elsewhere, and no redirects are followed",
            ));
        }
        let reasons: Vec<&str> = self.errors().collect();
        Err(Failure::Remote(match reasons.as_slice() {
            [] => format!("the node answered {}", self.status),
            reasons => format!(
                "the node answered {}: {}",
                self.status.as_u16(),
                reasons.join("; ")
            ),
        }))
    }

    /// The messages of Vault's error list.
    pub(super) fn errors(&self) -> impl Iterator<Item = &str> {
        let list = self.body.get("errors").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str)
    }
}

fn failed(shown: &str, error: &ureq::Error) -> CallError {
    let failure = Failure::Remote(format!("no answer to {shown}: {error}"));
    match error {
        ureq::Error::Io(io) if io.kind() == ErrorKind::ConnectionRefused => {
            CallError::Refused(failure)
        }
        _ => CallError::Failed(failure),
    }
}

fn tls(environment: &Environment) -> Result<TlsConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    if environment.vault_flag("SKIP_VERIFY") {
        return Ok(builder.disable_verification(true).build());
    }
    let certificates = match environment.vault("CACERT") {
        Some(file) => certificates(file)?,
        None => SYSTEM_CERTIFICATES
            .into_iter()
            .find_map(|file| certificates(file).ok())
            .ok_or_else(|| {
                Failure::local(
                    "no system certificates (Debian: package ca-certificates); or set VAULT_CACERT",
                )
            })?,
    };
    Ok(builder
        .root_certs(RootCerts::new_with_certs(&certificates))
        .build())
}

/// The certificates of a PEM file.
fn certificates(file: &str) -> Result<Vec<Certificate<'static>>, Failure> {
    let pem = super::read_bounded(file.as_ref(), MAX_CERTIFICATE_FILE_BYTES)?;
    let certificates: Vec<Certificate<'static>> = parse_pem(pem.expose())
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(Failure::Local(format!(
            "{file}: holds no certificate in PEM"
        )));
    }
    Ok(certificates)
}

/// A path with each segment percent-encoded, slashes kept.
pub(super) fn encode_path(path: &str) -> String {
    const SAFE: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~')
        .remove(b'/');
    percent_encoding::utf8_percent_encode(path, SAFE).to_string()
}
