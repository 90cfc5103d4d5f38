//! The mount table: which engine answers under which path of an add-on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::id::MountId;
use crate::rng::OsRandom;

/// How many mounts an add-on may have. The table is one row, read whole at unseal.
pub const MAX_MOUNTS: usize = 1000;

/// The longest mount path.
const MAX_PATH_BYTES: usize = 256;

/// First path segments that engines cannot be mounted on.
const RESERVED: [&str; 6] = ["sys", "auth", "cubbyhole", "identity", "audit", "conclave"];

/// Which engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// Secrets, versioned or not.
    Kv,
    /// Encryption as a service.
    Transit,
    /// Secrets of one token.
    Cubbyhole,
}

impl EngineKind {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kv => "kv",
            Self::Transit => "transit",
            Self::Cubbyhole => "cubbyhole",
        }
    }
}

/// What may be tuned on a mount.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MountConfig {
    /// Seconds; 0 means the node's default.
    pub default_lease_ttl: i64,
    /// Seconds; 0 means the node's maximum.
    pub max_lease_ttl: i64,
    /// Accepted for Vault's sake; there is no cache to bypass.
    pub force_no_cache: bool,
    /// `unauth` shows the mount to callers without a token; else empty or `hidden`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listing_visibility: String,
}

/// One row of the table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mount {
    /// For life, also when the mount moves.
    pub id: MountId,
    /// Ends in `/`.
    pub path: String,
    /// Which engine.
    pub kind: EngineKind,
    /// The user's words.
    pub description: String,
    /// `<type>_<8 hex digits>`, as Vault's accessors look.
    pub accessor: String,
    /// What may be tuned.
    pub config: MountConfig,
    /// Engine options as text, such as `version`.
    pub options: BTreeMap<String, String>,
}

impl Mount {
    /// A mount of `kind` at `path` (which ends in `/`).
    pub fn new(
        random: &OsRandom,
        path: &str,
        kind: EngineKind,
        options: BTreeMap<String, String>,
    ) -> Self {
        Self {
            id: MountId::generate(random),
            path: path.to_owned(),
            kind,
            description: String::new(),
            accessor: format!("{}_{}", kind.name(), hex::encode(random.array::<4>())),
            config: MountConfig::default(),
            options,
        }
    }

    /// Whether this is a versioned kv mount.
    pub fn is_versioned(&self) -> bool {
        self.kind == EngineKind::Kv && self.options.get("version").is_some_and(|v| v == "2")
    }
}

/// Checks and completes the path of a new mount.
///
/// # Errors
/// [`Error::Invalid`] for a path that is reserved, too long or badly formed.
pub fn checked_path(path: &str) -> Result<String, Error> {
    let path = path.trim_matches('/');
    let segments: Vec<&str> = path.split('/').collect();
    let first = segments.first().copied().unwrap_or_default();
    if RESERVED.contains(&first) {
        return Err(Error::invalid("path", format!("cannot mount \"{path}/\"")));
    }
    let bad = |segment: &&str| {
        segment.is_empty()
            || *segment == "."
            || *segment == ".."
            // In policies these mean something else.
            || *segment == "+"
            || segment.contains('*')
            || segment.contains("{{")
            || segment.chars().any(char::is_control)
    };
    if path.len() > MAX_PATH_BYTES || segments.iter().any(bad) {
        return Err(Error::invalid(
            "path",
            format!("a mount path has 1 to {MAX_PATH_BYTES} bytes and no empty segments"),
        ));
    }
    Ok(format!("{path}/"))
}

/// All mounts of an open add-on, each with its engine.
pub struct MountTable<E: ?Sized> {
    by_path: HashMap<String, Arc<Mounted<E>>>,
}

/// A mount and the engine behind it.
pub struct Mounted<E: ?Sized> {
    /// The table's row.
    pub mount: Mount,
    /// What answers.
    pub engine: Arc<E>,
}

impl<E: ?Sized> MountTable<E> {
    /// A table of these mounts.
    pub fn new(mounts: impl IntoIterator<Item = Arc<Mounted<E>>>) -> Self {
        let by_path = mounts
            .into_iter()
            .map(|mounted| (mounted.mount.path.clone(), mounted))
            .collect();
        Self { by_path }
    }

    /// The mount that `path` lies in, and the rest of the path. Mounts never nest, so the first match is the only one.
    pub fn route<'p>(&self, path: &'p str) -> Option<(&Arc<Mounted<E>>, &'p str)> {
        path.match_indices('/').find_map(|(position, _)| {
            let (prefix, rest) = path.split_at_checked(position + 1)?;
            self.by_path.get(prefix).map(|mounted| (mounted, rest))
        })
    }

    /// The mount at exactly this path, which ends in `/`.
    pub fn get(&self, path: &str) -> Option<&Arc<Mounted<E>>> {
        self.by_path.get(path)
    }

    /// The mount with this id.
    pub fn by_id(&self, id: MountId) -> Option<&Arc<Mounted<E>>> {
        self.by_path.values().find(|mounted| mounted.mount.id == id)
    }

    /// All mounts, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Mounted<E>>> {
        self.by_path.values()
    }
}

/// Why a new mount at `path` would be in the way of one of `mounts`, or they in its way.
///
/// # Errors
/// [`Error::Invalid`] with Vault's text.
pub fn refuse_conflict(mounts: &[Mount], path: &str) -> Result<(), Error> {
    match mounts
        .iter()
        .find(|mount| mount.path.starts_with(path) || path.starts_with(&mount.path))
    {
        Some(mount) => Err(Error::invalid(
            "path",
            format!("path is already in use at {}", mount.path),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(path: &str) -> Mount {
        Mount::new(&OsRandom, path, EngineKind::Kv, BTreeMap::new())
    }

    #[test]
    fn a_path_is_routed_to_its_mount() {
        let table = MountTable::new(["secret/", "team/kv/"].map(|path| {
            Arc::new(Mounted {
                mount: mount(path),
                engine: Arc::new(()),
            })
        }));
        let route = |path| {
            table
                .route(path)
                .map(|(mounted, rest)| (mounted.mount.path.as_str(), rest))
        };
        assert_eq!(route("secret/data/a"), Some(("secret/", "data/a")));
        assert_eq!(route("team/kv/"), Some(("team/kv/", "")));
        assert_eq!(route("team/other/x"), None);
        assert_eq!(route("secret"), None);
    }

    #[test]
    fn paths_are_checked() {
        assert_eq!(checked_path("/a/b/").unwrap(), "a/b/");
        for path in [
            "",
            "/",
            "sys",
            "auth/x",
            "a//b",
            "a/../b",
            "cubbyhole",
            "a\u{0}",
            "+",
            "a/+",
            "a*",
            "{{x}}",
        ] {
            assert!(checked_path(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn mounts_never_nest() {
        let mounts = [mount("a/b/")];
        for path in ["a/b/", "a/b/c/", "a/"] {
            assert!(refuse_conflict(&mounts, path).is_err(), "{path}");
        }
        refuse_conflict(&mounts, "a/bc/").unwrap();
    }
}
