//! [`Observed`]: a store that counts what the one below does, for the operator's metrics: whether it answers, how long its
//! operations take, and which of them fail how. It changes nothing of what passes through.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

use super::key::{Key, KeyRange};
use super::{Change, Properties, Row, Stamp, Store, StoreError, Transaction};
use crate::clock::Clock;
use crate::error::Error;

/// Upper bounds of the latency buckets, in seconds: from a row in memory to a server that does not answer.
const LATENCY_BUCKETS_S: [f64; 12] = [
    0.000_01, 0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0,
];

/// What a store's operations cost, in Prometheus' terms. The labels come from small fixed sets.
pub struct StoreMetrics {
    registry: Registry,
    up: IntGauge,
    begin: Operation,
    read: Operation,
    commit: Operation,
    changes: Operation,
}

/// One kind of operation. Its histogram is looked up once, not at each use.
struct Operation {
    name: &'static str,
    seconds: Histogram,
    errors: IntCounterVec,
}

/// See the module.
pub struct Observed {
    inner: Arc<dyn Store>,
    watch: Watch,
}

#[derive(Clone)]
struct Watch {
    metrics: Arc<StoreMetrics>,
    clock: Arc<dyn Clock>,
}

struct ObservedTransaction {
    inner: Box<dyn Transaction>,
    watch: Watch,
}

impl StoreMetrics {
    /// Metrics that count from zero, of a store that is up.
    ///
    /// # Errors
    /// [`Error::Bug`] when the library refuses a name.
    pub fn new() -> Result<Self, Error> {
        Self::build().map_err(|error| Error::Bug(format!("metrics: {error}")))
    }

    fn build() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let up = IntGauge::with_opts(Opts::new(
            "conclave_store_up",
            "1 while the store answers, 0 after an operation that found it unavailable.",
        ))?;
        let seconds = HistogramOpts::new(
            "conclave_store_operation_seconds",
            "Seconds that an operation of the store took, failed ones included.",
        );
        let seconds =
            HistogramVec::new(seconds.buckets(LATENCY_BUCKETS_S.to_vec()), &["operation"])?;
        let errors = IntCounterVec::new(
            Opts::new(
                "conclave_store_errors_total",
                "Operations of the store that failed, by operation and kind.",
            ),
            &["operation", "kind"],
        )?;
        registry.register(Box::new(up.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(errors.clone()))?;
        let operation = |name| Operation {
            name,
            seconds: seconds.with_label_values(&[name]),
            errors: errors.clone(),
        };
        up.set(1);
        Ok(Self {
            registry,
            up,
            begin: operation("begin"),
            read: operation("read"),
            commit: operation("commit"),
            changes: operation("changes"),
        })
    }

    /// Where the metrics are registered, to be gathered together with others.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Everything as text, for a scrape.
    ///
    /// # Errors
    /// [`Error::Bug`] when the library cannot encode it.
    pub fn text(&self) -> Result<String, Error> {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .map_err(|error| Error::Bug(format!("metrics: {error}")))
    }

    fn failed(&self, operation: &Operation, error: &StoreError) {
        let kind = match error {
            StoreError::Conflict => "conflict",
            StoreError::MaybeCommitted(_) => "maybe_committed",
            StoreError::Unavailable(_) => "unavailable",
            StoreError::TooLarge(_) => "too_large",
            StoreError::Corrupt(_) => "corrupt",
            StoreError::Misuse(_) => "misuse",
        };
        operation
            .errors
            .with_label_values(&[operation.name, kind])
            .inc();
        if matches!(
            error,
            StoreError::Unavailable(_) | StoreError::MaybeCommitted(_)
        ) {
            self.up.set(0);
        }
    }
}

impl Observed {
    /// `inner`, counted in `metrics`.
    pub fn new(inner: Arc<dyn Store>, metrics: Arc<StoreMetrics>, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            watch: Watch { metrics, clock },
        }
    }
}

impl Watch {
    /// Counts what asked the store itself; only that shows that it is up.
    async fn asked<T>(
        &self,
        which: impl Fn(&StoreMetrics) -> &Operation,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let started = self.clock.since_boot();
        let outcome = work.await;
        let elapsed: Duration = self.clock.since_boot().saturating_sub(started);
        let operation = which(&self.metrics);
        operation.seconds.observe(elapsed.as_secs_f64());
        match &outcome {
            Ok(_) => self.metrics.up.set(1),
            Err(error) => self.metrics.failed(operation, error),
        }
        outcome
    }
}

