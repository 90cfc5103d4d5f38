//! Which Biscuits of an add-on were revoked one by one: their rows in the store, and [`Revoked`], what a node knows of
//! them. The rows are plaintext, since they count while the add-on is sealed too.
//!
//! Whoever holds a Biscuit can narrow it offline as often as they like and revoke each result, so what bearers do must
//! not use up the room that administrators need: every role has two shelves, each with a limit of its own. The count of
//! a shelf changes in the transaction that adds to it, so that no number of calls at once gets past its limit. A token
//! is also void when one that it was narrowed from is, so revoking that one makes up for a full shelf of narrowed ones.

use std::collections::HashSet;

use parking_lot::RwLock;

use crate::auth::biscuit::{Identity, RevocationId, Role, VerifiedBiscuit};
use crate::error::Error;
use crate::id::TenantId;
use crate::store::change::Facet;
use crate::store::key::{Key, KeyRange, Part, Pseudonym, Scope, Table};
use crate::store::{Store, Transaction, transact};

/// How many tokens of a role can be revoked by administrators, or whole by their bearers, until they are rotated.
const MAX_REVOKED: u64 = 10_000;

/// How many narrowed tokens of a role can be revoked by their bearers.
const MAX_NARROWED: u64 = 2_000;

/// How many rows there can be.
const MAX_ROWS: usize = 2 * (MAX_REVOKED + MAX_NARROWED) as usize;

/// How many rows are read between two pauses for others.
const PAGE_ROWS: usize = 1000;

/// Who wants a token revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// Its bearer.
    Bearer,
    /// Somebody who may revoke any.
    Administrator,
}

/// Where a revocation is filed: the rows stand below the shelf's number, the count at the number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shelf {
    role: Role,
    narrowed: bool,
}

impl Shelf {
    fn all_of(role: Role) -> [Self; 2] {
        [false, true].map(|narrowed| Self { role, narrowed })
    }

    /// The stored format: never reused.
    fn number(self) -> u64 {
        match (self.role, self.narrowed) {
            (Role::Root, false) => 0,
            (Role::Root, true) => 1,
            (Role::User, false) => 2,
            (Role::User, true) => 3,
        }
    }

    fn limit(self) -> u64 {
        match self.narrowed {
            false => MAX_REVOKED,
            true => MAX_NARROWED,
        }
    }

    fn count_key(self, tenant: TenantId) -> Key {
        Key::row(
            Scope::Tenant(tenant),
            Table::RevokedBiscuit,
            &[Part::Number(self.number())],
        )
    }

    fn row_key(self, tenant: TenantId, part: Pseudonym) -> Key {
        Key::row(
            Scope::Tenant(tenant),
            Table::RevokedBiscuit,
            &[Part::Number(self.number()), Part::Name(part)],
        )
    }
}

/// Voids a Biscuit, and what was narrowed from it, for good. Says what to [note](Revoked::note).
///
/// # Errors
/// [`Error::Invalid`] when there is no room, [`Error::Denied`] for a Biscuit that is not this add-on's.
pub async fn revoke(
    store: &dyn Store,
    tenant: TenantId,
    biscuit: &VerifiedBiscuit,
    by: By,
) -> Result<Pseudonym, Error> {
    let id = biscuit.own_revocation_id().ok_or_else(Error::no_token)?;
    let role = match biscuit.identity() {
        Identity::Addon {
            tenant: owner,
            role,
            ..
        } if owner == tenant => role,
        _ => return Err(Error::no_token()),
    };
    let narrowed = by == By::Bearer && biscuit.revocation_ids().len() > 1;
    file(store, tenant, Shelf { role, narrowed }, &id).await
}

async fn file(
    store: &dyn Store,
    tenant: TenantId,
    shelf: Shelf,
    id: &RevocationId,
) -> Result<Pseudonym, Error> {
    let part = part(id);
    let (row, count_key) = (shelf.row_key(tenant, part), shelf.count_key(tenant));
    transact(store, async |transaction, _| {
        if transaction.get(&row).await?.is_some() {
            return Ok(());
        }
        let count = match transaction.get(&count_key).await? {
            None => 0,
            Some(count) => <[u8; 8]>::try_from(count)
                .map(u64::from_be_bytes)
                .map_err(|_| Error::Corrupt("a count of revoked tokens".into()))?,
        };
        if count >= shelf.limit() {
            return Err(no_room(shelf));
        }
        transaction.set(&count_key, &(count + 1).to_be_bytes());
        transaction.set(&row, id.as_bytes());
        transaction.append_change(&Facet::RevokedBiscuit(part).encode(tenant));
        Ok(())
    })
    .await?;
    Ok(part)
}

