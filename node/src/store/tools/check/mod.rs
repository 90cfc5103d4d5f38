//! Looking at every row of a store: is it where a row can be, is it in a known format, is a long value whole, do the
//! add-ons and their seals fit together? With the keys of an add-on, each of its rows is opened as well.
//!
//! What is found is told with its address and nothing of its content. The store is only read, and best while no node
//! writes to it: where its transactions do not last, a row that changes meanwhile may look like half of something.

mod addons;
mod pieces;
mod rules;
#[cfg(test)]
mod tests;

use self::addons::AddOns;
use self::pieces::Pieces;
use self::rules::{Content, Place};
use super::address::Address;
use super::pages::{PageSource, StorePages};
use super::{Progress, Watcher, life};
use crate::barrier::{Stored, Unsealed, envelope};
use crate::error::Error;
use crate::id::TenantId;
use crate::store::change::Facet;
use crate::store::key::{Key, Scope};
use crate::store::{Row, Stamp, Store, Transaction, transact};

/// How many faults are listed; more are counted.
const MAX_LISTED: usize = 1000;
/// No value of the program is longer; a head that says so is not asked for more.
const MAX_LONG_VALUE_BYTES: u64 = 1024 * 1024 * 1024;
/// How many records of the change feed are read in one go.
const PAGE_CHANGES: usize = 1000;

/// Something that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The address.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

/// What was found.
#[derive(Clone, Default, Debug)]
pub struct Findings {
    /// Rows looked at.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Add-ons in the registry.
    pub add_ons: u64,
    /// Add-ons that were initialised.
    pub initialised: u64,
    /// Values longer than one row.
    pub long_values: u64,
    /// Records of the change feed.
    pub changes: u64,
    /// Rows that were opened with the keys given.
    pub opened: u64,
    /// The first faults.
    pub faults: Vec<Fault>,
    /// How many there are altogether.
    pub fault_count: u64,
}

/// An add-on whose rows are to be opened.
pub type OpenAddOn<'u> = Option<&'u Unsealed>;

/// Looks at every row of `store`.
///
/// # Errors
/// What the store says. Faults of rows are no errors.
pub async fn check(
    store: &dyn Store,
    open: OpenAddOn<'_>,
    watcher: Watcher<'_>,
) -> Result<Findings, Error> {
    let mut moment = store.moment().await?;
    let lasting = moment
        .as_mut()
        .map(|moment| moment.as_mut() as &mut dyn Transaction);
    let mut pages = StorePages::whole(store, lasting);
    let mut walk = Walk::new(open);
    while let Some(page) = pages.next_page().await? {
        for row in &page.rows {
            let read = walk.look_at(row);
            if let Some(long) = read {
                walk.open_long(store, &long).await?;
            }
        }
        watcher(Progress {
            step: "Checking",
            rows: walk.findings.rows,
            bytes: walk.findings.bytes,
            of_rows: None,
        });
    }
    walk.leave_scope();
    walk.add_ons.finish(&mut walk.findings);
    if let Err(error) = transact(store, async |transaction, _| {
        life::look_at(transaction).await
    })
    .await
    {
        match error {
            Error::Invalid { message, .. } | Error::Corrupt(message) => {
                walk.findings.fault("the store's life", message);
            }
            other => return Err(other),
        }
    }
    changes(store, &mut walk.findings).await?;
    Ok(walk.findings)
}

/// Looks at the records of the change feed.
async fn changes(store: &dyn Store, findings: &mut Findings) -> Result<(), Error> {
    let mut after = Stamp::default();
    loop {
        let page = store.changes_after(after, PAGE_CHANGES).await?;
        for change in &page {
            findings.changes += 1;
            if let Err(error) = Facet::decode(&change.record) {
                let place = format!("the change feed at {}", hex::encode(change.stamp.0));
                findings.fault(&place, error.to_string());
            }
        }
        match page.last() {
            Some(last) if page.len() >= PAGE_CHANGES => after = last.stamp,
            _ => return Ok(()),
        }
    }
}

/// A long value of an open add-on, whose pieces are to be joined and opened.
struct LongValue {
    key: Key,
    address: Address,
    bytes: u64,
}

/// The walk through the rows, in the order of their keys: an add-on's own rows first, then those of its mounts.
struct Walk<'u> {
    open: OpenAddOn<'u>,
    findings: Findings,
    scope: Option<Scope>,
    pieces: Pieces,
    add_ons: AddOns,
}

impl<'u> Walk<'u> {
    fn new(open: OpenAddOn<'u>) -> Self {
        Self {
            open,
            findings: Findings::default(),
            scope: None,
            pieces: Pieces::default(),
            add_ons: AddOns::default(),
        }
    }

