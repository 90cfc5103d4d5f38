//! The Datalog that a node is willing to evaluate, decided before anything runs.
//!
//! A holder may append any block, so the Datalog in a token is code from outside that runs on every request. The
//! library's limits do not contain it: it looks at the clock between queries, so one query that joins its block's facts
//! with themselves six times, nests `any` in `any`, or compiles an adversarial regular expression keeps a thread busy
//! for minutes. So this is what a block may hold:
//!
//! - facts, and checks over them and over the facts of the request;
//! - no rules (they derive facts, which multiplies the cost of everything) and no scopes (there are no third parties);
//! - in expressions: comparisons, membership, prefix and suffix, boolean logic, and path patterns (see `pattern`);
//!   no regular expressions, arithmetic, concatenation, set algebra, or `any`/`all`/`try`;
//! - at most [`MAX_STEPS`] of evaluation, counted by an upper bound that needs only the text.

use biscuit_auth::builder::{Binary, Expression, Op, Predicate, Rule, Term, Unary};

use crate::auth::biscuit::contents::Contents;
use crate::auth::biscuit::pattern;

/// At most 10 ms: a step is a fact looked at or an operation done, and takes below 100 ns (the worst token found that
/// stays within it takes 2.5 ms, unoptimised). A token narrowed to ten paths comes to about 2 000.
const MAX_STEPS: usize = 100_000;

/// Names and strings that a token may bring along: finding one is a linear search, done for every use of it.
const MAX_SYMBOLS: usize = 256;

/// Operations of one expression. Printing a failed check is quadratic in it.
const MAX_OPERATIONS: usize = 128;

/// Binding the variables of one combination of facts.
const COMBINATION_STEPS: usize = 10;

/// Bytes of a string that are compared or copied in one step.
const BYTES_PER_STEP: usize = 64;

/// Steps for searching in the request's path, which the HTTP server keeps below 8 KiB.
const PATH_STEPS: usize = 8 * 1024 / BYTES_PER_STEP;

/// The facts that each request brings: time, operation, path and tenant.
const REQUEST_FACTS: [&str; 4] = ["time", "operation", "path", "tenant"];

/// Checks that the token is within the dialect.
///
/// # Errors
/// What is not accepted, in words for the token's holder.
pub(super) fn accept(contents: &Contents) -> Result<(), &'static str> {
    if contents.symbols > MAX_SYMBOLS {
        return Err("more than 256 names and strings");
    }
    let heaviest = contents
        .blocks
        .iter()
        .flat_map(|block| &block.facts)
        .flat_map(|fact| &fact.predicate.terms)
        .map(weight)
        .max()
        .unwrap_or(1);
    let mut steps = 0_usize;
    for block in &contents.blocks {
        if !block.rules.is_empty() {
            return Err("rules; checks have to do without derived facts");
        }
        if block.scoped {
            return Err("a scope (`trusting`) or a public key");
        }
        for query in block.checks.iter().flat_map(|check| &check.queries) {
            steps = steps.saturating_add(query_steps(contents, query, heaviest)?);
        }
    }
    if steps > MAX_STEPS {
        return Err("checks that would take too long");
    }
    Ok(())
}

/// An upper bound for one query: each combination of facts that may fit its predicates is tried, all facts are looked at
/// for each, term by term, and each full combination has its expressions evaluated.
fn query_steps(contents: &Contents, query: &Rule, heaviest: usize) -> Result<usize, &'static str> {
    if !query.scopes.is_empty() {
        return Err("a scope (`trusting`) or a public key");
    }
    let all_facts = contents
        .blocks
        .iter()
        .map(|block| block.facts.len())
        .sum::<usize>();
    let terms = query.body.iter().map(|predicate| predicate.terms.len());
    let per_fact = heaviest
        .saturating_mul(terms.sum::<usize>())
        .saturating_add(1);
    let per_combination = per_fact
        .saturating_mul(all_facts + REQUEST_FACTS.len())
        .saturating_add(COMBINATION_STEPS);
    let mut combinations = 1_usize;
    let mut steps = per_combination;
    for predicate in &query.body {
        combinations = combinations.saturating_mul(candidates(contents, predicate));
        steps = steps.saturating_add(combinations.saturating_mul(per_combination));
    }
    for expression in &query.expressions {
        let once = expression_steps(expression, heaviest)?;
        steps = steps.saturating_add(combinations.saturating_mul(once));
    }
    Ok(steps)
}

