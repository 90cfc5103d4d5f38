//! Sealing: the keys go first, then the stored epoch is raised, however often that has to be tried.

use super::{Shell, Standing};
use crate::error::Error;
use crate::seal::attempt::Purpose;
use crate::seal::epoch;
use crate::seal::seal_keys::SealKeys;
use crate::store::change::Facet;
use crate::store::key::{Key, Scope, Table};
use crate::store::transact;

impl Shell {
    /// Drops the keys first, whatever the store then says.
    pub(super) async fn seal(&mut self) -> Result<(), Error> {
        self.parts.gate.close();
        for purpose in Purpose::ALL {
            self.end_attempt(purpose);
        }
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
    pub(super) async fn finish_seal(&mut self) -> Result<(), Error> {
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
}
