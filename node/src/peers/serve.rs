//! Listening to the other nodes.

use std::sync::Arc;

use conclave_cluster::actor::Request;
use conclave_cluster::{Fact, Hint, News, NodeName, Notice};
use tokio::sync::mpsc;

use super::Context;
use super::facts::{self, Known};
use super::port::{CHANGED, PeersPort};
use super::wire::{Answer, Question};
use crate::error::Error;
use crate::id::TenantId;
use crate::seal::handover::{Ask, Refusal};
use crate::seal::peers::{Obeyed, Offer, Order, Peers};
use crate::tenant::Tenant;
use crate::tenant::feed::nudge;

/// See the module.
pub struct Service {
    port: Arc<PeersPort>,
    context: Context,
}

impl Service {
    /// Serves with these parts.
    pub fn new(port: Arc<PeersPort>, context: Context) -> Self {
        Self { port, context }
    }

    /// The add-on with this id.
    pub fn tenant(&self, id: TenantId) -> Option<Arc<Tenant>> {
        self.context.tenants.by_id(id)
    }

    /// Takes in news until the cluster ends. Requests are served side by side; the cluster bounds how many are open.
    pub async fn run(self: Arc<Self>, mut news: mpsc::Receiver<News>) {
        while let Some(news) = news.recv().await {
            match news {
                News::Request(request) => {
                    let service = Arc::clone(&self);
                    actix::spawn(async move { service.serve(request).await });
                }
                News::Notice(notice) => self.notice(notice),
                News::Missed => self.catch_up().await,
            }
        }
    }

    fn notice(self: &Arc<Self>, notice: Notice) {
        match notice {
            Notice::PeerUp { .. } => self.greet(),
            Notice::Learned(fact) => self.learn(&fact),
            Notice::Heard { hint, .. } => self.heed(&hint),
            // What they are about is shown by the cluster's own view.
            Notice::PeerDown { .. }
            | Notice::ClockSkewed { .. }
            | Notice::ClockAgrees { .. }
            | Notice::RosterDiffers { .. }
            | Notice::OtherCluster { .. }
            | Notice::RosterRefused(_) => {}
        }
    }

    /// A peer is there: one of the two may lack shares, or keys.
    fn greet(&self) {
        for tenant in self.context.tenants.all() {
            let seal = tenant.seal();
            seal.offer_all();
            if seal.status().initialized && !seal.is_open() {
                self.port.want_keys(tenant.id());
            }
        }
    }

    /// News were lost: what they may have said is looked at again.
    async fn catch_up(self: &Arc<Self>) {
        self.greet();
        nudge(&self.context.feed, self.context.clock.as_ref());
        if let Ok(facts) = self.port.cluster().facts().await {
            for fact in &facts {
                self.learn(fact);
            }
        }
    }

    fn learn(self: &Arc<Self>, fact: &Fact) {
        match facts::read(fact) {
            Some(Known::Sealed(order)) => {
                if let Some(tenant) = self.tenant(order.tenant) {
                    tenant.seal().hear_sealed(order.incarnation, order.through);
                }
            }
            Some(Known::Attempt(attempt)) => {
                if let Some(tenant) = self.tenant(attempt.tenant) {
                    actix::spawn(async move { tenant.seal().hear_attempt(attempt).await });
                }
            }
            None => tracing::debug!("a fact that this node does not know"),
        }
    }

    fn heed(&self, hint: &Hint) {
        if hint.content.as_bytes().first() == Some(&CHANGED) {
            nudge(&self.context.feed, self.context.clock.as_ref());
        }
    }

    async fn serve(&self, request: Request) {
        let answer = match Question::decode(&request.body) {
            Ok(Question::Offer(offer)) => self.keep(offer).await,
            Ok(Question::Keys(ask)) => self.give_keys(request.from(), ask).await,
            Ok(Question::Seal(order)) => self.seal(request.from(), order).await,
            Err(error) => {
                tracing::warn!(peer = %request.from(), %error, "a node's question was not understood");
                Answer::NotUnderstood
            }
        };
        if let Err(error) = request.answer(answer.encode()) {
            tracing::debug!(%error, "an answer to another node was not sent");
        }
    }

    async fn keep(&self, offer: Offer) -> Answer {
        match self.tenant(offer.attempt.tenant) {
            Some(tenant) => Answer::Held(tenant.seal().hear(offer).await.unwrap_or(false)),
            None => Answer::Held(false),
        }
    }

    async fn give_keys(&self, peer: &NodeName, ask: Ask) -> Answer {
        let given = match self.tenant(ask.tenant) {
            Some(tenant) => tenant.seal().give_keys(ask).await,
            None => Err(Refusal::Unknown),
        };
        let epoch = ask.stored.epoch.0;
        let given = match given {
            // Keys that leave unrecorded do not leave.
            Ok(handed) => match self.note("keys handed over", ask.tenant, peer, epoch).await {
                Ok(()) => Ok(handed),
                Err(_) => Err(Refusal::Unavailable),
            },
            Err(refusal) => Err(refusal),
        };
        match given {
            Ok(handed) => {
                tracing::info!(tenant = %ask.tenant, %peer, epoch, "keys handed over");
                Answer::Keys(handed)
            }
            Err(refusal) => {
                tracing::info!(tenant = %ask.tenant, %peer, %refusal, "keys not handed over");
                Answer::Refused(refusal)
            }
        }
    }

    /// Writes down what was done at a peer's word.
    ///
    /// # Errors
    /// [`Error::Unaudited`].
    pub async fn note(
        &self,
        event: &str,
        tenant: TenantId,
        peer: &NodeName,
        epoch: u64,
    ) -> Result<(), Error> {
        let epoch = epoch.to_string();
        let fields = [("peer", peer.as_str()), ("epoch", epoch.as_str())];
        let now = self.context.clock.now();
        self.context
            .audit
            .note(now, event, Some(tenant), &fields)
            .await
    }

    async fn seal(&self, peer: &NodeName, order: Order) -> Answer {
        let through = order.through.0;
        tracing::info!(tenant = %order.tenant, %peer, through, "ordered to seal");
        // A seal is not put off because it cannot be written down; the failure is counted.
        let _ = self
            .note("ordered to seal", order.tenant, peer, through)
            .await;
        let Some(tenant) = self.tenant(order.tenant) else {
            return Answer::Sealed(Obeyed::Idle);
        };
        // The gate is closed, whatever kept the store from being told.
        let obeyed = tenant.seal().obey(order).await;
        Answer::Sealed(obeyed.unwrap_or(Obeyed::Unfinished))
    }
}
