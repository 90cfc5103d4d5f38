//! An open add-on: everything that exists only while its keys do. Dropping it drops keys, engines and caches at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::ArbiterHandle;
use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::access::AccessCache;
use super::mount::{EngineKind, Mount, MountTable, Mounted};
use crate::audit::salt::Salt;
use crate::auth::token::entry::LifetimeLimits;
use crate::barrier::{Rows, View};
use crate::engines::Engine;
use crate::engines::kv::KvEngine;
use crate::engines::kv::plain::PlainEngine;
use crate::engines::transit::TransitEngine;
use crate::error::Error;
use crate::rng::OsRandom;
use crate::store::Stamp;
use crate::store::change::Facet;
use crate::store::key::{Scope, Table};

/// The mounts of an open add-on.
pub type Mounts = MountTable<dyn Engine>;

/// What an add-on is while it is unsealed.
pub struct OpenTenant {
    view: View,
    tag: [u8; 8],
    limits: LifetimeLimits,
    keepers: ArbiterHandle,
    mounts: ArcSwap<Mounts>,
    /// Held while the mounts are replaced: how new those are that are shown.
    mounts_stamp: Mutex<Stamp>,
    access: AccessCache,
    audit_salt: Arc<Salt>,
}

impl OpenTenant {
    /// Loads the mount table behind `view` (which is of the add-on's own scope) and opens each engine.
    ///
    /// # Errors
    /// What the store says; [`Error::Corrupt`] when there is no mount table.
    pub async fn load(
        view: View,
        tag: [u8; 8],
        limits: LifetimeLimits,
        keepers: ArbiterHandle,
    ) -> Result<Self, Error> {
        let open = Self {
            access: AccessCache::new(view.clone()),
            audit_salt: Arc::new(Salt::of_addon(&view).await?),
            view,
            tag,
            limits,
            keepers,
            mounts: ArcSwap::from_pointee(Mounts::new([])),
            mounts_stamp: Mutex::default(),
        };
        open.catch_up_with_terms().await?;
        open.reload_mounts().await?;
        Ok(open)
    }

    /// The add-on's own rows.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// What the add-on's opaque tokens begin with.
    pub fn tag(&self) -> [u8; 8] {
        self.tag
    }

    /// How long tokens live.
    pub fn limits(&self) -> LifetimeLimits {
        self.limits
    }

    /// Tokens and policies.
    pub fn access(&self) -> &AccessCache {
        &self.access
    }

    /// What hashes the add-on's values in the audit log.
    pub fn audit_salt(&self) -> &Arc<Salt> {
        &self.audit_salt
    }

    /// The mounts, as of now.
    pub fn mounts(&self) -> Arc<Mounts> {
        self.mounts.load_full()
    }

