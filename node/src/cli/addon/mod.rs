//! `conclave addon`: makes, lists, shows and deletes add-ons, and mints their tokens.
//!
//! Tokens are signed here, with the operator key, which nodes do not have. A running node is asked over HTTP, with a
//! token of the operator that is good for two minutes; when none runs, the embedded store is opened instead ([`offline`]).

mod offline;
mod online;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::CallError;
use super::operator::{Operator, Target};
use super::output::{self, Format};
use super::{Failure, Session};
use crate::auth::biscuit::{Role, mint_addon_token};
use crate::config::Storage;
use crate::id::TenantId;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an add-on and print its root and user token.
    Create {
        /// Its name: letters, digits, '-' and '_'.
        name: String,
        /// Whose it is.
        #[arg(long)]
        org: String,
        #[command(flatten)]
        target: Target,
    },
    /// List all add-ons.
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Show one add-on.
    Show {
        /// Its name or id.
        addon: String,
        /// Mint and print a root and a user token, equal in rights to those printed first.
        #[arg(long)]
        tokens: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Delete an add-on and everything in it. There is no way back.
    Delete {
        /// Its name or id.
        addon: String,
        /// Say that it is meant.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        target: Target,
    },
}

/// An add-on as the registry knows it.
#[derive(Deserialize)]
struct AddOn {
    id: TenantId,
    name: String,
    org: String,
    created_time: String,
    root_token_epoch: u64,
    user_token_epoch: u64,
}

/// What the registry is asked.
enum Request<'a> {
    Create { name: &'a str, org: &'a str },
    List,
    Find(&'a str),
    Delete(TenantId),
}

/// The operator at work on add-ons.
struct Registrar {
    operator: Operator,
    /// The URL that the add-on's users are told.
    vault_addr: String,
    /// The store that may be opened while no node has it open.
    store: Option<Storage>,
}

pub(super) fn run(
    arguments: &Arguments,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    match &arguments.command {
        Command::Create { name, org, target } => {
            let registrar = Registrar::new(target, session)?;
            let addon = registrar.ask_for_one(&Request::Create { name, org }, session)?;
            registrar.print(&addon, true, format, session)
        }
        Command::List { target } => {
            let registrar = Registrar::new(target, session)?;
            let addons = registrar.ask(&Request::List, session)?;
            list(&addons, format, session)
        }
        Command::Show {
            addon,
            tokens,
            target,
        } => {
            let registrar = Registrar::new(target, session)?;
            let addon = registrar.ask_for_one(&Request::Find(addon), session)?;
            registrar.print(&addon, *tokens, format, session)
        }
        Command::Delete { addon, yes, target } => {
            if !yes {
                return Err(Failure::Local(format!(
                    "this destroys every secret of {addon:?} for ever; say it again with --yes"
                )));
            }
            let registrar = Registrar::new(target, session)?;
            let addon = registrar.ask_for_one(&Request::Find(addon), session)?;
            registrar.ask(&Request::Delete(addon.id), session)?;
            match format {
                Format::Json => output::json(session.output, &described(&addon))?,
                Format::Table => {
                    writeln!(session.output, "Deleted {} ({}).", addon.name, addon.id)?;
                }
            }
            Ok(())
        }
    }
}

impl Registrar {
    fn new(target: &Target, session: &Session<'_>) -> Result<Self, Failure> {
        let operator = Operator::new(target, session)?;
        let (vault_addr, store) = match (&target.address, &operator.config) {
            (None, Some(config)) => (config.api_addr.clone(), Some(config.storage.clone())),
            _ => (operator.client.address().to_owned(), None),
        };
        Ok(Self {
            operator,
            vault_addr,
            store,
        })
    }

    /// Asks the node, or the store when no node runs.
    fn ask(&self, request: &Request<'_>, session: &Session<'_>) -> Result<Vec<AddOn>, Failure> {
        match (online::ask(&self.operator.client, request), &self.store) {
            (Err(CallError::Refused(_)), Some(Storage::Embedded { path, cache_bytes })) => {
                offline::ask(path, *cache_bytes, request, session)
            }
            (answer, _) => Ok(answer?),
        }
    }

    fn ask_for_one(&self, request: &Request<'_>, session: &Session<'_>) -> Result<AddOn, Failure> {
        self.ask(request, session)?
            .pop()
            .ok_or_else(|| Failure::remote("the node answered without an add-on"))
    }

    fn print(
        &self,
        addon: &AddOn,
        with_tokens: bool,
        format: Format,
        session: &mut Session<'_>,
    ) -> Result<(), Failure> {
        let mut shown = described(addon);
        if with_tokens {
            for (name, role, epoch) in [
                ("root_token", Role::Root, addon.root_token_epoch),
                ("user_token", Role::User, addon.user_token_epoch),
            ] {
                let token =
                    mint_addon_token(&self.operator.key, session.random, addon.id, role, epoch)?;
                shown.insert(name.into(), token.expose().as_str().into());
            }
        }
        shown.insert("vault_addr".into(), self.vault_addr.as_str().into());
        match format {
            Format::Json => output::json(session.output, &shown)?,
            Format::Table => {
                let order = [
                    "id",
                    "name",
                    "org",
                    "created_time",
                    "root_token",
                    "user_token",
                    "vault_addr",
                ];
                let rows: Vec<(String, String)> = order
                    .iter()
                    .filter_map(|key| {
                        Some(((*key).to_owned(), shown.get(*key)?.as_str()?.to_owned()))
                    })
                    .collect();
                output::pairs(session.output, &rows)?;
            }
        }
        Ok(())
    }
}

fn described(addon: &AddOn) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("id".into(), addon.id.to_string().into());
    shown.insert("name".into(), addon.name.as_str().into());
    shown.insert("org".into(), addon.org.as_str().into());
    shown.insert("created_time".into(), addon.created_time.as_str().into());
    shown
}

fn list(addons: &[AddOn], format: Format, session: &mut Session<'_>) -> Result<(), Failure> {
    match format {
        Format::Json => {
            let shown: Vec<Value> = addons.iter().map(|addon| json!(described(addon))).collect();
            output::json(session.output, &shown)?;
        }
        Format::Table => {
            let ids: Vec<String> = addons.iter().map(|addon| addon.id.to_string()).collect();
            let rows: Vec<[&str; 4]> = addons
                .iter()
                .zip(&ids)
                .map(|(addon, id)| [id, addon.name.as_str(), &addon.org, &addon.created_time])
                .collect();
            output::table(session.output, ["Id", "Name", "Org", "Created"], &rows)?;
        }
    }
    Ok(())
}
