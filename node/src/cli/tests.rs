//! Tests of the commands as a whole: arguments in, output and exit code out. Nodes are canned answers on loopback; the
//! end-to-end tests use real ones.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::{Environment, Session, run};
use crate::auth::biscuit::OperatorKey;
use crate::clock::{ManualClock, Timestamp};
use crate::rng::OsRandom;

struct Outcome {
    code: u8,
    output: String,
    errors: String,
}

impl Outcome {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.output).unwrap()
    }
}

fn conclave(arguments: &[&str], environment: &[(&str, &str)], mut input: &[u8]) -> Outcome {
    let environment = Environment::new(
        environment
            .iter()
            .map(|(name, value)| (name.into(), value.into())),
    );
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let code = run(
        ["conclave"].iter().chain(arguments).map(Into::into),
        &mut Session {
            environment: &environment,
            input: &mut input,
            output: &mut output,
            errors: &mut errors,
            is_terminal: false,
            clock: &ManualClock::at(Timestamp::from_unix_seconds(1_800_000_000)),
            random: &OsRandom,
        },
    );
    Outcome {
        code,
        output: String::from_utf8(output).unwrap(),
        errors: String::from_utf8(errors).unwrap(),
    }
}

/// A node that answers each request with the next of `answers`, and in the end gives the requests it saw.
fn canned(answers: &'static [&'static str]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let node = std::thread::spawn(move || {
        let answer = |answer: &&str| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut bytes) = (String::new(), 0);
            loop {
                let start = head.len();
                reader.read_line(&mut head).unwrap();
                let line = head[start..].to_ascii_lowercase();
                if let Some(length) = line.strip_prefix("content-length:") {
                    bytes = length.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; bytes];
            reader.read_exact(&mut body).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            head + &String::from_utf8(body).unwrap()
        };
        answers.iter().map(answer).collect()
    });
    (address, node)
}

