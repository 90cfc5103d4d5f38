//! The operator's key pair: who holds the private half can mint every add-on's root token. It is read from and written
//! to a PEM file that nobody else may read; nodes are given the public half.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use biscuit_auth::{Algorithm, KeyPair, PrivateKey, PublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::auth::biscuit::next_key_pair;
use crate::error::Error;
use crate::private_file;
use crate::rng::OsRandom;

/// How the Biscuit tools print a private key that is not in PEM.
const HEX_PREFIX: &str = "ed25519-private/";

/// How the Biscuit tools print a public key.
const PUBLIC_PREFIX: &str = "ed25519/";

/// The private key. Not `Clone`; wiped when dropped.
pub struct OperatorKey(KeyPair);

impl OperatorKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`Error::Bug`] when the library refuses 32 random bytes.
    pub fn generate(random: &OsRandom) -> Result<Self, Error> {
        next_key_pair(random).map(Self)
    }

    /// Reads the file that [`Self::write_new`] or `openssl genpkey -algorithm ed25519` wrote, or one that holds
    /// `ed25519-private/` and 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the file is not there, may be read by others than its owner, or holds something else.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = private_file::read("operator_key", path)?;
        parse_private_key(text.trim()).map(Self).ok_or_else(|| {
            let shown = path.display();
            Error::invalid(
                "operator_key",
                format!("{shown}: holds no Ed25519 private key in PEM or {HEX_PREFIX}<hex>"),
            )
        })
    }

    /// Writes the key to `path`, which must not exist yet, for its owner's eyes only, and makes sure that it is on disk:
    /// tokens signed by a key that was lost cannot be made again.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the file exists or cannot be written.
    pub fn write_new(&self, path: &Path) -> Result<(), Error> {
        let pem = self
            .0
            .to_private_key_pem()
            .map_err(|_| Error::Bug("an Ed25519 key has no PEM form".into()))?;
        private_file::write_new(path, pem.as_bytes())
            .map_err(|error| Error::invalid("operator_key", format!("{}: {error}", path.display())))
    }

    /// The half that nodes are given.
    pub fn public(&self) -> OperatorPublicKey {
        OperatorPublicKey(self.0.public())
    }

    /// For signing an authority block.
    pub(super) fn pair(&self) -> &KeyPair {
        &self.0
    }
}

impl fmt::Debug for OperatorKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OperatorKey(..)")
    }
}

fn parse_private_key(text: &str) -> Option<KeyPair> {
    match text.strip_prefix(HEX_PREFIX) {
        Some(digits) => {
            let mut bytes = Zeroizing::new([0; 32]);
            hex::decode_to_slice(digits, bytes.as_mut_slice()).ok()?;
            let key = PrivateKey::from_bytes(bytes.as_slice(), Algorithm::Ed25519).ok()?;
            Some(KeyPair::from(&key))
        }
        None => KeyPair::from_private_key_pem_with_algorithm(text, Algorithm::Ed25519).ok(),
    }
}

/// The public key, printed as `ed25519/` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OperatorPublicKey(PublicKey);

impl OperatorPublicKey {
    /// For verifying an authority block.
    pub(super) fn key(&self) -> PublicKey {
        self.0
    }
}

impl fmt::Display for OperatorPublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PUBLIC_PREFIX}{}", self.0.to_bytes_hex())
    }
}

impl FromStr for OperatorPublicKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.strip_prefix(PUBLIC_PREFIX)
            .and_then(|digits| PublicKey::from_bytes_hex(digits, Algorithm::Ed25519).ok())
            .map(Self)
            .ok_or_else(|| {
                Error::invalid(
                    "operator_public_key",
                    "an operator's public key looks like ed25519/<64 hexadecimal digits>",
                )
            })
    }
}

impl TryFrom<String> for OperatorPublicKey {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<OperatorPublicKey> for String {
    fn from(key: OperatorPublicKey) -> Self {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator.pem");
        let key = OperatorKey::generate(&OsRandom).unwrap();
        key.write_new(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(OperatorKey::load(&path).unwrap().public(), key.public());
    }

    #[test]
    fn an_existing_key_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator.pem");
        let first = OperatorKey::generate(&OsRandom).unwrap();
        first.write_new(&path).unwrap();
        let second = OperatorKey::generate(&OsRandom).unwrap();
        assert!(matches!(
            second.write_new(&path),
            Err(Error::Invalid { .. })
        ));
        assert_eq!(OperatorKey::load(&path).unwrap().public(), first.public());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator.pem");
        OperatorKey::generate(&OsRandom)
            .unwrap()
            .write_new(&path)
            .unwrap();
        for mode in [0o640, 0o604, 0o620, 0o644] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = OperatorKey::load(&path).unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        assert!(OperatorKey::load(&path).is_ok());
    }

    #[test]
    fn files_with_anything_else_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator.pem");
        assert!(
            OperatorKey::load(&path)
                .unwrap_err()
                .to_string()
                .contains("cannot be opened")
        );
        assert!(OperatorKey::load(folder.path()).is_err());
        let other_curve = KeyPair::new_with_algorithm(Algorithm::Secp256r1);
        let other_curve = other_curve.to_private_key_pem().unwrap();
        for content in [
            "",
            "hunter2",
            "ed25519-private/00",
            &other_curve,
            &"x".repeat(10_000),
        ] {
            let _ = fs::remove_file(&path);
            private_file::write_new(&path, content.as_bytes()).unwrap();
            let error = OperatorKey::load(&path).unwrap_err().to_string();
            assert!(error.contains("holds no Ed25519 private key"), "{error}");
            assert!(!error.contains("hunter2"));
        }
    }

    #[test]
    fn the_hexadecimal_form_is_read_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator.key");
        let key = OperatorKey::generate(&OsRandom).unwrap();
        let text = format!("{}\n", key.pair().private().to_prefixed_string());
        private_file::write_new(&path, text.as_bytes()).unwrap();
        assert_eq!(OperatorKey::load(&path).unwrap().public(), key.public());
    }

    #[test]
    fn public_keys_print_and_parse() {
        let key = OperatorKey::generate(&OsRandom).unwrap().public();
        let text = key.to_string();
        assert_eq!(text.parse::<OperatorPublicKey>().unwrap(), key);
        assert_eq!(text, key.key().to_string());
        let digits = text.strip_prefix(PUBLIC_PREFIX).unwrap();
        let bad = [
            digits.to_string(),
            format!("secp256r1/{digits}"),
            format!("{text}00"),
            format!("{text} "),
            String::new(),
        ];
        for bad in bad {
            assert!(bad.parse::<OperatorPublicKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn debug_shows_nothing_of_the_private_key() {
        let key = OperatorKey::generate(&OsRandom).unwrap();
        assert_eq!(format!("{key:?}"), "OperatorKey(..)");
    }
}
