//! What the seal calls when an add-on opens or closes.

use std::sync::Arc;

use actix::{Actor, Addr, ArbiterHandle};
use arc_swap::ArcSwapOption;
use async_trait::async_trait;

use super::keeper::TenantKeeper;
use super::open::{OpenTenant, first_mounts, write_mounts};
use crate::auth::token::entry::{LifetimeLimits, TokenEntry};
use crate::auth::token::{id, tree};
use crate::barrier::{Domain, Rows, Unsealed, View};
use crate::clock::Clock;
use crate::error::Error;
use crate::rng::OsRandom;
use crate::seal::Gate;
use crate::secret::Secret;
use crate::store::Store;
use crate::store::key::Scope;

/// An open add-on with the actor that changes it. What is published through [`TenantGate`]: present while unsealed.
pub struct Opened {
    /// What requests read.
    pub tenant: Arc<OpenTenant>,
    /// What changes mounts, policies and tokens, one at a time.
    pub keeper: Addr<TenantKeeper>,
}

/// Opens and closes one add-on on this node.
pub struct TenantGate {
    /// Where the open add-on is published.
    pub opened: Arc<ArcSwapOption<Opened>>,
    /// The store below.
    pub store: Arc<dyn Store>,
    /// The add-on's tag.
    pub tag: [u8; 8],
    /// How long its tokens live.
    pub limits: LifetimeLimits,
    /// Where its actors run.
    pub keepers: ArbiterHandle,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

#[async_trait(?Send)]
impl Gate for TenantGate {
    async fn open(&self, unsealed: Unsealed) -> Result<(), Error> {
        let scope = Scope::Tenant(unsealed.tenant());
        let view = View::new(Arc::clone(&self.store), Arc::new(unsealed), scope);
        let tenant = OpenTenant::load(view, self.tag, self.limits, self.keepers.clone()).await?;
        let tenant = Arc::new(tenant);
        let keeper = TenantKeeper::new(Arc::clone(&tenant), Arc::clone(&self.clock));
        let keeper = TenantKeeper::start_in_arbiter(&self.keepers, |_| keeper);
        self.opened.store(Some(Arc::new(Opened { tenant, keeper })));
        Ok(())
    }

    async fn found(&self, rows: &mut Rows<'_>) -> Result<Secret<String>, Error> {
        write_mounts(rows, &first_mounts(&OsRandom))?;
        let token = id::generate(&OsRandom, self.tag);
        let pseudonym = rows.pseudonym(Domain::Token, token.expose().as_bytes());
        let entry = TokenEntry::root(id::generate_accessor(&OsRandom), self.clock.now());
        tree::insert(rows, pseudonym, &entry)?;
        Ok(token)
    }

    fn close(&self) {
        self.opened.store(None);
    }
}
