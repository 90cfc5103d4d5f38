//! From a key version to authenticated encryption. A [`VersionCipher`] is expanded once and then used by every request.
//!
//! What is sealed is laid out as `nonce | ciphertext | tag`; the caller's associated data is the cipher's associated
//! data, byte for byte, so that exported keys open what was sealed here.
//!
//! **Derived keys.** The key of a context is HKDF-SHA256 (RFC 5869) of the version's key, without salt, with the context
//! as info: what Vault calls `hkdf_sha256`.
//!
//! **Convergent keys.** Equal inputs give equal ciphertexts, because the nonce is computed:
//!
//! ```text
//! nonce key = HKDF-SHA256(the version's HMAC key, salt "conclave transit convergent nonce 1")
//! nonce     = HMAC-SHA256(nonce key, |context| context |associated data| associated data plaintext), cut to length
//! ```
//!
//! with lengths as 8 bytes, big-endian. It is Vault's third convergent version in spirit: the nonce depends on the
//! plaintext under a key that encrypts nothing. The associated data is in it as well, which Vault leaves out: two
//! associated data under one nonce would give away the cipher's authentication key. A repeated nonce thus means a
//! repeated message, up to collisions of the HMAC; with 96-bit nonces these become likely at 2^48 messages under one
//! version and context, so 2^32 is the number to stay below. XChaCha20's 192 bits have no such limit in practice.

use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::aead::generic_array::GenericArray;
use chacha20poly1305::aead::generic_array::typenum::Unsigned;
use chacha20poly1305::aead::{AeadCore, AeadInPlace, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, XChaCha20Poly1305};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::key::{KeyPolicy, Version};
use super::key_type::KeyType;
use crate::error::Error;
use crate::rng::OsRandom;

/// How long the tag of every cipher here is.
pub const TAG_BYTES: usize = 16;

const NONCE_KEY_SALT: &[u8] = b"conclave transit convergent nonce 1";

/// One expanded cipher. The AES key schedules are boxed: they are thirty times as long as a ChaCha key.
pub enum Cipher {
    /// See [`KeyType::Aes128Gcm96`].
    Aes128Gcm(Box<Aes128Gcm>),
    /// See [`KeyType::Aes256Gcm96`].
    Aes256Gcm(Box<Aes256Gcm>),
    /// See [`KeyType::ChaCha20Poly1305`].
    ChaCha20(ChaCha20Poly1305),
    /// See [`KeyType::XChaCha20Poly1305`].
    XChaCha20(XChaCha20Poly1305),
}

impl Cipher {
    /// Expands `key`.
    ///
    /// # Errors
    /// [`Error::Bug`] when its length is not that of the type.
    pub fn new(key_type: KeyType, key: &[u8]) -> Result<Self, Error> {
        Ok(match key_type {
            KeyType::Aes128Gcm96 => Self::Aes128Gcm(Box::new(expand(key)?)),
            KeyType::Aes256Gcm96 => Self::Aes256Gcm(Box::new(expand(key)?)),
            KeyType::ChaCha20Poly1305 => Self::ChaCha20(expand(key)?),
            KeyType::XChaCha20Poly1305 => Self::XChaCha20(expand(key)?),
        })
    }

    /// Encrypts `text` in place and returns the tag.
    ///
    /// # Errors
    /// [`Error::Bug`] when the nonce is not as long as the type's, or the text longer than the cipher allows.
    pub fn seal(
        &self,
        nonce: &[u8],
        associated_data: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], Error> {
        match self {
            Self::Aes128Gcm(cipher) => seal_with(&**cipher, nonce, associated_data, text),
            Self::Aes256Gcm(cipher) => seal_with(&**cipher, nonce, associated_data, text),
            Self::ChaCha20(cipher) => seal_with(cipher, nonce, associated_data, text),
            Self::XChaCha20(cipher) => seal_with(cipher, nonce, associated_data, text),
        }
    }

    /// Decrypts `text` in place. `None`, and nothing decrypted, when it does not authenticate.
    pub fn open(
        &self,
        nonce: &[u8],
        associated_data: &[u8],
        text: &mut [u8],
        tag: &[u8],
    ) -> Option<()> {
        match self {
            Self::Aes128Gcm(cipher) => open_with(&**cipher, nonce, associated_data, text, tag),
            Self::Aes256Gcm(cipher) => open_with(&**cipher, nonce, associated_data, text, tag),
            Self::ChaCha20(cipher) => open_with(cipher, nonce, associated_data, text, tag),
            Self::XChaCha20(cipher) => open_with(cipher, nonce, associated_data, text, tag),
        }
    }
}

fn expand<C: KeyInit>(key: &[u8]) -> Result<C, Error> {
    C::new_from_slice(key).map_err(|_| Error::Bug("a transit key of the wrong length".into()))
}

fn seal_with<C: AeadInPlace>(
    cipher: &C,
    nonce: &[u8],
    associated_data: &[u8],
    text: &mut [u8],
) -> Result<[u8; TAG_BYTES], Error> {
    let refused = || Error::Bug("a transit message that the cipher does not take".into());
    if nonce.len() != <C as AeadCore>::NonceSize::USIZE {
        return Err(refused());
    }
    let tag = cipher
        .encrypt_in_place_detached(GenericArray::from_slice(nonce), associated_data, text)
        .map_err(|_| refused())?;
    <[u8; TAG_BYTES]>::try_from(tag.as_slice()).map_err(|_| refused())
}

