//! Every key that is ever written is built here, in FoundationDB's tuple encoding, tenant first:
//!
//! ```text
//! (tenant, mount, table, part, ...)      tenant is empty for rows of the whole store
//!                                        mount is empty for rows of the add-on itself
//! ```
//!
//! Names never appear in a key: a secret's path, a key's name or a token is a [`Pseudonym`], a keyed hash that only an
//! unsealed add-on can compute.

use foundationdb_tuple::{Bytes, Element, Versionstamp, pack_into, unpack};

use super::{Stamp, StoreError};
use crate::id::{MountId, TenantId};

/// A key as stored.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(Vec<u8>);

/// All keys from `begin` up to but not including `end`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRange {
    /// The first key of the range, if it exists.
    pub begin: Vec<u8>,
    /// The first key after the range.
    pub end: Vec<u8>,
}

/// A keyed hash standing in for a name. 128 bits: two of a tenant's 2^32 names meet with probability 2^-65, and finding
/// such a pair on purpose needs the name key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pseudonym(pub [u8; 16]);

impl std::fmt::Debug for Pseudonym {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Pseudonym({})", hex::encode(self.0))
    }
}

/// Whose rows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// The store's own.
    Node,
    /// An add-on's, outside its mounts.
    Tenant(TenantId),
    /// A mount's. An engine gets no other scope.
    Mount(TenantId, MountId),
}

/// What kind of row. The numbers are the stored format: they are never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Table {
    // Of the store (Scope::Node).
    /// The random id of this store's life; `restore` and `copy` write a new one.
    Incarnation = 1,
    /// Which add-ons exist, by id: plaintext name, organisation, token epochs.
    AddOn = 2,
    /// The change feed, by stamp and position.
    Change = 3,
    /// Add-on ids by SHA-256 (first half) of their name, so that two cannot share one.
    AddOnName = 4,
    /// Where the rows come from that are being copied into this store; gone once it is complete.
    CopyMark = 5,

    // Of an add-on (Scope::Tenant).
    /// The seal epoch with its MAC.
    Epoch = 16,
    /// Shares, threshold, share hashes, wrapped root key; plaintext with a MAC.
    SealConfig = 17,
    /// The keyring, under the root key.
    Keyring = 18,
    /// The stamp of the last commit that changed cached state.
    ChangeStamp = 19,
    /// Revoked Biscuits by shelf and revocation id, and at the shelf how many; plaintext, since it must be known while
    /// sealed.
    RevokedBiscuit = 20,
    /// The mount table.
    Mounts = 21,
    /// Policies by name.
    Policy = 22,
    /// Tokens by digest.
    Token = 23,
    /// Token digests by accessor.
    Accessor = 24,
    /// A token's children.
    TokenChild = 25,
    /// Tokens by hour of expiry, for the sweeper.
    TokenExpiry = 26,
    /// Removed mounts by hour of removal, for the sweeper.
    RetiredMount = 27,
    /// Names and lengths of policies.
    PolicyIndex = 28,
    /// How many policies there are, how long together, and how often they changed.
    PolicyTotals = 29,
    /// Data keys added since init, by term, each under the one before it.
    Term = 30,
    /// How many rows each term encrypted; plaintext counters.
    TermUse = 31,
    /// When to add a term unasked.
    RotationConfig = 32,
    /// New shares that are to be given back before they replace the old ones.
    PendingRekey = 33,
    /// Whether keys may be handed over to nodes that restart; plaintext with a MAC.
    SealHandoff = 34,
    /// The key of the hashes in the audit log.
    AuditSalt = 40,

    // Of any scope above the store's.
    /// Sibling names under one directory.
    Name = 64,
    /// The rest of a value that is longer than one row.
    Chunk = 65,
    /// Results of operations that must not be applied twice.
    Idempotency = 66,

    // Of a kv mount.
    /// Mount-wide settings.
    KvConfig = 80,
    /// Version list and settings of one secret.
    KvMetadata = 81,
    /// One version's data.
    KvVersion = 82,
    /// An unversioned secret (kv v1, cubbyhole).
    KvPlain = 83,

    // Of a transit mount.
    /// Mount-wide settings.
    TransitConfig = 96,
    /// One key with all its versions; below it its mark, which says whether a copy in memory is still good.
    TransitKey = 97,
}

/// One element of a row's address after the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Part {
    /// A hidden name.
    Name(Pseudonym),
    /// A number: a version, an hour, a position.
    Number(u64),
}

impl From<Pseudonym> for Part {
    fn from(pseudonym: Pseudonym) -> Self {
        Self::Name(pseudonym)
    }
}

