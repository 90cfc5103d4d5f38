//! Founding the add-on.

use super::Shell;
use crate::barrier::Rows;
use crate::error::Error;
use crate::seal::handle::SealParts;
use crate::seal::init::{self, Initialized, Prepared};
use crate::seal::quorum::Quorum;
use crate::seal::rows::{SealRows, read_incarnation};
use crate::store::change::Facet;
use crate::store::key::Scope;
use crate::store::transact;

impl Shell {
    /// Founds the add-on: its seal and what the gate writes, in one transaction. There is no timeout, because giving up
    /// on a commit that then succeeds would lose the shares; an add-on whose init was never answered is empty, and is
    /// deleted and made again.
    pub(super) async fn init(&mut self, quorum: Quorum) -> Result<Initialized, Error> {
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
        let before = self.shared.watch.lock().sight();
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
        self.configure(before, incarnation, Some(&seal_rows))?;
        let root_token =
            root_token.ok_or_else(|| Error::Bug("an init without a root token".into()))?;
        Ok(Initialized { shares, root_token })
    }
}
