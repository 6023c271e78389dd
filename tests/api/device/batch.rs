//! Batches at every device door: keys under which they are taken once, and how they may be packed.

use serde_json::{Value, json};

use super::{DOOR, outcomes};
use crate::helpers::samples::heart_rate;
use crate::helpers::{Client, Reply, TestApp, minutes_from_now};

const JSON: &str = "application/json";

async fn keyed(device: &Client, key: &str, path: &str, body: &Value) -> Reply {
    device.with_header("Idempotency-Key", key).post(path, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_names_one_batch() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let device = app.machine("system/Observation.c");
    // Without a time and an id these would be other readings each time.
    let reading =
        |value: u32| json!([{"patient": format!("Patient/{id}"), "code": "8867-4", "value": value, "unit": "/min"}]);
    let first = keyed(&device, "\"b1\"", DOOR, &reading(72)).await.expect(200);
    let again = keyed(&device, "b1", DOOR, &reading(72)).await.expect(200);
    assert_eq!((first.json(), first.header("content-type")), (again.json(), again.header("content-type")));
    assert_eq!(outcomes(&again.json()), ["created"], "the very same answer");
    for (path, body) in [(DOOR, reading(73)), ("/device/v1/gatt", reading(72))] {
        let other = keyed(&device, "b1", path, &body).await.expect(422);
        assert_eq!(other.issues(), "business-rule http.Idempotency-Key");
    }
    keyed(&device, "b2", DOOR, &reading(72)).await.expect(200);
    let stored = app.gateway().get(&format!("/fhir/Observation?patient={id}&_total=accurate&_count=0")).await.json();
    assert_eq!(stored["total"], 2);

    // A batch of which nothing was stored has its answer as well.
    let bad = json!([{"patient": "Patient/nobody", "code": "8867-4", "value": 1}]);
    let refused = keyed(&device, "b3", DOOR, &bad).await.expect(422).json();
    assert_eq!(keyed(&device, "b3", DOOR, &bad).await.expect(422).json(), refused);
    // What cannot be read at all has taken nothing, and its key is free.
    let unread = device.with_header("Idempotency-Key", "b4").with_header("Content-Type", JSON);
    unread.send(reqwest::Method::POST, DOOR, Some(b"[".to_vec())).await.expect(400);
    keyed(&device, "b4", DOOR, &reading(74)).await.expect(200);
    for key in ["", "\u{e9}", &"k".repeat(256)] {
        let refused = keyed(&device, key, DOOR, &reading(72)).await.expect(400);
        assert_eq!(refused.issues(), "value http.Idempotency-Key", "{key}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_its_senders_own() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let keys = app.state.verifier.keys();
    let sender = |name: &str| {
        let now = app.state.store.clock().now_seconds();
        app.bearer(&keys.mint(&keys.claims(name, "system/Observation.c", None, now, 600)).unwrap())
    };
    for (name, value) in [("one", 72), ("two", 73)] {
        let body = heart_rate(&id, value, &minutes_from_now(-1));
        assert_eq!(outcomes(&keyed(&sender(name), "b", DOOR, &body).await.expect(200).json()), ["created"]);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_batches_that_come_at_once_one_is_taken() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let device = app.machine("system/Observation.c");
    let body = json!([{"patient": format!("Patient/{id}"), "code": "8867-4", "value": 72, "unit": "/min"}]);
    let all = futures_util::future::join_all((0..8).map(|_| keyed(&device, "b", DOOR, &body))).await;
    let answers: Vec<u16> = all.iter().map(|reply| reply.status).collect();
    assert!(answers.iter().all(|status| [200, 409].contains(status)) && answers.contains(&200), "{answers:?}");
    let stored = app.gateway().get(&format!("/fhir/Observation?patient={id}&_total=accurate&_count=0")).await.json();
    assert_eq!(stored["total"], 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_may_be_packed() {
    let app = TestApp::with(|config| config.server.max_body_bytes = 2 << 20).await;
    let id = app.admit("r1", "Vega").await;
    let device = app.machine("system/Observation.c");
    let batch: Vec<Value> = (0..500).map(|at| heart_rate(&id, 60, &minutes_from_now(-at))).collect();
    let batch = json!(batch).to_string().into_bytes();
    let gzip = |bytes: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut packer, bytes).unwrap();
        packer.finish().unwrap()
    };
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 19).unwrap();
    let (large, dense) = (vec![b' '; 3 << 20], vec![b' '; 1 << 20]);
    for (coding, body, status) in [
        ("gzip", gzip(&batch), 200),
        ("zstd", zstd(&batch), 200),
        ("gzip", gzip(&large), 413),
        ("zstd", zstd(&large), 413),
        ("gzip", gzip(&dense), 413),
        ("zstd", zstd(&dense), 413),
        ("zstd", zstd(&batch)[..100].to_vec(), 400),
        ("br", batch.clone(), 415),
    ] {
        let ask = device.with_header("Content-Type", JSON).with_header("Content-Encoding", coding);
        ask.send(reqwest::Method::POST, DOOR, Some(body)).await.expect(status);
    }
    // A key names what is in the package.
    let ask = |coding: &str| {
        device
            .with_header("Idempotency-Key", "p")
            .with_header("Content-Type", JSON)
            .with_header("Content-Encoding", coding)
    };
    let first = ask("gzip").send(reqwest::Method::POST, DOOR, Some(gzip(&batch))).await.expect(200).json();
    assert_eq!(ask("zstd").send(reqwest::Method::POST, DOOR, Some(zstd(&batch))).await.expect(200).json(), first);
    app.stop().await;
}
