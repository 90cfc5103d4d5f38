//! [`ChangeFeed`]: the actor that follows the store's change feed and drops what other commits made out of date.
//!
//! It wakes when the store or another node tells of a change, and at least every half `staleness_max`. After each round it publishes
//! when the round's read was *sent*: up to that moment this node's caches are known to agree with the store. A cache that
//! was not confirmed within `staleness_max` serves nothing ([`Freshness::require`]).

mod freshness;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, Addr, ArbiterHandle, AsyncContext, AtomicResponse, Context, Handler,
    Message, WrapFuture,
};
use tokio::sync::oneshot;

use super::directory::Tenants;
use crate::clock::Clock;
use crate::error::Error;
use crate::store::change::Facet;
use crate::store::{Stamp, Store};

pub use self::freshness::Freshness;

/// How many changes are read in one go.
const PAGE_CHANGES: usize = 1000;

/// How long changes are kept at least: thousands of rounds.
const KEEP_CHANGES: Duration = Duration::from_secs(3600);

/// Requests for a round that may wait. They are coalesced by [`Freshness::require`], so few ever do.
const MAILBOX: usize = 64;

/// The actor.
pub struct ChangeFeed {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    tenants: Arc<Tenants>,
    freshness: Arc<Freshness>,
    seen: Stamp,
    /// What was seen when changes were last forgotten, and when that was, since boot.
    mark: (Stamp, Duration),
    /// When the last round that failed began, and why it did.
    failed: Option<(Duration, String)>,
}

/// Asks for a round that begins after a moment. The answer comes after it.
#[derive(Message)]
#[rtype(result = "()")]
struct CatchUp {
    asked: Duration,
    reply: Option<oneshot::Sender<Result<(), Error>>>,
}

impl CatchUp {
    fn asked(asked: Duration, reply: oneshot::Sender<Result<(), Error>>) -> Self {
        let reply = Some(reply);
        Self { asked, reply }
    }

    fn answer(self, result: Result<(), Error>) {
        if let Some(reply) = self.reply {
            // Whoever asked may have gone away.
            let _ = reply.send(result);
        }
    }
}

/// Tells the feed that another node committed a change: it does a round at once instead of finding out later. A hint, so
/// one that finds no room is dropped.
pub fn nudge(feed: &Addr<ChangeFeed>, clock: &dyn Clock) {
    let asked = clock.since_boot();
    if feed.try_send(CatchUp { asked, reply: None }).is_err() {
        tracing::debug!("a hint of a change was dropped");
    }
}

/// What came of a round: what was seen, and when the read was sent that confirms it.
type Round = Result<(Stamp, Duration), Error>;

impl ChangeFeed {
    /// Starts following the store from where it stands now. The caller has loaded `tenants` after `seen`.
    pub fn follow(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        tenants: Arc<Tenants>,
        freshness: Arc<Freshness>,
        seen: Stamp,
        arbiter: &ArbiterHandle,
    ) -> Addr<Self> {
        let feed = Self {
            mark: (seen, clock.since_boot()),
            store,
            clock,
            tenants,
            freshness,
            seen,
            failed: None,
        };
        Self::start_in_arbiter(arbiter, |_| feed)
    }

    /// Waits for a change or for half the allowed staleness, does a round, and so on.
    fn watch(&self, context: &mut Context<Self>) {
        let store = Arc::clone(&self.store);
        let seen = self.seen;
        let pause = self.freshness.staleness_max() / 2;
        context.spawn(
            async move {
                let waited = tokio::time::timeout(pause, store.wait_for_change(seen)).await;
                if matches!(waited, Ok(Err(_))) {
                    // A store that is down says so at once, again and again.
                    tokio::time::sleep(pause).await;
                }
            }
            .into_actor(self)
            .map(|(), feed, context| {
                let round = feed.round();
                context.wait(round.into_actor(feed).map(|ended, feed, context| {
                    // It is logged, and the next round tries again.
                    let _ = feed.finish(ended);
                    feed.trim(context);
                    feed.watch(context);
                }));
            }),
        );
    }

