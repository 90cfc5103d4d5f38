//! What the tests stand on: nodes, the `bao` CLI, raw HTTP.

pub mod balancer;
pub mod bao;
pub mod cluster;
#[path = "../../../src/store/foundationdb/tests/server.rs"]
#[expect(dead_code, reason = "the store's own tests need more of it")]
pub mod foundationdb;
#[path = "../../../../wg/tests/namespaces/hosts.rs"]
pub mod hosts;
pub mod http;
pub mod members;
pub mod node;
#[path = "../../../src/store/postgres/tests/server.rs"]
pub mod postgres;

use std::path::Path;
use std::time::Duration;

use conclave::auth::biscuit::{OperatorKey, mint_operator_token};
use conclave::clock::{Clock as _, SystemClock};
use conclave::rng::OsRandom;

pub use self::cluster::Cluster;
pub use self::http::{Answer, Request};
pub use self::node::{AddOn, Opened, TestNode, dev_node, opened_node};

const MINUTE: Duration = Duration::from_secs(60);

/// Whether the long run was asked for.
#[allow(clippy::disallowed_methods, reason = "scripts/test --long says so")]
pub fn is_long() -> bool {
    std::env::var_os("CONCLAVE_TEST_LONG").is_some()
}

/// Standard base64, for transit plaintexts.
pub fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// The operator's token, for a minute.
pub fn operator_token(key_file: &Path) -> String {
    let key = OperatorKey::load(key_file).expect("a key");
    let token = mint_operator_token(&key, &OsRandom, MINUTE, SystemClock.now());
    token.expect("a token").expose().clone()
}
