//! The shell around the [ceremony machine](super::state): reads and writes the store, combines shares, opens and
//! closes the gate. It holds the only state that outlives a command: the shares given, and the key to seal with.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::actor::Command;
use super::attempt::{AttemptId, Incarnation, Purpose};
use super::config::SealConfig;
use super::epoch::{self, SealKeys};
use super::handle::SealParts;
use super::init::{self, Initialized, Opened, Prepared, SealRows, read_incarnation};
use super::quorum::Quorum;
use super::shamir;
use super::share::Share;
use super::state::{Basis, Ceremony, Effect, Event};
use super::status::SealStatus;
use crate::barrier::Rows;
use crate::error::Error;
use crate::store::change::Facet;
use crate::store::key::{Key, Scope, Table};
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
    ceremony: Ceremony,
    standing: Standing,
    status: Arc<ArcSwap<SealStatus>>,
}

impl Shell {
    /// A sealed shell that has read the store.
    pub async fn start(parts: SealParts) -> Result<Self, Error> {
        let ceremony = Ceremony::new(parts.tenant, Purpose::Unseal, parts.settings.attempt_ttl);
        let status = SealStatus::of(&ceremony, true);
        let mut shell = Self {
            parts,
            ceremony,
            standing: Standing::Sealed,
            status: Arc::new(ArcSwap::from_pointee(status)),
        };
        shell.refresh().await?;
        shell.publish();
        Ok(shell)
    }

    /// The status, kept up to date.
    pub fn published(&self) -> Arc<ArcSwap<SealStatus>> {
        Arc::clone(&self.status)
    }

