//! `conclave wg up`: tunnels for a host that runs no node.

use std::path::PathBuf;

use clap::Args;

use crate::app;
use crate::error::Error;

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// The tunnels, as `wg-quick` reads them. SIGHUP reads the peers again.
    file: PathBuf,
    /// The name of the TUN interface. Default: the file's name without its ending, as wg-quick has it.
    #[arg(long)]
    interface: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    let stem = arguments.file.file_stem().and_then(|stem| stem.to_str());
    let interface = arguments.interface.as_deref().or(stem).unwrap_or_default();
    app::tunnel::run(&arguments.file, interface)
}
