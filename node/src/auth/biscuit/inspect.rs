//! Shows what is in a token, to people and programs, with or without the operator's public key. Without it anything may
//! have been forged, and the answer says so.

use biscuit_auth::Biscuit;
use serde::Serialize;

use crate::auth::biscuit::contents::Envelope;
use crate::auth::biscuit::{Identity, OperatorPublicKey, Role, decode_text, dialect};
use crate::error::Error;
use crate::id::TenantId;

/// What `conclave token inspect` prints.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// Whether the signatures were checked and are good. If not, everything below is what the token claims.
    pub verified: bool,
    /// `root`, `user` or `operator`; `None` when the token does not say.
    pub bearer: Option<&'static str>,
    /// The add-on it belongs to.
    pub tenant: Option<TenantId>,
    /// Root or user.
    pub role: Option<Role>,
    /// The add-on's token epoch it was made in.
    pub token_epoch: Option<u64>,
    /// When it stops working, RFC 3339; `None` when no check says so plainly.
    pub expires: Option<String>,
    /// Why nodes would not accept it, whatever its signatures.
    pub refused: Option<&'static str>,
    /// Its blocks, the authority block first.
    pub blocks: Vec<InspectedBlock>,
}

/// One block of a token.
#[derive(Debug, Serialize)]
pub struct InspectedBlock {
    /// Names the block in revocations.
    pub revocation_id: String,
    /// Its Datalog, one statement a line; strings are escaped.
    pub source: Vec<String>,
}

/// Reads `text`, and checks its signatures when `operator` is given.
///
/// # Errors
/// [`Error::Invalid`] when `text` is not a Biscuit that nodes could read, or is not signed by `operator`.
pub fn inspect(text: &str, operator: Option<&OperatorPublicKey>) -> Result<Inspection, Error> {
    let unreadable = || {
        Error::invalid(
            "token",
            "this is not a Biscuit that Conclave could have made",
        )
    };
    let bytes = decode_text(text).ok_or_else(unreadable)?;
    let envelope = Envelope::decode(&bytes).ok_or_else(unreadable)?;
    let contents = envelope.contents().ok_or_else(unreadable)?;
    let sources = envelope.sources().ok_or_else(unreadable)?;
    if let Some(operator) = operator {
        Biscuit::from(bytes.as_slice(), operator.key()).map_err(|_| {
            Error::invalid("token", "this token was not signed by that operator key")
        })?;
    }
    let identity = contents.identity();
    let (tenant, role, token_epoch) = match identity {
        Some(Identity::Addon {
            tenant,
            role,
            token_epoch,
        }) => (Some(tenant), Some(role), Some(token_epoch)),
        Some(Identity::Operator) | None => (None, None, None),
    };
    let bearer = match identity {
        Some(Identity::Operator) => Some("operator"),
        Some(Identity::Addon { role, .. }) => Some(role.as_str()),
        None => None,
    };
    let blocks = sources
        .into_iter()
        .zip(envelope.revocation_ids())
        .map(|(source, id)| InspectedBlock {
            revocation_id: id.to_string(),
            source,
        });
    Ok(Inspection {
        verified: operator.is_some(),
        bearer,
        tenant,
        role,
        token_epoch,
        expires: contents.expires().map(|expires| expires.to_string()),
        refused: dialect::accept(&contents).err(),
        blocks: blocks.collect(),
    })
}

impl Inspection {
    /// The same as a table of labels and values for people.
    pub fn rows(&self) -> Vec<(String, String)> {
        let signature = if self.verified {
            "verified"
        } else {
            "NOT VERIFIED: without the operator's public key this is only what the token claims"
        };
        let mut rows = Vec::new();
        let mut row = |label: &str, value: &str| rows.push((label.to_string(), value.to_string()));
        row("signature", signature);
        row("bearer", self.bearer.unwrap_or("unknown"));
        if let Some(tenant) = self.tenant {
            row("add-on", &tenant.to_string());
        }
        if let Some(token_epoch) = self.token_epoch {
            row("token epoch", &token_epoch.to_string());
        }
        row("expires", self.expires.as_deref().unwrap_or("never"));
        if let Some(refused) = self.refused {
            row("refused by nodes", &format!("it holds {refused}"));
        }
        for (number, block) in self.blocks.iter().enumerate() {
            row(&format!("block {number}"), &block.source.join("\n"));
            row("  revocation id", &block.revocation_id);
        }
        rows
    }
}
