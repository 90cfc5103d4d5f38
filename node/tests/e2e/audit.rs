//! The audit log: what is in it, what is not, and what happens when it cannot be written.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::node::open;
use super::support::{Opened, Request, TestNode, base64};

const ONE_FILE: &str = "audit \"file\" {\n  path = \"audit.log\"\n}";

fn opened_with(settings: &str) -> Opened {
    open(TestNode::start_with(settings, ""))
}

/// The lines of a log, each of which must be JSON.
fn lines(folder: &Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(name)).expect("an audit log");
    assert!(text.ends_with('\n'), "the last line is not whole");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect()
}

fn log(opened: &Opened) -> Vec<Value> {
    lines(opened.node.folder(), "audit.log")
}

/// The last two lines, of one request.
fn last(opened: &Opened) -> (Value, Value) {
    let mut lines = log(opened);
    let response = lines.pop().expect("a line");
    let request = lines.pop().expect("a line");
    assert_eq!(request["type"], "request", "{request}");
    assert_eq!(response["type"], "response", "{response}");
    assert_eq!(request["request"]["id"], response["request"]["id"]);
    (request, response)
}

fn hash(opened: &Opened, input: &str) -> Value {
    let answer = opened.write("sys/audit-hash/file", &json!({ "input": input }), 200);
    assert_eq!(answer["hash"], answer["data"]["hash"]);
    answer["hash"].clone()
}

#[test]
fn both_lines_of_a_request_are_vaults() {
    let opened = opened_with(ONE_FILE);
    let body = json!({"data": {"password": "hunter2", "n": 5, "on": true, "none": null, "list": ["a", "b"]}});
    let answer = opened.write("secret/data/app", &body, 200);
    let (request, response) = last(&opened);
    let hash = |input: &str| hash(&opened, input);

    assert_eq!(request["request"]["id"], answer["request_id"]);
    assert_eq!(request["request"]["operation"], "update");
    assert_eq!(request["request"]["path"], "secret/data/app");
    assert_eq!(request["request"]["mount_point"], "secret/");
    assert_eq!(request["request"]["mount_type"], "kv");
    assert_eq!(request["request"]["remote_address"], "127.0.0.1");
    assert!(request["request"]["remote_port"].as_u64().unwrap() > 0);
    assert_eq!(request["request"]["client_token"], hash(&opened.root));
    assert_eq!(
        request["request"]["namespace"]["id"],
        opened.addon.id.as_str()
    );
    assert_eq!(request["request"]["namespace"]["path"], "default/");
    let data = json!({"password": hash("hunter2"), "n": 5, "on": true, "none": null,
        "list": [hash("a"), hash("b")]});
    assert_eq!(request["request"]["data"], json!({ "data": data }));
    assert_eq!(request["auth"]["client_token"], hash(&opened.root));
    assert_eq!(request["auth"]["policies"], json!(["root"]));
    assert_eq!(request["auth"]["display_name"], "root");
    assert_eq!(request["auth"]["token_type"], "service");
    let own = opened.read("auth/token/lookup-self", 200);
    let accessor = own["data"]["accessor"].as_str().unwrap();
    assert_eq!(request["auth"]["accessor"], hash(accessor));
    assert!(request["time"].as_str().unwrap().ends_with('Z'));
    assert!(request.get("error").is_none(), "{request}");

    assert_eq!(response["request"], request["request"]);
    assert_eq!(response["auth"], request["auth"]);
    assert_eq!(response["response"]["data"]["version"], 1);
    let created = answer["data"]["created_time"].as_str().unwrap();
    assert_eq!(response["response"]["data"]["created_time"], hash(created));
    assert!(response.get("error").is_none(), "{response}");
}

#[test]
fn a_made_token_is_hashed_and_its_policies_are_not() {
    let opened = opened_with(ONE_FILE);
    let made = opened.write("auth/token/create", &json!({"policies": ["default"]}), 200);
    let (_, response) = last(&opened);
    let auth = &response["response"]["auth"];
    let token = made["auth"]["client_token"].as_str().unwrap();
    assert_eq!(auth["client_token"], hash(&opened, token));
    assert_eq!(auth["policies"], json!(["default"]));
}

