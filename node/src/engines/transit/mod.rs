//! Transit: encryption as a service. Keys have versions, are made and used here and do not leave; what they encrypt is
//! kept by the caller.
//!
//! Requests that use keys read an immutable snapshot ([`cache`]) and call pure functions: a warm encrypt sends no message
//! and reads no row. Requests that change keys go through one actor per mount ([`keeper`]). How ciphertexts come about is
//! in [`cipher`], how they are written in [`ciphertext`], and why decrypt has one answer for everything in `decrypt.rs`.
//! One file per operation holds the rest.
//!
//! Types that sign, exports and imports are not here: the names of their types are refused.

mod batch;
mod cache;
mod cipher;
mod ciphertext;
mod config;
mod create;
mod datakey;
mod decrypt;
mod delete;
mod digest;
mod encrypt;
mod flights;
mod hash;
mod hmac;
mod input;
mod keeper;
mod key;
mod key_type;
mod keys;
mod list;
mod loaded;
mod path;
mod random;
mod read;
mod rewrap;
mod rotate;
mod rules;
mod secret_bytes;
mod settings;
mod trim;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::{Addr, ArbiterHandle};
use async_trait::async_trait;

use self::keeper::{Action, Changed, KeyKeeper};
use self::keys::Keys;
use self::path::{KeyName, Route};
use self::read::KeyView;
use super::{Call, Engine, Reply, Verb};
use crate::barrier::View;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::fields::parse_bool;
use crate::id::MountId;
use crate::store::key::Pseudonym;

pub use self::keeper::MAILBOX;

/// The mount option that makes writes to `keys/` answer 204, as Vault 1.x did, instead of 200 with the key.
const LEGACY_KEY_REPLY: &str = "legacy_key_reply";

/// Vault's words where an operation other than decrypting finds no key.
const KEY_NOT_FOUND: &str = "encryption key not found";

/// A mounted transit engine.
pub struct TransitEngine {
    keys: Arc<Keys>,
    keeper: Addr<KeyKeeper>,
    legacy_key_reply: bool,
}

impl TransitEngine {
    /// The engine of the mount that `view` is limited to. Its keeper runs on the thread behind `keepers` until the engine
    /// is dropped.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the option `legacy_key_reply` is no boolean. Other options are not its business.
    pub fn new(
        view: View,
        mount: MountId,
        options: &BTreeMap<String, String>,
        keepers: &ArbiterHandle,
    ) -> Result<Self, Error> {
        let legacy_key_reply = match options.get(LEGACY_KEY_REPLY) {
            None => false,
            Some(text) => parse_bool(text).ok_or_else(|| {
                Error::invalid(LEGACY_KEY_REPLY, "legacy_key_reply is either true or false")
            })?,
        };
        let keys = Arc::new(Keys::new(view)?);
        let keeper = KeyKeeper::start(mount, Arc::clone(&keys), keepers);
        Ok(Self {
            keys,
            keeper,
            legacy_key_reply,
        })
    }

    /// Has the keeper change a key.
    async fn change(
        &self,
        name: KeyName<'_>,
        action: Action,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        keeper::change(&self.keeper, name.as_str(), action, now).await
    }

    /// The answer to a change of a key: the key as it is now.
    fn key_reply(&self, changed: Changed, ignored: Option<String>) -> Result<Reply, Error> {
        let mut reply = match changed.key {
            Some(key) if !self.legacy_key_reply => Reply::data(&KeyView::of(key.policy()))?,
            _ => Reply::empty(),
        };
        reply.warnings = changed.warnings;
        Ok(reply.with_warning(ignored))
    }
}

#[async_trait(?Send)]
impl Engine for TransitEngine {
    /// Encrypting makes a key that does not exist; all other writes are updates.
    async fn exists(&self, call: &Call<'_>) -> Result<Option<bool>, Error> {
        match (Route::parse(call.path), call.verb) {
            (Some(Route::Encrypt(name)), Verb::Write) => {
                let known = self.keys.cached(name).is_some();
                Ok(Some(known || self.keys.confirmed(name).await?.is_some()))
            }
            _ => Ok(None),
        }
    }

    async fn handle(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let Some(route) = Route::parse(call.path) else {
            let message = "1 error occurred:\n\t* unsupported path\n\n";
            return Err(Error::NotFound(Some(message.into())));
        };
        match (route, call.verb) {
            (Route::Encrypt(name), Verb::Write) => encrypt::encrypt(self, name, call).await,
            (Route::Decrypt(name), Verb::Write) => decrypt::decrypt(self, name, call).await,
            (Route::Rewrap(name), Verb::Write) => rewrap::rewrap(self, name, call).await,
            (Route::DataKey(form, name), Verb::Write) => {
                datakey::make(self, form, name, call).await
            }
            (Route::Hmac(name, algorithm), Verb::Write) => {
                hmac::hmac(self, name, algorithm, call).await
            }
            (Route::Hash(algorithm), Verb::Write) => hash::hash(call, algorithm),
            (Route::Random(first, second), Verb::Write) => random::random(call, first, second),
            (Route::Keys, Verb::List) => list::list(self, call).await,
            (Route::Key(name), Verb::Read) => read::read(self, name).await,
            (Route::Key(name), Verb::Write) => create::create(self, name, call).await,
            (Route::Key(name), Verb::Delete) => delete::delete(self, name, call).await,
            (Route::Config(name), Verb::Write) => config::configure(self, name, call).await,
            (Route::Rotate(name), Verb::Write) => rotate::rotate(self, name, call).await,
            (Route::Trim(name), Verb::Write) => trim::trim(self, name, call).await,
            (Route::KeysConfig, Verb::Read) => settings::read_upsert(self).await,
            (Route::KeysConfig, Verb::Write) => settings::write_upsert(self, call).await,
            (Route::CacheConfig, Verb::Read) => settings::read_cache_size(self).await,
            (Route::CacheConfig, Verb::Write) => settings::write_cache_size(self, call).await,
            _ => Err(Error::UnsupportedOperation),
        }
    }

    fn forget(&self, name: Pseudonym) {
        self.keys.cache().forget(name);
    }
}

#[cfg(test)]
mod tests;
