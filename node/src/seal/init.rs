//! Founding an add-on's key hierarchy, and opening it again. Pure: rows in, rows out; the [shell](super::shell) moves
//! them to and from the store.

use super::authentic::MacKey;
use super::config::SealConfig;
use super::epoch;
use super::keyring::Keyring;
use super::keys::RootKey;
use super::quorum::Quorum;
use super::rows::{SealRows, keyring_address};
use super::seal_keys::SealKeys;
use super::share::Share;
use crate::barrier::Unsealed;
use crate::barrier::envelope::RowCipher;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::{SealEpoch, TenantId};
use crate::rng::OsRandom;
use crate::secret::Secret;

/// The keyring's envelope has no term: what wraps it is derived from the root key, which never rotates on its own.
const KEYRING_TERM: u32 = 0;

/// What [`prepare`] made. Nothing of it exists until the rows are committed.
pub struct Prepared {
    /// To be written.
    pub rows: SealRows,
    /// To write the add-on's first rows with, in the same transaction, and then to be dropped.
    pub unsealed: Unsealed,
    /// To be handed out once.
    pub shares: Vec<Share>,
}

/// What [`open`] opened.
pub struct Opened {
    /// The keys of the add-on's rows.
    pub unsealed: Unsealed,
    /// What is needed to seal it, and to hand it over.
    pub keys: SealKeys,
}

/// What an init hands out, once.
#[derive(Debug)]
pub struct Initialized {
    /// The shares, by index.
    pub shares: Vec<Share>,
    /// The initial root token.
    pub root_token: Secret<String>,
}

/// Makes the keys of a new add-on.
///
/// # Errors
/// [`Error::Bug`] when a primitive fails.
pub fn prepare(
    tenant: TenantId,
    quorum: Quorum,
    random: &OsRandom,
    now: Timestamp,
) -> Result<Prepared, Error> {
    let root = RootKey::generate(random);
    let mac_key = root.mac_key()?;
    let (config, shares) = SealConfig::create(tenant, quorum, 1, &root, random)?;
    let keyring = Keyring::generate(random, now);
    let epoch = SealEpoch(1);
    let rows = SealRows {
        config: config.encode(&mac_key, tenant)?,
        epoch: epoch::encode(&mac_key, tenant, epoch)?,
        keyring: RowCipher::new(&root.keyring_key()?).seal(
            random,
            KEYRING_TERM,
            keyring_address(tenant).as_bytes(),
            &keyring.encode()?,
        )?,
    };
    let unsealed = Unsealed::new(tenant, epoch, rows.epoch.clone(), &keyring)?;
    Ok(Prepared {
        rows,
        unsealed,
        shares,
    })
}

/// What shares proved: they opened the root key, and with it that the seal rows are genuine.
pub struct Proof {
    /// The root key.
    pub root: RootKey,
    /// The key of the MACs on plaintext rows.
    pub mac_key: MacKey,
    /// The configuration that the shares belong to.
    pub config: SealConfig,
    /// The stored epoch.
    pub epoch: SealEpoch,
}

/// Proves with the key that an add-on's shares combined to that its configuration and epoch were not changed.
///
/// # Errors
/// [`Error::Invalid`] when it is not the unseal key, [`Error::Corrupt`] when a row does not prove itself.
pub fn prove(
    tenant: TenantId,
    rows: &SealRows,
    unseal_key: &Secret<[u8; 32]>,
) -> Result<Proof, Error> {
    let config = SealConfig::claim(&rows.config)?;
    let root = config.unwrap_root(tenant, unseal_key)?;
    let mac_key = root.mac_key()?;
    SealConfig::prove(&mac_key, tenant, &rows.config)?;
    let epoch = epoch::prove(&mac_key, tenant, &rows.epoch)?;
    Ok(Proof {
        root,
        mac_key,
        config,
        epoch,
    })
}

/// Opens an add-on with the key that its shares combined to, and proves that none of its rows was changed.
///
/// # Errors
/// As [`prove`].
pub fn open(
    tenant: TenantId,
    rows: &SealRows,
    unseal_key: &Secret<[u8; 32]>,
) -> Result<Opened, Error> {
    let proof = prove(tenant, rows, unseal_key)?;
    SealKeys::new(
        tenant,
        proof.epoch,
        proof.mac_key,
        proof.root.keyring_key()?,
    )
    .open(rows)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seal::shamir;
    use crate::store::key::Scope;

    fn tenant() -> TenantId {
        TenantId::from_bytes([5; 16])
    }

    fn prepared() -> Prepared {
        prepare(
            tenant(),
            Quorum::new(5, 3).unwrap(),
            &OsRandom,
            Timestamp(0),
        )
        .unwrap()
    }

    fn refusal(rows: &SealRows, key: &Secret<[u8; 32]>) -> Error {
        open(tenant(), rows, key).err().unwrap()
    }

    #[test]
    fn what_was_prepared_opens_with_its_shares() {
        let prepared = prepared();
        let key = shamir::combine(prepared.shares.iter().skip(2)).unwrap();
        let opened = open(tenant(), &prepared.rows, &key).unwrap();
        assert_eq!(opened.unsealed.epoch(), SealEpoch(1));
        assert!(opened.unsealed.is_current(Some(&prepared.rows.epoch)));
        let name = |unsealed: &Unsealed| {
            let domain = crate::barrier::Domain::Path;
            unsealed.pseudonym(Scope::Tenant(tenant()), domain, b"name")
        };
        assert_eq!(name(&opened.unsealed), name(&prepared.unsealed));
        assert_eq!(opened.keys.tenant(), tenant());
    }

    #[test]
    fn another_key_opens_nothing() {
        let prepared = prepared();
        let two = shamir::combine(prepared.shares.iter().take(2)).unwrap();
        assert!(matches!(
            refusal(&prepared.rows, &two),
            Error::Invalid { .. }
        ));
    }

    #[test]
    fn rows_of_another_add_on_or_life_do_not_open() {
        let (one, two) = (prepared(), prepared());
        let key = shamir::combine(&one.shares).unwrap();
        for swapped in [
            SealRows {
                epoch: two.rows.epoch.clone(),
                ..one.rows.clone()
            },
            SealRows {
                keyring: two.rows.keyring,
                ..one.rows.clone()
            },
        ] {
            assert!(matches!(refusal(&swapped, &key), Error::Corrupt(_)));
        }
        let elsewhere = open(TenantId::from_bytes([6; 16]), &one.rows, &key);
        assert!(elsewhere.is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_changed_bit_in_any_row_is_refused(row in 0..3, position: prop::sample::Index, bit in 0u8..8) {
            let Prepared { mut rows, shares, .. } = prepared();
            let key = shamir::combine(&shares).unwrap();
            let row = match row {
                0 => &mut rows.config,
                1 => &mut rows.epoch,
                _ => &mut rows.keyring,
            };
            let position = position.index(row.len());
            row[position] ^= 1 << bit;
            prop_assert!(open(tenant(), &rows, &key).is_err());
        }
    }
}
