//! Conclave: a multi-tenant key management service that speaks the HashiCorp Vault / OpenBao HTTP API.
//!
//! The README has the map of the rooms. The binary in `main.rs` is a thin shell around this library, so that tests and
//! benchmarks can reach every room.

mod actor;
pub mod app;
pub mod audit;
pub mod auth;
pub mod barrier;
pub mod cli;
pub mod clock;
pub mod config;
pub mod duration;
pub mod engines;
pub mod error;
pub mod fields;
mod http;
pub mod id;
pub mod membership;
pub mod metrics;
pub mod node;
pub mod peers;
mod private_file;
pub mod rng;
pub mod seal;
pub mod secret;
pub mod store;
pub mod tenant;
pub mod wiping;
