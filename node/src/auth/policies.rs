//! Policy rows: the add-on's own policies by name, over the built-in ones.
//! Everything here runs inside a transaction on the add-on's own scope.

use serde::{Deserialize, Serialize};

use super::builtin;
use super::policy::{Policy, PolicyName};
use crate::barrier::{Domain, Rows};
use crate::error::Error;
use crate::store::change::Facet;
use crate::store::key::{Part, Table};

/// How many policies an add-on may have; they are listed in one reply.
pub const MAX_POLICIES: usize = 10_000;

#[derive(Serialize, Deserialize)]
struct PolicyRow {
    name: String,
    text: String,
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
/// [`Error::Invalid`] for `root`, or when there are too many.
pub async fn write(rows: &mut Rows<'_>, name: &PolicyName, text: &str) -> Result<(), Error> {
    if name.is_root() {
        return Err(Error::bad_request("cannot update \"root\" policy"));
    }
    let address = address(rows, name);
    let is_new = rows.get(Table::Policy, &address).await?.is_none();
    if is_new
        && rows
            .scan(Table::Policy, &[], None, MAX_POLICIES)
            .await?
            .len()
            == MAX_POLICIES
    {
        return Err(Error::bad_request(format!(
            "there are {MAX_POLICIES} policies already"
        )));
    }
    let row = PolicyRow {
        name: name.as_str().to_owned(),
        text: text.to_owned(),
    };
    rows.put_json(Table::Policy, &address, &row)?;
    rows.note_change(Facet::Policies);
    Ok(())
}

/// Removes a policy; one that is not there is no error.
///
/// # Errors
/// [`Error::Invalid`] for the policies that every add-on has.
pub fn delete(rows: &mut Rows<'_>, name: &PolicyName) -> Result<(), Error> {
    match name.as_str() {
        "root" => Err(Error::bad_request("cannot delete \"root\" policy")),
        "default" => Err(Error::bad_request("cannot delete default policy")),
        _ => {
            let address = address(rows, name);
            rows.delete(Table::Policy, &address);
            rows.note_change(Facet::Policies);
            Ok(())
        }
    }
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
    for (_, row) in rows.scan(Table::Policy, &[], None, MAX_POLICIES).await? {
        let row: PolicyRow =
            serde_json::from_slice(&row).map_err(|_| Error::Corrupt("a policy's row".into()))?;
        names.push(row.name);
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// The policies that a token names, parsed. One that does not exist gives nothing, as in Vault.
///
/// # Errors
/// [`Error::Corrupt`] when a stored text no longer parses.
pub async fn load(rows: &mut Rows<'_>, names: &[String]) -> Result<Vec<Policy>, Error> {
    let mut policies = Vec::with_capacity(names.len());
    for name in names {
        let Ok(name) = name.parse::<PolicyName>() else {
            continue;
        };
        if name.is_root() {
            policies.push(Policy::root());
        } else if let Some(text) = read(rows, &name).await? {
            let policy = Policy::parse(name, &text)
                .map_err(|_| Error::Corrupt("a stored policy does not parse".into()))?;
            policies.push(policy);
        }
    }
    Ok(policies)
}

/// Which of these policies do not exist, for the warning at token creation.
///
/// # Errors
/// What the store says.
pub async fn missing<'n>(rows: &mut Rows<'_>, names: &'n [String]) -> Result<Vec<&'n str>, Error> {
    let mut missing = Vec::new();
    for name in names {
        let exists = match name.parse::<PolicyName>() {
            Ok(parsed) => read(rows, &parsed).await?.is_some(),
            Err(_) => false,
        };
        if !exists {
            missing.push(name.as_str());
        }
    }
    Ok(missing)
}

fn address(rows: &Rows<'_>, name: &PolicyName) -> [Part; 1] {
    [Part::Name(
        rows.pseudonym(Domain::Policy, name.as_str().as_bytes()),
    )]
}
