//! `conclave store check`: prints what was found, and asks for shares where rows are to be opened.

use serde_json::json;

use super::Bar;
use super::output::{self, Format};
use super::{Failure, Session};
use crate::barrier::{Rows, Unsealed};
use crate::seal::offline::{self, SealRows};
use crate::seal::Share;
use crate::secret::Secret;
use crate::store::key::Scope;
use crate::store::tools::{Findings, check};
use crate::store::{Store, transact};
use crate::tenant::registry;

/// The longest line that holds a share: 33 bytes in hexadecimal, and spaces around.
const MAX_SHARE_LINE_BYTES: usize = 256;

pub(super) async fn run(
    store: &dyn Store,
    unseal: Option<&str>,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let keys = match unseal {
        None => None,
        Some(addon) => Some(keys_of(store, addon, session).await?),
    };
    let mut bar = Bar::new(session);
    let findings = check(store, keys.as_ref(), &mut bar.watcher()).await;
    bar.clear();
    let findings = findings?;
    match format {
        Format::Json => output::json(session.output, &described(&findings))?,
        Format::Table => print(&findings, keys.is_some(), session)?,
    }
    match findings.fault_count {
        0 => Ok(()),
        1 => Err(Failure::local("1 fault was found")),
        faults => Err(Failure::Local(format!("{faults} faults were found"))),
    }
}

/// Asks for shares until there are enough.
async fn keys_of(
    store: &dyn Store,
    addon: &str,
    session: &mut Session<'_>,
) -> Result<Unsealed, Failure> {
    let addon = registry::find(store, addon).await?;
    let (rows, _) = transact(store, async |transaction, _| {
        SealRows::read(transaction, addon.id).await
    })
    .await?;
    let rows = rows.ok_or_else(|| {
        Failure::Local(format!("the add-on {:?} was never initialised", addon.name))
    })?;
    let threshold = usize::from(offline::quorum(&rows)?.threshold());
    let mut shares: Vec<Share> = Vec::new();
    while shares.len() < threshold {
        let prompt = format!(
            "Unseal key {} of {threshold} of {} (not shown): ",
            shares.len() + 1,
            addon.name
        );
        let text = ask(&prompt, session)?;
        let share = Share::parse(text.expose().trim())?;
        if !offline::recognises(&rows, &share)? {
            return Err(Failure::local("this is not an unseal key of this add-on"));
        }
        if shares.iter().any(|known| known.index() == share.index()) {
            return Err(Failure::local("this unseal key was given already"));
        }
        shares.push(share);
    }
    let keys = offline::open(addon.id, &rows, &shares)?;
    transact(store, async |transaction, attempt| {
        let mut rows =
            Rows::checked(transaction, &keys, Scope::Tenant(addon.id), attempt).await?;
        rows.catch_up().await
    })
    .await?;
    Ok(keys)
}

/// One line, from the terminal without showing it, or from standard input.
fn ask(prompt: &str, session: &mut Session<'_>) -> Result<Secret<String>, Failure> {
    let unreadable = |error: std::io::Error| Failure::Local(format!("no unseal key: {error}"));
    if session.is_terminal {
        return rpassword::prompt_password(prompt)
            .map(Secret::new)
            .map_err(unreadable);
    }
    // Byte by byte, so that what follows the line is left for the next.
    let mut line = Secret::new(String::with_capacity(MAX_SHARE_LINE_BYTES));
    let mut byte = [0];
    while line.expose().len() < MAX_SHARE_LINE_BYTES {
        match session.input.read(&mut byte).map_err(unreadable)? {
            0 if line.expose().is_empty() => {
                return Err(Failure::local("standard input has too few unseal keys"));
            }
            0 => break,
            _ if byte == *b"\n" => break,
            _ => line.expose_mut().push(char::from(byte[0])),
        }
    }
    Ok(line)
}

fn described(findings: &Findings) -> serde_json::Value {
    let faults: Vec<_> = findings
        .faults
        .iter()
        .map(|fault| json!({ "place": fault.place, "what": fault.what }))
        .collect();
    json!({
        "rows": findings.rows,
        "bytes": findings.bytes,
        "add_ons": findings.add_ons,
        "initialised": findings.initialised,
        "long_values": findings.long_values,
        "changes": findings.changes,
        "opened": findings.opened,
        "fault_count": findings.fault_count,
        "faults": faults,
    })
}

fn print(findings: &Findings, with_keys: bool, session: &mut Session<'_>) -> Result<(), Failure> {
    for fault in &findings.faults {
        writeln!(session.output, "{}: {}", fault.place, fault.what)?;
    }
    let listed = findings.faults.len() as u64;
    if findings.fault_count > listed {
        writeln!(
            session.output,
            "... and {} more",
            findings.fault_count - listed
        )?;
    }
    let mut rows = vec![
        ("Rows", findings.rows),
        ("Bytes", findings.bytes),
        ("Add-ons", findings.add_ons),
        ("Initialised", findings.initialised),
        ("Long values", findings.long_values),
        ("Changes in the feed", findings.changes),
    ];
    if with_keys {
        rows.push(("Rows opened", findings.opened));
    }
    rows.push(("Faults", findings.fault_count));
    let rows: Vec<(String, String)> = rows
        .into_iter()
        .map(|(label, count)| (label.to_owned(), count.to_string()))
        .collect();
    output::pairs(session.output, &rows)?;
    Ok(())
}
