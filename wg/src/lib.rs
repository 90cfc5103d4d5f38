//! Encrypted datagrams between named peers over WireGuard, and an optional TUN interface for kernel traffic.
//!
//! Layers, each knowing only those above it in this list:
//!
//! - [`key`], [`subnet`], [`peer`]: who is who and where;
//! - `tunnel`: the only file that speaks to boringtun; `packet` and [`message`]: what travels inside;
//! - [`device`]: all tunnels of a node, without sockets or timers;
//! - [`transport`]: the trait that the rest of the program uses;
//! - [`udp`]: its implementation, with the actor that owns socket and time; [`interface`]: the optional TUN device;
//! - [`memory`]: another implementation, a network in memory that loses and delays, for tests and simulations;
//! - [`config`]: tunnels as `wg-quick` writes them.
//!
//! Nothing here knows what the messages mean. boringtun reads the clock and the system's randomness itself, so
//! simulations start above [`transport::Transport`]; its `mock-instant` feature must never be enabled.

pub mod clock;
pub mod config;
#[cfg(test)]
mod contract;
pub mod device;
pub mod interface;
pub mod key;
pub mod memory;
pub mod message;
mod packet;
pub mod peer;
pub mod subnet;
pub mod transport;
mod tunnel;
pub mod udp;
