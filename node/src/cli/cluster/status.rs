//! `conclave cluster status`: members, whether they live, versions, clocks and tunnels, as one node sees them.

use std::io::Write;

use clap::Args;

use super::super::operator::{Operator, Target};
use super::super::output::{self, Format};
use super::super::wg::show;
use super::super::{Failure, Session};
use crate::membership::Status;

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// Print JSON, as --format json does.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(
    arguments: &Arguments,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let operator = Operator::new(&arguments.target, session)?;
    let status = super::ask(&operator)?;
    if arguments.json || format == Format::Json {
        output::json(session.output, &status)?;
        return Ok(());
    }
    print(&status, session.output)?;
    Ok(())
}

fn print(status: &Status, output: &mut dyn Write) -> std::io::Result<()> {
    let up = status.members.iter().filter(|member| member.up).count();
    writeln!(
        output,
        "Cluster {}: {up} of {} nodes up, as {} sees it\n",
        status.cluster_id,
        status.members.len(),
        status.node
    )?;
    let rows: Vec<[String; 9]> = status
        .members
        .iter()
        .map(|member| {
            let state = match (member.name == status.node, member.up) {
                (true, _) => "this node",
                (false, true) => "up",
                (false, false) => "down",
            };
            let clock = member.clock_ahead_ms.map(|ahead| {
                let alarm = if member.clock_skewed {
                    " (check it)"
                } else {
                    ""
                };
                format!("{ahead:+.0} ms{alarm}")
            });
            [
                member.name.clone(),
                state.into(),
                format!("{} of {}", member.unsealed, member.initialized),
                member.version.clone(),
                member.api_addr.clone(),
                member.address.clone(),
                member
                    .round_trip_ms
                    .map_or_else(String::new, |time| format!("{time:.1} ms")),
                clock.unwrap_or_default(),
                if member.roster_differs {
                    "differs"
                } else {
                    "same"
                }
                .into(),
            ]
        })
        .collect();
    let cells: Vec<[&str; 9]> = rows
        .iter()
        .map(|row| row.each_ref().map(String::as_str))
        .collect();
    let headings = [
        "Node",
        "State",
        "Unsealed",
        "Version",
        "API",
        "Tunnel address",
        "Round trip",
        "Clock",
        "Roster",
    ];
    output::table(output, headings, &cells)?;
    writeln!(output)?;
    show::print(status, output)
}
