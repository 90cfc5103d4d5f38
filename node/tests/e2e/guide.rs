//! Every command of the KMS guide, in its order, typed into the real CLI. Where the output differs from the guide's, the
//! README's table of differences says so.

use super::cluster::wired::Wired;
use super::support::balancer::Balancer;
use super::support::{AddOn, Cluster, TestNode, base64};

/// "my secret data" and a line end, as `echo` writes it.
const PLAINTEXT: &str = "bXkgc2VjcmV0IGRhdGEK";

#[test]
fn the_guide_does_what_it_shows() {
    follow_the_guide(&TestNode::start());
}

#[test]
fn the_guide_does_what_it_shows_on_postgresql() {
    follow_the_guide(&Cluster::start(1).nodes[0]);
}

#[test]
fn the_guide_does_what_it_shows_with_each_request_at_another_node() {
    let mut wired = Wired::start(3);
    let addresses: Vec<String> = wired.nodes.iter().map(TestNode::address).collect();
    let balancer = Balancer::before(addresses.iter().map(String::as_str));
    wired.nodes[0].speak_through(balancer.port());
    follow_the_guide(&wired.nodes[0]);
}

#[test]
#[ignore = "needs FoundationDB"]
fn the_guide_does_what_it_shows_on_foundationdb() {
    follow_the_guide(&Cluster::start_on_foundationdb(1).nodes[0]);
}

fn follow_the_guide(node: &TestNode) {
    let addon = node.create_addon("myKMS");
    let shares = initialise(node, &addon);
    unseal_and_seal(node, &shares);
    clever_tools(node, &addon);
    key_value_secrets(node, &addon);
    let ciphertext = encrypt_and_decrypt(node);
    wrong_keys_look_alike(node, &ciphertext);
    rotate_and_rewrap(node);
}

fn login(node: &TestNode, token: &str) {
    node.bao_with_input(None, &["login", "-"], token)
        .expect(0)
        .expect_line(
            "Success! You are now authenticated. The token information displayed below is",
        );
}

fn initialise(node: &TestNode, addon: &AddOn) -> Vec<String> {
    login(node, &addon.root_token);
    let made = node
        .bao(None, &["operator", "init"])
        .expect(0)
        .expect_line(
            "Vault initialized with 5 key shares and a key threshold of 3. Please securely",
        )
        .expect_line("of existing unseal keys shares. See \"bao operator rotate-keys\" for more");
    let line = |label: &str| {
        let mut found = made
            .output
            .lines()
            .filter_map(|line| line.strip_prefix(label));
        found
            .next()
            .unwrap_or_else(|| panic!("no {label:?} in {}", made.output))
            .to_owned()
    };
    let shares: Vec<String> = (1..=5)
        .map(|number| line(&format!("Unseal Key {number}: ")))
        .collect();
    for share in &shares {
        assert_eq!(
            share.len(),
            44,
            "33 bytes in base64url without padding: {share}"
        );
        let is_base64url = share
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        assert!(is_base64url, "{share}");
    }
    assert_eq!(
        line("Initial Root Token: ").len(),
        43,
        "32 bytes in base64url without padding"
    );
    node.bao(None, &["operator", "init"])
        .expect(2)
        .expect_error("Vault is already initialized");
    shares
}

fn unseal_and_seal(node: &TestNode, shares: &[String]) {
    node.bao(None, &["status"])
        .expect(2)
        .expect_line("Sealed true");
    node.bao(None, &["operator", "unseal", &shares[4]])
        .expect(0)
        .expect_line("Seal Type shamir")
        .expect_line("Initialized true")
        .expect_line("Sealed true")
        .expect_line("Total Shares 5")
        .expect_line("Threshold 3")
        .expect_line("Unseal Progress 1/3");
    node.bao(None, &["operator", "unseal", &shares[0]])
        .expect(0)
        .expect_line("Unseal Progress 2/3");
    let opened = node
        .bao(None, &["operator", "unseal", &shares[2]])
        .expect(0)
        .expect_line("Sealed false")
        .expect_line("Total Shares 5")
        .expect_line("Threshold 3");
    assert!(
        !opened.output.contains("Unseal Progress"),
        "{}",
        opened.output
    );
    node.bao(None, &["status"])
        .expect(0)
        .expect_line("Sealed false");
    node.bao(None, &["operator", "seal"])
        .expect(0)
        .expect_line("Success! Vault is sealed.");
    node.bao(None, &["status"])
        .expect(2)
        .expect_line("Sealed true");
    for share in &shares[1..4] {
        node.bao(None, &["operator", "unseal", share]).expect(0);
    }
    node.bao(None, &["status"])
        .expect(0)
        .expect_line("Sealed false");
}

fn clever_tools(node: &TestNode, addon: &AddOn) {
    let kms = |arguments: &[&str]| {
        let mut all = vec!["kms"];
        all.extend(arguments);
        node.conclave(Some(&addon.user_token), &all)
    };
    kms(&[]).expect(2).expect_error("there are no secrets here");
    kms(&["put", "mySecret", "myValue"])
        .expect(0)
        .expect_line("Created mySecret, version 1.");
    kms(&[]).expect(0).expect_line("mySecret");
    kms(&["get", "mySecret"])
        .expect(0)
        .expect_line("value myValue");
    kms(&["put", "mySecret", "other"])
        .expect(2)
        .expect_error("there is a secret \"mySecret\" already");
    kms(&["patch", "mySecret", "myNewValue"])
        .expect(0)
        .expect_line("Changed mySecret, version 2.");
    kms(&["get", "mySecret"])
        .expect(0)
        .expect_line("value myNewValue");
    kms(&["destroy", "mySecret"])
        .expect(0)
        .expect_line("Destroyed mySecret.");
    kms(&["get", "mySecret"]).expect(2);
    kms(&["destroy", "mySecret"]).expect(2);
}

