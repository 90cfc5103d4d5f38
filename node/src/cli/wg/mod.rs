//! `conclave wg`: WireGuard keys as WireGuard's own tools print them, the tunnels of a running node, and tunnels for
//! hosts that are no nodes, such as those of the database.

mod config;
pub(super) mod show;
#[cfg(test)]
mod tests;
mod up;

use std::io::Read;

use clap::Subcommand;
use conclave_wg::key::{PresharedKey, PrivateKey};
use zeroize::Zeroizing;

use super::output::{self, Format};
use super::{Failure, Session};

/// A key has 44 characters; what is longer than a page is none.
const MAX_KEY_INPUT_BYTES: u64 = 4096;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print a new private key.
    Genkey,
    /// Print a new key for two peers to share beforehand.
    Genpsk,
    /// Read a private key from standard input and print its public half.
    Pubkey,
    /// Print the other end of a node's tunnels, for a host that is no node, as `wg-quick` and `conclave wg up` read it.
    Config(config::Arguments),
    /// Show the tunnels of a running node.
    Show(show::Arguments),
    /// Open tunnels alone, without a node, until told to stop.
    Up(up::Arguments),
}

pub(super) fn run(
    command: &Command,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    match command {
        Command::Genkey => {
            let key = PrivateKey::from_random(session.random.array());
            print("private_key", &key.to_base64(), format, session)
        }
        Command::Genpsk => {
            let key = PresharedKey::from_random(session.random.array());
            print("preshared_key", &key.to_base64(), format, session)
        }
        Command::Pubkey => {
            let key = private_key_from(session.input)?;
            print("public_key", &key.public().to_string(), format, session)
        }
        Command::Config(arguments) => config::run(arguments, session),
        Command::Show(arguments) => show::run(arguments, format, session),
        Command::Up(arguments) => Ok(up::run(arguments)?),
    }
}

fn print(name: &str, key: &str, format: Format, session: &mut Session<'_>) -> Result<(), Failure> {
    match format {
        Format::Table => writeln!(session.output, "{key}")?,
        Format::Json => output::json(session.output, &serde_json::json!({ name: key }))?,
    }
    Ok(())
}

fn private_key_from(input: &mut dyn Read) -> Result<PrivateKey, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_INPUT_BYTES as usize));
    input
        .take(MAX_KEY_INPUT_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| Failure::Local(format!("standard input: {error}")))?;
    text.trim()
        .parse()
        .map_err(|error| Failure::Local(format!("standard input: {error}")))
}
