//! Making tokens. Needs the operator's private key, so it happens where the operator works, not on a node.

use std::time::Duration;

use biscuit_auth::builder::{Term, boolean, fact, int, string};
use biscuit_auth::datalog::SymbolTable;
use biscuit_auth::{Biscuit, BiscuitBuilder};
use zeroize::Zeroizing;

use crate::auth::biscuit::key::OperatorKey;
use crate::auth::biscuit::{Role, attenuate, encode_text, next_key_pair};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::TenantId;
use crate::rng::OsRandom;
use crate::secret::Secret;

/// An operator token serves one command; an hour covers the slowest one and a clock that is off.
pub const MAX_OPERATOR_TTL: Duration = Duration::from_secs(3600);

/// The root or the user token of an add-on. It does not expire; raising the add-on's token epoch for the role voids it.
///
/// # Errors
/// [`Error::Invalid`] when the epoch is beyond 2^63, [`Error::Bug`] when the library refuses the facts.
pub fn mint_addon_token(
    key: &OperatorKey,
    random: &OsRandom,
    tenant: TenantId,
    role: Role,
    token_epoch: u64,
) -> Result<Secret<String>, Error> {
    let epoch = i64::try_from(token_epoch)
        .map_err(|_| Error::invalid("token_epoch", "a token epoch is below 2^63"))?;
    let builder = with_fact(Biscuit::builder(), "tenant", string(&tenant.to_string()))?;
    let builder = with_fact(builder, "role", string(role.as_str()))?;
    let builder = with_fact(builder, "token_epoch", int(epoch))?;
    sign(key, random, builder)
}

/// The token that `conclave addon` commands show to a node, good until `ttl` after `now`.
///
/// # Errors
/// [`Error::Invalid`] when `ttl` is below a second or above [`MAX_OPERATOR_TTL`].
pub fn mint_operator_token(
    key: &OperatorKey,
    random: &OsRandom,
    ttl: Duration,
    now: Timestamp,
) -> Result<Secret<String>, Error> {
    if ttl > MAX_OPERATOR_TTL {
        return Err(Error::invalid(
            "ttl",
            "an operator token lives at most an hour",
        ));
    }
    let builder = with_fact(Biscuit::builder(), "operator", boolean(true))?
        .check(attenuate::expiry_check(ttl, now)?)
        .map_err(|_| refused())?;
    sign(key, random, builder)
}

fn with_fact(builder: BiscuitBuilder, name: &str, value: Term) -> Result<BiscuitBuilder, Error> {
    builder.fact(fact(name, &[value])).map_err(|_| refused())
}

fn sign(
    key: &OperatorKey,
    random: &OsRandom,
    builder: BiscuitBuilder,
) -> Result<Secret<String>, Error> {
    let next = next_key_pair(random)?;
    let bytes = builder
        .build_with_key_pair(key.pair(), SymbolTable::new(), &next)
        .and_then(|biscuit| biscuit.to_vec())
        .map_err(|_| refused())?;
    Ok(encode_text(&Zeroizing::new(bytes)))
}

fn refused() -> Error {
    Error::Bug("the facts of a token were refused".into())
}