    /// Applies everything that was committed since the last round. Gives when it began, and what came of it.
    fn round(&self) -> impl Future<Output = (Duration, Round)> + 'static {
        let store = Arc::clone(&self.store);
        let tenants = Arc::clone(&self.tenants);
        let clock = Arc::clone(&self.clock);
        let mut seen = self.seen;
        let begun = clock.since_boot();
        let work = async move {
            loop {
                let started = clock.since_boot();
                let changes = store.changes_after(seen, PAGE_CHANGES).await?;
                // What is read again is read as it is now, so once for a page is enough.
                let mut done = HashSet::new();
                for change in &changes {
                    if done.insert(change.record.as_slice()) {
                        apply(&tenants, &change.record).await?;
                    }
                }
                if let Some(last) = changes.last() {
                    seen = last.stamp;
                }
                if changes.len() < PAGE_CHANGES {
                    return Ok((seen, started));
                }
            }
        };
        async move { (begun, work.await) }
    }

    fn finish(&mut self, (begun, round): (Duration, Round)) -> Result<(), Error> {
        match round {
            Ok((seen, started)) => {
                self.seen = seen;
                self.freshness.confirm(started);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "the change feed could not be read");
                self.failed = Some((begun, error.to_string()));
                Err(error)
            }
        }
    }

    /// What is known of a round that began after `asked`, if there was one. A failure counts: were each question given
    /// a round of its own while the store does not answer, the last would wait for as many time-outs as there are
    /// questions.
    fn outcome_since(&self, asked: Duration) -> Option<Result<(), Error>> {
        if self.freshness.confirmed() > asked {
            return Some(Ok(()));
        }
        let (begun, why) = self.failed.as_ref()?;
        (*begun >= asked).then(|| Err(Error::Unavailable(why.clone())))
    }

    /// Once in a while, forgets what was seen a while ago: every node reads a change within seconds or not at all.
    fn trim(&mut self, context: &mut Context<Self>) {
        let now = self.clock.since_boot();
        let (seen_then, then) = self.mark;
        if now.saturating_sub(then) < KEEP_CHANGES {
            return;
        }
        self.mark = (self.seen, now);
        let store = Arc::clone(&self.store);
        context.spawn(
            async move {
                if let Err(error) = store.trim_changes(seen_then).await {
                    tracing::warn!(%error, "old changes could not be forgotten");
                }
            }
            .into_actor(self),
        );
    }
}

impl Actor for ChangeFeed {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX);
        self.watch(context);
    }
}

impl Handler<CatchUp> for ChangeFeed {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, wanted: CatchUp, _: &mut Self::Context) -> Self::Result {
        if let Some(known) = self.outcome_since(wanted.asked) {
            wanted.answer(known);
            return AtomicResponse::new(Box::pin(async {}.into_actor(self)));
        }
        let round = self.round();
        AtomicResponse::new(Box::pin(round.into_actor(self).map(|ended, feed, _| {
            wanted.answer(feed.finish(ended));
        })))
    }
}

