//! [`Tenants`]: the add-ons of this node, found by id, by name, or by the tag that their opaque tokens begin with.

use std::collections::HashMap;
use std::sync::Arc;

use actix::ArbiterHandle;
use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Mutex;

use super::Tenant;
use super::gate::TenantGate;
use super::registry::{self, AddOn};
use crate::auth::token::entry::LifetimeLimits;
use crate::clock::Clock;
use crate::error::Error;
use crate::id::TenantId;
use crate::rng::OsRandom;
use crate::seal::{SealHandle, SealParts, SealSettings};
use crate::store::Store;

/// What add-ons are made with.
pub struct TenantSettings {
    /// How long tokens live.
    pub limits: LifetimeLimits,
    /// How unsealing goes.
    pub seal: SealSettings,
    /// Where the add-ons' actors run.
    pub keepers: ArbiterHandle,
}

/// All add-ons of this node.
pub struct Tenants {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    settings: TenantSettings,
    index: ArcSwap<Index>,
    /// Held while the index is renewed, so that no add-on gets two seal actors.
    renewing: Mutex<()>,
}

#[derive(Default)]
struct Index {
    by_id: HashMap<TenantId, Arc<Tenant>>,
    by_tag: HashMap<[u8; 8], Arc<Tenant>>,
    by_name: HashMap<String, Arc<Tenant>>,
}

impl Tenants {
    /// Reads the registry and starts a seal actor for each add-on.
    ///
    /// # Errors
    /// What the store says.
    pub async fn load(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        settings: TenantSettings,
    ) -> Result<Self, Error> {
        let tenants = Self {
            store,
            clock,
            settings,
            index: ArcSwap::default(),
            renewing: Mutex::new(()),
        };
        tenants.renew().await?;
        Ok(tenants)
    }

    /// Reads the registry again: new add-ons appear, deleted ones are dropped with their keys.
    ///
    /// # Errors
    /// What the store says.
    pub async fn renew(&self) -> Result<(), Error> {
        let _renewing = self.renewing.lock().await;
        let old = self.index.load_full();
        let mut index = Index::default();
        for addon in registry::list(self.store.as_ref()).await? {
            let tenant = match old.by_id.get(&addon.id) {
                Some(tenant) => Arc::clone(tenant),
                None => Arc::new(self.start(addon.clone()).await?),
            };
            tenant.refresh(self.store.as_ref(), addon.clone()).await?;
            index.by_id.insert(addon.id, Arc::clone(&tenant));
            index.by_tag.insert(addon.tag, Arc::clone(&tenant));
            index.by_name.insert(addon.name, tenant);
        }
        for (id, tenant) in &old.by_id {
            if !index.by_id.contains_key(id) {
                tenant.opened.store(None);
            }
        }
        self.index.store(Arc::new(index));
        Ok(())
    }

    /// The add-on with this id.
    pub fn by_id(&self, id: TenantId) -> Option<Arc<Tenant>> {
        self.index.load().by_id.get(&id).cloned()
    }

    /// The add-on whose opaque tokens begin with this tag.
    pub fn by_tag(&self, tag: [u8; 8]) -> Option<Arc<Tenant>> {
        self.index.load().by_tag.get(&tag).cloned()
    }

    /// The add-on with this name or id.
    pub fn named(&self, id_or_name: &str) -> Option<Arc<Tenant>> {
        let index = self.index.load();
        match id_or_name.parse::<TenantId>() {
            Ok(id) => index.by_id.get(&id).cloned(),
            Err(_) => index.by_name.get(id_or_name).cloned(),
        }
    }

    /// All add-ons, in no order.
    pub fn all(&self) -> Vec<Arc<Tenant>> {
        self.index.load().by_id.values().cloned().collect()
    }

    async fn start(&self, addon: AddOn) -> Result<Tenant, Error> {
        let opened = Arc::new(ArcSwapOption::empty());
        let gate = TenantGate {
            opened: Arc::clone(&opened),
            store: Arc::clone(&self.store),
            tag: addon.tag,
            limits: self.settings.limits,
            keepers: self.settings.keepers.clone(),
            clock: Arc::clone(&self.clock),
        };
        let parts = SealParts {
            tenant: addon.id,
            store: Arc::clone(&self.store),
            gate: Arc::new(gate),
            clock: Arc::clone(&self.clock),
            random: OsRandom,
            settings: self.settings.seal,
        };
        let seal = SealHandle::start(&self.settings.keepers, parts).await?;
        Tenant::new(addon, seal, opened)
    }
}
