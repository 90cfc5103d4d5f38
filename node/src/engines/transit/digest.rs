//! The hash functions that `hash` and `hmac` offer, by Vault's names.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use crate::engines::Call;
use crate::error::Error;

/// A hash function (FIPS 180-4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HashAlgorithm {
    /// SHA-224.
    Sha224,
    /// SHA-256, the default.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// The one that the path names, else the parameter `algorithm`, else SHA-256.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that means none of them.
    pub fn of(call: &Call<'_>, in_path: Option<&str>) -> Result<Self, Error> {
        let parameter = call.fields.string("algorithm")?;
        let name = in_path
            .or(parameter.as_deref())
            .filter(|name| !name.is_empty());
        match name.unwrap_or("sha2-256") {
            "sha2-224" => Ok(Self::Sha224),
            "sha2-256" => Ok(Self::Sha256),
            "sha2-384" => Ok(Self::Sha384),
            "sha2-512" => Ok(Self::Sha512),
            name => Err(Error::invalid(
                "algorithm",
                format!("unsupported algorithm {name}"),
            )),
        }
    }

    /// The hash of `input`.
    pub fn digest(self, input: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha224 => Sha224::digest(input).to_vec(),
            Self::Sha256 => Sha256::digest(input).to_vec(),
            Self::Sha384 => Sha384::digest(input).to_vec(),
            Self::Sha512 => Sha512::digest(input).to_vec(),
        }
    }

    /// The HMAC (RFC 2104) of `input` under `key`.
    ///
    /// # Errors
    /// [`Error::Bug`] when the key has no length.
    pub fn hmac(self, key: &[u8], input: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Self::Sha224 => authenticate::<Hmac<Sha224>>(key, input),
            Self::Sha256 => authenticate::<Hmac<Sha256>>(key, input),
            Self::Sha384 => authenticate::<Hmac<Sha384>>(key, input),
            Self::Sha512 => authenticate::<Hmac<Sha512>>(key, input),
        }
    }
}

fn authenticate<M: Mac + hmac::digest::KeyInit>(
    key: &[u8],
    input: &[u8],
) -> Result<Vec<u8>, Error> {
    let mut mac = <M as Mac>::new_from_slice(key)
        .map_err(|_| Error::Bug("an HMAC key without length".into()))?;
    mac.update(input);
    Ok(mac.finalize().into_bytes().to_vec())
}
