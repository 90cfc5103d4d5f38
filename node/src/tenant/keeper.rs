//! [`TenantKeeper`]: the actor through which an open add-on's mounts, policies and tokens change, one at a time.
//!
//! Readers never ask it anything: they read the snapshots that it (and the change feed) renews. Its mailbox is small and
//! a full one is answered with 503, so a flood of changes cannot pile up in memory. It also sweeps: every
//! [`SWEEP_INTERVAL`] it removes the rows of tokens that ended and the traces of operations that are long done.

use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::{
    Actor, ActorContext, Addr, AsyncContext, AtomicResponse, Context, Handler, Message, WrapFuture,
};
use tokio::sync::oneshot;

use super::mount::{EngineKind, MAX_MOUNTS, Mount, refuse_conflict};
use super::open::{OpenTenant, mount_scope, read_mounts, write_mounts};
use crate::actor::ask;
use crate::auth::policies;
use crate::auth::policy::PolicyName;
use crate::auth::token::tree;
use crate::barrier::Rows;
use crate::clock::{Clock, Timestamp};
use crate::engines::kv::plain::delete_cubbyhole;
use crate::error::Error;
use crate::id::MountId;
use crate::rng::OsRandom;
use crate::seal::rotate;
use crate::store::key::{Part, Pseudonym, Scope, Table};

/// Changes that may wait. Each is a store transaction of about a millisecond, so a full mailbox is a tenth of a second.
pub const MAILBOX: usize = 128;

/// How often ended tokens are removed. They are refused from the moment they end; this only frees their rows.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// How many ended tokens one sweep's transaction takes.
const SWEEP_BATCH: usize = 200;

/// How long traces of operations in doubt are kept: far longer than any client retries.
const TRACE_HOURS: u64 = 24;

/// The actor. It does not keep the add-on open: an actor with a timer outlives its last address, and keys must not
/// outlive a seal.
pub struct TenantKeeper {
    tenant: Weak<OpenTenant>,
    clock: Arc<dyn Clock>,
}

/// How a mount is to be different.
pub type Tuning = Box<dyn Fn(&mut Mount) -> Result<(), Error> + Send>;

/// One change.
pub enum Change {
    /// Adds a mount.
    Enable(Mount),
    /// Changes the mount with this id as it stands when its turn comes, so that two changes do not undo each other.
    Tune(MountId, Tuning),
    /// Removes the mount at this path with all its data. One that is not there is no error.
    Disable(String),
    /// Writes a policy, known to parse.
    WritePolicy(PolicyName, String),
    /// Removes a policy.
    DeletePolicy(PolicyName),
    /// Revokes a token with all its descendants.
    Revoke(Pseudonym),
    /// Revokes a token and makes its children orphans.
    RevokeOrphan(Pseudonym),
}

/// Asks the keeper for a change.
#[derive(Message)]
#[rtype(result = "()")]
struct Apply(Change, oneshot::Sender<Result<(), Error>>);

/// Sends a change and waits until it is durable and visible here.
///
/// # Errors
/// [`Error::Unavailable`] when the mailbox is full or the add-on closed meanwhile, else what the change says.
pub async fn apply(keeper: &Addr<TenantKeeper>, change: Change) -> Result<(), Error> {
    ask(keeper, |reply| Apply(change, reply)).await?
}

impl TenantKeeper {
    /// The keeper of an open add-on.
    pub fn new(tenant: &Arc<OpenTenant>, clock: Arc<dyn Clock>) -> Self {
        Self {
            tenant: Arc::downgrade(tenant),
            clock,
        }
    }
}

impl Actor for TenantKeeper {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX);
        context.run_interval(SWEEP_INTERVAL, |keeper, context| {
            let Some(tenant) = keeper.tenant.upgrade() else {
                context.stop();
                return;
            };
            let now = keeper.clock.now();
            context.wait(
                async move {
                    if let Err(error) = sweep(&tenant, now).await {
                        tracing::warn!(%error, "the sweep of ended tokens stopped");
                    }
                }
                .into_actor(keeper),
            );
        });
    }
}

impl Handler<Apply> for TenantKeeper {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, Apply(change, reply): Apply, _: &mut Self::Context) -> Self::Result {
        let tenant = self.tenant.upgrade();
        let now = self.clock.now();
        AtomicResponse::new(Box::pin(
            async move {
                let done = match tenant {
                    Some(tenant) => perform(&tenant, change, now).await,
                    None => Err(Error::Sealed),
                };
                // Whoever asked may have gone; the change is made all the same.
                let _ = reply.send(done);
            }
            .into_actor(self),
        ))
    }
}

