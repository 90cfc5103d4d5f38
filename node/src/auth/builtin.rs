//! The policies that every add-on has: `root`, whose text is empty because no rules can say what it means; `default`,
//! which each token gets unless it asks not to, and which an add-on may edit; `user`, the rights of the user Biscuit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::policy::{Policy, PolicyName};
use crate::error::Error;

/// Their names, sorted.
pub const NAMES: [&str; 3] = ["default", "root", "user"];

/// Whether the name is the server's own: no add-on writes such a policy, and no token is given it on request.
pub fn is_reserved(name: &str) -> bool {
    name == "response-wrapping"
}

/// What any token may do: look after itself, ask what it may do, keep secrets of its own. As Vault's.
const DEFAULT: &str = r#"# Allow tokens to look up their own properties, renew and revoke themselves
path "auth/token/lookup-self" {
    capabilities = ["read"]
}
path "auth/token/renew-self" {
    capabilities = ["update"]
}
path "auth/token/revoke-self" {
    capabilities = ["update"]
}

# Allow a token to look up its own capabilities on a path
path "sys/capabilities-self" {
    capabilities = ["update"]
}
path "sys/internal/ui/resultant-acl" {
    capabilities = ["read"]
}

# Allow a token to renew and look up a lease by its id
path "sys/leases/renew" {
    capabilities = ["update"]
}
path "sys/leases/lookup" {
    capabilities = ["update"]
}

# Allow a token to manage its own cubbyhole
path "cubbyhole/*" {
    capabilities = ["create", "read", "update", "delete", "list"]
}

# Allow a token to wrap arbitrary values, and to look up and unwrap wrapped ones
path "sys/wrapping/wrap" {
    capabilities = ["update"]
}
path "sys/wrapping/lookup" {
    capabilities = ["update"]
}
path "sys/wrapping/unwrap" {
    capabilities = ["update"]
}

# Allow general purpose tools
path "sys/tools/hash" {
    capabilities = ["update"]
}
path "sys/tools/hash/*" {
    capabilities = ["update"]
}
"#;