    /// Does what a command says. Nobody may be waiting for the answer any more; it is done all the same.
    pub async fn execute(&mut self, command: Command) {
        match command {
            Command::Init(quorum, reply) => {
                let outcome = self.init(quorum).await;
                self.publish();
                let _ = reply.send(outcome);
            }
            Command::Submit(share, reply) => {
                let outcome = self.submit(share).await;
                self.publish();
                let _ = reply.send(outcome);
            }
            Command::Reset(reply) => {
                let outcome = self.reset();
                self.publish();
                let _ = reply.send(outcome);
            }
            Command::Seal(reply) => {
                let outcome = self.seal().await;
                self.publish();
                let _ = reply.send(outcome);
            }
            Command::Wake => {
                self.step(Event::Ticked);
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
        self.ceremony
            .deadline()
            .map(|deadline| deadline.saturating_sub(now))
    }

    /// Founds the add-on: its seal and what the gate writes, in one transaction. There is no timeout, because giving up
    /// on a commit that then succeeds would lose the shares; an add-on whose init was never answered is empty, and is
    /// deleted and made again.
    async fn init(&mut self, quorum: Quorum) -> Result<Initialized, Error> {
        self.refresh().await?;
        let SealParts {
            tenant,
            store,
            gate,
            clock,
            random,
            ..
        } = &self.parts;
        let Prepared {
            rows: seal_rows,
            unsealed,
            shares,
        } = init::prepare(*tenant, quorum, random, clock.now())?;
        let mut root_token = None;
        let (incarnation, _) = transact(store.as_ref(), async |transaction, attempt| {
            let incarnation = read_incarnation(transaction).await?;
            if let Some(stored) = SealRows::read(transaction, *tenant).await? {
                if attempt.maybe_committed && stored == seal_rows {
                    return Ok(incarnation);
                }
                return Err(Error::bad_request("Vault is already initialized"));
            }
            seal_rows.write(transaction, *tenant);
            let mut rows =
                Rows::checked(transaction, &unsealed, Scope::Tenant(*tenant), attempt).await?;
            root_token = Some(gate.found(&mut rows).await?);
            rows.note_change(Facet::Seal);
            Ok(incarnation)
        })
        .await?;
        tracing::info!(%tenant, shares = quorum.shares(), threshold = quorum.threshold(), "initialised");
        self.configure(incarnation, Some(&seal_rows))?;
        let root_token =
            root_token.ok_or_else(|| Error::Bug("an init without a root token".into()))?;
        Ok(Initialized { shares, root_token })
    }

    /// Takes a share; whether it counted.
    async fn submit(&mut self, share: Share) -> Result<bool, Error> {
        self.finish_seal().await?;
        if matches!(self.standing, Standing::Open(_)) {
            return Ok(false);
        }
        let rows = self.refresh().await?;
        let mut counted = false;
        for effect in self.step(Event::Submitted(share)) {
            match effect {
                Effect::Refuse(refusal) => return Err(refusal.into()),
                // A single node has nobody to give the share to.
                Effect::Replicate { .. } => counted = true,
                Effect::Combine(attempt) => {
                    let rows = rows
                        .as_ref()
                        .ok_or_else(|| Error::Bug("shares without seal rows".into()))?;
                    self.open(attempt, rows).await?;
                }
                Effect::Progress { .. } | Effect::Reload => {}
            }
        }
        Ok(counted)
    }

    /// Combines the shares and opens the gate.
    async fn open(&mut self, attempt: AttemptId, rows: &SealRows) -> Result<(), Error> {
        let threshold = self
            .ceremony
            .basis()
            .map_or(0, |basis| basis.config.quorum().threshold());
        let shares = self.ceremony.shares().take(usize::from(threshold));
        let opened =
            shamir::combine(shares).and_then(|key| init::open(self.parts.tenant, rows, &key));
        self.standing = Standing::Opening;
        let outcome = match opened {
            Ok(Opened { unsealed, keys }) => self
                .in_time(self.parts.gate.open(unsealed))
                .await
                .map(|()| keys),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(keys) => {
                self.standing = Standing::Open(keys);
                self.step(Event::Finished(attempt));
                tracing::info!(tenant = %self.parts.tenant, "unsealed");
                Ok(())
            }
            Err(error) => {
                self.parts.gate.close();
                self.standing = Standing::Sealed;
                if !matches!(error, Error::Unavailable(_) | Error::Conflict) {
                    self.step(Event::Finished(attempt));
                }
                Err(error)
            }
        }
    }

    fn reset(&mut self) -> Result<(), Error> {
        if matches!(self.standing, Standing::Open(_)) {
            return Err(Error::bad_request("vault is unsealed"));
        }
        self.step(Event::Reset);
        Ok(())
    }

    /// Drops the keys first, whatever the store then says.
    async fn seal(&mut self) -> Result<(), Error> {
        self.parts.gate.close();
        self.step(Event::Reset);
        self.standing = match std::mem::replace(&mut self.standing, Standing::Sealed) {
            Standing::Sealed | Standing::Opening => Standing::Sealed,
            Standing::Open(keys) | Standing::Sealing(keys) => Standing::Sealing(keys),
        };
        self.publish();
        self.finish_seal().await.map_err(|error| {
            tracing::warn!(tenant = %self.parts.tenant, %error, "a seal is not durable yet");
            Error::Unavailable(
                "sealed on this node, but not yet durable: the store does not answer; it is tried again until it does"
                    .into(),
            )
        })
    }

    /// Raises the stored epoch, if that is still to be done.
    async fn finish_seal(&mut self) -> Result<(), Error> {
        let Standing::Sealing(keys) = &self.standing else {
            return Ok(());
        };
        self.in_time(self.raise_epoch(keys)).await?;
        self.standing = Standing::Sealed;
        tracing::info!(tenant = %self.parts.tenant, "sealed");
        // Only so that a store that goes back behind this seal is noticed; the seal stands without it.
        if let Err(error) = self.refresh().await {
            tracing::warn!(tenant = %self.parts.tenant, %error, "the store could not be read after a seal");
        }
        Ok(())
    }

    async fn raise_epoch(&self, keys: &SealKeys) -> Result<(), Error> {
        let address = epoch::address(keys.tenant());
        transact(self.parts.store.as_ref(), async |transaction, _| {
            let stored = transaction.get(&address).await?;
            if let Some(row) = keys.sealing_row(stored.as_deref())? {
                transaction.set(&address, &row);
                transaction.append_change(&Facet::Seal.encode(keys.tenant()));
                transaction.set_stamp(&Key::row(
                    Scope::Tenant(keys.tenant()),
                    Table::ChangeStamp,
                    &[],
                ));
            }
            Ok(())
        })
        .await
        .map(|_| ())
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
        for effect in self.step(Event::Configured(basis)) {
            if let Effect::Refuse(refusal) = effect {
                return Err(refusal.into());
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

    fn step(&mut self, event: Event) -> Vec<Effect> {
        self.ceremony.step(event, self.parts.clock.since_boot())
    }

    fn publish(&self) {
        let sealed = !matches!(self.standing, Standing::Open(_));
        let status = SealStatus::of(&self.ceremony, sealed);
        self.status.store(Arc::new(status));
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