async fn perform(tenant: &OpenTenant, change: Change, now: Timestamp) -> Result<(), Error> {
    match change {
        Change::Enable(mount) => change_mounts(tenant, |mounts| enable(mounts, &mount)).await,
        Change::Tune(id, tuning) => {
            change_mounts(tenant, |mounts| {
                mounts
                    .iter_mut()
                    .filter(|mount| mount.id == id)
                    .try_for_each(&tuning)
            })
            .await
        }
        Change::Disable(path) => disable(tenant, &path, now).await,
        Change::WritePolicy(name, text) => {
            tenant
                .view()
                .run(async |rows| policies::write(rows, &name, &text).await)
                .await?;
            tenant.access().forget_all();
            Ok(())
        }
        Change::DeletePolicy(name) => {
            tenant
                .view()
                .run(async |rows| policies::delete(rows, &name).await)
                .await?;
            tenant.access().forget_all();
            Ok(())
        }
        Change::Revoke(token) => revoke(tenant, vec![token]).await,
        Change::RevokeOrphan(token) => {
            tenant
                .view()
                .run(async |rows| {
                    forget_cubbyholes(tenant, rows, &[token]);
                    tree::revoke_orphan(rows, token).await
                })
                .await?;
            tenant.access().forget(token);
            Ok(())
        }
    }
}

fn enable(mounts: &mut Vec<Mount>, mount: &Mount) -> Result<(), Error> {
    // An earlier round of this very call may have committed.
    if mounts.iter().any(|row| row.id == mount.id) {
        return Ok(());
    }
    if mounts.len() >= MAX_MOUNTS {
        return Err(Error::bad_request(format!(
            "an add-on can have at most {MAX_MOUNTS} mounts"
        )));
    }
    refuse_conflict(mounts, &mount.path)?;
    mounts.push(mount.clone());
    Ok(())
}

/// Changes the mount table by `change` and publishes the result.
async fn change_mounts(
    tenant: &OpenTenant,
    mut change: impl FnMut(&mut Vec<Mount>) -> Result<(), Error>,
) -> Result<(), Error> {
    let (mounts, stamp) = tenant
        .view()
        .run_stamped(async |rows| {
            let mut mounts = read_mounts(rows).await?;
            change(&mut mounts)?;
            write_mounts(rows, &mounts)?;
            Ok(mounts)
        })
        .await?;
    tenant.publish_mounts(&mounts, stamp)
}

/// Removes a mount with its rows. Requests under way may still write rows for a moment that nobody will ever read; the
/// mount is remembered as retired, so that the sweep removes those too.
async fn disable(tenant: &OpenTenant, path: &str, now: Timestamp) -> Result<(), Error> {
    // By its id: a commit in doubt is run again, and by then there may be another mount at the path.
    let id = match tenant.mounts().get(path) {
        Some(mounted) => mounted.mount.id,
        None => return Ok(()),
    };
    let address = [
        Part::Number(hour(now)),
        Part::Name(Pseudonym(*id.as_bytes())),
    ];
    let (mounts, stamp) = tenant
        .view()
        .run_stamped(async |rows| {
            let mut mounts = read_mounts(rows).await?;
            mounts.retain(|mount| mount.id != id);
            rows.of(Scope::Mount(tenant.view().unsealed().tenant(), id))
                .delete_everything();
            rows.put(Table::RetiredMount, &address, &[])?;
            write_mounts(rows, &mounts)?;
            Ok(mounts)
        })
        .await?;
    tenant.publish_mounts(&mounts, stamp)
}

/// Removes what was written to mounts after they were removed, an hour later: no request takes that long.
async fn clear_retired_mounts(tenant: &OpenTenant, now: Timestamp) -> Result<(), Error> {
    let this_hour = hour(now);
    tenant
        .view()
        .run(async |rows| {
            let retired = rows
                .scan(Table::RetiredMount, &[], None, SWEEP_BATCH)
                .await?;
            for (address, _) in retired {
                let [Part::Number(retired_hour), Part::Name(id)] = address.as_slice() else {
                    return Err(Error::Corrupt("a retired mount's row".into()));
                };
                if retired_hour + 1 < this_hour {
                    let mount = MountId::from_bytes(id.0);
                    rows.of(Scope::Mount(tenant.view().unsealed().tenant(), mount))
                        .delete_everything();
                    rows.delete(Table::RetiredMount, &address);
                }
            }
            Ok(())
        })
        .await
}

/// Revokes tokens with their descendants, in as many transactions as it takes.
async fn revoke(tenant: &OpenTenant, tokens: Vec<Pseudonym>) -> Result<(), Error> {
    let mut pending = tokens;
    while !pending.is_empty() {
        let (rest, removed) = tenant
            .view()
            .run(async |rows| {
                let mut rest = pending.clone();
                let removed = tree::revoke_batch(rows, &mut rest).await?;
                forget_cubbyholes(tenant, rows, &removed);
                Ok((rest, removed))
            })
            .await?;
        for token in removed {
            tenant.access().forget(token);
        }
        pending = rest;
    }
    Ok(())
}

