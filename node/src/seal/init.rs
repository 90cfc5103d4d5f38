//! Founding an add-on's key hierarchy, and opening it again. Pure: rows in, rows out; the [shell](super::shell) moves
//! them to and from the store.

use super::attempt::Incarnation;
use super::config::{self, SealConfig};
use super::epoch::{self, SealKeys};
use super::keyring::Keyring;
use super::keys::RootKey;
use super::quorum::Quorum;
use super::share::Share;
use crate::barrier::Unsealed;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::{SealEpoch, TenantId};
use crate::rng::OsRandom;
use crate::secret::Secret;
use crate::store::Transaction;
use crate::store::key::{Key, Scope, Table};

/// The keyring's envelope has no term: what wraps it is derived from the root key, which never rotates on its own.
const KEYRING_TERM: u32 = 0;

/// The three rows of an add-on's seal, as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct SealRows {
    /// See [`SealConfig`].
    pub config: Vec<u8>,
    /// See [`epoch`](super::epoch).
    pub epoch: Vec<u8>,
    /// See [`Keyring`].
    pub keyring: Vec<u8>,
}

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
    /// What is needed to seal it.
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
        keyring: root.keyring_cipher()?.seal(
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

/// Opens an add-on with the key that its shares combined to, and proves that none of its rows was changed.
///
/// # Errors
/// [`Error::Invalid`] when it is not the unseal key, [`Error::Corrupt`] when a row does not prove itself.
pub fn open(
    tenant: TenantId,
    rows: &SealRows,
    unseal_key: &Secret<[u8; 32]>,
) -> Result<Opened, Error> {
    let root = SealConfig::claim(&rows.config)?.unwrap_root(tenant, unseal_key)?;
    let mac_key = root.mac_key()?;
    SealConfig::prove(&mac_key, tenant, &rows.config)?;
    let epoch = epoch::prove(&mac_key, tenant, &rows.epoch)?;
    let keyring = Keyring::decode(
        &root
            .keyring_cipher()?
            .open(keyring_address(tenant).as_bytes(), &rows.keyring)?,
    )?;
    Ok(Opened {
        unsealed: Unsealed::new(tenant, epoch, rows.epoch.clone(), &keyring)?,
        keys: SealKeys::new(tenant, epoch, mac_key),
    })
}

impl SealRows {
    /// Reads an add-on's rows; `None` when it was never initialised.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when only some of them are there, or what the store says.
    pub async fn read(
        transaction: &mut dyn Transaction,
        tenant: TenantId,
    ) -> Result<Option<Self>, Error> {
        let config = transaction.get(&config::address(tenant)).await?;
        let epoch = transaction.get(&epoch::address(tenant)).await?;
        let keyring = transaction.get(&keyring_address(tenant)).await?;
        match (config, epoch, keyring) {
            (None, None, None) => Ok(None),
            (Some(config), Some(epoch), Some(keyring)) => Ok(Some(Self {
                config,
                epoch,
                keyring,
            })),
            _ => Err(Error::Corrupt("some of the seal rows are gone".into())),
        }
    }

    /// Writes them.
    pub fn write(&self, transaction: &mut dyn Transaction, tenant: TenantId) {
        transaction.set(&config::address(tenant), &self.config);
        transaction.set(&epoch::address(tenant), &self.epoch);
        transaction.set(&keyring_address(tenant), &self.keyring);
    }
}

/// Which life of the store a transaction sees.
///
/// # Errors
/// [`Error::Corrupt`] when the row is damaged, or what the store says.
pub async fn read_incarnation(transaction: &mut dyn Transaction) -> Result<Incarnation, Error> {
    let key = Key::row(Scope::Node, Table::Incarnation, &[]);
    match transaction.get(&key).await? {
        None => Ok(Incarnation::default()),
        Some(bytes) => <[u8; 16]>::try_from(bytes)
            .map(Incarnation)
            .map_err(|_| Error::Corrupt("the store's incarnation".into())),
    }
}

fn keyring_address(tenant: TenantId) -> Key {
    Key::row(Scope::Tenant(tenant), Table::Keyring, &[])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seal::shamir;

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
