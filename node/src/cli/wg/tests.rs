//! Keys as WireGuard's own tools print them, and the other end of a node's tunnels.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use conclave_wg::config::Config as Tunnels;
use conclave_wg::key::{PresharedKey, PrivateKey};

use crate::cli::{Environment, Session};
use crate::clock::{ManualClock, Timestamp};
use crate::rng::OsRandom;

/// Runs `conclave wg ...`, and gives its exit code, output and errors.
fn wg(arguments: &[&str], mut input: &[u8]) -> (u8, String, String) {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let arguments = ["conclave", "wg"].iter().chain(arguments);
    let code = crate::cli::run(
        arguments.map(Into::into),
        &mut Session {
            environment: &Environment::new([]),
            input: &mut input,
            output: &mut output,
            errors: &mut errors,
            is_terminal: false,
            clock: &ManualClock::at(Timestamp::from_unix_seconds(1_800_000_000)),
            random: &OsRandom,
        },
    );
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (code, text(output), text(errors))
}

#[test]
fn keys_are_those_of_wireguards_own_tools() {
    // Alice's pair of RFC 7748, section 6.1.
    let private = b"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n";
    let (code, output, _) = wg(&["pubkey"], private);
    assert_eq!(
        (code, output.as_str()),
        (0, "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n")
    );

    let (code, first, _) = wg(&["genkey"], b"");
    assert_eq!(code, 0);
    assert_ne!(first, wg(&["genkey"], b"").1);
    let key: PrivateKey = first.parse().unwrap();
    assert_eq!(
        key.to_base64().as_str(),
        first.trim_end(),
        "clamped already"
    );
    let (_, public, _) = wg(&["pubkey"], first.as_bytes());
    assert_eq!(public.trim_end(), key.public().to_string());
    assert!(wg(&["genpsk"], b"").1.parse::<PresharedKey>().is_ok());
    let (_, json, _) = wg(&["pubkey", "--format", "json"], private);
    assert!(json.contains("\"public_key\": \"hSDw"), "{json}");

    for input in [&b""[..], b"hunter2", b"\xff\xfe"] {
        let (code, output, errors) = wg(&["pubkey"], input);
        assert_eq!((code, output.as_str()), (1, ""));
        assert!(errors.starts_with("conclave: standard input: "), "{errors}");
        assert!(!errors.contains("hunter2"));
    }
}

const NODE: &str = r#"
storage "inmem" {}
listener "tcp" { tls_disable = true }
cluster {
  cluster_id = "2d5b3f2e-9c1a-4a37-8f63-0c1f6f7f4a11"
  node_name  = "n1"
  node "n1" {
    public_key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
    endpoint   = "192.0.2.1:51820"
    address    = "10.90.0.1"
  }
}
wireguard {
  private_key_file = "n1.key"
  peer "db" {
    public_key = "PUBLIC"
    endpoint   = "192.0.2.9:7000"
    address    = "10.90.0.101"
  }
}
"#;

fn write(file: &Path, content: &str) {
    fs::write(file, content).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn the_other_end_is_what_wg_quick_reads() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let key = PrivateKey::from_random([9; 32]);
    write(&file("db.key"), &key.to_base64());
    write(
        &file("n1.psk"),
        &PresharedKey::from_random([7; 32]).to_base64(),
    );
    write(
        &file("node.hcl"),
        &NODE.replace("PUBLIC", &key.public().to_string()),
    );
    let (config, private, shared) = (file("node.hcl"), file("db.key"), file("n1.psk"));
    let shared = format!("n1={}", shared.display());
    let host = |name, rest: &[&str]| {
        let (config, private) = (config.to_str().unwrap(), private.to_str().unwrap());
        let own = [
            "config",
            name,
            "--config",
            config,
            "--private-key-file",
            private,
        ];
        wg(&[&own[..], rest].concat(), b"")
    };
    let (code, text, errors) = host("db", &["--preshared-key", &shared]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let tunnels = Tunnels::parse(&text).unwrap();
    assert_eq!(tunnels.private_key, key);
    assert_eq!(tunnels.listen_port, Some(7000));
    assert_eq!(tunnels.addresses, ["10.90.0.101/32".parse().unwrap()]);
    let [peer] = tunnels.peers.as_slice() else {
        panic!("{text}");
    };
    assert_eq!(peer.name.as_str(), "n1");
    assert_eq!(peer.endpoint, Some("192.0.2.1:51820".parse().unwrap()));
    assert_eq!(peer.preshared_key, Some(PresharedKey::from_random([7; 32])));

    for (name, rest, expected) in [
        (
            "web",
            &[][..],
            "wireguard {} has no peer \"web\"; it has [\"db\"]",
        ),
        (
            "db",
            &["--preshared-key", "n1"],
            "is not of the form NODE=FILE",
        ),
        (
            "db",
            &["--preshared-key", "n7=x"],
            "no node is called \"n7\"",
        ),
    ] {
        let (code, _, errors) = host(name, rest);
        assert_eq!(code, 1);
        assert!(errors.contains(expected), "{errors}");
    }
    write(&private, &PrivateKey::from_random([8; 32]).to_base64());
    let (_, _, errors) = host("db", &[]);
    assert!(errors.contains("is not the key of db"), "{errors}");
    fs::set_permissions(&private, fs::Permissions::from_mode(0o644)).unwrap();
    let (_, _, errors) = host("db", &[]);
    assert!(errors.contains("chmod 600"), "{errors}");
}

#[test]
fn tunnels_alone_need_a_file_that_nobody_else_may_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wg-kms.conf");
    let up = || wg(&["up", file.to_str().unwrap()], b"");
    assert!(up().2.contains("cannot be opened"));
    write(&file, "[Interface]\nPostUp = true\n");
    let (code, _, errors) = up();
    assert_eq!(code, 1);
    assert!(
        errors.contains("line 2: `PostUp` runs a command"),
        "{errors}"
    );
    let key = PrivateKey::from_random([9; 32]);
    write(
        &file,
        &format!("[Interface]\nPrivateKey = {}\n", *key.to_base64()),
    );
    assert!(up().2.contains("has no Address"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(up().2.contains("chmod 600"));
}
