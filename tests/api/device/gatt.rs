//! `/device/v1/gatt`: what a phone took from a Bluetooth device becomes Observations.

use serde_json::{Value, json};

use super::outcomes;
use crate::helpers::{Client, TestApp, minutes_from_now};

const DOOR: &str = "/device/v1/gatt";

/// The Observations that an item became.
async fn stored(reader: &Client, item: &Value) -> Vec<Value> {
    let references = match &item["references"] {
        Value::Array(all) => all.clone(),
        _ => vec![item["reference"].clone()],
    };
    let mut all = Vec::new();
    for reference in references {
        all.push(reader.get(&format!("/fhir/{}", reference.as_str().unwrap())).await.expect(200).json());
    }
    all
}

fn codes(observation: &Value) -> Vec<&str> {
    observation["code"]["coding"].as_array().unwrap().iter().map(|coding| coding["code"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_become_observations() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let (device, gateway, time) = (app.machine("system/Observation.c"), app.gateway(), minutes_from_now(-1));
    let batch = json!({"patient": format!("Patient/{id}"), "receivedAt": time, "items": [
        {"char": "2A35", "hex": "15BDF00B009FF03C001200", "id": "cuff/1"},
        {"char": "2A1C", "hex": "06B00E00FEDC070C050B321B04"},
        {"char": "2A5F", "hex": "00FF07FF07"},
        {"char": "2A9D", "hex": "0CB03605F500D606"},
        {"char": "2A37", "hex": "170101"},
        {"char": "2A18", "hex": "020700E807030F0E1E2D78B011"}
    ]});
    let receipts = device.post(DOOR, &batch).await.expect(200).json();
    assert_eq!(outcomes(&receipts), ["created", "created", "created", "created", "rejected", "created"]);
    assert_eq!((&receipts["created"], &receipts["rejected"]), (&json!(5), &json!(1)));
    let items = receipts["items"].as_array().unwrap();
    assert_eq!(
        (&items[4]["place"], &items[4]["reason"]["issue"][0]["expression"][0]),
        (&json!("[4]"), &json!("[4].hex"))
    );

    let pressure = stored(&gateway, &items[0]).await;
    assert_eq!(codes(&pressure[0]), ["85354-9", "150020"]);
    let parts = pressure[0]["component"].as_array().unwrap();
    let values: Vec<String> = parts.iter().map(|part| part["valueQuantity"]["value"].to_string()).collect();
    assert_eq!(values, ["141.8", "83", "119.3"], "kPa in the unit of the profile, as precise as it was sent");
    assert_eq!(parts[0]["valueQuantity"]["code"], "mm[Hg]");
    assert_eq!(pressure[0]["identifier"][0]["value"], "cuff/1");
    assert_eq!((codes(&pressure[1]), &pressure[1]["valueQuantity"]["value"]), (vec!["8867-4", "149546"], &json!(60)));

    let temperature = stored(&gateway, &items[1]).await.remove(0);
    assert_eq!(temperature["valueQuantity"]["value"].to_string(), "37.60");
    assert_eq!(temperature["effectiveDateTime"], json!(time), "its own clock has no zone");
    assert!(temperature["note"][0]["text"].as_str().unwrap().contains("2012-12-05T11:50:27"));

    let saturation = stored(&gateway, &items[2]).await.remove(0);
    assert_eq!(codes(&saturation), ["59408-5", "2708-6", "150456"]);
    assert_eq!(saturation["dataAbsentReason"]["coding"][0]["code"], "not-a-number");
    assert!(saturation.get("valueQuantity").is_none());

    let scale = stored(&gateway, &items[3]).await;
    let told: Vec<String> = scale.iter().map(|o| format!("{} {}", codes(o)[0], o["valueQuantity"]["value"])).collect();
    assert_eq!(told, ["29463-7 70.000", "39156-5 24.5", "8302-2 175.0"]);

    let glucose = stored(&gateway, &items[5]).await.remove(0);
    assert_eq!((codes(&glucose)[0], glucose["valueQuantity"]["value"].to_string()), ("41653-7", "120".to_owned()));
    assert_eq!(glucose["effectiveDateTime"], "2024-03-15T14:30:45.000Z", "a record of the meter's memory");
    for observation in [&pressure[0], &temperature, &saturation, &scale[0], &glucose] {
        fhir_r4::check(observation.clone()).unwrap();
    }

    let again = device.post(DOOR, &batch).await.expect(200).json();
    assert_eq!(outcomes(&again), ["duplicate", "duplicate", "duplicate", "duplicate", "rejected", "duplicate"]);
    assert_eq!(again["items"][0]["references"], items[0]["references"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_names_one_payload() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let (device, time) = (app.machine("system/Observation.c"), minutes_from_now(-1));
    let item = |payload: &str| json!({"patient": format!("Patient/{id}"), "char": "2A37", "hex": payload, "receivedAt": time, "id": "n1"});
    for (payload, became, status) in
        [("0055", "created", 200), ("0055", "duplicate", 200), ("0099", "rejected", 422), ("0055", "duplicate", 200)]
    {
        let receipts = device.post(DOOR, &item(payload)).await.expect(status).json();
        assert_eq!(outcomes(&receipts), [became], "{receipts}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_send_and_what() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let other = app.admit("r2", "Sol").await;
    let item = |id: &str| json!([{"patient": format!("Patient/{id}"), "char": "2A37", "hex": "0055"}]);
    app.anonymous().post(DOOR, &item(&id)).await.expect(401);
    app.machine("system/Observation.rs").post(DOOR, &item(&id)).await.expect(403);
    let own = app.patient_app("patient/Observation.c", &id);
    own.post(DOOR, &item(&id)).await.expect(200);
    own.post(DOOR, &item(&other)).await.expect(403);
    let device = app.machine("system/Observation.c");
    device.get(DOOR).await.expect(405);
    device.post_raw(DOOR, "text/csv", "a").await.expect(415);
    for (body, issue) in [
        ("", "structure http.body"),
        ("[", "structure http.body"),
        (r#"{"items":[]}"#, "required"),
        (r#"{"items":7}"#, "structure items"),
        (r#"{"items":[{}],"ward":"x"}"#, "structure"),
    ] {
        assert_eq!(device.post_raw(DOOR, "application/json", body).await.expect(400).issues(), issue, "{body}");
    }
    let nobody = device.post(DOOR, &json!({"char": "2A37", "hex": "0055"})).await.expect(422).json();
    assert_eq!(nobody["items"][0]["reason"]["issue"][0]["expression"][0], "[0].patient");
    app.stop().await;
}
