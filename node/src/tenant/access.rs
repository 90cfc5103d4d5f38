//! What tokens of an open add-on may do: a cache of grants over the token and policy rows.
//!
//! Only grants are cached. A token that is unknown is looked up in the store each time, so one that was just made on
//! another node works at once; a cached grant is dropped when the change feed says that its token or any policy changed,
//! and the node serves from the cache only while the feed is confirmed (`feed.rs`).
//!
//! Tokens of the same policies share their compiled rules, also when a grant is looked up past the cache: the policies'
//! version is read with the token, and as long as it is the same, no text is read or parsed again. Both caches are
//! bounded in bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};

use super::mount::MountTable;
use super::weighted::Weighted;
use crate::auth::acl::{Acl, no_identity};
use crate::auth::builtin;
use crate::auth::policies::{self, Loaded};
use crate::auth::token::entry::TokenEntry;
use crate::auth::token::tree::{self, Living};
use crate::barrier::{Domain, View};
use crate::clock::Timestamp;
use crate::engines::Engine;
use crate::error::Error;
use crate::metrics::cache::GRANTS;
use crate::store::key::Pseudonym;

/// How much the grants of one add-on take: those of tokens without ancestors, and as much again of the others. One is
/// about a kilobyte; with more active tokens than fit, some are looked up again.
const MAX_GRANT_BYTES: usize = 8 * 1024 * 1024;

/// How much the compiled rules of one add-on take: three sets of the largest kind, thousands of the usual.
const MAX_RULE_BYTES: usize = 32 * 1024 * 1024;

/// About what a grant takes beside its texts: entry, key, shared pointers.
const GRANT_BYTES: usize = 1024;

/// About what a compiled rule takes beside its texts, which are kept several times over.
const RULE_BYTES: usize = 512;
const RULE_TEXTS: usize = 4;

/// A valid service token and what it may do.
pub struct Grant {
    /// Where its row sits.
    pub token: Pseudonym,
    /// Its entry, as of when it was looked up.
    pub entry: TokenEntry,
    /// When it ends, itself or with the first of its ancestors.
    pub ends: Option<Timestamp>,
    /// Its policies, compiled.
    pub acl: Arc<Acl>,
}

impl Grant {
    /// Whether it still says the truth: neither the token, nor one it ends with, nor one of the rules has ended.
    fn is_valid(&self, now: Timestamp) -> bool {
        let mut ends = self.ends.into_iter().chain(self.acl.expires_at());
        ends.all(|end| now < end)
    }

    fn weight_bytes(&self) -> usize {
        let policies = self.entry.policies.iter().map(|name| name.len() + 32);
        let labels = self.entry.meta.iter().flatten();
        let labels = labels.map(|(name, value)| name.len() + value.len() + 64);
        GRANT_BYTES + policies.chain(labels).sum::<usize>()
    }
}

/// Grants by token, and the rights of the user Biscuit.
pub struct AccessCache {
    view: View,
    cached: RwLock<Cached>,
    user: Mutex<Option<UserRules>>,
    root: Arc<Acl>,
}

struct Cached {
    /// Rises with each invalidation: what was read before one must not be cached after it.
    generation: u64,
    /// Grants of tokens that have no ancestors.
    orphans: Weighted<Pseudonym, Arc<Grant>>,
    /// Grants of tokens that end with another one.
    children: Weighted<Pseudonym, Arc<Grant>>,
    /// Compiled rules by the names of the policies. Each grant's rules are in here, so that they are weighed.
    rules: Weighted<Vec<String>, Arc<Acl>>,
    /// Which version of the policies `rules` is compiled from.
    version: u64,
}

/// The rights of the user Biscuit, and the mounts that they are for. A caller may bring mounts from before a change, so
/// it is not enough to drop this at the change. Weak, so that a removed mount's keys go with the mount.
struct UserRules {
    mounts: Weak<MountTable<dyn Engine>>,
    acl: Arc<Acl>,
}

/// The rules of a token that is looked up.
enum Rules {
    Compiled(Arc<Acl>),
    Read(Loaded),
}

impl Cached {
    fn new() -> Self {
        Self {
            generation: 0,
            orphans: Weighted::new(MAX_GRANT_BYTES),
            children: Weighted::new(MAX_GRANT_BYTES),
            rules: Weighted::new(MAX_RULE_BYTES),
            version: 0,
        }
    }

    fn grant(&self, token: Pseudonym) -> Option<&Arc<Grant>> {
        let orphan = self.orphans.get(&token);
        orphan.or_else(|| self.children.get(&token))
    }

    fn keep_grant(&mut self, grant: &Arc<Grant>) {
        let shelf = match grant.entry.depth {
            0 => &mut self.orphans,
            _ => &mut self.children,
        };
        shelf.insert(grant.token, Arc::clone(grant), grant.weight_bytes());
    }

    fn keep_rules(&mut self, policies: &[String], acl: &Arc<Acl>, bytes: usize) {
        if self.rules.insert(policies.to_vec(), Arc::clone(acl), bytes) {
            // Grants would keep what was just dropped.
            self.orphans.clear();
            self.children.clear();
        }
    }

    fn clear(&mut self) {
        self.orphans.clear();
        self.children.clear();
        self.rules.clear();
    }
}

