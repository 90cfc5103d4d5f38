//! [`SealActor`]: one per add-on, so that what concerns its seal happens one at a time. It only moves commands to the
//! [shell](super::shell) and wakes it when a time has come.

use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, oneshot};

use super::act::Outcome;
use super::attempt::{Incarnation, Nonce, Purpose};
use super::handover::{Ask, HandedOver, Refusal};
use super::init::Initialized;
use super::peers::{Obeyed, Offer, Order, SealedElsewhere};
use super::quorum::Quorum;
use super::share::Share;
use super::shell::Shell;
use super::state::Parameters;
use crate::error::Error;
use crate::id::SealEpoch;

/// How many commands may wait. A person types a share; sixteen at once are already a script, and are told to come back.
pub const MAILBOX: usize = 16;

/// Where the answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What the seal is asked to do.
#[derive(Message)]
#[rtype(result = "()")]
pub enum Command {
    /// Make the add-on's keys.
    Init(Quorum, Reply<Initialized>),
    /// Start an attempt at something else than an unseal.
    Start(Purpose, Parameters, Reply<Told>),
    /// Take a share.
    Submit(Submission, Reply<Taken>),
    /// End an attempt, and forget its shares.
    Cancel(Purpose, Reply<Told>),
    /// Drop the keys and raise the epoch.
    Seal(Reply<Sealing>),
    /// Another node tells of an attempt; answers whether this node has it too.
    Hear(Offer, Reply<bool>),
    /// Another node says that a seal up to here is committed.
    HearSealed(Incarnation, SealEpoch),
    /// Another node was ordered to seal up to here.
    Obey(Order, Reply<Obeyed>),
    /// The store says something new of the seal.
    Reread,
    /// Work out what to ask other nodes for the keys, if they are needed.
    AskForKeys(Reply<Option<Ask>>),
    /// Take the keys that another node gives.
    TakeKeys(HandedOver, Reply<()>),
    /// Give the keys to another node.
    GiveKeys(Ask, Reply<Result<HandedOver, Refusal>>),
    /// Give all attempts that are on their way to the other nodes again.
    OfferAll,
    /// Switch the handing over of keys on or off.
    SwitchHandoff(bool, Reply<()>),
    /// Say whether it is on.
    ReadHandoff(Reply<bool>),
    /// Read the store again, and answer when that is done.
    Refresh(Reply<()>),
    /// A time has come.
    Wake,
}

/// A share that somebody gave.
#[derive(Debug)]
pub struct Submission {
    /// What for.
    pub purpose: Purpose,
    /// The share.
    pub share: Share,
    /// The attempt that it is meant for, when the caller says so.
    pub nonce: Option<Nonce>,
}

/// Done once the other nodes have been told, or have kept us waiting for too long.
pub type Told = BoxFuture<'static, ()>;

/// What became of an order to seal. The keys are dropped here in any case.
pub struct Sealing {
    /// Whether there were any.
    pub had_keys: bool,
    /// Whether the raised epoch is committed, or why not.
    pub committed: Result<(), Error>,
    /// What comes of it at the other nodes.
    pub elsewhere: BoxFuture<'static, SealedElsewhere>,
}

/// What became of a share.
pub struct Taken {
    /// Whether it was new.
    pub counted: bool,
    /// When it may be acknowledged.
    pub told: Told,
    /// What an act says, when this was the last share that it needed.
    pub outcome: Option<Outcome>,
}

/// The actor. Commands are run to their end one by one: while one runs the mailbox is not read, so its bound holds.
/// If one panics the actor ends, and the shell, dropped with it, closes the gate.
pub struct SealActor {
    shell: Rc<Mutex<Shell>>,
    alarm: Option<SpawnHandle>,
}

impl SealActor {
    /// Starts the actor in `arbiter`.
    pub(super) fn start(arbiter: &ArbiterHandle, shell: Shell) -> Addr<Self> {
        Self::start_in_arbiter(arbiter, move |context| {
            context.set_mailbox_capacity(MAILBOX);
            Self {
                shell: Rc::new(Mutex::new(shell)),
                alarm: None,
            }
        })
    }

    fn set_alarm(&mut self, delay: Option<Duration>, context: &mut Context<Self>) {
        if let Some(alarm) = self.alarm.take() {
            context.cancel_future(alarm);
        }
        self.alarm = delay.map(|delay| context.notify_later(Command::Wake, delay));
    }
}

impl Actor for SealActor {
    type Context = Context<Self>;
}

impl Handler<Command> for SealActor {
    type Result = ();

    fn handle(&mut self, command: Command, context: &mut Context<Self>) {
        let shell = Rc::clone(&self.shell);
        let work = async move {
            let mut shell = shell.lock().await;
            shell.execute(command).await;
            shell.next_wake()
        };
        context.wait(
            work.into_actor(self)
                .map(|delay, actor, context| actor.set_alarm(delay, context)),
        );
    }
}

#[cfg(test)]
mod ceremonies;
#[cfg(test)]
mod doubles;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod tests;
