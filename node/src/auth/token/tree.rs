//! Token rows: entries by pseudonym, accessors, children, and the sweeper's index by hour of expiry.
//! Everything here runs inside a transaction on the add-on's own scope ([`Scope::Tenant`](crate::store::key::Scope)).

use serde::{Deserialize, Serialize};

use super::entry::TokenEntry;
use crate::barrier::{Domain, Rows};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::store::change::Facet;
use crate::store::key::{Part, Pseudonym, Table};

/// How many ancestors a token may have: each is looked up when a token is loaded.
pub const MAX_DEPTH: u32 = 32;

/// How many tokens one transaction revokes. Each is a handful of rows; FoundationDB's 10 MB hold ten times as many.
const REVOKE_BATCH: usize = 500;

/// What an accessor's row holds.
#[derive(Serialize, Deserialize)]
struct AccessorRow {
    accessor: String,
    token: [u8; 16],
}

/// A token whose row was found, with the name it is filed under.
pub struct Found {
    /// Its pseudonym.
    pub token: Pseudonym,
    /// Its entry.
    pub entry: TokenEntry,
}

/// A valid token.
pub struct Living {
    /// Its entry.
    pub entry: TokenEntry,
    /// When it ends, itself or with the first of its ancestors; never when `None`.
    pub ends: Option<Timestamp>,
}

/// A page of tokens that ended.
pub struct Expired {
    /// The tokens.
    pub tokens: Vec<Pseudonym>,
    /// Whether there may be others.
    pub more: bool,
}

/// Writes a new token's rows.
///
/// # Errors
/// What the store says.
pub fn insert(rows: &mut Rows<'_>, token: Pseudonym, entry: &TokenEntry) -> Result<(), Error> {
    rows.put_json(Table::Token, &[Part::Name(token)], entry)?;
    let accessor = AccessorRow {
        accessor: entry.accessor.clone(),
        token: token.0,
    };
    let address = accessor_address(rows, &entry.accessor);
    rows.put_json(Table::Accessor, &address, &accessor)?;
    if let Some(parent) = entry.parent {
        rows.put(
            Table::TokenChild,
            &[Part::Name(parent), Part::Name(token)],
            &[],
        )?;
    }
    note_expiry(rows, token, entry)
}

/// Writes a changed entry over the old one.
///
/// # Errors
/// What the store says.
pub async fn update(
    rows: &mut Rows<'_>,
    token: Pseudonym,
    entry: &TokenEntry,
) -> Result<(), Error> {
    if let Some(old) = get(rows, token).await?
        && let Some(expires) = old.expires
    {
        rows.delete(Table::TokenExpiry, &expiry_address(expires, token));
    }
    rows.put_json(Table::Token, &[Part::Name(token)], entry)?;
    note_expiry(rows, token, entry)
}

/// The token's entry, if it is valid at `now`: present, not over, not used up, and with all its ancestors.
///
/// # Errors
/// What the store says.
pub async fn load(
    rows: &mut Rows<'_>,
    token: Pseudonym,
    now: Timestamp,
) -> Result<Option<TokenEntry>, Error> {
    let living = load_living(rows, token, now).await?;
    Ok(living.map(|living| living.entry))
}

