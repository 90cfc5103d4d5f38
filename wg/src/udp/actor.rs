//! [`TunnelActor`]: owns the socket, the interface and the time of one [`Device`], and carries out its effects.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::socket::{Buffer, Socket};
use super::{MAILBOX, OUTGOING};
use crate::clock::Clock;
use crate::device::{Device, DropReason, Effect, RosterError};
use crate::interface::Interface;
use crate::key::PublicKey;
use crate::peer::{Peer, PeerName};
use crate::transport::{Received, SendError, TransportStats};

/// How often the device is told the time. Its timers are in seconds; a quarter of one keeps them punctual enough.
const TICK: Duration = Duration::from_millis(250);

/// How often host names of peers that cannot be reached are looked up.
const LOOKUP_EVERY: Duration = Duration::from_secs(10);

/// How long one host name may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after an error of the socket or interface, so that one that stays is no busy loop.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Send a message.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SendMessage {
    pub to: PeerName,
    pub message: Vec<u8>,
    pub reply: oneshot::Sender<Result<(), SendError>>,
}

/// Replace the peers.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SetPeers {
    pub peers: Vec<Peer>,
    pub reply: oneshot::Sender<Result<(), RosterError>>,
}

/// Datagrams that arrived together.
struct Datagrams(Vec<(SocketAddr, Vec<u8>)>);

/// Packets that the kernel handed over together.
struct Packets(Vec<Vec<u8>>);

/// What the actor is made of.
pub(super) struct Parts {
    pub device: Device,
    /// What the device already wants done.
    pub effects: Vec<Effect>,
    pub socket: Socket,
    pub interface: Option<Interface>,
    pub inbox: mpsc::Sender<Received>,
    pub stats: Arc<ArcSwap<TransportStats>>,
    pub clock: Arc<dyn Clock>,
}

pub(super) struct TunnelActor {
    device: Device,
    effects: Vec<Effect>,
    outgoing: mpsc::Sender<(SocketAddr, Vec<u8>)>,
    interface: Option<(Arc<Interface>, mpsc::Sender<Vec<u8>>)>,
    inbox: mpsc::Sender<Received>,
    stats: Arc<ArcSwap<TransportStats>>,
    clock: Arc<dyn Clock>,
    looking_up: bool,
}

impl TunnelActor {
    /// Starts the actor on this thread, with one task each that writes to the socket and to the interface.
    pub fn launch(parts: Parts) -> Addr<Self> {
        let Parts {
            device,
            effects,
            socket,
            interface,
            inbox,
            stats,
            clock,
        } = parts;
        let socket = Arc::new(socket);
        let (outgoing, datagrams) = mpsc::channel(OUTGOING);
        actix::spawn(write_datagrams(Arc::clone(&socket), datagrams));
        let interface = interface.map(Arc::new);
        Self::create(|context| {
            context.set_mailbox_capacity(MAILBOX);
            context.add_stream(stream::unfold((socket, Buffer::new()), read_datagrams));
            context.run_interval(TICK, |actor, context| actor.tick(context));
            context.run_interval(LOOKUP_EVERY, |actor, context| actor.look_up(context));
            let interface = interface.map(|interface| {
                let buffer = vec![0; usize::from(u16::MAX)].into_boxed_slice();
                let source = (Arc::clone(&interface), buffer);
                context.add_stream(stream::unfold(source, read_packets));
                let (incoming, packets) = mpsc::channel(OUTGOING);
                actix::spawn(write_packets(Arc::clone(&interface), packets));
                (interface, incoming)
            });
            Self {
                device,
                effects,
                outgoing,
                interface,
                inbox,
                stats,
                clock,
                looking_up: false,
            }
        })
    }

    fn tick(&mut self, context: &mut Context<Self>) {
        if self.inbox.is_closed() {
            // Whoever started the transport has dropped it.
            return context.stop();
        }
        let now = self.clock.now();
        self.device.tick(now, &mut self.effects);
        self.carry_out();
        self.publish(now);
    }

    fn publish(&self, now: Duration) {
        let peers = self.device.peers(now);
        self.stats.store(Arc::new(TransportStats {
            peers,
            drops: self.device.drops(),
        }));
    }

    /// Does what the device wants done.
    fn carry_out(&mut self) {
        for effect in self.effects.drain(..) {
            let taken = match effect {
                Effect::Datagram { to, bytes } => self.outgoing.try_send((to, bytes)).is_ok(),
                Effect::Message {
                    from,
                    bytes: message,
                } => self.inbox.try_send(Received { from, message }).is_ok(),
                Effect::Packet(packet) => match &self.interface {
                    Some((_, incoming)) => incoming.try_send(packet).is_ok(),
                    None => false,
                },
            };
            if !taken {
                self.device.count_drop(DropReason::Overflow);
            }
        }
    }

