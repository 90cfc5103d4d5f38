//! Policy rows: the add-on's own policies by name, over the built-in ones.
//! Everything here runs inside a transaction on the add-on's own scope.
//!
//! A policy's text may be long, so it is read only when its rules are needed or somebody asks for it. Beside each text
//! stands a small row with its name and length, and one row says how many there are, how long they are together, and
//! how often they changed: lists, limits and the question whether compiled rules are still good need no text.

use serde::{Deserialize, Serialize};

use super::builtin;
use super::policy::{MAX_RULES, Policy, PolicyName};
use crate::barrier::{Domain, Rows};
use crate::error::Error;
use crate::store::change::Facet;
use crate::store::key::{Part, Table};

/// How many policies an add-on may have; they are listed in one reply.
pub const MAX_POLICIES: u64 = 10_000;

/// How long their texts may be together. Ten thousand policies of the usual kilobyte fit, and no add-on takes more than
/// this of what all share.
pub const MAX_TOTAL_BYTES: u64 = 16 * 1024 * 1024;

/// How long the texts of one token's policies may be together: they are read and parsed while its request waits.
pub const MAX_TOKEN_BYTES: usize = 1024 * 1024;

/// How many names are read between two pauses for others.
const PAGE_ROWS: usize = 500;

#[derive(Serialize, Deserialize)]
struct PolicyRow {
    name: String,
    text: String,
}

/// What is known of a policy without its text.
#[derive(Serialize, Deserialize)]
struct IndexRow {
    name: String,
    bytes: u64,
}

/// What is known of all policies together.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Totals {
    policies: u64,
    bytes: u64,
    /// Rises with each change and is never used again.
    version: u64,
}

/// The rules of a token's policies.
pub enum Loaded {
    /// All of them, and how long their texts are together.
    All(Vec<Policy>, usize),
    /// They are more than one token may have, so that nothing can be said about what they allow.
    TooMany,
}

/// Which version of the policies this transaction sees: rules compiled at the same version are still good.
///
/// # Errors
/// What the store says.
pub async fn version(rows: &mut Rows<'_>) -> Result<u64, Error> {
    Ok(totals(rows).await?.version)
}

/// The text of a policy, built-in ones included.
///
/// # Errors
/// What the store says.
pub async fn read(rows: &mut Rows<'_>, name: &PolicyName) -> Result<Option<String>, Error> {
    let address = address(rows, name);
    let row: Option<PolicyRow> = rows.get_json(Table::Policy, &address).await?;
    Ok(match row {
        Some(row) => Some(row.text),
        None => builtin::text(name.as_str()),
    })
}

/// Writes a policy whose text is known to parse.
///
/// # Errors
/// [`Error::Invalid`] for `root`, or when there are too many or they are too long together.
pub async fn write(rows: &mut Rows<'_>, name: &PolicyName, text: &str) -> Result<(), Error> {
    if name.is_root() {
        return Err(Error::bad_request("cannot update \"root\" policy"));
    }
    let address = address(rows, name);
    let old: Option<IndexRow> = rows.get_json(Table::PolicyIndex, &address).await?;
    let bytes = text.len() as u64;
    let mut totals = totals(rows).await?;
    totals.version += 1;
    totals.policies += u64::from(old.is_none());
    totals.bytes = totals
        .bytes
        .saturating_sub(old.map_or(0, |row| row.bytes))
        .saturating_add(bytes);
    if totals.policies > MAX_POLICIES {
        return Err(Error::bad_request(format!(
            "there are {MAX_POLICIES} policies already"
        )));
    }
    if totals.bytes > MAX_TOTAL_BYTES {
        return Err(Error::invalid(
            "policy",
            format!(
                "the policies of an add-on must not be longer than {MAX_TOTAL_BYTES} bytes together"
            ),
        ));
    }
    let name = name.as_str().to_owned();
    let row = PolicyRow {
        name: name.clone(),
        text: text.to_owned(),
    };
    rows.put_json(Table::Policy, &address, &row)?;
    rows.put_json(Table::PolicyIndex, &address, &IndexRow { name, bytes })?;
    put_totals(rows, &totals)
}

/// Removes a policy; one that is not there is no error.
///
/// # Errors
/// [`Error::Invalid`] for the policies that every add-on has.
pub async fn delete(rows: &mut Rows<'_>, name: &PolicyName) -> Result<(), Error> {
    match name.as_str() {
        "root" => return Err(Error::bad_request("cannot delete \"root\" policy")),
        "default" => return Err(Error::bad_request("cannot delete default policy")),
        _ => {}
    }
    let address = address(rows, name);
    let Some(old): Option<IndexRow> = rows.get_json(Table::PolicyIndex, &address).await? else {
        return Ok(());
    };
    let mut totals = totals(rows).await?;
    totals.version += 1;
    totals.policies = totals.policies.saturating_sub(1);
    totals.bytes = totals.bytes.saturating_sub(old.bytes);
    rows.delete(Table::Policy, &address);
    rows.delete(Table::PolicyIndex, &address);
    put_totals(rows, &totals)
}

