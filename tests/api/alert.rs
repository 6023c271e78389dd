//! From readings to `DetectedIssue`s: one resource an episode, one version a change, whatever happens in between.

use serde_json::{Value, json};
use vigia::clock::Clock;

use crate::helpers::samples::{heart_rate, observation};
use crate::helpers::{TestApp, minutes_from_now, resources};

fn extension<'v>(alert: &'v Value, name: &str) -> Option<&'v Value> {
    let all = alert["extension"].as_array()?;
    all.iter().find(|e| e["url"].as_str().is_some_and(|url| url.ends_with(name)))
}

fn state(alert: &Value) -> &str {
    extension(alert, "/alert-lifecycle-state").and_then(|e| e["valueCode"].as_str()).unwrap_or("none")
}

fn level(alert: &Value) -> &str {
    extension(alert, "/alert-level").and_then(|e| e["valueCode"].as_str()).unwrap_or("none")
}

fn version(alert: &Value) -> &str {
    alert["meta"]["versionId"].as_str().unwrap()
}

/// Heart rates one a minute, the first so many minutes ago.
async fn heart_rates(app: &TestApp, patient: &str, first: i64, values: &[u32]) {
    for (minute, value) in (first..).zip(values) {
        app.upload(&heart_rate(patient, *value, &minutes_from_now(minute))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_episode_is_raised_escalated_and_resolved() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    heart_rates(&app, &id, -30, &[80, 81, 115]).await;
    app.judged().await;
    assert!(app.alerts(&id).await.is_empty(), "one reading alone raises nothing");
    heart_rates(&app, &id, -27, &[116]).await;
    let raised = app.alert_becomes(&id, "raised", |a| state(a) == "raised").await;
    assert_eq!((level(&raised), &raised["status"], version(&raised)), ("warning", &json!("preliminary"), "1"));
    assert_eq!(raised["patient"]["reference"], format!("Patient/{id}"));
    heart_rates(&app, &id, -26, &[135, 136]).await;
    let escalated = app.alert_becomes(&id, "escalated", |a| level(a) == "critical").await;
    assert_eq!((version(&escalated), &escalated["severity"]), ("2", &json!("high")));
    heart_rates(&app, &id, -24, &[137, 90, 88, 85, 84]).await;
    let resolved = app.alert_becomes(&id, "resolved", |a| state(a) == "resolved").await;
    assert_eq!((&resolved["status"], &resolved["id"]), (&json!("final"), &raised["id"]));

    let gateway = app.gateway();
    for alert in [&raised, &escalated, &resolved] {
        fhir_r4::check(alert.clone()).unwrap();
        let evidence: Vec<&str> = alert["evidence"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["detail"][0]["reference"].as_str().unwrap())
            .collect();
        assert!(!evidence.is_empty());
        for reference in evidence {
            assert!(reference.contains("/_history/"), "evidence names its version: {reference}");
            gateway.get(&format!("/fhir/{reference}")).await.expect(200);
        }
        let own = format!("/fhir/DetectedIssue/{}/_history/{}", raised["id"].as_str().unwrap(), version(alert));
        assert_eq!(&gateway.get(&own).await.expect(200).json(), alert, "every version stays");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_neither_loses_nor_repeats() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    heart_rates(&app, &id, -30, &[115, 116]).await;
    let raised = app.alert_becomes(&id, "raised", |a| state(a) == "raised").await;
    heart_rates(&app, &id, -28, &[117, 135]).await;
    app.judged().await;

    let app = TestApp::on(app.stop().await, Clock::default(), |_| {}).await;
    app.judged().await;
    assert_eq!(app.alerts(&id).await, [raised], "nothing is said twice");
    heart_rates(&app, &id, -26, &[136]).await;
    let escalated = app.alert_becomes(&id, "escalated over the restart", |a| level(a) == "critical").await;
    assert_eq!(version(&escalated), "2");

    // What comes while nobody judges is judged afterwards.
    let app = TestApp::on(app.stop().await, Clock::default(), |config| config.alert.enabled = false).await;
    heart_rates(&app, &id, -25, &[80, 81, 82]).await;
    assert_eq!(app.alerts(&id).await, [escalated]);
    let app = TestApp::on(app.stop().await, Clock::default(), |_| {}).await;
    let resolved = app.alert_becomes(&id, "resolved over the restart", |a| state(a) == "resolved").await;
    app.judged().await;
    assert_eq!(app.alerts(&id).await, [resolved]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_at_any_moment_tells_the_same_story() {
    let readings = [80, 115, 116, 135, 136, 90, 88, 85, 118, 119, 80, 79];
    let mut stories = Vec::new();
    for every in [readings.len(), 1, 2, 3] {
        let mut app = TestApp::start().await;
        let id = app.admit("r1", "Vega").await;
        for (at, value) in readings.iter().enumerate() {
            if at > 0 && at % every == 0 {
                app = TestApp::on(app.stop().await, Clock::default(), |_| {}).await;
            }
            heart_rates(&app, &id, -30 + i64::try_from(at).unwrap(), &[*value]).await;
        }
        app.judged().await;
        let bundle = app.gateway().get("/fhir/DetectedIssue/_history?_count=100").await.json();
        let story: Vec<String> =
            resources(&bundle).iter().rev().map(|a| format!("{} {} {}", state(a), level(a), version(a))).collect();
        stories.push((every, story));
        app.stop().await;
    }
    assert!(stories[0].1.len() >= 5, "{stories:?}");
    for (every, story) in &stories {
        assert_eq!(story, &stories[0].1, "restarted every {every}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_or_a_test_never_alerts() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let gateway = app.gateway();
    for minute in -20..-10 {
        let mut wrong = observation(&id, "8867-4", "180", "/min", &minutes_from_now(minute));
        wrong["status"] = json!("entered-in-error");
        gateway.post("/fhir/Observation", &wrong).await.expect(201);
        let mut test = heart_rate(&id, 181, &minutes_from_now(minute));
        test["test"] = json!(true);
        app.upload(&test).await;
        let mut tagged = observation(&id, "8867-4", "182", "/min", &minutes_from_now(minute));
        tagged["meta"] =
            json!({"tag": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}]});
        gateway.post("/fhir/Observation", &tagged).await.expect(201);
        // A code that no rule is about, and a unit that no rule can convert.
        gateway
            .post("/fhir/Observation", &observation(&id, "8302-2", "180", "cm", &minutes_from_now(minute)))
            .await
            .expect(201);
    }
    app.judged().await;
    assert!(app.alerts(&id).await.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_of_every_door_and_unit_are_judged() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let gateway = app.gateway();
    for (minute, fahrenheit) in [(-5, "103.1"), (-4, "103.2")] {
        let fever = observation(&id, "8310-5", fahrenheit, "[degF]", &minutes_from_now(minute));
        // The profile wants Celsius or Fahrenheit; both are one measure to a rule.
        gateway.post("/fhir/Observation", &fever).await.expect(201);
    }
    let alert = app.alert_becomes(&id, "fever", |a| state(a) == "raised").await;
    assert_eq!(level(&alert), "critical", "39.5 °C");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_rule_counts_from_then_on() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let gateway = app.gateway();
    let address = "/fhir/PlanDefinition/limits-8867-4";
    heart_rates(&app, &id, -20, &[100, 101]).await;
    app.judged().await;
    assert!(app.alerts(&id).await.is_empty());
    let plan = gateway.get(address).await.expect(200).text();
    assert!(plan.contains(r#""valueDecimal":111"#), "{plan}");
    let stricter: Value = serde_json::from_str(&plan.replace(r#""valueDecimal":111"#, r#""valueDecimal":95"#)).unwrap();
    gateway.put(address, &stricter).await.expect(200);
    heart_rates(&app, &id, -18, &[100, 101]).await;
    let alert = app.alert_becomes(&id, "raised by the new limit", |a| state(a) == "raised").await;
    assert_eq!(level(&alert), "warning");

    let other = app.admit("r2", "Soto").await;
    let mut retired = stricter.clone();
    retired["status"] = json!("retired");
    gateway.put(address, &retired).await.expect(200);
    heart_rates(&app, &other, -10, &[180, 181, 182]).await;
    app.judged().await;
    assert!(app.alerts(&other).await.is_empty(), "a rule that is retired raises nothing");

    // What a hospital has changed is not put back by a restart.
    let app = TestApp::on(app.stop().await, Clock::default(), |_| {}).await;
    assert_eq!(app.gateway().get(address).await.json()["status"], "retired");
    app.stop().await;
}
