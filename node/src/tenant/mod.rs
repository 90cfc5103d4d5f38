//! Add-ons: which exist, which are open on this node, and who may do what in them.
//!
//! [`Tenant`] is an add-on, sealed or not; [`open::OpenTenant`] what it is while unsealed. [`Tenants`] finds the add-on
//! that a request means. Nothing here decides whether an add-on is unsealed: that is whether its `opened` holds a value.

pub mod access;
pub mod directory;
pub mod feed;
pub mod gate;
pub mod keeper;
pub mod mount;
pub mod open;
pub mod outage;
pub mod principal;
pub mod registry;
pub mod revoked;
pub mod weighted;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};

use self::access::Grant;
use self::gate::Opened;
use self::principal::Principal;
use self::registry::AddOn;
use self::revoked::{By, Revoked};
use crate::auth::acl::{Acl, no_identity};
use crate::auth::biscuit::{Identity, Role, VerifiedBiscuit};
use crate::auth::builtin;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::TenantId;
use crate::metrics::TenantMetrics;
use crate::seal::SealHandle;
use crate::store::Store;
use crate::store::key::Pseudonym;

pub use self::directory::Tenants;

/// One add-on on this node.
pub struct Tenant {
    addon: ArcSwap<AddOn>,
    seal: SealHandle,
    opened: Arc<ArcSwapOption<Opened>>,
    revoked: Revoked,
    metrics: TenantMetrics,
}

impl Tenant {
    /// An add-on whose seal is looked after by `seal`, which publishes it through `opened`.
    ///
    /// # Errors
    /// [`Error::Bug`] when its metrics cannot be made.
    pub fn new(
        addon: AddOn,
        seal: SealHandle,
        opened: Arc<ArcSwapOption<Opened>>,
    ) -> Result<Self, Error> {
        Ok(Self {
            addon: ArcSwap::from_pointee(addon),
            seal,
            opened,
            revoked: Revoked::default(),
            metrics: TenantMetrics::new()?,
        })
    }

    /// Its id.
    pub fn id(&self) -> TenantId {
        self.addon.load().id
    }

    /// Its registry row, as of the last change known here.
    pub fn addon(&self) -> Arc<AddOn> {
        self.addon.load_full()
    }

    /// Its seal.
    pub fn seal(&self) -> &SealHandle {
        &self.seal
    }

    /// What its requests cost.
    pub fn metrics(&self) -> &TenantMetrics {
        &self.metrics
    }

    /// The open add-on; `None` while it is sealed.
    pub fn opened(&self) -> Option<Arc<Opened>> {
        self.opened.load_full()
    }

    /// The open add-on.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub fn unsealed(&self) -> Result<Arc<Opened>, Error> {
        self.opened().ok_or(Error::Sealed)
    }

    /// Drops the add-on's keys on this node, because what is known of it cannot be trusted any more. Shares, or another
    /// node, open it again.
    fn close(&self) {
        self.seal.close_here();
    }

    /// Whether `opened` is still what the add-on is: false once it was sealed, even if it was unsealed again since.
    pub fn is_still(&self, opened: &Arc<Opened>) -> bool {
        self.opened
            .load()
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, opened))
    }

    /// The caller that bears this Biscuit; `None` when the token is another add-on's, of an old epoch, or revoked.
    ///
    /// # Errors
    /// [`Error::Bug`] when the built-in policy does not compile.
    pub fn biscuit_principal(
        &self,
        biscuit: &Arc<VerifiedBiscuit>,
    ) -> Result<Option<Principal>, Error> {
        let Identity::Addon {
            tenant,
            role,
            token_epoch,
        } = biscuit.identity()
        else {
            return Ok(None);
        };
        let revocations = biscuit.revocation_ids().iter().map(revoked::part);
        if tenant != self.id() || self.is_void(role, token_epoch, revocations) {
            return Ok(None);
        }
        Ok(Some(Principal::Biscuit {
            biscuit: Arc::clone(biscuit),
            role,
            acl: self.role_acl(role)?,
        }))
    }

    /// The caller that bears this opaque token; `None` when it is not valid.
    ///
    /// # Errors
    /// What the store says.
    pub async fn token_principal(
        &self,
        opened: &Opened,
        text: &str,
        now: Timestamp,
    ) -> Result<Option<Principal>, Error> {
        let grant = opened.tenant.access().grant(text, now).await?;
        Ok(grant
            .filter(|grant| !self.is_orphaned_of_its_biscuit(grant))
            .map(Principal::Token))
    }

    /// Whether the Biscuit that a token descends from is void, and the token with it.
    fn is_orphaned_of_its_biscuit(&self, grant: &Grant) -> bool {
        grant.entry.origin.as_ref().is_some_and(|origin| {
            let revocations = origin.revocations.iter().copied();
            self.is_void(origin.role, origin.token_epoch, revocations)
        })
    }

    /// Whether a Biscuit is void: of another epoch than the role's now, or with a block that was revoked.
    fn is_void(
        &self,
        role: Role,
        token_epoch: u64,
        revocations: impl Iterator<Item = Pseudonym>,
    ) -> bool {
        let addon = self.addon.load();
        let current_epoch = match role {
            Role::Root => addon.root_token_epoch,
            Role::User => addon.user_token_epoch,
        };
        token_epoch != current_epoch || self.revoked.covers(revocations)
    }

    /// Voids a Biscuit, and what was narrowed from it, for good.
    ///
    /// # Errors
    /// [`Error::Invalid`] when too many are revoked already.
    pub async fn revoke_biscuit(
        &self,
        store: &dyn Store,
        biscuit: &VerifiedBiscuit,
        by: By,
    ) -> Result<(), Error> {
        let part = revoked::revoke(store, self.id(), biscuit, by).await?;
        self.note_revoked(part);
        Ok(())
    }

    /// Takes note that a Biscuit was revoked, here or on another node.
    pub fn note_revoked(&self, part: Pseudonym) {
        self.revoked.note(part);
    }

    /// Takes over a registry row and reads which Biscuits are revoked. At most one call at a time.
    ///
    /// # Errors
    /// What the store says.
    pub async fn refresh(&self, store: &dyn Store, addon: AddOn) -> Result<(), Error> {
        let snapshot = self.revoked.read(store, addon.id).await?;
        let epochs = |addon: &AddOn| (addon.root_token_epoch, addon.user_token_epoch);
        let rotated = epochs(&self.addon.load()) != epochs(&addon);
        // The epochs first: they void what the new list no longer mentions.
        self.addon.store(Arc::new(addon));
        self.revoked.replace(snapshot, rotated);
        Ok(())
    }

    fn role_acl(&self, role: Role) -> Result<Arc<Acl>, Error> {
        match (role, self.opened()) {
            (Role::Root, Some(opened)) => Ok(opened.tenant.access().root()),
            (Role::User, Some(opened)) => opened.tenant.access().user(&opened.tenant.mounts()),
            (Role::Root, None) => Ok(Arc::new(Acl::root())),
            (Role::User, None) => {
                let policy = builtin::user_policy(&BTreeMap::new())?;
                Ok(Arc::new(Acl::compile(
                    [&policy],
                    Timestamp(0),
                    &no_identity,
                )))
            }
        }
    }
}
