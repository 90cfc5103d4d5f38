//! [`SealHandle`]: how the rest of the program talks to an add-on's seal. Cheap to clone; the status is a snapshot and
//! never waits for anybody.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, ArbiterHandle};
use parking_lot::Mutex;

use super::acknowledge::PATIENCE;
use super::act::Outcome;
use super::actor::{Command, Reply, SealActor, Sealing, Submission};
use super::attempt::{Nonce, Purpose};
use super::counters::SealCounters;
use super::gate::Gate;
use super::init::Initialized;
use super::intent::IntentFiles;
use super::limit::{TryLimiter, TryLimits};
use super::peers::{Peers, SealedElsewhere};
use super::quorum::Quorum;
use super::share::Share;
use super::shell::{Shared, Shell};
use super::state::Parameters;
use super::status::{Progress, SealStatus};
use crate::actor::ask;
use crate::clock::Clock;
use crate::error::Error;
use crate::id::TenantId;
use crate::rng::OsRandom;
use crate::store::Store;

/// What a seal is made of.
pub struct SealParts {
    /// Whose seal.
    pub tenant: TenantId,
    /// Where its rows are.
    pub store: Arc<dyn Store>,
    /// What it opens.
    pub gate: Arc<dyn Gate>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where keys come from.
    pub random: OsRandom,
    /// The other nodes.
    pub peers: Arc<dyn Peers>,
    /// Where seals are kept that the store could not be told; `None` loses them in a restart.
    pub intents: Option<IntentFiles>,
    /// What is counted.
    pub counters: Arc<SealCounters>,
    /// Its times and limits.
    pub settings: SealSettings,
}

/// Times and limits of a seal.
#[derive(Clone, Copy, Debug)]
pub struct SealSettings {
    /// How long an attempt lives from its first share.
    pub attempt_ttl: Duration,
    /// How long the store, or the add-on's loading from it, may take before it counts as unavailable. Bounds how long
    /// a seal waits behind an unseal.
    pub store_timeout: Duration,
    /// After how long a seal that is not yet durable is tried again.
    pub retry_interval: Duration,
    /// How many shares a source may try.
    pub tries: TryLimits,
    /// Whether this node gives keys to nodes that restart, and takes them when it has restarted itself.
    pub handoff: bool,
}

/// An hour is long enough to gather three people. Five seconds is FoundationDB's transaction limit, so nothing that
/// takes longer would have committed.
impl Default for SealSettings {
    fn default() -> Self {
        Self {
            attempt_ttl: Duration::from_secs(60 * 60),
            store_timeout: Duration::from_secs(5),
            retry_interval: Duration::from_secs(1),
            tries: TryLimits::default(),
            handoff: true,
        }
    }
}

/// What came of a share.
#[derive(Debug)]
pub struct Given {
    /// Whether the share was new.
    pub counted: bool,
    /// How far the ceremony is now.
    pub progress: Progress,
    /// What the act says, when it was done with this share.
    pub outcome: Option<Outcome>,
}

/// An add-on's seal. Clones share one address, because actix grants each address a mailbox slot of its own, which
/// would make the mailbox unbounded.
#[derive(Clone)]
pub struct SealHandle(Arc<Inner>);

struct Inner {
    tenant: TenantId,
    address: Addr<SealActor>,
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    gate: Arc<dyn Gate>,
    clock: Arc<dyn Clock>,
    limiter: Mutex<TryLimiter>,
}

impl SealHandle {
    /// Reads the add-on's rows and starts its seal, sealed, in `arbiter`. The actor ends when the last handle is
    /// dropped, and closes the gate then.
    ///
    /// # Errors
    /// What the store says, or [`Error::Corrupt`] when the rows are damaged.
    pub async fn start(arbiter: &ArbiterHandle, parts: SealParts) -> Result<Self, Error> {
        let (tenant, store) = (parts.tenant, Arc::clone(&parts.store));
        let (gate, clock) = (Arc::clone(&parts.gate), Arc::clone(&parts.clock));
        let limiter = Mutex::new(TryLimiter::new(parts.settings.tries));
        let shell = Shell::start(parts).await?;
        let shared = shell.shared();
        let address = SealActor::start(arbiter, shell);
        Ok(Self(Arc::new(Inner {
            tenant,
            address,
            shared,
            store,
            gate,
            clock,
            limiter,
        })))
    }

    /// The status as last published; sealed as soon as it is, even if the actor is busy.
    pub fn status(&self) -> Arc<SealStatus> {
        let status = Arc::clone(&self.0.shared.published.load().seal);
        if status.sealed || self.0.shared.watch.lock().is_open() {
            return status;
        }
        Arc::new(SealStatus {
            sealed: true,
            ..SealStatus::clone(&status)
        })
    }

    /// Whether the actor is there. When it is not, the add-on is closed, and a new seal has to be started.
    pub fn connected(&self) -> bool {
        self.0.address.connected()
    }

    /// Initialises the add-on, which stays sealed.
    ///
    /// # Errors
    /// [`Error::Invalid`] with Vault's text when it is initialised already, or what the store says.
    pub async fn init(&self, quorum: Quorum) -> Result<Initialized, Error> {
        self.ask(|reply| Command::Init(quorum, reply)).await
    }

    /// Gives a share to unseal with, as a user at `source` typed it.
    ///
    /// # Errors
    /// As [`SealHandle::give`]; or why it did not open although there were enough.
    pub async fn submit(&self, text: &str, source: IpAddr) -> Result<Arc<SealStatus>, Error> {
        self.give(Purpose::Unseal, text, None, source).await?;
        Ok(self.status())
    }

