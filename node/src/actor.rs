//! Asking an actor something without ever waiting for room in its mailbox.

use actix::dev::ToEnvelope;
use actix::prelude::SendError;
use actix::{Actor, Addr, Handler, Message};
use tokio::sync::oneshot;

use crate::error::Error;
use crate::metrics::actors::Asking;

/// Sends the message that `make` builds around a reply channel, and waits for the reply.
///
/// # Errors
/// [`Error::Unavailable`] when the mailbox is full or the actor is gone.
pub async fn ask<A, M, R>(
    actor: &Addr<A>,
    make: impl FnOnce(oneshot::Sender<R>) -> M,
) -> Result<R, Error>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message<Result = ()> + Send + 'static,
{
    let asking = Asking::of::<A>();
    let (reply, answer) = oneshot::channel();
    match actor.try_send(make(reply)) {
        Ok(()) => answer.await.map_err(|_| gone()),
        Err(SendError::Full(_)) => {
            asking.refused();
            Err(Error::Unavailable(
                "too many changes are waiting, try again".into(),
            ))
        }
        Err(SendError::Closed(_)) => Err(gone()),
    }
}

fn gone() -> Error {
    Error::Unavailable("the request was interrupted, try again".into())
}
