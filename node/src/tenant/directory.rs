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
use crate::seal::peers::Peers;
use crate::seal::{IntentFiles, SealCounters, SealHandle, SealParts, SealSettings};
use crate::store::Store;

/// What add-ons are made with.
pub struct TenantSettings {
    /// How long tokens live.
    pub limits: LifetimeLimits,
    /// How unsealing goes.
    pub seal: SealSettings,
    /// Where the add-ons' actors run.
    pub keepers: ArbiterHandle,
    /// What the add-ons' seals say to other nodes.
    pub peers: Arc<dyn Peers>,
    /// Where seals are kept that the store could not be told.
    pub intents: Option<IntentFiles>,
    /// What seals count.
    pub counters: Arc<SealCounters>,
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

#[derive(Clone, Default)]
struct Index {
    by_id: HashMap<TenantId, Arc<Tenant>>,
    by_tag: HashMap<[u8; 8], Arc<Tenant>>,
    by_name: HashMap<String, Arc<Tenant>>,
}

impl Index {
    fn insert(&mut self, tenant: Arc<Tenant>) {
        let addon = tenant.addon();
        self.by_id.insert(addon.id, Arc::clone(&tenant));
        self.by_tag.insert(addon.tag, Arc::clone(&tenant));
        self.by_name.insert(addon.name.clone(), tenant);
    }

    fn remove(&mut self, tenant: &Tenant) {
        let addon = tenant.addon();
        self.by_id.remove(&addon.id);
        self.by_tag.remove(&addon.tag);
        self.by_name.remove(&addon.name);
    }
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
        let mut index = Index::default();
        for addon in registry::list(tenants.store.as_ref()).await? {
            let id = addon.id;
            match tenants.start(addon).await {
                Ok(tenant) => index.insert(Arc::new(tenant)),
                // Damage to one add-on's rows must not keep the others from being served.
                Err(Error::Corrupt(what)) => {
                    tracing::error!(%id, what, "an add-on is left out");
                }
                Err(error) => return Err(error),
            }
        }
        tenants.index.store(Arc::new(index));
        Ok(tenants)
    }

    /// Reads one add-on's registry row again: it appears, changes, or is dropped with its keys.
    ///
    /// # Errors
    /// What the store says.
    pub async fn renew(&self, id: TenantId) -> Result<(), Error> {
        let _renewing = self.renewing.lock().await;
        let known = self.by_id(id);
        match registry::find(self.store.as_ref(), &id.to_string()).await {
            Ok(addon) => {
                let tenant = match known {
                    Some(tenant) => {
                        tenant.refresh(self.store.as_ref(), addon).await?;
                        tenant
                    }
                    None => Arc::new(self.start(addon).await?),
                };
                self.index.rcu(|index| {
                    let mut index = Index::clone(index);
                    index.insert(Arc::clone(&tenant));
                    index
                });
                Ok(())
            }
            Err(Error::NotFound(_)) => {
                if let Some(tenant) = known {
                    self.index.rcu(|index| {
                        let mut index = Index::clone(index);
                        index.remove(&tenant);
                        index
                    });
                    tenant.seal.close_here();
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
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

    /// What seals count.
    pub fn seal_counters(&self) -> &SealCounters {
        &self.settings.counters
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
            peers: Arc::clone(&self.settings.peers),
            intents: self.settings.intents.clone(),
            counters: Arc::clone(&self.settings.counters),
            settings: self.settings.seal,
        };
        let seal = SealHandle::start(&self.settings.keepers, parts).await?;
        let tenant = Tenant::new(addon.clone(), seal, opened)?;
        tenant.refresh(self.store.as_ref(), addon).await?;
        Ok(tenant)
    }
}
