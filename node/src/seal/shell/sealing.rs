//! Sealing: the keys go first, the other nodes are told, and the stored epoch is raised, however often that has to be
//! tried. What is to be written is signed before the keys go, so nothing secret waits for a store that is down.

use std::time::Duration;

use super::{Shell, Standing};
use crate::error::Error;
use crate::seal::actor::Sealing;
use crate::seal::attempt::Purpose;
use crate::seal::epoch;
use crate::seal::intent::Intent;
use crate::seal::peers::{Obeyed, Order};
use crate::seal::rows::read_incarnation;
use crate::store::change::Facet;
use crate::store::key::{Key, Scope, Table};
use crate::store::transact;

/// How long a node that can seal waits for the store to say whether it is up to date. A store that answers does so in a
/// few milliseconds.
const PATIENCE: Duration = Duration::from_millis(300);

impl Shell {
    /// Seals the cluster by order of a user.
    pub(super) async fn seal(&mut self) -> Result<Sealing, Error> {
        let had_keys = self.drop_keys()? || self.pending.is_some();
        self.shared.watch.lock().obeyed();
        for purpose in Purpose::ALL {
            self.void_attempt(purpose);
        }
        self.publish();
        // Without keys of its own, the node has to know what may be open elsewhere by now. With keys it would rather know:
        // they may have been sealed before, and the add-on opened again elsewhere. But a store that is away must not keep
        // the others from being told.
        let unread = match had_keys {
            true => tokio::time::timeout(PATIENCE, self.refresh())
                .await
                .unwrap_or_else(|_| Err(Error::Unavailable("the store is slow".into())))
                .err(),
            false => self.refresh().await.err(),
        };
        let is_behind = unread.is_none() && self.is_pending_behind();
        let order = self.stored().map(|stored| Order {
            tenant: self.parts.tenant,
            incarnation: stored.incarnation,
            through: self
                .pending
                .as_ref()
                .map_or(stored.epoch, |intent| intent.through().max(stored.epoch)),
        });
        let elsewhere = match order {
            Some(order) => self.parts.peers.seal(order),
            None => Box::pin(async { Default::default() }),
        };
        if let (false, Some(error)) = (had_keys, &unread) {
            tracing::warn!(tenant = %self.parts.tenant, %error, "this node cannot tell what is to be sealed");
            return Err(Error::Unavailable(
                "this node has no keys to seal with, and the store does not answer; try another node".into(),
            ));
        }
        match self.finish_seal().await {
            Ok(false) if had_keys && unread.is_some() => self.seal_what_came_later().await,
            committed => Ok(Sealing {
                had_keys: had_keys && !is_behind,
                committed: committed.map(drop),
                elsewhere,
            }),
        }
    }

    /// Whether the store has gone on since what is to be sealed was opened.
    fn is_pending_behind(&self) -> bool {
        match (&self.pending, self.stored()) {
            (Some(intent), Some(stored)) => {
                stored.incarnation != intent.incarnation() || stored.epoch > intent.through()
            }
            _ => false,
        }
    }

    /// What this node had open may have been sealed before, unknown to it, and opened again elsewhere: the order goes out
    /// once more, up to what the store says now.
    async fn seal_what_came_later(&mut self) -> Result<Sealing, Error> {
        self.refresh().await?;
        let stored = self.stored().ok_or(Error::Sealed)?;
        Ok(Sealing {
            had_keys: false,
            committed: Ok(()),
            elsewhere: self.parts.peers.seal(Order {
                tenant: self.parts.tenant,
                incarnation: stored.incarnation,
                through: stored.epoch,
            }),
        })
    }

    /// Carries out an order that another node was given.
    pub(super) async fn obey(&mut self, order: Order) -> Result<Obeyed, Error> {
        let opening = self.shared.watch.lock().opening();
        let is_meant =
            |(incarnation, epoch)| incarnation == order.incarnation && epoch <= order.through;
        if opening.is_some_and(is_meant) {
            self.drop_keys()?;
        }
        let concerns = |stored: &crate::seal::handover::Stored| {
            stored.incarnation == order.incarnation && stored.epoch <= order.through
        };
        if self.stored().as_ref().is_some_and(concerns) {
            for purpose in Purpose::ALL {
                self.void_attempt(purpose);
            }
        }
        self.shared.watch.lock().obeyed();
        self.publish();
        self.finish_seal().await?;
        self.refresh().await?;
        let stored = self.stored();
        let is_over = stored.is_some_and(|stored| {
            stored.incarnation == order.incarnation && stored.epoch > order.through
        });
        Ok(if is_over {
            Obeyed::Committed
        } else {
            Obeyed::Idle
        })
    }

