//! The one thread that commits: takes what waits, lets those win that read nothing stale, has the winners written, and
//! only then tells anybody.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::super::overlay::WriteBuffer;
use super::super::{Stamp, StoreError};
use super::Shared;
use super::conflict::ConflictLog;
use super::queue::Request;
use super::snapshot::{Snapshot, stamp};
use super::writer::{Failure, Writer};

/// How long to wait between two tries to open the file again, say until a full disk has room.
const REOPEN_INTERVAL: Duration = Duration::from_secs(1);
const CLOSED: &str = "it is closed";

/// See the module's documentation.
pub(super) struct Committer {
    writer: Writer,
    shared: Arc<Shared>,
    log: ConflictLog,
    version: u64,
}

/// A transaction that read nothing stale.
struct Winner {
    writes: WriteBuffer,
    reply: oneshot::Sender<Result<Stamp, StoreError>>,
}

/// Why the committer ends: the store was closed, or its file cannot be opened again.
struct Ended(String);

impl Committer {
    pub(super) fn new(writer: Writer, shared: Arc<Shared>) -> Self {
        let version = shared.snapshot.load().version();
        Self {
            writer,
            shared,
            log: ConflictLog::starting_at(version),
            version,
        }
    }

    /// Commits until the queue is closed and empty, or the file is lost for good. Callers still waiting then are told.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            while let Some(group) = shared.queue.take_group() {
                self.commit_group(group)?;
            }
            Ok(())
        }));
        let reason = match outcome {
            Ok(Ok(())) => CLOSED.to_owned(),
            Ok(Err(Ended(reason))) => reason,
            Err(_) => "its committer failed".to_owned(),
        };
        shared.stop(reason);
        shared.queue.close();
        drop(shared.queue.take_waiting());
    }

    fn commit_group(&mut self, group: Vec<Request>) -> Result<(), Ended> {
        let winners = self.validate(group);
        if winners.is_empty() {
            return Ok(());
        }
        self.commit(winners)
    }

    /// Answers the losers and returns the winners.
    fn validate(&mut self, group: Vec<Request>) -> Vec<Winner> {
        let mut winners = Vec::with_capacity(group.len());
        for Request {
            writes,
            reads,
            read_version,
            reply,
        } in group
        {
            if self.log.conflicts(&reads, read_version) {
                answer(reply, Err(StoreError::Conflict));
                continue;
            }
            self.remember(&writes);
            winners.push(Winner { writes, reply });
        }
        winners
    }

    /// Notes in the log what the next version writes. Change records are left out: transactions do not read them.
    fn remember(&mut self, writes: &WriteBuffer) {
        let version = self.version + 1;
        for (begin, end) in writes.cleared() {
            self.log.record_range(version, begin, end);
        }
        for key in writes.rows().keys() {
            self.log.record_point(version, key);
        }
    }

    fn commit(&mut self, winners: Vec<Winner>) -> Result<(), Ended> {
        let writes = winners.iter().map(|winner| &winner.writes);
        match self.writer.write(self.version + 1, writes) {
            Ok(snapshot) => {
                self.acknowledge(winners, snapshot);
                Ok(())
            }
            Err(Failure::RolledBack(error)) => self.isolate(winners, error),
            Err(Failure::Broken(error)) => match self.reopen() {
                Ok(()) => self.isolate(winners, error),
                Err(reason) => {
                    refuse(winners, &reason.to_string());
                    self.recover(&reason.to_string())
                }
            },
            Err(Failure::Lost(reason)) => {
                refuse(winners, &reason);
                self.recover(&reason)
            }
        }
    }

    /// Finds out which of a rolled-back group cannot be committed, so that the others do not fail with it. They were
    /// found not to conflict with each other, so one after the other is as good as together.
    fn isolate(&mut self, winners: Vec<Winner>, error: StoreError) -> Result<(), Ended> {
        self.forget();
        match <[Winner; 1]>::try_from(winners) {
            Ok([winner]) => {
                answer(winner.reply, Err(error));
                Ok(())
            }
            Err(winners) => winners.into_iter().try_for_each(|winner| {
                self.remember(&winner.writes);
                self.commit(vec![winner])
            }),
        }
    }

    /// Shows everybody the new state, then tells the winners.
    fn acknowledge(&mut self, winners: Vec<Winner>, snapshot: Snapshot) {
        self.version += 1;
        self.shared.snapshot.store(Arc::new(snapshot));
        let winners: Vec<_> = (0..)
            .zip(winners)
            .map(|(order, winner)| (stamp(self.version, order), winner))
            .collect();
        let last_change = winners
            .iter()
            .rfind(|(_, winner)| !winner.writes.changes().is_empty());
        if let Some((stamp, _)) = last_change {
            self.shared.last_change.send_replace(*stamp);
        }
        for (stamp, winner) in winners {
            answer(winner.reply, Ok(stamp));
        }
    }

    /// Opens the file again, trying until it works, or the store is closed, or there is no hope.
    fn recover(&mut self, reason: &str) -> Result<(), Ended> {
        tracing::error!(reason, "the store has failed and opens its file again");
        loop {
            match self.reopen() {
                Ok(()) => return Ok(()),
                Err(StoreError::Unavailable(reason)) => self.shared.stop(reason),
                Err(error) => return Err(Ended(error.to_string())),
            }
            for request in self.shared.queue.take_waiting() {
                answer(request.reply, Err(self.shared.why_unavailable()));
            }
            if self.shared.queue.wait_until_closed(REOPEN_INTERVAL) {
                return Err(Ended(CLOSED.into()));
            }
        }
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        let snapshot = self.writer.reopen()?;
        if snapshot.version() < self.version {
            return Err(StoreError::Corrupt(
                "acknowledged commits are gone from the file".into(),
            ));
        }
        self.version = snapshot.version();
        self.forget();
        self.shared.resume(snapshot)
    }

    /// Empties the log of what was remembered but then not written: its readers would conflict with it for ever.
    fn forget(&mut self) {
        self.log = ConflictLog::starting_at(self.version);
    }
}

fn refuse(winners: Vec<Winner>, reason: &str) {
    for winner in winners {
        answer(
            winner.reply,
            Err(StoreError::Unavailable(reason.to_owned())),
        );
    }
}

fn answer(reply: oneshot::Sender<Result<Stamp, StoreError>>, outcome: Result<Stamp, StoreError>) {
    // A caller that has gone away does not hear it.
    let _ = reply.send(outcome);
}