    /// Forgets the shares given so far to unseal with.
    ///
    /// # Errors
    /// [`Error::Invalid`] with Vault's text when the add-on is open.
    pub async fn reset(&self) -> Result<Arc<SealStatus>, Error> {
        self.cancel(Purpose::Unseal).await?;
        Ok(self.status())
    }

    /// How far the ceremony of another purpose than the unseal is.
    pub fn progress(&self, purpose: Purpose) -> Progress {
        let published = self.0.shared.published.load();
        published.others.get(&purpose).cloned().unwrap_or_default()
    }

    /// Starts an attempt at something else than an unseal. What `parameters` say is between the route and the
    /// [act](super::act); they are checked by the route, because they are replicated before the act sees them.
    ///
    /// # Errors
    /// [`Error::Sealed`], or [`Error::Invalid`] when an attempt is on its way.
    pub async fn start_attempt(
        &self,
        purpose: Purpose,
        parameters: Parameters,
    ) -> Result<Progress, Error> {
        let start = |reply| Command::Start(purpose, parameters, reply);
        self.ask(start).await?.await;
        Ok(self.progress(purpose))
    }

    /// Ends the attempt at `purpose`, if one is on its way, and forgets its shares.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when too much is waiting.
    pub async fn cancel(&self, purpose: Purpose) -> Result<(), Error> {
        let cancel = |reply| Command::Cancel(purpose, reply);
        self.ask(cancel).await?.await;
        Ok(())
    }

    /// Gives a share, as a user at `source` typed it, for the attempt with this nonce if one is named.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`] from too busy a source; [`Error::Invalid`] for what is no share of this add-on now,
    /// or another nonce; or what the act says, which may have had enough shares.
    pub async fn give(
        &self,
        purpose: Purpose,
        text: &str,
        nonce: Option<Nonce>,
        source: IpAddr,
    ) -> Result<Given, Error> {
        let now = self.0.clock.since_boot();
        self.0.limiter.lock().take(source, now)?;
        let submission = Submission {
            purpose,
            share: Share::parse(text)?,
            nonce,
        };
        let taken = self.ask(|reply| Command::Submit(submission, reply)).await?;
        if taken.counted {
            self.0.limiter.lock().give_back(source, now);
        }
        taken.told.await;
        Ok(Given {
            counted: taken.counted,
            progress: self.progress(purpose),
            outcome: taken.outcome,
        })
    }

    /// Reads a share that is not for a ceremony, as a user at `source` typed it.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`] from too busy a source, [`Error::Invalid`] for what is no share.
    pub fn parse_share(&self, text: &str, source: IpAddr) -> Result<Share, Error> {
        let now = self.0.clock.since_boot();
        self.0.limiter.lock().take(source, now)?;
        Share::parse(text)
    }

    /// Gives a try back, because the share was a good one.
    pub fn share_counted(&self, source: IpAddr) {
        let now = self.0.clock.since_boot();
        self.0.limiter.lock().give_back(source, now);
    }

    /// Reads the store again, of which the caller knows that it changed.
    ///
    /// # Errors
    /// What the store says.
    pub async fn reread(&self) -> Result<(), Error> {
        self.ask(Command::Refresh).await
    }

    /// Seals the add-on, on all nodes. `Ok` means that the raised epoch is committed. Sealing twice is no error.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the keys are dropped but the store could not be told yet.
    pub async fn seal(&self) -> Result<(), Error> {
        // However busy the actor is: if there is no room for the command, it carries out the order it finds.
        {
            let mut watch = self.shared().watch.lock();
            if let Some(opening) = watch.opening() {
                watch.order(opening);
            }
            self.0.gate.close();
        }
        let Sealing {
            had_keys,
            committed,
            elsewhere,
        } = self.ask(Command::Seal).await?;
        // What is committed is not made more so by a node that is slow to answer.
        let patience = if committed.is_ok() && had_keys {
            PATIENCE
        } else {
            Duration::MAX
        };
        let elsewhere = tokio::time::timeout(patience, elsewhere);
        let elsewhere = elsewhere.await.unwrap_or_default();
        match committed {
            Ok(()) if had_keys || elsewhere.is_settled() => Ok(()),
            Err(_) if elsewhere.durable => Ok(()),
            outcome => Err(not_durable(outcome.err(), &elsewhere)),
        }
    }

    /// Whose seal it is.
    pub fn tenant(&self) -> TenantId {
        self.0.tenant
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    pub(super) fn gate(&self) -> &dyn Gate {
        self.0.gate.as_ref()
    }

    /// Tells the actor something that it finds out by itself later when it has no room now.
    pub(super) fn tell(&self, command: Command) {
        if self.0.address.try_send(command).is_err() {
            tracing::debug!(tenant = %self.0.tenant, "a seal has no room for what it was told");
        }
    }

    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, Error> {
        ask(&self.0.address, command).await?
    }
}

/// What the caller of a seal is told when it is not in the store.
fn not_durable(error: Option<Error>, elsewhere: &SealedElsewhere) -> Error {
    let (sealed, nodes) = (elsewhere.sealed + 1, elsewhere.nodes + 1);
    if let Some(error) = &error {
        tracing::warn!(%error, sealed, nodes, "a seal is not durable yet");
    }
    Error::Unavailable(match error {
        Some(_) => format!(
            "sealed on {sealed} of {nodes} nodes, not yet durable: the store does not answer; it is tried again until it does"
        ),
        None => format!(
            "sealed on {sealed} of {nodes} nodes: this node has no keys to seal with, and the others do not answer; try another node"
        ),
    })
}
