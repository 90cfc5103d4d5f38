//! The command line: `conclave server`, `addon`, `cluster`, `kms`, `policy`, `store`, `token`, `wg` and `version`.
//!
//! Commands print a table for people and JSON for programs (`--format json`). Exit codes are the Vault CLI's: 0 done,
//! 1 wrong usage or something on this machine, 2 the node said no or there is nothing. Secrets are never taken from
//! arguments, which other users of a machine can see: tokens come from the environment, a file or standard input.
//!
//! Nothing here asks the system for its environment, time or streams: `main.rs` hands them in.

mod addon;
mod caller;
mod client;
mod cluster;
mod environment;
mod kms;
mod operator;
mod output;
mod policy;
mod server;
mod store;
#[cfg(test)]
mod tests;
mod token;
mod wg;

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use clap::{Parser, Subcommand};

use self::output::Format;
use crate::clock::Clock;
use crate::error::Error;
use crate::rng::OsRandom;
use crate::secret::Secret;

pub use self::environment::Environment;

/// A multi-tenant key management service that speaks the Vault HTTP API.
#[derive(Parser)]
#[command(name = "conclave")]
struct Arguments {
    /// How to print: table or json.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node.
    Server(server::Arguments),
    /// Make, list, show and delete add-ons.
    Addon(addon::Arguments),
    /// Make the folders of a new cluster, and look at a running one.
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// List, read and write the key-value secrets of an add-on.
    Kms(kms::Arguments),
    /// Say why a token may do something or not.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Look into tokens and narrow them, offline.
    #[command(subcommand)]
    Token(token::Command),
    /// WireGuard keys and tunnels.
    #[command(subcommand)]
    Wg(wg::Command),
    /// Copy, back up, restore and check a store.
    #[command(subcommand)]
    Store(store::Command),
    /// Print the version.
    Version,
}

/// What a command works with, besides its arguments.
pub struct Session<'a> {
    /// The variables it may look at.
    pub environment: &'a Environment,
    /// Standard input, for secrets.
    pub input: &'a mut dyn Read,
    /// Standard output, for what was asked for.
    pub output: &'a mut dyn Write,
    /// Standard error, for what went wrong.
    pub errors: &'a mut dyn Write,
    /// Whether a person sits at a terminal: input comes from it, and errors are shown on it.
    pub is_terminal: bool,
    /// When tokens are made and until when they are good.
    pub clock: &'a dyn Clock,
    /// What keys and tokens are made of.
    pub random: &'a OsRandom,
}

/// Why a command failed, which decides its exit code.
#[derive(Debug)]
enum Failure {
    /// Wrong usage, or something on this machine.
    Local(String),
    /// The node said no, cannot be reached, or there is nothing.
    Remote(String),
}

impl Failure {
    fn local(reason: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self::Local(reason.into().to_string())
    }

    fn remote(reason: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self::Remote(reason.into().to_string())
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Local(_) => 1,
            Self::Remote(_) => 2,
        }
    }
}

/// Errors of this program's own rooms are about this machine: its files, its arguments.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::local(error)
    }
}

/// Output that cannot be written, to a pipe whose reader is gone for one.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Local(format!("cannot write the output: {error}"))
    }
}

/// Runs the command that `arguments` (the program's name first) ask for, and gives its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, session: &mut Session<'_>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(refusal) => {
            let is_help = !refusal.use_stderr();
            let stream = if is_help {
                &mut session.output
            } else {
                &mut session.errors
            };
            // A closed stream leaves nobody to tell.
            let _ = write!(stream, "{refusal}");
            return u8::from(!is_help);
        }
    };
    let format = arguments.format;
    let result = match arguments.command {
        Command::Server(arguments) => server::run(&arguments, session),
        Command::Addon(arguments) => addon::run(&arguments, format, session),
        Command::Cluster(command) => cluster::run(&command, format, session),
        Command::Kms(arguments) => kms::run(&arguments, format, session),
        Command::Policy(command) => policy::run(&command, format, session),
        Command::Token(command) => token::run(&command, format, session),
        Command::Wg(command) => wg::run(&command, format, session),
        Command::Store(command) => store::run(&command, format, session),
        Command::Version => version(format, session),
    };
    match result {
        Ok(()) => 0,
        Err(failure) => {
            let (Failure::Local(message) | Failure::Remote(message)) = &failure;
            let _ = writeln!(session.errors, "conclave: {message}");
            failure.exit_code()
        }
    }
}

/// A small file that may hold a secret.
fn read_bounded(file: &Path, most_bytes: u64) -> Result<Secret<Vec<u8>>, Failure> {
    let unreadable = |why: &dyn fmt::Display| Failure::Local(format!("{}: {why}", file.display()));
    let opened = File::open(file).map_err(|error| unreadable(&error))?;
    let mut bytes = Secret::new(Vec::new());
    let read = opened
        .take(most_bytes.saturating_add(1))
        .read_to_end(bytes.expose_mut())
        .map_err(|error| unreadable(&error))?;
    if u64::try_from(read).unwrap_or(u64::MAX) > most_bytes {
        return Err(unreadable(&format_args!(
            "is larger than {most_bytes} bytes"
        )));
    }
    Ok(bytes)
}

/// The one word in `bytes`, which is a token: without line end and spaces around it.
fn token_text(bytes: &Secret<Vec<u8>>, origin: &str) -> Result<Secret<String>, Failure> {
    let text = std::str::from_utf8(bytes.expose()).map_or("", str::trim);
    if text.is_empty() || text.contains(char::is_whitespace) {
        return Err(Failure::Local(format!("{origin} does not hold a token")));
    }
    Ok(Secret::new(text.to_owned()))
}

fn version(format: Format, session: &mut Session<'_>) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    match format {
        Format::Table => writeln!(session.output, "Conclave v{version}")?,
        Format::Json => output::json(session.output, &serde_json::json!({ "version": version }))?,
    }
    Ok(())
}