    /// The mount that `path` lies in, and the rest of the path.
    pub fn route<'p>(&self, path: &'p str) -> Option<(Arc<Mounted<dyn Engine>>, &'p str)> {
        self.mounts
            .load()
            .route(path)
            .map(|(mounted, rest)| (Arc::clone(mounted), rest))
    }

    /// Reads the mount table again. Engines whose mount did not change stay, with their caches.
    ///
    /// # Errors
    /// What the store says.
    pub async fn reload_mounts(&self) -> Result<(), Error> {
        let (rows, stamp) = self
            .view
            .run_stamped(async |rows| read_mounts(rows).await)
            .await?;
        self.publish_mounts(&rows, stamp)
    }

    /// Makes these the mounts, as they stood at `stamp`. Readers and writers of the table may come in any order; what
    /// is older than what is shown already is ignored.
    ///
    /// # Errors
    /// What an engine says of its mount's options.
    pub fn publish_mounts(&self, rows: &[Mount], stamp: Stamp) -> Result<(), Error> {
        let mut shown = self.mounts_stamp.lock();
        if stamp < *shown {
            return Ok(());
        }
        *shown = stamp;
        let old = self.mounts.load();
        let is_known = |mount: &Mount| {
            old.get(&mount.path)
                .is_some_and(|mounted| mounted.mount == *mount)
        };
        if old.iter().count() == rows.len() && rows.iter().all(is_known) {
            return Ok(());
        }
        let mut mounts = Vec::with_capacity(rows.len());
        for mount in rows {
            mounts.push(match old.get(&mount.path) {
                Some(mounted) if mounted.mount == *mount => Arc::clone(mounted),
                _ => Arc::new(Mounted {
                    mount: mount.clone(),
                    engine: self.engine(mount)?,
                }),
            });
        }
        self.mounts.store(Arc::new(Mounts::new(mounts)));
        self.access.forget_all();
        Ok(())
    }

    /// Drops what a commit, here or on another node, made out of date.
    ///
    /// # Errors
    /// What the store says when something has to be read again.
    pub async fn apply(&self, facet: Facet) -> Result<(), Error> {
        match facet {
            Facet::Mounts => self.reload_mounts().await?,
            Facet::Policies => self.access.forget_all(),
            Facet::Token(token) => self.access.forget(token),
            Facet::TransitKey(mount, key) => {
                if let Some(mounted) = self.mounts.load().by_id(mount) {
                    mounted.engine.forget(key);
                }
            }
            Facet::Terms => self.catch_up_with_terms().await?,
            Facet::AddOn | Facet::Seal | Facet::RevokedBiscuit(_) => {}
        }
        Ok(())
    }

    /// Learns of data keys that were added, here or on another node, so that they are used from now on.
    async fn catch_up_with_terms(&self) -> Result<(), Error> {
        self.view
            .run(async |rows| rows.catch_up().await)
            .await
            .map(drop)
    }

    fn engine(&self, mount: &Mount) -> Result<Arc<dyn Engine>, Error> {
        let view = self.view.mount(mount.id);
        Ok(match mount.kind {
            EngineKind::Kv if mount.is_versioned() => {
                Arc::new(KvEngine::new(view, &mount.options)?)
            }
            EngineKind::Kv => Arc::new(PlainEngine::kv(view, self.lease_ttl_s(mount))),
            EngineKind::Cubbyhole => Arc::new(PlainEngine::cubbyhole(view)),
            EngineKind::Transit => Arc::new(TransitEngine::new(
                view,
                mount.id,
                &mount.options,
                &self.keepers,
            )?),
        })
    }

    fn lease_ttl_s(&self, mount: &Mount) -> u64 {
        let ttl_s = match mount.config.default_lease_ttl {
            0 => self.limits.default_ttl_s,
            ttl_s => ttl_s,
        };
        u64::try_from(ttl_s).unwrap_or(0)
    }
}

/// The mounts of a new add-on.
pub fn first_mounts(random: &OsRandom) -> Vec<Mount> {
    let versioned = BTreeMap::from([("version".to_owned(), "2".to_owned())]);
    let described = |mut mount: Mount, description: &str| {
        mount.description = description.to_owned();
        mount
    };
    vec![
        described(
            Mount::new(random, "cubbyhole/", EngineKind::Cubbyhole, BTreeMap::new()),
            "per-token private secret storage",
        ),
        described(
            Mount::new(random, "secret/", EngineKind::Kv, versioned),
            "key/value secret storage",
        ),
        described(
            Mount::new(random, "transit/", EngineKind::Transit, BTreeMap::new()),
            "encryption as a service",
        ),
    ]
}

/// Reads the mount table. `rows` are of [`Scope::Tenant`].
///
/// # Errors
/// [`Error::Corrupt`] when there is none.
pub async fn read_mounts(rows: &mut Rows<'_>) -> Result<Vec<Mount>, Error> {
    rows.get_json(Table::Mounts, &[])
        .await?
        .ok_or_else(|| Error::Corrupt("the mount table is missing".into()))
}

/// Writes the mount table. `rows` are of [`Scope::Tenant`].
///
/// # Errors
/// What the store says.
pub fn write_mounts(rows: &mut Rows<'_>, mounts: &[Mount]) -> Result<(), Error> {
    rows.put_json(Table::Mounts, &[], &mounts)?;
    rows.note_change(Facet::Mounts);
    Ok(())
}

/// The scope of one of the add-on's mounts, for transactions that touch both.
pub fn mount_scope(view: &View, mount: &Mount) -> Scope {
    Scope::Mount(view.unsealed().tenant(), mount.id)
}
