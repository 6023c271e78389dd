//! Rules on trial: what they would have raised is what they raise, and a trial leaves no trace.

use serde_json::{Value, json};

use crate::helpers::samples::{heart_rate, observation};
use crate::helpers::{Client, TestApp, minutes_from_now, resources};

fn parameter<'v>(answer: &'v Value, name: &str) -> Vec<&'v Value> {
    answer["parameter"].as_array().unwrap().iter().filter(|parameter| parameter["name"] == name).collect()
}

fn part<'v>(parameter: &'v Value, name: &str) -> &'v Value {
    parameter["part"].as_array().unwrap().iter().find(|part| part["name"] == name).unwrap_or(&Value::Null)
}

fn transitions(alert: &Value) -> Vec<Value> {
    let all = alert["extension"].as_array().unwrap().iter();
    all.filter(|e| e["url"].as_str().unwrap().ends_with("/alert-transition")).cloned().collect()
}

/// What a back-test and live evaluation must agree on. Not the identifier: an episode that was told while readings
/// were still to come keeps the one that it got by the reading that raised it then.
fn told(alert: &Value) -> Value {
    json!([
        alert["patient"]["reference"],
        alert["reference"],
        alert["code"],
        alert["severity"],
        alert["identifiedPeriod"],
        alert["detail"],
        transitions(alert)
    ])
}

fn sorted(mut all: Vec<Value>) -> Vec<Value> {
    all.sort_by_key(ToString::to_string);
    all
}

async fn heart_rates(app: &TestApp, patient: &str, values: &[(i64, u32)]) {
    for (minute, value) in values {
        app.upload(&heart_rate(patient, *value, &minutes_from_now(*minute))).await;
    }
}

fn period(from: i64, to: i64) -> String {
    format!("start={}&end={}", minutes_from_now(from), minutes_from_now(to))
}

