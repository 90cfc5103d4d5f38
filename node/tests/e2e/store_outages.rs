//! The database under running nodes stands still, or dies: requests are told so in time, nothing that was acknowledged is
//! lost, and when it is back so is the service, still unsealed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::json;

use super::support::cluster::OpenedCluster;
use super::support::{Answer, Cluster, Request, is_long};

/// A request waits for a round of the change feed under way and for one of its own, `request_timeout` (2 s) each; the
/// rest is for a busy machine.
const DEADLINE: Duration = Duration::from_secs(12);
/// The default, and something on top.
const STALENESS_MAX: Duration = Duration::from_millis(600);
/// How long the service may take to come back: the database starts, connections are tried once a second.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_database_that_stands_still_or_dies_is_an_outage_and_no_more() {
    is_an_outage_and_no_more(Cluster::start(1));
}

#[test]
#[ignore = "needs FoundationDB"]
fn a_foundationdb_that_stands_still_or_dies_is_an_outage_and_no_more() {
    is_an_outage_and_no_more(Cluster::start_on_foundationdb(1));
}

fn is_an_outage_and_no_more(cluster: Cluster) {
    let mut opened = cluster.open();
    write(&opened, "kept", 1).expect(200);
    let key = opened.request(0, "POST", "transit/keys/k").json(&json!({}));
    key.send().expect(200);
    encrypt(&opened).expect(200);
    assert_eq!(probe(&opened, "readyz").status, 200);
    has_metric(&opened, "conclave_store_up 1");

    opened.cluster.store.freeze();
    is_out(&opened);
    opened.cluster.store.thaw();
    is_back(&opened);

    opened.cluster.store.kill();
    is_out(&opened);
    opened.cluster.store.run();
    is_back(&opened);
    has_metric(
        &opened,
        r#"conclave_store_errors_total{kind="unavailable",operation="changes"}"#,
    );
    has_metric(
        &opened,
        r#"conclave_store_operation_seconds_count{operation="commit"}"#,
    );
    let denied = opened.request(0, "GET", "conclave/metrics").send();
    denied.expect(403);
}

/// Many callers at once are each told within the deadline, and the node knows how it stands.
fn is_out(opened: &OpenedCluster) {
    // Until then, what needs no row may be served.
    std::thread::sleep(STALENESS_MAX);
    std::thread::scope(|scope| {
        let reads = (0..10).map(|_| scope.spawn(|| timed(|| read(opened, "kept"))));
        let writes =
            (0..5).map(|number| scope.spawn(move || timed(|| write(opened, "kept", number))));
        let warm = (0..5).map(|_| scope.spawn(|| timed(|| encrypt(opened))));
        let asked: Vec<_> = reads.chain(warm).collect();
        let asked: Vec<_> = asked.into_iter().chain(writes).collect();
        for (answer, elapsed) in asked.into_iter().map(|asked| asked.join().unwrap()) {
            assert!(elapsed < DEADLINE, "answered after {elapsed:?}");
            assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
            answer.expect(503);
        }
    });
    let (ready, elapsed) = timed(|| probe(opened, "readyz"));
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    assert_eq!(ready.expect(503).body, "the store does not answer\n");
    probe(opened, "healthz").expect(200);
    has_metric(opened, "conclave_store_up 0");
    // The keys are kept while the store is out.
    let status = opened.request(0, "GET", "sys/seal-status").send();
    assert_eq!(status.expect(200).json()["sealed"], false);
}

/// The same process serves again, unsealed.
fn is_back(opened: &OpenedCluster) {
    wait_until(opened, || read(opened, "kept").status == 200);
    // Writes in doubt may have been done, each at most once and whole.
    assert!(read(opened, "kept").data()["data"]["number"].is_u64());
    write(opened, "kept", 1).expect(200);
    encrypt(opened).expect(200);
    wait_until(opened, || probe(opened, "readyz").status == 200);
    has_metric(opened, "conclave_store_up 1");
}

#[test]
fn a_killed_database_has_every_acknowledged_write_once() {
    has_every_acknowledged_write_once(Cluster::start(2));
}

#[test]
#[ignore = "needs FoundationDB"]
fn a_killed_foundationdb_has_every_acknowledged_write_once() {
    has_every_acknowledged_write_once(Cluster::start_on_foundationdb(2));
}

fn has_every_acknowledged_write_once(cluster: Cluster) {
    let mut opened = cluster.open();
    let rounds = if is_long() { 12 } else { 3 };
    let next = AtomicU64::new(0);
    let mut all = Vec::new();
    for round in 0..rounds {
        let pause = Duration::from_millis(300 + 170 * (round % 4));
        let acknowledged = write_until_killed(&mut opened, &next, pause);
        assert!(!acknowledged.is_empty(), "round {round} wrote nothing");
        all.extend(acknowledged);
        opened.cluster.store.run();
        wait_until(&opened, || read(&opened, &all[0].to_string()).status == 200);
        for number in &all {
            let read = read(&opened, &number.to_string()).expect(200).data();
            assert_eq!(read["data"]["number"], *number, "round {round}");
            assert_eq!(read["metadata"]["version"], 1, "{number} was done twice");
        }
    }
}

/// Writes through both nodes until the database is gone; gives the numbers that were acknowledged.
fn write_until_killed(opened: &mut OpenedCluster, next: &AtomicU64, pause: Duration) -> Vec<u64> {
    let acknowledged = Mutex::new(Vec::new());
    let stop = AtomicBool::new(false);
    let OpenedCluster { cluster, root, .. } = opened;
    std::thread::scope(|scope| {
        let (acknowledged, stop, root) = (&acknowledged, &stop, root.as_str());
        for node in cluster.nodes.iter().cycle().take(6) {
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let request = node.request("POST", &format!("secret/data/out/{number}"));
                    let body = json!({ "data": { "number": number } });
                    let answer = request.token(root).json(&body).send();
                    match answer.status {
                        200 => acknowledged.lock().push(number),
                        _ => drop(answer.expect(503)),
                    }
                }
            });
        }
        std::thread::sleep(pause);
        cluster.store.kill();
        stop.store(true, Ordering::SeqCst);
    });
    acknowledged.into_inner()
}

fn read(opened: &OpenedCluster, name: &str) -> Answer {
    let path = format!("secret/data/out/{name}");
    opened.request(0, "GET", &path).send()
}

fn write(opened: &OpenedCluster, name: &str, number: u64) -> Answer {
    let path = format!("secret/data/out/{name}");
    let body = json!({ "data": { "number": number } });
    opened.request(0, "POST", &path).json(&body).send()
}

fn encrypt(opened: &OpenedCluster) -> Answer {
    let request = opened.request(0, "POST", "transit/encrypt/k");
    request.json(&json!({"plaintext": "AAEC"})).send()
}

fn probe(opened: &OpenedCluster, path: &str) -> Answer {
    let address = opened.cluster.nodes[0].address();
    Request::new(&address, "GET", &format!("/{path}")).send()
}

#[track_caller]
fn has_metric(opened: &OpenedCluster, beginning: &str) {
    let text = opened.cluster.metrics(&opened.cluster.nodes[0]);
    let found = text.lines().any(|line| line.starts_with(beginning));
    assert!(found, "no {beginning} in {text}");
}

#[allow(clippy::disallowed_methods, reason = "a test measures real time")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let done = work();
    (done, begun.elapsed())
}

#[track_caller]
#[allow(clippy::disallowed_methods, reason = "a test waits in real time")]
fn wait_until(opened: &OpenedCluster, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        let log = || opened.cluster.nodes[0].log();
        assert!(begun.elapsed() < PATIENCE, "not back: {}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}
