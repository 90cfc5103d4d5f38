//! [`SealHandle`]: how the rest of the program talks to an add-on's seal. Cheap to clone; the status is a snapshot and
//! never waits for anybody.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, ArbiterHandle};
use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::actor::{Command, Reply, SealActor};
use super::gate::Gate;
use super::init::Initialized;
use super::limit::{TryLimiter, TryLimits};
use super::quorum::Quorum;
use super::share::Share;
use super::shell::Shell;
use super::status::SealStatus;
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
        }
    }
}

/// An add-on's seal. Clones share one address, because actix grants each address a mailbox slot of its own, which
/// would make the mailbox unbounded.
#[derive(Clone)]
pub struct SealHandle(Arc<Inner>);

struct Inner {
    address: Addr<SealActor>,
    status: Arc<ArcSwap<SealStatus>>,
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
        let clock = Arc::clone(&parts.clock);
        let limiter = Mutex::new(TryLimiter::new(parts.settings.tries));
        let shell = Shell::start(parts).await?;
        let status = shell.published();
        let address = SealActor::start(arbiter, shell);
        Ok(Self(Arc::new(Inner {
            address,
            status,
            clock,
            limiter,
        })))
    }

    /// The status as last published.
    pub fn status(&self) -> Arc<SealStatus> {
        self.0.status.load_full()
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

    /// Gives a share, as a user at `source` typed it.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`] from too busy a source; [`Error::Invalid`] for what is no share of this add-on now;
    /// or why it did not open although there were enough.
    pub async fn submit(&self, text: &str, source: IpAddr) -> Result<Arc<SealStatus>, Error> {
        let now = self.0.clock.since_boot();
        self.0.limiter.lock().take(source, now)?;
        let share = Share::parse(text)?;
        let counted = self.ask(|reply| Command::Submit(share, reply)).await?;
        if counted {
            self.0.limiter.lock().give_back(source, now);
        }
        Ok(self.status())
    }

    /// Forgets the shares given so far.
    ///
    /// # Errors
    /// [`Error::Invalid`] with Vault's text when the add-on is open.
    pub async fn reset(&self) -> Result<Arc<SealStatus>, Error> {
        self.ask(Command::Reset).await?;
        Ok(self.status())
    }

    /// Seals the add-on. `Ok` means that the raised epoch is committed. Sealing twice is no error.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the keys are dropped but the store could not be told yet.
    pub async fn seal(&self) -> Result<(), Error> {
        self.ask(Command::Seal).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Error> {
        ask(&self.0.address, command).await?
    }
}
