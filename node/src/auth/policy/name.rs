//! [`PolicyName`]: what tokens and `sys/policies/acl` call a policy.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The longest name. Names are shown in tables and audit lines and are part of request paths.
const MAX_NAME_BYTES: usize = 255;

/// A policy's name, in lower case. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PolicyName(Arc<str>);

impl PolicyName {
    const ROOT: &'static str = "root";

    /// The name of the policy that allows everything.
    pub fn root() -> Self {
        Self(Self::ROOT.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the policy that allows everything.
    pub fn is_root(&self) -> bool {
        self.as_str() == Self::ROOT
    }
}

impl FromStr for PolicyName {
    type Err = Error;

    /// Lower-cases and checks. Slashes and blanks within a name are allowed, as Vault allows them.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is empty, too long, not printable, or begins or ends with a blank or slash.
    fn from_str(text: &str) -> Result<Self, Error> {
        let name = text.to_lowercase();
        let refuse = |why: &str| Err(Error::invalid("name", format!("a policy name {why}")));
        if name.is_empty() {
            return refuse("must not be empty");
        }
        if name.len() > MAX_NAME_BYTES {
            return refuse("must not be longer than 255 bytes");
        }
        if name.chars().any(char::is_control) {
            return refuse("must not hold control characters");
        }
        if name.trim_matches(|edge: char| edge == '/' || edge.is_whitespace()) != name {
            return refuse("must not begin or end with a blank or a slash");
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for PolicyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl TryFrom<String> for PolicyName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<PolicyName> for String {
    fn from(name: PolicyName) -> Self {
        name.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_cased() {
        let name: PolicyName = "Team A/Deploy-1".parse().unwrap();
        assert_eq!(name.as_str(), "team a/deploy-1");
        assert!("ROOT".parse::<PolicyName>().unwrap().is_root());
    }

    #[test]
    fn names_that_could_not_be_addressed_are_refused() {
        let long = "x".repeat(256);
        for name in ["", " a", "a/", "/a", "a\nb", "a\u{7f}", long.as_str()] {
            assert!(name.parse::<PolicyName>().is_err(), "{name:?}");
        }
        assert!("x".repeat(255).parse::<PolicyName>().is_ok());
    }
}
