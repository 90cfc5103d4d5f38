//! Tunnels in the format that `wg-quick` reads and writes.
//!
//! Owns [`Config`], its parser and its printer. A peer's name, which WireGuard does not have, stands in a comment
//! `# Name = node-1` in its section. Refuses what it would not carry out, above all commands (`PostUp` and the like): a
//! configuration file must not run programs. Errors name the line and never repeat what may be a key.

mod parse;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use zeroize::Zeroizing;

pub use parse::{ConfigError, MAX_CONFIG_BYTES, Problem};

use crate::key::PrivateKey;
use crate::peer::Peer;
use crate::subnet::Subnet;

/// One end of some tunnels.
#[derive(PartialEq, Eq, Debug)]
pub struct Config {
    /// Who this end is.
    pub private_key: PrivateKey,
    /// UDP port to listen on; any when there is none.
    pub listen_port: Option<u16>,
    /// Addresses inside the tunnel.
    pub addresses: Vec<Subnet>,
    /// Longest packet inside the tunnel in bytes.
    pub mtu: Option<u16>,
    /// The other ends.
    pub peers: Vec<Peer>,
}

impl Config {
    /// The text that `wg-quick` and [`Config::parse`] read. It holds the private key, so it is wiped when dropped.
    pub fn to_text(&self) -> Zeroizing<String> {
        // Longer than any usual file, so that the text is not moved, and left behind, while it grows.
        let mut text = Zeroizing::new(String::with_capacity(1024 + 1024 * self.peers.len()));
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "[Interface]")?;
        writeln!(text, "PrivateKey = {}", *self.private_key.to_base64())?;
        if let Some(port) = self.listen_port {
            writeln!(text, "ListenPort = {port}")?;
        }
        for address in &self.addresses {
            writeln!(text, "Address = {address}")?;
        }
        if let Some(mtu) = self.mtu {
            writeln!(text, "MTU = {mtu}")?;
        }
        for peer in &self.peers {
            writeln!(text, "\n[Peer]\n# Name = {}", peer.name)?;
            writeln!(text, "PublicKey = {}", peer.public_key)?;
            if let Some(key) = &peer.preshared_key {
                writeln!(text, "PresharedKey = {}", *key.to_base64())?;
            }
            if let Some(endpoint) = &peer.endpoint {
                writeln!(text, "Endpoint = {endpoint}")?;
            }
            for subnet in peer.allowed() {
                writeln!(text, "AllowedIPs = {subnet}")?;
            }
            if let Some(seconds) = peer.keepalive_seconds {
                writeln!(text, "PersistentKeepalive = {seconds}")?;
            }
        }
        Ok(())
    }
}
