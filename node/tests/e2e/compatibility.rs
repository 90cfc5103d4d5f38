//! The README's compatibility table: each route is asked once, and the table is what came back.
//!
//! `CONCLAVE_TEST_UPDATE_README=1 cargo test --test e2e compatibility` writes the table; without it, a README that says
//! something else than this run fails.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::support::{Opened, base64, opened_node};

const BEGIN: &str = "<!-- compatibility: written by the end-to-end tests -->";
const END: &str = "<!-- /compatibility -->";

/// In the order in which they are asked: `# area`, or method, route as the table shows it, route as it is asked, expected
/// status, body. TOKEN and CIPHERTEXT stand for what the run made.
const ROUTES: &str = r#"
# System
GET    | sys/seal-status              | sys/seal-status              | 200 |
GET    | sys/health                   | sys/health                   | 200 |
HEAD   | sys/health                   | sys/health                   | 200 |
GET    | sys/leader                   | sys/leader                   | 200 |
GET    | sys/init                     | sys/init                     | 200 |
GET    | sys/mounts                   | sys/mounts                   | 200 |
POST   | sys/mounts/:path             | sys/mounts/more              | 204 | {"type": "kv", "options": {"version": "2"}}
GET    | sys/mounts/:path             | sys/mounts/more              | 200 |
GET    | sys/mounts/:path/tune        | sys/mounts/more/tune         | 200 |
POST   | sys/mounts/:path/tune        | sys/mounts/more/tune         | 204 | {"default_lease_ttl": "1h"}
DELETE | sys/mounts/:path             | sys/mounts/more              | 204 |
POST   | sys/policies/acl/:name       | sys/policies/acl/p           | 204 | {"policy": "path \"x\" { capabilities = [\"read\"] }"}
GET    | sys/policies/acl/:name       | sys/policies/acl/p           | 200 |
LIST   | sys/policies/acl             | sys/policies/acl             | 200 |
DELETE | sys/policies/acl/:name       | sys/policies/acl/p           | 204 |
POST   | sys/policy/:name             | sys/policy/p                 | 204 | {"policy": "path \"x\" { capabilities = [\"read\"] }"}
GET    | sys/policy/:name             | sys/policy/p                 | 200 |
GET    | sys/policy                   | sys/policy                   | 200 |
DELETE | sys/policy/:name             | sys/policy/p                 | 204 |
POST   | sys/capabilities-self        | sys/capabilities-self        | 200 | {"paths": ["secret/data/x"]}
POST   | sys/capabilities             | sys/capabilities             | 200 | {"path": "secret/data/x", "token": "TOKEN"}
GET    | sys/internal/ui/mounts       | sys/internal/ui/mounts       | 200 |
GET    | sys/internal/ui/mounts/:path | sys/internal/ui/mounts/secret | 200 |
GET    | sys/internal/ui/resultant-acl | sys/internal/ui/resultant-acl | 200 |
GET    | sys/key-status               | sys/key-status               | 200 |
POST   | sys/rotate                   | sys/rotate                   | 204 | {}
POST   | sys/rotate/keyring           | sys/rotate/keyring           | 204 | {}
GET    | sys/rotate/config            | sys/rotate/config            | 200 |
POST   | sys/rotate/config            | sys/rotate/config            | 204 | {"interval": "48h"}
GET    | sys/metrics?format=prometheus | sys/metrics?format=prometheus | 200 |
# Tokens
POST   | auth/token/create            | auth/token/create            | 200 | {"ttl": "1h"}
POST   | auth/token/create-orphan     | auth/token/create-orphan     | 200 | {}
GET    | auth/token/lookup-self       | auth/token/lookup-self       | 200 |
POST   | auth/token/lookup            | auth/token/lookup            | 200 | {"token": "TOKEN"}
POST   | auth/token/lookup-accessor   | auth/token/lookup-accessor   | 200 | {"accessor": "ACCESSOR"}
LIST   | auth/token/accessors         | auth/token/accessors         | 200 |
POST   | auth/token/renew             | auth/token/renew             | 200 | {"token": "TOKEN"}
POST   | auth/token/renew-accessor    | auth/token/renew-accessor    | 200 | {"accessor": "ACCESSOR"}
POST   | auth/token/renew-self        | auth/token/renew-self        | 200 | {}
POST   | auth/token/revoke-accessor   | auth/token/revoke-accessor   | 204 | {"accessor": "ACCESSOR"}
POST   | auth/token/revoke            | auth/token/revoke            | 204 | {"token": "TOKEN"}
POST   | auth/token/revoke-orphan     | auth/token/revoke-orphan     | 204 | {"token": "TOKEN"}
POST   | auth/token/revoke-self       | auth/token/revoke-self       | 204 | {}
# KV version 2
POST   | secret/config                | secret/config                | 204 | {"max_versions": 5}
GET    | secret/config                | secret/config                | 200 |
POST   | secret/data/:path            | secret/data/a                | 200 | {"data": {"k": "v"}, "options": {"cas": 0}}
PATCH  | secret/data/:path            | secret/data/a                | 200 | {"data": {"l": "w"}}
GET    | secret/data/:path            | secret/data/a                | 200 |
GET    | secret/data/:path?version=   | secret/data/a?version=1      | 200 |
GET    | secret/subkeys/:path         | secret/subkeys/a             | 200 |
DELETE | secret/data/:path            | secret/data/a                | 204 |
POST   | secret/undelete/:path        | secret/undelete/a            | 204 | {"versions": [2]}
POST   | secret/delete/:path          | secret/delete/a              | 204 | {"versions": [1]}
POST   | secret/destroy/:path         | secret/destroy/a             | 204 | {"versions": [1]}
POST   | secret/metadata/:path        | secret/metadata/a            | 204 | {"custom_metadata": {"a": "b"}}
PATCH  | secret/metadata/:path        | secret/metadata/a            | 204 | {"max_versions": 3}
GET    | secret/metadata/:path        | secret/metadata/a            | 200 |
LIST   | secret/metadata/:path        | secret/metadata              | 200 |
LIST   | secret/detailed-metadata/:path | secret/detailed-metadata   | 200 |
SCAN   | secret/metadata/:path        | secret/metadata              | 200 |
DELETE | secret/metadata/:path        | secret/metadata/a            | 204 |
# KV version 1
POST   | sys/mounts/:path             | sys/mounts/plain             | 204 | {"type": "kv"}
POST   | plain/:path                  | plain/a                      | 204 | {"k": "v"}
GET    | plain/:path                  | plain/a                      | 200 |
LIST   | plain/:path                  | plain                        | 200 |
DELETE | plain/:path                  | plain/a                      | 204 |
# Cubbyhole
POST   | cubbyhole/:path              | cubbyhole/a                  | 204 | {"k": "v"}
GET    | cubbyhole/:path              | cubbyhole/a                  | 200 |
LIST   | cubbyhole/:path              | cubbyhole                    | 200 |
DELETE | cubbyhole/:path              | cubbyhole/a                  | 204 |
# Transit
POST   | transit/keys/:name           | transit/keys/k               | 200 | {}
GET    | transit/keys/:name           | transit/keys/k               | 200 |
LIST   | transit/keys                 | transit/keys                 | 200 |
POST   | transit/keys/:name/config    | transit/keys/k/config        | 200 | {"deletion_allowed": true}
POST   | transit/encrypt/:name        | transit/encrypt/k            | 200 | {"batch_input": [{"plaintext": "eA=="}]}
POST   | transit/decrypt/:name        | transit/decrypt/known        | 200 | {"ciphertext": "CIPHERTEXT"}
POST   | transit/keys/:name/rotate    | transit/keys/known/rotate    | 200 | {}
POST   | transit/rewrap/:name         | transit/rewrap/known         | 200 | {"ciphertext": "CIPHERTEXT"}
POST   | transit/datakey/plaintext/:name | transit/datakey/plaintext/k | 200 | {}
POST   | transit/datakey/wrapped/:name | transit/datakey/wrapped/k   | 200 | {}
POST   | transit/random/:bytes        | transit/random/16            | 200 | {}
POST   | transit/hash/:algorithm      | transit/hash/sha2-256        | 200 | {"input": "eA=="}
POST   | transit/hmac/:name           | transit/hmac/k               | 200 | {"input": "eA=="}
DELETE | transit/keys/:name           | transit/keys/k               | 204 |
# Seal
GET    | sys/rekey/init               | sys/rekey/init               | 200 |
POST   | sys/rekey/init               | sys/rekey/init               | 200 | {"secret_shares": 3, "secret_threshold": 2}
GET    | sys/rekey/verify             | sys/rekey/verify             | 200 |
DELETE | sys/rekey/init               | sys/rekey/init               | 204 |
GET    | sys/rekey/backup             | sys/rekey/backup             | 400 |
POST   | sys/rotate/root/init         | sys/rotate/root/init         | 200 | {"secret_shares": 3, "secret_threshold": 2}
GET    | sys/rotate/root/init         | sys/rotate/root/init         | 200 |
GET    | sys/rotate/root/verify       | sys/rotate/root/verify       | 200 |
DELETE | sys/rotate/root/init         | sys/rotate/root/init         | 204 |
GET    | sys/rotate/root/backup       | sys/rotate/root/backup       | 400 |
GET    | sys/generate-root/attempt    | sys/generate-root/attempt    | 200 |
POST   | sys/generate-root/attempt    | sys/generate-root/attempt    | 200 | {}
DELETE | sys/generate-root/attempt    | sys/generate-root/attempt    | 204 |
POST   | sys/generate-root-token/attempt | sys/generate-root-token/attempt | 200 | {}
GET    | sys/generate-root-token/attempt | sys/generate-root-token/attempt | 200 |
DELETE | sys/generate-root-token/attempt | sys/generate-root-token/attempt | 204 |
POST   | sys/seal                     | sys/seal                     | 204 | {}
POST   | sys/unseal                   | sys/unseal                   | 200 | {"reset": true}
"#;

