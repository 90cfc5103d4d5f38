//! Sealing: who may open an add-on, and how.
//!
//! Shamir shares combine to the unseal key, which opens the root key, which opens the keyring of data keys:
//!
//! ```text
//! shares -> unseal key -> root key -> keyring (data keys by term) -> rows
//! ```
//!
//! [`SealHandle`] is the way in. Behind it stands one [actor](actor) per add-on, a thin [shell] around pure
//! [ceremonies](state), one for each purpose. What the add-on does once it is open, or no longer, is told through a
//! [`Gate`]; what else shares can be given for is an [act].

mod acknowledge;
pub mod act;
mod actor;
pub mod attempt;
mod authentic;
pub mod config;
mod counters;
mod epoch;
mod faults;
mod floor;
mod gate;
pub mod generate_root;
mod handle;
mod handle_peers;
pub mod handover;
pub mod init;
mod intent;
pub mod keyring;
mod keys;
pub mod lease;
mod limit;
pub mod offline;
pub mod peers;
mod quorum;
pub mod rekey;
pub mod rotate;
mod rows;
mod seal_keys;
mod shamir;
mod share;
mod shell;
#[cfg(test)]
mod sim;
pub mod state;
mod status;
mod switch;
pub mod verification;
mod watch;

pub use self::acknowledge::Acknowledgement;
pub use self::actor::MAILBOX;
pub use self::counters::SealCounters;
pub use self::faults::Faults;
pub use self::gate::{Gate, Publish};
pub use self::handle::{Given, SealHandle, SealParts, SealSettings};
pub use self::init::Initialized;
pub use self::intent::IntentFiles;
pub use self::limit::TryLimits;
pub use self::quorum::Quorum;
pub use self::share::{SHARE_BYTES, Share};
pub use self::state::MAX_PARAMETERS_BYTES;
pub use self::status::{Progress, SealStatus};
