//! The engine as its callers see it: one call, one reply, on an in-memory store that counts what is asked of it.

mod auto_rotate;
mod batches;
mod changes;
mod ciphertexts;
mod concurrency;
mod counting;
mod enumeration;
mod keyless;
mod two_nodes;

use std::sync::Arc;

use actix::Arbiter;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use self::counting::{CountingStore, Counts};
use super::*;
use crate::barrier::testing::mount_view;
use crate::engines::Outcome;
use crate::fields::Fields;
use crate::store::key::Scope;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

/// A mounted engine.
struct Mounted {
    engine: TransitEngine,
    view: View,
    counts: Arc<Counts>,
}

impl Mounted {
    async fn new() -> Self {
        Self::with_options(&[]).await
    }

    async fn with_options(options: &[(&str, &str)]) -> Self {
        let view = mount_view().await;
        let counts = Arc::new(Counts::default());
        let store = CountingStore::around(Arc::clone(view.store()), Arc::clone(&counts));
        let view = View::new(Arc::new(store), Arc::clone(view.unsealed()), view.scope());
        let options = options
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self {
            engine: engine(&view, &options),
            view,
            counts,
        }
    }

    /// The same mount on another node: the same store, other memory, and no gossip between them.
    fn other_node(&self) -> Self {
        Self {
            engine: engine(&self.view, &BTreeMap::new()),
            view: self.view.clone(),
            counts: Arc::clone(&self.counts),
        }
    }

    async fn call(
        &self,
        verb: Verb,
        path: &str,
        fields: Value,
        now: Timestamp,
    ) -> Result<Reply, Error> {
        let fields = Fields::from_json(fields.to_string().as_bytes())?;
        let call = Call {
            verb,
            path,
            fields: &fields,
            content_type: None,
            token: None,
            now,
        };
        self.engine.handle(&call).await
    }

    async fn write(&self, path: &str, fields: Value) -> Result<Reply, Error> {
        self.call(Verb::Write, path, fields, NOW).await
    }

    async fn read(&self, path: &str) -> Result<Reply, Error> {
        self.call(Verb::Read, path, json!({}), NOW).await
    }

    /// Writes, and returns the data of the reply.
    #[track_caller]
    fn done(&self, path: &str, fields: Value) -> impl Future<Output = Value> {
        let place = std::panic::Location::caller();
        async move {
            let reply = self.write(path, fields).await;
            data(reply.unwrap_or_else(|error| panic!("{place}: {path}: {error}")))
        }
    }

    /// Writes, and returns why that was refused.
    #[track_caller]
    fn refused(&self, path: &str, fields: Value) -> impl Future<Output = String> {
        let place = std::panic::Location::caller();
        async move {
            match self.write(path, fields).await {
                Err(error @ Error::Invalid { .. }) => error.to_string(),
                other => panic!("{place}: {path}: {other:?}"),
            }
        }
    }

    async fn encrypt(&self, key: &str, plaintext: &str) -> String {
        let fields = json!({ "plaintext": base64(plaintext) });
        let data = self.done(&format!("encrypt/{key}"), fields).await;
        data["ciphertext"].as_str().unwrap().to_owned()
    }

    async fn decrypt(&self, key: &str, ciphertext: &str) -> Result<String, String> {
        let path = format!("decrypt/{key}");
        match self.write(&path, json!({ "ciphertext": ciphertext })).await {
            Ok(reply) => {
                let plaintext = data(reply)["plaintext"].as_str().unwrap().to_owned();
                Ok(String::from_utf8(STANDARD.decode(plaintext).unwrap()).unwrap())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    async fn exists(&self, verb: Verb, path: &str) -> Option<bool> {
        let call = Call {
            verb,
            path,
            fields: &Fields::default(),
            content_type: None,
            token: None,
            now: NOW,
        };
        self.engine.exists(&call).await.unwrap()
    }
}

fn engine(view: &View, options: &BTreeMap<String, String>) -> TransitEngine {
    let Scope::Mount(_, mount) = view.scope() else {
        panic!("not a mount");
    };
    TransitEngine::new(view.clone(), mount, options, &Arbiter::current()).unwrap()
}

fn data(reply: Reply) -> Value {
    reply.data.map_or(Value::Null, |data| {
        serde_json::from_str(data.get()).unwrap()
    })
}

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}
