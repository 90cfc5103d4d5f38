//! The shell around the [ceremony machine](super::state): reads and writes the store, combines shares, opens and
//! closes the gate. It holds the only state that outlives a command: the shares given, and the keys to seal with.

mod init;
mod sealing;
mod shares;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::actor::Command;
use super::attempt::{AttemptId, Incarnation, Purpose};
use super::config::SealConfig;
use super::epoch;
use super::handle::SealParts;
use super::rows::{SealRows, read_incarnation};
use super::seal_keys::SealKeys;
use super::state::{Basis, Ceremony, Effect, Event};
use super::status::Published;
use crate::error::Error;
use crate::store::transact;

/// Where the add-on stands on this node.
enum Standing {
    /// No keys here.
    Sealed,
    /// The gate is being opened.
    Opening,
    /// The gate is open; this is what seals it.
    Open(SealKeys),
    /// The gate is closed, but the store could not be told yet.
    Sealing(SealKeys),
}

/// See the module.
pub struct Shell {
    parts: SealParts,
    ceremonies: BTreeMap<Purpose, Ceremony>,
    standing: Standing,
    published: Arc<ArcSwap<Published>>,
}

impl Shell {
    /// A sealed shell that has read the store.
    pub async fn start(parts: SealParts) -> Result<Self, Error> {
        let (tenant, attempt_ttl) = (parts.tenant, parts.settings.attempt_ttl);
        let new = |purpose| (purpose, Ceremony::new(tenant, purpose, attempt_ttl));
        let ceremonies: BTreeMap<_, _> = Purpose::ALL.into_iter().map(new).collect();
        let published = Published::of(&ceremonies, true);
        let mut shell = Self {
            parts,
            ceremonies,
            standing: Standing::Sealed,
            published: Arc::new(ArcSwap::from_pointee(published)),
        };
        shell.refresh().await?;
        shell.publish();
        Ok(shell)
    }

    /// The status, kept up to date.
    pub fn published(&self) -> Arc<ArcSwap<Published>> {
        Arc::clone(&self.published)
    }

    /// Does what a command says. Nobody may be waiting for the answer any more; it is done all the same.
    pub async fn execute(&mut self, command: Command) {
        match command {
            Command::Init(quorum, reply) => {
                let outcome = self.init(quorum).await;
                self.publish();
                let _ = reply.send(outcome);
            }
            Command::Start(purpose, parameters, reply) => {
                let outcome = self.start_attempt(purpose, parameters).await;
                self.publish();
                let _ = reply.send(outcome);
            }
            Command::Submit(submission, reply) => {
                let outcome = self.submit(submission).await;
                self.publish();
                let _ = reply.send(outcome);
            }
            Command::Cancel(purpose, reply) => {
                let outcome = self.cancel(purpose);
                self.publish();
                let _ = reply.send(outcome);
            }
            Command::Seal(reply) => {
                let outcome = self.seal().await;
                self.publish();
                let _ = reply.send(outcome);
            }
            Command::Wake => {
                for purpose in Purpose::ALL {
                    self.step(purpose, Event::Ticked);
                }
                if let Err(error) = self.finish_seal().await {
                    tracing::warn!(tenant = %self.parts.tenant, %error, "a seal is not durable yet");
                }
                self.publish();
            }
        }
    }

    /// After how long a [`Command::Wake`] is due.
    pub fn next_wake(&self) -> Option<Duration> {
        if matches!(self.standing, Standing::Sealing(_)) {
            return Some(self.parts.settings.retry_interval);
        }
        let now = self.parts.clock.since_boot();
        let deadlines = self.ceremonies.values().filter_map(Ceremony::deadline);
        deadlines.min().map(|deadline| deadline.saturating_sub(now))
    }

    /// Reads the store and lets the ceremony know.
    async fn refresh(&mut self) -> Result<Option<SealRows>, Error> {
        let (incarnation, rows) = self.in_time(self.read()).await?;
        self.configure(incarnation, rows.as_ref())?;
        Ok(rows)
    }

    fn configure(
        &mut self,
        incarnation: Incarnation,
        rows: Option<&SealRows>,
    ) -> Result<(), Error> {
        let basis = match rows {
            None => None,
            Some(rows) => Some(Box::new(Basis {
                incarnation,
                epoch: epoch::claim(&rows.epoch)?,
                config: SealConfig::claim(&rows.config)?,
            })),
        };
        for purpose in Purpose::ALL {
            for effect in self.step(purpose, Event::Configured(basis.clone())) {
                if let Effect::Refuse(refusal) = effect {
                    return Err(refusal.into());
                }
            }
        }
        Ok(())
    }

    async fn read(&self) -> Result<(Incarnation, Option<SealRows>), Error> {
        transact(self.parts.store.as_ref(), async |transaction, _| {
            let incarnation = read_incarnation(transaction).await?;
            let rows = SealRows::read(transaction, self.parts.tenant).await?;
            Ok((incarnation, rows))
        })
        .await
        .map(|(read, _)| read)
    }

    fn step(&mut self, purpose: Purpose, event: Event) -> Vec<Effect> {
        let now = self.parts.clock.since_boot();
        let ceremony = self.ceremonies.get_mut(&purpose);
        ceremony.map_or_else(Vec::new, |ceremony| ceremony.step(event, now))
    }

    fn ceremony(&self, purpose: Purpose) -> Result<&Ceremony, Error> {
        let ceremony = self.ceremonies.get(&purpose);
        ceremony.ok_or_else(|| Error::Bug("a purpose without a ceremony".into()))
    }

    fn attempt(&self, purpose: Purpose) -> Option<AttemptId> {
        self.ceremonies.get(&purpose).and_then(Ceremony::attempt)
    }

    fn publish(&self) {
        let sealed = !matches!(self.standing, Standing::Open(_));
        let published = Published::of(&self.ceremonies, sealed);
        self.published.store(Arc::new(published));
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout(self.parts.settings.store_timeout, work)
            .await
            .unwrap_or_else(|_| Err(Error::Unavailable("the store does not answer".into())))
    }
}

/// Keys do not outlive the one who can seal them, also when a panic ends the actor.
impl Drop for Shell {
    fn drop(&mut self) {
        if matches!(self.standing, Standing::Opening | Standing::Open(_)) {
            self.parts.gate.close();
        }
    }
}
