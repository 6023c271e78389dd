//! The record of alerts after the past has changed, and what is refused before it could mislead: through the doors.

use std::sync::LazyLock;

use serde_json::{Value, json};
use vigia::clock::Clock;
use vigia::fhir::{OURS, time};

use crate::helpers::samples::{bundle, entry, observation};
use crate::helpers::{Client, TestApp, eventually, resources};

/// When these stories happen: one instant for all of them, so that a minute that ends meanwhile changes nothing.
static NOW: LazyLock<i64> = LazyLock::new(|| Clock::default().now());

fn at(minute: i64) -> String {
    time::instant(*NOW + minute * 60_000_000)
}

/// Puts a heart rate under an id of its own, so many minutes from now.
async fn put(gateway: &Client, patient: &str, minute: i64, value: u32, status: &str) {
    let id = format!("hr{}", minute.unsigned_abs());
    let mut reading = observation(patient, "8867-4", &value.to_string(), "/min", &at(minute));
    reading["id"] = json!(id);
    reading["status"] = json!(status);
    let written = gateway.put(&format!("/fhir/Observation/{id}"), &reading).await.status;
    assert!([200, 201].contains(&written), "{reading}: {written}");
}

/// `kind@minute` of every change of level that an alert tells; minutes from now.
fn told(alert: &Value) -> Vec<String> {
    let all = alert["extension"].as_array().unwrap().iter();
    let steps = all.filter(|e| e["url"].as_str().is_some_and(|url| url.ends_with("/alert-transition")));
    let part =
        |step: &Value, name: &str| step["extension"].as_array().unwrap().iter().find(|p| p["url"] == name).cloned();
    let word = |step: &Value| {
        let (kind, at) = (part(step, "kind").unwrap(), part(step, "at").unwrap());
        let passed = time::range(at["valueInstant"].as_str().unwrap()).unwrap().start - *NOW;
        // The server's times are cut to milliseconds.
        format!("{}@{}", kind["valueCode"].as_str().unwrap(), (passed + 1_000).div_euclid(60_000_000))
    };
    steps.map(word).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_a_corrected_and_a_retracted_reading_put_the_record_right() {
    let app = TestApp::start().await;
    let (id, gateway) = (app.admit("r1", "Vega").await, app.gateway());
    for (minute, value) in [(-40, 80), (-30, 115), (-20, 116), (-10, 117)] {
        put(&gateway, &id, minute, value, "final").await;
    }
    let raised = app.alert_becomes(&id, "raised", |a| told(a) == ["raise@-20"]).await;
    // One that comes late makes it begin earlier; the alert is the same one.
    put(&gateway, &id, -35, 118, "final").await;
    let earlier = app.alert_becomes(&id, "raised earlier", |a| told(a) == ["raise@-30"]).await;
    assert_eq!(earlier["id"], raised["id"]);
    // Two that are corrected end it in between, and what follows does not raise it again.
    put(&gateway, &id, -20, 82, "corrected").await;
    put(&gateway, &id, -10, 81, "corrected").await;
    let over = app.alert_becomes(&id, "over", |a| told(a) == ["raise@-30", "resolve@-10"]).await;
    assert_eq!((&over["id"], over["status"] == "final"), (&raised["id"], true));
    // Without the late one it never was.
    put(&gateway, &id, -35, 118, "entered-in-error").await;
    let never = app.alert_becomes(&id, "retracted", |a| a["status"] == "entered-in-error").await;
    assert_eq!(never["id"], raised["id"]);
    assert_eq!(app.alerts(&id).await.len(), 1, "one episode, one resource");
    app.stop().await;
}

/// Two readings beyond the limit at each of these minutes, normal ones each minute in between.
async fn hours(gateway: &Client, patient: &str, from: i64, beyond: &[i64]) {
    let value = |minute: i64| if beyond.iter().any(|at| (*at..=at + 1).contains(&minute)) { 115 } else { 80 };
    for minute in from..0 {
        put(gateway, patient, minute, value(minute), "final").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_far_back_leaves_alone_what_it_does_not_touch() {
    let app = TestApp::start().await;
    let (id, gateway) = (app.admit("r1", "Vega").await, app.gateway());
    hours(&gateway, &id, -150, &[-100, -40, -2]).await;
    let of = |alerts: &[Value], minute: i64| {
        let word = format!("raise@{minute}");
        let alert = alerts.iter().find(|alert| told(alert).contains(&word)).unwrap();
        (alert["id"].clone(), alert["meta"]["versionId"].clone(), told(alert))
    };
    let tells = async |steps: &[&str]| {
        eventually("an alert that tells this", || async {
            app.alerts(&id).await.into_iter().find(|a| told(a) == steps)
        })
        .await;
    };
    tells(&["raise@-1"]).await;
    let before = app.alerts(&id).await;
    // It goes on for a minute longer, and there was another one that nobody was told of.
    put(&gateway, &id, -98, 116, "corrected").await;
    put(&gateway, &id, -130, 117, "corrected").await;
    put(&gateway, &id, -129, 117, "corrected").await;
    tells(&["raise@-129", "resolve@-127"]).await;
    tells(&["raise@-99", "resolve@-96"]).await;
    let after = app.alerts(&id).await;
    assert_eq!((before.len(), after.len()), (3, 4));
    for untouched in [-39, -1] {
        assert_eq!(of(&before, untouched), of(&after, untouched));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_together_with_a_correction_of_a_later_reading_counts_too() {
    let app = TestApp::start().await;
    let (id, gateway) = (app.admit("r1", "Vega").await, app.gateway());
    put(&gateway, &id, -40, 115, "final").await;
    put(&gateway, &id, -10, 80, "final").await;
    app.judged().await;
    // One commit, one round: a reading that comes late, and a correction of a reading after it.
    let reading = |minute: i64, value: &str| observation(&id, "8867-4", value, "/min", &at(minute));
    let mut corrected = reading(-10, "82");
    corrected["id"] = json!("hr10");
    let entries = [entry("POST", "Observation", &reading(-30, "116")), entry("PUT", "Observation/hr10", &corrected)];
    gateway.post("/fhir", &bundle("transaction", &entries)).await.expect(200);
    app.alert_becomes(&id, "raised by the late one", |a| told(a) == ["raise@-30"]).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_patient_count_as_long_as_their_flag() {
    let app = TestApp::start().await;
    let (id, gateway) = (app.admit("r1", "Vega").await, app.gateway());
    let url = |name: &str| format!("{OURS}/StructureDefinition/{name}");
    let flag = json!({
        "resourceType": "Flag", "status": "active", "subject": {"reference": format!("Patient/{id}")},
        "code": {"coding": [{"system": format!("{OURS}/CodeSystem/alert-flag"), "code": "alert-limits"}]},
        "author": {"display": "Dr. Soto", "reference": "Practitioner/soto"},
        "period": {"start": at(-60), "end": at(60)},
        "extension": [
            {"url": url("alert-reason"), "valueString": "an athlete's heart"},
            {"url": url("alert-rule"), "valueCanonical": format!("{OURS}/PlanDefinition/limits-8867-4")},
            {"url": url("alert-limit"), "extension": [
                {"url": "side", "valueCode": "low"}, {"url": "level", "valueCode": "warning"},
                {"url": "comparator", "valueCode": "<="}, {"url": "value", "valueDecimal": 35}]}
        ]
    });
    for (gone, place) in [("author", "Flag.author"), ("period", "Flag.period.end"), ("extension", "Flag.extension")] {
        let mut bad = flag.clone();
        bad.as_object_mut().unwrap().remove(gone);
        let refused = gateway.post("/fhir/Flag", &bad).await.expect(400).json();
        assert_eq!(refused["issue"][0]["expression"][0], place, "{refused}");
    }
    gateway.post("/fhir/Flag", &flag).await.expect(201);
    for (minute, value) in [(-30, 42), (-29, 41), (-28, 120), (-27, 121)] {
        put(&gateway, &id, minute, value, "final").await;
    }
    // The low side is the patient's, the high side still the rule's.
    app.alert_becomes(&id, "high", |a| a["code"]["coding"][0]["code"] == "threshold-high").await;
    assert_eq!(app.alerts(&id).await.len(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_could_not_be_obeyed_is_refused_and_the_others_stay() {
    let app = TestApp::start().await;
    let (id, gateway) = (app.admit("r1", "Vega").await, app.gateway());
    let address = "/fhir/PlanDefinition/limits-8867-4";
    let mut plan = gateway.get(address).await.expect(200).json();
    plan["action"][0]["extension"][0]["valueCode"] = json!(7);
    let refused = gateway.put(address, &plan).await;
    assert!([400, 422].contains(&refused.status), "{}", refused.text());
    assert!(refused.text().contains("PlanDefinition.action[0].extension[0]"), "{}", refused.text());
    for (minute, value) in [(-30, 120), (-29, 121)] {
        put(&gateway, &id, minute, value, "final").await;
    }
    app.alert_becomes(&id, "raised by the rule that stands", |a| told(a) == ["raise@-29"]).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_score_is_told_complete_or_says_what_is_missing() {
    let app = TestApp::start().await;
    let (id, gateway) = (app.admit("r1", "Vega").await, app.gateway());
    let then = at(-30);
    let vital = [("9279-1", "25", "/min"), ("59408-5", "91", "%"), ("8867-4", "95", "/min"), ("8310-5", "38.5", "Cel")];
    for (code, value, unit) in vital {
        let mut reading = observation(&id, code, value, unit, &then);
        if code == "59408-5" {
            let loinc = json!({"system": "http://loinc.org", "code": "2708-6"});
            reading["code"]["coding"].as_array_mut().unwrap().push(loinc);
        }
        gateway.post("/fhir/Observation", &reading).await.expect(201);
    }
    let query =
        format!("/fhir/Observation?patient={id}&code=https://vigia.dev/fhir/CodeSystem/score|news2&_sort=-date");
    let missing = eventually("an incomplete score", || async {
        resources(&gateway.get(&query).await.expect(200).json()).into_iter().next()
    })
    .await;
    assert!(missing.get("valueQuantity").is_none(), "{missing}");
    assert!(missing["dataAbsentReason"]["text"].as_str().unwrap().contains("systolic"), "{missing}");
    let then = at(-20);
    let members: Vec<Value> = [("8480-6", 105), ("8462-4", 70)]
        .map(|(code, value)| {
            json!({
                "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
                "valueQuantity": {"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
            })
        })
        .into();
    let pressure = json!({
        "resourceType": "Observation", "status": "final", "effectiveDateTime": then,
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
        "subject": {"reference": format!("Patient/{id}")},
        "component": members
    });
    gateway.post("/fhir/Observation", &pressure).await.expect(201);
    let coma = json!({
        "resourceType": "Observation", "status": "final", "effectiveDateTime": then,
        "code": {"coding": [{"system": "http://loinc.org", "code": "9269-2"}]},
        "subject": {"reference": format!("Patient/{id}")},
        "valueQuantity": {"value": 15, "unit": "{score}", "system": "http://unitsofmeasure.org", "code": "{score}"}
    });
    gateway.post("/fhir/Observation", &coma).await.expect(201);
    // Breaths 3, saturation 3, temperature 1, pressure 1, heart rate 1.
    let alert = app.alert_becomes(&id, "NEWS2 is high", |a| a["code"]["coding"][1]["code"] == "news2").await;
    assert_eq!(alert["severity"], "high");
    let score = gateway
        .get(&format!("/fhir/{}", alert["implicated"][0]["reference"].as_str().unwrap()))
        .await
        .expect(200)
        .json();
    assert_eq!(score["valueQuantity"]["value"].to_string(), "9", "{score}");
    assert_eq!(score["derivedFrom"].as_array().unwrap().len(), 6, "{score}");
    app.stop().await;
}
