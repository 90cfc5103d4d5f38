//! `bao operator rekey`, `rotate-keys`, `generate-root`, `rotate`, `key-status` and `init -status`.

use serde_json::Value;

use crate::support::{Opened, TestNode, opened_node};

impl Opened {
    /// `bao operator ...` with the initial root token, as JSON.
    fn operator(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["operator"];
        let (command, rest) = arguments.split_first().expect("a command");
        all.extend([command, "-format=json"]);
        all.extend(rest);
        let outcome = self.node.bao(Some(&self.root), &all).expect(0);
        serde_json::from_str(&outcome.output)
            .unwrap_or_else(|_| panic!("not JSON: {}{}", outcome.output, outcome.errors))
    }
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().expect("a list").iter();
    items
        .map(|item| item.as_str().expect("text").to_owned())
        .collect()
}

/// Renews the shares with `command`, to three of which two are needed, and verifies them when told to.
fn renew(opened: &Opened, command: &str, shares: &[String], verify: bool) -> Vec<String> {
    let mut init = vec![command, "-init", "-key-shares=3", "-key-threshold=2"];
    if verify {
        init.push("-verify");
    }
    let begun = opened.operator(&init);
    let nonce = format!("-nonce={}", begun["nonce"].as_str().expect("a nonce"));
    let first = opened.operator(&[command, &nonce, &shares[0]]);
    assert_eq!(first["progress"], 1, "{first}");
    let done = opened.operator(&[command, &nonce, &shares[1]]);
    assert_eq!(done["complete"], true, "{done}");
    let new = texts(&done["keys_base64"]);
    if verify {
        let nonce = format!(
            "-nonce={}",
            done["verification_nonce"].as_str().expect("a nonce")
        );
        opened.operator(&[command, "-verify", &nonce, &new[0]]);
        let last = ["operator", command, "-verify", &nonce, &new[2]];
        let verified = opened.node.bao(Some(&opened.root), &last).expect(0);
        assert!(
            verified.output.contains("verification successful"),
            "{}",
            verified.output
        );
    }
    new
}

fn reopens_with(opened: &Opened, shares: &[String]) {
    opened
        .node
        .bao(Some(&opened.root), &["operator", "seal"])
        .expect(0);
    for share in shares {
        opened
            .node
            .bao(None, &["operator", "unseal", share])
            .expect(0);
    }
    opened.node.bao(None, &["status"]).expect(0);
}

#[test]
fn both_commands_renew_the_shares() {
    let opened = opened_node();
    let mut shares = opened.shares.clone();
    for (command, verify) in [
        ("rekey", false),
        ("rekey", true),
        ("rotate-keys", false),
        ("rotate-keys", true),
    ] {
        let old = shares.clone();
        shares = renew(&opened, command, &old, verify);
        assert!(shares.iter().all(|share| !old.contains(share)));
        reopens_with(&opened, &shares[1..]);
    }
    let refused = opened
        .node
        .bao(None, &["operator", "unseal", &opened.shares[0]]);
    refused.expect(0).expect_line("Sealed false");
}

#[test]
fn a_renewal_is_shown_and_cancelled() {
    let opened = opened_node();
    for command in ["rekey", "rotate-keys"] {
        let run = |arguments: &[&str]| {
            let mut all = vec!["operator", command];
            all.extend(arguments);
            opened.node.bao(Some(&opened.root), &all)
        };
        run(&["-status"]).expect(0).expect_line("Started false");
        run(&["-init", "-key-shares=5", "-key-threshold=3"])
            .expect(0)
            .expect_line("Started true");
        run(&["-status"]).expect(0).expect_line("New Shares 5");
        run(&["-init", "-key-shares=5", "-key-threshold=3"])
            .expect(2)
            .expect_error("already in progress");
        run(&["-cancel"]).expect(0);
        run(&["-status"]).expect(0).expect_line("Started false");
        run(&["-init", "-key-shares=2", "-key-threshold=3"])
            .expect(2)
            .expect_error("threshold cannot be larger than shares");
        run(&["-backup-retrieve"])
            .expect(2)
            .expect_error("no backed-up keys found");
    }
}

#[test]
fn a_root_token_is_generated_and_decoded() {
    let opened = opened_node();
    let begun = opened.operator(&["generate-root", "-init"]);
    let field = |value: &Value, key: &str| value[key].as_str().expect("text").to_owned();
    let (nonce, otp) = (field(&begun, "nonce"), field(&begun, "otp"));
    let nonce = format!("-nonce={nonce}");
    opened.operator(&["generate-root", &nonce, &opened.shares[0]]);
    let status = opened.operator(&["generate-root", "-status"]);
    assert_eq!(status["progress"], 1, "{status}");
    let done = opened.operator(&["generate-root", &nonce, &opened.shares[1]]);
    let decode = format!("-decode={}", field(&done, "encoded_token"));
    let otp = format!("-otp={otp}");
    let decoded = opened.node.bao(
        Some(&opened.root),
        &["operator", "generate-root", &decode, &otp],
    );
    let token = decoded.expect(0).output.trim().to_owned();
    let shown = opened
        .node
        .bao(Some(&token), &["token", "lookup"])
        .expect(0);
    shown.expect_line("policies [root]");

    let made = opened.node.bao(
        Some(&opened.root),
        &["operator", "generate-root", "-generate-otp"],
    );
    let otp = made.expect(0).output.trim().to_owned();
    let otp = format!("-otp={otp}");
    opened.operator(&["generate-root", "-init", &otp]);
    opened
        .node
        .bao(
            Some(&opened.root),
            &["operator", "generate-root", "-cancel"],
        )
        .expect(0);
    let status = opened.operator(&["generate-root", "-status"]);
    assert_eq!(status["started"], false, "{status}");
}

#[test]
fn the_keyring_is_rotated_and_shown() {
    let opened = opened_node();
    let status = opened.operator(&["key-status"]);
    assert_eq!(status["term"], 1, "{status}");
    let rotated = opened
        .node
        .bao(Some(&opened.root), &["operator", "rotate"])
        .expect(0);
    rotated.expect_line("Key Term 2");
}

#[test]
fn init_status_tells_by_its_exit_code() {
    let node = TestNode::start();
    node.bao(None, &["operator", "init", "-status"]).expect(2);
    let addon = node.default_addon();
    node.init(&addon, 1, 1);
    node.bao(None, &["operator", "init", "-status"]).expect(0);
}
