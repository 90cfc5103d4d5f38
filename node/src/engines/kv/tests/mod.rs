//! The engine on an in-memory store, through [`Engine::handle`].

mod concurrency;
mod config;
mod data;
mod doubtful;
mod guide;
mod list;
mod metadata;
mod patch;
mod versions;

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::Value;

use super::KvEngine;
use crate::barrier::testing::mount_view;
use crate::clock::Timestamp;
use crate::engines::{Call, Engine, Outcome, Reply, Verb};
use crate::error::Error;
use crate::fields::Fields;
use crate::store::key::Pseudonym;

/// An engine whose clock moves on by a second with each call.
pub(in crate::engines::kv) struct Bench<E> {
    pub(in crate::engines::kv) engine: E,
    now: Cell<Timestamp>,
    pub(in crate::engines::kv) token: Cell<Option<Pseudonym>>,
}

/// What came back: `Ok` for done, `Err` with Vault's status and what it would print otherwise.
pub(in crate::engines::kv) type Answer = Result<Value, (u16, Value)>;

impl<E: Engine> Bench<E> {
    pub(in crate::engines::kv) fn of(engine: E) -> Self {
        Self {
            engine,
            now: Cell::new(Timestamp::from_unix_seconds(1_700_000_000)),
            token: Cell::new(None),
        }
    }

    /// Lets time pass.
    fn wait_s(&self, seconds: i64) {
        let now = self.now.get().unix_seconds() + seconds;
        self.now.set(Timestamp::from_unix_seconds(now));
    }

    pub(in crate::engines::kv) async fn call(
        &self,
        verb: Verb,
        path: &str,
        body: &str,
        content_type: Option<&str>,
    ) -> Result<Reply, Error> {
        self.wait_s(1);
        let fields = Fields::from_json(body.as_bytes()).unwrap();
        let call = Call {
            verb,
            path,
            fields: &fields,
            content_type,
            token: self.token.get(),
            now: self.now.get(),
        };
        self.engine.handle(&call).await
    }

    async fn answer(&self, verb: Verb, path: &str, body: &str) -> Answer {
        let content_type = (verb == Verb::Patch).then_some("application/merge-patch+json");
        judge(self.call(verb, path, body, content_type).await)
    }

    pub(in crate::engines::kv) async fn read(&self, path: &str) -> Answer {
        self.answer(Verb::Read, path, "").await
    }

    pub(in crate::engines::kv) async fn read_with(&self, path: &str, query: &str) -> Answer {
        self.answer(Verb::Read, path, query).await
    }

    pub(in crate::engines::kv) async fn write(&self, path: &str, body: &str) -> Answer {
        self.answer(Verb::Write, path, body).await
    }

    pub(in crate::engines::kv) async fn patch(&self, path: &str, body: &str) -> Answer {
        self.answer(Verb::Patch, path, body).await
    }

    pub(in crate::engines::kv) async fn delete(&self, path: &str) -> Answer {
        self.answer(Verb::Delete, path, "").await
    }

    pub(in crate::engines::kv) async fn list(&self, path: &str, query: &str) -> Answer {
        self.answer(Verb::List, path, query).await
    }

    pub(in crate::engines::kv) async fn scan(&self, path: &str, query: &str) -> Answer {
        self.answer(Verb::Scan, path, query).await
    }

    pub(in crate::engines::kv) async fn exists(&self, path: &str) -> Option<bool> {
        let fields = Fields::default();
        let call = Call {
            verb: Verb::Write,
            path,
            fields: &fields,
            content_type: None,
            token: self.token.get(),
            now: self.now.get(),
        };
        self.engine.exists(&call).await.unwrap()
    }
}

/// What the HTTP layer makes of it.
pub(in crate::engines::kv) fn judge(result: Result<Reply, Error>) -> Answer {
    let text = |message: &str| Value::from(message);
    match result {
        Ok(reply) => {
            let data = reply.data.map_or(Value::Null, |data| {
                serde_json::from_str(data.get()).unwrap()
            });
            match reply.outcome {
                Outcome::Done => Ok(data),
                Outcome::Missing => Err((404, data)),
                Outcome::BatchFailed(_) => unreachable!("kv has no batches"),
            }
        }
        Err(Error::Invalid { message, .. }) => Err((400, text(&message))),
        Err(Error::NotFound(None)) => Err((404, text("[]"))),
        Err(Error::UnsupportedOperation) => Err((405, text("unsupported operation"))),
        Err(Error::UnsupportedMediaType(message)) => Err((415, text(&message))),
        Err(error) => panic!("not an answer of this engine: {error}"),
    }
}

/// The answer to what does not exist.
pub(in crate::engines::kv) fn absent() -> Answer {
    Err((404, Value::from("[]")))
}

/// The answer to a mistake.
pub(in crate::engines::kv) fn refused(message: &str) -> Answer {
    Err((400, Value::from(message)))
}

async fn kv() -> Bench<KvEngine> {
    Bench::of(KvEngine::new(mount_view().await, &BTreeMap::new()).unwrap())
}

async fn strict() -> Bench<KvEngine> {
    let options = BTreeMap::from([("read_deleted".to_owned(), "strict".to_owned())]);
    Bench::of(KvEngine::new(mount_view().await, &options).unwrap())
}

/// The answer's data, of an answer that has a version's data.
fn value(answer: &Answer) -> &Value {
    &answer.as_ref().unwrap()["data"]
}
