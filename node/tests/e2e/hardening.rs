//! What leaves the process or stays behind in it: logs, the audit log, and its memory hold no secret.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use conclave::barrier::envelope::RowCipher;
use conclave::id::TenantId;
use conclave::seal::Share;
use conclave::seal::config::SealConfig;
use conclave::seal::keyring::Keyring;
use conclave::secret::Secret;
use conclave::store::embedded::{EmbeddedOptions, EmbeddedStore};
use conclave::store::key::{Key, Scope, Table};
use conclave::store::transact;
use serde_json::{Value, json};
use shamirsecretsharing::hazmat;

use super::support::node::open;
use super::support::{Opened, TestNode, base64};

/// A secret and the forms in which it may turn up.
struct Planted {
    name: String,
    forms: Vec<Vec<u8>>,
}

impl Planted {
    fn new(name: &str, secret: &[u8]) -> Self {
        let mut forms = vec![
            secret.to_vec(),
            hex::encode(secret).into_bytes(),
            hex::encode_upper(secret).into_bytes(),
        ];
        // As part of a longer text, its base64 depends on where it begins. The characters at both ends hold bits of
        // what stands beside it.
        for before in 0..3 {
            let padded = [vec![0; before], secret.to_vec()].concat();
            for text in [
                STANDARD_NO_PAD.encode(&padded),
                URL_SAFE_NO_PAD.encode(&padded),
            ] {
                let first = (before * 8).div_ceil(6);
                let last = (before + secret.len()) * 8 / 6;
                forms.push(text.as_bytes()[first..last].to_vec());
            }
        }
        Self {
            name: name.into(),
            forms,
        }
    }

    fn is_in(&self, text: &[u8]) -> bool {
        let text = String::from_utf8_lossy(text);
        self.forms
            .iter()
            .any(|form| match std::str::from_utf8(form) {
                Ok(form) => text.contains(form),
                Err(_) => false,
            })
    }
}

const MARKER: &str = "Hd7mQ2-planted-secret-Zx81pLw";

