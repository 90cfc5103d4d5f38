//! Ways into a [`Server`]: the store, and a client beside it.

use std::time::Duration;

use super::server::Server;
use crate::store::postgres::{ConnectionUrl, PostgresOptions, PostgresStore};

impl Server {
    pub(super) fn options(&self) -> PostgresOptions {
        let folder = self.folder.display();
        let url = format!("host={folder} user=conclave dbname=postgres");
        PostgresOptions::new(ConnectionUrl::new(url))
    }

    /// A client beside the store.
    pub(super) async fn client(&self) -> tokio_postgres::Client {
        let url = self.options().url;
        let connected = tokio_postgres::connect(url.expose(), tokio_postgres::NoTls).await;
        let (client, connection) = connected.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Runs a statement, and returns the first field of the first row.
    pub(super) async fn sql(&self, statement: &str) -> Option<String> {
        let answers = self.client().await.simple_query(statement).await.unwrap();
        answers.into_iter().find_map(|answer| match answer {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    }

    /// The store in this server.
    pub(super) async fn store(&self) -> PostgresStore {
        let poll_interval = Duration::from_millis(50);
        PostgresStore::open(&self.options(), poll_interval)
            .await
            .unwrap()
    }
}
