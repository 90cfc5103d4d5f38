//! What tokens of an open add-on may do: a cache of grants over the token and policy rows.
//!
//! Only grants are cached. A token that is unknown is looked up in the store each time, so one that was just made on
//! another node works at once; a cached grant is dropped when the change feed says that its token or any policy changed,
//! and the node serves from the cache only while the feed is confirmed (`feed.rs`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::mount::MountTable;
use crate::auth::acl::{Acl, no_identity};
use crate::auth::builtin;
use crate::auth::policies;
use crate::auth::token::entry::TokenEntry;
use crate::auth::token::tree;
use crate::barrier::{Domain, View};
use crate::clock::Timestamp;
use crate::engines::Engine;
use crate::error::Error;
use crate::store::key::Pseudonym;

/// How many grants are kept. One is about a kilobyte; beyond this many active tokens the rest is looked up.
const MAX_GRANTS: usize = 10_000;

/// A valid service token and what it may do.
pub struct Grant {
    /// Where its row sits.
    pub token: Pseudonym,
    /// Its entry, as of when it was looked up.
    pub entry: TokenEntry,
    /// Its policies, compiled.
    pub acl: Arc<Acl>,
}

impl Grant {
    /// Whether it still says the truth: neither the token nor one of the rules has ended.
    fn is_valid(&self, now: Timestamp) -> bool {
        !self.entry.is_expired(now) && self.acl.expires_at().is_none_or(|end| now < end)
    }
}

/// Grants by token, and the rights of the user Biscuit.
pub struct AccessCache {
    view: View,
    grants: RwLock<Grants>,
    user: Mutex<Option<Arc<Acl>>>,
    root: Arc<Acl>,
}

#[derive(Default)]
struct Grants {
    /// Rises with each invalidation: what was read before one must not be cached after it.
    generation: u64,
    by_token: HashMap<Pseudonym, Arc<Grant>>,
}

impl AccessCache {
    /// An empty cache over the rows of `view`.
    pub fn new(view: View) -> Self {
        Self {
            view,
            grants: RwLock::default(),
            user: Mutex::default(),
            root: Arc::new(Acl::root()),
        }
    }

    /// Where the rows of the token with this text sit.
    pub fn pseudonym(&self, token: &str) -> Pseudonym {
        self.view.pseudonym(Domain::Token, token.as_bytes())
    }

    /// The grant of the token with this text, or `None` when it is not valid at `now`.
    ///
    /// # Errors
    /// What the store says.
    pub async fn grant(&self, text: &str, now: Timestamp) -> Result<Option<Arc<Grant>>, Error> {
        let token = self.pseudonym(text);
        if let Some(grant) = self.grants.read().by_token.get(&token)
            && grant.is_valid(now)
        {
            return Ok(Some(Arc::clone(grant)));
        }
        self.load(token, now).await
    }

    /// Looks a token up in the store, past the cache.
    ///
    /// # Errors
    /// What the store says.
    pub async fn load(
        &self,
        token: Pseudonym,
        now: Timestamp,
    ) -> Result<Option<Arc<Grant>>, Error> {
        let generation = self.grants.read().generation;
        let found = self
            .view
            .run(async |rows| {
                let Some(entry) = tree::load(rows, token, now).await? else {
                    return Ok(None);
                };
                let policies = policies::load(rows, &entry.policies).await?;
                Ok(Some((entry, policies)))
            })
            .await?;
        let Some((entry, policies)) = found else {
            return Ok(None);
        };
        let acl = match entry.is_root() {
            true => Arc::clone(&self.root),
            false => Arc::new(Acl::compile(&policies, now, &no_identity)),
        };
        let grant = Arc::new(Grant { token, entry, acl });
        let mut grants = self.grants.write();
        // Limited-use tokens are counted in the store at each use, so caching them would save nothing.
        if grants.generation == generation && grant.entry.uses_left == 0 {
            if grants.by_token.len() >= MAX_GRANTS {
                grants.by_token.clear();
            }
            grants.by_token.insert(token, Arc::clone(&grant));
        }
        Ok(Some(grant))
    }

    /// What the root Biscuit may do.
    pub fn root(&self) -> Arc<Acl> {
        Arc::clone(&self.root)
    }

    /// What the user Biscuit may do, given the mounts there are.
    ///
    /// # Errors
    /// [`Error::Bug`] when the built-in policy does not compile.
    pub fn user(&self, mounts: &MountTable<dyn Engine>) -> Result<Arc<Acl>, Error> {
        let mut user = self.user.lock();
        if let Some(acl) = user.as_ref() {
            return Ok(Arc::clone(acl));
        }
        let kinds: BTreeMap<&str, &str> = mounts
            .iter()
            .map(|mounted| (mounted.mount.path.as_str(), mounted.mount.kind.name()))
            .collect();
        let policy = builtin::user_policy(&kinds)?;
        let acl = Arc::new(Acl::compile([&policy], Timestamp(0), &no_identity));
        *user = Some(Arc::clone(&acl));
        Ok(acl)
    }

    /// Drops one token's grant, and those of its children with it.
    pub fn forget(&self, token: Pseudonym) {
        let mut grants = self.grants.write();
        grants.generation += 1;
        grants
            .by_token
            .retain(|key, grant| *key != token && grant.entry.depth == 0);
    }

    /// Drops everything.
    pub fn forget_all(&self) {
        let mut grants = self.grants.write();
        grants.generation += 1;
        grants.by_token.clear();
        *self.user.lock() = None;
    }
}