/// Sends the marker everywhere that a secret may be sent, right and wrong.
fn send_everywhere(opened: &Opened) {
    let text = base64(MARKER);
    let bodies = [
        (
            "POST",
            "secret/data/app",
            json!({"data": {"k": MARKER}}).to_string(),
        ),
        ("POST", "secret/data/app", json!(MARKER).to_string()),
        ("POST", "secret/data/app", json!([MARKER]).to_string()),
        (
            "POST",
            "secret/data/app",
            json!({"data": MARKER}).to_string(),
        ),
        (
            "POST",
            "secret/data/app",
            json!({"options": {"cas": MARKER}, "data": {}}).to_string(),
        ),
        (
            "POST",
            "secret/data/app",
            json!({"options": MARKER, "data": {}}).to_string(),
        ),
        (
            "POST",
            "secret/data/app",
            format!("{{\"data\":{{\"k\":\"{MARKER}\""),
        ),
        (
            "POST",
            "secret/data/app",
            format!("{{\"data\":{{\"k\":{MARKER}}}}}"),
        ),
        ("POST", "secret/data/app", MARKER.to_owned()),
        (
            "PATCH",
            "secret/data/app",
            json!({"data": {"k": MARKER}}).to_string(),
        ),
        (
            "POST",
            "secret/metadata/app",
            json!({"custom_metadata": {"k": MARKER}}).to_string(),
        ),
        (
            "POST",
            "secret/metadata/app",
            json!({"max_versions": MARKER}).to_string(),
        ),
        (
            "POST",
            "secret/delete/app",
            json!({"versions": MARKER}).to_string(),
        ),
        (
            "POST",
            "secret/config",
            json!({"delete_version_after": MARKER}).to_string(),
        ),
        ("POST", "cubbyhole/app", json!({"k": MARKER}).to_string()),
        (
            "POST",
            "transit/encrypt/k",
            json!({"plaintext": text}).to_string(),
        ),
        (
            "POST",
            "transit/encrypt/k",
            json!({"plaintext": format!("{MARKER}!")}).to_string(),
        ),
        (
            "POST",
            "transit/encrypt/k",
            json!({"batch_input": MARKER}).to_string(),
        ),
        (
            "POST",
            "transit/encrypt/k",
            json!({"batch_input": [{"plaintext": MARKER}]}).to_string(),
        ),
        (
            "POST",
            "transit/encrypt/k",
            json!({"plaintext": text, "context": text}).to_string(),
        ),
        (
            "POST",
            "transit/encrypt/k",
            json!({"plaintext": text, "associated_data": MARKER}).to_string(),
        ),
        (
            "POST",
            "transit/encrypt/k",
            json!({"plaintext": text, "key_version": MARKER}).to_string(),
        ),
        (
            "POST",
            "transit/decrypt/k",
            json!({"ciphertext": MARKER}).to_string(),
        ),
        (
            "POST",
            "transit/decrypt/k",
            json!({"ciphertext": format!("vault:v1:{text}")}).to_string(),
        ),
        ("POST", "transit/hmac/k", json!({"input": text}).to_string()),
        (
            "POST",
            "transit/hash",
            json!({"input": text, "algorithm": MARKER}).to_string(),
        ),
        (
            "POST",
            "transit/random/32",
            json!({"format": MARKER}).to_string(),
        ),
        (
            "POST",
            "auth/token/lookup",
            json!({"token": MARKER}).to_string(),
        ),
        (
            "POST",
            "auth/token/lookup-accessor",
            json!({"accessor": MARKER}).to_string(),
        ),
        (
            "POST",
            "auth/token/revoke",
            json!({"token": MARKER}).to_string(),
        ),
        (
            "POST",
            "auth/token/renew",
            json!({"token": MARKER, "increment": MARKER}).to_string(),
        ),
        (
            "POST",
            "auth/token/create",
            json!({"id": format!("{MARKER}-{MARKER}")}).to_string(),
        ),
        (
            "POST",
            "auth/token/create",
            json!({"ttl": MARKER}).to_string(),
        ),
        (
            "POST",
            "auth/token/create",
            json!({"num_uses": MARKER}).to_string(),
        ),
        (
            "POST",
            "sys/capabilities",
            json!({"token": MARKER, "paths": ["a"]}).to_string(),
        ),
        (
            "POST",
            "sys/audit-hash/file",
            json!({"input": MARKER}).to_string(),
        ),
        ("PUT", "sys/unseal", json!({"key": MARKER}).to_string()),
        ("PUT", "sys/unseal", json!({"key": [MARKER]}).to_string()),
        (
            "PUT",
            "sys/init",
            json!({"secret_shares": MARKER}).to_string(),
        ),
        (
            "PUT",
            "sys/policies/acl/p",
            json!({"policy": format!("path \"a\" {{ x = \"{MARKER}\" }}")}).to_string(),
        ),
    ];
    for (method, path, body) in bodies {
        let answer = opened.request(method, path).body(body).send();
        assert!(
            answer.status < 500,
            "{path}: {} {}",
            answer.status,
            answer.body
        );
    }
    opened
        .request("POST", "secret/data/form")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(format!("data={MARKER}"))
        .send();
    for request in [
        opened.node.request("GET", "secret/data/app").token(MARKER),
        opened
            .node
            .request("GET", "secret/data/app")
            .header("Authorization", &format!("Bearer {MARKER}")),
        opened.request("GET", &format!("secret/data/app?version={MARKER}")),
        opened.request("GET", &format!("secret/data/app?list={MARKER}")),
        opened
            .request("GET", "secret/data/app")
            .header("X-Vault-Wrap-TTL", MARKER),
        opened
            .request("GET", "secret/data/app")
            .header("Cookie", MARKER),
        opened.request("GET", "secret/data/app"),
    ] {
        request.send();
    }
}

