//! `conclave cluster`: makes the folders of a new cluster ([`init`]), and shows a running one ([`status`]).

mod init;
mod status;

use clap::Subcommand;

use super::operator::Operator;
use super::output::Format;
use super::{Failure, Session};
use crate::membership::Status;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Write configuration, keys and certificates of a new cluster, one folder per node.
    Init(Box<init::Arguments>),
    /// Show the nodes and the tunnels between them.
    Status(status::Arguments),
}

pub(super) fn run(
    command: &Command,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    match command {
        Command::Init(arguments) => init::run(arguments, format, session),
        Command::Status(arguments) => status::run(arguments, format, session),
    }
}

/// What a node says of its cluster.
pub(super) fn ask(operator: &Operator) -> Result<Status, Failure> {
    let answer = operator.client.get("conclave/cluster")?;
    serde_json::from_value(answer.data()?.clone()).map_err(|_| {
        Failure::remote("the node answered something else than its cluster; is it a Conclave node?")
    })
}
