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
pub mod principal;
pub mod registry;
pub mod weighted;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};

use self::gate::Opened;
use self::principal::Principal;
use self::registry::AddOn;
use crate::auth::acl::{Acl, no_identity};
use crate::auth::biscuit::{Identity, RevocationId, Role, VerifiedBiscuit};
use crate::auth::builtin;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::TenantId;
use crate::metrics::TenantMetrics;
use crate::seal::SealHandle;
use crate::store::key::{Key, KeyRange, Part, Pseudonym, Scope, Table};
use crate::store::{Store, transact};

pub use self::directory::Tenants;

/// How many revoked Biscuits an add-on remembers. Rotating the token epochs voids all at once and empties the list.
const MAX_REVOKED: usize = 10_000;

/// One add-on on this node.
pub struct Tenant {
    addon: ArcSwap<AddOn>,
    seal: SealHandle,
    opened: Arc<ArcSwapOption<Opened>>,
    revoked: ArcSwap<HashSet<Pseudonym>>,
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
            revoked: ArcSwap::default(),
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
        let addon = self.addon.load();
        let current_epoch = match role {
            Role::Root => addon.root_token_epoch,
            Role::User => addon.user_token_epoch,
        };
        let revoked = self.revoked.load();
        let is_revoked = !revoked.is_empty()
            && biscuit
                .revocation_ids()
                .iter()
                .any(|id| revoked.contains(&revocation_part(id)));
        if tenant != addon.id || token_epoch != current_epoch || is_revoked {
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
        opened: &Opened,
        text: &str,
        now: Timestamp,
    ) -> Result<Option<Principal>, Error> {
        let grant = opened.tenant.access().grant(text, now).await?;
        Ok(grant.map(Principal::Token))
    }

    /// Voids a Biscuit, and what was narrowed from it, for good.
    ///
    /// # Errors
    /// [`Error::Invalid`] when too many are revoked already.
    pub async fn revoke_biscuit(&self, store: &dyn Store, id: &RevocationId) -> Result<(), Error> {
        if self.revoked.load().len() >= MAX_REVOKED {
            return Err(Error::bad_request(
                "too many revoked tokens; rotate the add-on's tokens instead",
            ));
        }
        let tenant = self.id();
        let part = revocation_part(id);
        transact(store, async |transaction, _| {
            let row = Key::row(
                Scope::Tenant(tenant),
                Table::RevokedBiscuit,
                &[Part::Name(part)],
            );
            transaction.set(&row, id.as_bytes());
            transaction.append_change(&crate::store::change::Facet::AddOn.encode(tenant));
            Ok(())
        })
        .await?;
        self.revoked.rcu(|revoked| {
            let mut revoked = HashSet::clone(revoked);
            revoked.insert(part);
            revoked
        });
        Ok(())
    }

    /// Takes over a registry row and reads which Biscuits are revoked.
    ///
    /// # Errors
    /// What the store says.
    pub async fn refresh(&self, store: &dyn Store, addon: AddOn) -> Result<(), Error> {
        let range = KeyRange::rows(Scope::Tenant(addon.id), Table::RevokedBiscuit, &[]);
        let (rows, _) = transact(store, async |transaction, _| {
            Ok(transaction.range(&range, MAX_REVOKED, false).await?)
        })
        .await?;
        let mut revoked = HashSet::with_capacity(rows.len());
        for (key, _) in rows {
            if let [Part::Name(part)] = key.parts()?.as_slice() {
                revoked.insert(*part);
            }
        }
        self.revoked.store(Arc::new(revoked));
        self.addon.store(Arc::new(addon));
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

/// Where a revoked Biscuit is filed: the first bytes of its revocation id, which is a signature and so uniform.
fn revocation_part(id: &RevocationId) -> Pseudonym {
    let mut part = [0; 16];
    for (to, from) in part.iter_mut().zip(id.as_bytes()) {
        *to = *from;
    }
    Pseudonym(part)
}
