//! Scores as readings: what a score says is judged by rules in its turn.

use serde_json::{Value, json};

use crate::helpers::samples::observation;
use crate::helpers::{Client, TestApp, minutes_from_now};

/// All that NEWS2 asks for, at one instant.
async fn vitals(gateway: &Client, patient: &str, minute: i64, breaths: u32, heart: u32) {
    let then = minutes_from_now(minute);
    let values = [
        ("9279-1", breaths, "/min"),
        ("59408-5", 97, "%"),
        ("8867-4", heart, "/min"),
        ("8310-5", 37, "Cel"),
        ("8480-6", 120, "mm[Hg]"),
        ("9269-2", 15, "{score}"),
    ];
    for (code, value, unit) in values {
        let mut reading = observation(patient, code, &value.to_string(), unit, &then);
        if code == "59408-5" {
            let loinc = json!({"system": "http://loinc.org", "code": "2708-6"});
            reading["code"]["coding"].as_array_mut().unwrap().push(loinc);
        }
        gateway.post("/fhir/Observation", &reading).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rising_score_is_an_alert_of_its_own() {
    let app = TestApp::start().await;
    let (id, gateway) = (app.admit("r1", "Vega").await, app.gateway());
    let address = "/fhir/PlanDefinition/change-news2";
    let mut plan = gateway.get(address).await.expect(200).json();
    plan["status"] = json!("active");
    gateway.put(address, &plan).await.expect(200);
    vitals(&gateway, &id, -40, 16, 80).await;
    // Breaths 2, heart rate 1: no trigger of NEWS2, and three points more than before.
    vitals(&gateway, &id, -20, 21, 95).await;
    let of_rule = |alert: &Value| alert["reference"].as_str().is_some_and(|rule| rule.contains("change-news2"));
    let alert = app.alert_becomes(&id, "the score rose", of_rule).await;
    let trigger = alert["evidence"][0]["detail"][0]["reference"].as_str().unwrap();
    let score = gateway.get(&format!("/fhir/{trigger}")).await.expect(200).json();
    assert_eq!(
        (&score["code"]["text"], score["valueQuantity"]["value"].to_string()),
        (&json!("National Early Warning Score 2"), "3".to_owned()),
        "{alert}"
    );
    app.stop().await;
}
