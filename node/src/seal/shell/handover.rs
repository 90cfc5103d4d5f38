//! Giving the keys of an open add-on to a node that restarted, and taking them.

use super::{Shell, Standing};
use crate::error::Error;
use crate::seal::epoch;
use crate::seal::handover::{Ask, HandedOver, Refusal, may_give, may_take};
use crate::seal::seal_keys::SealKeys;
use crate::seal::switch;
use crate::store::change::Facet;
use crate::store::transact;

impl Shell {
    /// What to ask other nodes for the keys; `None` when there is nothing to ask for.
    pub(super) async fn ask_for_keys(&mut self) -> Result<Option<Ask>, Error> {
        let is_sealed = matches!(self.standing, Standing::Sealed);
        if !is_sealed || !self.parts.settings.handoff || self.pending.is_some() {
            return Ok(None);
        }
        self.refresh().await?;
        let ask = self.stored().map(|stored| Ask {
            tenant: self.parts.tenant,
            stored,
            nonce: self.parts.random.array(),
        });
        ask.into_iter().for_each(|ask| self.asked.note(ask));
        Ok(ask)
    }

    /// Opens with the keys that another node gave, after reading again whether they are still those to open with.
    pub(super) async fn take_keys(&mut self, handed: HandedOver) -> Result<(), Error> {
        let tenant = self.parts.tenant;
        let asked = self.asked.take(&handed.ask).ok_or_else(|| {
            Error::Unavailable("keys that were not asked for, or not any more".into())
        })?;
        if !matches!(self.standing, Standing::Sealed) || self.pending.is_some() {
            return Ok(());
        }
        let rows = self.refresh().await?.ok_or(Error::Sealed)?;
        let stored = self.stored().ok_or(Error::Sealed)?;
        let faults = super::super::Faults::default();
        if let Err(refusal) = may_take(&asked, &handed.ask, &stored, faults) {
            self.parts.counters.handover_refused.count();
            return Err(Error::Unavailable(refusal.to_string()));
        }
        let opened = SealKeys::taken_over(handed).open(&rows)?;
        self.open_gate(opened).await?;
        self.parts.counters.taken_over.count();
        tracing::info!(%tenant, "unsealed with the keys of another node");
        Ok(())
    }

    /// Gives the keys, after reading whether they are still good.
    pub(super) async fn give_keys(&mut self, ask: Ask) -> Result<HandedOver, Refusal> {
        let given = self.decide_to_give(ask).await;
        let counters = &self.parts.counters;
        match &given {
            Ok(_) => counters.handed_over.count(),
            Err(_) => counters.handover_refused.count(),
        }
        given
    }

    async fn decide_to_give(&mut self, ask: Ask) -> Result<HandedOver, Refusal> {
        self.refresh().await.map_err(|_| Refusal::Unavailable)?;
        let is_open = self.shared.watch.lock().is_open();
        let keys = match &self.standing {
            Standing::Open(keys) if is_open => keys,
            _ => return Err(Refusal::Sealed),
        };
        let switch = self.in_time(self.read_switch()).await;
        let switch = switch.map_err(|_| Refusal::Unavailable)?;
        let is_on = switch::is_on(keys.mac_key(), self.parts.tenant, switch.as_deref());
        let stored = self.stored().ok_or(Refusal::Sealed)?;
        let switched_on = self.parts.settings.handoff && is_on;
        may_give(&ask, Some(keys.epoch()), &stored, switched_on)?;
        Ok(keys.hand_over(ask))
    }

    async fn read_switch(&self) -> Result<Option<Vec<u8>>, Error> {
        let address = switch::address(self.parts.tenant);
        transact(self.parts.store.as_ref(), async |transaction, _| {
            Ok(transaction.get(&address).await?)
        })
        .await
        .map(|(row, _)| row)
    }

    /// Switches the handing over on or off, on all nodes.
    pub(super) async fn switch_handoff(&mut self, on: bool) -> Result<(), Error> {
        let Standing::Open(keys) = &self.standing else {
            return Err(Error::Sealed);
        };
        let (tenant, epoch) = (self.parts.tenant, keys.epoch());
        let row = switch::encode(keys.mac_key(), tenant, on)?;
        let write = transact(self.parts.store.as_ref(), async |transaction, _| {
            let stored = transaction.get(&epoch::address(tenant)).await?;
            let claimed = stored.as_deref().map(epoch::claim).transpose()?;
            if claimed != Some(epoch) {
                return Err(Error::Sealed);
            }
            transaction.set(&switch::address(tenant), &row);
            transaction.append_change(&Facet::Seal.encode(tenant));
            Ok(())
        });
        self.in_time(async { write.await.map(drop) }).await
    }

    /// Whether keys of this add-on may be handed over, as far as its root says.
    pub(super) async fn reads_handoff(&self) -> Result<bool, Error> {
        let Standing::Open(keys) = &self.standing else {
            return Err(Error::Sealed);
        };
        let row = self.in_time(self.read_switch()).await?;
        Ok(switch::is_on(
            keys.mac_key(),
            self.parts.tenant,
            row.as_deref(),
        ))
    }
}
