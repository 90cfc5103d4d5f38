//! The registry and the seals: every add-on has a name, every name an add-on, all rows belong to one, and each seal is
//! whole or not there at all.

use std::collections::BTreeMap;

use super::super::address::Address;
use super::{Findings, described, tenant_of};
use crate::id::TenantId;
use crate::store::key::{Key, Part, Table};
use crate::tenant::registry;

/// What was seen so far.
#[derive(Default)]
pub(super) struct AddOns {
    registered: BTreeMap<TenantId, Registered>,
    /// Which add-on each name's row tells of.
    names: BTreeMap<Vec<u8>, Option<TenantId>>,
    seen: BTreeMap<TenantId, Seen>,
}

struct Registered {
    name_row: Vec<u8>,
}

/// An add-on's rows.
#[derive(Default)]
struct Seen {
    config: bool,
    epoch: bool,
    keyring: bool,
    /// Rows that only an initialised add-on has.
    others: u64,
}

impl AddOns {
    /// Takes note of a row.
    pub(super) fn note(&mut self, address: &Address, value: &[u8], findings: &mut Findings) {
        match (address.table, tenant_of(address.scope)) {
            (Table::AddOn, None) => self.note_add_on(address, value, findings),
            (Table::AddOnName, None) => {
                let owner = <[u8; 16]>::try_from(value).ok();
                let name_row = Key::row(address.scope, address.table, &address.parts);
                let name_row = name_row.as_bytes().to_vec();
                self.names.insert(name_row, owner.map(TenantId::from_bytes));
            }
            (table, Some(tenant)) => {
                let seen = self.seen.entry(tenant).or_default();
                match table {
                    Table::SealConfig => seen.config = true,
                    Table::Epoch => seen.epoch = true,
                    Table::Keyring => seen.keyring = true,
                    // Known while sealed, and so also before the first seal.
                    Table::RevokedBiscuit => {}
                    _ => seen.others += 1,
                }
            }
            _ => {}
        }
    }

    fn note_add_on(&mut self, address: &Address, value: &[u8], findings: &mut Findings) {
        findings.add_ons += 1;
        let addon = match registry::decode(value) {
            Ok(addon) => addon,
            Err(error) => return findings.fault(&described(address), error.to_string()),
        };
        match address.parts.as_slice() {
            [Part::Name(id)] if id.0 == *addon.id.as_bytes() => {
                let name_row = registry::name_key(&addon.name).as_bytes().to_vec();
                self.registered.insert(addon.id, Registered { name_row });
            }
            _ => findings.fault(
                &described(address),
                "the add-on's id is not that of its row".into(),
            ),
        }
    }

    /// Adds what is wrong, once all rows have been seen.
    pub(super) fn finish(&self, findings: &mut Findings) {
        for (id, registered) in &self.registered {
            if self.names.get(&registered.name_row) != Some(&Some(*id)) {
                findings.fault(
                    &id.to_string(),
                    "the row of its name is missing or wrong".into(),
                );
            }
        }
        for owner in self.names.values() {
            match owner {
                Some(id) if self.registered.contains_key(id) => {}
                Some(id) => {
                    let what = format!("a name of an add-on that is not there, {id}");
                    findings.fault("the store, AddOnName", what);
                }
                None => findings.fault("the store, AddOnName", "a name of nothing".into()),
            }
        }
        for (id, seen) in &self.seen {
            if !self.registered.contains_key(id) {
                let what = "rows of an add-on that is not in the registry".to_owned();
                findings.fault(&id.to_string(), what);
            }
            match (seen.config, seen.epoch, seen.keyring) {
                (true, true, true) => findings.initialised += 1,
                (false, false, false) if seen.others == 0 => {}
                (false, false, false) => {
                    let what = "it has rows, but its seal is gone".to_owned();
                    findings.fault(&id.to_string(), what);
                }
                _ => {
                    let what = "some of the rows of its seal are gone".to_owned();
                    findings.fault(&id.to_string(), what);
                }
            }
        }
    }
}
