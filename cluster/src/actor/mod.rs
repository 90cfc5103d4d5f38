//! [`ClusterActor`]: the shell around [`Cluster`]. It hands events and the time to the protocol, and carries out the
//! effects; it decides nothing.
//!
//! Everything that could pile up has a bound. What comes from the transport is taken in one packet at a time, so a busy
//! node leaves packets to the transport, which drops them; the rest of the program gets an error when the mailbox is
//! full; packets to be sent, and news that nobody takes in, are dropped beyond their bounds, which the protocol stands
//! (packets are repeated, and lost news are announced by [`News::Missed`]).

mod handle;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::WeakAddr;
use actix::prelude::*;
use arc_swap::ArcSwap;
use conclave_wg::transport::{Received, Transport};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

pub use handle::{ClusterHandle, News, Request, Unavailable};

use crate::bounded::Body;
use crate::event::{AskError, Effect, Event, Notice, Ticket};
use crate::facts::Fact;
use crate::id::NodeName;
use crate::state::Cluster;
use crate::time::Time;
use crate::view::View;

/// How many commands may wait; a few for each request that a busy node works on.
pub const MAILBOX: usize = 1024;
/// How many packets may wait to be sent: those of one heartbeat and some pushes, to all peers.
const OUTGOING: usize = 1024;
/// How many news may wait to be taken in.
const NEWS: usize = 1024;

/// What the actor is asked to do.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum Command {
    /// Something happened.
    Event(Event),
    /// Ask a peer, and hand on the answer.
    Ask {
        to: NodeName,
        body: Body,
        timeout: Duration,
        reply: oneshot::Sender<Result<Body, AskError>>,
    },
    /// Tell the facts that are known.
    Facts(oneshot::Sender<Vec<Fact>>),
    /// A time has come.
    Wake,
}

/// What an actor is made of.
pub(crate) struct Parts {
    pub cluster: Cluster,
    pub transport: Arc<dyn Transport>,
    pub time: Arc<dyn Time>,
    pub news: mpsc::Sender<News>,
    pub view: Arc<ArcSwap<View>>,
}

/// See the module. Ends when the last handle and the last request are dropped.
pub struct ClusterActor {
    parts: Parts,
    outgoing: mpsc::Sender<(NodeName, Zeroizing<Vec<u8>>)>,
    tasks: Vec<JoinHandle<()>>,
    waiting: BTreeMap<Ticket, oneshot::Sender<Result<Body, AskError>>>,
    next_ticket: u64,
    alarm: Option<(Duration, SpawnHandle)>,
    missed: bool,
    unsent: u64,
    news_missed: u64,
}

impl ClusterActor {
    pub(crate) fn start(arbiter: &ArbiterHandle, parts: Parts) -> Addr<Self> {
        Self::start_in_arbiter(arbiter, move |context| {
            context.set_mailbox_capacity(MAILBOX);
            let (outgoing, packets) = mpsc::channel(OUTGOING);
            let address = context.address().downgrade();
            let receiver = receive_all(Arc::clone(&parts.transport), address);
            let sender = send_all(Arc::clone(&parts.transport), packets);
            Self {
                parts,
                outgoing,
                tasks: vec![actix::spawn(receiver), actix::spawn(sender)],
                waiting: BTreeMap::new(),
                next_ticket: 0,
                alarm: None,
                missed: false,
                unsent: 0,
                news_missed: 0,
            }
        })
    }

    fn step(&mut self, event: Event, context: &mut Context<Self>) {
        let effects = self.parts.cluster.step(event, self.parts.time.now());
        let mut changed = false;
        for effect in effects {
            changed |= self.execute(effect, context);
        }
        if changed {
            self.publish_view();
        }
        self.set_alarm(context);
    }

    /// Carries out an effect; whether the view is another now.
    fn execute(&mut self, effect: Effect, context: &mut Context<Self>) -> bool {
        match effect {
            Effect::Send { to, packet } => {
                if self.outgoing.try_send((to, packet)).is_err() {
                    self.unsent += 1;
                }
            }
            Effect::Answer { ticket, outcome } => {
                if let Some(reply) = self.waiting.remove(&ticket) {
                    // Whoever asked may have gone away.
                    let _ = reply.send(outcome);
                }
            }
            Effect::Serve {
                request,
                body,
                deadline,
            } => {
                let request = Request {
                    body,
                    deadline,
                    id: request,
                    actor: context.address(),
                };
                // One that finds no room comes again.
                if self.parts.news.try_send(News::Request(request)).is_err() {
                    self.news_missed += 1;
                }
            }
            Effect::Tell(notice) => {
                log(&notice);
                let changes = !matches!(notice, Notice::Learned(_) | Notice::Heard { .. });
                self.tell(News::Notice(notice));
                return changes;
            }
        }
        false
    }

