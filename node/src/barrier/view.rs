//! [`View`]: one scope of an open add-on, and the transactions on it.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Domain, Rows, Unsealed};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::MountId;
use crate::rng::OsRandom;
use crate::store::key::{Part, Pseudonym, Scope, Table};
use crate::store::{Stamp, Store, transact};

/// One scope (the add-on's own rows, or one mount's) of an open add-on.
#[derive(Clone)]
pub struct View {
    store: Arc<dyn Store>,
    unsealed: Arc<Unsealed>,
    scope: Scope,
}

impl View {
    /// A view of `scope`, which must lie within the open add-on.
    pub fn new(store: Arc<dyn Store>, unsealed: Arc<Unsealed>, scope: Scope) -> Self {
        Self {
            store,
            unsealed,
            scope,
        }
    }

    /// The same add-on's view of one of its mounts.
    pub fn mount(&self, mount: MountId) -> Self {
        Self {
            scope: Scope::Mount(self.unsealed.tenant(), mount),
            ..self.clone()
        }
    }

    /// The open add-on.
    pub fn unsealed(&self) -> &Arc<Unsealed> {
        &self.unsealed
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The rows this view is of.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The pseudonym of a name within this scope.
    pub fn pseudonym(&self, domain: Domain, name: &[u8]) -> Pseudonym {
        self.unsealed.pseudonym(self.scope, domain, name)
    }

    /// Runs `body` in a transaction: again after a conflict, so it must not have effects outside of it.
    /// What is written must be idempotent, because a commit in doubt is run again too; see [`View::run_once`].
    ///
    /// # Errors
    /// [`Error::Sealed`] when the add-on was sealed meanwhile; else what `body` or the store says.
    pub async fn run<T>(
        &self,
        body: impl AsyncFnMut(&mut Rows<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.run_stamped(body).await.map(|(value, _)| value)
    }

    /// As [`View::run`], and says where the commit stands in the order of all commits.
    ///
    /// # Errors
    /// As [`View::run`].
    pub async fn run_stamped<T>(
        &self,
        mut body: impl AsyncFnMut(&mut Rows<'_>) -> Result<T, Error>,
    ) -> Result<(T, Stamp), Error> {
        transact(self.store.as_ref(), async |transaction, attempt| {
            let mut rows = Rows::checked(transaction, &self.unsealed, self.scope, attempt).await?;
            body(&mut rows).await
        })
        .await
    }

    /// As [`View::run`], for writes that must not be applied twice: on a store whose commits can be in doubt, the
    /// result is written beside the effect, and a second run finds it and returns it.
    ///
    /// # Errors
    /// As [`View::run`].
    pub async fn run_once<T: Serialize + DeserializeOwned>(
        &self,
        now: Timestamp,
        mut body: impl AsyncFnMut(&mut Rows<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if !self.store.properties().doubtful_commits {
            return self.run(body).await;
        }
        let operation = Pseudonym(OsRandom.array());
        let hour = u64::try_from(now.unix_seconds() / 3600).unwrap_or(0);
        let address = [Part::Number(hour), Part::Name(operation)];
        self.run(async |rows| {
            if rows.attempt().maybe_committed
                && let Some(done) = rows.get_json(Table::Idempotency, &address).await?
            {
                return Ok(done);
            }
            let value = body(rows).await?;
            rows.put_json(Table::Idempotency, &address, &value)?;
            Ok(value)
        })
        .await
    }
}