#[test]
fn logs_and_audit_hold_no_secret() {
    let settings = "log_level = \"trace\"\naudit \"file\" {\n  path = \"audit.log\"\n}";
    let opened = open(TestNode::start_with(settings, ""));
    send_everywhere(&opened);
    opened.write("sys/seal", &json!({}), 204);
    opened.node.unseal(&opened.addon, &opened.shares[..2]);
    let read = |name: &str| std::fs::read(opened.node.folder().join(name)).unwrap();
    let (log, output, audit) = (read("node.log"), read("node.out"), read("audit.log"));
    assert!(audit.len() > 10_000 && !log.is_empty());
    let mut secrets = vec![Planted::new("marker", MARKER.as_bytes())];
    for token in [
        &opened.root,
        &opened.addon.root_token,
        &opened.addon.user_token,
    ] {
        secrets.push(Planted::new("token", token.as_bytes()));
    }
    for share in &opened.shares {
        secrets.push(Planted::new("share", share.as_bytes()));
        let bytes = URL_SAFE_NO_PAD.decode(share).unwrap();
        secrets.push(Planted::new("share", &bytes));
    }
    for planted in &secrets {
        for (name, text) in [("log", &log), ("output", &output), ("audit", &audit)] {
            let found = String::from_utf8_lossy(text);
            let line = found.lines().find(|line| planted.is_in(line.as_bytes()));
            assert!(
                line.is_none(),
                "a {} is in the {name}: {line:?}",
                planted.name
            );
        }
    }
    // The search finds what is there.
    assert!(Planted::new("path", b"secret/data/app").is_in(&audit));
}

#[test]
fn the_process_is_protected() {
    let node = TestNode::start();
    let proc = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", node.id())).unwrap();
    let status = proc("status");
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or_else(|| panic!("no {name} in {status}"))
    };
    assert_eq!(value("NoNewPrivs:"), 1);
    let limits = proc("limits");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let words: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(&words[4..6], ["0", "0"], "{core}");
    let log = node.log();
    if value("VmLck:") > 1024 {
        assert!(log.contains("memory is locked"), "{log}");
    } else {
        assert!(log.contains("memory is not locked"), "{log}");
    }
    let node = TestNode::start_with("disable_mlock = true", "");
    assert!(
        node.log().contains("as disable_mlock says"),
        "{}",
        node.log()
    );
}

/// The keys of the default add-on, from the stopped node's own store and its shares.
fn keys(opened: &Opened) -> Vec<Planted> {
    let share = |text: &String| Share::parse(text).unwrap().expose().to_vec();
    let shares: Vec<Vec<u8>> = opened.shares[..2].iter().map(share).collect();
    let unseal_key: [u8; 32] = hazmat::combine_keyshares(&shares)
        .unwrap()
        .try_into()
        .unwrap();
    let tenant: TenantId = opened.addon.id.parse().unwrap();
    let folder = opened.node.folder().join("data");
    actix_web::rt::System::new().block_on(async {
        let store = EmbeddedStore::open(&folder, EmbeddedOptions::default()).unwrap();
        let (rows, _) = transact(&store, async |transaction, _| {
            let mut rows = Vec::new();
            for table in [Table::SealConfig, Table::Keyring] {
                let key = Key::row(Scope::Tenant(tenant), table, &[]);
                rows.push((transaction.get(&key).await?.unwrap(), key));
            }
            Ok(rows)
        })
        .await
        .unwrap();
        let config = SealConfig::claim(&rows[0].0).unwrap();
        let root = config
            .unwrap_root(tenant, &Secret::new(unseal_key))
            .unwrap();
        let keyring_key = root.keyring_key().unwrap();
        let keyring = RowCipher::new(&keyring_key)
            .open(rows[1].1.as_bytes(), &rows[1].0)
            .unwrap();
        let keyring = Keyring::decode(&keyring).unwrap();
        vec![
            Planted::new("unseal key", &unseal_key),
            Planted::new("root key", root.expose()),
            Planted::new("keyring key", keyring_key.expose()),
            Planted::new("data key", keyring.terms()[0].key().expose()),
            Planted::new("name key", keyring.name_key().expose()),
        ]
    })
}

