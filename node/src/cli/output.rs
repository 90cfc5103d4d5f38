//! What commands print: columns for people, JSON for programs.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

/// How to print.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Format {
    /// Columns for people.
    Table,
    /// JSON for programs.
    Json,
}

/// Spaces between two columns, as the Vault CLI has them.
const GAP: usize = 4;

/// Prints a value as indented JSON.
pub(super) fn json(output: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *output, value)?;
    writeln!(output)
}

/// Prints labels and values under the Vault CLI's own headings.
pub(super) fn pairs(output: &mut dyn Write, pairs: &[(String, String)]) -> io::Result<()> {
    let rows: Vec<[&str; 2]> = pairs
        .iter()
        .map(|(label, value)| [label.as_str(), value.as_str()])
        .collect();
    table(output, ["Key", "Value"], &rows)
}

/// Prints columns, headings underlined. A cell with line breaks goes on below itself.
pub(super) fn table<const COLUMNS: usize>(
    output: &mut dyn Write,
    headings: [&str; COLUMNS],
    rows: &[[&str; COLUMNS]],
) -> io::Result<()> {
    let rules = headings.map(|heading| "-".repeat(heading.chars().count()));
    let rules = rules.each_ref().map(String::as_str);
    let mut widths = [0; COLUMNS];
    for row in rows.iter().chain([&headings]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            let longest = cell.lines().map(|line| line.chars().count()).max();
            *width = (*width).max(longest.unwrap_or(0));
        }
    }
    for row in [&headings, &rules].into_iter().chain(rows) {
        let height = row.iter().map(|cell| cell.lines().count()).max();
        for line in 0..height.unwrap_or(0).max(1) {
            let mut text = String::new();
            for (width, cell) in widths.iter().zip(row) {
                let part = cell.lines().nth(line).unwrap_or("");
                let padding = (width + GAP).saturating_sub(part.chars().count());
                text.push_str(part);
                text.push_str(&" ".repeat(padding));
            }
            writeln!(output, "{}", text.trim_end())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut output = Vec::new();
        let rows = [["plaintext", "a\nb"], ["é", ""]];
        table(&mut output, ["Key", "Value"], &rows).unwrap();
        let expected =
            "Key          Value\n---          -----\nplaintext    a\n             b\né\n";
        assert_eq!(String::from_utf8(output).unwrap(), expected);
    }
}
