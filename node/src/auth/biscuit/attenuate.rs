//! Narrowing a token offline: the holder appends a block of checks, and needs neither a key nor a node for it.
//!
//! Whatever is allowed here was allowed before: a block only adds checks. The paths that clients ask for before and
//! beside the real request stay open, or `bao kv get` and `bao login` fail: looking up and revoking the token itself, and
//! the mounts preflight. What a user types becomes terms of an expression, never Datalog text.

use std::collections::BTreeSet;
use std::time::Duration;

use biscuit_auth::UnverifiedBiscuit;
use biscuit_auth::builder::{
    Binary, BlockBuilder, Check, CheckKind, Expression, Op, Rule, Term, constrained_rule, pred,
    string, var,
};
use zeroize::Zeroizing;

use crate::auth::biscuit::contents::Envelope;
use crate::auth::biscuit::{
    MAX_TEXT_BYTES, decode_text, dialect, encode_text, next_key_pair, pattern,
};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::rng::OsRandom;
use crate::secret::Secret;

/// What a token can be limited to. A write is `update`, whether or not it creates: that is known only later.
const OPERATIONS: [&str; 6] = ["read", "list", "scan", "update", "patch", "delete"];

/// What clients ask about the token itself, and what `bao kv` asks before anything else.
const ALWAYS_OPEN: [&str; 3] = [
    "auth/token/lookup-self",
    "auth/token/revoke-self",
    "sys/internal/ui/mounts/*",
];

/// How to narrow a token. What is left empty stays as it was.
#[derive(Clone, Debug, Default)]
pub struct Attenuation {
    /// Only these paths: `*` at the end for any rest, `+` for any one segment.
    pub paths: Vec<String>,
    /// Only these operations.
    pub operations: Vec<String>,
    /// Only for this long.
    pub ttl: Option<Duration>,
}

/// Narrows the token `text` and returns the new one; the old one keeps working.
///
/// # Errors
/// [`Error::Invalid`] when `text` is not a token that can be narrowed, `attenuation` says nothing or something that
/// cannot be meant, or the result would be larger than nodes accept.
pub fn attenuate(
    random: &OsRandom,
    text: &str,
    attenuation: &Attenuation,
    now: Timestamp,
) -> Result<Secret<String>, Error> {
    let block = block(attenuation, now)?;
    let bytes = decode_text(text).ok_or_else(not_a_biscuit)?;
    let biscuit = UnverifiedBiscuit::from(bytes.as_slice()).map_err(|_| not_a_biscuit())?;
    let narrowed = biscuit
        .append_with_keypair(&next_key_pair(random)?, block)
        .map_err(|_| {
            Error::invalid(
                "token",
                "this token was sealed and cannot be narrowed any more",
            )
        })?
        .to_vec()
        .map(Zeroizing::new)
        .map_err(|_| Error::Bug("a narrowed token cannot be written".into()))?;
    let envelope = Envelope::decode(&narrowed).ok_or_else(|| {
        Error::invalid(
            "token",
            "nodes accept at most 16 blocks, all signed by their holders",
        )
    })?;
    let contents = envelope.contents().ok_or_else(not_a_biscuit)?;
    dialect::accept(&contents)
        .map_err(|what| Error::invalid("token", format!("nodes would not accept it: {what}")))?;
    let narrowed = encode_text(&narrowed);
    if narrowed.expose().len() > MAX_TEXT_BYTES {
        return Err(Error::invalid(
            "token",
            "the narrowed token would be longer than 8 KiB",
        ));
    }
    Ok(narrowed)
}

fn not_a_biscuit() -> Error {
    Error::invalid(
        "token",
        "only root and user tokens (Biscuits) can be narrowed, not service tokens or other text",
    )
}

fn block(attenuation: &Attenuation, now: Timestamp) -> Result<BlockBuilder, Error> {
    let mut block = BlockBuilder::new();
    if let Some(ttl) = attenuation.ttl {
        block.checks.push(expiry_check(ttl, now)?);
    }
    if !attenuation.operations.is_empty() {
        let operations = parse_operations(&attenuation.operations)?;
        let named = operation(Term::Set(operations), Binary::Contains, var("operation"));
        block
            .checks
            .push(check(vec![query("operation", named), path_query(&[])?]));
    }
    if !attenuation.paths.is_empty() {
        block
            .checks
            .push(check(vec![path_query(&attenuation.paths)?]));
    }
    if block.checks.is_empty() {
        return Err(Error::bad_request(
            "say what to narrow: a path, an operation or a time to live",
        ));
    }
    Ok(block)
}

/// `check if time($time), $time < {now + ttl}`. Whole seconds, rounded so that the token never lives longer than `ttl`.
pub(super) fn expiry_check(ttl: Duration, now: Timestamp) -> Result<Check, Error> {
    if ttl < Duration::from_secs(1) {
        return Err(Error::invalid(
            "ttl",
            "a time to live is at least one second",
        ));
    }
    let expiry = u64::try_from(now.plus(ttl).unix_seconds()).unwrap_or(0);
    let in_time = operation(var("time"), Binary::LessThan, Term::Date(expiry));
    Ok(check(vec![query("time", in_time)]))
}

/// `path($path), $path.extern::path_in({patterns and what always stays open})`.
fn path_query(patterns: &[String]) -> Result<Rule, Error> {
    let patterns = patterns.iter().map(|pattern| pattern::parse(pattern));
    let patterns: BTreeSet<Term> = patterns
        .chain(ALWAYS_OPEN.into_iter().map(Ok))
        .map(|pattern| pattern.map(string))
        .collect::<Result<_, _>>()?;
    let function = Binary::Ffi(pattern::FUNCTION.to_string());
    Ok(query(
        "path",
        operation(var("path"), function, Term::Set(patterns)),
    ))
}

fn parse_operations(operations: &[String]) -> Result<BTreeSet<Term>, Error> {
    operations
        .iter()
        .map(|name| {
            if OPERATIONS.contains(&name.as_str()) {
                return Ok(string(name));
            }
            let known = OPERATIONS.join(", ");
            Err(Error::invalid(
                "operation",
                format!("{name:?} is not one of {known}"),
            ))
        })
        .collect()
}

fn check(queries: Vec<Rule>) -> Check {
    Check {
        queries,
        kind: CheckKind::One,
    }
}

/// `fact($fact), condition`: the request's fact of that name, in a variable of the same name.
fn query(fact: &str, condition: Expression) -> Rule {
    const NO_TERMS: &[Term] = &[];
    constrained_rule("query", NO_TERMS, &[pred(fact, &[var(fact)])], &[condition])
}

/// `left operator right`.
fn operation(left: Term, operator: Binary, right: Term) -> Expression {
    Expression {
        ops: vec![Op::Value(left), Op::Value(right), Op::Binary(operator)],
    }
}