/// What the user may do on a kv mount: everything with secrets, nothing with the mount's settings.
const KV: &[(&str, &str)] = &[
    (
        "*",
        r#""create", "read", "update", "patch", "delete", "list", "scan""#,
    ),
    ("config", r#""read""#),
];

/// What the user may do on a transit mount: make, read, configure and rotate keys, and use them. Not delete them, and
/// not take key material out or put it in.
const TRANSIT: &[(&str, &str)] = &[
    ("keys", r#""list""#),
    ("keys/+", r#""create", "read", "update""#),
    ("keys/+/config", r#""update""#),
    ("keys/+/rotate", r#""update""#),
    ("encrypt/+", r#""create", "update""#),
    ("decrypt/+", r#""update""#),
    ("rewrap/+", r#""update""#),
    ("datakey/+/+", r#""update""#),
    ("sign/*", r#""update""#),
    ("verify/*", r#""update""#),
    ("hmac/*", r#""update""#),
    ("random", r#""update""#),
    ("random/*", r#""update""#),
    ("hash", r#""update""#),
    ("hash/*", r#""update""#),
    ("wrapping_key", r#""read""#),
];

/// The text of a built-in policy, as `sys/policies` shows it. That of `user` is the one for the mounts of a new add-on.
pub fn text(name: &str) -> Option<String> {
    match name {
        "root" => Some(String::new()),
        "default" => Some(DEFAULT.to_owned()),
        "user" => Some(user_text(&BTreeMap::from([
            ("secret/", "kv"),
            ("transit/", "transit"),
        ]))),
        _ => None,
    }
}

/// The rights of the user Biscuit, given which engine is mounted where: they follow the engine, not the path.
///
/// # Errors
/// [`Error::Bug`] when a mount's path cannot stand in a policy.
pub fn user_policy(mounts: &BTreeMap<&str, &str>) -> Result<Policy, Error> {
    let bug = |_| Error::Bug("the built-in user policy does not parse".into());
    let name: PolicyName = "user".parse().map_err(bug)?;
    Policy::parse(name, &user_text(mounts)).map_err(bug)
}

fn user_text(mounts: &BTreeMap<&str, &str>) -> String {
    let mut text = DEFAULT.to_owned();
    for (mount, kind) in mounts {
        if means_more_than_itself(mount) {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "# Nothing on {mount:?}: its path would mean others too"
            );
            continue;
        }
        let rules = match *kind {
            "kv" => KV,
            "transit" => TRANSIT,
            _ => &[],
        };
        for (path, capabilities) in rules {
            let _ = writeln!(
                text,
                "path {} {{\n    capabilities = [{capabilities}]\n}}",
                quoted(&format!("{mount}{path}"))
            );
        }
    }
    text
}

/// Whether a rule with this path in it would be about other paths as well, or could not be written. Whoever may mount
/// engines must not widen the user's rights beyond the mount by its name: a mount at `+/` would open `sys/`.
fn means_more_than_itself(mount: &str) -> bool {
    mount.split('/').any(|segment| segment == "+")
        || ["+*", "{{", "}}", "${"]
            .iter()
            .any(|special| mount.contains(special))
        || mount.contains(char::is_control)
}

/// A path as a quoted string of the policy language.
fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::acl::{Acl, Operation, no_identity};
    use crate::clock::Timestamp;

    fn user() -> Acl {
        let mounts = BTreeMap::from([
            ("team \"a\\b\"/kv/", "kv"),
            ("keys/", "transit"),
            ("cubbyhole/", "cubbyhole"),
        ]);
        let policy = user_policy(&mounts).unwrap();
        Acl::compile([&policy], Timestamp(0), &no_identity)
    }

    fn allowed(operation: Operation, path: &str) -> bool {
        user().check(operation, path, None, None).is_allowed()
    }

    #[test]
    fn every_text_but_roots_parses() {
        for name in ["default", "user"] {
            let text = text(name).unwrap();
            Policy::parse(name.parse().unwrap(), &text).unwrap();
        }
        assert_eq!(text("root").unwrap(), "");
        assert_eq!(text("other"), None);
    }

    #[test]
    fn the_user_works_with_secrets_and_keys() {
        for (operation, path) in [
            (Operation::Read, "team \"a\\b\"/kv/data/x"),
            (Operation::Create, "team \"a\\b\"/kv/data/x"),
            (Operation::Patch, "team \"a\\b\"/kv/data/x"),
            (Operation::List, "team \"a\\b\"/kv/metadata/"),
            (Operation::Delete, "team \"a\\b\"/kv/metadata/x"),
            (Operation::Update, "team \"a\\b\"/kv/destroy/x"),
            (Operation::Create, "keys/encrypt/orders"),
            (Operation::Update, "keys/decrypt/orders"),
            (Operation::Update, "keys/keys/orders"),
            (Operation::Update, "keys/keys/orders/rotate"),
            (Operation::Update, "keys/keys/orders/config"),
            (Operation::List, "keys/keys/"),
            (Operation::Update, "keys/datakey/plaintext/orders"),
            (Operation::Read, "cubbyhole/mine"),
            (Operation::Read, "auth/token/lookup-self"),
            (Operation::Update, "sys/capabilities-self"),
        ] {
            assert!(allowed(operation, path), "{operation:?} {path}");
        }
    }

    #[test]
    fn a_mounts_name_widens_nothing() {
        for mount in [
            "+/",
            "a/+/b/",
            "x+*/",
            "{{identity.entity.id}}/",
            "a}}/",
            "${/",
            "a\nb/",
        ] {
            let policy = user_policy(&BTreeMap::from([(mount, "kv")])).unwrap();
            let default = Policy::parse("user".parse().unwrap(), DEFAULT).unwrap();
            assert_eq!(policy, default, "{mount:?}");
        }
        let odd = BTreeMap::from([("c++/", "kv"), ("50*/", "kv")]);
        let acl = Acl::compile([&user_policy(&odd).unwrap()], Timestamp(0), &no_identity);
        let may = |path| acl.check(Operation::Read, path, None, None).is_allowed();
        assert!(may("c++/data/x") && may("50*/data/x"));
        assert!(!may("cxx/data/x") && !may("50x/data/x") && !may("sys/mounts"));
    }

    #[test]
    fn the_user_administers_nothing() {
        for (operation, path) in [
            (Operation::Delete, "keys/keys/orders"),
            (Operation::Read, "keys/export/encryption-key/orders"),
            (Operation::Read, "keys/backup/orders"),
            (Operation::Update, "keys/restore/orders"),
            (Operation::Update, "keys/keys/orders/import"),
            (Operation::Update, "keys/keys/orders/trim"),
            (Operation::Update, "keys/config/keys"),
            (Operation::Update, "keys/cache-config"),
            (Operation::Update, "team \"a\\b\"/kv/config"),
            (Operation::Read, "sys/mounts"),
            (Operation::Update, "sys/mounts/new"),
            (Operation::Update, "sys/init"),
            (Operation::Update, "sys/unseal"),
            (Operation::Update, "sys/seal"),
            (Operation::Update, "sys/policies/acl/x"),
            (Operation::Update, "auth/token/create"),
            (Operation::Update, "auth/token/lookup"),
            (Operation::Read, "other/data/x"),
        ] {
            assert!(!allowed(operation, path), "{operation:?} {path}");
        }
    }
}
