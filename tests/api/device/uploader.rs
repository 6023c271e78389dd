//! `/api/v1`: uploaders made for Nightscout and `ThingsBoard` work by another address.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::{Value, json};

use super::outcomes;
use crate::helpers::{TestApp, minutes_from_now, resources};

const ENTRIES: &str = "/api/v1/entries.json";

/// A device that has been at a patient for an hour, with its key.
async fn device_of(app: &TestApp, patient: &str) -> (String, String) {
    let manager = app.gateway();
    let device = json!({"resourceType": "Device", "status": "active", "identifier": [{"value": "cgm-1"}]});
    let device = manager.post("/fhir/Device", &device).await.expect(201).id();
    let comes = json!({"patient": format!("Patient/{patient}"), "start": minutes_from_now(-60)});
    manager.post(&format!("/device/v1/devices/{device}/association"), &comes).await.expect(201);
    let wish = json!({"secret": true, "label": "uploader"});
    let given = manager.post(&format!("/device/v1/devices/{device}/credentials"), &wish).await.expect(201).json();
    (device, given["secret"].as_str().unwrap().to_owned())
}

fn sha1(secret: &str) -> String {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    let digits = hash.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect()
}

fn milliseconds(app: &TestApp, minute: i64) -> i64 {
    app.state.store.clock().now() / 1000 + minute * 60_000
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_a_sensor_are_taken_as_nightscout_takes_them() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let (device, secret) = device_of(&app, &id).await;
    let anybody = app.anonymous();
    let hash = sha1(&secret);
    let entries = json!([
        {"type": "sgv", "sgv": 142, "date": milliseconds(&app, -10), "direction": "Flat", "device": "xDrip"},
        {"type": "sgv", "sgv": "55", "date": milliseconds(&app, -5), "direction": "SingleDown"},
        {"type": "mbg", "mbg": 61, "date": milliseconds(&app, -4)},
        {"type": "cal", "slope": 1},
        {"type": "sgv", "sgv": 100, "date": milliseconds(&app, 60)}
    ]);
    let post = |path: &'static str, secret: &str, body: &Value| {
        let (ask, body) = (anybody.with_header("api-secret", secret), body.clone());
        async move { ask.post(path, &body).await }
    };
    let told = post(ENTRIES, &hash, &entries).await.expect(200).json();
    let ids: Vec<&str> = told.as_array().unwrap().iter().filter_map(|entry| entry["_id"].as_str()).collect();
    assert_eq!(ids.len(), 3, "{told}");
    assert_eq!(told[3]["error"]["issue"][0]["expression"][0], "[3].type");
    assert_eq!(told[4], json!({"outcome": "quarantined"}), "from the future: it waits");

    let read = app.gateway().get(&format!("/fhir/Observation/{}", ids[1])).await.expect(200).json();
    assert_eq!((&read["valueQuantity"]["value"], &read["valueQuantity"]["code"]), (&json!(55), &json!("mg/dL")));
    assert_eq!(read["code"]["coding"][0]["code"], "99504-3");
    assert_eq!(read["component"][0]["valueString"], "SingleDown");
    assert_eq!(read["subject"]["reference"], format!("Patient/{id}"));
    assert_eq!(read["device"]["reference"], format!("Device/{device}"));
    fhir_r4::check(read).unwrap();

    let again = post("/api/v1/entries", &secret, &entries).await.expect(200).json();
    assert_eq!(again, told, "the key itself is taken as well, and nothing is stored again");
    let found = app.gateway().get(&format!("/fhir/Observation?patient={id}")).await.json();
    assert_eq!(resources(&found).len(), 3);

    post(ENTRIES, &hash, &json!({"type": "cal"})).await.expect(200);
    post(ENTRIES, &hash, &json!({"type": "sgv", "sgv": "high"})).await.expect(422);
    post(ENTRIES, &hash, &json!([])).await.expect(400);
    for path in ["/api/v1/status.json", "/api/v1/status", "/api/v1/verifyauth", "/api/v1/experiments/test"] {
        anybody.with_header("api-secret", &hash).get(path).await.expect(200);
        anybody.get(path).await.expect(401);
        anybody.with_header("api-secret", &sha1("guess")).get(path).await.expect(401);
    }
    let status = anybody.with_header("api-secret", &hash).get("/api/v1/status.json").await.json();
    assert_eq!((&status["status"], &status["apiEnabled"]), (&json!("ok"), &json!(true)));
    post(ENTRIES, "guess", &entries).await.expect(401);
    anybody.post(ENTRIES, &entries).await.expect(401);
    app.machine("system/Observation.rs").post(ENTRIES, &entries).await.expect(403);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_is_taken_as_thingsboard_takes_it() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let (_, key) = device_of(&app, &id).await;
    let (board, door) = (app.anonymous(), format!("/api/v1/{key}/telemetry"));
    let at = milliseconds(&app, -3);
    let telemetry = json!([
        {"ts": at, "values": {"heartRate": 72, "humidity": 40, "temperature": "36.60"}},
        {"ts": at, "values": {"systolic": 120, "diastolic": 80}}
    ]);
    let receipts = board.post(&door, &telemetry).await.expect(200).json();
    assert_eq!(outcomes(&receipts), ["created", "rejected", "created", "created"], "{receipts}");
    let places: Vec<&Value> = receipts["items"].as_array().unwrap().iter().map(|item| &item["place"]).collect();
    assert_eq!(places, ["[0].heartRate", "[0].humidity", "[0].temperature", "[1].systolic+diastolic"]);
    let again = board.post(&door, &telemetry).await.expect(200).json();
    assert_eq!(outcomes(&again), ["duplicate", "rejected", "duplicate", "duplicate"]);
    let found = app.gateway().get(&format!("/fhir/Observation?patient={id}&code=8310-5")).await;
    assert!(found.text().contains("36.60"));

    let now = board.post(&door, &json!({"hr": 71})).await.expect(200).json();
    assert_eq!(outcomes(&now), ["created"]);
    assert_eq!(outcomes(&board.post(&door, &json!({"humidity": 40})).await.expect(422).json()), ["rejected"]);
    board.post_raw(&door, "application/json", "{").await.expect(400);
    board.post_raw(&door, "text/csv", "{}").await.expect(415);
    board.get(&door).await.expect(405);
    board.post("/api/v1/guess/telemetry", &telemetry).await.expect(401);
    // The key is for the address alone: no answer and no measure repeats it.
    let metrics = app.gateway().get("/metrics").await.text();
    assert!(!metrics.contains(&key) && !receipts.to_string().contains(&key));
    app.stop().await;
}
