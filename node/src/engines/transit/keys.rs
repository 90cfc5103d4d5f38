//! The mount's keys as requests see them: from memory, or confirmed by the store.
//!
//! A warm request takes [`Keys::cached`] and reads no row. Whatever would be refused on the strength of a cached key, or
//! of there being none, is first put to [`Keys::confirmed`], and refused only then: memory may grant, it may not deny.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::cache::Cache;
use super::cipher::VersionCipher;
use super::flights::Flights;
use super::key::{KeyPolicy, KeySettings, Version};
use super::loaded::LoadedKey;
use super::path::KeyName;
use super::settings::MountSettings;
use crate::barrier::{Domain, Rows, View};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::metrics::cache::TRANSIT_KEYS;
use crate::rng::OsRandom;
use crate::store::key::{Part, Pseudonym, Table};

/// How many loads a mount may have under way at once. Requests beyond it wait their turn, so somebody who asks for keys
/// that do not exist is slowed to what a few transactions yield and leaves the store to the others.
const MAX_LOADS_AT_ONCE: usize = 16;

/// The keys of one mount.
pub struct Keys {
    view: View,
    cache: Cache,
    flights: Flights<Option<Arc<LoadedKey>>>,
    loads: Semaphore,
    /// Opens nothing: nobody ever encrypted with it.
    stranger: VersionCipher,
}

/// What the store says of a key.
enum Stored {
    Absent,
    AsCached(Arc<LoadedKey>),
    Policy(KeyPolicy),
}

impl Keys {
    /// The keys behind `view`.
    ///
    /// # Errors
    /// [`Error::Bug`] when no key can be made.
    pub fn new(view: View) -> Result<Self, Error> {
        let settings = KeySettings::default();
        let stranger = KeyPolicy::create("", &settings, &OsRandom, Timestamp::default());
        let version = Version::generate(settings.key_type, &OsRandom, Timestamp::default());
        Ok(Self {
            view,
            cache: Cache::new(),
            flights: Flights::new(),
            loads: Semaphore::new(MAX_LOADS_AT_ONCE),
            stranger: VersionCipher::new(&stranger, &version)?,
        })
    }

    /// Does the work of opening where there is no key to do it with, so that this takes as long.
    pub fn open_in_vain(&self, context: &[u8], associated_data: &[u8], sealed: &[u8]) {
        std::hint::black_box(self.stranger.open(context, associated_data, sealed));
    }

    /// The mount's rows.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The keys in memory.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Where a key is stored.
    pub fn pseudonym(&self, name: &str) -> Pseudonym {
        self.view.pseudonym(Domain::Path, name.as_bytes())
    }

    /// The key, if it is in memory.
    pub fn cached(&self, name: KeyName<'_>) -> Option<Arc<LoadedKey>> {
        let key = self.cache.get(name.as_str());
        TRANSIT_KEYS.count(key.is_some());
        key
    }

    /// The key as the store has it, not older than this call. Loads are shared and limited in number.
    ///
    /// # Errors
    /// What the store says.
    pub async fn confirmed(&self, name: KeyName<'_>) -> Result<Option<Arc<LoadedKey>>, Error> {
        let pseudonym = self.pseudonym(name.as_str());
        self.flights
            .share(pseudonym, self.load(name, pseudonym))
            .await
    }

    async fn load(
        &self,
        name: KeyName<'_>,
        pseudonym: Pseudonym,
    ) -> Result<Option<Arc<LoadedKey>>, Error> {
        let _turn = self
            .loads
            .acquire()
            .await
            .map_err(|_| Error::Bug("the loads of a transit mount were closed".into()))?;
        let ticket = self.cache.ticket();
        let cached = self.cache.get(name.as_str());
        let (settings, stored) = self
            .view
            .run(async |rows| {
                // Two rows are read whether the key is in memory, in the store or nowhere, so that the time it takes
                // says little of which.
                let settings = MountSettings::read(rows).await?;
                let stored = read_stored(rows, pseudonym, cached.as_ref()).await?;
                Ok((settings, stored))
            })
            .await?;
        self.cache.set_max_keys(settings.max_cached_keys());
        match stored {
            Stored::Absent => {
                if cached.is_some() {
                    self.cache.forget(pseudonym);
                }
                Ok(None)
            }
            Stored::AsCached(key) => Ok(Some(key)),
            Stored::Policy(policy) => {
                refuse_rollback(cached.as_deref(), &policy)?;
                let key = Arc::new(LoadedKey::new(pseudonym, policy));
                self.cache.insert(ticket, Arc::clone(&key));
                Ok(Some(key))
            }
        }
    }
}

/// A key that the store shows in an older state than a copy which was made of it earlier was put back by somebody.
fn refuse_rollback(cached: Option<&LoadedKey>, stored: &KeyPolicy) -> Result<(), Error> {
    let Some(known) = cached.map(|key| key.policy().mark()) else {
        return Ok(());
    };
    let stored = stored.mark();
    if known.id == stored.id && stored.revision < known.revision {
        return Err(Error::Corrupt(
            "a transit key was replaced by an older state of itself".into(),
        ));
    }
    Ok(())
}

async fn read_stored(
    rows: &mut Rows<'_>,
    pseudonym: Pseudonym,
    cached: Option<&Arc<LoadedKey>>,
) -> Result<Stored, Error> {
    if let Some(key) = cached {
        match rows
            .get(Table::TransitKey, &mark_address(pseudonym))
            .await?
        {
            None => return Ok(Stored::Absent),
            Some(mark) if *mark == key.policy().mark().encode() => {
                return Ok(Stored::AsCached(Arc::clone(key)));
            }
            Some(_) => {}
        }
    }
    let policy = read_policy(rows, pseudonym).await?;
    Ok(policy.map_or(Stored::Absent, Stored::Policy))
}

/// Reads a key.
///
/// # Errors
/// What the store says.
pub async fn read_policy(
    rows: &mut Rows<'_>,
    pseudonym: Pseudonym,
) -> Result<Option<KeyPolicy>, Error> {
    let stored = rows.get(Table::TransitKey, &[pseudonym.into()]).await?;
    stored.map(|bytes| KeyPolicy::decode(&bytes)).transpose()
}

/// Writes a key and its mark.
///
/// # Errors
/// [`Error::Bug`] when it cannot be encoded.
pub fn write_policy(
    rows: &mut Rows<'_>,
    pseudonym: Pseudonym,
    policy: &KeyPolicy,
) -> Result<(), Error> {
    rows.put(Table::TransitKey, &[pseudonym.into()], &policy.encode()?)?;
    let mark = policy.mark().encode();
    rows.put(Table::TransitKey, &mark_address(pseudonym), &mark)
}

/// Removes a key and its mark.
pub fn remove_policy(rows: &mut Rows<'_>, pseudonym: Pseudonym) {
    rows.delete(Table::TransitKey, &[pseudonym.into()]);
    rows.delete(Table::TransitKey, &mark_address(pseudonym));
}

/// The mark stands below the key.
fn mark_address(pseudonym: Pseudonym) -> [Part; 2] {
    [Part::Name(pseudonym), Part::Number(0)]
}
