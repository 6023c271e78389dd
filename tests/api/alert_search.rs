//! Alerts found by what they are: with the search parameters that this server ships for them.

use serde_json::{Value, json};
use vigia::clock::Clock;

use crate::helpers::samples::heart_rate;
use crate::helpers::{Client, TestApp, eventually, ids, minutes_from_now};

async fn found(caller: &Client, query: &str) -> Vec<String> {
    ids(&caller
        .with_header("Prefer", "handling=strict")
        .get(&format!("/fhir/DetectedIssue?{query}"))
        .await
        .expect(200)
        .json())
}

/// A patient with a critical alert.
async fn alarmed(app: &TestApp) -> (String, Value) {
    let patient = app.admit("r1", "Vega").await;
    for (minute, value) in (-20..).zip([140, 141, 142]) {
        app.upload(&heart_rate(&patient, value, &minutes_from_now(minute))).await;
    }
    let alert = app.alert_becomes(&patient, "critical", |alert| alert["severity"] == "high").await;
    (patient, alert)
}

#[tokio::test(flavor = "multi_thread")]
async fn open_critical_alerts_are_found_on_a_new_server() {
    let app = TestApp::start().await;
    let (patient, alert) = alarmed(&app).await;
    let gateway = app.gateway();
    let own = vec![alert["id"].as_str().unwrap().to_owned()];
    let rule = alert["reference"].as_str().unwrap();
    for (query, hit) in [
        (format!("status=preliminary&severity=high&patient={patient}"), true),
        (format!("status=final&severity=high&patient={patient}"), false),
        (format!("severity=low&patient=Patient/{patient}"), false),
        ("lifecycle-state=raised&level=critical".to_owned(), true),
        ("lifecycle-state=resolved".to_owned(), false),
        ("level=warning,critical&alert-type=physiological&priority=high".to_owned(), true),
        ("alert-type=technical".to_owned(), false),
        (format!("rule={rule}"), true),
        (format!("rule:contains={}", rule.split('|').next().unwrap()), true),
        ("rule=https://vigia.dev/fhir/PlanDefinition/none".to_owned(), false),
        ("encounter:missing=true".to_owned(), true),
        ("encounter=Encounter/none".to_owned(), false),
    ] {
        let status = gateway.get(&format!("/fhir/DetectedIssue?{query}")).await.status;
        assert_eq!(status, 200, "{query}");
        assert_eq!(found(&gateway, &query).await, if hit { own.clone() } else { vec![] }, "{query}");
    }
    let capability = gateway.get("/fhir/metadata").await.text();
    for name in ["status", "severity", "lifecycle-state", "level", "priority", "alert-type", "rule", "encounter"] {
        assert!(capability.contains(&format!("https://vigia.dev/fhir/SearchParameter/DetectedIssue-{name}")), "{name}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn older_alerts_are_indexed_at_the_next_start() {
    let app = TestApp::start().await;
    let (_, alert) = alarmed(&app).await;
    let gateway = app.gateway();
    let path = "/fhir/SearchParameter/DetectedIssue-level";
    let mut definition = gateway.get(path).await.expect(200).json();
    definition["description"] = json!("Another version is not ready for what is older.");
    gateway.put(path, &definition).await.expect(200);
    gateway.with_header("Prefer", "handling=strict").get("/fhir/DetectedIssue?level=critical").await.expect(400);
    let app = TestApp::on(app.stop().await, Clock::default(), |_| {}).await;
    let gateway = app.gateway();
    let path = "/fhir/DetectedIssue?level=critical";
    let answer = eventually("indexed anew", || async {
        let answer = gateway.with_header("Prefer", "handling=strict").get(path).await;
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!(ids(&answer.await), [alert["id"].as_str().unwrap()]);
    app.stop().await;
}
