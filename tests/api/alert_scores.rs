//! Scores as readings: what a score says is judged by rules in its turn.

use serde_json::{Value, json};

use crate::helpers::samples::observation;
use crate::helpers::{Client, TestApp, eventually, minutes_from_now, resources};

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

#[tokio::test(flavor = "multi_thread")]
async fn coded_answers_count_in_a_score() {
    const SNOMED: &str = "http://snomed.info/sct";
    const LOINC: &str = "http://loinc.org";
    const DEVICE: (&str, &str) = ("https://vigia.dev/fhir/CodeSystem/observation", "oxygen-device");
    let app = TestApp::start().await;
    let gateway = app.gateway();
    // Question, answer, total beside nothing but normal values.
    let table = [
        (DEVICE, (SNOMED, "722742002"), 0),
        (DEVICE, (SNOMED, "371825009"), 2),
        (DEVICE, (SNOMED, "371907003"), 2),
        ((SNOMED, "371825009"), (SNOMED, "373066001"), 2),
        ((SNOMED, "371825009"), (SNOMED, "373067005"), 0),
        ((LOINC, "67775-7"), (LOINC, "LA9340-6"), 0),
        ((LOINC, "67775-7"), (LOINC, "LA17108-4"), 3),
        ((SNOMED, "1104441000000107"), (SNOMED, "130987000"), 3),
    ];
    for (number, ((system, code), (of, answer), total)) in table.into_iter().enumerate() {
        let id = app.admit(&format!("a{number}"), "Vega").await;
        vitals(&gateway, &id, -11, 16, 80).await;
        let reading = json!({
            "resourceType": "Observation", "status": "final", "subject": {"reference": format!("Patient/{id}")},
            "code": {"coding": [{"system": system, "code": code}]}, "effectiveDateTime": minutes_from_now(-10),
            "valueCodeableConcept": {"coding": [{"system": of, "code": answer}]}
        });
        let answered = gateway.post("/fhir/Observation", &reading).await.expect(201).json()["id"].to_string();
        let answered = answered.trim_matches('"').to_owned();
        // A sign of oxygen alone calls for no new score.
        let heart = observation(&id, "8867-4", "81", "/min", &minutes_from_now(-9));
        gateway.post("/fhir/Observation", &heart).await.expect(201);
        let scores =
            format!("/fhir/Observation?patient={id}&code=https://vigia.dev/fhir/CodeSystem/score|news2&_sort=-date");
        let score = eventually("a score of the answer", || async {
            let found = resources(&gateway.get(&scores).await.expect(200).json());
            found.into_iter().find(|score| score["derivedFrom"].to_string().contains(&answered))
        })
        .await;
        assert_eq!(score["valueQuantity"]["value"].to_string(), total.to_string(), "{code} {answer}: {score}");
    }
    app.stop().await;
}