impl From<u64> for Part {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl Key {
    /// The key of a row.
    pub fn row(scope: Scope, table: Table, parts: &[Part]) -> Self {
        let mut bytes = scope_prefix(scope, 24 + 18 * parts.len());
        pack_into(&(u64::from(table as u8),), &mut bytes);
        append_parts(parts, &mut bytes);
        Self(bytes)
    }

    /// The key of one piece of the long value that stands at (`table`, `parts`).
    pub fn chunk(scope: Scope, table: Table, parts: &[Part], index: u64) -> Self {
        let mut key = Self::chunks(scope, table, parts);
        pack_into(&(index,), &mut key);
        Self(key)
    }

    /// The range of all pieces of one long value.
    pub fn chunk_range(scope: Scope, table: Table, parts: &[Part]) -> KeyRange {
        KeyRange::below(Self::chunks(scope, table, parts))
    }

    fn chunks(scope: Scope, table: Table, parts: &[Part]) -> Vec<u8> {
        let mut bytes = scope_prefix(scope, 48 + 18 * parts.len());
        pack_into(
            &(u64::from(Table::Chunk as u8), u64::from(table as u8)),
            &mut bytes,
        );
        append_parts(parts, &mut bytes);
        bytes
    }

    /// The key of the change record that is the `index`-th of the commit at `stamp`.
    pub fn change(stamp: Stamp, index: u16) -> Self {
        let (mut key, stamp_at) = Self::unstamped_change(index);
        let place = key.0.get_mut(stamp_at..).unwrap_or_default();
        for (byte, stamped) in place.iter_mut().zip(stamp.0) {
            *byte = stamped;
        }
        key
    }

    /// The key of the `index`-th change record of the commit that writes it: ten bytes, from the place that comes with
    /// it, are to be replaced by that commit's stamp.
    pub fn unstamped_change(index: u16) -> (Self, usize) {
        let mut key = Self::row(Scope::Node, Table::Change, &[]);
        // The element's type comes first.
        let stamp_at = key.0.len() + 1;
        pack_into(&(Versionstamp::complete([0; 10], index),), &mut key.0);
        (key, stamp_at)
    }

    /// The row that tells how far the change feed goes, where the store keeps one. It stands before all change records.
    pub fn feed_head() -> Self {
        Self::row(Scope::Node, Table::Change, &[Part::Number(0)])
    }

    /// All change records after `stamp`.
    pub fn changes_after(stamp: Stamp) -> KeyRange {
        let mut begin = Self::change(stamp, u16::MAX).0;
        begin.push(0x00);
        KeyRange {
            begin,
            end: KeyRange::rows(Scope::Node, Table::Change, &[]).end,
        }
    }

    /// All change records before `stamp`.
    pub fn changes_before(stamp: Stamp) -> KeyRange {
        KeyRange {
            begin: Self::change(Stamp::default(), 0).0,
            end: Self::change(stamp, 0).0,
        }
    }

    /// The change records of the commit at `stamp`.
    pub fn changes_of(stamp: Stamp) -> KeyRange {
        KeyRange {
            begin: Self::change(stamp, 0).0,
            end: Self::changes_after(stamp).begin,
        }
    }

    /// The stamp inside the key of a change record.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when this is no such key.
    pub fn change_stamp(&self) -> Result<Stamp, StoreError> {
        match unpack::<Vec<Element<'_>>>(&self.0).as_deref() {
            Ok([_, _, _, Element::Versionstamp(stamp)]) => {
                <[u8; 10]>::try_from(stamp.transaction_version())
                    .map(Stamp)
                    .map_err(|_| StoreError::Corrupt("a change record's key".into()))
            }
            _ => Err(StoreError::Corrupt("a change record's key".into())),
        }
    }

    /// A key exactly as a store returned it.
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes that a store files the row under; also what the row's ciphertext is bound to.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The parts after the table, of a key built by [`Key::row`].
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when this is no such key.
    pub fn parts(&self) -> Result<Vec<Part>, StoreError> {
        let elements: Vec<Element<'_>> =
            unpack(&self.0).map_err(|_| StoreError::Corrupt("a key that is no tuple".into()))?;
        elements
            .iter()
            .skip(3)
            .map(|element| match element {
                Element::Bytes(bytes) => <[u8; 16]>::try_from(bytes.as_ref())
                    .map(|bytes| Part::Name(Pseudonym(bytes)))
                    .map_err(|_| StoreError::Corrupt("a pseudonym of the wrong length".into())),
                Element::Int(number) => u64::try_from(*number)
                    .map(Part::Number)
                    .map_err(|_| StoreError::Corrupt("a negative number in a key".into())),
                _ => Err(StoreError::Corrupt("a key with an unknown part".into())),
            })
            .collect()
    }
}

impl KeyRange {
    /// The rows of a table whose parts begin with `prefix` and have at least one more.
    pub fn rows(scope: Scope, table: Table, prefix: &[Part]) -> Self {
        Self::below(Key::row(scope, table, prefix).0)
    }