impl AccessCache {
    /// An empty cache over the rows of `view`.
    pub fn new(view: View) -> Self {
        Self {
            view,
            cached: RwLock::new(Cached::new()),
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
        if let Some(grant) = self.cached.read().grant(token)
            && grant.is_valid(now)
        {
            GRANTS.count(true);
            return Ok(Some(Arc::clone(grant)));
        }
        GRANTS.count(false);
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
        let generation = self.cached.read().generation;
        let found = self
            .view
            .run(async |rows| {
                let Some(living) = tree::load_living(rows, token, now).await? else {
                    return Ok(None);
                };
                let version = policies::version(rows).await?;
                let rules = match self.compiled(&living.entry, version, now) {
                    Some(acl) => Rules::Compiled(acl),
                    None => Rules::Read(policies::load(rows, &living.entry.policies).await?),
                };
                Ok(Some((living, rules, version)))
            })
            .await?;
        let Some((Living { entry, ends }, rules, version)) = found else {
            return Ok(None);
        };
        let (acl, made_bytes) = match rules {
            Rules::Compiled(acl) => (acl, None),
            Rules::Read(loaded) => {
                let (acl, bytes) = compile(loaded, now);
                (Arc::new(acl), Some(bytes))
            }
        };
        let grant = Arc::new(Grant {
            token,
            entry,
            ends,
            acl,
        });
        let mut cached = self.cached.write();
        if cached.generation != generation || version < cached.version {
            return Ok(Some(grant));
        }
        if version > cached.version {
            // The policies changed, and the feed has not said so yet.
            cached.clear();
            cached.version = version;
        }
        if let Some(bytes) = made_bytes {
            cached.keep_rules(&grant.entry.policies, &grant.acl, bytes);
        }
        // Limited-use tokens are counted in the store at each use, so caching them would save nothing.
        if grant.entry.uses_left == 0 {
            cached.keep_grant(&grant);
        }
        Ok(Some(grant))
    }

    /// Takes one use off a limited token, in the store, so that no two requests get the same one. Returns what is left.
    ///
    /// # Errors
    /// [`Error::Denied`] when the token is not valid any more.
    pub async fn take_use(&self, token: Pseudonym, now: Timestamp) -> Result<TokenEntry, Error> {
        // Once: a second run after a commit in doubt would take another use, or find none left.
        self.view
            .run_once(now, async |rows| {
                let entry = tree::load(rows, token, now).await?;
                let mut entry = entry.ok_or_else(Error::no_token)?;
                entry.uses_left = match entry.uses_left {
                    1 => -1,
                    uses => uses - 1,
                };
                tree::update(rows, token, &entry).await?;
                Ok(entry)
            })
            .await
    }

    /// The rules of a token's policies, if they were compiled from this version and none of them has ended.
    fn compiled(&self, entry: &TokenEntry, version: u64, now: Timestamp) -> Option<Arc<Acl>> {
        if entry.is_root() {
            return Some(self.root());
        }
        let cached = self.cached.read();
        let acl = cached.rules.get(&entry.policies)?;
        let is_good = cached.version == version && acl.expires_at().is_none_or(|end| now < end);
        is_good.then(|| Arc::clone(acl))
    }

    /// What the root Biscuit may do.
    pub fn root(&self) -> Arc<Acl> {
        Arc::clone(&self.root)
    }

    /// What the user Biscuit may do, given the mounts there are.
    ///
    /// # Errors
    /// [`Error::Bug`] when the built-in policy does not compile.
    pub fn user(&self, mounts: &Arc<MountTable<dyn Engine>>) -> Result<Arc<Acl>, Error> {
        let weak = Arc::downgrade(mounts);
        let mut user = self.user.lock();
        if let Some(user) = user.as_ref()
            && user.mounts.ptr_eq(&weak)
        {
            return Ok(Arc::clone(&user.acl));
        }
        let kinds: BTreeMap<&str, &str> = mounts
            .iter()
            .map(|mounted| (mounted.mount.path.as_str(), mounted.mount.kind.name()))
            .collect();
        let policy = builtin::user_policy(&kinds)?;
        let acl = Arc::new(Acl::compile([&policy], Timestamp(0), &no_identity));
        *user = Some(UserRules {
            mounts: weak,
            acl: Arc::clone(&acl),
        });
        Ok(acl)
    }

    /// Drops one token's grant, and those of its children with it.
    pub fn forget(&self, token: Pseudonym) {
        let mut cached = self.cached.write();
        cached.generation += 1;
        cached.orphans.remove(&token);
        cached.children.clear();
    }

    /// Drops everything.
    pub fn forget_all(&self) {
        let mut cached = self.cached.write();
        cached.generation += 1;
        cached.clear();
        *self.user.lock() = None;
    }
}

/// What policies allow together, and about what that takes. There are no identities, so that rules with templates count
/// for nothing, for every token alike.
fn compile(loaded: Loaded, now: Timestamp) -> (Acl, usize) {
    let (policies, text_bytes) = match loaded {
        Loaded::All(policies, bytes) => (policies, bytes),
        Loaded::TooMany => {
            // To leave out some could leave out a `deny`.
            tracing::warn!("a token's policies are too long together: it is granted nothing");
            (Vec::new(), 0)
        }
    };
    let rules: usize = policies.iter().map(|policy| policy.rules().len()).sum();
    let names: usize = policies
        .iter()
        .map(|policy| policy.name().as_str().len())
        .sum();
    let acl = Acl::compile(&policies, now, &no_identity);
    let bytes = GRANT_BYTES + names + RULE_BYTES * rules + RULE_TEXTS * text_bytes;
    (acl, bytes)
}

#[cfg(test)]
mod tests;
