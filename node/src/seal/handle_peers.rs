//! The part of [`SealHandle`] that the change feed and the other nodes use.

use std::sync::atomic::Ordering;

use super::actor::Command;
use super::attempt::{AttemptId, Incarnation};
use super::epoch;
use super::handle::SealHandle;
use super::handover::{Ask, HandedOver, Refusal};
use super::peers::{Obeyed, Offer, Order, end_at};
use super::rows::read_incarnation;
use crate::error::Error;
use crate::id::SealEpoch;
use crate::store::transact;

impl SealHandle {
    /// Reads the add-on's epoch and closes it at once when it was sealed, without waiting for the actor. The change feed
    /// calls it before it confirms that this node is up to date: that is why no request is served after a seal for
    /// longer than caches may be out of date.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer; [`Error::Corrupt`] when the row is damaged.
    pub async fn follow_store(&self) -> Result<(), Error> {
        let address = epoch::address(self.tenant());
        let read = transact(self.store().as_ref(), async |transaction, _| {
            let incarnation = read_incarnation(transaction).await?;
            Ok((incarnation, transaction.get(&address).await?))
        });
        let before = self.shared().watch.lock().sight();
        let ((incarnation, row), _) = read.await?;
        if let Some(row) = row {
            let epoch = epoch::claim(&row)?;
            let mut watch = self.shared().watch.lock();
            if watch.learn(before, incarnation, epoch).close {
                self.gate().close();
            }
        } else {
            self.close_here();
        }
        self.nudge();
        Ok(())
    }

    /// Drops the keys on this node, without a seal.
    pub fn close_here(&self) {
        {
            let mut watch = self.shared().watch.lock();
            watch.closed();
            self.gate().close();
        }
        self.nudge();
    }

    /// Whether the add-on is open on this node.
    pub fn is_open(&self) -> bool {
        self.shared().watch.lock().is_open()
    }

    /// Whether shares are being gathered, or an attempt was begun.
    pub fn is_busy(&self) -> bool {
        let published = self.shared().published.load();
        published.seal.progress > 0 || published.others.values().any(|other| other.nonce.is_some())
    }

    /// Has the actor read the store when it is free. It does so after what it is doing even if it cannot be told.
    fn nudge(&self) {
        self.shared().stale.store(true, Ordering::SeqCst);
        self.tell(Command::Reread);
    }

    /// Another node tells of an attempt; whether this node has it too.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when too much is waiting.
    pub async fn hear(&self, offer: Offer) -> Result<bool, Error> {
        self.ask(|reply| Command::Hear(offer, reply)).await
    }

    /// Another node tells which attempt is on its way.
    pub async fn hear_attempt(&self, attempt: AttemptId) {
        // What it is for is told again, by offers and by facts.
        let _ = self.hear(end_at(attempt)).await;
    }

    /// Another node says that a seal is committed.
    pub fn hear_sealed(&self, incarnation: Incarnation, through: SealEpoch) {
        self.tell(Command::HearSealed(incarnation, through));
    }

    /// Carries out an order to seal that another node was given. The gate is closed before
    /// anything else is done or waited for.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer; the gate is closed all the same.
    pub async fn obey(&self, order: Order) -> Result<Obeyed, Error> {
        {
            let mut watch = self.shared().watch.lock();
            if watch.order((order.incarnation, order.through)) {
                self.gate().close();
            }
        }
        self.ask(|reply| Command::Obey(order, reply)).await
    }

    /// What to ask other nodes for the keys; `None` when there is nothing to ask for.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ask_for_keys(&self) -> Result<Option<Ask>, Error> {
        self.ask(Command::AskForKeys).await
    }

    /// Opens with the keys that another node gave.
    ///
    /// # Errors
    /// Why they are not used.
    pub async fn take_keys(&self, handed: HandedOver) -> Result<(), Error> {
        self.ask(|reply| Command::TakeKeys(handed, reply)).await
    }

    /// Gives the keys to another node.
    ///
    /// # Errors
    /// Why not.
    pub async fn give_keys(&self, ask: Ask) -> Result<HandedOver, Refusal> {
        let given = self.ask(|reply| Command::GiveKeys(ask, reply)).await;
        given.unwrap_or(Err(Refusal::Unavailable))
    }

    /// Gives all attempts that are on their way to the other nodes again.
    pub fn offer_all(&self) {
        self.tell(Command::OfferAll);
    }

    /// Whether keys of this add-on may be handed over to nodes that restart.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub async fn handoff(&self) -> Result<bool, Error> {
        self.ask(Command::ReadHandoff).await
    }

    /// Switches that on or off, for all nodes.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub async fn switch_handoff(&self, on: bool) -> Result<(), Error> {
        self.ask(|reply| Command::SwitchHandoff(on, reply)).await
    }
}