    fn tell(&mut self, news: News) {
        self.tell_missed();
        if self.missed || self.parts.news.try_send(news).is_err() {
            self.missed = true;
            self.news_missed += 1;
        }
    }

    fn tell_missed(&mut self) {
        if self.missed && self.parts.news.try_send(News::Missed).is_ok() {
            self.missed = false;
        }
    }

    fn publish_view(&self) {
        let mut view = self.parts.cluster.view(self.parts.time.now().since_boot);
        view.counters.unsent = self.unsent;
        view.counters.news_missed = self.news_missed;
        self.parts.view.store(Arc::new(view));
    }

    fn set_alarm(&mut self, context: &mut Context<Self>) {
        let due = self.parts.cluster.next_wake();
        if let Some((set_to, alarm)) = self.alarm.take() {
            if set_to <= due {
                self.alarm = Some((set_to, alarm));
                return;
            }
            context.cancel_future(alarm);
        }
        let delay = due.saturating_sub(self.parts.time.now().since_boot);
        self.alarm = Some((due, context.notify_later(Command::Wake, delay)));
    }
}

impl Actor for ClusterActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.step(Event::Woke, context);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Handler<Command> for ClusterActor {
    type Result = ();

    fn handle(&mut self, command: Command, context: &mut Self::Context) {
        match command {
            Command::Event(event) => self.step(event, context),
            Command::Ask {
                to,
                body,
                timeout,
                reply,
            } => {
                let ticket = Ticket(self.next_ticket);
                self.next_ticket += 1;
                self.waiting.insert(ticket, reply);
                let question = Event::Asked {
                    to,
                    body,
                    timeout,
                    ticket,
                };
                self.step(question, context);
            }
            Command::Facts(reply) => {
                let now = self.parts.time.now().since_boot;
                let _ = reply.send(self.parts.cluster.facts(now).collect());
            }
            Command::Wake => {
                self.alarm = None;
                if !context.connected() {
                    context.stop();
                    return;
                }
                self.step(Event::Woke, context);
                self.tell_missed();
                self.publish_view();
            }
        }
    }
}

/// Brings packets to the actor, one at a time.
async fn receive_all(transport: Arc<dyn Transport>, actor: WeakAddr<ClusterActor>) {
    while let Ok(Received { from, message }) = transport.recv().await {
        let packet = Zeroizing::new(message);
        let Some(actor) = actor.upgrade() else {
            return;
        };
        let event = Event::Received { from, packet };
        if actor.send(Command::Event(event)).await.is_err() {
            return;
        }
    }
    tracing::warn!("the transport has stopped; no more is heard of other nodes");
}

async fn send_all(
    transport: Arc<dyn Transport>,
    mut packets: mpsc::Receiver<(NodeName, Zeroizing<Vec<u8>>)>,
) {
    while let Some((to, mut packet)) = packets.recv().await {
        let message = std::mem::take(&mut *packet);
        if let Err(error) = transport.send(&to, message).await {
            tracing::debug!(%to, %error, "a packet was not sent");
        }
    }
}

/// What an operator wants to read about.
fn log(notice: &Notice) {
    match notice {
        Notice::PeerUp { name, .. } => tracing::info!(peer = %name, "the node can be reached"),
        Notice::PeerDown { name } => {
            tracing::warn!(peer = %name, "the node is down or was restarted")
        }
        Notice::ClockSkewed { name, ahead_ns } => {
            let ahead_ms = ahead_ns / 1_000_000;
            tracing::warn!(peer = %name, ahead_ms, "the node's clock differs from ours; check both against NTP");
        }
        Notice::ClockAgrees { name } => {
            tracing::info!(peer = %name, "the node's clock agrees with ours")
        }
        Notice::RosterDiffers { name } => {
            tracing::warn!(peer = %name, "the node's configuration lists other nodes or keys than ours");
        }
        Notice::OtherCluster { name } => {
            tracing::error!(peer = %name, "the node is configured for another cluster; its packets are dropped");
        }
        Notice::RosterRefused(error) => {
            tracing::error!(%error, "the new list of nodes was not taken")
        }
        Notice::Learned(_) | Notice::Heard { .. } => {}
    }
}
