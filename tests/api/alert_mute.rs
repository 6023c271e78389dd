//! A silent device is one alert: those of its signals are recorded and quiet, whichever came first.

use serde_json::{Value, json};
use vigia::clock::Clock;
use vigia::fhir::time::instant;

use crate::helpers::place::Place;
use crate::helpers::samples::observation;
use crate::helpers::{Client, TestApp, eventually};

const MINUTE: i64 = 60_000_000;
const HEART: &str = "8867-4";
const OXYGEN: &str = "59408-5";
const MONITOR: &str = "Device/monitor";

fn extension<'v>(alert: &'v Value, name: &str) -> Option<&'v Value> {
    alert["extension"].as_array()?.iter().find(|e| e["url"].as_str().is_some_and(|url| url.ends_with(name)))
}

fn state(alert: &Value) -> &str {
    extension(alert, "/alert-lifecycle-state").and_then(|e| e["valueCode"].as_str()).unwrap_or("none")
}

fn inhibitor(alert: &Value) -> Option<&str> {
    extension(alert, "/alert-inhibited-by")?["valueReference"]["reference"].as_str()
}

fn is_of(alert: &Value, rule: &str) -> bool {
    alert["reference"].as_str().is_some_and(|url| url.contains(&format!("/{rule}|")))
}

/// Puts a shipped draft in force.
async fn activate(gateway: &Client, rule: &str) {
    let address = format!("/fhir/PlanDefinition/{rule}");
    let mut plan = gateway.get(&address).await.expect(200).json();
    plan["status"] = json!("active");
    gateway.put(&address, &plan).await.expect(200);
}

async fn measure(app: &TestApp, patient: &str, code: &str, value: u32, at: i64) {
    measure_by(app, MONITOR, patient, code, value, at).await;
}

async fn measure_by(app: &TestApp, device: &str, patient: &str, code: &str, value: u32, at: i64) {
    let unit = if code == HEART { "/min" } else { "%" };
    let mut reading = observation(patient, code, &value.to_string(), unit, &instant(at));
    if code == OXYGEN {
        let loinc = json!({"system": "http://loinc.org", "code": "2708-6"});
        reading["code"]["coding"].as_array_mut().unwrap().push(loinc);
    }
    reading["device"] = json!({"reference": device});
    app.gateway().post("/fhir/Observation", &reading).await.expect(201);
}

/// Waits until the newest alert of a rule is in a state, and returns it.
async fn becomes(app: &TestApp, patient: &str, rule: &str, wanted: &str) -> Value {
    eventually(&format!("{rule} is {wanted}"), || async {
        let alert = app.alerts(patient).await.into_iter().find(|alert| is_of(alert, rule))?;
        (state(&alert) == wanted).then_some(alert)
    })
    .await
}

/// A patient on a monitor whose silence matters.
async fn watched(clock: &Clock) -> (TestApp, String) {
    let app = TestApp::on(Place::new().await, clock.clone(), |_| {}).await;
    let gateway = app.gateway();
    gateway.put(&format!("/fhir/{MONITOR}"), &json!({"resourceType": "Device", "id": "monitor"})).await.expect(201);
    for rule in ["silent-device", "missing-8867-4", "missing-59408-5"] {
        activate(&gateway, rule).await;
    }
    let patient = app.admit("r1", "Vega").await;
    (app, patient)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_device_speaks_for_its_signals() {
    let clock = Clock::fixed(Clock::default().now());
    let (app, patient) = watched(&clock).await;
    measure(&app, &patient, HEART, 140, clock.now() - MINUTE / 60).await;
    measure(&app, &patient, HEART, 141, clock.now()).await;
    measure(&app, &patient, OXYGEN, 97, clock.now()).await;
    becomes(&app, &patient, "limits-8867-4", "raised").await;

    clock.advance(6 * MINUTE);
    let silent = becomes(&app, &patient, "silent-device", "raised").await;
    let by = format!("DetectedIssue/{}", silent["id"].as_str().unwrap());
    clock.advance(5 * MINUTE);
    for rule in ["missing-8867-4", "missing-59408-5"] {
        let muted = becomes(&app, &patient, rule, "suppressed").await;
        assert_eq!((inhibitor(&muted), &muted["meta"]["versionId"]), (Some(by.as_str()), &json!("1")), "{rule}");
        assert!(extension(&muted, "/alert-due").is_none(), "it calls nobody: {muted}");
    }
    let clinical = app.alerts(&patient).await.into_iter().find(|alert| is_of(alert, "limits-8867-4")).unwrap();
    assert_eq!(
        (state(&clinical) == "suppressed", inhibitor(&clinical)),
        (false, None),
        "what is clinical is not muted"
    );

    let app = TestApp::on(app.stop().await, clock.clone(), |_| {}).await;
    clock.advance(MINUTE);
    measure(&app, &patient, HEART, 80, clock.now()).await;
    becomes(&app, &patient, "silent-device", "resolved").await;
    let over = becomes(&app, &patient, "missing-8867-4", "resolved").await;
    let alone = becomes(&app, &patient, "missing-59408-5", "raised").await;
    assert_eq!((inhibitor(&over), inhibitor(&alone)), (None, None), "nobody speaks for them any more");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_was_missed_before_is_muted_too() {
    let clock = Clock::fixed(Clock::default().now());
    let (app, patient) = watched(&clock).await;
    measure(&app, &patient, HEART, 80, clock.now()).await;
    clock.advance(8 * MINUTE);
    measure(&app, &patient, OXYGEN, 97, clock.now()).await;
    clock.advance(3 * MINUTE);
    let first = becomes(&app, &patient, "missing-8867-4", "raised").await;
    clock.advance(3 * MINUTE);
    let silent = becomes(&app, &patient, "silent-device", "raised").await;
    let muted = becomes(&app, &patient, "missing-8867-4", "suppressed").await;
    assert_eq!(inhibitor(&muted), Some(format!("DetectedIssue/{}", silent["id"].as_str().unwrap()).as_str()));
    assert_eq!((&muted["id"], &muted["meta"]["versionId"]), (&first["id"], &json!("2")));

    // What somebody has seen stays as they left it.
    let path = format!("/fhir/DetectedIssue/{}/$acknowledge", muted["id"].as_str().unwrap());
    app.clinician().await.post(&path, &json!({"resourceType": "Parameters"})).await.expect(200);
    measure(&app, &patient, OXYGEN, 97, clock.now()).await;
    becomes(&app, &patient, "silent-device", "resolved").await;
    let seen = becomes(&app, &patient, "missing-8867-4", "acknowledged").await;
    assert_eq!((inhibitor(&seen), &seen["meta"]["versionId"]), (None, &json!("3")));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_two_devices_is_missed_by_itself_after_a_restart_too() {
    let clock = Clock::fixed(Clock::default().now());
    let (app, patient) = watched(&clock).await;
    let other = json!({"resourceType": "Device", "id": "other"});
    app.gateway().put("/fhir/Device/other", &other).await.expect(201);
    measure_by(&app, "Device/other", &patient, HEART, 80, clock.now()).await;
    clock.advance(3 * MINUTE);
    measure(&app, &patient, HEART, 80, clock.now()).await;
    let app = TestApp::on(app.stop().await, clock.clone(), |_| {}).await;
    clock.advance(3 * MINUTE);
    let silent = becomes(&app, &patient, "silent-device", "raised").await;
    assert_eq!(extension(&silent, "/alert-silent-device").unwrap()["valueReference"]["reference"], "Device/other");
    app.stop().await;
}
