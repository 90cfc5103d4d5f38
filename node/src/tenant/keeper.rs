//! [`TenantKeeper`]: the actor through which an open add-on's mounts, policies and tokens change, one at a time.
//!
//! Readers never ask it anything: they read the snapshots that it (and the change feed) renews. Its mailbox is small and
//! a full one is answered with 503, so a flood of changes cannot pile up in memory. It also sweeps: every
//! [`SWEEP_INTERVAL`] it removes the rows of tokens that ended and the traces of operations that are long done.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, AtomicResponse, Context, Handler, Message, WrapFuture};
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
use crate::store::key::{Pseudonym, Table};

/// Changes that may wait. Each is a store transaction of about a millisecond, so a full mailbox is a tenth of a second.
pub const MAILBOX: usize = 128;

/// How often ended tokens are removed. They are refused from the moment they end; this only frees their rows.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// How many ended tokens one sweep's transaction takes.
const SWEEP_BATCH: usize = 200;

/// How long traces of operations in doubt are kept: far longer than any client retries.
const TRACE_HOURS: u64 = 24;

/// The actor.
pub struct TenantKeeper {
    tenant: Arc<OpenTenant>,
    clock: Arc<dyn Clock>,
}

/// One change.
#[derive(Debug)]
pub enum Change {
    /// Adds a mount.
    Enable(Mount),
    /// Replaces the row of the mount with this id.
    Tune(Mount),
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
    pub fn new(tenant: Arc<OpenTenant>, clock: Arc<dyn Clock>) -> Self {
        Self { tenant, clock }
    }
}

impl Actor for TenantKeeper {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX);
        context.run_interval(SWEEP_INTERVAL, |keeper, context| {
            let tenant = Arc::clone(&keeper.tenant);
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
        let tenant = Arc::clone(&self.tenant);
        AtomicResponse::new(Box::pin(
            async move {
                // Whoever asked may have gone; the change is made all the same.
                let _ = reply.send(perform(&tenant, change).await);
            }
            .into_actor(self),
        ))
    }
}

async fn perform(tenant: &OpenTenant, change: Change) -> Result<(), Error> {
    match change {
        Change::Enable(mount) => change_mounts(tenant, |mounts| enable(mounts, &mount)).await,
        Change::Tune(mount) => {
            change_mounts(tenant, |mounts| {
                mounts
                    .iter_mut()
                    .filter(|row| row.id == mount.id)
                    .for_each(|row| row.clone_from(&mount));
                Ok(())
            })
            .await
        }
        Change::Disable(path) => disable(tenant, &path).await,
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
    let mounts = tenant
        .view()
        .run(async |rows| {
            let mut mounts = read_mounts(rows).await?;
            change(&mut mounts)?;
            write_mounts(rows, &mounts)?;
            Ok(mounts)
        })
        .await?;
    tenant.publish_mounts(&mounts)
}

async fn disable(tenant: &OpenTenant, path: &str) -> Result<(), Error> {
    let mounts = tenant
        .view()
        .run(async |rows| {
            let mut mounts = read_mounts(rows).await?;
            if let Some(position) = mounts.iter().position(|mount| mount.path == path) {
                let mount = mounts.remove(position);
                rows.of(mount_scope(tenant.view(), &mount))
                    .delete_everything();
                write_mounts(rows, &mounts)?;
            }
            Ok(mounts)
        })
        .await?;
    tenant.publish_mounts(&mounts)
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

/// Removes what is over: ended tokens, and traces of operations that nobody will ask about again.
async fn sweep(tenant: &OpenTenant, now: Timestamp) -> Result<(), Error> {
    sweep_tokens(tenant, now, SWEEP_BATCH).await?;
    let hour = u64::try_from(now.unix_seconds() / 3600).unwrap_or(0);
    let mounts = tenant.mounts();
    tenant
        .view()
        .run(async |rows| {
            rows.delete_numbers_before(Table::Idempotency, hour.saturating_sub(TRACE_HOURS));
            for mounted in mounts.iter() {
                rows.of(mount_scope(tenant.view(), &mounted.mount))
                    .delete_numbers_before(Table::Idempotency, hour.saturating_sub(TRACE_HOURS));
            }
            Ok(())
        })
        .await
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

    use super::*;
    use crate::auth::token::entry::{LifetimeLimits, TokenEntry};
    use crate::barrier::testing::tenant_view;
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
}
