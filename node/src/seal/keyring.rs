//! The keyring: an add-on's data keys by term, and the keys that never rotate with them. What is stored under the root
//! key has the first terms; those added since are [rows of their own](crate::barrier).

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::clock::Timestamp;
use crate::error::Error;
use crate::rng::OsRandom;
use crate::secret::Secret;

/// The most that a stored term takes: its key as 32 numbers of up to four characters, and its other fields.
const MAX_TERM_BYTES: usize = 256;

/// One data key.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Term {
    /// 1 for the first; each rotation adds one.
    pub number: u32,
    /// When it was made.
    #[zeroize(skip)]
    pub created: Timestamp,
    key: [u8; 32],
}

/// The keys of an add-on. Stored under the root key, in memory only while unsealed.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Keyring {
    terms: Vec<Term>,
    name_key: [u8; 32],
}

impl Term {
    /// A term with this key.
    pub fn new(number: u32, created: Timestamp, key: &Secret<[u8; 32]>) -> Self {
        Self {
            number,
            created,
            key: *key.expose(),
        }
    }

    /// The data key.
    pub fn key(&self) -> Secret<[u8; 32]> {
        Secret::new(self.key)
    }
}

impl Keyring {
    /// A keyring with a first term.
    pub fn generate(random: &OsRandom, now: Timestamp) -> Self {
        Self {
            terms: vec![Term::new(1, now, &Secret::new(random.array()))],
            name_key: random.array(),
        }
    }

    /// All terms, oldest first; never empty.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The key behind pseudonyms. It never rotates: addresses must stay what they are.
    pub fn name_key(&self) -> Secret<[u8; 32]> {
        Secret::new(self.name_key)
    }

    /// The stored form, before the root key is put on it.
    ///
    /// # Errors
    /// [`Error::Bug`] when it cannot be encoded.
    pub fn encode(&self) -> Result<zeroize::Zeroizing<Vec<u8>>, Error> {
        // Room for all of it, so that growing leaves no copy behind.
        let mut bytes =
            zeroize::Zeroizing::new(Vec::with_capacity((self.terms.len() + 1) * MAX_TERM_BYTES));
        serde_json::to_writer(&mut *bytes, self)
            .map(|()| bytes)
            .map_err(|_| Error::Bug("a keyring could not be encoded".into()))
    }

    /// The keyring whose stored form this is.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is none, or has no term.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let damaged = || Error::Corrupt("the keyring".into());
        let keyring: Self = serde_json::from_slice(bytes).map_err(|_| damaged())?;
        if keyring.terms.is_empty() {
            return Err(damaged());
        }
        Ok(keyring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyring_survives_the_round_trip_in_the_room_set_aside() {
        let mut keyring = Keyring::generate(&OsRandom, Timestamp(i64::MIN));
        let key = Secret::new(OsRandom.array());
        let latest = Term::new(u32::MAX, Timestamp(i64::MAX), &key);
        keyring.terms.push(latest);
        let bytes = keyring.encode().unwrap();
        assert!(bytes.len() <= 3 * MAX_TERM_BYTES);
        let decoded = Keyring::decode(&bytes).unwrap();
        assert_eq!(decoded.name_key, keyring.name_key);
        for (before, after) in keyring.terms().iter().zip(decoded.terms()) {
            assert_eq!(
                (before.number, before.created, before.key),
                (after.number, after.created, after.key)
            );
        }
        assert_eq!(decoded.terms().len(), 2);
    }

    #[test]
    fn a_keyring_without_terms_is_refused() {
        let mut keyring = Keyring::generate(&OsRandom, Timestamp(0));
        keyring.terms.clear();
        assert!(Keyring::decode(&keyring.encode().unwrap()).is_err());
    }
}
