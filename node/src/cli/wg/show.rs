//! `conclave wg show`: the tunnels of a running node.

use std::io::Write;

use clap::Args;
use serde_json::json;

use super::super::operator::{Operator, Target};
use super::super::output::{self, Format};
use super::super::{Failure, Session, cluster};
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
    let status = cluster::ask(&operator)?;
    if arguments.json || format == Format::Json {
        let shown = json!({ "tunnels": status.tunnels, "dropped": status.dropped });
        output::json(session.output, &shown)?;
        return Ok(());
    }
    print(&status, session.output)?;
    Ok(())
}

/// Prints the tunnels, and what they dropped.
pub(in crate::cli) fn print(status: &Status, output: &mut dyn Write) -> std::io::Result<()> {
    let rows: Vec<[String; 6]> = status
        .tunnels
        .iter()
        .map(|tunnel| {
            [
                tunnel.peer.clone(),
                tunnel.public_key.clone(),
                tunnel.endpoint.clone().unwrap_or_else(|| "unknown".into()),
                tunnel
                    .handshake_age_s
                    .map_or_else(|| "none yet".into(), |age| format!("{age} s ago")),
                bytes(tunnel.sent_bytes),
                bytes(tunnel.received_bytes),
            ]
        })
        .collect();
    let cells: Vec<[&str; 6]> = rows
        .iter()
        .map(|row| row.each_ref().map(String::as_str))
        .collect();
    let headings = [
        "Peer",
        "Public key",
        "Endpoint",
        "Handshake",
        "Sent",
        "Received",
    ];
    output::table(output, headings, &cells)?;
    if !status.dropped.is_empty() {
        let dropped: Vec<String> = status
            .dropped
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        writeln!(output, "\nDropped: {}", dropped.join(", "))?;
    }
    Ok(())
}

/// In the units of `wg show`.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut scaled = count as f64;
    let mut shown = format!("{count} B");
    for unit in UNITS {
        if scaled < 1024.0 {
            break;
        }
        scaled /= 1024.0;
        shown = format!("{scaled:.2} {unit}");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_wg_shows_them() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.00 KiB");
        assert_eq!(bytes(1_268_777), "1.21 MiB");
        assert_eq!(bytes(u64::MAX), "16777216.00 TiB");
    }
}
