//! Rows that must be readable while sealed, and yet cannot be changed unnoticed:
//!
//! ```text
//! format (1 byte) | MAC (32 bytes) | JSON
//! ```
//!
//! HMAC-SHA256 under a key derived from the root key, over the row's address and its JSON, so a row moved to another
//! address or add-on is refused too. While sealed the JSON is only a claim; the unseal proves it.

use hmac::{Hmac, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

use crate::barrier::format::Format;
use crate::error::Error;
use crate::secret::Secret;
use crate::store::key::Key;

/// What the row's first byte means.
const FORMAT: Format = Format::new(1);
const MAC_BYTES: usize = 32;

/// The key of these MACs.
pub struct MacKey(Secret<[u8; 32]>);

impl MacKey {
    /// Takes charge of a derived key.
    pub(super) fn new(key: Secret<[u8; 32]>) -> Self {
        Self(key)
    }

    /// The key itself, to be handed over.
    pub(super) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The row that says `content` at `address`.
    ///
    /// # Errors
    /// [`Error::Bug`] when it cannot be encoded.
    pub fn encode<T: Serialize>(&self, address: &Key, content: &T) -> Result<Vec<u8>, Error> {
        let json = serde_json::to_vec(content)
            .map_err(|_| Error::Bug("a seal row could not be encoded".into()))?;
        let mac = self
            .mac(FORMAT.own(), address, &json)?
            .finalize()
            .into_bytes();
        let mut row = Vec::with_capacity(1 + MAC_BYTES + json.len());
        row.push(FORMAT.own());
        row.extend_from_slice(&mac);
        row.extend_from_slice(&json);
        Ok(row)
    }

    /// Proves that `row` was written at `address` by a holder of this key.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it was not.
    pub fn verify(&self, address: &Key, row: &[u8]) -> Result<(), Error> {
        let (version, mac, json) = cut(row)?;
        self.mac(version, address, json)?
            .verify_slice(mac)
            .map_err(|_| Error::Corrupt("a seal row does not authenticate".into()))
    }

    fn mac(&self, version: u8, address: &Key, json: &[u8]) -> Result<Hmac<Sha256>, Error> {
        let mut mac = Hmac::new_from_slice(self.0.expose())
            .map_err(|_| Error::Bug("a MAC key without length".into()))?;
        mac.update(&[version]);
        mac.update(&(address.as_bytes().len() as u64).to_be_bytes());
        mac.update(address.as_bytes());
        mac.update(json);
        Ok(mac)
    }
}

/// What a row claims, not proven.
///
/// # Errors
/// [`Error::Corrupt`] when it is no such row.
pub fn claim<T: DeserializeOwned>(row: &[u8]) -> Result<T, Error> {
    let (_, _, json) = cut(row)?;
    serde_json::from_slice(json).map_err(|_| damaged())
}

/// Version, MAC and JSON of a row.
fn cut(row: &[u8]) -> Result<(u8, &[u8], &[u8]), Error> {
    let (version, rest) = row.split_first().ok_or_else(damaged)?;
    FORMAT.check(*version)?;
    let (mac, json) = rest.split_at_checked(MAC_BYTES).ok_or_else(damaged)?;
    Ok((*version, mac, json))
}

fn damaged() -> Error {
    Error::Corrupt("a seal row does not decode".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::TenantId;
    use crate::store::key::{Scope, Table};

    fn address(tenant: u8, table: Table) -> Key {
        Key::row(
            Scope::Tenant(TenantId::from_bytes([tenant; 16])),
            table,
            &[],
        )
    }

    fn key(byte: u8) -> MacKey {
        MacKey::new(Secret::new([byte; 32]))
    }

    #[test]
    fn a_row_is_proven_at_its_address_under_its_key_only() {
        let here = address(1, Table::Epoch);
        let row = key(1).encode(&here, &[7u8, 8]).unwrap();
        assert_eq!(claim::<Vec<u8>>(&row).unwrap(), [7, 8]);
        assert!(key(1).verify(&here, &row).is_ok());
        assert!(key(2).verify(&here, &row).is_err());
        assert!(key(1).verify(&address(2, Table::Epoch), &row).is_err());
        assert!(key(1).verify(&address(1, Table::SealConfig), &row).is_err());
    }

    proptest! {
        #[test]
        fn a_changed_row_is_not_proven(position: prop::sample::Index, bit in 0u8..8) {
            let here = address(1, Table::Epoch);
            let mut row = key(1).encode(&here, &"content").unwrap();
            let position = position.index(row.len());
            row[position] ^= 1 << bit;
            prop_assert!(key(1).verify(&here, &row).is_err());
        }

        #[test]
        fn arbitrary_bytes_are_not_proven(row: Vec<u8>) {
            prop_assert!(key(1).verify(&address(1, Table::Epoch), &row).is_err());
            prop_assert!(claim::<String>(&row).is_err());
        }
    }
}
