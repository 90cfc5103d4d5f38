//! [`ClusterHandle`]: how the rest of the program speaks to the cluster.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::SendError;
use actix::{Addr, ArbiterHandle};
use arc_swap::ArcSwap;
use conclave_wg::transport::Transport;
use tokio::sync::{mpsc, oneshot};

use super::{ClusterActor, Command, NEWS, Parts};
use crate::bounded::Body;
use crate::event::{AskError, Event, Notice, RequestId};
use crate::facts::Fact;
use crate::hints::Hint;
use crate::id::NodeName;
use crate::roster::Roster;
use crate::time::Time;
use crate::view::View;
use crate::wire::About;
use crate::{BootId, Cluster, Settings};

/// The cluster takes nothing in at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unavailable {
    /// Its mailbox is full.
    #[error("too much is waiting to be told to the cluster, try again")]
    Full,
    /// Its actor has ended.
    #[error("the cluster's actor has ended")]
    Gone,
}

impl From<Unavailable> for AskError {
    fn from(unavailable: Unavailable) -> Self {
        match unavailable {
            Unavailable::Full => Self::Busy,
            Unavailable::Gone => Self::Down,
        }
    }
}

/// What the cluster tells the program.
#[derive(Debug)]
pub enum News {
    /// Something is different now.
    Notice(Notice),
    /// A peer asks something.
    Request(Request),
    /// Some notices were lost because nobody took them in: look at [`ClusterHandle::view`] and
    /// [`ClusterHandle::facts`] again.
    Missed,
}

/// A peer's question. When it is dropped unanswered, the peer asks again until its time is over.
#[derive(Debug)]
pub struct Request {
    /// What it asks.
    pub body: Body,
    /// When (time since boot) it stops waiting.
    pub deadline: Duration,
    pub(super) id: RequestId,
    pub(super) actor: Addr<ClusterActor>,
}

impl Request {
    /// Who asks.
    pub fn from(&self) -> &NodeName {
        &self.id.from
    }

    /// Answers it.
    ///
    /// # Errors
    /// [`Unavailable`]; the peer will ask again.
    pub fn answer(self, body: Body) -> Result<(), Unavailable> {
        let request = self.id;
        submit(&self.actor, Command::Event(Event::Served { request, body }))
    }
}

fn submit(actor: &Addr<ClusterActor>, command: Command) -> Result<(), Unavailable> {
    actor.try_send(command).map_err(|error| match error {
        SendError::Full(_) => Unavailable::Full,
        SendError::Closed(_) => Unavailable::Gone,
    })
}

/// See the module. Cheap to clone. Nothing here waits for room: a full mailbox is an error.
#[derive(Clone)]
pub struct ClusterHandle {
    actor: Addr<ClusterActor>,
    view: Arc<ArcSwap<View>>,
}

impl ClusterHandle {
    /// Starts a node of the cluster in `arbiter`, and gives the news that it will tell. `boot` is random.
    pub fn start(
        arbiter: &ArbiterHandle,
        roster: Roster,
        settings: Settings,
        boot: BootId,
        transport: Arc<dyn Transport>,
        time: Arc<dyn Time>,
    ) -> (Self, mpsc::Receiver<News>) {
        let cluster = Cluster::new(roster, settings, boot, time.now());
        let view = cluster.view(time.now().since_boot);
        let view = Arc::new(ArcSwap::from_pointee(view));
        let (news, receiver) = mpsc::channel(NEWS);
        let parts = Parts {
            cluster,
            transport,
            time,
            news,
            view: Arc::clone(&view),
        };
        let actor = ClusterActor::start(arbiter, parts);
        (Self { actor, view }, receiver)
    }

    /// How the cluster looks. Renewed with every heartbeat, and when a peer comes or goes.
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// The peers that can be reached.
    pub fn live_peers(&self) -> Vec<NodeName> {
        let view = self.view.load();
        let live = view.peers.iter().filter(|peer| peer.up);
        live.map(|peer| peer.member.name.clone()).collect()
    }

    /// Tells all nodes a fact.
    ///
    /// # Errors
    /// [`Unavailable`]; nobody was told.
    pub fn publish(&self, fact: Fact) -> Result<(), Unavailable> {
        self.submit(Event::Published(fact))
    }

    /// Sends a hint to the peers that are alive.
    ///
    /// # Errors
    /// [`Unavailable`]; nobody was told.
    pub fn hint(&self, hint: Hint) -> Result<(), Unavailable> {
        self.submit(Event::Hinted(hint))
    }

    /// Changes what this node says of itself.
    ///
    /// # Errors
    /// [`Unavailable`]; it says what it said before.
    pub fn describe(&self, about: About) -> Result<(), Unavailable> {
        self.submit(Event::Described(about))
    }

    /// Goes over to another roster.
    ///
    /// # Errors
    /// [`Unavailable`]; the old roster holds. A roster that cannot be taken is told by
    /// [`Notice::RosterRefused`].
    pub fn reload(&self, roster: Roster) -> Result<(), Unavailable> {
        self.submit(Event::Reloaded(Box::new(roster)))
    }

    /// Asks a peer.
    ///
    /// # Errors
    /// An [`AskError`], at the latest after `timeout`.
    pub async fn ask(&self, to: NodeName, body: Body, timeout: Duration) -> Result<Body, AskError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Ask {
            to,
            body,
            timeout,
            reply,
        };
        submit(&self.actor, command)?;
        answer.await.unwrap_or(Err(AskError::Down))
    }

    /// All facts that are known now.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn facts(&self) -> Result<Vec<Fact>, Unavailable> {
        let (reply, answer) = oneshot::channel();
        submit(&self.actor, Command::Facts(reply))?;
        answer.await.map_err(|_| Unavailable::Gone)
    }

    fn submit(&self, event: Event) -> Result<(), Unavailable> {
        submit(&self.actor, Command::Event(event))
    }
}
