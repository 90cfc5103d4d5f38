//! The tree that both notations of a policy, HCL1 and JSON, are read into, and the limits that both keep.
//! It knows nothing of paths and capabilities.

use std::fmt;

/// The longest policy text. The longest sensible policies have a few thousand paths of a hundred bytes; this leaves
/// room for them and stays below what the store takes in one transaction.
pub const MAX_TEXT_BYTES: usize = 512 * 1024;

/// How deep blocks and lists may nest. A policy needs five levels; the parsers recurse, so this bounds their stack.
const MAX_DEPTH: usize = 16;

/// How many values one document may hold: about eight for each of the paths that fit into the longest text.
const MAX_VALUES: usize = 64 * 1024;

/// A place in the text, counted from 1; columns count characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Character within the line.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// One value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A quoted string or a heredoc.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// `[..]`.
    List(Vec<Value>),
    /// `{..}`.
    Object(Vec<Item>),
}

/// One member of an object: `key = value`, or a block with one or more keys.
#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    /// At least one.
    pub keys: Vec<String>,
    /// Where the first key begins; unknown in JSON.
    pub position: Option<Position>,
    /// What it is set to.
    pub value: Value,
}

impl Item {
    /// The first key.
    pub fn key(&self) -> &str {
        self.keys.first().map_or("", String::as_str)
    }

    /// ` on line 3`, where the line is known.
    pub fn on_line(&self) -> String {
        self.position
            .map(|position| format!(" on line {}", position.line))
            .unwrap_or_default()
    }
}

/// What is left of the limits while a document is read.
#[derive(Debug, Default)]
pub struct Budget {
    depth: usize,
    values: usize,
}

impl Budget {
    /// Counts one value.
    ///
    /// # Errors
    /// A sentence for the user when there are too many.
    pub fn value(&mut self) -> Result<(), String> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(format!("the policy holds more than {MAX_VALUES} values"));
        }
        Ok(())
    }

    /// Goes one level down.
    ///
    /// # Errors
    /// A sentence for the user when this is too deep.
    pub fn enter(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!(
                "blocks and lists are nested more than {MAX_DEPTH} deep"
            ));
        }
        Ok(())
    }

    /// Comes one level up again.
    pub fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
}
