//! The operator's metrics: what is in them, and who sees them.

use serde_json::json;

use super::support::node::open;
use super::support::{Opened, Request, TestNode};

const TELEMETRY: &str = "telemetry {\n  prometheus_address = \"127.0.0.1:0\"\n}\n\
    audit \"file\" {\n  path = \"audit.log\"\n}";

/// Where the node says that its metrics are.
fn address(node: &TestNode) -> String {
    let log = node.log();
    let line = log.lines().rfind(|line| line.contains("metrics are at"));
    let (_, address) = line.expect("a line").rsplit_once('=').expect("an address");
    address.to_owned()
}

fn scrape(node: &TestNode) -> String {
    let answer = Request::new(&address(node), "GET", "/metrics")
        .send()
        .expect(200);
    let kind = answer.header("content-type").expect("a type");
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    answer.body
}

#[track_caller]
fn expect_line(text: &str, line: &str) {
    assert!(
        text.lines().any(|found| found == line),
        "no {line:?} in:\n{text}"
    );
}

fn opened() -> Opened {
    open(TestNode::start_with(TELEMETRY, ""))
}

#[test]
fn the_operator_sees_the_node_and_every_addon() {
    let opened = opened();
    let sealed = opened.node.create_addon("sealed");
    opened.node.init(&sealed, 1, 1);
    let empty = opened.node.create_addon("empty");
    for _ in 0..3 {
        let body = json!({"plaintext": "eA=="});
        opened.write("transit/encrypt/k", &body, 200);
    }
    opened.read("secret/data/none", 404);
    opened
        .node
        .request("GET", "secret/data/none")
        .send()
        .expect(403);

    let text = scrape(&opened.node);
    for line in [
        "vault_core_handle_request_count{route=\"transit/encrypt\",status=\"200\"} 3",
        "vault_core_handle_request_count{route=\"kv/data\",status=\"404\"} 1",
        "vault_core_handle_request_count{route=\"other\",status=\"403\"} 1",
        "conclave_addons{state=\"unsealed\"} 1",
        "conclave_addons{state=\"sealed\"} 1",
        "conclave_addons{state=\"uninitialized\"} 1",
        "vault_audit_log_request_failure 0",
        "vault_audit_log_response_failure 0",
        "conclave_store_fresh 1",
        "conclave_store_up 1",
        "vault_core_in_flight_requests 0",
        &format!("vault_core_unsealed{{addon=\"{}\"}} 1", opened.addon.id),
        &format!("vault_core_unsealed{{addon=\"{}\"}} 0", sealed.id),
    ] {
        expect_line(&text, line);
    }
    assert!(!text.contains(&empty.id), "{text}");
    for name in [
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
        "conclave_locked_memory_bytes",
        "vault_audit_log_request_total",
        "vault_cache_hit{cache=\"transit_keys\"}",
        "vault_cache_hit{cache=\"grants\"}",
        "vault_cache_miss{cache=\"biscuits\"}",
        "conclave_actor_messages{actor=\"SealActor\"} 0",
        "conclave_store_operation_seconds_count{operation=\"commit\"}",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "no {name} in:\n{text}"
        );
    }
    well_formed(&text);
}

/// Each family has its help and type, once, before its series; and no series comes twice.
fn well_formed(text: &str) {
    let mut families = std::collections::BTreeSet::new();
    let mut series = std::collections::BTreeSet::new();
    let mut current = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(families.insert(name), "{name} twice");
            assert!(help.ends_with('.'), "{line}");
            current = name;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert!(rest.starts_with(current), "{line}");
        } else {
            let (id, value) = line.rsplit_once(' ').expect("a value");
            assert!(id.starts_with(current), "{line} under {current}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(series.insert(id), "{id} twice");
        }
    }
}

#[test]
fn an_addon_sees_itself_only() {
    let opened = opened();
    let other = opened.node.create_addon("other");
    let path = "sys/metrics?format=prometheus";
    let own = opened.request("GET", path).send().expect(200).body;
    expect_line(&own, "vault_core_unsealed 1");
    assert!(
        !own.contains("addon_") && !own.contains("conclave_"),
        "{own}"
    );
    let theirs = opened
        .node
        .request("GET", path)
        .token(&other.root_token)
        .send();
    theirs.expect(503);
    for target in ["/metrics", "/v1/metrics", "/v1/sys/metrics"] {
        let request = Request::new(&opened.node.address(), "GET", target);
        let status = request.token(&opened.root).send().status;
        assert!(matches!(status, 400 | 404), "{target}: {status}");
    }
    let telemetry = address(&opened.node);
    for (method, target) in [
        ("GET", "/v1/sys/health"),
        ("GET", "/"),
        ("POST", "/metrics"),
    ] {
        Request::new(&telemetry, method, target).send().expect(404);
    }
}