/// Those that are somewhere in the writable memory of a process, by name, with what surrounds them.
fn search_memory(process: u32, planted: &[Planted]) -> BTreeMap<String, String> {
    const CHUNK: usize = 1 << 20;
    let needles: Vec<(&str, &[u8])> = planted
        .iter()
        .flat_map(|one| {
            one.forms
                .iter()
                .map(|form| (one.name.as_str(), form.as_slice()))
        })
        .collect();
    let longest = needles.iter().map(|(_, form)| form.len()).max().unwrap();
    let mut begins = vec![false; 1 << 16];
    for (_, form) in &needles {
        begins[usize::from(u16::from_le_bytes([form[0], form[1]]))] = true;
    }
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut found = BTreeMap::new();
    let mut searched = 0;
    for line in maps.lines().filter(|line| {
        line.split(' ')
            .nth(1)
            .is_some_and(|mode| mode.starts_with("rw"))
    }) {
        let (begin, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let address = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let (mut at, end) = (address(begin), address(end));
        let mut text = Vec::new();
        while at < end {
            let length = usize::try_from(end - at).unwrap().min(CHUNK);
            let kept = text.len();
            text.resize(kept + length, 0);
            memory.seek(SeekFrom::Start(at)).unwrap();
            if memory.read_exact(&mut text[kept..]).is_err() {
                break;
            }
            searched += length;
            if text.iter().any(|byte| *byte != 0) {
                for (place, pair) in text.windows(2).enumerate() {
                    if begins[usize::from(u16::from_le_bytes([pair[0], pair[1]]))] {
                        let here = needles
                            .iter()
                            .filter(|(_, form)| text[place..].starts_with(form));
                        let around = &text[place.saturating_sub(80)..text.len().min(place + 80)];
                        let around = format!(
                            "{line} {:x}: {}",
                            at as usize + place - kept,
                            String::from_utf8_lossy(around)
                        );
                        found.extend(here.map(|(name, _)| ((*name).to_owned(), around.clone())));
                    }
                }
            }
            // What begins here may end in the next chunk.
            text.drain(..text.len().saturating_sub(longest));
            at += length as u64;
        }
    }
    assert!(searched > 1 << 20, "no memory was read");
    found
}

#[test]
#[ignore = "reads another process's memory, which needs root; scripts/test runs it"]
fn root_finds_no_secret_in_memory_after_a_seal() {
    let mut opened = open(TestNode::start_with(
        "audit \"file\" {\n  path = \"audit.log\"\n}",
        "",
    ));
    opened.node.stop();
    let mut planted = keys(&opened);
    opened.node.run();
    opened.node.unseal(&opened.addon, &opened.shares[..2]);
    planted.push(Planted::new("marker", MARKER.as_bytes()));
    planted.push(Planted::new("root token", opened.root.as_bytes()));
    for share in &opened.shares[..2] {
        let bytes = URL_SAFE_NO_PAD.decode(share).unwrap();
        planted.push(Planted::new("share", &bytes));
    }
    for _ in 0..3 {
        send_everywhere(&opened);
    }
    let large = json!({"data": {"k": MARKER.repeat(10_000)}});
    opened.write("secret/data/large", &large, 200);
    opened.read("secret/data/large", 200);
    let while_open = search_memory(opened.node.id(), &planted);
    assert!(
        while_open.contains_key("data key"),
        "the search finds nothing: {while_open:?}"
    );
    assert!(!while_open.contains_key("root key"), "{while_open:?}");

    opened
        .node
        .bao(Some(&opened.root), &["operator", "seal"])
        .expect(0);
    let status: Value = opened.node.request("GET", "sys/seal-status").send().json();
    assert_eq!(status["sealed"], true);
    std::thread::sleep(std::time::Duration::from_secs(1));
    let after = search_memory(opened.node.id(), &planted);
    assert_eq!(
        after,
        BTreeMap::new(),
        "while open there were {while_open:?}"
    );
}
