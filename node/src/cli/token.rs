//! `conclave token`: looks into Biscuits and narrows them. Needs no node; the token comes from `BAO_TOKEN` or
//! `VAULT_TOKEN`, a file, or standard input.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::{self, Format};
use super::{Failure, Session, read_bounded, token_text};
use crate::auth::biscuit::{Attenuation, MAX_TEXT_BYTES, OperatorPublicKey, attenuate, inspect};
use crate::duration::GoDuration;
use crate::secret::Secret;

/// A key file or a token file, with room for comments and line ends.
const MAX_FILE_BYTES: u64 = 2 * MAX_TEXT_BYTES as u64;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print what a token says: whose it is, until when it is good, how it was narrowed.
    Inspect {
        #[command(flatten)]
        source: Source,
        /// The operator's public key (ed25519/<hex>) or a file that holds it, to check the signatures.
        #[arg(long, value_name = "KEY")]
        operator_public_key: Option<String>,
    },
    /// Print a narrower token: good for less than the one given, which stays good.
    Attenuate {
        #[command(flatten)]
        source: Source,
        /// Only this path; may be repeated. '*' at the end is any rest, '+' any one segment.
        #[arg(long = "path")]
        paths: Vec<String>,
        /// Only this operation (read, list, scan, update, patch, delete); may be repeated.
        #[arg(long = "operation")]
        operations: Vec<String>,
        /// Only for this long, such as 90s or 1h.
        #[arg(long)]
        ttl: Option<String>,
    },
}

/// Where the token comes from.
#[derive(Args)]
pub(super) struct Source {
    /// A file that holds the token, or '-' for standard input [default: BAO_TOKEN or VAULT_TOKEN].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(super) fn run(
    command: &Command,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    match command {
        Command::Inspect {
            source,
            operator_public_key,
        } => {
            let token = source.token(session)?;
            let key = operator_public_key.as_deref().map(public_key).transpose()?;
            let inspection = inspect(token.expose(), key.as_ref())?;
            match format {
                Format::Json => output::json(session.output, &inspection)?,
                Format::Table => output::pairs(session.output, &inspection.rows())?,
            }
        }
        Command::Attenuate {
            source,
            paths,
            operations,
            ttl,
        } => {
            let token = source.token(session)?;
            let attenuation = Attenuation {
                paths: paths.clone(),
                operations: operations.clone(),
                ttl: ttl.as_deref().map(lifetime).transpose()?,
            };
            let narrowed = attenuate(
                session.random,
                token.expose(),
                &attenuation,
                session.clock.now(),
            )?;
            match format {
                Format::Json => {
                    output::json(session.output, &json!({ "token": narrowed.expose() }))?;
                }
                Format::Table => writeln!(session.output, "{}", narrowed.expose())?,
            }
        }
    }
    Ok(())
}

impl Source {
    fn token(&self, session: &mut Session<'_>) -> Result<Secret<String>, Failure> {
        match &self.token_file {
            Some(file) if file.as_os_str() == "-" => {
                let mut bytes = Secret::new(Vec::new());
                (&mut *session.input)
                    .take(MAX_FILE_BYTES)
                    .read_to_end(bytes.expose_mut())
                    .map_err(|error| Failure::Local(format!("standard input: {error}")))?;
                token_text(&bytes, "standard input")
            }
            Some(file) => {
                let bytes = read_bounded(file, MAX_FILE_BYTES)?;
                token_text(&bytes, &file.display().to_string())
            }
            None => session
                .environment
                .vault("TOKEN")
                .map(|token| Secret::new(token.trim().to_owned()))
                .ok_or_else(|| Failure::local("no token: set VAULT_TOKEN, or give --token-file")),
        }
    }
}

fn lifetime(text: &str) -> Result<Duration, Failure> {
    GoDuration::parse("ttl", text)
        .ok()
        .and_then(GoDuration::unsigned)
        .ok_or_else(|| {
            Failure::Local(format!(
                "--ttl {text:?} is not a duration such as 90s or 1h"
            ))
        })
}

/// A public key as text, or the text of a file that holds one.
fn public_key(text: &str) -> Result<OperatorPublicKey, Failure> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let bytes = read_bounded(text.as_ref(), MAX_FILE_BYTES)?;
    let content = std::str::from_utf8(bytes.expose()).map_or("", str::trim);
    Ok(content.parse()?)
}