#[test]
fn the_refused_and_the_malformed_are_written_down() {
    let opened = opened_with(ONE_FILE);
    let made = opened.write("auth/token/create", &json!({"policies": ["default"]}), 200);
    let weak = made["auth"]["client_token"].as_str().unwrap();
    let ask = |method: &str, path: &str| opened.node.request(method, path);
    let cases = [
        (
            ask("GET", "secret/data/app").token(weak),
            403,
            "permission denied",
        ),
        (
            ask("GET", "secret/data/app").token("s.nobody"),
            403,
            "permission denied",
        ),
        (ask("GET", "secret/data/app"), 403, "permission denied"),
        (
            ask("GET", "secret/data/%zz").token(&opened.root),
            400,
            "percent escape",
        ),
        (
            ask("BREW", "secret/data/app").token(&opened.root),
            405,
            "unsupported operation",
        ),
        (
            ask("POST", "secret/data/app").token(&opened.root).body("{"),
            400,
            "failed to parse JSON",
        ),
        (
            ask("GET", "secret/data/app?list=maybe").token(&opened.root),
            400,
            "true or false",
        ),
        (
            ask("GET", "secret/data/app")
                .token(&opened.root)
                .header("X-Vault-Wrap-TTL", "60"),
            400,
            "wrapping",
        ),
        (
            ask("GET", "secret/data/app")
                .token(&opened.root)
                .header("X-Vault-Namespace", "nobody"),
            403,
            "permission denied",
        ),
    ];
    for (request, status, error) in cases {
        let before = log(&opened).len();
        request.send().expect(status);
        assert_eq!(log(&opened).len(), before + 2, "{error}");
        let (asked, answered) = last(&opened);
        let told = answered["error"].as_str().unwrap_or_default();
        assert!(told.contains(error), "{answered}");
        assert!(
            asked["request"]["path"]
                .as_str()
                .unwrap()
                .starts_with("secret/data/")
        );
        assert_eq!(asked["request"]["remote_address"], "127.0.0.1");
    }
}

#[test]
fn what_everybody_may_ask_is_left_out() {
    let opened = opened_with(ONE_FILE);
    let before = log(&opened).len();
    for path in [
        "sys/health",
        "sys/seal-status",
        "sys/leader",
        "sys/init",
        "sys/internal/ui/mounts",
    ] {
        opened.node.request("GET", path).send().expect(200);
    }
    Request::new(&opened.node.address(), "GET", "/readyz")
        .send()
        .expect(200);
    assert_eq!(log(&opened).len(), before);
}

#[test]
fn shares_are_in_no_line() {
    let mut opened = opened_with(ONE_FILE);
    let bad = opened
        .node
        .request("PUT", "sys/unseal")
        .token(&opened.addon.root_token);
    opened.write("sys/seal", &json!({}), 204);
    bad.json(&json!({"key": "c2hhcmU"})).send().expect(400);
    opened.node.unseal(&opened.addon, &opened.shares[..2]);
    let log = log(&opened);
    let of = |path: &str| {
        log.iter()
            .filter(|line| line["request"]["path"] == path)
            .count()
    };
    assert_eq!(
        (of("sys/init"), of("sys/unseal"), of("sys/seal")),
        (2, 10, 2)
    );
    for line in log.iter().filter(|line| {
        matches!(
            line["request"]["path"].as_str(),
            Some("sys/init" | "sys/unseal")
        )
    }) {
        assert!(line["request"].get("data").is_none(), "{line}");
        assert!(line.get("response").is_none(), "{line}");
        assert_eq!(line["auth"]["display_name"], "root", "{line}");
    }
    opened.node.stop();
}

#[test]
fn sealed_addons_are_hashed_with_the_nodes_salt_and_open_ones_keep_theirs() {
    let mut opened = opened_with(ONE_FILE);
    let before = hash(&opened, "value");
    let root = hash(&opened, &opened.root);
    opened.node.stop();
    opened.node.run();
    opened.request("GET", "secret/data/app").send().expect(503);
    let (request, response) = last(&opened);
    assert_ne!(request["request"]["client_token"], root);
    assert_eq!(response["error"], "Vault is sealed");
    assert_eq!(request["request"]["namespace"]["path"], "default/");
    opened.node.unseal(&opened.addon, &opened.shares[..2]);
    assert_eq!(hash(&opened, "value"), before);
}

#[test]
fn each_addon_has_a_salt_of_its_own() {
    let opened = opened_with(ONE_FILE);
    let addon = opened.node.create_addon("shop");
    let (shares, root) = opened.node.init(&addon, 1, 1);
    opened.node.unseal(&addon, &shares);
    let request = opened
        .node
        .request("POST", "sys/audit-hash/file")
        .token(&root);
    let theirs = request
        .json(&json!({"input": "value"}))
        .send()
        .expect(200)
        .json();
    assert_ne!(theirs["hash"], hash(&opened, "value"));
    let (request, _) = last(&opened);
    assert_eq!(request["request"]["namespace"]["path"], "default/");
}

#[test]
fn without_a_working_device_nothing_happens_and_with_one_of_two_everything_does() {
    // The log is a link: to a file first, to a full disk later.
    let opened = opened_with(ONE_FILE);
    opened.write("secret/data/a", &json!({"data": {"k": "before"}}), 200);
    let path = opened.node.folder().join("audit.log");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    opened.node.hang_up();
    let refused = opened.request("POST", "secret/data/a");
    wait_until(|| {
        let request = opened.request("GET", "secret/data/a");
        request.send().status == 500
    });
    refused
        .json(&json!({"data": {"k": "after"}}))
        .send()
        .expect_error_with(500, "failed to audit");
    opened
        .node
        .request("GET", "secret/data/a")
        .send()
        .expect_error_with(500, "failed to audit");
    opened.node.request("GET", "sys/health").send().expect(200);

    std::fs::remove_file(&path).unwrap();
    opened.node.hang_up();
    wait_until(|| opened.request("GET", "secret/data/a").send().status == 200);
    let read = opened.read("secret/data/a", 200);
    assert_eq!(
        read["data"]["data"]["k"], "before",
        "written without a line"
    );
    let node_log = opened.node.log();
    assert_eq!(
        node_log.matches("the audit file cannot be written").count(),
        1,
        "{node_log}"
    );

    let two = format!("{ONE_FILE}\naudit \"file\" \"full\" {{\n  path = \"/dev/full\"\n}}");
    let opened = opened_with(&two);
    opened.write("secret/data/a", &json!({"data": {"k": "v"}}), 200);
    last(&opened);
}

