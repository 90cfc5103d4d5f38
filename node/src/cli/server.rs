//! `conclave server`: reads the configuration and hands it to the composition root.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use super::{Failure, Session};
use crate::app::{self, Mode};
use crate::config::{Config, Source};

/// Where a dev node listens: where the Vault CLI looks for one.
const DEV_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8200);

#[derive(Args)]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(long, required_unless_present = "dev", conflicts_with = "dev")]
    config: Option<PathBuf>,
    /// Run a node that keeps everything in memory, initialised and unsealed, for trying things out.
    #[arg(long)]
    dev: bool,
    /// The root token of a dev node, instead of a random one.
    #[arg(long, value_name = "TOKEN", requires = "dev")]
    dev_root_token_id: Option<String>,
    /// Where a dev node listens: a loopback address.
    #[arg(long, value_name = "ADDRESS", requires = "dev", default_value_t = DEV_ADDRESS)]
    dev_listen_address: SocketAddr,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session<'_>) -> Result<(), Failure> {
    let (config, source, mode) = match &arguments.config {
        Some(file) => {
            let source = Source::new(file.clone(), session.environment.pairs());
            let config = source.load().map_err(Failure::local)?;
            (config, Some(source), Mode::Production)
        }
        None => (
            Config::dev(arguments.dev_listen_address).map_err(Failure::local)?,
            None,
            Mode::Dev {
                root_token: arguments.dev_root_token_id.clone(),
            },
        ),
    };
    Ok(app::serve(&config, source, mode)?)
}
