//! Newtypes for everything that has an identity.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest name of a node in bytes; a label of a host name has at most 63.
pub const MAX_NAME_BYTES: usize = 63;

/// How a node is called. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

/// A text that is no name for a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a node's name has 1 to 63 of the characters a-z A-Z 0-9 . _ : -")]
pub struct NameError;

impl NodeName {
    /// The name of a simulated node.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn numbered(number: usize) -> Self {
        Self(format!("n{number}").into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        if (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(NameError)
        }
    }
}

impl Borrow<str> for NodeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Which cluster a node belongs to. Every packet carries it, so that two clusters that share keys by mistake do not mix.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClusterId(pub [u8; 16]);

/// One run of a node's process: a random number drawn at its start. A peer that shows another one has restarted and
/// remembers nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BootId(pub u64);

/// On whose behalf something is told. Opaque here; budgets are counted by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tenant(pub [u8; 16]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_plain() {
        for name in ["a", "node-1", "10.90.0.1", "fd00::1", &"x".repeat(63)] {
            assert!(name.parse::<NodeName>().is_ok(), "{name}");
        }
        for name in ["", "a b", "a\n", "n\u{f6}de", "a/b", &"x".repeat(64)] {
            assert!(name.parse::<NodeName>().is_err(), "{name}");
        }
    }
}
