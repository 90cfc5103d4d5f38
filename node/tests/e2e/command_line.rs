//! The program's own commands against a real node, and how it starts and refuses to.

use std::process::Command;

use serde_json::{Value, json};

use super::support::bao::Outcome;
use super::support::{TestNode, dev_node, opened_node};

/// `conclave` in an empty folder with these files.
fn conclave_with(files: &[(&str, &str)], arguments: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_conclave"));
    command
        .args(arguments)
        .current_dir(folder.path())
        .env_clear();
    command.output().unwrap().into()
}

const SMALLEST: &str = "storage \"inmem\" {}\nlistener \"tcp\" {\n  address = \"127.0.0.1:0\"\n  tls_disable = true\n}\n";

#[test]
fn a_wrong_configuration_stops_the_start_with_one_line() {
    let misspelt = format!("{SMALLEST}\nclustre_name = \"x\"\n");
    let no_tls = SMALLEST.replace(
        "tls_disable = true",
        "tls_cert_file = \"none.pem\"\n tls_key_file = \"none.key\"",
    );
    let no_key = format!("{SMALLEST}\noperator_public_key = \"none.pub\"\n");
    // This program starts without FoundationDB's library, and says so where it is needed.
    let no_library = format!(
        "operator_public_key = \"{}\"\n{}",
        "00".repeat(32),
        SMALLEST.replace(
            "storage \"inmem\" {}",
            "storage \"foundationdb\" {\n cluster_file = \"node.hcl\"\n library_path = \"./libfdb_c.so\"\n}",
        )
    );
    for (config, expected) in [
        (
            no_library.as_str(),
            "library_path: ./libfdb_c.so cannot be used: ./libfdb_c.so: cannot open shared object file",
        ),
        (misspelt.as_str(), "node.hcl: clustre_name: unknown key"),
        (
            "storage \"raft\" {}",
            "node.hcl: storage \"raft\": unknown storage; there are embedded, foundationdb, postgres and inmem",
        ),
        ("storage {", "node.hcl:1:"),
        (no_tls.as_str(), "none.pem"),
        (no_key.as_str(), "none.pub"),
    ] {
        let outcome = conclave_with(&[("node.hcl", config)], &["server", "--config", "node.hcl"]);
        assert_eq!(outcome.code, Some(1), "{config}: {}", outcome.errors);
        let last = outcome.errors.lines().last().unwrap_or_default();
        assert!(last.contains(expected), "{config}: {}", outcome.errors);
    }
    let outcome = conclave_with(&[], &["server", "--config", "node.hcl"]).expect(1);
    assert_eq!(outcome.errors.lines().count(), 1, "{}", outcome.errors);
}

#[test]
fn a_damaged_store_is_refused_in_one_line() {
    let mut node = TestNode::start();
    node.stop();
    let store = node.folder().join("data/conclave.store");
    let bytes = std::fs::read(&store).unwrap();
    std::fs::write(&store, &bytes[..bytes.len() / 2]).unwrap();
    let outcome = node
        .conclave(None, &["server", "--config", "node.hcl"])
        .expect(1);
    let last = outcome.errors.lines().last().unwrap();
    assert!(last.contains("conclave.store"), "{}", outcome.errors);
}

#[test]
fn a_store_has_one_node() {
    let node = TestNode::start();
    let config = std::fs::read_to_string(node.folder().join("node.hcl")).unwrap();
    let config = config.replace(&node.address(), "127.0.0.1:0");
    std::fs::write(node.folder().join("second.hcl"), config).unwrap();
    let outcome = node
        .conclave(None, &["server", "--config", "second.hcl"])
        .expect(1);
    assert!(
        outcome
            .errors
            .lines()
            .last()
            .unwrap()
            .contains("conclave.store"),
        "{}",
        outcome.errors
    );
}

#[test]
fn the_first_start_makes_the_operator_key_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let node = TestNode::start();
    let mode = |path: &str| {
        std::fs::metadata(node.folder().join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("data/operator.key"), 0o600);
    assert_eq!(mode("data/conclave.store") & 0o077, 0);
    assert_eq!(node.addon_command(&["list"])[0]["name"], "default");
}

