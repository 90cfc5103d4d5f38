//! [`PeersPort`]: how this node's seals and store speak to the other nodes.

use std::sync::Arc;
use std::time::Duration;

use conclave_cluster::{ClusterHandle, Fact, Hint, HintContent, NodeName, Tenant};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use super::facts;
use super::wire::{Answer, Question};
use crate::clock::Clock;
use crate::id::TenantId;
use crate::seal::attempt::AttemptId;
use crate::seal::peers::{Obeyed, Offer, Order, Peers, SealedElsewhere};
use crate::seal::{Acknowledgement, Faults};
use crate::store::announced::Announcer;

/// How long shares are offered to a peer that is alive but does not answer. After that it is told when it comes up again.
const OFFER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long other nodes may take to carry out an order to seal, the same as the store here.
const ORDER_TIMEOUT: Duration = Duration::from_secs(5);

/// How many add-ons may wait for keys. More than a node has add-ons open at a time; those that find no room stay
/// sealed until another peer comes up.
const WANTED: usize = 16 * 1024;

/// What a hint says: the change feed has something new of the tenant.
pub(super) const CHANGED: u8 = 1;

/// The add-ons whose keys are wanted from other nodes.
pub struct Wanted(pub(super) mpsc::Receiver<TenantId>);

/// See the module.
pub struct PeersPort {
    cluster: ClusterHandle,
    clock: Arc<dyn Clock>,
    wanted: mpsc::Sender<TenantId>,
}

impl PeersPort {
    /// Speaks through `cluster`. [`start`](super::start) does what is wanted.
    pub fn new(cluster: ClusterHandle, clock: Arc<dyn Clock>) -> (Arc<Self>, Wanted) {
        let (wanted, receiver) = mpsc::channel(WANTED);
        let port = Self {
            cluster,
            clock,
            wanted,
        };
        (Arc::new(port), Wanted(receiver))
    }

    pub(super) fn cluster(&self) -> &ClusterHandle {
        &self.cluster
    }

    /// Asks one peer.
    pub(super) async fn ask(
        cluster: &ClusterHandle,
        peer: NodeName,
        question: &Question,
        timeout: Duration,
    ) -> Option<Answer> {
        let body = question.encode().ok()?;
        match cluster.ask(peer.clone(), body, timeout).await {
            Ok(body) => match Answer::decode(&body) {
                Ok(answer) => Some(answer),
                Err(error) => {
                    tracing::warn!(%peer, %error, "a node's answer was not understood");
                    None
                }
            },
            Err(error) => {
                tracing::debug!(%peer, %error, "a node did not answer");
                None
            }
        }
    }

    fn publish(&self, fact: Option<Fact>) {
        if let Some(fact) = fact
            && let Err(error) = self.cluster.publish(fact)
        {
            tracing::debug!(%error, "a fact was not told");
        }
    }
}

impl Peers for PeersPort {
    fn offer(&self, offer: Offer) -> BoxFuture<'static, ()> {
        let (cluster, clock) = (self.cluster.clone(), Arc::clone(&self.clock));
        let (acknowledge, acknowledged) = oneshot::channel();
        tokio::spawn(spread(cluster, clock, Question::Offer(offer), acknowledge));
        Box::pin(async {
            let _ = acknowledged.await;
        })
    }

    fn seal(&self, order: Order) -> BoxFuture<'static, SealedElsewhere> {
        let cluster = self.cluster.clone();
        let (reply, outcome) = oneshot::channel();
        tokio::spawn(async move {
            let _ = reply.send(have_sealed(&cluster, order).await);
        });
        Box::pin(async { outcome.await.unwrap_or_default() })
    }

    fn tell_sealed(&self, order: Order) {
        self.publish(facts::sealed(&order));
    }

    fn want_keys(&self, tenant: TenantId) {
        if self.wanted.try_send(tenant).is_err() {
            tracing::warn!(%tenant, "too many add-ons wait for keys of other nodes");
        }
    }

    fn tell_attempt(&self, attempt: AttemptId, given: usize) {
        self.publish(facts::attempt(&attempt, given));
    }
}

impl Announcer for PeersPort {
    fn announce(&self, tenant: TenantId) {
        let Ok(content) = HintContent::new(&[CHANGED]) else {
            return;
        };
        let tenant = Tenant(*tenant.as_bytes());
        if let Err(error) = self.cluster.hint(Hint { tenant, content }) {
            tracing::debug!(%error, "a hint was not sent");
        }
    }
}

/// Offers to all live peers, and goes on after the acknowledgement, until each has it or its time is over.
async fn spread(
    cluster: ClusterHandle,
    clock: Arc<dyn Clock>,
    question: Question,
    acknowledge: oneshot::Sender<()>,
) {
    let peers = cluster.live_peers();
    let now = clock.since_boot();
    let mut pending = Acknowledgement::of(peers.iter().cloned(), now, Faults::default());
    let mut acknowledge = Some(acknowledge);
    let mut asks: FuturesUnordered<_> = peers
        .into_iter()
        .map(|peer| {
            let (cluster, question) = (&cluster, &question);
            async move {
                let answer = PeersPort::ask(cluster, peer.clone(), question, OFFER_TIMEOUT).await;
                (peer, answer)
            }
        })
        .collect();
    loop {
        let now = clock.since_boot();
        if pending.is_due(now)
            && let Some(acknowledge) = acknowledge.take()
        {
            let _ = acknowledge.send(());
        }
        let left = pending.deadline().saturating_sub(now);
        let waits = acknowledge.is_some();
        tokio::select! {
            answered = asks.next() => match answered {
                Some((peer, Some(Answer::Held(true)))) => pending.held(&peer),
                Some((peer, _)) => pending.gone(&peer),
                None => return,
            },
            () = tokio::time::sleep(left), if waits => {}
        }
    }
}

/// Has all live peers seal.
async fn have_sealed(cluster: &ClusterHandle, order: Order) -> SealedElsewhere {
    let question = Question::Seal(order);
    let mut outcome = SealedElsewhere {
        nodes: cluster.view().peers.len(),
        ..SealedElsewhere::default()
    };
    let mut asks: FuturesUnordered<_> = cluster
        .live_peers()
        .into_iter()
        .map(|peer| PeersPort::ask(cluster, peer, &question, ORDER_TIMEOUT))
        .collect();
    while let Some(answer) = asks.next().await {
        if let Some(Answer::Sealed(obeyed)) = answer {
            outcome.sealed += 1;
            outcome.unfinished += usize::from(obeyed == Obeyed::Unfinished);
            outcome.durable |= obeyed == Obeyed::Committed;
        }
    }
    outcome
}
