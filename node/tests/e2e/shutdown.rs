//! SIGTERM: requests under way finish, new ones are refused, the process ends with code 0.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::support::http::read_answer;
use super::support::opened_node;

#[test]
fn a_request_under_way_is_answered() {
    let mut opened = opened_node();
    let body = json!({"data": {"k": "late"}}).to_string();
    let mut stream = TcpStream::connect(opened.node.address()).unwrap();
    let head = format!(
        "POST /v1/secret/data/late HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {}\r\nContent-Length: {}\r\n\r\n",
        opened.root,
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body.as_bytes()[..5]).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    opened.node.ask_to_stop();
    std::thread::sleep(Duration::from_millis(300));
    // A connection that is still taken is told to go elsewhere.
    if let Ok(refused) = opened.request("GET", "sys/mounts").try_send() {
        refused.expect(503);
    }
    stream.write_all(&body.as_bytes()[5..]).unwrap();
    read_answer(stream, false).unwrap().expect(200);
    assert!(opened.node.wait().success(), "{}", opened.node.log());
    opened.node.run();
    opened.node.unseal(&opened.addon, &opened.shares[..2]);
    assert_eq!(
        opened.read("secret/data/late", 200)["data"]["data"]["k"],
        "late"
    );
}

#[test]
fn under_load_every_answer_is_whole_and_true() {
    let mut opened = opened_node();
    let written = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (opened, written, stopped) = (&opened, &written, &stopped);
            scope.spawn(move || {
                for number in 0.. {
                    let request =
                        opened.request("POST", &format!("secret/data/w{writer}/{number}"));
                    match request.json(&json!({"data": {}})).try_send() {
                        Ok(answer) if answer.status == 200 => {
                            written.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(answer) => {
                            assert!(stopped.load(Ordering::SeqCst), "{}", answer.body);
                            answer.expect(503);
                        }
                        Err(_) => {
                            assert!(stopped.load(Ordering::SeqCst), "cut off before the stop");
                            return;
                        }
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(500));
        stopped.store(true, Ordering::SeqCst);
        opened.node.ask_to_stop();
    });
    assert!(opened.node.wait().success(), "{}", opened.node.log());
    opened.node.run();
    opened.node.unseal(&opened.addon, &opened.shares[..2]);
    let mut found = 0;
    for writer in 0..4 {
        let listed = opened
            .request("LIST", &format!("secret/metadata/w{writer}"))
            .send();
        found += listed.data()["keys"].as_array().map_or(0, Vec::len);
    }
    assert_eq!(
        found,
        written.load(Ordering::SeqCst),
        "acknowledged and stored"
    );
}