async fn back_test(client: &Client, query: &str) -> Value {
    client.get(&format!("/fhir/PlanDefinition/$back-test?{query}")).await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_test_says_what_was_said_live() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let (ana, eva) = (app.admit("r1", "Vega").await, app.admit("r2", "Luna").await);
    let wave = [80, 115, 116, 135, 136, 90, 88, 85, 84, 5, 80, 45, 44, 38, 37, 60, 70, 70];
    let readings: Vec<(i64, u32)> = (-14..).zip(wave).collect();
    heart_rates(&app, &ana, &readings).await;
    // In another order, each within its time.
    heart_rates(&app, &eva, &[(-9, 80), (-5, 120), (-7, 130), (-6, 132), (-3, 70), (-4, 121), (-2, 71)]).await;
    for (minute, value) in [(-6, "39.0"), (-4, "38.6")] {
        let reading = observation(&eva, "8310-5", value, "Cel", &minutes_from_now(minute));
        gateway.post("/fhir/Observation", &reading).await.expect(201);
    }
    app.judged().await;
    let mut live = app.alerts(&ana).await;
    live.extend(app.alerts(&eva).await);
    assert!(live.len() >= 5, "{}", live.len());
    let answer = back_test(&gateway, &format!("{}&episodes=1000", period(-60, 10))).await;
    let tried: Vec<Value> =
        parameter(&answer, "episode").into_iter().map(|episode| episode["resource"].clone()).collect();
    assert_eq!(sorted(tried.iter().map(told).collect()), sorted(live.iter().map(told).collect()));
    assert_eq!(part(parameter(&answer, "total")[0], "raises")["valueInteger"].as_u64(), u64::try_from(live.len()).ok());
    let own = back_test(&gateway, &format!("{}&patient={ana}&rule=limits-8867-4", period(-60, 10))).await;
    assert_eq!(part(parameter(&own, "total")[0], "raises")["valueInteger"], app.alerts(&ana).await.len());
    for episode in parameter(&own, "episode") {
        let seen = episode["resource"]["evidence"][0]["detail"][0]["reference"].as_str().unwrap();
        gateway.get(&format!("/fhir/{seen}")).await.expect(200);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_held_against_the_one_in_force() {
    let app = TestApp::start().await;
    let (id, gateway) = (app.admit("r1", "Vega").await, app.gateway());
    heart_rates(&app, &id, &[(-9, 105), (-8, 106), (-7, 80), (-6, 80), (-5, 120), (-4, 121), (-3, 80), (-2, 80)]).await;
    app.judged().await;
    let mut plan = gateway.get("/fhir/PlanDefinition/limits-8867-4").await.expect(200).json();
    let limits = plan["action"][0]["extension"].as_array_mut().unwrap();
    let warning = limits
        .iter_mut()
        .find(|e| e.to_string().contains("\"high\"") && e.to_string().contains("\"warning\""))
        .unwrap();
    let value = warning["extension"].as_array_mut().unwrap().iter_mut().find(|part| part["url"] == "value").unwrap();
    value["valueDecimal"] = json!(101);
    let head = app.state.store.log_head().await.unwrap();
    let asked = json!({"resourceType": "Parameters", "parameter": [
        {"name": "rule", "resource": plan}, {"name": "compare", "valueString": "active"},
        {"name": "start", "valueDateTime": minutes_from_now(-60)}, {"name": "end", "valueDateTime": minutes_from_now(1)}]});
    let answer = gateway.post("/fhir/PlanDefinition/$back-test", &asked).await.expect(200).json();
    let compared = parameter(&answer, "compared")[0];
    let counts = ["both", "onlyHere", "onlyThere"].map(|name| part(compared, name)["valueInteger"].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 0], "{answer}");
    // Minutes before midnight UTC are another day.
    let days = parameter(&answer, "patientDays")[0]["valueInteger"].as_u64().unwrap();
    let rate = if days == 1 { "2.0" } else { "1.0" };
    assert_eq!(part(parameter(&answer, "rule")[0], "perPatientDay")["valueDecimal"].to_string(), rate);
    assert_eq!(app.state.store.log_head().await.unwrap(), head, "nothing is stored");
    assert_eq!(app.alerts(&id).await.len(), 1);
    plan["action"][0]["extension"][0]["valueCode"] = json!(7);
    let asked = json!({"resourceType": "Parameters", "parameter": [{"name": "rule", "resource": plan},
        {"name": "start", "valueString": "2026"}, {"name": "end", "valueString": "2026"}]});
    let refused = gateway.post("/fhir/PlanDefinition/$back-test", &asked).await;
    assert!(
        [400, 422].contains(&refused.status) && refused.text().contains("PlanDefinition.action[0].extension[0]"),
        "{}",
        refused.text()
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_that_are_only_brought_are_judged_and_not_kept() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let entry = |minute: i64, value: u32| {
        let reading = observation("x", "8867-4", &value.to_string(), "/min", &minutes_from_now(minute));
        let mut reading = reading;
        reading["subject"] = json!({"reference": "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7"});
        json!({"resource": reading})
    };
    let patient = json!({"fullUrl": "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7", "resource": {"resourceType": "Patient", "birthDate": "1950-01-01"}});
    let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": [patient, entry(-3, 140), entry(-5, 80), entry(-4, 135), entry(-2, 141)]});
    let head = app.state.store.log_head().await.unwrap();
    let answer = gateway.post("/fhir/PlanDefinition/limits-8867-4/$dry-run", &bundle).await.expect(200).json();
    let episodes = parameter(&answer, "episode");
    assert_eq!(episodes.len(), 1, "{answer}");
    let alert = &episodes[0]["resource"];
    fhir_r4::check(alert.clone()).unwrap();
    let kinds: Vec<_> = transitions(alert).iter().map(|t| t["extension"][0]["valueCode"].clone()).collect();
    assert_eq!((&alert["severity"], kinds), (&json!("high"), vec![json!("raise")]));
    assert_eq!(app.state.store.log_head().await.unwrap(), head, "nothing is stored");
    assert!(resources(&gateway.get("/fhir/DetectedIssue").await.expect(200).json()).is_empty());

    let asked = |rule: Value, readings: Value| json!({"resourceType": "Parameters", "parameter": [{"name": "rule", "resource": rule}, {"name": "readings", "resource": readings}]});
    let plan = gateway.get("/fhir/PlanDefinition/limits-8867-4").await.expect(200).json();
    let wrong_reading = json!({"resourceType": "Bundle", "type": "collection", "entry": [entry(-3, 140), {"resource": {"resourceType": "Observation", "status": "late"}}]});
    let stranger = json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {"resourceType": "Basic", "code": {"text": "x"}}}]});
    let table = [
        (asked(json!({"resourceType": "PlanDefinition", "status": "active"}), bundle.clone()), "PlanDefinition.action"),
        (asked(plan.clone(), wrong_reading), "Bundle.entry[1].resource.status"),
        (asked(plan.clone(), stranger), "Bundle.entry[0].resource"),
        (asked(plan.clone(), json!({"resourceType": "Patient"})), "http.readings"),
        (json!({"resourceType": "Parameters", "parameter": [{"name": "rule", "resource": plan}]}), "http.readings"),
    ];
    for (body, place) in table {
        let refused = gateway.post("/fhir/PlanDefinition/$dry-run", &body).await;
        assert!([400, 422].contains(&refused.status) && refused.text().contains(place), "{place}: {}", refused.text());
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_see_one_patient_tries_rules_on_that_one() {
    let app = TestApp::start().await;
    let (ana, eva) = (app.admit("r1", "Vega").await, app.admit("r2", "Luna").await);
    heart_rates(&app, &ana, &[(-3, 140), (-2, 141)]).await;
    app.judged().await;
    let scope = "patient/Observation.rs patient/DetectedIssue.rs patient/Encounter.rs system/PlanDefinition.rs";
    let own = app.patient_app(scope, &ana);
    let query = period(-60, 1);
    let answer = back_test(&own, &format!("{query}&patient={ana}&rule=limits-8867-4")).await;
    assert_eq!(parameter(&answer, "episode").len(), 1, "{answer}");
    for (client, query, status) in [
        (&own, query.clone(), 403),
        (&own, format!("{query}&patient={eva}"), 403),
        (&own, format!("{query}&ward=Location/icu"), 403),
        (&app.anonymous(), query.clone(), 401),
        (&app.machine("system/Patient.rs"), query.clone(), 403),
        (&app.gateway(), "start=2026-01-02&end=2026-01-01".to_owned(), 400),
        (&app.gateway(), "end=2026-01-01".to_owned(), 400),
        (&app.gateway(), format!("{query}&rule=nothing"), 404),
        (&app.gateway(), format!("{query}&rule=http://nothing"), 400),
        (&app.gateway(), format!("{query}&ward=icu"), 400),
        (&app.gateway(), format!("{query}&other=1"), 400),
    ] {
        client.get(&format!("/fhir/PlanDefinition/$back-test?{query}")).await.expect(status);
    }
    app.stop().await;
}
