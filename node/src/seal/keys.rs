//! The root key and what is derived from it. HKDF-SHA256 (RFC 5869) with one label per use, so that no two uses share
//! a key and none of them gives the root key away.

use hkdf::Hkdf;
use sha2::Sha256;

use super::authentic::MacKey;
use crate::error::Error;
use crate::rng::OsRandom;
use crate::secret::Secret;

/// The key under the unseal key and above the keyring. In memory only while an add-on is founded or opened.
pub struct RootKey(Secret<[u8; 32]>);

impl RootKey {
    /// A fresh one.
    pub fn generate(random: &OsRandom) -> Self {
        Self(Secret::new(random.array()))
    }

    /// The root key with these bytes, as they came out of the wrapping.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there are not 32 of them.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Error> {
        <&[u8; 32]>::try_from(bytes)
            .map(|key| Self(Secret::new(*key)))
            .map_err(|_| Error::Corrupt("a root key of the wrong length".into()))
    }

    /// The key itself, to be wrapped.
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The key of the MACs on plaintext rows.
    ///
    /// # Errors
    /// [`Error::Bug`], which cannot happen.
    pub fn mac_key(&self) -> Result<MacKey, Error> {
        self.derive("conclave 1 plaintext rows").map(MacKey::new)
    }

    /// The key of the cipher around the stored keyring.
    ///
    /// # Errors
    /// [`Error::Bug`], which cannot happen.
    pub fn keyring_key(&self) -> Result<Secret<[u8; 32]>, Error> {
        self.derive("conclave 1 keyring")
    }

    fn derive(&self, label: &str) -> Result<Secret<[u8; 32]>, Error> {
        let mut key = Secret::new([0; 32]);
        Hkdf::<Sha256>::new(None, self.expose())
            .expand(label.as_bytes(), key.expose_mut())
            .map_err(|_| Error::Bug("a derived key of a wrong length".into()))?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out apart from this program, from RFC 5869's definition with HMAC-SHA256.
    #[test]
    fn derivation_is_hkdf_sha256_without_salt() {
        let root = RootKey::from_slice(&[0x0b; 32]).unwrap();
        let key = root.derive("conclave 1 keyring").unwrap();
        assert_eq!(
            hex::encode(key.expose()),
            "7208eeaf1d24ee7f34f8f489a259197bab3b2e4038874c7cf7ccc218b9df9e6f"
        );
    }

    #[test]
    fn labels_give_unrelated_keys() {
        let root = RootKey::generate(&OsRandom);
        let one = root.derive("one").unwrap();
        let two = root.derive("two").unwrap();
        assert_ne!(one.expose(), two.expose());
        assert_ne!(one.expose(), root.expose());
    }

    #[test]
    fn a_root_key_has_32_bytes() {
        assert!(RootKey::from_slice(&[1; 31]).is_err());
    }
}
