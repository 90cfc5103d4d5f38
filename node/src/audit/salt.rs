//! What stands in for values in the audit log: a keyed hash of each. Whoever has a value can ask whether it is the one
//! in a line; nobody can get from a line to a value.
//!
//! Each add-on has a salt of its own, kept behind its barrier, so equal values of two add-ons have unequal hashes and
//! `sys/audit-hash` of one says nothing of another. What belongs to no open add-on is hashed with the node's salt, which
//! is made at start and forgotten at its end.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::barrier::View;
use crate::error::Error;
use crate::rng::OsRandom;
use crate::store::key::Table;

/// As many bytes as the hash has; more would be hashed down to that (RFC 2104).
const SALT_BYTES: usize = 32;

/// What each hash begins with, in the log and in `sys/audit-hash`. Vault's.
const HASH_PREFIX: &str = "hmac-sha256:";

/// How long a hash is as text.
pub const HASH_TEXT_BYTES: usize = HASH_PREFIX.len() + 64;

/// The key of the hashes.
pub struct Salt(Hmac<Sha256>);

impl std::fmt::Debug for Salt {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Salt(..)")
    }
}

impl Salt {
    /// A salt of these bytes.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there are too few.
    fn new(bytes: &[u8]) -> Result<Self, Error> {
        let damaged = || Error::Corrupt("the audit salt has a wrong length".into());
        if bytes.len() != SALT_BYTES {
            return Err(damaged());
        }
        Hmac::new_from_slice(bytes).map(Self).map_err(|_| damaged())
    }

    /// A salt that nobody else has.
    ///
    /// # Errors
    /// None that can happen.
    pub fn random(random: &OsRandom) -> Result<Self, Error> {
        Self::new(&*Zeroizing::new(random.array::<SALT_BYTES>()))
    }

    /// The salt of the add-on whose own rows `view` is of; made when there is none. Two nodes that make it at once end
    /// up with the same one, because the second transaction reads what the first wrote.
    ///
    /// # Errors
    /// What the store says.
    pub async fn of_addon(view: &View) -> Result<Self, Error> {
        view.run(async |rows| {
            if let Some(bytes) = rows.get(Table::AuditSalt, &[]).await? {
                return Self::new(&bytes);
            }
            let bytes = Zeroizing::new(OsRandom.array::<SALT_BYTES>());
            rows.put(Table::AuditSalt, &[], &*bytes)?;
            Self::new(&*bytes)
        })
        .await
    }

    /// The hash that stands in for `value`.
    pub fn hash(&self, value: &str) -> String {
        let mut text = String::with_capacity(HASH_TEXT_BYTES);
        self.append_hash(value.as_bytes(), &mut text);
        text
    }

    /// Appends the hash that stands in for `value`.
    pub fn append_hash(&self, value: &[u8], text: &mut String) {
        const DIGITS: [char; 16] = [
            '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
        ];
        let mut mac = self.0.clone();
        mac.update(value);
        text.push_str(HASH_PREFIX);
        for byte in mac.finalize().into_bytes() {
            for digit in [byte >> 4, byte & 0xf] {
                text.extend(DIGITS.get(usize::from(digit)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::testing::tenant_view;

    #[test]
    fn hashes_are_hmac_sha256_in_vaults_form() {
        // RFC 4231, test case 2, with the key filled up with zeros as RFC 2104 does.
        let mut key = [0; SALT_BYTES];
        key[..4].copy_from_slice(b"Jefe");
        assert_eq!(
            Salt::new(&key)
                .unwrap()
                .hash("what do ya want for nothing?"),
            "hmac-sha256:5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[actix::test]
    async fn an_addon_keeps_its_salt() {
        let view = tenant_view().await;
        let first = Salt::of_addon(&view).await.unwrap().hash("x");
        assert_eq!(Salt::of_addon(&view).await.unwrap().hash("x"), first);
        let other = tenant_view().await;
        assert_ne!(Salt::of_addon(&other).await.unwrap().hash("x"), first);
    }

    #[actix::test]
    async fn a_damaged_salt_is_told() {
        let view = tenant_view().await;
        view.run(async |rows| rows.put(Table::AuditSalt, &[], b"short"))
            .await
            .unwrap();
        assert!(matches!(
            Salt::of_addon(&view).await,
            Err(Error::Corrupt(_))
        ));
    }
}