fn open_with<C: AeadInPlace>(
    cipher: &C,
    nonce: &[u8],
    associated_data: &[u8],
    text: &mut [u8],
    tag: &[u8],
) -> Option<()> {
    let lengths = (C::NonceSize::USIZE, C::TagSize::USIZE);
    if (nonce.len(), tag.len()) != lengths {
        return None;
    }
    let (nonce, tag) = (
        GenericArray::from_slice(nonce),
        GenericArray::from_slice(tag),
    );
    cipher
        .decrypt_in_place_detached(nonce, associated_data, text, tag)
        .ok()
}

/// A version's key, as far as it can be expanded before the context is known.
enum Expanded {
    Direct(Cipher),
    Derived(Hkdf<Sha256>),
}

/// One version of a key, ready for use.
pub struct VersionCipher {
    key_type: KeyType,
    expanded: Expanded,
    nonce_key: Option<Hmac<Sha256>>,
}

impl VersionCipher {
    /// Expands `version`, which is one of `policy`'s.
    ///
    /// # Errors
    /// [`Error::Bug`] when its material has the wrong length.
    pub fn new(policy: &KeyPolicy, version: &Version) -> Result<Self, Error> {
        let key = version.key().expose();
        let expanded = if policy.derived {
            Expanded::Derived(Hkdf::new(None, key))
        } else {
            Expanded::Direct(Cipher::new(policy.key_type, key)?)
        };
        let nonce_key = policy
            .convergent
            .then(|| nonce_key(version.hmac_key().expose()))
            .transpose()?;
        Ok(Self {
            key_type: policy.key_type,
            expanded,
            nonce_key,
        })
    }

    /// Encrypts in place: `buffer` holds room for the nonce ([`KeyType::nonce_bytes`]) and then the plaintext; the tag
    /// is appended. `context` means nothing to a key that is not derived.
    ///
    /// # Errors
    /// [`Error::Bug`] when there is no room for the nonce, or too much plaintext for the cipher.
    pub fn seal(
        &self,
        random: &OsRandom,
        context: &[u8],
        associated_data: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let (nonce, text) = buffer
            .split_at_mut_checked(self.key_type.nonce_bytes())
            .ok_or_else(|| Error::Bug("no room for a nonce".into()))?;
        match &self.nonce_key {
            None => random.fill(nonce),
            Some(key) => convergent_nonce(key, context, associated_data, text, nonce),
        }
        let tag = match &self.expanded {
            Expanded::Direct(cipher) => cipher.seal(nonce, associated_data, text)?,
            Expanded::Derived(keys) => {
                derive(self.key_type, keys, context)?.seal(nonce, associated_data, text)?
            }
        };
        buffer.extend_from_slice(&tag);
        Ok(())
    }

    /// Decrypts what [`VersionCipher::seal`] made with the same context and associated data; `None` for anything else.
    pub fn open(
        &self,
        context: &[u8],
        associated_data: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = sealed.split_at_checked(self.key_type.nonce_bytes())?;
        let (text, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_BYTES)?)?;
        let mut text = Zeroizing::new(text.to_vec());
        match &self.expanded {
            Expanded::Direct(cipher) => cipher.open(nonce, associated_data, &mut text, tag)?,
            Expanded::Derived(keys) => derive(self.key_type, keys, context).ok()?.open(
                nonce,
                associated_data,
                &mut text,
                tag,
            )?,
        }
        Some(text)
    }
}

/// The cipher of one context.
fn derive(key_type: KeyType, keys: &Hkdf<Sha256>, context: &[u8]) -> Result<Cipher, Error> {
    let mut key = Zeroizing::new([0; 32]);
    let key = key
        .get_mut(..key_type.key_bytes())
        .ok_or_else(|| Error::Bug("a key type with too long a key".into()))?;
    keys.expand(context, key)
        .map_err(|_| Error::Bug("a key type with too long a key".into()))?;
    Cipher::new(key_type, key)
}

fn nonce_key(hmac_key: &[u8]) -> Result<Hmac<Sha256>, Error> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(NONCE_KEY_SALT), hmac_key)
        .expand(&[], &mut *key)
        .map_err(|_| Error::Bug("a nonce key of the wrong length".into()))?;
    <Hmac<Sha256> as Mac>::new_from_slice(&*key)
        .map_err(|_| Error::Bug("a nonce key of the wrong length".into()))
}

fn convergent_nonce(
    key: &Hmac<Sha256>,
    context: &[u8],
    associated_data: &[u8],
    plaintext: &[u8],
    nonce: &mut [u8],
) {
    let mut mac = key.clone();
    for part in [context, associated_data] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.update(plaintext);
    let digest = mac.finalize().into_bytes();
    for (to, from) in nonce.iter_mut().zip(digest) {
        *to = from;
    }
}

#[cfg(test)]
mod tests;
