//! [`Gate`]: what an add-on does when its seal opens and closes. The seal knows keys; the tenant knows mounts,
//! policies and tokens.

use async_trait::async_trait;

use crate::barrier::{Rows, Unsealed};
use crate::error::Error;
use crate::secret::Secret;

/// Publishes an add-on as open. Called while a lock is held, so it only swaps a pointer.
pub type Publish = Box<dyn FnOnce() + Send>;

/// The add-on behind a seal.
#[async_trait(?Send)]
pub trait Gate: Send + Sync + 'static {
    /// Loads what the add-on needs; what is returned then publishes it as open. Called before the unseal is acknowledged;
    /// the call may be dropped half-way when it takes too long, and what it returned may be dropped unused, when a seal
    /// came in between. [`Gate::close`] is called after an error.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Conflict`] keep the shares, so that giving any of them again tries again;
    /// other errors end the attempt.
    async fn open(&self, unsealed: Unsealed) -> Result<Publish, Error>;

    /// Writes the first mounts, policies and root token, inside the transaction that initialises the add-on, and
    /// returns the root token. Called again when the transaction is run again; the last call's token is the valid one.
    ///
    /// # Errors
    /// Any error undoes the init.
    async fn found(&self, rows: &mut Rows<'_>) -> Result<Secret<String>, Error>;

    /// A token of the add-on, of which nobody knows yet.
    fn draw_token(&self) -> Secret<String>;

    /// Makes `token` a root token, inside a transaction. Doing it again is no error.
    ///
    /// # Errors
    /// What the store says.
    async fn add_root_token(
        &self,
        rows: &mut Rows<'_>,
        token: &Secret<String>,
    ) -> Result<(), Error>;

    /// Drops every key now. May be called when it is already closed.
    fn close(&self);
}
