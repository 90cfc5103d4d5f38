//! What a session is told when it begins, and what the server says of itself then.

use std::time::Duration;

use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

/// Waiting for a session of the server to end (`pg_terminate_backend` with a timeout) came with 14.
const OLDEST_VERSION: u32 = 14_00_00;

/// Which server, and how far it is.
#[derive(Clone, Copy)]
pub(super) struct Server {
    /// Given to a cluster of PostgreSQL when it is made; standbys share their primary's.
    pub(super) identity: u64,
    /// The next transaction gets this number, or a later one.
    pub(super) next_transaction: i64,
}

/// The process that serves one connection, told apart from others that had the same number before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) process: i32,
    /// Microseconds since 1970.
    pub(super) started_us: i64,
}

/// The settings of a session, and the question what the other side is.
pub(super) fn settings(request_timeout: Duration) -> String {
    let timeout_ms = request_timeout.as_millis();
    // The server gives up before this side does, so that silence means that the server cannot speak.
    let statement_ms = timeout_ms * 4 / 5;
    let lock_ms = timeout_ms * 3 / 5;
    // Every statement is a look-up by primary key. Left to its statistics, which an empty table does not have, the
    // planner now and then reads the whole table instead.
    format!(
        "SET search_path = pg_catalog;
         SET default_transaction_isolation = 'read committed';
         SET statement_timeout = {statement_ms};
         SET lock_timeout = {lock_ms};
         SET idle_in_transaction_session_timeout = {timeout_ms};
         SET plan_cache_mode = force_generic_plan;
         SET enable_seqscan = off;
         SET enable_bitmapscan = off;
         SET enable_hashjoin = off;
         SET enable_mergejoin = off;
         SET enable_sort = off;
         SET jit = off;
         SELECT set_config('synchronous_commit', 'on', false)
         WHERE current_setting('synchronous_commit') IN ('off', 'local');
         SELECT current_setting('server_version_num'), pg_is_in_recovery(), system_identifier,
             pg_snapshot_xmax(pg_current_snapshot()), pid,
             (extract(epoch FROM backend_start) * 1000000)::bigint
         FROM pg_control_system(), pg_stat_activity WHERE pid = pg_backend_pid();"
    )
}

/// Reads the answer to the last question of [`settings`].
pub(super) fn check(answers: &[SimpleQueryMessage]) -> Result<(Server, Backend), String> {
    let rows = answers.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = rows.ok_or("it does not say what it is")?;
    if field::<u32>(row, 0)? < OLDEST_VERSION {
        return Err("it is older than PostgreSQL 14".into());
    }
    if row.try_get(1).ok().flatten() != Some("f") {
        return Err("it is a standby; Conclave needs the primary".into());
    }
    let server = Server {
        identity: field(row, 2)?,
        next_transaction: field(row, 3)?,
    };
    let backend = Backend {
        process: field(row, 4)?,
        started_us: field(row, 5)?,
    };
    Ok((server, backend))
}

fn field<T: std::str::FromStr>(row: &SimpleQueryRow, index: usize) -> Result<T, String> {
    row.try_get(index)
        .ok()
        .flatten()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| "its answer is not PostgreSQL's".into())
}
