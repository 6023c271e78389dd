//! What people do to an alert: acknowledge, silence, escalate, resolve; who did it stands beside it.

use serde_json::{Value, json};

use vigia::clock::Clock;

use crate::helpers::place::Place;
use crate::helpers::samples::heart_rate;
use crate::helpers::{TestApp, minutes_from_now, resources};

fn extension<'v>(alert: &'v Value, name: &str) -> Option<&'v Value> {
    alert["extension"].as_array()?.iter().find(|e| e["url"].as_str().is_some_and(|url| url.ends_with(name)))
}

fn state(alert: &Value) -> &str {
    extension(alert, "/alert-lifecycle-state").and_then(|e| e["valueCode"].as_str()).unwrap_or("none")
}

fn asked(parameters: &[(&str, Value)]) -> Value {
    let each = parameters.iter().map(|(name, value)| match value {
        Value::Bool(yes) => json!({"name": name, "valueBoolean": yes}),
        text => json!({"name": name, "valueString": text}),
    });
    let all: Vec<Value> = each.collect();
    if all.is_empty() {
        return json!({"resourceType": "Parameters"});
    }
    json!({"resourceType": "Parameters", "parameter": all})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_acted_upon() {
    let app = TestApp::start().await;
    let patient = app.admit("r1", "Vega").await;
    app.heart_rates(&patient, &[115, 116]).await;
    let alert = app.alert_becomes(&patient, "raised", |a| state(a) == "raised").await;
    let path = format!("/fhir/DetectedIssue/{}", alert["id"].as_str().unwrap());
    let nurse = app.clinician().await;
    let because = |parameters: &[(&str, Value)]| {
        let mut all = vec![("reason", json!("seen at the bed"))];
        all.extend_from_slice(parameters);
        asked(&all)
    };
    let (soon, late) = (json!(minutes_from_now(30)), json!(minutes_from_now(13 * 60)));
    let table = [
        ("$acknowledge", asked(&[]), 200, "acknowledged"),
        ("$acknowledge", asked(&[("note", json!("again"))]), 409, "acknowledged already"),
        ("$acknowledge", asked(&[("nope", json!("x"))]), 400, "Parameters.parameter[0]"),
        ("$silence", because(&[]), 400, "until"),
        ("$silence", asked(&[("until", soon.clone())]), 400, "reason"),
        ("$silence", because(&[("until", json!("soon"))]), 400, "instant"),
        ("$silence", because(&[("until", late)]), 422, "12 hours"),
        ("$silence", because(&[("until", soon)]), 200, "suppressed"),
        ("$escalate", asked(&[("reason", json!(" "))]), 400, "reason"),
        ("$escalate", because(&[]), 200, "escalated"),
        ("$resolve", because(&[]), 200, "resolved"),
        ("$resolve", because(&[]), 409, "over"),
    ];
    for (operation, body, status, expected) in table {
        let answer = nurse.post(&format!("{path}/{operation}"), &body).await.expect(status);
        match status {
            200 => assert_eq!(state(&answer.json()), expected, "{operation}"),
            _ => assert!(answer.text().contains(expected), "{operation}: {}", answer.text()),
        }
    }
    let told = nurse.get(&path).await.expect(200).json();
    let all = told["mitigation"].as_array().unwrap();
    let codes: Vec<_> = all.iter().map(|m| m["action"]["coding"][0]["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["acknowledge", "silence", "escalate", "resolve"]);
    assert!(all.iter().all(|m| m["author"]["identifier"]["system"] == "urn:vigia:user"));
    let root = app.administrator().await;
    for kind in ["Provenance", "AuditEvent"] {
        let records = resources(&root.get(&format!("/fhir/{kind}?_count=50")).await.expect(200).json());
        assert_eq!(records.len(), 5, "one {kind} for the raise, and one an act");
        assert!(records.iter().all(|r| !r.to_string().contains(&patient)), "a {kind} says nothing of the patient");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_needs_leave_and_the_version_that_stands() {
    let app = TestApp::start().await;
    let (ana, eva) = (app.admit("r1", "Vega").await, app.admit("r2", "Luna").await);
    app.heart_rates(&ana, &[115, 116]).await;
    let alert = app.alert_becomes(&ana, "raised", |a| state(a) == "raised").await;
    let path = format!("/fhir/DetectedIssue/{}/$acknowledge", alert["id"].as_str().unwrap());
    let others = [
        (app.anonymous(), 401),
        (app.machine("system/DetectedIssue.rs"), 403),
        (app.patient_app("patient/DetectedIssue.ru", &eva), 404),
    ];
    for (client, status) in others {
        client.post(&path, &asked(&[])).await.expect(status);
    }
    // Who reads all and writes for one patient only.
    let mixed = app.patient_app("system/DetectedIssue.r patient/DetectedIssue.u", &eva);
    mixed.post(&path, &asked(&[])).await.expect(404);
    let own = app.patient_app("patient/DetectedIssue.ru", &ana);
    own.with_header("If-Match", "W/\"7\"").post(&path, &asked(&[])).await.expect(412);
    let done = own.with_header("If-Match", "W/\"1\"").post(&path, &asked(&[])).await.expect(200);
    assert_eq!((state(&done.json()), &done.json()["meta"]["versionId"]), ("acknowledged", &json!("2")));
    assert!(done.json()["mitigation"][0].get("author").is_none(), "a machine is no author");
    app.stop().await;
}

fn step(alert: &Value) -> u64 {
    extension(alert, "/alert-escalation-step").and_then(|e| e["valueUnsignedInt"].as_u64()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn time_goes_on_across_a_restart() {
    const MINUTE: i64 = 60_000_000;
    let clock = Clock::fixed(Clock::default().now());
    let app = TestApp::on(Place::new().await, clock.clone(), |_| {}).await;
    let patient = app.admit("r1", "Vega").await;
    app.heart_rates(&patient, &[135, 136]).await;
    let alert = app.alert_becomes(&patient, "raised", |a| state(a) == "raised").await;
    clock.advance(2 * MINUTE);
    app.alert_becomes(&patient, "escalated once", |a| state(a) == "escalated" && step(a) == 1).await;
    let place = app.stop().await;
    clock.advance(3 * MINUTE);
    let app = TestApp::on(place, clock.clone(), |_| {}).await;
    app.alert_becomes(&patient, "escalated twice", |a| state(a) == "escalated" && step(a) == 2).await;
    let until = vigia::fhir::time::instant(clock.now() + 30 * MINUTE);
    let silence = asked(&[("reason", json!("in theatre")), ("until", json!(until)), ("critical", json!(true))]);
    let path = format!("/fhir/DetectedIssue/{}/$silence", alert["id"].as_str().unwrap());
    app.clinician().await.post(&path, &silence).await.expect(200);
    for minute in [1, 2] {
        app.upload(&heart_rate(&patient, 137, &minutes_from_now(minute))).await;
    }
    let silenced = app.alert_becomes(&patient, "silenced", |a| state(a) == "suppressed").await;
    assert_eq!(silenced["meta"]["versionId"], "4", "a reading breaks no silence");
    let place = app.stop().await;
    clock.advance(30 * MINUTE);
    let app = TestApp::on(place, clock, |_| {}).await;
    app.alert_becomes(&patient, "raised again", |a| state(a) == "raised" && step(a) == 0).await;
    app.stop().await;
}