    /// Looks at one row; gives what is still to be opened, for which the store must be asked.
    fn look_at(&mut self, (key, value): &Row) -> Option<LongValue> {
        self.findings.rows += 1;
        self.findings.bytes += (key.as_bytes().len() + value.len()) as u64;
        let address = match Address::of(key) {
            Ok(address) => address,
            Err(why) => {
                let place = format!("key {}", hex::encode(key.as_bytes()));
                self.findings.fault(&place, why.to_owned());
                return None;
            }
        };
        if self.scope != Some(address.scope) {
            self.leave_scope();
            self.scope = Some(address.scope);
        }
        let (place, content) = rules::of(address.table);
        if !place.allows(address.scope) {
            let what = "a row of this table does not belong here".to_owned();
            self.findings.fault(&described(&address), what);
            return None;
        }
        if let Some(number) = address.piece {
            if place == Place::Store || content != Content::Sealed {
                let what = "a piece of a value that is never long".to_owned();
                self.findings.fault(&described(&address), what);
            } else if let Err(what) = self.pieces.add(&address, number, value) {
                self.findings.fault(&described(&address), what);
            }
            return None;
        }
        self.add_ons.note(&address, value, &mut self.findings);
        if let Err(what) = content.look_at(value) {
            self.findings.fault(&described(&address), what);
            return None;
        }
        match content {
            Content::Sealed => self.look_at_sealed(key, address, value),
            _ => None,
        }
    }

    /// A row behind the barrier.
    fn look_at_sealed(&mut self, key: &Key, address: Address, value: &[u8]) -> Option<LongValue> {
        let keys = self
            .open
            .filter(|keys| tenant_of(address.scope) == Some(keys.tenant()));
        match Stored::of(value) {
            Err(error) => self.findings.fault(&described(&address), error.to_string()),
            Ok(Stored::Whole) => {
                if let Some(keys) = keys {
                    self.prove(keys, key, &address, value);
                }
            }
            Ok(Stored::InPieces(bytes)) => {
                self.findings.long_values += 1;
                self.pieces.expect(&address, bytes);
                if keys.is_some() && bytes <= MAX_LONG_VALUE_BYTES {
                    return Some(LongValue {
                        key: key.clone(),
                        address,
                        bytes,
                    });
                }
            }
        }
        None
    }

    fn prove(&mut self, keys: &Unsealed, key: &Key, address: &Address, envelope: &[u8]) {
        match keys.prove(key.as_bytes(), envelope) {
            Ok(()) => self.findings.opened += 1,
            Err(error) => self.findings.fault(&described(address), error.to_string()),
        }
    }

    /// Joins the pieces of a long value and opens it. That pieces are missing is found elsewhere.
    async fn open_long(&mut self, store: &dyn Store, long: &LongValue) -> Result<(), Error> {
        let LongValue {
            key,
            address,
            bytes,
        } = long;
        let Some(keys) = self.open else {
            return Ok(());
        };
        let range = Key::chunk_range(address.scope, address.table, &address.parts);
        let mut envelope = Vec::new();
        let mut rest = range;
        // A piece at a time: the value may be longer than one transaction may read.
        loop {
            let read = transact(store, async |transaction, _| {
                Ok(transaction.range(&rest, 1, false).await?)
            });
            let (rows, _) = read.await?;
            let Some((piece, value)) = rows.into_iter().next() else {
                break;
            };
            envelope.extend_from_slice(&value);
            if envelope.len() as u64 > *bytes {
                break;
            }
            rest.begin = [piece.as_bytes(), &[0]].concat();
        }
        if envelope.len() as u64 == *bytes && envelope::term_of(&envelope).is_ok() {
            self.prove(keys, key, address, &envelope);
        }
        Ok(())
    }

    /// The rows of a scope have all been seen, so its long values must be whole.
    fn leave_scope(&mut self) {
        for (address, what) in std::mem::take(&mut self.pieces).faults() {
            self.findings.fault(&described(&address), what);
        }
    }
}

impl Findings {
    fn fault(&mut self, place: &str, what: String) {
        self.fault_count += 1;
        if self.faults.len() < MAX_LISTED {
            self.faults.push(Fault {
                place: place.to_owned(),
                what,
            });
        }
    }
}

/// The add-on that a scope belongs to.
fn tenant_of(scope: Scope) -> Option<TenantId> {
    match scope {
        Scope::Node => None,
        Scope::Tenant(tenant) | Scope::Mount(tenant, _) => Some(tenant),
    }
}

/// An address for people.
fn described(address: &Address) -> String {
    use crate::store::key::Part;
    use std::fmt::Write;

    let mut text = match address.scope {
        Scope::Node => "the store".to_owned(),
        Scope::Tenant(tenant) => tenant.to_string(),
        Scope::Mount(tenant, mount) => format!("{tenant}, mount {mount}"),
    };
    // Writing to a string cannot fail.
    let _ = write!(text, ", {:?}", address.table);
    for part in &address.parts {
        let _ = match part {
            Part::Name(name) => write!(text, " {}", hex::encode(name.0)),
            Part::Number(number) => write!(text, " {number}"),
        };
    }
    if let Some(piece) = address.piece {
        let _ = write!(text, ", piece {piece}");
    }
    text
}
