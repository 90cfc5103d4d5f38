//! Serving until told to stop, and stopping without failing a request.
//!
//! On SIGTERM or SIGINT the node drains: `/readyz` turns red, requests under way finish, new ones get 503. When nothing
//! is under way, or after [`GRACE`], the listeners close.

use std::time::Duration;

use actix_web::dev::Server;
use futures_util::future::{join_all, select_all};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;
use crate::node::Node;

/// How long requests under way may take to finish. As long as orchestrators usually wait before they kill.
pub const GRACE: Duration = Duration::from_secs(25);

/// How often a draining node looks whether it is done.
const POLL: Duration = Duration::from_millis(20);

/// Runs the servers until a signal or one of them fails.
///
/// # Errors
/// [`Error::Unavailable`] when signals cannot be awaited or a server fails.
pub async fn serve_until_told(node: &Node, servers: Vec<Server>) -> Result<(), Error> {
    let unavailable = |error: std::io::Error| Error::Unavailable(error.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(unavailable)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unavailable)?;
    let handles: Vec<_> = servers.iter().map(Server::handle).collect();
    let mut serving = select_all(servers);
    tokio::select! {
        (result, _, _) = &mut serving => result.map_err(unavailable)?,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("shutting down");
    node.drain();
    let drained = async {
        while node.in_flight() > 0 {
            tokio::time::sleep(POLL).await;
        }
    };
    let stop = async {
        if tokio::time::timeout(GRACE, drained).await.is_err() {
            tracing::warn!(in_flight = node.in_flight(), "requests are cut off");
        }
        join_all(handles.iter().map(|handle| handle.stop(true))).await;
    };
    // The servers' futures must go on running for the requests under way.
    tokio::join!(stop, async {
        let _ = serving.await;
    });
    tracing::info!("stopped");
    Ok(())
}
