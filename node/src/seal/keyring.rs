//! The keyring: an add-on's data keys by term, and the keys that never rotate with them.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::clock::Timestamp;
use crate::error::Error;
use crate::rng::OsRandom;
use crate::secret::Secret;

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

/// All keys of an add-on. Stored under the root key, in memory only while unsealed.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Keyring {
    terms: Vec<Term>,
    name_key: [u8; 32],
}

impl Term {
    /// The data key.
    pub fn key(&self) -> Secret<[u8; 32]> {
        Secret::new(self.key)
    }
}

impl Keyring {
    /// A keyring with a first term.
    pub fn generate(random: &OsRandom, now: Timestamp) -> Self {
        let mut keyring = Self {
            terms: Vec::new(),
            name_key: random.array(),
        };
        keyring.rotate(random, now);
        keyring
    }

    /// Adds a term; new rows are written under it from now on.
    pub fn rotate(&mut self, random: &OsRandom, now: Timestamp) {
        let number = self.terms.last().map_or(1, |term| term.number + 1);
        self.terms.push(Term {
            number,
            created: now,
            key: random.array(),
        });
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
        serde_json::to_vec(self)
            .map(zeroize::Zeroizing::new)
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
