//! What becomes of alerts when their patient is no longer here.

use serde_json::{Value, json};
use vigia::clock::Clock;
use vigia::fhir::time::instant;

use crate::helpers::place::Place;
use crate::helpers::samples::{encounter, heart_rate};
use crate::helpers::{TestApp, eventually};

const MINUTE: i64 = 60_000_000;

fn extension<'v>(alert: &'v Value, name: &str) -> Option<&'v Value> {
    alert["extension"].as_array()?.iter().find(|e| e["url"].as_str().is_some_and(|url| url.ends_with(name)))
}

/// State, and why it is over where something else put an end to it.
fn told(alert: &Value) -> (&str, &str) {
    let code = |name: &str| extension(alert, name).and_then(|e| e["valueCode"].as_str()).unwrap_or("");
    (code("/alert-lifecycle-state"), code("/alert-superseded-reason"))
}

async fn becomes(app: &TestApp, patient: &str, expected: &[(&str, &str)]) {
    eventually(
        &format!("{patient}: {expected:?}, not {:?}", app.alerts(patient).await.iter().map(told).collect::<Vec<_>>()),
        || async {
            let alerts = app.alerts(patient).await;
            let all: Vec<(&str, &str)> = alerts.iter().map(told).collect();
            (all == expected).then_some(())
        },
    )
    .await;
}

async fn stay(app: &TestApp, patient: &str) -> Value {
    let found = app.gateway().get(&format!("/fhir/Encounter?patient={patient}")).await.expect(200).json();
    found["entry"][0]["resource"].clone()
}

async fn finish(app: &TestApp, mut encounter: Value) {
    encounter["status"] = json!("finished");
    let address = format!("/fhir/Encounter/{}", encounter["id"].as_str().unwrap());
    app.gateway().put(&address, &encounter).await.expect(200);
}

async fn record(app: &TestApp, patient: &str, change: impl FnOnce(&mut Value)) {
    let address = format!("/fhir/Patient/{patient}");
    let mut resource = app.gateway().get(&address).await.expect(200).json();
    change(&mut resource);
    app.gateway().put(&address, &resource).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_end_with_the_stay_the_life_and_the_record() {
    let app = TestApp::start().await;
    let mut patients = vec![];
    for family in ["Vega", "Luna", "Mora", "Soto"] {
        let patient = app.admit(family, family).await;
        app.heart_rates(&patient, &[135, 136]).await;
        becomes(&app, &patient, &[("raised", "")]).await;
        patients.push(patient);
    }
    let [left, moved, dead, merged] = patients.try_into().unwrap();
    finish(&app, stay(&app, &left).await).await;
    becomes(&app, &left, &[("superseded", "patient-left")]).await;

    // Who has another Encounter in progress has only moved on.
    let first = stay(&app, &moved).await;
    let second = app.gateway().post("/fhir/Encounter", &encounter(&moved)).await.expect(201).json();
    finish(&app, first).await;

    record(&app, &dead, |patient| patient["deceasedDateTime"] = json!("2026-03-01T08:00:00Z")).await;
    becomes(&app, &dead, &[("superseded", "patient-died")]).await;
    // Only the word of it counts, not every later version.
    app.heart_rates(&dead, &[135, 136]).await;
    becomes(&app, &dead, &[("raised", ""), ("superseded", "patient-died")]).await;
    record(&app, &dead, |patient| patient["gender"] = json!("unknown")).await;

    let link = json!([{"other": {"reference": format!("Patient/{left}")}, "type": "replaced-by"}]);
    record(&app, &merged, |patient| patient["link"] = link).await;
    becomes(&app, &merged, &[("superseded", "patient-merged")]).await;
    becomes(&app, &dead, &[("raised", ""), ("superseded", "patient-died")]).await;
    becomes(&app, &moved, &[("raised", "")]).await;
    finish(&app, second).await;
    becomes(&app, &moved, &[("superseded", "patient-left")]).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_who_has_left_until_they_are_heard_again() {
    let clock = Clock::fixed(Clock::default().now());
    let mut app = TestApp::on(Place::new().await, clock.clone(), |_| {}).await;
    let address = "/fhir/PlanDefinition/missing-8867-4";
    let mut plan = app.gateway().get(address).await.expect(200).json();
    plan["status"] = json!("active");
    app.gateway().put(address, &plan).await.expect(200);
    let (left, here) = (app.admit("r1", "Vega").await, app.admit("r2", "Luna").await);
    for patient in [&left, &here] {
        app.upload(&heart_rate(patient, 80, &instant(clock.now()))).await;
    }
    clock.advance(MINUTE);
    finish(&app, stay(&app, &left).await).await;

    for minutes in [11, 1] {
        clock.advance(minutes * MINUTE);
        becomes(&app, &here, &[("raised", "")]).await;
        assert!(app.alerts(&left).await.is_empty(), "nobody waits for their readings");
        app = TestApp::on(app.stop().await, clock.clone(), |_| {}).await;
    }
    app.upload(&heart_rate(&left, 80, &instant(clock.now()))).await;
    app.upload(&heart_rate(&here, 80, &instant(clock.now()))).await;
    becomes(&app, &here, &[("resolved", "")]).await;
    clock.advance(11 * MINUTE);
    becomes(&app, &left, &[("raised", "")]).await;
    app.stop().await;
}
