//! The shell around the [ceremony machine](super::state): reads and writes the store, combines shares, opens and
//! closes the gate. It holds the only state that outlives a command: the shares given, and the keys to seal with. Whether
//! the add-on may be open is decided by the [watch](super::watch), which the handle shares.

mod handover;
mod hearing;
mod init;
mod reading;
mod sealing;
mod shares;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::actor::Command;
use super::attempt::{AttemptId, Purpose};
use super::handle::SealParts;
use super::handover::Asked;
use super::intent::Intent;
use super::seal_keys::SealKeys;
use super::state::{Ceremony, Effect, Event};
use super::status::Published;
use super::watch::Watch;
use crate::error::Error;

/// Where the add-on stands on this node.
enum Standing {
    /// No keys here.
    Sealed,
    /// The gate is being opened.
    Opening,
    /// The gate is open; this is what seals it.
    Open(SealKeys),
}

/// What the shell and its handle both look at.
pub struct Shared {
    /// Held while the gate is opened or closed, so that neither overtakes the other.
    pub watch: Mutex<Watch>,
    /// Whether the store says something that the shell has not read yet.
    pub stale: AtomicBool,
    /// What is shown.
    pub published: ArcSwap<Published>,
}

/// See the module.
pub struct Shell {
    parts: SealParts,
    ceremonies: BTreeMap<Purpose, Ceremony>,
    standing: Standing,
    /// A seal that is not in the store yet.
    pending: Option<Intent>,
    /// What other nodes were asked for.
    asked: Asked,
    shared: Arc<Shared>,
}

impl Shell {
    /// A sealed shell that has read the store.
    pub async fn start(parts: SealParts) -> Result<Self, Error> {
        let (tenant, attempt_ttl) = (parts.tenant, parts.settings.attempt_ttl);
        let new = |purpose| (purpose, Ceremony::new(tenant, purpose, attempt_ttl));
        let ceremonies: BTreeMap<_, _> = Purpose::ALL.into_iter().map(new).collect();
        let published = Published::of(&ceremonies, true);
        let pending = match &parts.intents {
            Some(files) => files.get(tenant)?,
            None => None,
        };
        let mut shell = Self {
            parts,
            ceremonies,
            standing: Standing::Sealed,
            pending,
            asked: Asked::default(),
            shared: Arc::new(Shared {
                watch: Mutex::default(),
                stale: AtomicBool::new(false),
                published: ArcSwap::from_pointee(published),
            }),
        };
        shell.refresh().await?;
        if let Err(error) = shell.finish_seal().await {
            tracing::warn!(%tenant, %error, "a seal of before the restart is not durable yet");
        }
        shell.publish();
        Ok(shell)
    }

    /// What the handle looks at.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Does what a command says. Nobody may be waiting for the answer any more; it is done all the same.
    pub async fn execute(&mut self, command: Command) {
        match command {
            Command::Seal(reply) => {
                let outcome = self.seal().await;
                self.answer(reply, outcome);
            }
            Command::Obey(order, reply) => {
                let outcome = self.obey(order).await;
                self.answer(reply, outcome);
            }
            command => {
                self.reconcile().await;
                self.execute_reconciled(command).await;
            }
        }
        self.reconcile().await;
        self.publish();
    }

    async fn execute_reconciled(&mut self, command: Command) {
        match command {
            Command::Init(quorum, reply) => {
                let outcome = self.init(quorum).await;
                self.answer(reply, outcome);
            }
            Command::Start(purpose, parameters, reply) => {
                let outcome = self.start_attempt(purpose, parameters).await;
                self.answer(reply, outcome);
            }
            Command::Submit(submission, reply) => {
                let outcome = self.submit(submission).await;
                self.answer(reply, outcome);
            }
            Command::Cancel(purpose, reply) => {
                let outcome = self.cancel(purpose);
                self.answer(reply, outcome);
            }
            Command::Hear(offer, reply) => self.hear(offer, reply).await,
            Command::HearSealed(incarnation, through) => {
                self.hear_sealed(incarnation, through).await;
            }
            Command::Refresh(reply) => {
                let outcome = self.refresh().await.map(drop);
                self.answer(reply, outcome);
            }
            Command::AskForKeys(reply) => {
                let outcome = self.ask_for_keys().await;
                self.answer(reply, outcome);
            }
            Command::TakeKeys(handed, reply) => {
                let outcome = self.take_keys(handed).await;
                self.answer(reply, outcome);
            }
            Command::GiveKeys(ask, reply) => {
                let outcome = self.give_keys(ask).await;
                self.answer(reply, Ok(outcome));
            }
            Command::SwitchHandoff(on, reply) => {
                let outcome = self.switch_handoff(on).await;
                self.answer(reply, outcome);
            }
            Command::ReadHandoff(reply) => {
                let outcome = self.reads_handoff().await;
                self.answer(reply, outcome);
            }
            Command::OfferAll => self.offer_all(),
            Command::Wake => self.wake().await,
            // What it asks for is done around every command.
            Command::Reread | Command::Seal(_) | Command::Obey(..) => {}
        }
    }

    /// Publishes before it answers, so that whoever has the answer sees its effect.
    fn answer<T>(&self, reply: oneshot::Sender<Result<T, Error>>, outcome: Result<T, Error>) {
        self.publish();
        let _ = reply.send(outcome);
    }

    /// Follows what happened around the actor: the gate was closed, or the store has news.
    async fn reconcile(&mut self) {
        if self.shared.stale.swap(false, Ordering::SeqCst)
            && let Err(error) = self.refresh().await
        {
            tracing::warn!(tenant = %self.parts.tenant, %error, "the seal could not be read again");
        }
        if !matches!(self.standing, Standing::Open(_)) {
            return;
        }
        let (opening, is_open) = {
            let watch = self.shared.watch.lock();
            (watch.opening(), watch.is_open())
        };
        if opening.is_none() {
            self.close();
            tracing::info!(tenant = %self.parts.tenant, "closed");
        } else if !is_open {
            self.obey_late().await;
        }
    }

    async fn wake(&mut self) {
        for purpose in Purpose::ALL {
            self.advance(purpose, Event::Ticked);
        }
        if let Err(error) = self.finish_seal().await {
            tracing::warn!(tenant = %self.parts.tenant, %error, "a seal is not durable yet");
        }
        self.retry_opening().await;
    }

    /// After how long a [`Command::Wake`] is due.
    pub fn next_wake(&self) -> Option<Duration> {
        let now = self.parts.clock.since_boot();
        let deadlines = self.ceremonies.values().filter_map(Ceremony::deadline);
        let expiry = deadlines.min().map(|deadline| deadline.saturating_sub(now));
        let must_retry = self.pending.is_some() || self.waits_to_open();
        let retry = must_retry.then_some(self.parts.settings.retry_interval);
        expiry.into_iter().chain(retry).min()
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
        self.shared.published.store(Arc::new(published));
    }
}

/// Keys do not outlive the one who can seal them, also when a panic ends the actor.
impl Drop for Shell {
    fn drop(&mut self) {
        if matches!(self.standing, Standing::Opening | Standing::Open(_)) {
            let mut watch = self.shared.watch.lock();
            watch.closed();
            self.parts.gate.close();
        }
    }
}
