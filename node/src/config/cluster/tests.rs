//! `cluster {}` and `wireguard {}`: what they give, and that each wrong line is refused by name.

use crate::config::{ClusterConfig, Config};

use super::*;

const KEYS: [&str; 3] = [
    "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=",
    "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
];
const CLUSTER: &str = r#"
cluster {
  cluster_id = "2d5b3f2e-9c1a-4a37-8f63-0c1f6f7f4a11"
  node_name  = "n1"
  node "n1" {
    public_key = "KEY0"
    endpoint   = "192.0.2.1:51820"
    address    = "10.90.0.1"
  }
  node "n2" {
    public_key         = "KEY1"
    address            = "10.90.0.2"
    endpoint           = "n2.example.org:51820"
    preshared_key_file = "n2.psk"
  }
}
"#;
const WIREGUARD: &str = r#"
wireguard {
  private_key_file = "wireguard.key"
}
"#;
const REST: &str = r#"
operator_public_key = "operator.pub"
storage "postgres" {
  url = "postgres://conclave@127.0.0.1/conclave"
}
listener "tcp" {
  tls_disable = true
}
"#;

fn with_keys(text: &str) -> String {
    let keys = (0..).zip(KEYS);
    keys.fold(text.to_owned(), |text, (number, key)| {
        text.replace(&format!("KEY{number}"), key)
    })
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse("node.hcl", &with_keys(text), [])
}

fn parsed(text: &str) -> ClusterConfig {
    parse(text).unwrap().cluster.unwrap()
}

#[test]
fn two_nodes_get_the_documented_defaults() {
    let config = parsed(&[CLUSTER, WIREGUARD, REST].concat());
    let [peer] = config.roster.peers() else {
        panic!("one peer");
    };
    assert_eq!(config.roster.me().name.as_str(), "n1");
    assert_eq!(config.roster.me().address.to_string(), "10.90.0.1");
    assert_eq!(peer.public_key.to_string(), KEYS[1]);
    let endpoint = peer.endpoint.as_ref().unwrap();
    assert_eq!(endpoint.to_string(), "n2.example.org:51820");
    assert_eq!(config.roster.cluster().0[..4], [0x2d, 0x5b, 0x3f, 0x2e]);
    assert_eq!(
        config.preshared_key_files[&peer.name],
        PathBuf::from("n2.psk")
    );
    assert_eq!(config.settings, Settings::default());
    let expected = WireGuard {
        private_key_file: "wireguard.key".into(),
        listen: "0.0.0.0:51820".parse().unwrap(),
        interface: None,
        mtu: 1420,
        message_port: 8203,
        hosts: Vec::new(),
    };
    assert_eq!(config.wireguard, expected);
}

#[test]
fn every_key_is_read() {
    let cluster = CLUSTER.replace(
        "node_name ",
        "heartbeat_interval = \"1s\"\n  down_after = \"5s\"\n  node_name ",
    );
    let wireguard = r#"
    wireguard {
      private_key_file = "key"
      listen = "[::]:7000"
      interface = "wg-kms"
      mtu = 1380
      message_port = 9000
      peer "db" {
        public_key = "KEY2"
        preshared_key_file = "db.psk"
        endpoint = "192.0.2.9:51820"
        address = "10.90.0.9"
        routes = "10.91.0.0/16, 10.92.0.1/32"
      }
    }
    "#;
    let config = parsed(&[&cluster, wireguard, REST].concat());
    assert_eq!(config.settings.heartbeat_interval, Duration::from_secs(1));
    assert_eq!(config.settings.down_after, Duration::from_secs(5));
    let expected = WireGuard {
        private_key_file: "key".into(),
        listen: "[::]:7000".parse().unwrap(),
        interface: Some("wg-kms".into()),
        mtu: 1380,
        message_port: 9000,
        hosts: vec![Host {
            name: "db".parse().unwrap(),
            public_key: KEYS[2].parse().unwrap(),
            preshared_key_file: Some("db.psk".into()),
            endpoint: Some("192.0.2.9:51820".parse().unwrap()),
            address: "10.90.0.9".parse().unwrap(),
            routes: vec![
                "10.91.0.0/16".parse().unwrap(),
                "10.92.0.1".parse().unwrap(),
            ],
        }],
    };
    assert_eq!(config.wireguard, expected);
}

#[test]
fn a_cluster_of_one_may_have_any_store() {
    let from = CLUSTER.find("node \"n2\"").unwrap();
    let one = format!("{}}}\n", &CLUSTER[..from]);
    let embedded = REST
        .replace("postgres\"", "embedded\"")
        .replace("url", "path");
    assert!(parse(&[&one, WIREGUARD, REST].concat()).is_ok());
    assert!(parse(&[&one, WIREGUARD, &embedded].concat()).is_ok());
    let refused = parse(&[CLUSTER, WIREGUARD, &embedded].concat())
        .unwrap_err()
        .to_string();
    let expected = "node.hcl: storage: belongs to one process; the cluster's 2 nodes need";
    assert!(refused.starts_with(expected), "{refused}");
}