/// As [`load`], with the end that the token's ancestors set: whoever keeps the result must not keep it longer.
///
/// # Errors
/// What the store says.
pub async fn load_living(
    rows: &mut Rows<'_>,
    token: Pseudonym,
    now: Timestamp,
) -> Result<Option<Living>, Error> {
    let Some(entry) = get(rows, token).await? else {
        return Ok(None);
    };
    if entry.is_expired(now) || entry.is_spent() {
        return Ok(None);
    }
    let mut ends = entry.expires;
    let mut parent = entry.parent;
    while let Some(token) = parent {
        match get(rows, token).await? {
            Some(ancestor) if !ancestor.is_expired(now) => {
                ends = ends.into_iter().chain(ancestor.expires).min();
                parent = ancestor.parent;
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(Living { entry, ends }))
}

/// The token behind an accessor.
///
/// # Errors
/// What the store says.
pub async fn by_accessor(
    rows: &mut Rows<'_>,
    accessor: &str,
    now: Timestamp,
) -> Result<Option<Found>, Error> {
    let address = accessor_address(rows, accessor);
    let Some(row) = rows
        .get_json::<AccessorRow>(Table::Accessor, &address)
        .await?
    else {
        return Ok(None);
    };
    let token = Pseudonym(row.token);
    Ok(load(rows, token, now)
        .await?
        .map(|entry| Found { token, entry }))
}

/// A page of accessors.
pub struct Accessors {
    /// At most as many as were asked for.
    pub accessors: Vec<String>,
    /// Where the next page begins, if there may be one.
    pub next: Option<Vec<Part>>,
}

/// At most `limit` accessors, after where an earlier page ended.
///
/// # Errors
/// What the store says.
pub async fn accessors(
    rows: &mut Rows<'_>,
    after: Option<&[Part]>,
    limit: usize,
) -> Result<Accessors, Error> {
    let mut found = rows.scan(Table::Accessor, &[], after, limit).await?;
    let accessors = found
        .iter()
        .map(|(_, row)| {
            serde_json::from_slice::<AccessorRow>(row)
                .map(|row| row.accessor)
                .map_err(|_| Error::Corrupt("an accessor's row".into()))
        })
        .collect::<Result<_, _>>()?;
    let is_full = found.len() == limit;
    let next = found.pop().filter(|_| is_full).map(|(address, _)| address);
    Ok(Accessors { accessors, next })
}

/// Removes up to a batch of the tokens in `pending` with their rows, and puts their children into it.
/// The caller runs it in one transaction after another until nothing is pending; a token whose parent is gone is
/// already void, so stopping in between leaves nothing usable behind.
///
/// Returns the tokens that were removed.
///
/// # Errors
/// What the store says.
pub async fn revoke_batch(
    rows: &mut Rows<'_>,
    pending: &mut Vec<Pseudonym>,
) -> Result<Vec<Pseudonym>, Error> {
    let mut removed = Vec::new();
    while removed.len() < REVOKE_BATCH {
        let Some(token) = pending.pop() else { break };
        let children = rows
            .scan(Table::TokenChild, &[Part::Name(token)], None, REVOKE_BATCH)
            .await?;
        // More children than a batch: the token comes up again, last, until all are pending.
        if children.len() == REVOKE_BATCH {
            pending.insert(0, token);
        }
        for (address, _) in &children {
            if let Some(Part::Name(child)) = address.get(1) {
                pending.push(*child);
                rows.delete(Table::TokenChild, &[Part::Name(token), Part::Name(*child)]);
            }
        }
        if let Some(entry) = get(rows, token).await? {
            remove(rows, token, &entry);
        }
        rows.note_change(Facet::Token(token));
        removed.push(token);
    }
    Ok(removed)
}

/// Removes one token and makes its children orphans.
///
/// # Errors
/// What the store says; [`Error::Invalid`] when it has more children than fit into one transaction.
pub async fn revoke_orphan(rows: &mut Rows<'_>, token: Pseudonym) -> Result<(), Error> {
    let children = rows
        .scan(Table::TokenChild, &[Part::Name(token)], None, REVOKE_BATCH)
        .await?;
    if children.len() == REVOKE_BATCH {
        return Err(Error::bad_request(
            "the token has too many children to orphan; revoke them first",
        ));
    }
    for (address, _) in &children {
        let Some(Part::Name(child)) = address.get(1) else {
            continue;
        };
        rows.delete(Table::TokenChild, &[Part::Name(token), Part::Name(*child)]);
        if let Some(mut entry) = get(rows, *child).await? {
            entry.parent = None;
            entry.depth = 0;
            update(rows, *child, &entry).await?;
            rows.note_change(Facet::Token(*child));
        }
    }
    if let Some(entry) = get(rows, token).await? {
        remove(rows, token, &entry);
    }
    rows.note_change(Facet::Token(token));
    Ok(())
}

/// Tokens that ended before the hour of `now`, among at most `limit` rows of the index, for the sweeper to revoke, which
/// removes their rows of the index too. Rows of tokens that are gone or end later are removed here.
///
/// # Errors
/// What the store says.
pub async fn expired(rows: &mut Rows<'_>, now: Timestamp, limit: usize) -> Result<Expired, Error> {
    let this_hour = hour(now);
    let page = rows.scan(Table::TokenExpiry, &[], None, limit).await?;
    let mut over = Vec::new();
    let mut more = page.len() == limit;
    for (address, _) in page {
        let [Part::Number(expiry_hour), Part::Name(token)] = address.as_slice() else {
            return Err(Error::Corrupt("a token's expiry row".into()));
        };
        if *expiry_hour >= this_hour {
            more = false;
            break;
        }
        match get(rows, *token).await? {
            Some(entry) if entry.is_expired(now) => over.push(*token),
            _ => rows.delete(Table::TokenExpiry, &address),
        }
    }
    Ok(Expired { tokens: over, more })
}

async fn get(rows: &mut Rows<'_>, token: Pseudonym) -> Result<Option<TokenEntry>, Error> {
    rows.get_json(Table::Token, &[Part::Name(token)]).await
}

fn remove(rows: &mut Rows<'_>, token: Pseudonym, entry: &TokenEntry) {
    rows.delete(Table::Token, &[Part::Name(token)]);
    let address = accessor_address(rows, &entry.accessor);
    rows.delete(Table::Accessor, &address);
    if let Some(parent) = entry.parent {
        rows.delete(Table::TokenChild, &[Part::Name(parent), Part::Name(token)]);
    }
    if let Some(expires) = entry.expires {
        rows.delete(Table::TokenExpiry, &expiry_address(expires, token));
    }
}

fn note_expiry(rows: &mut Rows<'_>, token: Pseudonym, entry: &TokenEntry) -> Result<(), Error> {
    match entry.expires {
        None => Ok(()),
        Some(expires) => rows.put(Table::TokenExpiry, &expiry_address(expires, token), &[]),
    }
}

fn accessor_address(rows: &Rows<'_>, accessor: &str) -> [Part; 1] {
    [Part::Name(
        rows.pseudonym(Domain::Accessor, accessor.as_bytes()),
    )]
}

fn expiry_address(expires: Timestamp, token: Pseudonym) -> [Part; 2] {
    [Part::Number(hour(expires)), Part::Name(token)]
}

fn hour(moment: Timestamp) -> u64 {
    u64::try_from(moment.unix_seconds() / 3600).unwrap_or(0)
}

#[cfg(test)]
mod tests;