#[test]
fn a_device_that_waits_for_the_disk_works_too() {
    let opened = opened_with("audit \"file\" {\n  path = \"audit.log\"\n  sync = true\n}");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let opened = &opened;
            scope.spawn(move || {
                for number in 0..10 {
                    let path = format!("secret/data/{writer}/{number}");
                    opened.write(&path, &json!({"data": {}}), 200);
                }
            });
        }
    });
    let log = log(&opened);
    let of = |kind: &str| {
        let writes = log.iter().filter(|line| line["type"] == kind);
        let paths = writes.filter_map(|line| line["request"]["path"].as_str());
        paths
            .filter(|path| path.starts_with("secret/data/"))
            .count()
    };
    assert_eq!((of("request"), of("response")), (40, 40));
}

#[test]
fn a_device_that_cannot_be_opened_stops_the_start() {
    let node = opened_with("");
    let config = std::fs::read_to_string(node.node.folder().join("node.hcl")).unwrap();
    let config = format!("audit \"file\" {{\n  path = \"missing/audit.log\"\n}}\n{config}");
    let config = config
        .replace("./data", "./other")
        .replace("address  ", "address");
    std::fs::write(node.node.folder().join("other.hcl"), config).unwrap();
    let outcome = node
        .node
        .conclave(None, &["server", "--config", "other.hcl"]);
    outcome
        .expect(1)
        .expect_error("audit file missing/audit.log");
}

#[test]
fn the_devices_are_listed_and_not_changed_by_an_addon() {
    let opened = opened_with(ONE_FILE);
    let root = Some(opened.root.as_str());
    let listed = opened.node.bao(root, &["audit", "list"]).expect(0);
    assert!(listed.output.contains("file/"), "{}", listed.output);
    let listed = opened.read("sys/audit", 200);
    assert_eq!(listed["data"]["file/"]["type"], "file");
    assert_eq!(listed["file/"], listed["data"]["file/"]);
    assert!(!listed.to_string().contains("audit.log"), "{listed}");
    let body = json!({"type": "file", "options": {"file_path": "/tmp/x"}});
    let enable = opened.request("PUT", "sys/audit/mine").json(&body);
    enable
        .send()
        .expect_error_with(400, "audit devices are the operator's");
    let disable = opened.request("DELETE", "sys/audit/file");
    disable
        .send()
        .expect_error_with(400, "audit devices are the operator's");
    let user = opened
        .node
        .request("GET", "sys/audit")
        .token(&opened.addon.user_token);
    user.send().expect(403);
    let unknown = opened
        .request("POST", "sys/audit-hash/none")
        .json(&json!({"input": "x"}));
    unknown
        .send()
        .expect_error_with(400, "unknown audit backend");
}

#[test]
fn large_bodies_make_lines_of_bounded_length() {
    let opened = opened_with(ONE_FILE);
    let items: Vec<&str> = vec![""; 200_000];
    opened.write("cubbyhole/big", &json!({ "items": items }), 204);
    let (request, response) = last(&opened);
    assert!(request.to_string().len() < 5 * 1024 * 1024);
    assert!(
        request["request"]["data"]["conclave_omitted_bytes"]
            .as_u64()
            .unwrap()
            > 600_000
    );
    assert_eq!(response["request"]["data"], request["request"]["data"]);
    let items = vec![base64("text"); 2000];
    opened.write("cubbyhole/big", &json!({ "items": items }), 204);
    let (request, response) = last(&opened);
    assert_eq!(
        request["request"]["data"]["items"]
            .as_array()
            .unwrap()
            .len(),
        2000
    );
    assert!(response["request"].get("data").is_none(), "told twice");
}

#[test]
fn a_request_that_is_given_up_gets_its_second_line() {
    let opened = opened_with(ONE_FILE);
    let body = json!({"plaintext": base64("x")}).to_string();
    let stream = opened
        .request("POST", "transit/encrypt/k")
        .body(body.clone())
        .begin()
        .unwrap();
    drop(stream);
    opened
        .request("POST", "transit/encrypt/k")
        .body(body)
        .send()
        .expect(200);
    wait_until(|| {
        let log = log(&opened);
        let of = |kind: &str| {
            let lines = log.iter().filter(|line| line["type"] == kind);
            lines
                .filter(|line| line["request"]["path"] == "transit/encrypt/k")
                .count()
        };
        of("request") == of("response")
    });
}

#[track_caller]
fn wait_until(mut done: impl FnMut() -> bool) {
    for _ in 0..250 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it does not come to pass");
}
