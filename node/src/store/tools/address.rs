//! What a stored key says: whose row it is, of which table, and where in it.

use foundationdb_tuple::{Element, unpack};

use crate::id::{MountId, TenantId};
use crate::store::key::{Key, Part, Pseudonym, Scope, Table};

/// Every table, so that its number can be looked up.
const TABLES: [Table; 34] = [
    Table::Incarnation,
    Table::AddOn,
    Table::Change,
    Table::AddOnName,
    Table::CopyMark,
    Table::Epoch,
    Table::SealConfig,
    Table::Keyring,
    Table::ChangeStamp,
    Table::RevokedBiscuit,
    Table::Mounts,
    Table::Policy,
    Table::Token,
    Table::Accessor,
    Table::TokenChild,
    Table::TokenExpiry,
    Table::RetiredMount,
    Table::PolicyIndex,
    Table::PolicyTotals,
    Table::Term,
    Table::TermUse,
    Table::RotationConfig,
    Table::PendingRekey,
    Table::SealHandoff,
    Table::AuditSalt,
    Table::Name,
    Table::Chunk,
    Table::Idempotency,
    Table::KvConfig,
    Table::KvMetadata,
    Table::KvVersion,
    Table::KvPlain,
    Table::TransitConfig,
    Table::TransitKey,
];

/// A key taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Address {
    pub(super) scope: Scope,
    /// The row's table; of a piece of a long value, the table of that value.
    pub(super) table: Table,
    pub(super) parts: Vec<Part>,
    /// Of a piece of a long value, which one.
    pub(super) piece: Option<u64>,
}

impl Address {
    /// Takes a key apart, or says why it is none.
    pub(super) fn of(key: &Key) -> Result<Self, &'static str> {
        let elements: Vec<Element<'_>> =
            unpack(key.as_bytes()).map_err(|_| "the key is no tuple")?;
        let [tenant, mount, table, rest @ ..] = elements.as_slice() else {
            return Err("the key is too short");
        };
        let scope = scope(tenant, mount)?;
        let table = table_of(table)?;
        let (table, rest, is_piece) = match (table, rest) {
            (Table::Chunk, [of, rest @ ..]) => (table_of(of)?, rest, true),
            (Table::Chunk, []) => return Err("the key of a piece names no table"),
            _ => (table, rest, false),
        };
        let mut parts = rest.iter().map(part).collect::<Result<Vec<_>, _>>()?;
        let piece = match is_piece {
            false => None,
            true => match parts.pop() {
                Some(Part::Number(piece)) => Some(piece),
                _ => return Err("the key of a piece has no number"),
            },
        };
        Ok(Self {
            scope,
            table,
            parts,
            piece,
        })
    }
}

fn scope(tenant: &Element<'_>, mount: &Element<'_>) -> Result<Scope, &'static str> {
    let (Element::Bytes(tenant), Element::Bytes(mount)) = (tenant, mount) else {
        return Err("the key does not begin with an add-on and a mount");
    };
    match (
        <[u8; 16]>::try_from(tenant.as_ref()),
        <[u8; 16]>::try_from(mount.as_ref()),
    ) {
        _ if tenant.is_empty() && mount.is_empty() => Ok(Scope::Node),
        (Ok(tenant), _) if mount.is_empty() => Ok(Scope::Tenant(TenantId::from_bytes(tenant))),
        (Ok(tenant), Ok(mount)) => Ok(Scope::Mount(
            TenantId::from_bytes(tenant),
            MountId::from_bytes(mount),
        )),
        _ => Err("the key's add-on or mount has the wrong length"),
    }
}

fn table_of(element: &Element<'_>) -> Result<Table, &'static str> {
    let Element::Int(number) = element else {
        return Err("the key names no table");
    };
    TABLES
        .into_iter()
        .find(|table| i64::from(*table as u8) == *number)
        .ok_or("the key names a table that this version does not know")
}

fn part(element: &Element<'_>) -> Result<Part, &'static str> {
    match element {
        Element::Bytes(bytes) => <[u8; 16]>::try_from(bytes.as_ref())
            .map(|bytes| Part::Name(Pseudonym(bytes)))
            .map_err(|_| "a pseudonym in the key has the wrong length"),
        Element::Int(number) => u64::try_from(*number)
            .map(Part::Number)
            .map_err(|_| "the key has a negative number"),
        _ => Err("the key has an unknown part"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_apart_as_it_was_built() {
        let tenant = TenantId::from_bytes([0; 16]);
        let mount = MountId::from_bytes([0xff; 16]);
        let parts = vec![Part::Name(Pseudonym([0; 16])), Part::Number(300)];
        for scope in [
            Scope::Node,
            Scope::Tenant(tenant),
            Scope::Mount(tenant, mount),
        ] {
            for table in TABLES.into_iter().filter(|table| *table != Table::Chunk) {
                let mut address = Address {
                    scope,
                    table,
                    parts: parts.clone(),
                    piece: None,
                };
                let key = Key::row(scope, table, &parts);
                assert_eq!(Address::of(&key).unwrap(), address);
                address.piece = Some(7);
                let key = Key::chunk(scope, table, &parts, 7);
                assert_eq!(Address::of(&key).unwrap(), address);
            }
        }
    }

    /// A table that is missing here would look like damage.
    #[test]
    fn every_table_is_known() {
        let source = include_str!("../key.rs");
        let (_, tables) = source.split_once("pub enum Table {").unwrap();
        let (tables, _) = tables.split_once("\n}").unwrap();
        let numbers = tables
            .lines()
            .filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "));
        assert_eq!(numbers.count(), TABLES.len());
    }

    #[test]
    fn other_bytes_are_no_address() {
        for bytes in [&b""[..], b"\x00", b"\x01\x00\x01\x00", b"text"] {
            assert!(Address::of(&Key::from_stored(bytes.to_vec())).is_err());
        }
        let mut unknown = Key::row(Scope::Node, Table::AddOn, &[]).as_bytes().to_vec();
        *unknown.last_mut().unwrap() = 0xee;
        let reason = Address::of(&Key::from_stored(unknown)).unwrap_err();
        assert!(reason.contains("does not know"), "{reason}");
    }
}
