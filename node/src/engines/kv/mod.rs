//! KV v2: versioned secrets under `data/`, what is known about them under `metadata/`.
//!
//! A secret is one metadata row ([`metadata`]) and one row per version; its path appears only as a pseudonym, and in the
//! index of names for lists. A read is these two rows and nothing more, in one transaction, so it is never older than the
//! last acknowledged write. Everything that changes something runs exactly once, also when a commit was in doubt.
//!
//! Where it differs from Vault on purpose: an unversioned request means the latest *live* version, unless the mount was
//! made with the option `read_deleted = "strict"`.
//!
//! The unversioned engines, KV v1 and cubbyhole, are in [`plain`].

mod config;
mod delete_data;
mod delete_metadata;
mod detailed;
mod json;
mod list;
mod metadata;
mod patch_data;
mod path;
pub mod plain;
mod read_data;
mod read_metadata;
mod reply;
mod rows;
mod subkeys;
#[cfg(test)]
mod tests;
mod turns;
mod versions;
mod write_data;
mod write_metadata;

use std::collections::BTreeMap;

use async_trait::async_trait;

use self::metadata::ReadDeleted;
use self::path::SecretPath;
use self::rows::SecretRows;
use self::turns::Turns;
use self::versions::Change;
use super::{Call, Engine, Outcome, Reply, Verb};
use crate::barrier::View;
use crate::error::Error;
use crate::store::key::Pseudonym;

/// The mount option that decides what an unversioned request means: `live` (the default) or `strict`.
const READ_DELETED: &str = "read_deleted";

/// A mounted KV v2 engine. It keeps no secret in memory, so there is nothing that could be stale.
pub struct KvEngine {
    view: View,
    mode: ReadDeleted,
    turns: Turns,
}

impl KvEngine {
    /// The engine of the mount that `view` is limited to.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the option `read_deleted` is neither `live` nor `strict`. Other options are not its
    /// business.
    pub fn new(view: View, options: &BTreeMap<String, String>) -> Result<Self, Error> {
        let mode = match options.get(READ_DELETED).map(String::as_str) {
            None | Some("live") => ReadDeleted::Live,
            Some("strict") => ReadDeleted::Strict,
            Some(_) => {
                return Err(Error::invalid(
                    READ_DELETED,
                    "read_deleted is either \"live\" or \"strict\"",
                ));
            }
        };
        Ok(Self {
            view,
            mode,
            turns: Turns::default(),
        })
    }
}

/// The path table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Route<'p> {
    Config,
    Data(&'p str),
    Metadata(&'p str),
    DetailedMetadata(&'p str),
    Versions(Change, &'p str),
    Subkeys(&'p str),
    /// A path as of an unversioned engine.
    Unversioned,
}

impl<'p> Route<'p> {
    fn of(path: &'p str) -> Self {
        if path == "config" {
            return Self::Config;
        }
        match path.split_once('/') {
            Some(("data", path)) => Self::Data(path),
            Some(("metadata", path)) => Self::Metadata(path),
            Some(("detailed-metadata", path)) => Self::DetailedMetadata(path),
            Some(("delete", path)) => Self::Versions(Change::Delete, path),
            Some(("undelete", path)) => Self::Versions(Change::Undelete, path),
            Some(("destroy", path)) => Self::Versions(Change::Destroy, path),
            Some(("subkeys", path)) => Self::Subkeys(path),
            _ => Self::Unversioned,
        }
    }

    /// The secret that a write to this route changes.
    fn written(self) -> Option<&'p str> {
        match self {
            Self::Data(path) | Self::Metadata(path) | Self::Versions(_, path) => Some(path),
            Self::Config | Self::DetailedMetadata(_) | Self::Subkeys(_) | Self::Unversioned => None,
        }
    }
}

#[async_trait(?Send)]
impl Engine for KvEngine {
    async fn exists(&self, call: &Call<'_>) -> Result<Option<bool>, Error> {
        let (Route::Data(path) | Route::Metadata(path)) = Route::of(call.path) else {
            return Ok(None);
        };
        // Of what can never be written nobody learns here why: first comes the policy, then `handle`.
        let Ok(path) = SecretPath::writable(path) else {
            return Ok(None);
        };
        if call.verb != Verb::Write {
            return Ok(None);
        }
        self.view
            .run(async |rows| SecretRows::new(rows, path).exists().await)
            .await
            .map(Some)
    }

    async fn handle(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let route = Route::of(call.path);
        let _turn = match (route.written(), call.verb) {
            (Some(path), Verb::Write | Verb::Patch | Verb::Delete) => self.turns.wait(path).await,
            _ => None,
        };
        match (route, call.verb) {
            (Route::Config, Verb::Read) => config::read(self).await,
            (Route::Config, Verb::Write) => config::write(self, call).await,

            (Route::Data(path), Verb::Read) => read_data::read(self, call, path).await,
            (Route::Data(path), Verb::Write) => write_data::write(self, call, path).await,
            (Route::Data(path), Verb::Patch) => patch_data::patch(self, call, path).await,
            (Route::Data(path), Verb::Delete) => delete_data::delete(self, call, path).await,

            (Route::Versions(change, path), Verb::Write) => {
                versions::change(self, call, change, path).await
            }

            (Route::Metadata(path), Verb::Read) => read_metadata::read(self, path).await,
            (Route::Metadata(path), Verb::Write) => write_metadata::write(self, call, path).await,
            (Route::Metadata(path), Verb::Patch) => write_metadata::patch(self, call, path).await,
            (Route::Metadata(path), Verb::Delete) => {
                delete_metadata::delete(self, call, path).await
            }
            (Route::Metadata(path), Verb::List) => list::list(&self.view, call, path).await,
            (Route::Metadata(path), Verb::Scan) => list::scan(&self.view, call, path).await,

            (Route::DetailedMetadata(path), Verb::List) => detailed::list(self, call, path).await,
            (Route::DetailedMetadata(path), Verb::Scan) => detailed::scan(self, call, path).await,

            (Route::Subkeys(path), Verb::Read) => subkeys::read(self, call, path).await,

            (Route::Unversioned, verb) => Ok(hint(verb)),
            _ => Err(Error::UnsupportedOperation),
        }
    }

    fn forget(&self, _name: Pseudonym) {}
}

/// What somebody is told who takes the mount for an unversioned one. Clients search for this text.
fn hint(verb: Verb) -> Reply {
    let command = match verb {
        Verb::Read => "get",
        Verb::List => "list",
        Verb::Scan => "scan",
        Verb::Write => "put",
        Verb::Patch => "patch",
        Verb::Delete => "delete",
    };
    let text = format!(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. \
         If using the Vault CLI, use 'vault kv {command}' for this operation."
    );
    Reply::empty()
        .with_outcome(Outcome::Missing)
        .with_warning(Some(text))
}
