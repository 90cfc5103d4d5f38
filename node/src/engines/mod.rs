//! Secrets engines. To add one:
//!
//! 1. Make a folder beside `kv/` and `transit/`: `mod.rs` with the type that implements [`Engine`] and its path table,
//!    and one file per operation.
//! 2. Give its rows a place in `store/key.rs` ([`Table`](crate::store::key::Table)).
//! 3. Reach rows only through the [`View`](crate::barrier::View) that the constructor is given: it is limited to the mount.
//! 4. Name it in `tenant/mount.rs`, so that `sys/mounts` can mount it.
//! 5. Add its routes to the end-to-end tests and the README's compatibility table.
//!
//! An engine sees a [`Call`] that is already authenticated and allowed, and gives a [`Reply`] or an [`Error`]. It knows
//! nothing of HTTP and chooses no status code.

pub mod kv;
pub mod transit;

use std::fmt;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::fields::Fields;
use crate::store::key::Pseudonym;

/// What the request wants done. POST and PUT are both [`Verb::Write`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// GET.
    Read,
    /// LIST, or GET with `list=true`.
    List,
    /// SCAN, or GET with `scan=true`: all names below, however deep.
    Scan,
    /// POST or PUT.
    Write,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

/// One request to an engine.
#[derive(Debug)]
pub struct Call<'a> {
    /// What to do.
    pub verb: Verb,
    /// Below the mount, without leading slash; for lists with a trailing slash unless empty.
    pub path: &'a str,
    /// Body of writes and patches; query of reads, lists and deletes.
    pub fields: &'a Fields,
    /// The media type of the body, without parameters, in lower case.
    pub content_type: Option<&'a str>,
    /// The caller's token, for per-token storage; `None` for tokens that are not stored.
    pub token: Option<Pseudonym>,
    /// When the request came in.
    pub now: Timestamp,
}

/// Which status class the data goes out with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was done.
    Done,
    /// There is nothing, but there is something to say about it (a deleted version's metadata): 404 with an envelope.
    Missing,
    /// Some item of a batch failed: 400 with an envelope, or the status that the caller asked for.
    BatchFailed(Option<u16>),
}

/// What an engine answers.
pub struct Reply {
    /// Which status class.
    pub outcome: Outcome,
    /// The envelope's `data`, already encoded.
    pub data: Option<Box<RawValue>>,
    /// The envelope's `auth`, already encoded: what a login or a token's creation gives.
    pub auth: Option<Box<RawValue>>,
    /// The envelope's `warnings`.
    pub warnings: Vec<String>,
    /// The envelope's `lease_duration`, in seconds.
    pub lease_duration_s: u64,
}

/// Without data, which is a secret.
impl fmt::Debug for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Reply")
            .field("outcome", &self.outcome)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

impl Reply {
    /// Done, nothing to say.
    pub fn empty() -> Self {
        Self {
            outcome: Outcome::Done,
            data: None,
            auth: None,
            warnings: Vec::new(),
            lease_duration_s: 0,
        }
    }

    /// Done, with data.
    ///
    /// # Errors
    /// [`Error::Bug`] when it cannot be encoded.
    pub fn data(data: &impl Serialize) -> Result<Self, Error> {
        let data = serde_json::value::to_raw_value(data)
            .map_err(|_| Error::Bug("a reply could not be encoded".into()))?;
        Ok(Self {
            data: Some(data),
            ..Self::empty()
        })
    }

    /// The keys of a list; Vault says 404 when there are none.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an empty list.
    pub fn keys(keys: &[String]) -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Keys<'a> {
            keys: &'a [String],
        }
        if keys.is_empty() {
            return Err(Error::not_found());
        }
        Self::data(&Keys { keys })
    }

    /// The same with another status class.
    pub fn with_outcome(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    /// The same with a warning, if there is one.
    pub fn with_warning(mut self, warning: Option<String>) -> Self {
        self.warnings.extend(warning);
        self
    }
}

/// A mounted secrets engine. It owns its view of the barrier and its caches, so dropping it drops its keys.
///
/// Its futures stay on the worker that took the request, so they need not be `Send`.
#[async_trait(?Send)]
pub trait Engine: Send + Sync {
    /// For a write: whether what it writes to exists, which decides between the policy capabilities `create` and
    /// `update`. `None` where the path makes no difference between them.
    ///
    /// # Errors
    /// What the store says.
    async fn exists(&self, call: &Call<'_>) -> Result<Option<bool>, Error>;

    /// Does what the call says.
    ///
    /// # Errors
    /// [`Error::NotFound`] with `unsupported path` for an unknown path, [`Error::UnsupportedOperation`] for a known
    /// path with another verb, and what the operation says.
    async fn handle(&self, call: &Call<'_>) -> Result<Reply, Error>;

    /// Drops what is cached under this name; another node, or another request here, changed it.
    fn forget(&self, name: Pseudonym);
}
