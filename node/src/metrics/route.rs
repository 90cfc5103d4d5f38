//! The name under which a request is counted: its route without what the user named. A small fixed set, whatever is sent.

use crate::tenant::mount::EngineKind;

/// Everything else.
const OTHER: &str = "other";

const KV: [&str; 9] = [
    "kv/data",
    "kv/metadata",
    "kv/detailed-metadata",
    "kv/subkeys",
    "kv/config",
    "kv/delete",
    "kv/undelete",
    "kv/destroy",
    "kv/options",
];

const TRANSIT: [&str; 18] = [
    "transit/encrypt",
    "transit/decrypt",
    "transit/rewrap",
    "transit/datakey",
    "transit/keys",
    "transit/hmac",
    "transit/hash",
    "transit/sign",
    "transit/verify",
    "transit/random",
    "transit/export",
    "transit/config",
    "transit/cache-config",
    "transit/backup",
    "transit/restore",
    "transit/import",
    "transit/wrapping_key",
    "transit/byok-export",
];

const SYS: [&str; 32] = [
    "sys/generate-root-token",
    "sys/rekey-recovery-key",
    "sys/seal-handoff",
    "sys/capabilities-explain",
    "sys/health",
    "sys/seal-status",
    "sys/init",
    "sys/unseal",
    "sys/seal",
    "sys/leader",
    "sys/internal",
    "sys/mounts",
    "sys/remount",
    "sys/auth",
    "sys/policies",
    "sys/policy",
    "sys/capabilities",
    "sys/capabilities-self",
    "sys/capabilities-accessor",
    "sys/metrics",
    "sys/audit",
    "sys/audit-hash",
    "sys/rekey",
    "sys/rotate",
    "sys/generate-root",
    "sys/key-status",
    "sys/leases",
    "sys/wrapping",
    "sys/tools",
    "sys/config",
    "sys/ha-status",
    "sys/host-info",
];

const AUTH: [&str; 1] = ["auth/token"];

/// The route of `path`, which is below `/v1/`; `mounted` is the engine that it leads to and the path within it, where
/// that is known.
pub fn label(path: &str, mounted: Option<(EngineKind, &str)>) -> &'static str {
    let (routes, path): (&[&'static str], &str) = match mounted {
        Some((EngineKind::Cubbyhole, _)) => return "cubbyhole",
        Some((EngineKind::Kv, path)) => (&KV, path),
        Some((EngineKind::Transit, path)) => (&TRANSIT, path),
        None => match path.split_once('/') {
            Some(("sys", rest)) => (&SYS, rest),
            Some(("auth", rest)) => (&AUTH, rest),
            Some(("conclave", _)) => return "conclave",
            _ => return OTHER,
        },
    };
    let (first, _) = path.split_once('/').unwrap_or((path, ""));
    let is_it = |route: &&&str| {
        route
            .split_once('/')
            .is_some_and(|(_, segment)| segment == first)
    };
    match routes.iter().find(is_it) {
        Some(route) => route,
        // Paths of an unversioned mount are all the user's.
        None if matches!(mounted, Some((EngineKind::Kv, _))) => "kv",
        None => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_hold_nothing_of_the_users() {
        for (path, mounted, expected) in [
            (
                "secret/data/a/b",
                Some((EngineKind::Kv, "data/a/b")),
                "kv/data",
            ),
            ("old/a/b", Some((EngineKind::Kv, "a/b")), "kv"),
            (
                "t/encrypt/k",
                Some((EngineKind::Transit, "encrypt/k")),
                "transit/encrypt",
            ),
            ("t/x/k", Some((EngineKind::Transit, "x/k")), "other"),
            (
                "cubbyhole/a",
                Some((EngineKind::Cubbyhole, "a")),
                "cubbyhole",
            ),
            ("sys/mounts/a", None, "sys/mounts"),
            ("sys/none", None, "other"),
            ("auth/token/lookup-self", None, "auth/token"),
            ("auth/mine/login", None, "other"),
            ("conclave/addons/x", None, "conclave"),
            ("secret/data/a", None, "other"),
        ] {
            assert_eq!(label(path, mounted), expected, "{path}");
        }
    }
}
