//! [`Capabilities`]: what a rule grants, as a set of bits.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of capabilities. `deny` is one of them; what it overrides is decided where rules are merged.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(u16);

/// All names with their bits, in alphabetical order, which is the order of replies.
const NAMES: [(&str, Capabilities); 9] = [
    ("create", Capabilities::CREATE),
    ("delete", Capabilities::DELETE),
    ("deny", Capabilities::DENY),
    ("list", Capabilities::LIST),
    ("patch", Capabilities::PATCH),
    ("read", Capabilities::READ),
    ("scan", Capabilities::SCAN),
    ("sudo", Capabilities::SUDO),
    ("update", Capabilities::UPDATE),
];

impl Capabilities {
    /// Nothing granted.
    pub const NONE: Self = Self(0);
    /// Make what is not there.
    pub const CREATE: Self = Self(1);
    /// Remove.
    pub const DELETE: Self = Self(1 << 1);
    /// Nothing is allowed, whatever else is granted for the same path.
    pub const DENY: Self = Self(1 << 2);
    /// See names. Not implied by `read`.
    pub const LIST: Self = Self(1 << 3);
    /// Change parts. Not implied by `update`.
    pub const PATCH: Self = Self(1 << 4);
    /// Look.
    pub const READ: Self = Self(1 << 5);
    /// See all names below, however deep.
    pub const SCAN: Self = Self(1 << 6);
    /// Use paths that need root privileges, together with the operation's own capability.
    pub const SUDO: Self = Self(1 << 7);
    /// Change what is there, or run an action.
    pub const UPDATE: Self = Self(1 << 8);

    /// The one called `name`.
    pub fn named(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, capability)| *capability)
    }

    /// What the old `policy = ".."` setting stands for.
    pub fn shorthand(policy: &str) -> Option<Self> {
        let read = Self::READ | Self::LIST;
        let write = read | Self::CREATE | Self::UPDATE | Self::DELETE;
        match policy {
            "deny" => Some(Self::DENY),
            "read" => Some(read),
            "write" => Some(write),
            "sudo" => Some(write | Self::SUDO),
            _ => None,
        }
    }

    /// Whether all of `wanted` is in here.
    pub fn contains(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// Whether anything is granted: something is in here, and it is not `deny`.
    pub fn grants_anything(self) -> bool {
        self != Self::NONE && !self.contains(Self::DENY)
    }

    /// The names as replies show them: sorted, and just `deny` where nothing is granted.
    pub fn names(self) -> Vec<&'static str> {
        if !self.grants_anything() {
            return vec!["deny"];
        }
        NAMES
            .iter()
            .filter(|(_, capability)| self.contains(*capability))
            .map(|(name, _)| *name)
            .collect()
    }
}

impl BitOr for Capabilities {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Capabilities {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.names(), formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_sorted_and_deny_stands_alone() {
        let mut names = NAMES.map(|(name, _)| name);
        names.sort_unstable();
        assert_eq!(names, NAMES.map(|(name, _)| name));
        assert_eq!(
            (Capabilities::UPDATE | Capabilities::CREATE).names(),
            ["create", "update"]
        );
        assert_eq!(Capabilities::NONE.names(), ["deny"]);
        assert_eq!((Capabilities::DENY | Capabilities::READ).names(), ["deny"]);
    }

    #[test]
    fn old_shorthands_grow_from_read_to_sudo() {
        let names = |policy| Capabilities::shorthand(policy).unwrap().names();
        assert_eq!(names("deny"), ["deny"]);
        assert_eq!(names("read"), ["list", "read"]);
        assert_eq!(
            names("write"),
            ["create", "delete", "list", "read", "update"]
        );
        assert_eq!(
            names("sudo"),
            ["create", "delete", "list", "read", "sudo", "update"]
        );
        assert_eq!(Capabilities::shorthand("admin"), None);
    }
}
