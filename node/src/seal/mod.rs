//! Sealing: who may open an add-on, and how.

pub mod keyring;