/// A cubbyhole ends with its token.
fn forget_cubbyholes(tenant: &OpenTenant, rows: &mut Rows<'_>, tokens: &[Pseudonym]) {
    for mounted in tenant.mounts().iter() {
        if mounted.mount.kind == EngineKind::Cubbyhole {
            let mut rows = rows.of(mount_scope(tenant.view(), &mounted.mount));
            for token in tokens {
                delete_cubbyhole(&mut rows, *token);
            }
        }
    }
}

/// Removes what is over: ended tokens, and traces of operations that nobody will ask about again. Adds a data key when the
/// newest has had its time.
async fn sweep(tenant: &OpenTenant, now: Timestamp) -> Result<(), Error> {
    sweep_tokens(tenant, now, SWEEP_BATCH).await?;
    clear_retired_mounts(tenant, now).await?;
    rotate::tend(tenant.view(), &OsRandom, now).await?;
    let mounts = tenant.mounts();
    let bound = hour(now).saturating_sub(TRACE_HOURS);
    tenant
        .view()
        .run(async |rows| {
            rows.delete_numbers_before(Table::Idempotency, bound);
            for mounted in mounts.iter() {
                rows.of(mount_scope(tenant.view(), &mounted.mount))
                    .delete_numbers_before(Table::Idempotency, bound);
            }
            Ok(())
        })
        .await
}

fn hour(now: Timestamp) -> u64 {
    u64::try_from(now.unix_seconds() / 3600).unwrap_or(0)
}

/// Removes all ended tokens, in transactions of `batch` rows of their index.
async fn sweep_tokens(tenant: &OpenTenant, now: Timestamp, batch: usize) -> Result<(), Error> {
    loop {
        let expired = tenant
            .view()
            .run(async |rows| tree::expired(rows, now, batch).await)
            .await?;
        revoke(tenant, expired.tokens).await?;
        if !expired.more {
            return Ok(());
        }
        // A store on this machine may answer without a pause.
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use actix::Arbiter;
    use futures_util::future::join_all;

    use super::*;
    use crate::auth::token::entry::{LifetimeLimits, TokenEntry};
    use crate::barrier::testing::tenant_view;
    use crate::clock::SystemClock;
    use crate::store::key::Part;

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

    #[actix::test]
    async fn a_sweep_goes_on_where_tokens_that_live_or_are_gone_are_in_between() {
        let view = tenant_view().await;
        view.run(async |rows| crate::tenant::open::write_mounts(rows, &[]))
            .await
            .unwrap();
        let limits = LifetimeLimits {
            default_ttl_s: 1,
            max_ttl_s: 1,
        };
        let arbiter = Arbiter::current();
        let tenant = OpenTenant::load(view, [0; 8], limits, arbiter)
            .await
            .unwrap();
        let long_ago = |hours: i64| Timestamp::from_unix_seconds(NOW.unix_seconds() - 3600 * hours);
        tenant
            .view()
            .run(async |rows| {
                for number in 0..20_u8 {
                    let mut entry = TokenEntry::root(format!("accessor {number}"), NOW);
                    entry.expires = Some(long_ago(30 - i64::from(number)));
                    let token = Pseudonym([number; 16]);
                    tree::insert(rows, token, &entry)?;
                    if number % 2 == 1 {
                        // As if its row of the index were an old one.
                        rows.delete(Table::Token, &[Part::Name(token)]);
                    }
                }
                let mut lives = TokenEntry::root("lives".to_owned(), NOW);
                lives.expires = Some(long_ago(-2));
                tree::insert(rows, Pseudonym([99; 16]), &lives)
            })
            .await
            .unwrap();
        sweep_tokens(&tenant, NOW, 3).await.unwrap();
        let left = async |table| {
            let view = tenant.view();
            let rows = view.run(async |rows| rows.scan(table, &[], None, 100).await);
            rows.await.unwrap().len()
        };
        assert_eq!(left(Table::TokenExpiry).await, 1);
        assert_eq!(left(Table::Token).await, 1);
    }

    #[actix::test]
    async fn a_full_mailbox_is_told_at_once_and_stays_bounded() {
        let view = tenant_view().await;
        view.run(async |rows| crate::tenant::open::write_mounts(rows, &[]))
            .await
            .unwrap();
        let limits = LifetimeLimits {
            default_ttl_s: 1,
            max_ttl_s: 1,
        };
        let tenant = OpenTenant::load(view, [0; 8], limits, Arbiter::current())
            .await
            .unwrap();
        let tenant = Arc::new(tenant);
        let keeper = TenantKeeper::new(&tenant, Arc::new(SystemClock)).start();
        let change = || apply(&keeper, Change::Disable("none/".to_owned()));
        change().await.unwrap();
        // All are sent before the actor, on this same thread, gets to handle one.
        let results = join_all((0..2 * MAILBOX).map(|_| change())).await;
        let refused = results
            .iter()
            .filter(|result| matches!(result, Err(Error::Unavailable(_))))
            .count();
        let done = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(refused + done, 2 * MAILBOX);
        assert!(refused >= MAILBOX - 2, "{refused} refused");
        change().await.unwrap();
    }
}
