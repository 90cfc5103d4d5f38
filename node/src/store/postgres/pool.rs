//! The connections of one node: at most so many, given out one at a time, thrown away at the first doubt.
//!
//! It promises an answer within the time allowed: while the server cannot be reached, everybody is told so at once, and
//! it is tried again after a pause that grows from [`FIRST_PAUSE`] to [`LONGEST_PAUSE`]. And it promises that a commit
//! whose answer was lost is over, one way or the other, before anything else is read or written: a commit still on its
//! way could otherwise be done after the attempt that was to replace it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::super::StoreError;
use super::connection::Connection;
use super::connector::Connector;
use super::driver::Driver;
use super::failure::{Trouble, describe};
use super::session::{Backend, Server};

/// How long the first failure to connect keeps the next try away. A server that restarts takes about a second.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Each failure doubles the pause up to this, which is how late its return is noticed at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// See the module's documentation.
pub(super) struct Pool {
    connector: Arc<Connector>,
    driver: Driver,
    room: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    outage: Mutex<Option<Outage>>,
    /// Sessions that may still be working on a commit whose answer was lost.
    in_doubt: Mutex<Vec<Backend>>,
    server_identity: u64,
    /// The largest number of a transaction that this node has heard of.
    latest: AtomicI64,
    request_timeout: Duration,
}

/// The server was not reached.
struct Outage {
    reason: String,
    /// When to try again.
    until: Instant,
    pause: Duration,
}

/// A connection for one user at a time. Goes back to the pool when dropped, unless it is not to be trusted.
pub(super) struct Lease {
    pool: Arc<Pool>,
    connection: Option<Connection>,
    /// Whether a transaction must be ended first.
    pub(super) in_transaction: bool,
    _room: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(
        connector: Arc<Connector>,
        driver: Driver,
        server: Server,
        max_connections: u32,
        request_timeout: Duration,
    ) -> Arc<Self> {
        let room = usize::try_from(max_connections).unwrap_or(usize::MAX);
        Arc::new(Self {
            connector,
            driver,
            room: Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS))),
            idle: Mutex::default(),
            outage: Mutex::default(),
            in_doubt: Mutex::default(),
            server_identity: server.identity,
            latest: AtomicI64::new(0),
            request_timeout,
        })
    }

    /// When a request that begins now must be answered.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.request_timeout
    }

    /// Notes that the server has come to this transaction.
    pub(super) fn heard_of(&self, transaction: i64) {
        self.latest.fetch_max(transaction, Ordering::Relaxed);
    }

    /// A connection, waiting for one if all are in use.
    pub(super) async fn lease(self: &Arc<Self>, deadline: Instant) -> Result<Lease, StoreError> {
        let room = timeout_at(deadline, Arc::clone(&self.room).acquire_owned());
        let busy = |_| StoreError::Unavailable("all connections to the database are busy".into());
        let closed = |_| StoreError::Unavailable("it is closed".into());
        let room = room.await.map_err(busy)?.map_err(closed)?;
        let connection = match self.take_idle() {
            Some(connection) => connection,
            None => self.connect(deadline).await?,
        };
        let mut lease = Lease {
            pool: Arc::clone(self),
            connection: Some(connection),
            in_transaction: false,
            _room: room,
        };
        self.settle_doubts(&mut lease, deadline).await?;
        Ok(lease)
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock();
        idle.retain(|connection| !connection.is_closed());
        idle.pop()
    }

    async fn connect(&self, deadline: Instant) -> Result<Connection, StoreError> {
        self.check_outage()?;
        let seen = self.latest.load(Ordering::Relaxed);
        let connector = Arc::clone(&self.connector);
        let connecting = async move {
            let connected = connector.connect().await?;
            let server = connected.server;
            let prepared = Connection::prepare(connected).await;
            let unavailable = |error| StoreError::Unavailable(describe(&error));
            Ok((server, prepared.map_err(unavailable)?))
        };
        let connected = self.driver.run(deadline, connecting).await;
        let checked = connected.and_then(|(server, connection)| {
            self.check_server(server, seen)?;
            Ok(connection)
        });
        match &checked {
            Ok(_) => *self.outage.lock() = None,
            Err(error) => self.note_outage(error),
        }
        checked
    }

    /// A server that lacks what this node has seen would break promises already made: changes would be missed, since
    /// their stamps would be below those seen. `seen` is from before it was asked.
    fn check_server(&self, server: Server, seen: i64) -> Result<(), StoreError> {
        let wrong = |what: &str| {
            let advice = "restart this node if that is intended";
            StoreError::Unavailable(format!("{what}; {advice}"))
        };
        if server.identity != self.server_identity {
            return Err(wrong("the database is on another server than at start"));
        }
        if server.next_transaction <= seen {
            return Err(wrong(
                "the database has lost commits that this node has seen",
            ));
        }
        Ok(())
    }

    fn check_outage(&self) -> Result<(), StoreError> {
        match &*self.outage.lock() {
            Some(outage) if Instant::now() < outage.until => {
                Err(StoreError::Unavailable(outage.reason.clone()))
            }
            _ => Ok(()),
        }
    }

    fn note_outage(&self, error: &StoreError) {
        let mut outage = self.outage.lock();
        let now = Instant::now();
        let pause = match &*outage {
            // Others tried at the same time; they count once.
            Some(known) if now < known.until => return,
            Some(known) => (known.pause * 2).min(LONGEST_PAUSE),
            None => FIRST_PAUSE,
        };
        let reason = error.to_string();
        tracing::warn!(reason, "the database cannot be reached");
        *outage = Some(Outage {
            reason,
            until: now + pause,
            pause,
        });
    }

    /// Makes sure that no commit of this node whose answer was lost is still on its way.
    async fn settle_doubts(&self, lease: &mut Lease, deadline: Instant) -> Result<(), StoreError> {
        loop {
            let Some(doubtful) = self.in_doubt.lock().last().copied() else {
                return Ok(());
            };
            let wait_ms = i64::try_from(self.request_timeout.as_millis() / 2).unwrap_or(i64::MAX);
            let ending = lease.connection()?.end_session(doubtful, wait_ms);
            let ended = timeout_at(deadline, ending).await;
            if !lease.heed(ended).map_err(Trouble::while_asking)? {
                let reason = "a commit whose outcome is not known is still under way";
                return Err(StoreError::Unavailable(reason.into()));
            }
            self.in_doubt.lock().retain(|other| *other != doubtful);
        }
    }
}

