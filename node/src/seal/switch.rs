//! The row by which an add-on's root keeps its keys from being handed over to nodes that restart. Plaintext with a MAC, as
//! the seal's other rows; without a row it is on.

use serde::{Deserialize, Serialize};

use super::authentic::{self, MacKey};
use crate::error::Error;
use crate::id::TenantId;
use crate::store::key::{Key, Scope, Table};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    handoff: bool,
}

/// Where it stands.
pub fn address(tenant: TenantId) -> Key {
    Key::row(Scope::Tenant(tenant), Table::SealHandoff, &[])
}

/// The row that switches it on or off.
///
/// # Errors
/// [`Error::Bug`] when it cannot be encoded.
pub fn encode(mac_key: &MacKey, tenant: TenantId, on: bool) -> Result<Vec<u8>, Error> {
    mac_key.encode(&address(tenant), &Content { handoff: on })
}

/// Whether it is on. A row that proves nothing is no reason to hand keys over.
pub fn is_on(mac_key: &MacKey, tenant: TenantId, row: Option<&[u8]>) -> bool {
    let proven = |row| mac_key.verify(&address(tenant), row).is_ok();
    row.is_none_or(|row| {
        proven(row) && authentic::claim(row).is_ok_and(|content: Content| content.handoff)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::OsRandom;
    use crate::seal::keys::RootKey;

    #[test]
    fn it_is_on_unless_switched_off_or_damaged() {
        let (tenant, other) = (TenantId::from_bytes([5; 16]), TenantId::from_bytes([6; 16]));
        let key = RootKey::generate(&OsRandom).mac_key().unwrap();
        let row = |on| encode(&key, tenant, on).unwrap();
        assert!(is_on(&key, tenant, None));
        assert!(is_on(&key, tenant, Some(&row(true))));
        assert!(!is_on(&key, tenant, Some(&row(false))));
        assert!(!is_on(&key, other, Some(&row(true))));
        assert!(!is_on(&key, tenant, Some(b"garbage")));
    }
}
