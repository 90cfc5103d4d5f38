//! Many items in one request.

use super::super::batch::MAX_ITEMS;
use super::super::decrypt::REFUSED;
use super::*;

async fn batch(mount: &Mounted, path: &str, fields: Value) -> (Outcome, Vec<Value>) {
    let reply = mount.write(path, fields).await.unwrap();
    let outcome = reply.outcome;
    let results = data(reply)["batch_results"].as_array().unwrap().clone();
    (outcome, results)
}

#[actix::test]
async fn items_keep_their_order_and_their_references() {
    let mount = Mounted::new().await;
    let items: Vec<Value> = (0..600)
        .map(|number| json!({ "plaintext": base64(&number.to_string()), "reference": format!("r{number}") }))
        .collect();
    let (outcome, sealed) = batch(&mount, "encrypt/k", json!({ "batch_input": items })).await;
    assert_eq!(outcome, Outcome::Done);
    let items: Vec<Value> = sealed
        .iter()
        .map(|line| json!({ "ciphertext": line["ciphertext"], "reference": line["reference"] }))
        .collect();
    for path in ["rewrap/k", "decrypt/k"] {
        let (_, lines) = batch(&mount, path, json!({ "batch_input": items })).await;
        for (number, line) in lines.iter().enumerate() {
            assert_eq!(line["reference"], format!("r{number}"));
            if path == "decrypt/k" {
                assert_eq!(line["plaintext"], base64(&number.to_string()));
            }
        }
    }
}

#[actix::test]
async fn items_fail_by_themselves() {
    let mount = Mounted::new().await;
    let items = json!([
        { "plaintext": base64("a"), "reference": "first" },
        {},
        { "plaintext": "!" },
        { "plaintext": base64("b"), "key_version": 9 },
        { "plaintext": base64("c"), "context": "!" },
        { "plaintext": base64("d") },
    ]);
    let (outcome, lines) = batch(&mount, "encrypt/k", json!({ "batch_input": items })).await;
    assert_eq!(outcome, Outcome::BatchFailed(None));
    let sealed = lines[0]["ciphertext"].as_str().unwrap();
    assert_eq!(lines[0]["key_version"], 1);
    assert_eq!(lines[0]["reference"], "first");
    assert_eq!(
        lines[1],
        json!({ "error": "missing plaintext to encrypt", "reference": "" })
    );
    assert_eq!(lines[2]["error"], "illegal base64 data at input byte 0");
    assert_eq!(
        lines[3]["error"],
        "requested version for encryption is higher than the latest key version"
    );
    assert!(lines[4]["error"].as_str().unwrap().contains("context"));
    assert_eq!(mount.decrypt("k", sealed).await.unwrap(), "a");
    assert!(lines[5]["ciphertext"].is_string());

    let items = json!([
        { "ciphertext": sealed },
        { "ciphertext": "vault:v1:AAAA", "reference": "short" },
        { "ciphertext": "x" },
        {},
    ]);
    let (outcome, lines) = batch(&mount, "decrypt/k", json!({ "batch_input": items })).await;
    assert_eq!(outcome, Outcome::BatchFailed(None));
    assert_eq!(
        lines[0],
        json!({ "plaintext": base64("a"), "reference": "" })
    );
    assert_eq!(
        lines[1],
        json!({ "error": REFUSED, "plaintext": "", "reference": "short" })
    );
    assert_eq!(lines[2]["error"], "invalid ciphertext: no prefix");
    assert_eq!(lines[3]["error"], "missing ciphertext to decrypt");
    let (_, lines) = batch(&mount, "rewrap/k", json!({ "batch_input": items })).await;
    assert!(lines[0]["ciphertext"].is_string());
    assert_eq!(lines[1], json!({ "error": REFUSED, "reference": "short" }));
}

#[actix::test]
async fn the_status_of_a_partial_failure_can_be_chosen() {
    let mount = Mounted::new().await;
    let chosen = async |items: Value, code: Value| {
        let fields = json!({ "batch_input": items, "partial_failure_response_code": code });
        mount
            .write("encrypt/k", fields)
            .await
            .map(|reply| reply.outcome)
    };
    let good = json!({ "plaintext": "" });
    let one_of_two = json!([good, {}]);
    assert_eq!(
        chosen(one_of_two.clone(), json!("207")).await.unwrap(),
        Outcome::BatchFailed(Some(207))
    );
    assert_eq!(
        chosen(one_of_two.clone(), json!(0)).await.unwrap(),
        Outcome::BatchFailed(None)
    );
    assert_eq!(
        chosen(json!([good]), json!(207)).await.unwrap(),
        Outcome::Done
    );
    assert_eq!(
        chosen(json!([{}]), json!(207)).await.unwrap(),
        Outcome::BatchFailed(None),
        "nothing succeeded, so it is no partial failure"
    );
    for wrong in [json!(99), json!(600), json!(-1)] {
        assert!(chosen(one_of_two.clone(), wrong).await.is_err());
    }
}

#[actix::test]
async fn batches_that_are_none_are_refused() {
    let mount = Mounted::new().await;
    for (input, words) in [
        (json!([]), "missing batch input to process"),
        (
            json!("[]"),
            "failed to parse batch input: expected a list of objects",
        ),
        (
            json!({}),
            "failed to parse batch input: expected a list of objects",
        ),
        (
            json!([{ "plaintext": "" }, "hunter2"]),
            "failed to parse batch input: item 1",
        ),
    ] {
        for path in ["encrypt/k", "decrypt/k", "rewrap/k", "hmac/k"] {
            assert_eq!(
                mount.refused(path, json!({ "batch_input": input })).await,
                words
            );
        }
    }
    let long = vec![json!({}); MAX_ITEMS + 1];
    let words = mount
        .refused("encrypt/k", json!({ "batch_input": long }))
        .await;
    assert_eq!(
        words,
        "batch input has 10001 items; at most 10000 are allowed"
    );
    assert!(mount.read("keys/k").await.is_err());
    let no_batch = json!({ "batch_input": null, "plaintext": "" });
    assert!(mount.done("encrypt/k", no_batch).await["ciphertext"].is_string());
}

#[actix::test]
async fn a_batch_asks_the_store_once() {
    let mount = Mounted::new().await;
    mount.encrypt("k", "x").await;
    mount.counts.take();
    let wrong = vec![json!({ "ciphertext": "vault:v1:AAAA" }); 100];
    batch(&mount, "decrypt/k", json!({ "batch_input": wrong })).await;
    assert_eq!(mount.counts.take().0, 1);
}
