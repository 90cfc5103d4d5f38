//! `conclave policy`: says which rule of a token's policies decides a request, and why. The node decides; the caller's token
//! is found as the Vault CLI finds it, the token to be explained comes from a file or standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::client::Client;
use super::output::{self, Format};
use super::{Failure, Session, caller, read_bounded, token_text};
use crate::secret::Secret;

/// The longest Biscuit that nodes accept has 8 KiB.
const MAX_TOKEN_FILE_BYTES: u64 = 16 * 1024;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Say which rule decides what a token may do to a path, and why. Needs `update` on sys/capabilities-explain.
    Explain(Explain),
}

#[derive(Args)]
pub(super) struct Explain {
    /// The path, as policies write it, such as secret/data/app.
    #[arg(long)]
    path: String,
    /// create, read, update, patch, delete, list or scan.
    #[arg(long)]
    operation: String,
    /// A file that holds the token to explain, or '-' for standard input [default: the caller's own token].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The node's URL [default: BAO_ADDR or VAULT_ADDR, else https://127.0.0.1:8200].
    #[arg(long)]
    address: Option<String>,
}

pub(super) fn run(
    command: &Command,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let Command::Explain(explain) = command;
    let named = match &explain.token_file {
        Some(file) => Some(named_token(file, session)?),
        None => None,
    };
    let own = caller::token(None, session)?;
    let client = Client::new(explain.address.as_deref(), own, session.environment)?;
    let body = json!({
        "path": explain.path,
        "operation": explain.operation,
        "token": named.as_ref().map(Secret::expose),
    });
    let answer = client.post("sys/capabilities-explain", &body)?;
    let data = answer.data()?;
    if format == Format::Json {
        output::json(session.output, data)?;
        return Ok(());
    }
    let text = |key: &str| {
        let value = data.get(key).and_then(|value| value.as_str());
        value.unwrap_or("none").to_owned()
    };
    let policies = data.get("policies").and_then(|list| list.as_array());
    let policies: Vec<&str> = policies
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str())
        .collect();
    let allowed = data.get("allowed").and_then(serde_json::Value::as_bool);
    let verdict = if allowed == Some(true) { "yes" } else { "no" };
    let rows = [
        ("allowed".to_owned(), verdict.to_owned()),
        ("reason".to_owned(), text("reason")),
        ("rule".to_owned(), text("rule")),
        ("policies".to_owned(), policies.join(", ")),
    ];
    output::pairs(session.output, &rows)?;
    Ok(())
}

fn named_token(file: &Path, session: &mut Session<'_>) -> Result<Secret<String>, Failure> {
    if file.as_os_str() != "-" {
        let bytes = read_bounded(file, MAX_TOKEN_FILE_BYTES)?;
        return token_text(&bytes, &file.display().to_string());
    }
    let mut bytes = Secret::new(Vec::new());
    (&mut *session.input)
        .take(MAX_TOKEN_FILE_BYTES)
        .read_to_end(bytes.expose_mut())
        .map_err(|error| Failure::Local(format!("standard input: {error}")))?;
    token_text(&bytes, "standard input")
}
