//! Settings of the mount: `config/keys` and `cache-config`. One short row, read and written in one transaction.

use serde::{Deserialize, Serialize};

use super::TransitEngine;
use crate::barrier::Rows;
use crate::engines::{Call, Reply};
use crate::error::Error;
use crate::store::key::Table;

/// How many keys are kept in memory when nobody says: a megabyte or two for keys of a few versions.
pub const DEFAULT_CACHE_KEYS: usize = 1000;

/// The smallest cache that may be asked for: Vault's.
const MIN_CACHE_KEYS: i64 = 10;

/// The largest: beyond it the bound on versions in memory is the one that counts.
const MAX_CACHE_KEYS: i64 = 32 * 1024;

/// What a mount is told beside its keys.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub struct MountSettings {
    /// Whether encrypting with a key that does not exist is refused instead of making it.
    pub disable_upsert: bool,
    /// How many keys are kept in memory; 0 for [`DEFAULT_CACHE_KEYS`].
    pub cache_size: usize,
}

impl MountSettings {
    /// Reads the row.
    ///
    /// # Errors
    /// What the store says.
    pub async fn read(rows: &mut Rows<'_>) -> Result<Self, Error> {
        let stored = rows.get_json(Table::TransitConfig, &[]).await?;
        Ok(stored.unwrap_or_default())
    }

    /// How many keys are kept in memory.
    pub fn max_cached_keys(self) -> usize {
        match self.cache_size {
            0 => DEFAULT_CACHE_KEYS,
            keys => keys,
        }
    }
}

#[derive(Serialize)]
struct Upsert {
    disable_upsert: bool,
}

#[derive(Serialize)]
struct CacheSize {
    size: usize,
}

/// Answers GET `config/keys`.
pub(super) async fn read_upsert(engine: &TransitEngine) -> Result<Reply, Error> {
    let settings = engine.keys.view().run(MountSettings::read).await?;
    Reply::data(&Upsert {
        disable_upsert: settings.disable_upsert,
    })
}

/// Answers POST `config/keys`.
pub(super) async fn write_upsert(engine: &TransitEngine, call: &Call<'_>) -> Result<Reply, Error> {
    let disable_upsert = call.fields.boolean("disable_upsert")?;
    let settings = change(engine, |settings| {
        settings.disable_upsert = disable_upsert.unwrap_or(settings.disable_upsert);
    })
    .await?;
    let reply = Reply::data(&Upsert {
        disable_upsert: settings.disable_upsert,
    })?;
    Ok(reply.with_warning(call.fields.unrecognized(&["disable_upsert"])))
}

/// Answers GET `cache-config`.
pub(super) async fn read_cache_size(engine: &TransitEngine) -> Result<Reply, Error> {
    let settings = engine.keys.view().run(MountSettings::read).await?;
    Reply::data(&CacheSize {
        size: settings.cache_size,
    })
}

/// Answers POST `cache-config`. It applies here at once, and on other nodes when they next load a key.
pub(super) async fn write_cache_size(
    engine: &TransitEngine,
    call: &Call<'_>,
) -> Result<Reply, Error> {
    let wrong = || {
        let message = format!(
            "size must be 0 or a value greater or equal to {MIN_CACHE_KEYS}, and at most {MAX_CACHE_KEYS}"
        );
        Error::invalid("size", message)
    };
    let size = match call.fields.integer("size")? {
        None => return Err(Error::invalid("size", "missing size")),
        Some(size @ (0 | MIN_CACHE_KEYS..=MAX_CACHE_KEYS)) => {
            usize::try_from(size).map_err(|_| wrong())?
        }
        Some(_) => return Err(wrong()),
    };
    let settings = change(engine, |settings| settings.cache_size = size).await?;
    engine.keys.cache().set_max_keys(settings.max_cached_keys());
    Ok(Reply::empty().with_warning(call.fields.unrecognized(&["size"])))
}

async fn change(
    engine: &TransitEngine,
    change: impl Fn(&mut MountSettings),
) -> Result<MountSettings, Error> {
    engine
        .keys
        .view()
        .run(async |rows| {
            let mut settings = MountSettings::read(rows).await?;
            change(&mut settings);
            rows.put_json(Table::TransitConfig, &[], &settings)?;
            Ok(settings)
        })
        .await
}
