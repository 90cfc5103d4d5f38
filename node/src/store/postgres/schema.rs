//! The tables and functions in the database: made on the first start, brought up to date by the first node of a newer
//! version.

use tokio_postgres::{Client, Error};

use super::super::StoreError;
use super::failure::Trouble;
use super::locks::SCHEMA;
use super::session::Server;

/// What leads from each version of the schema to the next. Steps are only ever added.
const STEPS: [&str; 1] = [include_str!("migration_1.sql")];

/// How many bits of a stamp are the number of its transaction: 2^48 transactions, ten thousand a second for 890 years.
/// The bits above count the servers that the database has lived on.
const TRANSACTION_BITS: u32 = 48;

/// One row says which version the schema has, and on which server the database was last.
const ABOUT: &str = "
    CREATE SCHEMA IF NOT EXISTS conclave;
    CREATE TABLE IF NOT EXISTS conclave.about (
        id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
        version integer NOT NULL,
        server text NOT NULL,
        life smallint NOT NULL
    );";

/// What [`ABOUT`]'s row says.
struct About {
    version: usize,
    server: String,
    life: i16,
}

/// Makes sure that the schema is this program's, and returns what is added to the number of a transaction to make a
/// stamp.
///
/// Stamps must grow, also when the database was dumped and restored into another server, where the numbers of
/// transactions begin again. So each move to another server begins a new life of the database, above all before.
pub(super) async fn prepare(client: &Client, server: Server) -> Result<i64, StoreError> {
    let asking = |error: Error| Trouble::from(error).while_asking();
    let here = server.identity.to_string();
    let is_current =
        |about: &About| about.version == STEPS.len() && about.server == here && about.life > 0;
    let mut about = read(client).await.map_err(asking)?;
    if !about.as_ref().is_some_and(is_current) {
        let done = migrate(client, &here).await;
        if done.is_err() {
            let _ = client.batch_execute("ROLLBACK").await;
        }
        about = Some(done?);
    }
    let life = about.map_or(0, |about| about.life);
    Ok(i64::from(life) << TRANSACTION_BITS)
}

async fn read(client: &Client) -> Result<Option<About>, Error> {
    let exists: bool = client
        .query_one("SELECT to_regclass('conclave.about') IS NOT NULL", &[])
        .await?
        .try_get(0)?;
    if !exists {
        return Ok(None);
    }
    let row = client
        .query_opt("SELECT version, server, life FROM conclave.about", &[])
        .await?;
    row.map(|row| {
        Ok(About {
            version: usize::try_from(row.try_get::<_, i32>(0)?).unwrap_or(usize::MAX),
            server: row.try_get(1)?,
            life: row.try_get(2)?,
        })
    })
    .transpose()
}

async fn migrate(client: &Client, here: &str) -> Result<About, StoreError> {
    let asking = |error: Error| Trouble::from(error).while_asking();
    // Several nodes may start at once; the lock lets one of them do it, and the others find it done.
    let begin = format!("BEGIN; SELECT pg_advisory_xact_lock({SCHEMA}); {ABOUT}");
    client.batch_execute(&begin).await.map_err(asking)?;
    let found = read(client).await.map_err(asking)?.unwrap_or(About {
        version: 0,
        server: String::new(),
        life: 0,
    });
    let missing = STEPS.get(found.version..).ok_or_else(|| {
        StoreError::Unavailable(format!(
            "its schema is of version {}, made by a newer Conclave; this one knows {}",
            found.version,
            STEPS.len()
        ))
    })?;
    for step in missing {
        client.batch_execute(step).await.map_err(asking)?;
    }
    let life = if found.server == here {
        found.life
    } else {
        found
            .life
            .checked_add(1)
            .ok_or_else(|| StoreError::Corrupt("the database has moved too often".into()))?
    };
    let now = About {
        version: STEPS.len(),
        server: here.to_owned(),
        life,
    };
    let version = i32::try_from(now.version).unwrap_or(i32::MAX);
    client
        .execute(
            "INSERT INTO conclave.about (version, server, life) VALUES ($1, $2, $3)
             ON CONFLICT (id) DO UPDATE SET version = $1, server = $2, life = $3",
            &[&version, &now.server, &now.life],
        )
        .await
        .map_err(asking)?;
    client.batch_execute("COMMIT").await.map_err(asking)?;
    tracing::info!(version, life, "the database's schema is up to date");
    Ok(now)
}
