//! Several nodes on one PostgreSQL server.

use serde_json::json;

use super::support::Cluster;

#[test]
fn nodes_that_start_together_on_an_empty_store_are_one_service() {
    let opened = Cluster::start(3).open();
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