/// Applies one change. Trouble with one add-on is its own: the feed goes on, and the add-on is closed rather than served
/// from a state that is out of date.
///
/// # Errors
/// What the store says, when it does not answer; the change comes up again in the next round.
async fn apply(tenants: &Tenants, record: &[u8]) -> Result<(), Error> {
    let (id, facet) = match Facet::decode(record) {
        Ok(change) => change,
        Err(error) => {
            tracing::error!(%error, "a change is left out");
            return Ok(());
        }
    };
    let tenant = tenants.by_id(id);
    if let (Facet::RevokedBiscuit(part), Some(tenant)) = (facet, &tenant) {
        tenant.note_revoked(part);
        return Ok(());
    }
    let opened = tenant.as_ref().and_then(|tenant| tenant.opened());
    let applied = match (facet, opened) {
        (Facet::AddOn, _) => tenants.renew(id).await,
        (Facet::Seal, _) => match &tenant {
            Some(tenant) => tenant.seal().follow_store().await,
            None => Ok(()),
        },
        (_, Some(opened)) => opened.tenant.apply(facet).await,
        (_, None) => Ok(()),
    };
    match (applied, tenant) {
        (Ok(()), _) => Ok(()),
        (Err(error @ (Error::Unavailable(_) | Error::Conflict)), _) => Err(error),
        (Err(error), tenant) => {
            tracing::error!(%id, %error, "an add-on is closed");
            if let Some(tenant) = tenant {
                tenant.close();
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use actix::Arbiter;
    use futures_util::future::join_all;

    use super::*;
    use crate::actor::ask;
    use crate::auth::token::entry::LifetimeLimits;
    use crate::clock::{ManualClock, Timestamp};
    use crate::rng::OsRandom;
    use crate::seal::SealSettings;
    use crate::store::embedded::EmbeddedStore;
    use crate::store::transact;
    use crate::tenant::directory::TenantSettings;
    use crate::tenant::registry;

    const STALENESS_MAX: Duration = Duration::from_millis(500);

    struct World {
        store: Arc<dyn Store>,
        clock: Arc<ManualClock>,
        tenants: Arc<Tenants>,
        freshness: Arc<Freshness>,
        feed: Addr<ChangeFeed>,
    }

    async fn world() -> World {
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::in_memory().unwrap());
        let clock = Arc::new(ManualClock::at(Timestamp(1)));
        let settings = TenantSettings {
            limits: LifetimeLimits {
                default_ttl_s: 1,
                max_ttl_s: 1,
            },
            seal: SealSettings::default(),
            keepers: Arbiter::current(),
            peers: Arc::new(crate::seal::peers::Alone),
            intents: None,
            counters: Arc::default(),
        };
        let tenants = Tenants::load(Arc::clone(&store), clock.clone(), settings);
        let tenants = Arc::new(tenants.await.unwrap());
        let freshness = Arc::new(Freshness::new(clock.clone(), STALENESS_MAX));
        let feed = ChangeFeed::follow(
            Arc::clone(&store),
            clock.clone(),
            Arc::clone(&tenants),
            Arc::clone(&freshness),
            Stamp::default(),
            &Arbiter::current(),
        );
        World {
            store,
            clock,
            tenants,
            freshness,
            feed,
        }
    }

    #[actix::test]
    async fn an_addon_made_elsewhere_appears() {
        let world = world().await;
        let now = Timestamp(1);
        let made = registry::create(world.store.as_ref(), &OsRandom, now, "a", "o").await;
        world.clock.advance(2 * STALENESS_MAX);
        assert!(!world.freshness.is_fresh());
        world.freshness.require(&world.feed).await.unwrap();
        assert!(world.freshness.is_fresh());
        assert!(world.tenants.by_id(made.unwrap().id).is_some());
    }

    #[actix::test]
    async fn whoever_catches_up_sees_the_newest_although_the_caches_are_fresh() {
        let world = world().await;
        world.clock.advance(2 * STALENESS_MAX);
        world.freshness.require(&world.feed).await.unwrap();
        let now = Timestamp(1);
        let made = registry::create(world.store.as_ref(), &OsRandom, now, "a", "o").await;
        world.clock.advance(Duration::from_millis(1));
        assert!(world.freshness.is_fresh());
        world.freshness.catch_up(&world.feed).await.unwrap();
        assert!(world.tenants.by_id(made.unwrap().id).is_some());
    }

    #[actix::test]
    async fn a_nudged_feed_looks_at_once() {
        let world = world().await;
        world.clock.advance(2 * STALENESS_MAX);
        let before = world.freshness.confirmed();
        nudge(&world.feed, world.clock.as_ref());
        for _ in 0..100 {
            if world.freshness.confirmed() > before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the feed did not look");
    }

    #[actix::test]
    async fn a_record_that_means_nothing_stops_nobody() {
        let world = world().await;
        transact(world.store.as_ref(), async |transaction, _| {
            transaction.append_change(b"nonsense");
            Ok(())
        })
        .await
        .unwrap();
        let now = Timestamp(1);
        let made = registry::create(world.store.as_ref(), &OsRandom, now, "a", "o").await;
        world.clock.advance(2 * STALENESS_MAX);
        world.freshness.require(&world.feed).await.unwrap();
        assert!(world.tenants.by_id(made.unwrap().id).is_some());
    }

    #[actix::test]
    async fn a_full_mailbox_is_told_at_once_and_stays_bounded() {
        let world = world().await;
        world.clock.advance(2 * STALENESS_MAX);
        world.freshness.require(&world.feed).await.unwrap();
        world.clock.advance(2 * STALENESS_MAX);
        let asked = world.clock.since_boot();
        let round = |_| ask(&world.feed, |reply| CatchUp::asked(asked, reply));
        let rounds = (0..2 * MAILBOX).map(round);
        let results = join_all(rounds).await;
        let refused = results
            .iter()
            .filter(|result| matches!(result, Err(Error::Unavailable(_))))
            .count();
        assert!(refused >= MAILBOX - 2, "{refused} refused");
        assert!(results.iter().any(Result::is_ok));
    }
}
