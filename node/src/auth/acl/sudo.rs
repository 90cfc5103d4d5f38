//! Which paths need root privileges: a capability `sudo` beside the operation's own, or the root policy.
//!
//! These are the paths whose place is fixed. What an engine guards by itself (such as deleting the root of a PKI mount)
//! depends on where it is mounted, and belongs to that engine.

use super::Operation;

/// Guarded themselves. A list's trailing slash makes no difference.
const PATHS: [&str; 16] = [
    "auth/token/accessors",
    "auth/token/revoke-orphan",
    "identity/entity/merge",
    "sys/audit",
    "sys/config/cors",
    "sys/internal/counters/activity/export",
    "sys/leases",
    "sys/raw",
    "sys/remount",
    "sys/rotate",
    "sys/rotate/keyring",
    "sys/rotate/root",
    "sys/seal",
    "sys/seal-handoff",
    "sys/step-down",
    "sys/storage/raft/snapshot-auto",
];

/// Guarded with everything below.
const FOLDERS: [&str; 14] = [
    "auth/token/revoke-orphan/",
    "sys/audit/",
    "sys/auth/",
    "sys/config/auditing/",
    "sys/config/ui/headers/",
    "sys/internal/inspect/",
    "sys/leases/lookup/",
    "sys/leases/revoke-force/",
    "sys/leases/revoke-prefix/",
    "sys/plugins/catalog/",
    "sys/raw/",
    "sys/revoke-force/",
    "sys/revoke-prefix/",
    "sys/storage/raft/snapshot-auto/",
];

/// Whether the operation needs root privileges. Help never does.
pub fn requires_sudo(operation: Operation, path: &str) -> bool {
    if operation == Operation::Help {
        return false;
    }
    // Most requests are for secrets, and end here.
    if !["sys/", "auth/token/", "identity/"]
        .iter()
        .any(|fixed| path.starts_with(fixed))
    {
        return false;
    }
    let whole = path.strip_suffix('/').unwrap_or(path);
    PATHS.contains(&whole)
        || FOLDERS.iter().any(|folder| path.starts_with(folder))
        || tunes_an_auth_method(path)
}

/// Unlike `sys/mounts/*` for secrets engines, which is not guarded.
fn tunes_an_auth_method(path: &str) -> bool {
    path.strip_prefix("sys/mounts/auth/")
        .is_some_and(|rest| rest.ends_with("/tune"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guarded_paths_need_sudo() {
        for path in [
            "sys/auth/userpass",
            "sys/auth/userpass/tune",
            "sys/mounts/auth/a/b/tune",
            "sys/remount",
            "sys/audit",
            "sys/audit/file",
            "sys/raw",
            "sys/raw/core/x",
            "sys/rotate",
            "sys/rotate/keyring",
            "sys/rotate/root",
            "sys/config/cors",
            "sys/config/auditing/request-headers",
            "sys/config/ui/headers/",
            "sys/plugins/catalog/auth",
            "sys/leases/revoke-prefix/auth/userpass",
            "sys/revoke-force/x",
            "sys/leases/lookup/auth/",
            "sys/leases/",
            "sys/internal/inspect/router",
            "sys/seal",
            "sys/seal-handoff",
            "sys/step-down",
            "auth/token/accessors/",
            "auth/token/revoke-orphan",
            "identity/entity/merge",
        ] {
            assert!(requires_sudo(Operation::Update, path), "{path}");
            assert!(!requires_sudo(Operation::Help, path), "{path}");
        }
    }

    #[test]
    fn their_neighbours_do_not() {
        for path in [
            "sys/auth",
            "sys/mounts/secret",
            "sys/mounts/secret/tune",
            "sys/mounts/authority/tune",
            "sys/remount/status/1",
            "sys/leases/lookup",
            "sys/leases/renew",
            "sys/plugins/catalog",
            "sys/rotate/config",
            "sys/rotate/root/init",
            "sys/unseal",
            "sys/policies/acl/x",
            "auth/token/create",
            "auth/token/create-orphan",
            "auth/token/lookup-self",
            "secret/sys/seal",
        ] {
            assert!(!requires_sudo(Operation::Update, path), "{path}");
        }
    }
}