const CREATED: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 24\r\nConnection: close\r\n\r\n{\"data\":{\"version\": 1}}\n";
const CAS_FAILED: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 79\r\nConnection: close\r\n\r\n{\"errors\":[\"check-and-set parameter did not match the current version\",\"more\"]}";
const DENIED: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 32\r\nConnection: close\r\n\r\n{\"errors\":[\"permission denied\"]}";
const MOVED: &str = "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const NOT_JSON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>";
const NOTHING: &str =
    "HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{\"errors\":[]}";

#[test]
fn help_is_no_error_and_wrong_usage_is_code_1() {
    let help = conclave(&["--help"], &[], b"");
    assert_eq!((help.code, help.errors.as_str()), (0, ""));
    assert!(help.output.contains("addon"));
    for arguments in [
        &["frobnicate"][..],
        &[],
        &["server"],
        &["addon", "create", "x"],
        &["kms", "put", "x"],
        &["--format", "yaml", "version"],
        &["server", "--dev-root-token-id", "x", "--config", "y"],
    ] {
        let outcome = conclave(arguments, &[], b"");
        assert_eq!(outcome.code, 1, "{arguments:?}");
        assert_eq!(outcome.output, "");
        assert!(!outcome.errors.is_empty());
    }
}

#[test]
fn version_prints_a_table_or_json() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        conclave(&["version"], &[], b"").output,
        format!("Conclave v{version}\n")
    );
    let json = conclave(&["version", "--format", "json"], &[], b"").json();
    assert_eq!(json["version"], version);
}

#[test]
fn put_sends_the_token_and_cas_0() {
    let (address, node) = canned(&[CREATED]);
    let environment = [("VAULT_TOKEN", "s3cret"), ("VAULT_ADDR", address.as_str())];
    let outcome = conclave(
        &["kms", "put", "folder/a b", "k=v=w", "l="],
        &environment,
        b"",
    );
    assert_eq!((outcome.code, outcome.errors.as_str()), (0, ""));
    assert_eq!(outcome.output, "Created folder/a b, version 1.\n");
    let requests = node.join().unwrap();
    assert!(requests[0].starts_with("POST /v1/secret/data/folder/a%20b HTTP/1.1\r\n"));
    assert!(
        requests[0]
            .to_ascii_lowercase()
            .contains("x-vault-token: s3cret\r\n")
    );
    assert!(
        requests[0].ends_with(r#"{"data":{"k":"v=w","l":""},"options":{"cas":0}}"#),
        "{}",
        requests[0]
    );
}

#[test]
fn a_lone_value_may_come_from_standard_input() {
    let (address, node) = canned(&[CREATED]);
    let environment = [("VAULT_TOKEN", "t")];
    let arguments = [
        "kms",
        "patch",
        "s",
        "-",
        "--address",
        &address,
        "--format",
        "json",
    ];
    let outcome = conclave(&arguments, &environment, b"p\xc3\xa4ss=word\n");
    assert_eq!(
        outcome.json(),
        serde_json::json!({"name": "s", "version": 1})
    );
    let requests = node.join().unwrap();
    assert!(requests[0].starts_with("PATCH /v1/secret/data/s HTTP/1.1\r\n"));
    assert!(requests[0].ends_with(r#"{"data":{"value":"päss=word"},"options":{}}"#));
}

#[test]
fn what_the_node_refuses_is_code_2_with_its_reason() {
    for (answer, arguments, expected) in [
        (
            &[DENIED],
            &["kms"][..],
            "conclave: the node answered 403: permission denied\n",
        ),
        (
            &[NOTHING],
            &["kms"],
            "conclave: there are no secrets here\n",
        ),
        (
            &[NOTHING],
            &["kms", "get", "x"],
            "conclave: there is no secret \"x\"\n",
        ),
        (
            &[NOTHING],
            &["kms", "destroy", "x"],
            "conclave: there is no secret \"x\"\n",
        ),
        (
            &[NOTHING],
            &["kms", "patch", "x", "y"],
            "conclave: there is no secret \"x\"\n",
        ),
        (
            &[CAS_FAILED],
            &["kms", "put", "x", "y"],
            "conclave: there is a secret \"x\" already; change it with conclave kms patch\n",
        ),
        (
            &[MOVED],
            &["kms", "get", "x"],
            "conclave: the node sends us elsewhere, and no redirects are followed\n",
        ),
    ] {
        let (address, node) = canned(answer);
        let environment = [("BAO_TOKEN", "t"), ("BAO_ADDR", address.as_str())];
        let outcome = conclave(arguments, &environment, b"");
        assert_eq!(
            (outcome.code, outcome.errors.as_str()),
            (2, expected),
            "{arguments:?}"
        );
        node.join().unwrap();
    }
    let (address, _node) = canned(&[NOT_JSON]);
    let outcome = conclave(
        &["kms"],
        &[("VAULT_TOKEN", "t"), ("VAULT_ADDR", &address)],
        b"",
    );
    assert_eq!(outcome.code, 2);
    assert!(outcome.errors.contains("no JSON"), "{}", outcome.errors);
}

#[test]
fn what_is_wrong_here_is_code_1() {
    let environment = [("VAULT_TOKEN", "t"), ("VAULT_ADDR", "http://127.0.0.1:1")];
    for (arguments, environment, expected) in [
        (&["kms"][..], &[][..], "no token"),
        (
            &["kms", "put", "x", "a=1", "b"],
            &environment[..],
            "\"b\" is not KEY=VALUE",
        ),
        (
            &["kms", "put", "x", "a=1", "a=2"],
            &environment,
            "\"a\" is given twice",
        ),
        (
            &["kms", "--address", "localhost"],
            &environment,
            "is not a URL",
        ),
        (
            &["kms", "--token-file", "no/such"],
            &environment,
            "no/such:",
        ),
        (
            &["kms"],
            &[("VAULT_TOKEN", "a\nb")],
            "characters that no token has",
        ),
        (&["token", "inspect"], &environment, "not a Biscuit"),
        (
            &["token", "attenuate", "--ttl", "soon"],
            &environment,
            "not a duration",
        ),
        (
            &["addon", "list", "--config", "no/such.hcl"],
            &[],
            "no/such.hcl: cannot be read",
        ),
        (
            &["addon", "delete", "x", "--config", "y"],
            &[],
            "say it again with --yes",
        ),
    ] {
        let outcome = conclave(arguments, environment, b"");
        assert_eq!(outcome.code, 1, "{arguments:?}: {}", outcome.errors);
        assert!(
            outcome.errors.contains(expected),
            "{arguments:?}: {}",
            outcome.errors
        );
    }
    assert_eq!(
        conclave(&["kms"], &environment, b"").code,
        2,
        "no node listens"
    );
}

/// A configuration with an embedded store in `folder` that no node has open, and an operator key.
fn offline_config(folder: &std::path::Path) -> String {
    let data = folder.join("data");
    std::fs::create_dir(&data).unwrap();
    let key = OperatorKey::generate(&OsRandom).unwrap();
    key.write_new(&data.join("operator.key")).unwrap();
    let file = folder.join("node.hcl");
    let text = format!(
        "storage \"embedded\" {{\n  path = {data:?}\n}}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:1\"\n  tls_disable = true\n}}\n"
    );
    std::fs::write(&file, text).unwrap();
    std::fs::write(folder.join("operator.pub"), key.public().to_string()).unwrap();
    file.display().to_string()
}

#[test]
fn without_a_node_addons_are_managed_in_the_store_itself() {
    let folder = tempfile::tempdir().unwrap();
    let config = offline_config(folder.path());
    let addon = |arguments: &[&str]| {
        let mut all = vec!["addon"];
        all.extend(arguments);
        all.extend(["--config", &config, "--format", "json"]);
        conclave(&all, &[], b"")
    };
    let made = addon(&["create", "myKMS", "--org", "orga_1"]);
    assert_eq!((made.code, made.errors.as_str()), (0, ""));
    let made = made.json();
    assert_eq!(made["name"], "myKMS");
    assert_eq!(made["org"], "orga_1");
    assert_eq!(made["vault_addr"], "http://127.0.0.1:1");

    let again = addon(&["create", "myKMS", "--org", "orga_1"]);
    assert_eq!(again.code, 2);
    assert!(again.errors.contains("exists already"), "{}", again.errors);

    let listed = addon(&["list"]).json();
    assert_eq!(listed[0]["id"], made["id"]);
    let shown = addon(&["show", "myKMS"]).json();
    assert_eq!(shown["id"], made["id"]);
    assert_eq!(shown.get("root_token"), None);
    assert!(addon(&["show", "myKMS", "--tokens"]).json()["user_token"].is_string());

    let public_key = folder.path().join("operator.pub").display().to_string();
    for role in ["root", "user"] {
        let token = made[format!("{role}_token")].as_str().unwrap();
        let arguments = [
            "token",
            "inspect",
            "--operator-public-key",
            &public_key,
            "--format",
            "json",
        ];
        let inspected = conclave(&arguments, &[("VAULT_TOKEN", token)], b"").json();
        assert_eq!(inspected["verified"], true);
        assert_eq!(inspected["role"], role);
        assert_eq!(inspected["tenant"], made["id"]);
    }

    assert_eq!(addon(&["delete", "myKMS", "--yes"]).code, 0);
    assert_eq!(addon(&["show", "myKMS"]).code, 2);
    assert_eq!(addon(&["list"]).json(), serde_json::json!([]));
}

#[test]
fn a_token_is_narrowed_without_a_node() {
    let folder = tempfile::tempdir().unwrap();
    let config = offline_config(folder.path());
    let made = conclave(
        &[
            "addon", "create", "a", "--org", "o", "--config", &config, "--format", "json",
        ],
        &[],
        b"",
    );
    let token = made.json()["user_token"].as_str().unwrap().to_owned();
    let arguments = [
        "token",
        "attenuate",
        "--token-file",
        "-",
        "--path",
        "secret/data/a",
        "--ttl",
        "1h",
    ];
    let narrowed = conclave(&arguments, &[], token.as_bytes());
    assert_eq!(narrowed.code, 0, "{}", narrowed.errors);
    let arguments = ["token", "inspect", "--token-file", "-", "--format", "json"];
    let inspected = conclave(&arguments, &[], narrowed.output.as_bytes()).json();
    assert_eq!(inspected["blocks"].as_array().unwrap().len(), 2);
    assert_eq!(inspected["expires"], "2027-01-15T09:00:00Z");
}

#[test]
fn store_tools_need_a_store_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let config = |name: &str, storage: &str| {
        let file = folder.path().join(name);
        let listener = "listener \"tcp\" {\n tls_disable = true\n}";
        std::fs::write(&file, format!("storage {storage}\n{listener}")).unwrap();
        file.display().to_string()
    };
    let memory = config("memory.hcl", "\"inmem\" {}");
    let path = folder.path().join("data");
    let missing = config(
        "missing.hcl",
        &format!("\"embedded\" {{\n path = {path:?}\n}}"),
    );
    let file = folder.path().join("backup").display().to_string();
    for (arguments, why) in [
        (&["check", "--config", &memory][..], "a store in memory"),
        (&["check", "--config", &missing], "there is no store in"),
        (
            &["backup", &file, "--config", &missing],
            "there is no store in",
        ),
        (
            &["copy", "--from", &missing, "--to", &missing],
            "there is no store in",
        ),
        (&["restore", &file, "--config", &missing], "backup"),
    ] {
        let outcome = conclave(&[&["store"], arguments].concat(), &[], b"");
        assert_eq!(outcome.code, 1, "{}", outcome.errors);
        assert!(outcome.errors.contains(why), "{}", outcome.errors);
    }
    assert!(!std::path::Path::new(&file).exists());
}