/// The names of all policies, sorted, built-in ones included.
///
/// # Errors
/// What the store says.
pub async fn list(rows: &mut Rows<'_>) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = builtin::NAMES
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    let mut last: Option<Vec<Part>> = None;
    loop {
        let page = rows
            .scan(Table::PolicyIndex, &[], last.as_deref(), PAGE_ROWS)
            .await?;
        let is_last = page.len() < PAGE_ROWS;
        for (address, row) in page {
            let row: IndexRow = serde_json::from_slice(&row)
                .map_err(|_| Error::Corrupt("a policy's row".into()))?;
            names.push(row.name);
            last = Some(address);
        }
        if is_last {
            break;
        }
        tokio::task::yield_now().await;
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// The policies that a token names, parsed. One that does not exist gives nothing, as in Vault.
///
/// # Errors
/// [`Error::Corrupt`] when a stored text no longer parses.
pub async fn load(rows: &mut Rows<'_>, names: &[String]) -> Result<Loaded, Error> {
    let mut policies = Vec::with_capacity(names.len());
    let (mut bytes, mut rules) = (0, 0);
    for name in names {
        let Ok(name) = name.parse::<PolicyName>() else {
            continue;
        };
        if name.is_root() {
            policies.push(Policy::root());
            continue;
        }
        let Some(text) = read(rows, &name).await? else {
            continue;
        };
        bytes += text.len();
        if bytes > MAX_TOKEN_BYTES {
            return Ok(Loaded::TooMany);
        }
        let policy = Policy::parse(name, &text)
            .map_err(|_| Error::Corrupt("a stored policy does not parse".into()))?;
        rules += policy.rules().len();
        if rules > MAX_RULES {
            return Ok(Loaded::TooMany);
        }
        policies.push(policy);
        // Parsing a long text takes milliseconds, and a store on this machine may answer without a pause.
        tokio::task::yield_now().await;
    }
    Ok(Loaded::All(policies, bytes))
}

/// Which of these policies do not exist, for the warning at token creation.
///
/// # Errors
/// [`Error::Invalid`] when they are longer together than those of one token may be.
pub async fn missing<'n>(rows: &mut Rows<'_>, names: &'n [String]) -> Result<Vec<&'n str>, Error> {
    let mut missing = Vec::new();
    let mut bytes = 0;
    for name in names {
        let found: Option<IndexRow> = match name.parse::<PolicyName>() {
            Ok(parsed) => {
                let address = address(rows, &parsed);
                rows.get_json(Table::PolicyIndex, &address).await?
            }
            Err(_) => None,
        };
        match found {
            Some(row) => bytes += row.bytes,
            None if builtin::NAMES.contains(&name.as_str()) => {}
            None => missing.push(name.as_str()),
        }
    }
    if bytes > MAX_TOKEN_BYTES as u64 {
        return Err(Error::invalid(
            "policies",
            format!(
                "the policies of a token must not be longer than {MAX_TOKEN_BYTES} bytes together"
            ),
        ));
    }
    Ok(missing)
}

async fn totals(rows: &mut Rows<'_>) -> Result<Totals, Error> {
    let totals: Option<Totals> = rows.get_json(Table::PolicyTotals, &[]).await?;
    Ok(totals.unwrap_or_default())
}

fn put_totals(rows: &mut Rows<'_>, totals: &Totals) -> Result<(), Error> {
    rows.put_json(Table::PolicyTotals, &[], totals)?;
    rows.note_change(Facet::Policies);
    Ok(())
}

fn address(rows: &Rows<'_>, name: &PolicyName) -> [Part; 1] {
    [Part::Name(
        rows.pseudonym(Domain::Policy, name.as_str().as_bytes()),
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::View;
    use crate::barrier::testing::tenant_view;
    use crate::store::key::Key;
    use crate::store::transact;

    fn name(text: &str) -> PolicyName {
        text.parse().unwrap()
    }

    async fn write_in(view: &View, policy: &str, text: &str) -> Result<(), Error> {
        view.run(async |rows| write(rows, &name(policy), text).await)
            .await
    }

    async fn plant(view: &View, totals: Totals) {
        view.run(async |rows| put_totals(rows, &totals))
            .await
            .unwrap();
    }

    async fn totals_in(view: &View) -> Totals {
        view.run(async |rows| totals(rows).await).await.unwrap()
    }

    fn field_of(result: Result<(), Error>) -> Option<&'static str> {
        match result {
            Err(Error::Invalid { field, .. }) => field.or(Some("")),
            other => panic!("{other:?}"),
        }
    }

    #[actix::test]
    async fn lists_limits_and_warnings_read_no_text() {
        let view = tenant_view().await;
        write_in(&view, "a", "path \"x\" {}").await.unwrap();
        let address = view
            .run(async |rows| Ok(address(rows, &name("a"))))
            .await
            .unwrap();
        // Whoever reads the text now fails.
        transact(view.store().as_ref(), async |transaction, _| {
            transaction.set(&Key::row(view.scope(), Table::Policy, &address), b"damage");
            Ok(())
        })
        .await
        .unwrap();
        write_in(&view, "b", "").await.unwrap();
        let names = view.run(async |rows| list(rows).await).await.unwrap();
        assert_eq!(names, ["a", "b", "default", "root", "user"]);
        let named = ["a", "default", "nope"].map(str::to_owned);
        let gone = view
            .run(async |rows| {
                let missing = missing(rows, &named).await?;
                Ok(missing.into_iter().map(str::to_owned).collect::<Vec<_>>())
            })
            .await;
        assert_eq!(gone.unwrap(), ["nope"]);
        assert!(
            view.run(async |rows| read(rows, &name("a")).await)
                .await
                .is_err()
        );
    }

    #[actix::test]
    async fn a_list_longer_than_a_page_is_whole() {
        let view = tenant_view().await;
        view.run(async |rows| {
            for number in 0..PAGE_ROWS + 1 {
                write(rows, &name(&format!("p{number:04}")), "").await?;
            }
            Ok(())
        })
        .await
        .unwrap();
        let names = view.run(async |rows| list(rows).await).await.unwrap();
        assert_eq!(names.len(), PAGE_ROWS + 1 + builtin::NAMES.len());
    }

    #[actix::test]
    async fn the_totals_follow_what_is_written_and_removed() {
        let view = tenant_view().await;
        for (policy, text) in [("a", "#12345"), ("b", "#1"), ("a", "#123")] {
            write_in(&view, policy, text).await.unwrap();
        }
        let totals = totals_in(&view).await;
        assert_eq!((totals.policies, totals.bytes), (2, 6));
        for policy in ["a", "a", "never"] {
            view.run(async |rows| delete(rows, &name(policy)).await)
                .await
                .unwrap();
        }
        let after = totals_in(&view).await;
        assert_eq!((after.policies, after.bytes), (1, 2));
        assert!(after.version > totals.version);
    }

    #[actix::test]
    async fn an_add_on_has_room_for_so_many_policies_and_bytes() {
        let view = tenant_view().await;
        write_in(&view, "a", "#12345").await.unwrap();
        let full = Totals {
            policies: MAX_POLICIES,
            ..totals_in(&view).await
        };
        plant(&view, full).await;
        assert_eq!(field_of(write_in(&view, "b", "").await), Some(""));
        write_in(&view, "a", "#1234").await.unwrap();
        let long = Totals {
            policies: 1,
            bytes: MAX_TOTAL_BYTES,
            version: 9,
        };
        plant(&view, long).await;
        assert_eq!(field_of(write_in(&view, "b", "#").await), Some("policy"));
        write_in(&view, "a", "#123").await.unwrap();
        write_in(&view, "b", "#").await.unwrap();
    }

    #[actix::test]
    async fn a_token_has_room_for_so_many_bytes_and_rules() {
        let view = tenant_view().await;
        let half = "#".repeat(MAX_TOKEN_BYTES / 2);
        write_in(&view, "a", &half).await.unwrap();
        write_in(&view, "b", &half).await.unwrap();
        write_in(&view, "c", "#").await.unwrap();
        let rules: String = (0..MAX_RULES / 2)
            .map(|number| format!("path \"{number}\" {{}}\n"))
            .collect();
        write_in(&view, "r", &rules).await.unwrap();
        write_in(&view, "s", &rules).await.unwrap();
        write_in(&view, "t", "path \"x\" {}").await.unwrap();
        for (names, fits) in [
            (&["a", "b"][..], true),
            (&["a", "b", "c"], false),
            (&["r", "s"], true),
            (&["r", "s", "t"], false),
        ] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let loaded = view.run(async |rows| load(rows, &names).await).await;
            let is_whole = matches!(loaded, Ok(Loaded::All(..)));
            assert_eq!(is_whole, fits, "{names:?}");
        }
        let names = ["a", "b", "c"].map(str::to_owned);
        let refused = view
            .run(async |rows| missing(rows, &names).await.map(drop))
            .await;
        assert_eq!(field_of(refused), Some("policies"));
    }
}
