//! The alert engine beside people, changing rules and the course of time: nothing lost, nothing said twice.

use std::future::{Future, poll_fn};
use std::task::Poll;

use serde_json::{Value, json};
use vigia::alert::lifecycle::{Act, Actor, Policy, apply};
use vigia::auth::access::Access;
use vigia::clock::Clock;
use vigia::fhir::OURS;
use vigia::pipeline::Intent;

use crate::helpers::place::Place;
use crate::helpers::samples::heart_rate;
use crate::helpers::{TestApp, eventually, minutes_from_now};

const MINUTE: i64 = 60_000_000;

fn extension<'v>(alert: &'v Value, name: &str) -> Option<&'v Value> {
    alert["extension"].as_array()?.iter().find(|e| e["url"].as_str().is_some_and(|url| url.ends_with(name)))
}

fn state(alert: &Value) -> &str {
    extension(alert, "/alert-lifecycle-state").and_then(|e| e["valueCode"].as_str()).unwrap_or("none")
}

/// Waits until everything is judged; the cursor is stored a second of the server's clock after the last commit.
pub(crate) async fn judged(app: &TestApp, clock: &Clock) {
    let head = app.state.store.log_head().await.unwrap();
    eventually("the alert engine has judged everything", || async {
        clock.advance(MINUTE / 600);
        (app.place.reader_position("alert").await >= head).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_that_comes_between_leaves_the_watch_as_it_is() {
    let by = Actor { system: "urn:vigia:user", id: "nora".into(), person: true };
    let acts = [
        (Act::Acknowledge { note: None }, "acknowledged", 2),
        (Act::Silence { reason: "x".into(), until: i64::MAX, critical: true }, "suppressed", 2),
        (Act::Escalate { reason: "x".into() }, "escalated", 2),
        (Act::Resolve { reason: "x".into() }, "resolved", 2),
    ];
    for (mut act, expected, version) in acts {
        let clock = Clock::fixed(Clock::default().now());
        if let Act::Silence { until, .. } = &mut act {
            *until = clock.now() + 60 * MINUTE;
        }
        let app = TestApp::on(Place::new().await, clock.clone(), |_| {}).await;
        let patient = app.admit("r1", "Vega").await;
        app.heart_rates(&patient, &[135, 136]).await;
        let alert = app.alert_becomes(&patient, "raised", |a| state(a) == "raised").await;
        judged(&app, &clock).await;
        let epoch = app.place.reader_epoch("alert").await;

        // The act is in the lane's hands when the engine concludes that nobody has answered.
        let held = app.place.hold_writes().await;
        let acted = apply(&alert, &act, &by, &Policy::default(), clock.now()).unwrap();
        let id = alert["id"].as_str().unwrap().to_owned();
        let intent = Intent::Update { resource: fhir_r4::check(acted).unwrap(), id, expect: Some(1) };
        let (pipeline, access) = (app.state.pipeline.clone(), Access::system("test"));
        let mut first = std::pin::pin!(pipeline.write(&access, intent));
        assert!(poll_fn(|context| Poll::Ready(first.as_mut().poll(context).is_pending())).await);
        let depth = || async { app.state.store.queue_depth() };
        eventually("the act is under way", || async { (depth().await == 0).then_some(()) }).await;
        clock.advance(2 * MINUTE);
        eventually("the engine concludes", || async { (depth().await > 0).then_some(()) }).await;
        held.release();
        assert_eq!(first.await.unwrap().version, 2);

        for minute in [1, 2] {
            app.upload(&heart_rate(&patient, 137, &minutes_from_now(minute))).await;
        }
        judged(&app, &clock).await;
        let now = app.alert_becomes(&patient, expected, |a| state(a) == expected).await;
        assert_eq!(now["meta"]["versionId"], version.to_string(), "{act:?}");
        assert_eq!(app.place.reader_epoch("alert").await, epoch, "the watch went on");
        app.stop().await;
    }
}

/// Heart rates one a minute, the first so many minutes from now.
async fn heart_rates(app: &TestApp, patient: &str, first: i64, values: &[u32]) {
    for (minute, value) in (first..).zip(values) {
        app.upload(&heart_rate(patient, *value, &minutes_from_now(minute))).await;
    }
}

fn why(alert: &Value) -> &str {
    extension(alert, "/alert-superseded-reason").and_then(|e| e["valueCode"].as_str()).unwrap_or("none")
}

const HEART_RATE: &str = "/fhir/PlanDefinition/limits-8867-4";

/// Lets the rule of the heart rate ask nothing of its high side.
fn without_high(plan: &mut Value) {
    let is_high = |e: &Value| e["extension"].as_array().is_some_and(|all| all.iter().any(|p| p["valueCode"] == "high"));
    plan["action"][0]["extension"].as_array_mut().unwrap().retain(|e| !is_high(e));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_no_longer_asks_is_put_an_end_to() {
    let app = TestApp::start().await;
    let (high, low) = (app.admit("r1", "Vega").await, app.admit("r2", "Luna").await);
    let gateway = app.gateway();
    heart_rates(&app, &high, -30, &[115, 116]).await;
    heart_rates(&app, &low, -30, &[45, 46]).await;
    let raised = app.alert_becomes(&high, "raised", |a| state(a) == "raised").await;
    app.alert_becomes(&low, "raised", |a| state(a) == "raised").await;

    // The same question in a new version: it goes on, under the version that raised it.
    let plan = gateway.get(HEART_RATE).await.expect(200).text();
    let mut plan: Value =
        serde_json::from_str(&plan.replace(r#""valueDecimal":131"#, r#""valueDecimal":125"#)).unwrap();
    plan["version"] = json!("2.0.0");
    gateway.put(HEART_RATE, &plan).await.expect(200);
    heart_rates(&app, &high, -28, &[126, 127]).await;
    let worse = app.alert_becomes(&high, "critical by the new limit", |a| a["severity"] == "high").await;
    assert_eq!((&worse["id"], &worse["reference"]), (&raised["id"], &raised["reference"]));

    // The high side is asked for no longer: what is low goes on.
    without_high(&mut plan);
    gateway.put(HEART_RATE, &plan).await.expect(200);
    let over = app.alert_becomes(&high, "superseded", |a| state(a) == "superseded").await;
    assert_eq!((why(&over), &over["status"]), ("rule-changed", &json!("final")));
    assert!(over["identifiedPeriod"]["end"].is_string());
    app.alert_becomes(&low, "still raised", |a| state(a) == "raised").await;

    // What ends while nobody watches is seen at the start.
    let app = TestApp::on(app.stop().await, Clock::default(), |config| config.alert.enabled = false).await;
    app.gateway().delete(HEART_RATE).await.expect(204);
    let app = TestApp::on(app.stop().await, Clock::default(), |_| {}).await;
    let over = app.alert_becomes(&low, "superseded", |a| state(a) == "superseded").await;
    assert_eq!(why(&over), "rule-retired");
    app.stop().await;
}

/// Closes the newest alert of a patient by hand.
async fn close(app: &TestApp, patient: &str) -> String {
    let alert = app.alerts(patient).await.remove(0);
    let id = alert["id"].as_str().unwrap().to_owned();
    let reason =
        json!({"resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": "known, for the night"}]});
    app.gateway().post(&format!("/fhir/DetectedIssue/{id}/$resolve"), &reason).await.expect(200);
    id
}

/// The states of all alerts of a patient, the oldest first.
async fn states(app: &TestApp, patient: &str) -> Vec<String> {
    let mut all = app.alerts(patient).await;
    all.sort_by_key(|alert| alert["id"].as_str().unwrap().to_owned());
    all.iter().map(|alert| state(alert).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_closed_stays_closed_until_it_is_over_or_worse() {
    let mut app = TestApp::start().await;
    let (known, worse) = (app.admit("r1", "Vega").await, app.admit("r2", "Luna").await);
    heart_rates(&app, &known, -40, &[135, 136]).await;
    heart_rates(&app, &worse, -40, &[115, 116]).await;
    for patient in [&known, &worse] {
        app.alert_becomes(patient, "raised", |a| state(a) == "raised").await;
        close(&app, patient).await;
    }
    // Less, as much again, and that over a restart: nothing that somebody had not seen.
    for (minute, values) in [(-38, [115, 116]), (-36, [137, 138]), (-34, [139, 140])] {
        heart_rates(&app, &known, minute, &values).await;
        heart_rates(&app, &worse, minute, &[117, 118]).await;
        app.judged().await;
        assert_eq!((states(&app, &known).await, states(&app, &worse).await.len()), (vec!["resolved".to_owned()], 1));
        app = TestApp::on(app.stop().await, Clock::default(), |_| {}).await;
    }
    let closed = app.alerts(&known).await.remove(0);
    assert!(extension(&closed, "/alert-condition-presence").is_some(), "{closed}");
    heart_rates(&app, &worse, -30, &[135, 136]).await;
    heart_rates(&app, &known, -30, &[80, 81]).await;
    app.judged().await;
    assert_eq!(states(&app, &worse).await, ["resolved", "raised"], "worse than when it was closed");
    let over = app.alerts(&known).await.remove(0);
    assert!(extension(&over, "/alert-condition-presence").is_none(), "its end is told: {over}");
    heart_rates(&app, &known, -28, &[115, 116]).await;
    app.judged().await;
    assert_eq!(states(&app, &known).await, ["resolved", "raised"], "back after it was over");
    app.stop().await;
}

/// Adds an extension of ours to the rule of the heart rate.
async fn extend_rule(app: &TestApp, name: &str, value: (&str, Value)) {
    let mut plan = app.gateway().get(HEART_RATE).await.expect(200).json();
    let extension = json!({"url": format!("{OURS}/StructureDefinition/{name}"), value.0: value.1});
    plan["action"][0]["extension"].as_array_mut().unwrap().push(extension);
    app.gateway().put(HEART_RATE, &plan).await.expect(200);
}

fn minutes(count: u32) -> (&'static str, Value) {
    ("valueDuration", json!({"value": count, "unit": "min", "system": "http://unitsofmeasure.org", "code": "min"}))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_soon_is_the_same_episode() {
    let mut app = TestApp::start().await;
    extend_rule(&app, "alert-regroup", minutes(5)).await;
    let (slow, fast) = (app.admit("r1", "Vega").await, app.admit("r2", "Luna").await);
    let readings = [115, 116, 80, 81, 115, 116, 80, 81, 82, 115, 116, 80, 81];
    // One reading a round, with restarts; and all in one round.
    for (minute, value) in (-40..).zip(readings) {
        heart_rates(&app, &slow, minute, &[value]).await;
        app.judged().await;
        if minute % 3 == 0 {
            app = TestApp::on(app.stop().await, Clock::default(), |_| {}).await;
        }
    }
    let all = (-40..).zip(readings).map(|(minute, value)| heart_rate(&fast, value, &minutes_from_now(minute)));
    app.upload(&all.collect()).await;
    app.judged().await;
    for patient in [&slow, &fast] {
        let alert = app.alert_becomes(patient, "over", |a| state(a) == "resolved").await;
        assert_eq!(extension(&alert, "/alert-episode-count").unwrap()["valueUnsignedInt"].to_string(), "3");
        heart_rates(&app, patient, -20, &[115, 116]).await;
    }
    app.judged().await;
    for patient in [&slow, &fast] {
        assert_eq!(states(&app, patient).await, ["resolved", "raised"], "later it is another one");
    }
    app.stop().await;
}
