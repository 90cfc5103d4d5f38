//! [`Operation`]: what a request wants to do, in the words of policies and audit lines.

use crate::auth::policy::Capabilities;

/// What a request wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// A write to what is not there yet, on paths that tell the two apart.
    Create,
    /// GET.
    Read,
    /// Any other write, POST or PUT.
    Update,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// LIST, or GET with `list=true`.
    List,
    /// SCAN, or GET with `scan=true`.
    Scan,
    /// GET with `help=1`.
    Help,
}

impl Operation {
    /// The name in audit lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Scan => "scan",
            Self::Help => "help",
        }
    }

    /// The operation of that name, among those that policies are about.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Create,
            Self::Read,
            Self::Update,
            Self::Patch,
            Self::Delete,
            Self::List,
            Self::Scan,
        ]
        .into_iter()
        .find(|operation| operation.as_str() == name)
    }

    /// The capability that it needs; help needs none.
    pub fn capability(self) -> Capabilities {
        match self {
            Self::Create => Capabilities::CREATE,
            Self::Read => Capabilities::READ,
            Self::Update => Capabilities::UPDATE,
            Self::Patch => Capabilities::PATCH,
            Self::Delete => Capabilities::DELETE,
            Self::List => Capabilities::LIST,
            Self::Scan => Capabilities::SCAN,
            Self::Help => Capabilities::NONE,
        }
    }

    /// Whether it shows names below a path. Such a path ends in a slash, and a rule without it counts too.
    pub fn shows_names(self) -> bool {
        matches!(self, Self::List | Self::Scan)
    }

    /// Whether rules about parameters apply to it. That they apply to reads is OpenBao's addition.
    pub fn has_parameters(self) -> bool {
        matches!(self, Self::Create | Self::Read | Self::Update | Self::Patch)
    }
}