/// Asks the route of one line and describes it as a row of the table.
fn ask(opened: &Opened, area: &str, line: &str, ciphertext: &str) -> String {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let [method, shown, path, expected, body] = columns[..] else {
        panic!("five columns are wanted: {line}");
    };
    let mut request = opened.node.request(method, path);
    let mut token = opened.root.clone();
    let is_of_self = shown.starts_with("auth/") && body == "{}";
    if is_of_self || body.contains("TOKEN") || body.contains("ACCESSOR") {
        let made = opened.write("auth/token/create", &json!({"policies": "default"}), 200);
        let made = |key: &str| made["auth"][key].as_str().expect("text").to_owned();
        if shown.ends_with("-self") {
            token = made("client_token");
        }
        let body = body.replace("TOKEN", &made("client_token"));
        request = request.body(body.replace("ACCESSOR", &made("accessor")));
    } else {
        request = request.body(body.replace("CIPHERTEXT", ciphertext));
    }
    if method == "PATCH" {
        request = request.header("Content-Type", "application/merge-patch+json");
    }
    let answer = request.token(&token).send();
    let status = answer.status.to_string();
    assert_eq!(status, expected, "{method} {path}: {}", answer.body);
    format!("| {area} | {method} | `{shown}` | {status} |")
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "a switch for whoever writes the README"
)]
fn the_readme_says_what_this_run_found() {
    let opened = opened_node();
    opened.write("transit/keys/known", &json!({}), 200);
    let body = json!({"plaintext": base64("x")});
    let encrypted = opened.write("transit/encrypt/known", &body, 200);
    let ciphertext = encrypted["data"]["ciphertext"].as_str().unwrap();
    let mut table = String::from("| Area | Method | Route | Answer |\n|---|---|---|---|\n");
    let mut area = "";
    for line in ROUTES.trim().lines() {
        match line.strip_prefix("# ") {
            Some(title) => area = title,
            None => writeln!(table, "{}", ask(&opened, area, line, ciphertext)).unwrap(),
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = readme
        .split_once(BEGIN)
        .expect("the README has a place for the table");
    let (_, after) = rest.split_once(END).expect("the README ends the table");
    let expected = format!("{before}{BEGIN}\n\n{table}\n{END}{after}");
    if std::env::var_os("CONCLAVE_TEST_UPDATE_README").is_some() {
        std::fs::write(&file, expected).unwrap();
        return;
    }
    assert!(
        readme == expected,
        "the README's compatibility table is old; write it anew with \
         CONCLAVE_TEST_UPDATE_README=1 cargo test --test e2e compatibility"
    );
}
