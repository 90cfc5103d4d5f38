//! What each table's rows are, as far as can be told without keys.

use crate::barrier::envelope;
use crate::seal::offline;
use crate::store::key::{Scope, Table};

/// Whose rows a table has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Store,
    AddOn,
    Mount,
    /// An add-on's, in a mount or not.
    Anywhere,
    /// None: these rows are looked at elsewhere.
    Nowhere,
}

/// What stands in a table's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Content {
    /// Ciphertext of the barrier, perhaps in pieces.
    Sealed,
    /// Ciphertext under the root key.
    Keyring,
    /// Plain JSON with a MAC.
    SealConfig,
    /// The same.
    Epoch,
    /// The same, of any kind.
    Authentic,
    /// Ten bytes.
    Stamp,
    /// Eight bytes.
    Counter,
    /// Anything: others look at it.
    Plain,
}

/// The rule for a table. Without a catch-all, so that a new table is given one.
pub(super) fn of(table: Table) -> (Place, Content) {
    match table {
        Table::Incarnation | Table::Change | Table::CopyMark | Table::Chunk => {
            (Place::Nowhere, Content::Plain)
        }
        Table::AddOn | Table::AddOnName => (Place::Store, Content::Plain),
        Table::Epoch => (Place::AddOn, Content::Epoch),
        Table::SealConfig => (Place::AddOn, Content::SealConfig),
        Table::Keyring => (Place::AddOn, Content::Keyring),
        Table::ChangeStamp => (Place::AddOn, Content::Stamp),
        Table::RevokedBiscuit => (Place::AddOn, Content::Plain),
        Table::Mounts
        | Table::Policy
        | Table::Token
        | Table::Accessor
        | Table::TokenChild
        | Table::TokenExpiry
        | Table::RetiredMount
        | Table::PolicyIndex
        | Table::PolicyTotals
        | Table::Term
        | Table::RotationConfig
        | Table::PendingRekey
        | Table::AuditSalt => (Place::AddOn, Content::Sealed),
        Table::TermUse => (Place::AddOn, Content::Counter),
        Table::SealHandoff => (Place::AddOn, Content::Authentic),
        Table::Name | Table::Idempotency => (Place::Anywhere, Content::Sealed),
        Table::KvConfig
        | Table::KvMetadata
        | Table::KvVersion
        | Table::KvPlain
        | Table::TransitConfig
        | Table::TransitKey => (Place::Mount, Content::Sealed),
    }
}

impl Place {
    pub(super) fn allows(self, scope: Scope) -> bool {
        match (self, scope) {
            (Self::Store, Scope::Node)
            | (Self::AddOn | Self::Anywhere, Scope::Tenant(_))
            | (Self::Mount | Self::Anywhere, Scope::Mount(..)) => true,
            (Self::Store | Self::AddOn | Self::Mount | Self::Anywhere | Self::Nowhere, _) => false,
        }
    }
}

impl Content {
    /// Whether a row can be this.
    pub(super) fn look_at(self, value: &[u8]) -> Result<(), String> {
        let looked_at = match self {
            Self::Sealed | Self::Plain => Ok(()),
            Self::Keyring => envelope::term_of(value).map(drop),
            Self::SealConfig => offline::examine_config(value),
            Self::Epoch => offline::examine_epoch(value),
            Self::Authentic => offline::examine_claim(value),
            Self::Stamp if value.len() == 10 => Ok(()),
            Self::Counter if value.len() == 8 => Ok(()),
            Self::Stamp | Self::Counter => {
                return Err("a stamp or counter of the wrong length".into());
            }
        };
        looked_at.map_err(|error| error.to_string())
    }
}