    /// Looks up the host names of peers that cannot be reached; one round at a time.
    fn look_up(&mut self, context: &mut Context<Self>) {
        let wanted = self.device.lookups();
        if self.looking_up || wanted.is_empty() {
            return;
        }
        self.looking_up = true;
        let round = look_up_all(wanted).into_actor(self).map(|found, actor, _| {
            actor.looking_up = false;
            for (peer, place) in found {
                actor.device.looked_up(&peer, place, &mut actor.effects);
            }
            actor.carry_out();
        });
        context.spawn(round);
    }

    /// Brings the routes of the interface to what the peers have.
    fn set_routes(&self, context: &mut Context<Self>) {
        if let Some((interface, _)) = &self.interface {
            let (interface, networks) = (Arc::clone(interface), self.device.networks());
            let work = async move {
                if let Err(error) = interface.set_routes(networks).await {
                    tracing::error!(%error, "the routes of the tunnel are not those of its peers");
                }
            };
            context.wait(work.into_actor(self));
        }
    }
}

impl Actor for TunnelActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.carry_out();
        self.publish(self.clock.now());
        self.look_up(context);
    }
}

impl Handler<SendMessage> for TunnelActor {
    type Result = ();

    fn handle(&mut self, send: SendMessage, _: &mut Self::Context) {
        let sent = self
            .device
            .send_message(&send.to, &send.message, &mut self.effects);
        self.carry_out();
        // A sender that no longer waits needs no answer.
        let _ = send.reply.send(sent);
    }
}

impl Handler<SetPeers> for TunnelActor {
    type Result = ();

    fn handle(&mut self, set: SetPeers, context: &mut Self::Context) {
        let now = self.clock.now();
        let replaced = self.device.set_peers(set.peers, now, &mut self.effects);
        self.carry_out();
        self.publish(now);
        if replaced.is_ok() {
            self.set_routes(context);
            self.look_up(context);
        }
        // A caller that no longer waits needs no answer.
        let _ = set.reply.send(replaced);
    }
}

impl StreamHandler<Datagrams> for TunnelActor {
    fn handle(&mut self, Datagrams(datagrams): Datagrams, _: &mut Self::Context) {
        let now = self.clock.now();
        for (from, bytes) in datagrams {
            self.device.receive(from, &bytes, now, &mut self.effects);
        }
        self.carry_out();
    }
}

impl StreamHandler<Packets> for TunnelActor {
    fn handle(&mut self, Packets(packets): Packets, _: &mut Self::Context) {
        for packet in packets {
            self.device.send_packet(&packet, &mut self.effects);
        }
        self.carry_out();
    }
}

type DatagramSource = (Arc<Socket>, Buffer);

async fn read_datagrams(mut source: DatagramSource) -> Option<(Datagrams, DatagramSource)> {
    loop {
        match source.0.receive(&mut source.1).await {
            Ok(datagrams) if datagrams.is_empty() => {}
            Ok(datagrams) => return Some((Datagrams(datagrams), source)),
            Err(error) => {
                tracing::warn!(%error, "cannot read from the UDP socket");
                sleep(ERROR_PAUSE).await;
            }
        }
    }
}

type PacketSource = (Arc<Interface>, Box<[u8]>);

async fn read_packets(mut source: PacketSource) -> Option<(Packets, PacketSource)> {
    loop {
        match source.0.receive(&mut source.1).await {
            Ok(packets) if packets.is_empty() => {}
            Ok(packets) => return Some((Packets(packets), source)),
            Err(error) => {
                tracing::warn!(%error, "cannot read from the tunnel's interface");
                sleep(ERROR_PAUSE).await;
            }
        }
    }
}

async fn write_datagrams(
    socket: Arc<Socket>,
    mut datagrams: mpsc::Receiver<(SocketAddr, Vec<u8>)>,
) {
    while let Some((to, bytes)) = datagrams.recv().await {
        if let Err(error) = socket.send(to, &bytes).await {
            // As good as lost on the way; peers that are away give such errors all the time.
            tracing::debug!(%error, %to, "cannot send a datagram");
        }
    }
}

async fn write_packets(interface: Arc<Interface>, mut packets: mpsc::Receiver<Vec<u8>>) {
    while let Some(packet) = packets.recv().await {
        if let Err(error) = interface.send(&packet).await {
            tracing::debug!(%error, "the kernel refuses a packet");
        }
    }
}

async fn look_up_all(wanted: Vec<(PublicKey, String, u16)>) -> Vec<(PublicKey, SocketAddr)> {
    let mut found = Vec::new();
    for (peer, host, port) in wanted {
        match timeout(
            LOOKUP_TIMEOUT,
            tokio::net::lookup_host((host.as_str(), port)),
        )
        .await
        {
            Ok(Ok(mut places)) => found.extend(places.next().map(|place| (peer, place))),
            Ok(Err(error)) => tracing::warn!(%host, %error, "cannot look up a peer"),
            Err(_) => tracing::warn!(%host, "looking up a peer takes too long"),
        }
    }
    found
}
