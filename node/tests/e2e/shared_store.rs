//! Several nodes on one PostgreSQL server, or on one FoundationDB cluster.

use serde_json::json;

use super::support::Cluster;

#[test]
fn nodes_that_start_together_on_an_empty_store_are_one_service() {
    are_one_service(Cluster::start(3));
}

#[test]
#[ignore = "needs FoundationDB"]
fn nodes_that_start_together_on_foundationdb_are_one_service() {
    let mut cluster = Cluster::start_on_foundationdb(3);
    // Also stopping is clean, with a library's thread to end.
    let mut left = cluster.nodes.pop().unwrap();
    assert!(left.stop().success(), "{}", left.log());
    left.run();
    cluster.nodes.push(left);
    are_one_service(cluster);
}

fn are_one_service(cluster: Cluster) {
    let opened = cluster.open();
    let nodes = &opened.cluster.nodes;
    let listed = nodes[1].addon_command(&["list"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    for (writer, node) in nodes.iter().enumerate() {
        let path = format!("secret/data/of/{writer}");
        let body = json!({"data": {"writer": writer}});
        let written = node.request("POST", &path).token(&opened.root);
        written.json(&body).send().expect(200);
        // Acknowledged by one is seen by all.
        for reader in nodes {
            let read = reader.request("GET", &path).token(&opened.root);
            let data = read.send().expect(200).data();
            assert_eq!(data["data"]["writer"], writer);
        }
    }
    // Later nodes join them.
    let mut late = opened.cluster.stopped_node("");
    late.run();
    opened.unseal(&late);
    let read = late.request("GET", "secret/data/of/2").token(&opened.root);
    read.send().expect(200);
}

#[test]
fn no_node_makes_the_operators_key_of_a_shared_store() {
    let cluster = Cluster::start(0);
    let mut node = cluster.stopped_node("");
    std::fs::remove_file(cluster.operator_key()).unwrap();
    node.refused_start().expect_error("openssl genpkey");
}
