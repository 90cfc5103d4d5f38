//! What is written in a token, block by block, before anybody evaluates it.
//!
//! The library hands out a token's Datalog only through an evaluation, or as text in which strings are not escaped.
//! Here the same bytes are decoded with the library's own decoders into its builder types, so that `dialect` can look
//! before anything runs, and `inspect` can show a token whose signature it cannot check. Nothing here verifies anything.

use biscuit_auth::builder::{Binary, Check, CheckKind, Convert, Expression, Fact, Op, Rule, Term};
use biscuit_auth::datalog::SymbolTable;
use biscuit_auth::format::convert::proto_block_to_token_block;
use biscuit_auth::format::schema::{self, public_key::Algorithm};
use prost::Message;

use crate::auth::biscuit::{Identity, MAX_BLOCKS, RevocationId};
use crate::clock::Timestamp;

/// The outermost layer: signed blocks, their contents still closed.
pub(super) struct Envelope {
    blocks: Vec<schema::SignedBlock>,
    revocation_ids: Vec<RevocationId>,
}

impl Envelope {
    /// Opens the envelope, at a cost that the length of the text bounds. `None` for anything but a chain of at most
    /// [`MAX_BLOCKS`] blocks that are all signed by Ed25519 keys and by no third party.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let token = schema::Biscuit::decode(bytes).ok()?;
        let mut blocks = vec![token.authority];
        blocks.extend(token.blocks);
        if blocks.len() > MAX_BLOCKS {
            return None;
        }
        let revocation_ids = blocks
            .iter()
            .map(|block| {
                let usual = block.external_signature.is_none()
                    && block.next_key.algorithm == Algorithm::Ed25519 as i32;
                let signature = block.signature.as_slice().try_into().ok()?;
                usual.then(|| RevocationId::from_bytes(signature))
            })
            .collect::<Option<_>>()?;
        Some(Self {
            blocks,
            revocation_ids,
        })
    }

    /// One id for each block, the authority block's first.
    pub(super) fn revocation_ids(&self) -> &[RevocationId] {
        &self.revocation_ids
    }

    /// The contents of all blocks.
    pub(super) fn contents(&self) -> Option<Contents> {
        let mut symbols = SymbolTable::new();
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for signed in &self.blocks {
            let proto = schema::Block::decode(signed.block.as_slice()).ok()?;
            symbols
                .extend(&SymbolTable::from(proto.symbols.clone()).ok()?)
                .ok()?;
            let block = proto_block_to_token_block(&proto, None).ok()?;
            blocks.push(Block {
                facts: convert(&block.facts, &symbols)?,
                rules: convert(&block.rules, &symbols)?,
                checks: convert(&block.checks, &symbols)?,
                scoped: !proto.scope.is_empty() || !proto.public_keys.is_empty(),
            });
        }
        Some(Contents {
            symbols: symbols.current_offset(),
            blocks,
        })
    }

    /// The Datalog of all blocks, one statement a line. Names and strings are escaped where they could be mistaken for
    /// Datalog or would drive a terminal.
    pub(super) fn sources(&self) -> Option<Vec<Vec<String>>> {
        let mut symbols = SymbolTable::new();
        let mut sources = Vec::with_capacity(self.blocks.len());
        for signed in &self.blocks {
            let proto = schema::Block::decode(signed.block.as_slice()).ok()?;
            let escaped = proto
                .symbols
                .iter()
                .map(|text| text.escape_debug().to_string());
            symbols
                .extend(&SymbolTable::from(escaped.collect()).ok()?)
                .ok()?;
            let block = proto_block_to_token_block(&proto, None).ok()?;
            let facts = block.facts.iter().map(|fact| symbols.print_fact(fact));
            let rules = block.rules.iter().map(|rule| symbols.print_rule(rule));
            let checks = block.checks.iter().map(|check| symbols.print_check(check));
            sources.push(facts.chain(rules).chain(checks).collect());
        }
        Some(sources)
    }
}

fn convert<From, To: Convert<From>>(items: &[From], symbols: &SymbolTable) -> Option<Vec<To>> {
    items
        .iter()
        .map(|item| To::convert_from(item, symbols).ok())
        .collect()
}

/// The Datalog of all blocks.
pub(super) struct Contents {
    /// How many names and strings the token brings along.
    pub(super) symbols: usize,
    /// The authority block first; never empty.
    pub(super) blocks: Vec<Block>,
}

/// The Datalog of one block.
pub(super) struct Block {
    pub(super) facts: Vec<Fact>,
    pub(super) rules: Vec<Rule>,
    pub(super) checks: Vec<Check>,
    /// Whether the block says which other blocks it trusts.
    pub(super) scoped: bool,
}

impl Contents {
    /// Whether any request could be denied.
    pub(super) fn has_checks(&self) -> bool {
        self.blocks.iter().any(|block| !block.checks.is_empty())
    }

    /// Who the bearer is, from the authority block alone: anybody can append a block that says something else.
    /// `None` when that block does not say exactly one thing.
    pub(super) fn identity(&self) -> Option<Identity> {
        let authority = self.blocks.first()?;
        let tenant = authority.only("tenant")?;
        let role = authority.only("role")?;
        let token_epoch = authority.only("token_epoch")?;
        match (authority.only("operator")?, tenant, role, token_epoch) {
            (None, Some(Term::Str(tenant)), Some(Term::Str(role)), Some(Term::Integer(epoch))) => {
                Some(Identity::Addon {
                    tenant: tenant.parse().ok()?,
                    role: role.parse().ok()?,
                    token_epoch: u64::try_from(*epoch).ok()?,
                })
            }
            // An operator token that works for ever was not made by this program.
            (Some(Term::Bool(true)), None, None, None) if authority.expires().is_some() => {
                Some(Identity::Operator)
            }
            _ => None,
        }
    }

    /// When the token stops working, as far as its checks say so plainly.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        self.blocks.iter().filter_map(Block::expires).min()
    }
}

impl Block {
    /// The value of the fact `name`; the outer `None` when there are several or it has another shape.
    fn only(&self, name: &str) -> Option<Option<&Term>> {
        let mut found = self.facts.iter().filter(|fact| fact.predicate.name == name);
        match (found.next(), found.next()) {
            (None, _) => Some(None),
            (Some(fact), None) => match fact.predicate.terms.as_slice() {
                [value] => Some(Some(value)),
                _ => None,
            },
            (Some(_), Some(_)) => None,
        }
    }

    /// The earliest bound that a check sets on the time, where each of its alternatives sets one.
    fn expires(&self) -> Option<Timestamp> {
        self.checks
            .iter()
            .filter(|check| check.kind == CheckKind::One)
            .filter_map(|check| {
                let bounds: Option<Vec<Timestamp>> = check.queries.iter().map(time_bound).collect();
                bounds?.into_iter().max()
            })
            .min()
    }
}

/// The bound of `time($t), $t < date` (or `<=`).
fn time_bound(query: &Rule) -> Option<Timestamp> {
    let variable = query
        .body
        .iter()
        .find_map(|predicate| match predicate.terms.as_slice() {
            [Term::Variable(name)] if predicate.name == "time" => Some(name),
            _ => None,
        })?;
    let bound = |expression: &Expression| match expression.ops.as_slice() {
        [
            Op::Value(Term::Variable(name)),
            Op::Value(Term::Date(seconds)),
            Op::Binary(Binary::LessThan | Binary::LessOrEqual),
        ] if name == variable => i64::try_from(*seconds)
            .ok()
            .map(Timestamp::from_unix_seconds),
        _ => None,
    };
    query.expressions.iter().filter_map(bound).min()
}