#[test]
fn a_wrong_line_is_refused_with_its_place_and_key() {
    let cluster = |from: &str, to: &str| [&CLUSTER.replace(from, to), WIREGUARD, REST].concat();
    let wireguard = |line: &str| {
        let block = WIREGUARD.replace("\n}", &format!("\n  {line}\n}}"));
        [CLUSTER, &block, REST].concat()
    };
    let host = |text: &str| {
        wireguard(&format!(
            "peer \"db\" {{\n public_key = \"KEY2\"\n address = \"10.90.0.9\"\n {text}\n}}"
        ))
    };
    for (text, expected) in [
        ([CLUSTER, REST].concat(), "cluster: needs wireguard {"),
        ([WIREGUARD, REST].concat(), "wireguard: needs cluster {}"),
        (
            [CLUSTER, CLUSTER, WIREGUARD, REST].concat(),
            "cluster: there can be only one cluster",
        ),
        (
            [CLUSTER, WIREGUARD, WIREGUARD, REST].concat(),
            "wireguard: there can be only one wireguard",
        ),
        (
            cluster("cluster {", "cluster \"x\" {"),
            "cluster \"x\": has no name",
        ),
        (
            cluster("2d5b3f2e-", ""),
            "cluster: cluster_id: must be a UUID",
        ),
        (
            cluster("cluster_id = \"2d5b3f2e-9c1a-4a37-8f63-0c1f6f7f4a11\"", ""),
            "cluster: cluster_id: is missing",
        ),
        (
            cluster("node_name  = \"n1\"", ""),
            "cluster: node_name: is missing",
        ),
        (
            cluster("= \"n1\"", "= \"n 1\""),
            "cluster: node_name: must be a name",
        ),
        (
            cluster("= \"n1\"", "= \"n3\""),
            "cluster: the cluster's nodes do not include this node, `n3`",
        ),
        (
            cluster("node_name ", "name = \"x\"\n  node_name "),
            "cluster: name: unknown key",
        ),
        (
            cluster("node \"n2\"", "peer \"n2\""),
            "cluster: peer \"n2\": unknown block; there is node",
        ),
        (
            cluster("node \"n2\"", "node \"n1\""),
            "cluster: two nodes of the cluster are called `n1`",
        ),
        (
            cluster("node \"n2\"", "node \"n/2\""),
            "cluster: node \"n/2\": must be a name",
        ),
        (
            cluster("node \"n2\"", "node"),
            "cluster: node: must be followed by one name",
        ),
        (
            cluster("KEY1", "KEY0"),
            "cluster: `n2` has the public key of another",
        ),
        (
            cluster("KEY1", "KEY"),
            "cluster: node \"n2\": public_key: must be a WireGuard",
        ),
        (
            cluster("public_key         = \"KEY1\"", ""),
            "cluster: node \"n2\": public_key: is missing",
        ),
        (
            cluster("10.90.0.2", "10.90.0.1"),
            "cluster: `n2` has the tunnel address",
        ),
        (
            cluster("10.90.0.2", "n2"),
            "cluster: node \"n2\": address: must be an IP",
        ),
        (
            cluster("address            = \"10.90.0.2\"", ""),
            "cluster: node \"n2\": address: is missing",
        ),
        (
            cluster("n2.example.org:51820", "n2.example.org"),
            "cluster: node \"n2\": endpoint: must be where",
        ),
        (
            cluster(
                "192.0.2.1:51820\"",
                "192.0.2.1:51820\"\n preshared_key_file = \"x\"",
            ),
            "cluster: node \"n1\": preshared_key_file: is this node itself",
        ),
        (
            cluster("node_name ", "down_after = \"1s\"\n  node_name "),
            "cluster: down_after: must be a duration",
        ),
        (
            cluster("node_name ", "heartbeat_interval = \"2s\"\n  node_name "),
            "cluster: down_after: is less than three heartbeat_interval",
        ),
        (
            [CLUSTER, "\nwireguard {}\n", REST].concat(),
            "wireguard: private_key_file: is missing",
        ),
        (
            wireguard("listen = \"51820\""),
            "wireguard: listen: must be an IP address",
        ),
        (
            wireguard("mtu = 1279"),
            "wireguard: mtu: must be a number from 1280 to 8920",
        ),
        (
            wireguard("message_port = 0"),
            "wireguard: message_port: must be a number",
        ),
        (
            wireguard("private_key = \"x\""),
            "wireguard: private_key: unknown key",
        ),
        (
            wireguard("node \"n9\" {}"),
            "wireguard: node \"n9\": unknown block; there is peer",
        ),
        (
            host("routes = \"10.91.0.0/99\""),
            "wireguard: peer \"db\": routes: must be networks",
        ),
        (
            host("route = \"10.91.0.0/9\""),
            "wireguard: peer \"db\": route: unknown key",
        ),
        (
            cluster("n2.example.org:51820", "[2001:db8::2]:51820"),
            "cluster: node \"n2\": endpoint: is IPv6, and wireguard { listen } is IPv4",
        ),
        (
            host("").replace("10.90.0.9", "10.90.0.2"),
            "wireguard: peer \"db\": has the name, public key or address of a node",
        ),
        (
            host("").replace("KEY2", "KEY0"),
            "wireguard: peer \"db\": has the name, public key or address of a node",
        ),
    ] {
        let refusal = parse(&text).unwrap_err().to_string();
        let expected = format!("node.hcl: {expected}");
        assert!(refusal.starts_with(&expected), "{expected}\n  {refusal}");
        assert!(!refusal.contains('\n'), "{refusal}");
    }
}
