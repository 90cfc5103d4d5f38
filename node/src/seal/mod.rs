//! Sealing: who may open an add-on, and how.
//!
//! Shamir shares combine to the unseal key, which opens the root key, which opens the keyring of data keys:
//!
//! ```text
//! shares -> unseal key -> root key -> keyring (data keys by term) -> rows
//! ```
//!
//! [`SealHandle`] is the way in. Behind it stands one [actor](actor) per add-on, a thin shell around the pure
//! [ceremony](state). What the add-on does once it is open, or no longer, is told through a [`Gate`].

pub mod actor;
pub mod attempt;
mod authentic;
pub mod config;
pub mod epoch;
pub mod gate;
pub mod handle;
pub mod init;
pub mod keyring;
pub mod keys;
pub mod limit;
pub mod quorum;
pub mod shamir;
pub mod share;
mod shell;
pub mod state;
pub mod status;

pub use self::gate::Gate;
pub use self::handle::{SealHandle, SealParts, SealSettings};
pub use self::init::Initialized;
pub use self::quorum::Quorum;
pub use self::share::Share;
pub use self::status::SealStatus;
