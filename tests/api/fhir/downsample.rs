//! `Observation/$downsample`: waveforms and series with few points.

use serde_json::{Value, json};

use crate::helpers::samples::{LOINC, UCUM, observation};
use crate::helpers::{Client, TestApp};

const MDC: &str = "urn:iso:std:iso:11073:10101";

/// A second of an electrocardiogram with two leads at 100 Hz, and a spike in its middle.
fn ecg(patient: &str, second: u32, spike: i32) -> Value {
    let lead = |code: &str, sign: i32| {
        let samples = (0..100).map(|n| if n == 50 { sign * spike } else { sign * (n % 10) });
        let data = samples.map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        json!({"code": {"coding": [{"system": MDC, "code": code}]}, "valueSampledData": {
            "origin": {"value": 0, "unit": "mV", "system": UCUM, "code": "mV"}, "period": 10, "factor": 0.005,
            "dimensions": 1, "data": data}})
    };
    let mut sent = observation(patient, "8867-4", "0", "/min", &format!("2026-03-01T00:00:{second:02}Z"));
    sent.as_object_mut().unwrap().remove("valueQuantity");
    sent["code"] = json!({"coding": [{"system": MDC, "code": "131328"}]});
    sent["component"] = json!([lead("131329", 1), lead("131330", -1)]);
    sent
}

/// Of each series its code, its period in ms and its data.
async fn drawn(client: &Client, query: &str) -> Vec<String> {
    let answer = client.get(&format!("/fhir/Observation/$downsample?{query}")).await.expect(200).json();
    let series = answer["parameter"].as_array().cloned().unwrap_or_default();
    let line = |parameter: &Value| {
        let (own, sampled) = (&parameter["resource"], &parameter["resource"]["valueSampledData"]);
        assert_eq!((&own["resourceType"], &sampled["dimensions"]), (&json!("Observation"), &json!(2)));
        let code = own["code"]["coding"][0]["code"].as_str().unwrap();
        format!("{code} {} {}: {}", sampled["origin"]["unit"], sampled["period"], sampled["data"].as_str().unwrap())
    };
    series.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn extremes_are_kept_and_gaps_stay_gaps() {
    let app = TestApp::start().await;
    let (gateway, p) = (app.gateway(), app.admit("m1", "Vega").await);
    let mut ids = vec![];
    for (second, spike) in [(0, 300), (1, 20), (5, -40)] {
        let reply = gateway.post("/fhir/Observation", &ecg(&p, second, spike)).await.expect(201).json();
        let sent = ecg(&p, second, spike);
        assert_eq!(reply["component"], sent["component"], "what was packed comes back as it was sent");
        ids.push(reply["id"].as_str().unwrap().to_owned());
    }
    for (minute, value) in [(0, "60"), (1, "91.5"), (1, "70"), (3, "80")] {
        let reading = observation(&p, "8867-4", value, "/min", &format!("2026-03-01T01:{minute:02}:00Z"));
        gateway.post("/fhir/Observation", &reading).await.expect(201);
    }
    let ecg_time = "start=2026-03-01T00:00:00Z&end=2026-03-01T00:00:05Z";
    let rates = "start=2026-03-01T01:00:00Z&end=2026-03-01T01:03:59Z&points=4";
    for (query, expected) in [
        (
            format!("code=131328&{ecg_time}&points=3"),
            vec![r#"131329 "mV" 2000: 0 1.5 E E -0.2 0.045"#, r#"131330 "mV" 2000: -1.5 0 E E -0.045 0.2"#],
        ),
        (format!("code=131330&system={MDC}&{ecg_time}&points=2"), vec![r#"131330 "mV" 3000: -1.5 0 -0.045 0.2"#]),
        (
            // Points of less than a second: the samples themselves are read.
            "code=131329&start=2026-03-01T00:00:00.400Z&end=2026-03-01T00:00:00.599Z&points=2".to_owned(),
            vec![r#"131329 "mV" 100: 0 0.045 0.005 1.5"#],
        ),
        (format!("code=8867-4&system={LOINC}&{rates}"), vec![r#"8867-4 "/min" 60000: 60 60 70 91.5 E E 80 80"#]),
        (format!("code=8310-5&{rates}"), vec![]),
        (format!("code=131328&{rates}"), vec![]),
    ] {
        assert_eq!(drawn(&gateway, &format!("subject=Patient/{p}&{query}")).await, expected, "{query}");
    }

    // What was entered in error, or deleted, is not drawn.
    let mut wrong = gateway.get(&format!("/fhir/Observation/{}", ids[0])).await.expect(200).json();
    wrong["status"] = "entered-in-error".into();
    gateway.put(&format!("/fhir/Observation/{}", ids[0]), &wrong).await.expect(200);
    app.administrator().await.delete(&format!("/fhir/Observation/{}", ids[1])).await;
    let left = drawn(&gateway, &format!("subject=Patient/{p}&code=131329&{ecg_time}&points=1")).await;
    assert_eq!(left, [r#"131329 "mV" 6000: -0.2 0.045"#]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_cannot_be_answered_name_the_place() {
    let app = TestApp::start().await;
    let (gateway, p) = (app.gateway(), app.admit("m1", "Vega").await);
    let time = "start=2026-03-01T00:00:00Z&end=2026-03-01T00:00:05Z";
    for (query, place) in [
        (format!("code=1&{time}"), "http.subject"),
        (format!("subject=Patient/{p}&{time}"), "http.code"),
        (format!("subject=Patient/{p}&code=1"), "http.period"),
        (format!("subject=Patient/{p}&code=1&end=2026"), "http.start"),
        (format!("subject=Patient/{p}&code=1&start=yesterday"), "http.start"),
        (format!("subject=Patient/{p}&code=1&start=2026-03-02&end=2026-03-01"), "http.period"),
        (format!("subject=Patient/{p}&code=1&{time}&duration=3"), "http.start"),
        (format!("subject=Patient/{p}&code=1&{time}&points=0"), "http.points"),
        (format!("subject=Patient/{p}&code=1&{time}&colour=red"), "http.colour"),
    ] {
        let reply = gateway.get(&format!("/fhir/Observation/$downsample?{query}")).await.expect(400);
        assert!(reply.text().contains(&format!("\"{place}\"")), "{query}: {}", reply.text());
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_see_one_patient_sees_the_waves_of_no_other() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let (p, q) = (app.admit("m1", "Vega").await, app.admit("m2", "Luna").await);
    gateway.post("/fhir/Observation", &ecg(&p, 0, 1)).await.expect(201);
    let own = app.patient_app("patient/*.rs", &q);
    let time = "code=131329&start=2026-03-01T00:00:00Z&end=2026-03-01T00:00:05Z&points=1";
    assert!(drawn(&own, &format!("subject=Patient/{p}&{time}")).await.is_empty());
    assert!(drawn(&own, time).await.is_empty());
    assert_eq!(drawn(&app.patient_app("patient/*.rs", &p), time).await.len(), 1);
    app.stop().await;
}
