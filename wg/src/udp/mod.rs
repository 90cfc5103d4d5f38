//! [`UdpTransport`]: the [`Transport`] over WireGuard and UDP.
//!
//! Owns the [actor](actor) that drives a [`Device`], and the ways in and out of it, each with a bound: the mailbox
//! ([`MAILBOX`]), datagrams on their way out ([`OUTGOING`]) and messages that nobody has taken yet ([`INBOX`]). What
//! overflows is refused (sending) or dropped and counted (receiving). Needs no privilege unless an interface is asked for.

mod actor;
mod socket;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use actix::prelude::{Addr, ArbiterHandle, SendError as MailboxError};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::clock::Clock;
use crate::device::{Device, RosterError, Settings};
use crate::interface::{Interface, InterfaceError};
use crate::key::PublicKey;
use crate::peer::{Peer, PeerName};
use crate::transport::{Closed, Received, SendError, Transport, TransportStats};
use actor::{SendMessage, SetPeers, TunnelActor};
use socket::Socket;

/// How many messages may wait to be sealed. Sealing one of usual size takes some microseconds.
pub const MAILBOX: usize = 256;

/// How many datagrams may wait for the socket: some milliseconds of a fast network.
pub const OUTGOING: usize = 4096;

/// How many messages may wait to be taken out; of the longest ones these are 16 MiB.
pub const INBOX: usize = 256;

/// The transport could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The UDP port.
    #[error("cannot listen for WireGuard on UDP {address}: {source}")]
    Bind {
        /// The configured address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The peers.
    #[error(transparent)]
    Peers(#[from] RosterError),
    /// The interface.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// The thread is gone.
    #[error("the thread that was to run the tunnels has stopped")]
    Arbiter,
}

/// The peers could not be replaced.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new list.
    #[error(transparent)]
    Peers(#[from] RosterError),
    /// Too much is waiting already, or the transport has stopped.
    #[error(transparent)]
    Busy(#[from] SendError),
}

/// What a transport is started with.
#[derive(Debug)]
pub struct Options {
    /// UDP address to listen on. `[::]:51820` takes IPv4, too, unless the system says otherwise.
    pub listen: SocketAddr,
    /// What this node is.
    pub settings: Settings,
    /// The other nodes.
    pub peers: Vec<Peer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Messages between named peers over WireGuard. Dropping it stops the tunnels within a quarter of a second.
pub struct UdpTransport {
    actor: Addr<TunnelActor>,
    inbox: Mutex<mpsc::Receiver<Received>>,
    stats: Arc<ArcSwap<TransportStats>>,
    local_address: SocketAddr,
    public_key: PublicKey,
}

impl UdpTransport {
    /// Opens the socket, and the interface if one is asked for, and starts the tunnels in `arbiter`.
    ///
    /// # Errors
    /// A [`StartError`] that says what is in the way.
    pub async fn start(arbiter: &ArbiterHandle, options: Options) -> Result<Self, StartError> {
        let (ready, started) = oneshot::channel();
        // Sockets belong to the thread that waits for them, so they are opened there.
        let launched = arbiter.spawn(async move {
            // A caller that is gone wants no answer; what was started stops with its inbox.
            let _ = ready.send(Self::launch(options).await);
        });
        if !launched {
            return Err(StartError::Arbiter);
        }
        started.await.map_err(|_| StartError::Arbiter)?
    }

    async fn launch(options: Options) -> Result<Self, StartError> {
        let Options {
            listen,
            settings,
            peers,
            clock,
        } = options;
        let bind = |source| StartError::Bind {
            address: listen,
            source,
        };
        let socket = Socket::bind(listen).map_err(bind)?;
        let local_address = socket.local_address().map_err(bind)?;
        let addresses = settings.addresses.clone();
        let (name, mtu) = (settings.interface.clone(), settings.mtu);
        let mut device = Device::new(settings);
        let mut effects = Vec::new();
        device.set_peers(peers, clock.now(), &mut effects)?;
        let interface = match name {
            None => None,
            Some(name) => {
                let interface = Interface::open(&name, &addresses, mtu).await?;
                interface.set_routes(device.networks()).await?;
                Some(interface)
            }
        };
        let public_key = device.public_key();
        let (inbox, messages) = mpsc::channel(INBOX);
        let stats = Arc::new(ArcSwap::default());
        let actor = TunnelActor::launch(actor::Parts {
            device,
            effects,
            socket,
            interface,
            inbox,
            stats: Arc::clone(&stats),
            clock,
        });
        Ok(Self {
            actor,
            inbox: Mutex::new(messages),
            stats,
            local_address,
            public_key,
        })
    }

    /// Where it listens; tells the port when the configured one was 0.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Who this node is.
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// Replaces the list of peers; tunnels of those that stay are kept.
    ///
    /// # Errors
    /// A [`ReloadError`]; the old list stays in force then.
    pub async fn set_peers(&self, peers: Vec<Peer>) -> Result<(), ReloadError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.actor.try_send(SetPeers { peers, reply });
        sent.map_err(|error| refused(&error))?;
        answer
            .await
            .map_err(|_| SendError::Closed)?
            .map_err(ReloadError::Peers)
    }
}

#[async_trait]
impl Transport for UdpTransport {
    async fn send(&self, to: &PeerName, message: Vec<u8>) -> Result<(), SendError> {
        if message.len() > crate::message::MAX_MESSAGE_BYTES {
            return Err(SendError::TooLong);
        }
        let (reply, answer) = oneshot::channel();
        let sent = self.actor.try_send(SendMessage {
            to: to.clone(),
            message,
            reply,
        });
        sent.map_err(|error| refused(&error))?;
        answer.await.map_err(|_| SendError::Closed)?
    }

    async fn recv(&self) -> Result<Received, Closed> {
        self.inbox.lock().await.recv().await.ok_or(Closed)
    }

    fn stats(&self) -> Arc<TransportStats> {
        self.stats.load_full()
    }
}

impl fmt::Debug for UdpTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "UdpTransport({} at {})",
            self.public_key, self.local_address
        )
    }
}

fn refused<M>(error: &MailboxError<M>) -> SendError {
    match error {
        MailboxError::Full(_) => SendError::Full,
        MailboxError::Closed(_) => SendError::Closed,
    }
}