/// How many facts may fit `predicate`.
fn candidates(contents: &Contents, predicate: &Predicate) -> usize {
    let of_request =
        usize::from(predicate.terms.len() == 1 && REQUEST_FACTS.contains(&predicate.name.as_str()));
    let of_token = contents
        .blocks
        .iter()
        .flat_map(|block| &block.facts)
        .filter(|fact| {
            fact.predicate.name == predicate.name
                && fact.predicate.terms.len() == predicate.terms.len()
        })
        .count();
    of_request + of_token
}

fn expression_steps(expression: &Expression, heaviest: usize) -> Result<usize, &'static str> {
    let mut operations = 0;
    let mut largest = heaviest;
    survey(&expression.ops, &mut operations, &mut largest);
    if operations > MAX_OPERATIONS {
        return Err("an expression of more than 128 operations");
    }
    operations_steps(&expression.ops, largest)
}

/// Counts the operations and finds the largest term among them.
fn survey(ops: &[Op], operations: &mut usize, largest: &mut usize) {
    for op in ops {
        *operations += 1;
        match op {
            Op::Value(term) => *largest = weight(term).max(*largest),
            Op::Closure(_, inner) => survey(inner, operations, largest),
            Op::Unary(_) | Op::Binary(_) => {}
        }
    }
}

/// Steps for evaluating `ops` once, when no term in reach is heavier than `largest`.
fn operations_steps(ops: &[Op], largest: usize) -> Result<usize, &'static str> {
    let mut steps = 0_usize;
    for op in ops {
        let cost = match op {
            Op::Value(_) => largest,
            Op::Unary(Unary::Negate | Unary::Parens | Unary::Length | Unary::TypeOf) => 1,
            // Each of the patterns may run along the whole path.
            Op::Binary(Binary::Ffi(name)) if name == pattern::FUNCTION => {
                largest.saturating_mul(PATH_STEPS)
            }
            // A search in a string, or a membership in a set.
            Op::Binary(Binary::Contains | Binary::Prefix | Binary::Suffix) => {
                largest.saturating_add(PATH_STEPS)
            }
            Op::Binary(operator) if is_comparison_or_logic(operator) => largest,
            // Copied when it is met and again when it is evaluated.
            Op::Closure(parameters, inner) if parameters.is_empty() => {
                operations_steps(inner, largest)?.saturating_mul(3)
            }
            Op::Unary(_) | Op::Binary(_) | Op::Closure(..) => {
                return Err("an operation that nodes do not evaluate");
            }
        };
        steps = steps.saturating_add(cost);
    }
    Ok(steps)
}

fn is_comparison_or_logic(operator: &Binary) -> bool {
    matches!(
        operator,
        Binary::LessThan
            | Binary::GreaterThan
            | Binary::LessOrEqual
            | Binary::GreaterOrEqual
            | Binary::Equal
            | Binary::NotEqual
            | Binary::HeterogeneousEqual
            | Binary::HeterogeneousNotEqual
            | Binary::And
            | Binary::Or
            | Binary::LazyAnd
            | Binary::LazyOr
    )
}

/// Steps for copying or comparing a term.
fn weight(term: &Term) -> usize {
    match term {
        Term::Str(text) => 1 + text.len() / BYTES_PER_STEP,
        Term::Bytes(bytes) => 1 + bytes.len() / BYTES_PER_STEP,
        Term::Set(terms) => 1 + terms.iter().map(weight).sum::<usize>(),
        Term::Array(terms) => 1 + terms.iter().map(weight).sum::<usize>(),
        Term::Map(entries) => {
            1 + entries
                .values()
                .map(|value| 1 + weight(value))
                .sum::<usize>()
        }
        Term::Variable(_)
        | Term::Integer(_)
        | Term::Date(_)
        | Term::Bool(_)
        | Term::Parameter(_)
        | Term::Null => 1,
    }
}