fn key_value_secrets(node: &TestNode, addon: &AddOn) {
    login(node, &addon.user_token);
    let name = "identity_user_1";
    let kv = |arguments: &[&str]| {
        let mut all = vec!["kv", arguments[0], "-mount=secret"];
        all.extend(&arguments[1..]);
        all.push(name);
        node.bao(None, &all)
    };
    let put = |pairs: &[&str]| {
        let mut all = vec!["kv", "put", "-mount=secret", name];
        all.extend(pairs);
        node.bao(None, &all)
    };
    put(&["firstname=John", "lastname=Doe"])
        .expect(0)
        .expect_line("version 1");
    kv(&["get"])
        .expect(0)
        .expect_line("firstname John")
        .expect_line("lastname Doe");
    put(&["firstname=John", "lastname=Doe", "phone=666"])
        .expect(0)
        .expect_line("version 2");
    let first = kv(&["get", "-version=1"])
        .expect(0)
        .expect_line("firstname John");
    assert!(!first.output.contains("phone"), "{}", first.output);

    // Deleting hides the latest live version; the one before it is served then.
    kv(&["delete"])
        .expect(0)
        .expect_line("Success! Data deleted (if it existed) at: secret/data/identity_user_1");
    let remaining = kv(&["get"])
        .expect(0)
        .expect_line("version 1")
        .expect_line("lastname Doe");
    assert!(!remaining.output.contains("phone"), "{}", remaining.output);
    kv(&["delete"]).expect(0);
    kv(&["get"])
        .expect(2)
        .expect_error("No value found at secret/data/identity_user_1");

    // Undeleting brings back the version named and no other.
    kv(&["undelete", "-versions=2"])
        .expect(0)
        .expect_line("Success! Data written to: secret/undelete/identity_user_1");
    let hidden = kv(&["get", "-version=1"])
        .expect(0)
        .expect_line("version 1");
    assert!(!hidden.output.contains("firstname"), "{}", hidden.output);
    kv(&["get"])
        .expect(0)
        .expect_line("version 2")
        .expect_line("phone 666");

    // Destroying is for ever.
    kv(&["destroy", "-versions=1"])
        .expect(0)
        .expect_line("Success! Data written to: secret/destroy/identity_user_1");
    kv(&["undelete", "-versions=1"]).expect(0);
    let destroyed = kv(&["get", "-version=1"])
        .expect(0)
        .expect_line("destroyed true");
    assert!(
        !destroyed.output.contains("firstname"),
        "{}",
        destroyed.output
    );
    kv(&["get", "-version=2"])
        .expect(0)
        .expect_line("phone 666");
}

fn transit(node: &TestNode, operation: &str, key: &str, argument: &str, result: &str) -> String {
    let path = format!("transit/{operation}/{key}");
    let outcome = node.bao(None, &["write", &path, argument]).expect(0);
    assert!(outcome.output.starts_with("Key "), "{}", outcome.output);
    outcome.value(result)
}

fn encrypt(node: &TestNode, key: &str) -> String {
    let argument = format!("plaintext={}", base64("my secret data\n"));
    transit(node, "encrypt", key, &argument, "ciphertext")
}

fn decrypt(node: &TestNode, ciphertext: &str) -> String {
    let argument = format!("ciphertext={ciphertext}");
    transit(node, "decrypt", "my-key", &argument, "plaintext")
}

fn encrypt_and_decrypt(node: &TestNode) -> String {
    // The key comes back where the guide shows "Success! Data written"; OpenBao does so too.
    node.bao(None, &["write", "-f", "transit/keys/my-key"])
        .expect(0)
        .expect_line("name my-key")
        .expect_line("type xchacha20-poly1305");
    let (one, two) = (encrypt(node, "my-key"), encrypt(node, "my-key"));
    for ciphertext in [&one, &two] {
        assert!(ciphertext.starts_with("vault:v1:"), "{ciphertext}");
        // 24 bytes of nonce, 15 of text, 16 of tag, as in the guide.
        assert_eq!(ciphertext.len(), "vault:v1:".len() + 74, "{ciphertext}");
        assert_eq!(decrypt(node, ciphertext), PLAINTEXT);
    }
    assert_ne!(one, two);
    one
}

fn wrong_keys_look_alike(node: &TestNode, ciphertext: &str) {
    node.bao(None, &["write", "-f", "transit/keys/my-key2"])
        .expect(0);
    let argument = format!("ciphertext={ciphertext}");
    for key in ["not-existing", "my-key2"] {
        let path = format!("transit/decrypt/{key}");
        let outcome = node
            .bao(None, &["write", &path, &argument])
            .expect(2)
            .expect_error(&format!(
                "Error writing data to {path}: Error making API request."
            ))
            .expect_error(&format!("URL: PUT {}/v1/{path}", node.url()))
            .expect_error("Code: 400.")
            .expect_error("Unable to decrypt the secret");
        assert_eq!(outcome.output, "");
    }
}

fn rotate_and_rewrap(node: &TestNode) {
    let old = encrypt(node, "my-key");
    node.bao(None, &["write", "-f", "transit/keys/my-key/rotate"])
        .expect(0);
    let new = encrypt(node, "my-key");
    assert!(new.starts_with("vault:v2:"), "{new}");
    for ciphertext in [&old, &new] {
        assert_eq!(decrypt(node, ciphertext), PLAINTEXT);
    }
    let argument = format!("ciphertext={old}");
    let rewrapped = transit(node, "rewrap", "my-key", &argument, "ciphertext");
    assert!(rewrapped.starts_with("vault:v2:"), "{rewrapped}");
    assert_eq!(decrypt(node, &rewrapped), PLAINTEXT);
}
