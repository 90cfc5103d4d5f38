//! The envelope around every stored byte string:
//!
//! ```text
//! format (1 byte) | term (4 bytes, big-endian) | nonce (24 bytes) | ciphertext | tag (16 bytes)
//! ```
//!
//! XChaCha20-Poly1305 with a random nonce (draft-irtf-cfrg-xchacha-03: 192-bit nonces may be drawn at random). The
//! associated data is the row's address, term and format, so a row copied to another address does not open.

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::format::Format;
use crate::error::Error;
use crate::rng::OsRandom;
use crate::secret::Secret;

/// What the envelope's first byte means.
pub const FORMAT: Format = Format::new(1);
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const HEADER_BYTES: usize = 1 + 4 + NONCE_BYTES;

/// How many bytes an envelope is longer than what it holds.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + TAG_BYTES;

/// One data key, expanded once. The cipher wipes its key when dropped.
pub struct RowCipher(XChaCha20Poly1305);

impl RowCipher {
    /// The cipher for `key`.
    pub fn new(key: &Secret<[u8; 32]>) -> Self {
        Self(XChaCha20Poly1305::new(key.expose().into()))
    }

    /// Encrypts `plaintext` for the row at `address`, under this key, which is that of `term`.
    ///
    /// # Errors
    /// [`Error::Bug`] when the plaintext is longer than the cipher allows (256 GiB).
    pub fn seal(
        &self,
        random: &OsRandom,
        term: u32,
        address: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let nonce: [u8; NONCE_BYTES] = random.array();
        let mut envelope = Vec::with_capacity(OVERHEAD_BYTES + plaintext.len());
        envelope.push(FORMAT.own());
        envelope.extend_from_slice(&term.to_be_bytes());
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(plaintext);
        let (_, body) = envelope.split_at_mut(HEADER_BYTES);
        let tag = self
            .0
            .encrypt_in_place_detached(
                XNonce::from_slice(&nonce),
                &associated_data(FORMAT.own(), term, address),
                body,
            )
            .map_err(|_| Error::Bug("a value is too long to encrypt".into()))?;
        envelope.extend_from_slice(&tag);
        Ok(envelope)
    }

    /// Decrypts the envelope that was read at `address`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is not what [`RowCipher::seal`] made for this address, term and key.
    pub fn open(&self, address: &[u8], envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (version, term) = version_and_term(envelope)?;
        let damaged = || Error::Corrupt("a row does not authenticate".into());
        let (header, sealed) = envelope
            .split_at_checked(HEADER_BYTES)
            .ok_or_else(damaged)?;
        let (_, nonce) = header.split_at(1 + 4);
        let body_bytes = sealed.len().checked_sub(TAG_BYTES).ok_or_else(damaged)?;
        let (body, tag) = sealed.split_at(body_bytes);
        let mut plaintext = Zeroizing::new(body.to_vec());
        self.0
            .decrypt_in_place_detached(
                XNonce::from_slice(nonce),
                &associated_data(version, term, address),
                &mut plaintext,
                Tag::from_slice(tag),
            )
            .map_err(|_| damaged())?;
        Ok(plaintext)
    }
}

/// The term whose key made this envelope.
///
/// # Errors
/// [`Error::Corrupt`] when the bytes are no envelope of a known format.
pub fn term_of(envelope: &[u8]) -> Result<u32, Error> {
    version_and_term(envelope).map(|(_, term)| term)
}

fn version_and_term(envelope: &[u8]) -> Result<(u8, u32), Error> {
    let cut_short = || Error::Corrupt("a row is cut short".into());
    let (version, rest) = envelope.split_first().ok_or_else(cut_short)?;
    FORMAT.check(*version)?;
    let (term, rest) = rest.split_first_chunk().ok_or_else(cut_short)?;
    if rest.len() < NONCE_BYTES + TAG_BYTES {
        return Err(cut_short());
    }
    Ok((*version, u32::from_be_bytes(*term)))
}

fn associated_data(version: u8, term: u32, address: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(5 + address.len());
    data.push(version);
    data.extend_from_slice(&term.to_be_bytes());
    data.extend_from_slice(address);
    data
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cipher(byte: u8) -> RowCipher {
        RowCipher::new(&Secret::new([byte; 32]))
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens(plaintext: Vec<u8>, address: Vec<u8>, term: u32) {
            let envelope = cipher(1).seal(&OsRandom, term, &address, &plaintext).unwrap();
            prop_assert_eq!(envelope.len(), plaintext.len() + OVERHEAD_BYTES);
            prop_assert_eq!(term_of(&envelope).unwrap(), term);
            prop_assert_eq!(&*cipher(1).open(&address, &envelope).unwrap(), &plaintext);
        }

        #[test]
        fn a_changed_envelope_does_not_open(position: prop::sample::Index, bit in 0u8..8) {
            let mut envelope = cipher(1).seal(&OsRandom, 3, b"here", b"secret").unwrap();
            let position = position.index(envelope.len());
            envelope[position] ^= 1 << bit;
            prop_assert!(cipher(1).open(b"here", &envelope).is_err());
        }

        #[test]
        fn arbitrary_bytes_do_not_open(bytes: Vec<u8>) {
            prop_assert!(cipher(1).open(b"here", &bytes).is_err());
        }
    }

    #[test]
    fn a_row_of_a_newer_version_says_so() {
        let mut envelope = cipher(1).seal(&OsRandom, 1, b"here", b"secret").unwrap();
        envelope[0] = FORMAT.own() + 1;
        let error = cipher(1).open(b"here", &envelope).unwrap_err().to_string();
        assert!(error.contains("newer version"), "{error}");
    }

    #[test]
    fn a_row_moved_elsewhere_does_not_open() {
        let envelope = cipher(1).seal(&OsRandom, 1, b"here", b"secret").unwrap();
        assert!(cipher(1).open(b"there", &envelope).is_err());
        assert!(cipher(2).open(b"here", &envelope).is_err());
    }
}