/// Forgets the revocations of a role whose tokens all become void in the same transaction.
pub fn clear(transaction: &mut dyn Transaction, tenant: TenantId, role: Role) {
    for shelf in Shelf::all_of(role) {
        let rows = KeyRange::rows(
            Scope::Tenant(tenant),
            Table::RevokedBiscuit,
            &[Part::Number(shelf.number())],
        );
        transaction.clear_range(&rows);
        transaction.clear(&shelf.count_key(tenant));
    }
}

/// Forgets all revocations, damaged rows included, where the tokens of both roles become void in the same transaction.
pub fn clear_all(transaction: &mut dyn Transaction, tenant: TenantId) {
    let rows = KeyRange::rows(Scope::Tenant(tenant), Table::RevokedBiscuit, &[]);
    transaction.clear_range(&rows);
}

/// What a node knows of an add-on's revoked Biscuits.
#[derive(Default)]
pub struct Revoked(RwLock<Known>);

#[derive(Default)]
struct Known {
    parts: HashSet<Pseudonym>,
    /// Those noted since the rows were last read, or began to be.
    noted: Vec<Pseudonym>,
    /// The rows are not what they can be: nobody knows which tokens are good, so none is.
    unreadable: bool,
}

/// The rows as read.
pub struct Snapshot {
    /// `None` when they are more than there can be, or not what they should be.
    parts: Option<HashSet<Pseudonym>>,
}

impl Revoked {
    /// Whether a Biscuit is void whose blocks would be filed at these [parts](part).
    pub fn covers(&self, mut parts: impl Iterator<Item = Pseudonym>) -> bool {
        let known = self.0.read();
        known.unreadable
            || (!known.parts.is_empty() && parts.any(|part| known.parts.contains(&part)))
    }

    /// Takes note of one more, here or on another node.
    pub fn note(&self, part: Pseudonym) {
        let mut known = self.0.write();
        if known.parts.insert(part) {
            known.noted.push(part);
        }
    }

    /// Reads all rows. At most one call at a time; the result goes to [`Revoked::replace`].
    ///
    /// # Errors
    /// What the store says.
    pub async fn read(&self, store: &dyn Store, tenant: TenantId) -> Result<Snapshot, Error> {
        // What is noted up to here was committed before the rows are read, so they will tell of it.
        self.0.write().noted.clear();
        let mut range = KeyRange::rows(Scope::Tenant(tenant), Table::RevokedBiscuit, &[]);
        let mut parts = HashSet::new();
        loop {
            let (page, _) = transact(store, async |transaction, _| {
                Ok(transaction.range(&range, PAGE_ROWS, false).await?)
            })
            .await?;
            for (key, _) in &page {
                match key.parts().as_deref() {
                    Ok([Part::Number(_)]) => {}
                    Ok([Part::Number(_), Part::Name(part)]) if parts.len() < MAX_ROWS => {
                        parts.insert(*part);
                    }
                    _ => return Ok(Snapshot { parts: None }),
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE_ROWS => {
                    range.begin = last.as_bytes().to_vec();
                    range.begin.push(0);
                }
                _ => return Ok(Snapshot { parts: Some(parts) }),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Takes over what was read, with what was noted meanwhile. Unless tokens were `rotated`, what is known stays: the
    /// rows may be those of a rotation that this node does not know of yet.
    pub fn replace(&self, snapshot: Snapshot, rotated: bool) {
        let mut known = self.0.write();
        known.unreadable = snapshot.parts.is_none();
        if known.unreadable {
            tracing::error!(
                "the list of revoked tokens is damaged: root and user tokens are refused until both are rotated"
            );
        }
        let mut parts = snapshot.parts.unwrap_or_default();
        match rotated {
            true => parts.extend(&known.noted),
            false => parts.extend(&known.parts),
        }
        known.parts = parts;
    }
}

/// Where a revoked Biscuit is filed: the first bytes of its revocation id, which is a signature and so uniform.
pub fn part(id: &RevocationId) -> Pseudonym {
    let mut part = [0; 16];
    for (to, from) in part.iter_mut().zip(id.as_bytes()) {
        *to = *from;
    }
    Pseudonym(part)
}

fn no_room(shelf: Shelf) -> Error {
    let role = shelf.role;
    Error::bad_request(match shelf.narrowed {
        true => format!(
            "too many narrowed {role} tokens have revoked themselves; revoke the one they were narrowed from, or rotate \
             the add-on's {role} tokens"
        ),
        false => {
            format!("too many revoked {role} tokens; rotate the add-on's {role} tokens instead")
        }
    })
}

#[cfg(test)]
mod tests;
