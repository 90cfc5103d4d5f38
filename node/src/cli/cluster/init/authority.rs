//! [`Authority`]: signs the nodes' certificates, with a key of its own or a given one.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use super::super::super::{Failure, read_bounded};
use super::Arguments;
use crate::clock::Timestamp;
use crate::private_file;

/// Certificates of clusters that live for years.
const AUTHORITY_DAYS: i64 = 3650;
/// The longest that some clients accept.
const NODE_DAYS: i64 = 825;
const MAX_CERTIFICATE_BYTES: u64 = 64 * 1024;

/// See the module.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    is_new: bool,
    now: OffsetDateTime,
}

/// A node's certificate with that of its authority, and its key, in PEM.
pub(super) struct Certified {
    pub chain: String,
    pub key: Zeroizing<String>,
}

impl Authority {
    /// A new authority, or the given one.
    pub(super) fn open(arguments: &Arguments, now: Timestamp) -> Result<Self, Failure> {
        let now = OffsetDateTime::from_unix_timestamp(now.unix_seconds())
            .map_err(|_| Failure::local("this machine's clock is wrong"))?;
        match (&arguments.ca_cert, &arguments.ca_key) {
            (Some(certificate), Some(key)) => Self::given(certificate, key, now),
            _ => Self::new(now).map_err(failed),
        }
    }

    fn new(now: OffsetDateTime) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = valid(CertificateParams::default(), now, AUTHORITY_DAYS);
        params
            .distinguished_name
            .push(DnType::CommonName, "Conclave cluster authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
            is_new: true,
            now,
        })
    }

    fn given(certificate: &Path, key: &Path, now: OffsetDateTime) -> Result<Self, Failure> {
        let wrong = |file: &Path, error: rcgen::Error| {
            Failure::Local(format!("{}: {error}", file.display()))
        };
        let bytes = read_bounded(certificate, MAX_CERTIFICATE_BYTES)?;
        let pem = String::from_utf8_lossy(bytes.expose()).into_owned();
        let text = private_file::read("ca_key", key)?;
        let pair = KeyPair::from_pem(&text).map_err(|error| wrong(key, error))?;
        let issuer =
            Issuer::from_ca_cert_pem(&pem, pair).map_err(|error| wrong(certificate, error))?;
        Ok(Self {
            issuer,
            certificate: pem,
            is_new: false,
            now,
        })
    }

    /// The authority's certificate.
    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The authority's key, when it was made here.
    pub(super) fn new_key(&self) -> Option<Zeroizing<String>> {
        self.is_new
            .then(|| Zeroizing::new(self.issuer.key().serialize_pem()))
    }

    /// A key, and a certificate for these host names and addresses.
    pub(super) fn certify(&self, names: &[String]) -> Result<Certified, Failure> {
        self.signed(names).map_err(failed)
    }

    fn signed(&self, names: &[String]) -> Result<Certified, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = valid(CertificateParams::new(names)?, self.now, NODE_DAYS);
        if let Some(name) = names.first() {
            params
                .distinguished_name
                .push(DnType::CommonName, name.as_str());
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Certified {
            chain: certificate.pem() + &self.certificate,
            key: Zeroizing::new(key.serialize_pem()),
        })
    }
}

/// From yesterday on, for clocks that differ.
fn valid(mut params: CertificateParams, now: OffsetDateTime, days: i64) -> CertificateParams {
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(days);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}

fn failed(error: rcgen::Error) -> Failure {
    Failure::Local(format!("cannot make a certificate: {error}"))
}
