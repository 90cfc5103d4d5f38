//! `conclave kms`: the guide's Clever Tools commands for key-value secrets, over HTTP with the user token.
//!
//! A secret is created by a POST on `secret/data/NAME` with `cas` 0 and changed by a PATCH, so creating never overwrites and
//! changing never creates.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use ureq::http::StatusCode;

use super::client::{Answer, Client, encode_path};
use super::output::{self, Format};
use super::{Failure, Session, caller};

/// The largest value taken from standard input; nodes accept 32 MiB with everything around it.
const MAX_INPUT_BYTES: u64 = 16 * 1024 * 1024;
/// The key of a value that was given without one.
const LONE_VALUE_KEY: &str = "value";

#[derive(Args)]
pub(super) struct Arguments {
    /// The node's URL [default: BAO_ADDR or VAULT_ADDR, else https://127.0.0.1:8200].
    #[arg(long, global = true)]
    address: Option<String>,
    /// A file that holds the token [default: BAO_TOKEN or VAULT_TOKEN, else ~/.vault-token].
    #[arg(long, global = true)]
    token_file: Option<PathBuf>,
    /// The path where the key-value engine is mounted.
    #[arg(long, global = true, default_value = "secret")]
    mount: String,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List secrets; the same as no command.
    List {
        /// The folder to list.
        folder: Option<String>,
    },
    /// Print a secret.
    Get {
        /// Its name.
        name: String,
    },
    /// Create a secret. Refused when it exists.
    Put(Values),
    /// Change a secret, keeping the keys that are not named.
    Patch(Values),
    /// Destroy all versions of a secret. There is no way back.
    Destroy {
        /// Its name.
        name: String,
    },
}

#[derive(Args)]
struct Values {
    /// The secret's name.
    name: String,
    /// KEY=VALUE pairs; or one value, kept under the key "value"; or '-' to read that value from standard input, which
    /// other users of this machine cannot see, unlike arguments.
    #[arg(required = true)]
    values: Vec<String>,
}

pub(super) fn run(
    arguments: &Arguments,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let mount = arguments.mount.trim_matches('/');
    let path =
        |kind: &str, name: &str| format!("{}/{kind}/{}", encode_path(mount), encode_path(name));
    let token = caller::token(arguments.token_file.as_deref(), session)?;
    let client = Client::new(arguments.address.as_deref(), token, session.environment)?;
    match arguments
        .command
        .as_ref()
        .unwrap_or(&Command::List { folder: None })
    {
        Command::List { folder } => {
            let folder = folder.as_deref().unwrap_or("").trim_matches('/');
            let answer = client.get(&format!("{}?list=true", path("metadata", folder)))?;
            list(&answer, format, session)
        }
        Command::Get { name } => {
            let answer = client.get(&path("data", name))?;
            get(&answer, name, format, session)
        }
        Command::Put(values) => {
            let body = json!({ "data": pairs(values, session)?, "options": { "cas": 0 } });
            let answer = client.post(&path("data", &values.name), &body)?;
            if answer
                .errors()
                .any(|error| error.starts_with("check-and-set parameter did not match"))
            {
                return Err(Failure::Remote(format!(
                    "there is a secret {:?} already; change it with conclave kms patch",
                    values.name
                )));
            }
            written("Created", &answer, values, format, session)
        }
        Command::Patch(values) => {
            let body = json!({ "data": pairs(values, session)?, "options": {} });
            let answer = client.patch(&path("data", &values.name), &body)?;
            if answer.status == StatusCode::NOT_FOUND {
                return Err(nothing(&values.name));
            }
            written("Changed", &answer, values, format, session)
        }
        Command::Destroy { name } => {
            destroy(&client, &path("metadata", name), name, format, session)
        }
    }
}

/// The secret's keys and values as the arguments give them.
fn pairs(values: &Values, session: &mut Session<'_>) -> Result<Map<String, Value>, Failure> {
    let mut pairs = Map::new();
    for argument in &values.values {
        let (key, value) = match argument.split_once('=') {
            Some((key, value)) if !key.is_empty() => (key, value.to_owned()),
            _ if values.values.len() > 1 => {
                return Err(Failure::Local(format!(
                    "{argument:?} is not KEY=VALUE; only a single value can stand without a key"
                )));
            }
            _ if argument == "-" => (LONE_VALUE_KEY, standard_input(session)?),
            _ => (LONE_VALUE_KEY, argument.clone()),
        };
        if pairs.insert(key.to_owned(), value.into()).is_some() {
            return Err(Failure::Local(format!("the key {key:?} is given twice")));
        }
    }
    Ok(pairs)
}

/// All of standard input, without the line end that a shell adds.
fn standard_input(session: &mut Session<'_>) -> Result<String, Failure> {
    use std::io::Read;

    let mut text = String::new();
    let mut bounded = (&mut *session.input).take(MAX_INPUT_BYTES + 1);
    let read = bounded
        .read_to_string(&mut text)
        .map_err(|error| Failure::Local(format!("standard input: {error}")))?;
    if u64::try_from(read).unwrap_or(u64::MAX) > MAX_INPUT_BYTES {
        return Err(Failure::Local(format!(
            "standard input has more than {MAX_INPUT_BYTES} bytes"
        )));
    }
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

fn nothing(name: &str) -> Failure {
    Failure::Remote(format!("there is no secret {name:?}"))
}

fn list(answer: &Answer, format: Format, session: &mut Session<'_>) -> Result<(), Failure> {
    if answer.status == StatusCode::NOT_FOUND && answer.errors().next().is_none() {
        return Err(Failure::remote("there are no secrets here"));
    }
    let keys = answer.data()?.get("keys").unwrap_or(&Value::Null);
    match format {
        Format::Json => output::json(session.output, keys)?,
        Format::Table => {
            let names = keys
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            let rows: Vec<[&str; 1]> = names.map(|name| [name]).collect();
            output::table(session.output, ["Name"], &rows)?;
        }
    }
    Ok(())
}

fn get(
    answer: &Answer,
    name: &str,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    if answer.status == StatusCode::NOT_FOUND {
        return Err(nothing(name));
    }
    let secret = answer.data()?.get("data").unwrap_or(&Value::Null);
    match format {
        Format::Json => output::json(session.output, secret)?,
        Format::Table => {
            let pairs: Vec<(String, String)> = secret
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, value)| {
                    let shown = value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned);
                    (key.clone(), shown)
                })
                .collect();
            output::pairs(session.output, &pairs)?;
        }
    }
    Ok(())
}

fn written(
    verb: &str,
    answer: &Answer,
    values: &Values,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let version = answer.data()?.get("version").unwrap_or(&Value::Null);
    match format {
        Format::Json => {
            let shown = json!({ "name": values.name, "version": version });
            output::json(session.output, &shown)?;
        }
        Format::Table => writeln!(session.output, "{verb} {}, version {version}.", values.name)?,
    }
    Ok(())
}

fn destroy(
    client: &Client,
    path: &str,
    name: &str,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    // Deleting what is not there is no error to the node; a person who mistyped a name wants to know.
    if client.get(path)?.status == StatusCode::NOT_FOUND {
        return Err(nothing(name));
    }
    client.delete(path)?.data()?;
    match format {
        Format::Json => output::json(session.output, &json!({ "name": name, "destroyed": true }))?,
        Format::Table => writeln!(session.output, "Destroyed {name}.")?,
    }
    Ok(())
}