#[test]
fn addon_commands_need_the_operators_key() {
    let node = TestNode::start();
    std::fs::rename(
        node.folder().join("data/operator.key"),
        node.folder().join("kept.key"),
    )
    .unwrap();
    let show = ["addon", "show", "default", "--config", "node.hcl"];
    node.conclave(None, &show)
        .expect(1)
        .expect_error("data/operator.key");
    let with_key = [
        "addon",
        "show",
        "default",
        "--address",
        &node.url(),
        "--operator-key",
        "kept.key",
    ];
    node.conclave(None, &with_key)
        .expect(0)
        .expect_line("name default");
    let other = TestNode::start();
    let foreign = other
        .folder()
        .join("data/operator.key")
        .display()
        .to_string();
    let with_foreign = [
        "addon",
        "list",
        "--config",
        "node.hcl",
        "--operator-key",
        &foreign,
    ];
    node.conclave(None, &with_foreign)
        .expect(2)
        .expect_error("403: permission denied");
}

#[test]
fn kms_commands_do_what_clever_tools_do() {
    let opened = opened_node();
    let kms = |arguments: &[&str]| {
        let mut all = vec!["kms"];
        all.extend(arguments);
        all.extend(["--format", "json"]);
        opened.node.conclave(Some(&opened.addon.user_token), &all)
    };
    let json_of =
        |outcome: Outcome| -> Value { serde_json::from_str(&outcome.expect(0).output).unwrap() };
    let put = json_of(kms(&["put", "app/db", "user=me", "password=a=b"]));
    assert_eq!(put, json!({"name": "app/db", "version": 1}));
    assert_eq!(
        json_of(kms(&["patch", "app/db", "password=c"]))["version"],
        2
    );
    assert_eq!(
        json_of(kms(&["get", "app/db"])),
        json!({"user": "me", "password": "c"})
    );
    assert_eq!(json_of(kms(&[])), json!(["app/"]));
    assert_eq!(json_of(kms(&["list", "app"])), json!(["db"]));
    assert_eq!(json_of(kms(&["destroy", "app/db"]))["destroyed"], true);
    kms(&["get", "app/db"]).expect(2);
    opened
        .request("GET", "secret/metadata/app/db")
        .send()
        .expect_errors(404, &[]);
    opened
        .node
        .conclave(Some("wrong"), &["kms"])
        .expect(2)
        .expect_error("403: permission denied");
    opened
        .node
        .conclave(None, &["kms"])
        .expect(1)
        .expect_error("no token");
    // After `bao login` the CLI's own token file is enough.
    opened
        .node
        .bao_with_input(None, &["login", "-"], &opened.addon.user_token)
        .expect(0);
    opened
        .node
        .conclave(None, &["kms", "put", "x", "y"])
        .expect(0);
}

#[test]
fn a_dev_node_is_ready_at_once() {
    let node = dev_node();
    assert!(
        node.output().contains("Root Token: root"),
        "{}",
        node.output()
    );
    assert!(node.output().contains("Unseal Key: "), "{}", node.output());
    node.bao(Some("root"), &["status"])
        .expect(0)
        .expect_line("Storage Type inmem");
    node.bao(Some("root"), &["kv", "put", "secret/a", "b=c"])
        .expect(0);
    node.bao(Some("root"), &["kv", "get", "-field=b", "secret/a"])
        .expect(0)
        .expect_line("c");
}

#[test]
fn a_dev_node_stays_on_loopback() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let outcome =
            conclave_with(&[], &["server", "--dev", "--dev-listen-address", address]).expect(1);
        outcome.expect_error("is not a loopback address");
    }
}

#[test]
fn the_shipped_example_configuration_is_valid() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let config = conclave::config::Config::load(&root.join("deploy/node.hcl"), []).unwrap();
    assert!(config.listeners[0].tls.is_some());
    assert!(!config.unauthenticated_seal_routes);
}

#[test]
fn tls_ends_at_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (
        folder.path().join("node.pem"),
        folder.path().join("node.key"),
    );
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl, which scripts/test installs");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let files = format!("tls_cert_file = {certificate:?}\n  tls_key_file = {key:?}\n");
    let node = TestNode::start_with("", &files);
    let url = format!("https://{}", node.address());
    let list = |variables: &[(&str, &str)]| -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conclave"));
        command
            .args(["addon", "list", "--config", "node.hcl"])
            .current_dir(node.folder())
            .env_clear();
        command
            .envs(variables.iter().copied())
            .output()
            .unwrap()
            .into()
    };
    let trusted = certificate.display().to_string();
    list(&[("VAULT_CACERT", &trusted)]).expect(0);
    list(&[("VAULT_SKIP_VERIFY", "true")]).expect(0);
    let refused = list(&[]);
    assert_ne!(refused.code, Some(0), "an unknown certificate was trusted");
    let plain = node.request("GET", "sys/health").try_send();
    assert!(
        plain.is_err() || plain.unwrap().status == 400,
        "{url} speaks plain HTTP"
    );
}