    /// Everything of a mount, or of an add-on with all its mounts.
    pub fn scope(scope: Scope) -> Self {
        match scope {
            Scope::Tenant(tenant) => {
                let mut prefix = Vec::with_capacity(24);
                pack_into(&(Bytes::from(&tenant.as_bytes()[..]),), &mut prefix);
                Self::below(prefix)
            }
            scope => Self::below(scope_prefix(scope, 0)),
        }
    }

    /// Whether `key` lies inside.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.begin.as_slice() <= key && key < self.end.as_slice()
    }

    /// All keys that continue the tuple `prefix`: the next element's type byte is neither 0x00 nor 0xff at the bounds.
    fn below(prefix: Vec<u8>) -> Self {
        let mut begin = prefix.clone();
        begin.push(0x00);
        let mut end = prefix;
        end.push(0xff);
        Self { begin, end }
    }
}

fn scope_prefix(scope: Scope, extra: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40 + extra);
    let (tenant, mount): (&[u8], &[u8]) = match &scope {
        Scope::Node => (&[], &[]),
        Scope::Tenant(tenant) => (tenant.as_bytes(), &[]),
        Scope::Mount(tenant, mount) => (tenant.as_bytes(), mount.as_bytes()),
    };
    pack_into(&(Bytes::from(tenant), Bytes::from(mount)), &mut bytes);
    bytes
}

fn append_parts(parts: &[Part], bytes: &mut Vec<u8>) {
    for part in parts {
        match part {
            Part::Name(pseudonym) => {
                pack_into(&(Bytes::from(&pseudonym.0[..]),), bytes);
            }
            Part::Number(number) => {
                pack_into(&(*number,), bytes);
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope::Mount(
            TenantId::from_bytes([0; 16]),
            MountId::from_bytes([0xff; 16]),
        )
    }

    #[test]
    fn parts_survive_the_round_trip() {
        let parts = [
            Part::Name(Pseudonym([0; 16])),
            Part::Number(0),
            Part::Number(u64::from(u32::MAX)),
        ];
        let key = Key::row(scope(), Table::KvVersion, &parts);
        assert_eq!(key.parts().unwrap(), parts);
    }

    #[test]
    fn a_range_holds_its_rows_and_not_its_neighbours() {
        let name = Part::Name(Pseudonym([7; 16]));
        let range = KeyRange::rows(scope(), Table::KvVersion, &[name]);
        let inside = Key::row(scope(), Table::KvVersion, &[name, Part::Number(9)]);
        let other_name = Key::row(
            scope(),
            Table::KvVersion,
            &[Part::Name(Pseudonym([8; 16])), Part::Number(9)],
        );
        assert!(range.contains(inside.as_bytes()));
        assert!(!range.contains(other_name.as_bytes()));
        assert!(!range.contains(Key::row(scope(), Table::KvVersion, &[name]).as_bytes()));
        let chunk = Key::chunk(scope(), Table::KvVersion, &[name, Part::Number(9)], 1);
        assert!(!range.contains(chunk.as_bytes()));
        assert!(KeyRange::scope(scope()).contains(chunk.as_bytes()));
    }

    #[test]
    fn numbers_sort_as_numbers() {
        let key = |number| Key::row(scope(), Table::KvVersion, &[Part::Number(number)]);
        assert!(key(9) < key(10));
        assert!(key(255) < key(256));
    }

    #[test]
    fn changes_are_found_after_their_predecessor_only() {
        let first = Stamp([0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
        let second = Stamp([0, 0, 0, 0, 0, 0, 0, 2, 0, 0]);
        let range = Key::changes_after(first);
        assert!(!range.contains(Key::change(first, 0).as_bytes()));
        assert!(!range.contains(Key::change(first, 300).as_bytes()));
        assert!(range.contains(Key::change(second, 0).as_bytes()));
        assert_eq!(Key::change(second, 3).change_stamp().unwrap(), second);
        let head = Key::feed_head();
        assert!(KeyRange::rows(Scope::Node, Table::Change, &[]).contains(head.as_bytes()));
        assert!(!Key::changes_before(second).contains(head.as_bytes()));
        assert!(!Key::changes_after(Stamp::default()).contains(head.as_bytes()));
        let of_first = Key::changes_of(first);
        assert!(of_first.contains(Key::change(first, 0).as_bytes()));
        assert!(of_first.contains(Key::change(first, u16::MAX).as_bytes()));
        assert!(!of_first.contains(Key::change(second, 0).as_bytes()));
        assert!(Key::changes_before(second).contains(Key::change(first, 300).as_bytes()));
        assert!(!Key::changes_before(second).contains(Key::change(second, 0).as_bytes()));
    }
}
