//! Nodes that know each other: real processes as `conclave cluster init` made them, over loopback.

use std::net::UdpSocket;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::support::members::{Members, until};
use super::support::{TestNode, operator_token};

const OTHER_CLUSTER: &str = "00000000-0000-4000-8000-000000000000";

/// A configuration without one of its `node "name" {}` blocks.
fn without_node(text: &str, name: &str) -> String {
    let start = text
        .find(&format!("\n  node \"{name}\" {{"))
        .expect("the node");
    let end = start + text[start..].find("\n  }").expect("its end") + "\n  }".len();
    format!("{}{}", &text[..start], &text[end..])
}

fn metrics(members: &Members, number: usize) -> String {
    let token = operator_token(&members.operator_key());
    let request = members.request(number, "GET", "conclave/metrics");
    request.token(&token).send().expect(200).body
}

fn sample(metrics: &str, series: &str) -> f64 {
    let mut lines = metrics.lines();
    let line = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = line.unwrap_or_else(|| panic!("no {series} in:\n{metrics}"));
    value.parse().expect("a number")
}

#[test]
fn cluster_nodes_find_each_other_and_notice_who_dies_and_comes_back() {
    let mut members = Members::start(3);
    let all = ["n1", "n2", "n3"];
    for number in 1..=3 {
        members.until_up_at(number, &all);
    }
    let status = members.status(1);
    assert_eq!(status["node"], "n1");
    let second = &status["members"][1];
    assert_eq!(second["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(second["unsealed"], 0);
    assert_eq!(second["roster_differs"], false);
    assert_eq!(second["clock_skewed"], false);
    until("round trips are measured", || {
        members.status(1)["members"][1]["round_trip_ms"].is_f64()
    });
    let tunnels = members.ask(1, &["wg", "show", "--json"]).expect(0).output;
    let tunnels: Value = serde_json::from_str(&tunnels).expect("JSON");
    let tunnel = &tunnels["tunnels"][0];
    assert_eq!(
        (&tunnel["peer"], &tunnel["up"]),
        (&"n2".into(), &true.into())
    );
    assert!(tunnel["handshake_age_s"].is_u64() && tunnel["received_bytes"].as_u64() > Some(0));
    // As `init` says that it is to be asked.
    let config = [
        "--config",
        "made/n1/node.hcl",
        "--operator-key",
        "made/operator/operator.key",
    ];
    let table = members.conclave(&[&["cluster", "status"][..], &config].concat());
    let table = table.expect(0).output;
    assert!(table.contains("3 of 3 nodes up, as n1 sees it"), "{table}");
    assert!(table.contains("s ago"), "{table}");

    nonsense_is_dropped_and_counted(&members);
    what_is_unsealed_is_told(&members);

    members.kill(3);
    members.until_up_at(1, &["n1", "n2"]);
    members.until_up_at(2, &["n1", "n2"]);
    let down = metrics(&members, 1);
    assert_eq!(sample(&down, r#"conclave_cluster_peer_up{peer="n3"}"#), 0.0);
    assert_eq!(sample(&down, r#"conclave_cluster_peer_up{peer="n2"}"#), 1.0);
    members.run(3);
    members.until_up_at(1, &all);
    members.until_up_at(3, &all);
    let lost = sample(
        &metrics(&members, 1),
        r#"conclave_cluster_events_total{event="peer_lost"}"#,
    );
    assert!(lost >= 1.0);
    members.stop(2);
    members.until_up_at(1, &["n1", "n3"]);
}

/// Initialises and unseals the default add-on on n2, and waits until n1 shows that.
fn what_is_unsealed_is_told(members: &Members) {
    let show = ["addon", "show", "default", "--tokens", "--format", "json"];
    let addon = members.ask(2, &show).expect(0).output;
    let addon: Value = serde_json::from_str(&addon).expect("JSON");
    let token = addon["root_token"].as_str().expect("a token");
    let put = |path: &str, body: Value| {
        let request = members.request(2, "PUT", path).token(token);
        request.json(&body).send().expect(200).json()
    };
    let made = put(
        "sys/init",
        json!({ "secret_shares": 1, "secret_threshold": 1 }),
    );
    put("sys/unseal", json!({ "key": made["keys_base64"][0] }));
    until("n1 shows that the add-on is open on n2", || {
        let second = &members.status(1)["members"][1];
        (&second["unsealed"], &second["initialized"]) == (&1.into(), &1.into())
    });
}

/// Throws datagrams at a node's tunnel that no peer would send.
fn nonsense_is_dropped_and_counted(members: &Members) {
    let series = r#"conclave_wireguard_dropped_total{reason="malformed"}"#;
    let before = sample(&metrics(members, 1), series);
    let status = members.status(2);
    let endpoint = status["tunnels"][0]["endpoint"].as_str().expect("a place");
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let datagrams = [vec![], vec![1], vec![0xff; 148], vec![0; 65_507]];
    for datagram in &datagrams {
        stranger.send_to(datagram, endpoint).expect("sent");
    }
    until("they are counted", || {
        sample(&metrics(members, 1), series) >= before + datagrams.len() as f64
    });
    assert_eq!(members.up_at(1), ["n1", "n2", "n3"]);
}

#[test]
fn cluster_rosters_are_read_again_on_hangup_and_strangers_are_refused() {
    let members = Members::start(2);
    for number in 1..=2 {
        members.until_up_at(number, &["n1", "n2"]);
    }
    // Off the list of n1, n2 is a stranger with an unknown key.
    let whole = std::fs::read_to_string(members.node_folder(1).join("node.hcl")).expect("a file");
    members.edit(1, |text| without_node(&text, "n2"));
    members.signal(1, Signal::HUP);
    members.until_logged(1, "read the list of nodes again");
    until("n2 is forgotten", || {
        members.status(1)["members"].as_array().map(Vec::len) == Some(1)
    });
    members.until_up_at(2, &["n2"]);
    until("its handshakes are refused and counted", || {
        members.status(1)["dropped"]["unknown_peer"].as_u64() > Some(0)
    });

    // What cannot be used is refused, and the old list stays.
    let status = members.status(1);
    let id = status["cluster_id"].as_str().expect("an id");
    for (from, to, complaint) in [
        (id, OTHER_CLUSTER, "running node can change neither"),
        (id, "7", "cluster_id: must be a UUID"),
        (
            "private_key_file = \"wireguard.key\"",
            "private_key_file = \"none.key\"",
            "none.key: cannot be opened",
        ),
    ] {
        members.edit(1, |_| whole.replace(from, to));
        members.signal(1, Signal::HUP);
        members.until_logged(1, complaint);
        assert!(
            members
                .log(1)
                .contains("the old list of nodes stays in use")
        );
        assert_eq!(members.up_at(1), ["n1"]);
    }

    members.edit(1, |_| whole.clone());
    members.signal(1, Signal::HUP);
    members.until_up_at(1, &["n1", "n2"]);
    members.until_up_at(2, &["n1", "n2"]);
}

#[test]
fn cluster_nodes_of_another_cluster_are_refused() {
    let mut members = Members::stopped(2);
    members.edit(2, |text| {
        let start = text.find("cluster_id = \"").expect("an id") + "cluster_id = \"".len();
        let end = start + OTHER_CLUSTER.len();
        format!("{}{OTHER_CLUSTER}{}", &text[..start], &text[end..])
    });
    members.run(1);
    members.run(2);
    members.until_logged(1, "the node is configured for another cluster");
    members.until_logged(2, "the node is configured for another cluster");
    // The tunnel is there, so their keys are good; all the same neither takes the other for alive.
    until("there is a tunnel", || {
        members.status(1)["tunnels"][0]["up"] == true
    });
    assert_eq!(members.up_at(1), ["n1"]);
    let dropped = r#"conclave_cluster_dropped_total{reason="other_cluster"}"#;
    assert!(sample(&metrics(&members, 1), dropped) > 0.0);
}

#[test]
fn cluster_status_is_for_the_operator_of_a_cluster() {
    let members = Members::start(1);
    let addon = members.ask(
        1,
        &["addon", "show", "default", "--tokens", "--format", "json"],
    );
    let addon: Value = serde_json::from_str(&addon.expect(0).output).expect("JSON");
    let ask = |token: &str| {
        members
            .request(1, "GET", "conclave/cluster")
            .token(token)
            .send()
    };
    ask("").expect(403);
    ask(addon["root_token"].as_str().expect("a token")).expect(403);
    ask(&operator_token(&members.operator_key())).expect(200);
    assert_eq!(members.up_at(1), ["n1"]);

    let alone = TestNode::start();
    let arguments = ["cluster", "status", "--config", "node.hcl"];
    let refused = alone.conclave(None, &arguments).expect(2);
    refused.expect_error("this node is alone: its configuration has no cluster {}");
    let metrics = alone.request("GET", "conclave/metrics");
    let token = operator_token(&alone.folder().join("data/operator.key"));
    let text = metrics.token(&token).send().expect(200).body;
    assert!(!text.contains("conclave_cluster_"), "{text}");
}

#[test]
fn cluster_keys_are_refused_when_others_may_read_them_or_they_are_somebody_elses() {
    use std::os::unix::fs::PermissionsExt as _;
    let members = Members::stopped(2);
    let key = members.node_folder(1).join("wireguard.key");
    let start = || {
        let file = members.node_folder(1).join("node.hcl");
        members.conclave(&["server", "--config", file.to_str().expect("text")])
    };
    // Relative names are those of another folder here, so none is found.
    assert!(
        start()
            .expect(1)
            .errors
            .contains("wireguard.key: cannot be opened")
    );
    let absolute = format!("\"{}\"", key.display());
    members.edit(1, |text| text.replace("\"wireguard.key\"", &absolute));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).expect("set");
    assert!(start().expect(1).errors.contains("run chmod 600 on it"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("set");
    std::fs::copy(members.node_folder(2).join("wireguard.key"), &key).expect("copied");
    assert!(
        start()
            .expect(1)
            .errors
            .contains("is not the key of node n1")
    );
}
