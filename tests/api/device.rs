//! `/device/v1`: readings as devices send them, each with its receipt.

mod batch;
mod gatt;

use serde_json::{Value, json};

use crate::helpers::samples::heart_rate;
use crate::helpers::{TestApp, minutes_from_now, resources};

const DOOR: &str = "/device/v1/observations";

fn outcomes(receipts: &Value) -> Vec<&str> {
    receipts["items"].as_array().unwrap().iter().map(|item| item["outcome"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_gets_a_receipt_for_each_reading() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let (device, time) = (app.machine("system/Observation.c"), minutes_from_now(-1));
    let batch = json!({"patient": "urn:test:records|r1", "time": time, "readings": [
        {"code": "8867-4", "value": 72, "unit": "bpm"},
        {"code": "bp", "systolic": 120, "diastolic": 80.0, "unit": "mmHg"},
        {"code": "8867-4", "value": "not a number", "unit": "bpm"},
        {"code": "8867-4", "value": 72, "unit": "bpm", "patient": "urn:test:records|nobody"},
        {"code": "8310-5", "value": "36.60", "unit": "Cel"}
    ]});
    let receipts = device.post(DOOR, &batch).await.expect(200).json();
    assert_eq!(outcomes(&receipts), ["created", "created", "rejected", "rejected", "created"]);
    assert_eq!(
        (&receipts["created"], &receipts["duplicate"], &receipts["rejected"]),
        (&json!(3), &json!(0), &json!(2))
    );
    let reason = |at: usize| &receipts["items"][at]["reason"]["issue"][0];
    assert_eq!((&receipts["items"][2]["place"], &reason(2)["expression"][0]), (&json!("[2]"), &json!("[2].value")));
    assert_eq!(reason(3)["code"], "not-found");

    let gateway = app.gateway();
    for at in [0, 1, 4] {
        let reference = receipts["items"][at]["reference"].as_str().unwrap();
        let read = gateway.get(&format!("/fhir/{reference}")).await.expect(200).json();
        assert_eq!(read["subject"]["reference"], format!("Patient/{id}"));
        assert_eq!(read["effectiveDateTime"], json!(time));
        fhir_r4::check(read).unwrap();
    }
    let temperature = gateway.get(&format!("/fhir/Observation?patient={id}&code=8310-5")).await.text();
    assert!(temperature.contains("36.60"), "{temperature}");

    let again = device.post(DOOR, &batch).await.expect(200).json();
    assert_eq!(outcomes(&again), ["duplicate", "duplicate", "rejected", "rejected", "duplicate"]);
    assert_eq!(again["items"][0]["reference"], receipts["items"][0]["reference"]);
    let total = gateway.get(&format!("/fhir/Observation?patient={id}&_total=accurate&_count=0")).await.json();
    assert_eq!(total["total"], 3);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_stand_for_themselves() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let device = app.machine("system/Observation.c");
    let line = |value: u32, minute: i64| heart_rate(&id, value, &minutes_from_now(minute)).to_string();
    let body = format!("{}\n\n{{\"code\": \"8867-4\", \n{}\n\"text\"\n{}\n", line(70, -3), line(71, -2), line(72, -1));
    let receipts = device.post_raw(DOOR, "application/x-ndjson", body).await.expect(200).json();
    assert_eq!(outcomes(&receipts), ["created", "rejected", "created", "rejected", "created"]);
    assert_eq!(receipts["items"][1]["place"], "line 3");
    let nothing_good = device.post_raw(DOOR, "application/x-ndjson", "{}\n[]\nx").await.expect(422).json();
    assert_eq!(outcomes(&nothing_good), ["rejected"; 3]);
    assert_eq!(device.post_raw(DOOR, "application/x-ndjson", "\n\n").await.expect(400).issues(), "required");
    device.post_raw(DOOR, "text/csv", "a,b").await.expect(415);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_the_sender_names_one_reading() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let device = app.machine("system/Observation.c");
    let reading = |value: u32| {
        let mut reading = heart_rate(&id, value, "2026-01-02T03:04:05Z");
        reading["id"] = json!("monitor-7/1");
        reading
    };
    let first = device.post(DOOR, &reading(72)).await.expect(200).json();
    let again = device.post(DOOR, &reading(72)).await.expect(200).json();
    assert_eq!((outcomes(&first), outcomes(&again)), (vec!["created"], vec!["duplicate"]));
    let other = device.post(DOOR, &reading(99)).await.expect(422).json();
    assert_eq!(other["items"][0]["reason"]["issue"][0]["code"], "conflict", "{other}");
    let both = device.post(DOOR, &json!([reading(72), reading(72), reading(99)])).await.expect(200).json();
    assert_eq!(outcomes(&both), ["duplicate", "duplicate", "rejected"]);
    let found = app.gateway().get(&format!("/fhir/Observation?patient={id}")).await.json();
    let values: Vec<Value> = resources(&found).iter().map(|o| o["valueQuantity"]["value"].clone()).collect();
    assert_eq!(values, [json!(72)], "what was stored stays");
    app.stop().await;
}

/// The time of receipt is the server's word: it makes no other reading.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_without_a_time_names_one_reading_too() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let device = app.machine("system/Observation.c");
    let reading = |value: u32, name: &str| json!({"patient": format!("Patient/{id}"), "code": "8867-4", "value": value, "unit": "/min", "id": name});
    for (sent, became) in [
        (reading(72, "a1"), "created"),
        (reading(72, "a1"), "duplicate"),
        (reading(99, "a1"), "rejected"),
        (reading(72, "a2"), "created"),
        (reading(72, "a1"), "duplicate"),
    ] {
        let receipts = device.post(DOOR, &sent).await.json();
        assert_eq!(outcomes(&receipts), [became], "{sent}: {receipts}");
    }
    let list = json!([reading(70, "a3"), reading(70, "a3"), reading(71, "a3"), reading(72, "a2")]);
    let receipts = device.post(DOOR, &list).await.expect(200).json();
    assert_eq!(outcomes(&receipts), ["created", "duplicate", "rejected", "duplicate"]);
    let pressure = json!({"patient": format!("Patient/{id}"), "code": "bp", "systolic": 120, "diastolic": 80, "unit": "mm[Hg]", "id": "b"});
    for became in ["created", "duplicate"] {
        assert_eq!(outcomes(&device.post(DOOR, &pressure).await.expect(200).json()), [became]);
    }
    let found = app.gateway().get(&format!("/fhir/Observation?patient={id}")).await.json();
    assert_eq!(resources(&found).len(), 4);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_time_it_is_now() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let device = app.machine("system/Observation.c");
    let reading = json!({"patient": format!("Patient/{id}"), "code": "8867-4", "value": 72, "unit": "/min"});
    for _ in 0..2 {
        assert_eq!(outcomes(&device.post(DOOR, &reading).await.expect(200).json()), ["created"]);
    }
    let late = device.post(DOOR, &heart_rate(&id, 72, &minutes_from_now(60))).await.expect(422).json();
    assert_eq!(late["items"][0]["reason"]["issue"][0]["code"], "value");
    let found =
        app.gateway().get(&format!("/fhir/Observation?patient={id}&date=gt{}", minutes_from_now(-5))).await.json();
    assert_eq!(resources(&found).len(), 2);
    app.stop().await;
}
