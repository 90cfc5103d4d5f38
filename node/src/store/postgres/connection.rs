//! One connection, with the statements that the store runs. A statement is on its way once its future was first
//! polled; several that are polled one after the other travel together and are done in that order.

use futures_util::FutureExt;
use futures_util::future::join;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};

use super::connector::Connected;
use super::reads::{Checks, Version};
use super::session::Backend;

/// A row as stored: key, value, version.
pub(super) type StoredRow = (Vec<u8>, Vec<u8>, Version);

/// See the module's documentation.
pub(super) struct Connection {
    client: Client,
    statements: Statements,
    pub(super) backend: Backend,
}

/// What a commit writes, as the arrays that it is called with.
#[derive(Default)]
pub(super) struct Writes<'w> {
    pub(super) emptied_begins: Vec<&'w [u8]>,
    pub(super) emptied_ends: Vec<&'w [u8]>,
    pub(super) removed_keys: Vec<&'w [u8]>,
    pub(super) set_keys: Vec<&'w [u8]>,
    pub(super) set_values: Vec<&'w [u8]>,
    pub(super) added_keys: Vec<&'w [u8]>,
    pub(super) added_values: Vec<[u8; 8]>,
    pub(super) stamped_keys: Vec<&'w [u8]>,
    pub(super) records: Vec<&'w [u8]>,
}

/// Which rows to read.
#[derive(Clone, Copy)]
pub(super) struct Span<'s> {
    pub(super) begin: &'s [u8],
    pub(super) end: &'s [u8],
    pub(super) limit: usize,
    pub(super) reverse: bool,
}

struct Statements {
    get: Statement,
    range: Statement,
    range_reverse: Statement,
    commit: Statement,
    horizon: Statement,
    changes: Statement,
    changes_of: Statement,
    has_changes: Statement,
    trim: Statement,
    end_session: Statement,
}

/// All reads of a transaction see the database as it was at the first of them.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const ROLL_BACK: &str = "ROLLBACK";

