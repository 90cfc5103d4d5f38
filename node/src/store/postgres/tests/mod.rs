//! The contract on a real PostgreSQL, and what happens when that fails.

mod clients;
mod moments;
mod outages;
mod server;
mod servers;

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use self::server::Server;
use crate::store::Store;

/// A store for the contract. Its tests take turns: a transaction of one would be under way in the eyes of another,
/// whose read-only stamps would then be lower than it expects.
async fn store_in_turn() -> (Arc<dyn Store>, MutexGuard<'static, Option<Server>>) {
    static SERVER: Mutex<Option<Server>> = Mutex::const_new(None);
    let mut server = SERVER.lock().await;
    let store = server.get_or_insert_with(Server::start).store().await;
    (Arc::new(store), server)
}

mod contract {
    crate::store::contract::suite!(super::store_in_turn());
}
