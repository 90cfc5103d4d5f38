//! Reading the store, and what follows from it.

use std::future::Future;

use super::{Shell, Standing};
use crate::error::Error;
use crate::seal::attempt::{Incarnation, Purpose};
use crate::seal::config::SealConfig;
use crate::seal::epoch;
use crate::seal::floor::{Learned, Sight};
use crate::seal::handover::Stored;
use crate::seal::rows::{SealRows, read_incarnation};
use crate::seal::state::{Basis, Effect, Event, Refusal};
use crate::store::transact;

impl Shell {
    /// Reads the store and follows it: closes what was sealed elsewhere, and lets the ceremonies know.
    pub(super) async fn refresh(&mut self) -> Result<Option<SealRows>, Error> {
        let before = self.shared.watch.lock().sight();
        let (incarnation, rows) = self.in_time(self.read()).await?;
        self.configure(before, incarnation, rows.as_ref())?;
        Ok(rows)
    }

    /// Follows what was read, having been asked for when `before` was known.
    pub(super) fn configure(
        &mut self,
        before: Sight,
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
        match &basis {
            Some(basis) => self.follow(before, basis)?,
            // An add-on that is gone has no keys either.
            None => self.close(),
        }
        for purpose in Purpose::ALL {
            for effect in self.step(purpose, Event::Configured(basis.clone())) {
                if let Effect::Refuse(refusal) = effect {
                    self.close();
                    return Err(refusal.into());
                }
            }
        }
        Ok(())
    }

    /// Lets the watch know, and closes when it says so.
    fn follow(&mut self, before: Sight, basis: &Basis) -> Result<(), Error> {
        let verdict = {
            let mut watch = self.shared.watch.lock();
            let verdict = watch.learn(before, basis.incarnation, basis.epoch);
            if verdict.close {
                self.parts.gate.close();
            }
            verdict
        };
        if verdict.close {
            self.standing = Standing::Sealed;
            tracing::info!(tenant = %self.parts.tenant, "sealed by another node");
        }
        if verdict.learned == Learned::RolledBack {
            self.parts.counters.rolled_back.count();
            tracing::error!(tenant = %self.parts.tenant, "the store shows an older seal than before; the add-on is closed");
            return Err(Refusal::RolledBack.into());
        }
        Ok(())
    }

    /// Drops the keys on this node, without a seal.
    pub(super) fn close(&mut self) {
        let mut watch = self.shared.watch.lock();
        watch.closed();
        self.parts.gate.close();
        drop(watch);
        self.standing = Standing::Sealed;
    }

    /// What the store said when it was read last.
    pub(super) fn stored(&self) -> Option<Stored> {
        let basis = self.ceremonies.get(&Purpose::Unseal)?.basis()?;
        Some(Stored {
            incarnation: basis.incarnation,
            generation: basis.config.generation(),
            epoch: basis.epoch,
        })
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

    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::time::timeout(self.parts.settings.store_timeout, work)
            .await
            .unwrap_or_else(|_| Err(Error::Unavailable("the store does not answer".into())))
    }
}
