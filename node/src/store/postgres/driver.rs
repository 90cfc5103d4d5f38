//! The thread that talks to the database. Connections are used from all of the node's threads, but live here, so that
//! none of them waits for a thread that is busy with something else, or ends with it.

use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout_at};

use super::super::StoreError;

/// See the module's documentation. Dropping it ends all connections.
pub(super) struct Driver(Option<Runtime>);

impl Driver {
    pub(super) fn start() -> Result<Self, StoreError> {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("store-postgres")
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
            .map_err(|error| StoreError::Unavailable(format!("no thread: {error}")))
    }

    /// Runs something here and waits for its answer.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let unavailable = |what: &str| StoreError::Unavailable(what.into());
        let runtime = self.0.as_ref().ok_or_else(|| unavailable("it is closed"))?;
        match timeout_at(deadline, runtime.spawn(work)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(unavailable("its thread has ended")),
            Err(_) => Err(unavailable("the database does not answer")),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Waiting for it is not allowed on a thread that serves requests, and there is nothing to wait for.
            runtime.shutdown_background();
        }
    }
}