impl Lease {
    /// The connection, while it can be trusted.
    pub(super) fn connection(&self) -> Result<&Connection, StoreError> {
        self.connection
            .as_ref()
            .ok_or_else(|| StoreError::Unavailable("the connection was lost".into()))
    }

    /// What came of a statement. A connection that gave no answer is given up, and after silence all of them are.
    pub(super) fn heed<T>(
        &mut self,
        outcome: Result<Result<T, tokio_postgres::Error>, tokio::time::error::Elapsed>,
    ) -> Result<T, Trouble> {
        let trouble = match outcome {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => Trouble::from(error),
            Err(_) => Trouble::Late,
        };
        match &trouble {
            Trouble::Told(_) => {}
            Trouble::Lost(_) => self.connection = None,
            Trouble::Late | Trouble::Demoted(_) => {
                self.connection = None;
                self.pool.idle.lock().clear();
            }
        }
        Err(trouble)
    }

    /// As [`Lease::heed`], for a commit: if its outcome is not known, it is settled before the pool gives out another
    /// connection.
    pub(super) fn heed_commit<T>(
        &mut self,
        outcome: Result<Result<T, tokio_postgres::Error>, tokio::time::error::Elapsed>,
    ) -> Result<T, StoreError> {
        let backend = self
            .connection
            .as_ref()
            .map(|connection| connection.backend);
        let heeded = self.heed(outcome).map_err(Trouble::while_committing);
        if let (Err(StoreError::MaybeCommitted(_)), Some(backend)) = (&heeded, backend) {
            self.pool.in_doubt.lock().push(backend);
        }
        heeded
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self
            .connection
            .take()
            .filter(|connection| !connection.is_closed())
        else {
            return;
        };
        if self.in_transaction {
            connection.send_roll_back();
        }
        self.pool.idle.lock().push(connection);
    }
}
