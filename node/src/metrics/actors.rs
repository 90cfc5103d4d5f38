//! How many messages wait for actors of each kind, or are being worked on: the depth of their mailboxes as their senders
//! see it, since actix does not tell.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, proto::MetricFamily};

use crate::error::Error;

/// By kind of actor: a handful.
static KINDS: Mutex<BTreeMap<&'static str, Arc<Kind>>> = Mutex::new(BTreeMap::new());

#[derive(Default)]
struct Kind {
    waiting: AtomicI64,
    refused: AtomicU64,
}

/// A message on its way to an actor and back.
pub struct Asking(Arc<Kind>);

impl Asking {
    /// A message to an actor of type `A`.
    pub fn of<A>() -> Self {
        let name = std::any::type_name::<A>();
        let name = name.rsplit("::").next().unwrap_or(name);
        let kind = Arc::clone(KINDS.lock().entry(name).or_default());
        kind.waiting.fetch_add(1, Ordering::Relaxed);
        Self(kind)
    }

    /// There was no room for it.
    pub fn refused(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Shows the counts.
pub(super) struct ActorCollector {
    waiting: IntGaugeVec,
    refused: IntCounterVec,
}

impl ActorCollector {
    pub(super) fn new() -> Result<Self, Error> {
        let waiting = Opts::new(
            "conclave_actor_messages",
            "Messages that wait in mailboxes or are being worked on.",
        );
        let refused = Opts::new(
            "conclave_actor_refused_total",
            "Messages that found a mailbox full.",
        );
        Ok(Self {
            waiting: IntGaugeVec::new(waiting, &["actor"]).map_err(super::refused)?,
            refused: IntCounterVec::new(refused, &["actor"]).map_err(super::refused)?,
        })
    }
}

impl Collector for ActorCollector {
    fn desc(&self) -> Vec<&Desc> {
        [self.waiting.desc(), self.refused.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.refused.reset();
        for (name, kind) in KINDS.lock().iter() {
            let waiting = kind.waiting.load(Ordering::Relaxed);
            self.waiting.with_label_values(&[name]).set(waiting);
            let refused = kind.refused.load(Ordering::Relaxed);
            self.refused.with_label_values(&[name]).inc_by(refused);
        }
        [self.waiting.collect(), self.refused.collect()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pretended;

    #[test]
    fn messages_count_until_they_are_answered() {
        let one = Asking::of::<Pretended>();
        let two = Asking::of::<Pretended>();
        two.refused();
        drop(two);
        let families = ActorCollector::new().unwrap().collect();
        let value = |family: usize| {
            let metrics = families[family].get_metric();
            let metric = metrics
                .iter()
                .find(|metric| metric.get_label()[0].value() == "Pretended");
            let metric = metric.unwrap();
            metric.get_gauge().get_value() + metric.get_counter().get_value()
        };
        assert_eq!((value(0), value(1)), (1.0, 1.0));
        drop(one);
    }
}
