//! The operator at a node: signs a short-lived Biscuit with the operator key, which nodes do not have, and speaks to the
//! node with it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::client::Client;
use super::{Failure, Session};
use crate::auth::biscuit::{OperatorKey, mint_operator_token};
use crate::config::Config;

/// How long the operator's token for one command is good: the slowest answer, and clocks that differ.
const TOKEN_TTL: Duration = Duration::from_secs(120);

/// Which node or store, and which operator.
#[derive(Args)]
pub(super) struct Target {
    /// The node's configuration file: where it listens, where the operator key and the store are.
    #[arg(long, required_unless_present_all = ["address", "operator_key"])]
    config: Option<PathBuf>,
    /// The node's URL, instead of the configuration's.
    #[arg(long)]
    pub address: Option<String>,
    /// The file of the operator's private key, instead of the configuration's.
    #[arg(long)]
    operator_key: Option<PathBuf>,
}

/// See the module.
pub(super) struct Operator {
    /// What signs tokens.
    pub key: OperatorKey,
    /// Speaks to the node, with a token.
    pub client: Client,
    /// The node's configuration, when it was given.
    pub config: Option<Config>,
}

impl Operator {
    /// Reads configuration and key, and makes the token. Asks no node yet.
    pub fn new(target: &Target, session: &Session<'_>) -> Result<Self, Failure> {
        let environment = session.environment;
        let config = match &target.config {
            Some(file) => Some(Config::load(file, environment.pairs()).map_err(Failure::local)?),
            None => None,
        };
        let key_file = target
            .operator_key
            .as_ref()
            .or_else(|| config.as_ref()?.operator_key.as_ref())
            .ok_or_else(|| {
                Failure::local("no operator key: set operator_key in the configuration, or give --operator-key")
            })?;
        let key = OperatorKey::load(key_file).map_err(|error| {
            Failure::Local(format!(
                "{error} (the first start of a node makes its operator key)"
            ))
        })?;
        let token = mint_operator_token(&key, session.random, TOKEN_TTL, session.clock.now())?;
        // With TLS the certificate names the public address, not loopback.
        let configured = config
            .as_ref()
            .map(|config| match config.listeners.first() {
                Some(listener) if listener.tls.is_none() => listener.url(),
                _ => config.api_addr.clone(),
            });
        let address = target.address.as_ref().or(configured.as_ref());
        let client = Client::new(address.map(String::as_str), token, environment)?;
        Ok(Self {
            key,
            client,
            config,
        })
    }
}