    /// Ends an attempt that has anything to it. Others are left alone, so that nodes which are told to seal one after the
    /// other do not end what users begin in between.
    pub(super) fn void_attempt(&mut self, purpose: Purpose) {
        let ceremony = self.ceremony(purpose);
        if ceremony
            .is_ok_and(|ceremony| ceremony.shares().len() > 0 || ceremony.parameters().is_some())
        {
            // The telling has begun already; nobody waits for it.
            drop(self.end_attempt(purpose));
        }
    }

    /// Carries out an order that did not find its way into the mailbox.
    pub(super) async fn obey_late(&mut self) {
        let outcome = match self.drop_keys() {
            Ok(_) => {
                self.shared.watch.lock().obeyed();
                self.finish_seal().await.map(drop)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::warn!(tenant = %self.parts.tenant, %error, "a seal is not durable yet");
        }
    }

    /// Drops the keys, having signed with them what seals what they had opened; whether there were any.
    fn drop_keys(&mut self) -> Result<bool, Error> {
        let standing = std::mem::replace(&mut self.standing, Standing::Sealed);
        let opening = {
            let mut watch = self.shared.watch.lock();
            let opening = watch.opening();
            watch.closed();
            self.parts.gate.close();
            opening
        };
        let Standing::Open(keys) = standing else {
            return Ok(false);
        };
        let incarnation = opening
            .map(|(incarnation, _)| incarnation)
            .or_else(|| self.stored().map(|stored| stored.incarnation));
        if let Some(incarnation) = incarnation {
            self.plan(keys.intent(incarnation)?);
        }
        Ok(true)
    }

    /// Has a seal to be done, now or after a restart.
    pub(super) fn plan(&mut self, intent: Intent) {
        self.pending = Some(intent);
    }

    /// Raises the stored epoch, if that is still to be done; whether it was this that raised it.
    pub(super) async fn finish_seal(&mut self) -> Result<bool, Error> {
        let Some(intent) = self.pending.clone() else {
            return Ok(false);
        };
        let tenant = self.parts.tenant;
        let raised = match self.in_time(self.raise_epoch(&intent)).await {
            Ok(raised) => raised,
            Err(error) => {
                self.keep(&intent);
                return Err(error);
            }
        };
        self.pending = None;
        if let Some(Err(error)) = self
            .parts
            .intents
            .as_ref()
            .map(|files| files.remove(tenant))
        {
            tracing::warn!(%tenant, %error, "a seal that is done is done again after a restart, without effect");
        }
        tracing::info!(%tenant, "sealed");
        self.parts.peers.tell_sealed(Order {
            tenant,
            incarnation: intent.incarnation(),
            through: intent.through(),
        });
        // Only so that a store that goes back behind this seal is noticed; the seal stands without it.
        if let Err(error) = self.refresh().await {
            tracing::warn!(%tenant, %error, "the store could not be read after a seal");
        }
        Ok(raised)
    }

    /// Keeps a seal that could not be written, so that a restart does not lose it.
    fn keep(&self, intent: &Intent) {
        let tenant = self.parts.tenant;
        match &self.parts.intents {
            Some(files) => {
                if let Err(error) = files.put(tenant, intent) {
                    tracing::error!(%tenant, %error, "a seal that is not durable would not survive a restart");
                }
            }
            None => {
                tracing::warn!(%tenant, "a seal that is not durable would not survive a restart: no state_dir is configured");
            }
        }
    }

    /// Whether it had to be raised.
    async fn raise_epoch(&self, intent: &Intent) -> Result<bool, Error> {
        let tenant = self.parts.tenant;
        let address = epoch::address(tenant);
        transact(self.parts.store.as_ref(), async |transaction, _| {
            let incarnation = read_incarnation(transaction).await?;
            let stored = transaction.get(&address).await?;
            let Some(row) = intent.row_to_write(incarnation, stored.as_deref()) else {
                // By somebody else, or by an earlier round without its commit being certain: who knows what was opened
                // since.
                return Ok(false);
            };
            transaction.set(&address, row);
            transaction.append_change(&Facet::Seal.encode(tenant));
            transaction.set_stamp(&Key::row(Scope::Tenant(tenant), Table::ChangeStamp, &[]));
            Ok(true)
        })
        .await
        .map(|(raised, _)| raised)
    }
}