#[async_trait]
impl Store for Observed {
    fn properties(&self) -> Properties {
        self.inner.properties()
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        // Some stores begin without asking anybody, so a success says nothing.
        let inner = self.inner.begin().await.inspect_err(|error| {
            let metrics = &self.watch.metrics;
            metrics.failed(&metrics.begin, error);
        })?;
        Ok(Box::new(ObservedTransaction {
            inner,
            watch: self.watch.clone(),
        }))
    }

    async fn moment(&self) -> Result<Option<Box<dyn Transaction>>, StoreError> {
        self.inner.moment().await
    }

    async fn changes_after(&self, after: Stamp, limit: usize) -> Result<Vec<Change>, StoreError> {
        let work = self.inner.changes_after(after, limit);
        self.watch.asked(|metrics| &metrics.changes, work).await
    }

    async fn wait_for_change(&self, after: Stamp) -> Result<(), StoreError> {
        self.inner.wait_for_change(after).await
    }

    async fn trim_changes(&self, before: Stamp) -> Result<(), StoreError> {
        let work = self.inner.trim_changes(before);
        self.watch.asked(|metrics| &metrics.commit, work).await
    }
}

#[async_trait]
impl Transaction for ObservedTransaction {
    async fn get(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        let work = self.inner.get(key);
        self.watch.asked(|metrics| &metrics.read, work).await
    }

    async fn range(
        &mut self,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        let work = self.inner.range(range, limit, reverse);
        self.watch.asked(|metrics| &metrics.read, work).await
    }

    fn set(&mut self, key: &Key, value: &[u8]) {
        self.inner.set(key, value);
    }

    fn clear(&mut self, key: &Key) {
        self.inner.clear(key);
    }

    fn clear_range(&mut self, range: &KeyRange) {
        self.inner.clear_range(range);
    }

    fn add(&mut self, key: &Key, delta: i64) {
        self.inner.add(key, delta);
    }

    fn set_stamp(&mut self, key: &Key) {
        self.inner.set_stamp(key);
    }

    fn append_change(&mut self, record: &[u8]) {
        self.inner.append_change(record);
    }

    async fn commit(self: Box<Self>) -> Result<Stamp, StoreError> {
        let Self { inner, watch } = *self;
        watch.asked(|metrics| &metrics.commit, inner.commit()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::store::contract::Room;
    use crate::store::contract::doubt::{Doubtful, Fate};
    use crate::store::embedded::EmbeddedStore;

    fn observed(inner: Arc<dyn Store>) -> (Arc<dyn Store>, Arc<StoreMetrics>) {
        let metrics = Arc::new(StoreMetrics::new().unwrap());
        let store = Observed::new(inner, Arc::clone(&metrics), Arc::new(SystemClock));
        (Arc::new(store), metrics)
    }

    /// The contract is kept through it.
    mod contract {
        async fn store() -> (std::sync::Arc<dyn super::Store>, ()) {
            let store = super::EmbeddedStore::in_memory().unwrap();
            (super::observed(std::sync::Arc::new(store)).0, ())
        }
        crate::store::contract::suite!(store());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn operations_and_failures_are_counted_by_kind() {
        let doubtful = Arc::new(Doubtful::new(Arc::new(EmbeddedStore::in_memory().unwrap())));
        let (store, metrics) = observed(Arc::clone(&doubtful) as _);
        let room = Room::new(store);
        doubtful.plan(&[Fate::Conflict]);
        let mut transaction = room.begin().await;
        transaction.set(&room.row(1), b"x");
        transaction.commit().await.unwrap_err();
        let has = |line: &str| {
            let text = metrics.text().unwrap();
            assert!(text.contains(line), "no {line} in {text}");
        };
        // A lost race says that the store is there.
        has("conclave_store_up 1");
        has(r#"conclave_store_errors_total{kind="conflict",operation="commit"} 1"#);
        doubtful.plan(&[Fate::LostInDoubt]);
        let mut transaction = room.begin().await;
        transaction.set(&room.row(1), b"x");
        transaction.commit().await.unwrap_err();
        has("conclave_store_up 0");
        has(r#"conclave_store_errors_total{kind="maybe_committed",operation="commit"} 1"#);
        has(r#"conclave_store_operation_seconds_count{operation="commit"} 2"#);
        room.read(1).await;
        has("conclave_store_up 1");
        has(r#"conclave_store_operation_seconds_count{operation="read"} 1"#);
    }
}
