//! End-to-end tests: the real binary on a loopback port, driven with the real `bao` CLI and with raw HTTP.
//!
//! Each test runs a node of its own in a scratch folder. A missing `bao` fails the tests that need it, with a sentence
//! on how to get it; `scripts/test` installs it. `CONCLAVE_TEST_LONG=1` adds rounds.

#[cfg(test)]
mod add_ons;
#[cfg(test)]
mod attenuation;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod cluster_nodes;
#[cfg(test)]
mod cluster_tunnels;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod compatibility;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod envelope;
#[cfg(test)]
mod foundationdb_library;
#[cfg(test)]
mod guide;
#[cfg(test)]
mod hardening;
#[cfg(test)]
mod kv;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod seal;
#[cfg(test)]
mod seal_administration;
#[cfg(test)]
mod shared_store;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod store_outages;
#[cfg(test)]
mod store_tools;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod transit;