impl Connection {
    /// Prepares the statements, whose tables and functions must exist.
    pub(super) async fn prepare(connected: Connected) -> Result<Self, Error> {
        let Connected {
            client, backend, ..
        } = connected;
        Ok(Self {
            statements: Statements::prepare(&client).await?,
            client,
            backend,
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Fixes the moment that the following reads are of. Every transaction that they do not see is at or above the
    /// number returned.
    pub(super) async fn begin(&self) -> Result<i64, Error> {
        let (begun, horizon) = join(self.client.batch_execute(BEGIN), self.horizon()).await;
        begun?;
        horizon
    }

    /// Lets the transaction under way wait for its user as long as it takes.
    pub(super) async fn let_it_idle(&self) -> Result<(), Error> {
        self.client
            .batch_execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            .await
    }

    /// Sends the end of the transaction without waiting for the answer: what is sent next is done after it.
    pub(super) fn send_roll_back(&self) {
        // A failure shows at the next statement.
        let _ = self.client.batch_execute(ROLL_BACK).now_or_never();
    }

    /// The number of the oldest transaction that is still under way, or of the next one.
    pub(super) async fn horizon(&self) -> Result<i64, Error> {
        self.client
            .query_one(&self.statements.horizon, &[])
            .await?
            .try_get(0)
    }

    pub(super) async fn get(&self, key: &[u8]) -> Result<Option<(Vec<u8>, Version)>, Error> {
        let row = self.client.query_opt(&self.statements.get, &[&key]).await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .transpose()
    }

    pub(super) async fn range(&self, span: Span<'_>) -> Result<Vec<StoredRow>, Error> {
        let statement = if span.reverse {
            &self.statements.range_reverse
        } else {
            &self.statements.range
        };
        let limit = i64::try_from(span.limit).unwrap_or(i64::MAX);
        let rows = self
            .client
            .query(statement, &[&span.begin, &span.end, &limit])
            .await?;
        let stored = |row: Row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        rows.into_iter().map(stored).collect()
    }

    /// Commits, and returns the stamp, or `None` when one of the checks failed.
    pub(super) async fn commit(
        &self,
        (lock_numbers, lock_exclusive): (&Vec<i64>, &Vec<bool>),
        checks: &Checks<'_>,
        writes: &Writes<'_>,
        stamp_base: i64,
    ) -> Result<Option<i64>, Error> {
        let added_values: Vec<&[u8]> = writes.added_values.iter().map(|v| &v[..]).collect();
        let arguments: [&(dyn ToSql + Sync); 17] = [
            lock_numbers,
            lock_exclusive,
            &checks.keys,
            &checks.versions,
            &checks.range_begins,
            &checks.range_ends,
            &checks.range_counts,
            &writes.emptied_begins,
            &writes.emptied_ends,
            &writes.removed_keys,
            &writes.set_keys,
            &writes.set_values,
            &writes.added_keys,
            &added_values,
            &writes.stamped_keys,
            &writes.records,
            &stamp_base,
        ];
        self.client
            .query_one(&self.statements.commit, &arguments)
            .await?
            .try_get(0)
    }

    /// At most `limit` change records after a stamp, in order, each with its stamp.
    pub(super) async fn changes(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(i64, Vec<u8>)>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self
            .client
            .query(&self.statements.changes, &[&after, &limit])
            .await?;
        let change = |row: Row| Ok((row.try_get(0)?, row.try_get(1)?));
        rows.into_iter().map(change).collect()
    }

    /// The change records of one commit.
    pub(super) async fn changes_of(&self, stamp: i64) -> Result<Vec<Vec<u8>>, Error> {
        let rows = self
            .client
            .query(&self.statements.changes_of, &[&stamp])
            .await?;
        rows.into_iter().map(|row| row.try_get(0)).collect()
    }

    pub(super) async fn has_changes(&self, after: i64) -> Result<bool, Error> {
        self.client
            .query_one(&self.statements.has_changes, &[&after])
            .await?
            .try_get(0)
    }

    /// Removes at most `limit` change records below a stamp, and returns how many there were.
    pub(super) async fn trim(&self, before: i64, limit: u64) -> Result<u64, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.client
            .execute(&self.statements.trim, &[&before, &limit])
            .await
    }

    /// Ends another session of this role, and says whether it is gone; waits for that at most so long.
    pub(super) async fn end_session(&self, other: Backend, wait_ms: i64) -> Result<bool, Error> {
        let found = self
            .client
            .query_opt(
                &self.statements.end_session,
                &[&other.process, &other.started_us, &wait_ms],
            )
            .await?;
        found.map_or(Ok(true), |row| row.try_get(0))
    }
}

impl Statements {
    async fn prepare(client: &Client) -> Result<Self, Error> {
        let prepare = |text| client.prepare(text);
        let (
            (get, range, range_reverse, commit, horizon),
            (changes, changes_of, has_changes, trim, end_session),
        ) = tokio::try_join!(
            async {
                tokio::try_join!(
                    prepare("SELECT value, xmin::text::bigint FROM conclave.rows WHERE key = $1"),
                    prepare(
                        "SELECT key, value, xmin::text::bigint FROM conclave.rows
                         WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3"
                    ),
                    prepare(
                        "SELECT key, value, xmin::text::bigint FROM conclave.rows
                         WHERE key >= $1 AND key < $2 ORDER BY key DESC LIMIT $3"
                    ),
                    prepare(
                        "SELECT conclave.commit_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
                             $16, $17)"
                    ),
                    prepare("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"),
                )
            },
            async {
                tokio::try_join!(
                    prepare(
                        "SELECT stamp, record FROM conclave.changes
                         WHERE stamp > $1 ORDER BY stamp, place LIMIT $2"
                    ),
                    prepare("SELECT record FROM conclave.changes WHERE stamp = $1 ORDER BY place"),
                    prepare("SELECT EXISTS (SELECT FROM conclave.changes WHERE stamp > $1)"),
                    prepare(
                        "DELETE FROM conclave.changes WHERE ctid = ANY (ARRAY(
                             SELECT ctid FROM conclave.changes WHERE stamp < $1 LIMIT $2))"
                    ),
                    prepare(
                        "SELECT pg_terminate_backend(pid, $3) FROM pg_stat_activity
                         WHERE pid = $1 AND (extract(epoch FROM backend_start) * 1000000)::bigint = $2"
                    ),
                )
            },
        )?;
        Ok(Self {
            get,
            range,
            range_reverse,
            commit,
            horizon,
            changes,
            changes_of,
            has_changes,
            trim,
            end_session,
        })
    }
}
