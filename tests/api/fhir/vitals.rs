//! `Patient/[id]/$vitals-summary`: what days of readings say, and who may know it.

use serde_json::{Value, json};

use crate::helpers::samples::{LOINC, UCUM, observation};
use crate::helpers::{Client, TestApp};

fn at(day: u32, hour: u32) -> String {
    format!("2026-03-{day:02}T{hour:02}:00:00Z")
}

fn rate(patient: &str, value: u32, time: &str) -> Value {
    observation(patient, "8867-4", &value.to_string(), "/min", time)
}

fn pressure(patient: &str, systolic: u32, time: &str) -> Value {
    let component = |code: &str, value: u32| {
        json!({"code": {"coding": [{"system": LOINC, "code": code}]},
            "valueQuantity": {"value": value, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}})
    };
    let mut panel = observation(patient, "85354-9", "0", "mm[Hg]", time);
    panel.as_object_mut().unwrap().remove("valueQuantity");
    panel["component"] = json!([component("8480-6", systolic), component("8462-4", 70)]);
    panel
}

/// The value of a part, short.
fn value(part: &Value) -> String {
    let (_, value) = part.as_object().unwrap().iter().find(|(name, _)| name.starts_with("value")).unwrap();
    match value {
        Value::Object(quantity) if quantity.contains_key("value") => {
            format!("{} {}", quantity["value"], quantity.get("code").map_or("-", |code| code.as_str().unwrap()))
        }
        Value::Object(concept) if concept.contains_key("coding") => {
            concept["coding"][0]["code"].as_str().unwrap().to_owned()
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The parts at a path of names, each as its value or as the values of its own parts.
fn parts(summary: &Value, path: &str) -> Vec<String> {
    let mut found = vec![summary];
    for name in path.split('.') {
        let own = |part: &&'_ Value| part["name"] == name;
        found = found.into_iter().flat_map(|p| p["part"].as_array().unwrap().iter().filter(own)).collect();
    }
    let all = |part: &Value| match part.get("part") {
        Some(parts) => parts
            .as_array()
            .unwrap()
            .iter()
            .filter(|p| p.get("part").is_none())
            .map(value)
            .collect::<Vec<_>>()
            .join(" | "),
        None => value(part),
    };
    found.into_iter().map(all).collect()
}

async fn asked(client: &Client, patient: &str, query: &str) -> Value {
    client.get(&format!("/fhir/Patient/{patient}/$vitals-summary?{query}")).await.expect(200).json()
}

fn summaries(answer: &Value) -> Vec<Value> {
    let all = answer["parameter"].as_array().unwrap();
    all.iter().filter(|parameter| parameter["name"] == "summary").cloned().collect()
}

/// `code: readings, mean` of each summary.
async fn means(client: &Client, patient: &str, query: &str) -> Vec<String> {
    let line = |summary: &Value| {
        format!("{}: {} {}", parts(summary, "code")[0], parts(summary, "count")[0], parts(summary, "mean").join(""))
    };
    summaries(&asked(client, patient, query).await).iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_those_worked_out_by_hand() {
    let app = TestApp::start().await;
    let (gateway, p) = (app.gateway(), app.admit("m1", "Vega").await);
    let q = app.admit("m2", "Luna").await;
    let mut readings = vec![rate(&q, 200, &at(1, 8))];
    // Four days at 08:00 and 20:00, one beat more each day; nothing in the evening of the third.
    for day in 1..=4 {
        readings.push(rate(&p, 60 + day, &at(day, 8)));
        if day != 3 {
            readings.push(rate(&p, 80 + day, &at(day, 20)));
        }
        readings.push(pressure(&p, 120, &at(day, 12)));
        readings.push(pressure(&p, 102, &at(day, 23)));
    }
    // A sensor that is off, a mistake, a test, a bound, and 98.6 °F.
    readings.push(rate(&p, 0, &at(2, 9)));
    let mut wrong = rate(&p, 300, &at(2, 10));
    wrong["status"] = "entered-in-error".into();
    let mut test = rate(&p, 300, &at(2, 11));
    test["meta"] = json!({"tag": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}]});
    let mut below = rate(&p, 20, &at(2, 12));
    below["valueQuantity"]["comparator"] = "<".into();
    readings.extend([wrong, test, below, observation(&p, "8310-5", "98.6", "[degF]", &at(1, 8))]);
    // Five-minute glucose: 100 for half an hour, then 200.
    for (minute, glucose) in [(0, "100"), (15, "100"), (30, "200"), (45, "200")] {
        let mut reading = observation(&p, "99504-3", glucose, "mg/dL", &format!("2026-03-01T10:{minute:02}:00Z"));
        reading["category"][0]["coding"][0]["code"] = "laboratory".into();
        readings.push(reading);
    }
    let mut laboratory = observation(&p, "718-7", "13", "g/dL", &at(1, 8));
    laboratory["category"][0]["coding"][0]["code"] = "laboratory".into();
    readings.push(laboratory);
    for reading in &readings {
        gateway.post("/fhir/Observation", reading).await.expect(201);
    }
    let period = "start=2026-03-01&end=2026-03-04";
    let answer = asked(&gateway, &p, period).await;
    fhir_r4::check(answer.clone()).unwrap();
    assert_eq!(answer["parameter"][0]["valueReference"]["reference"], format!("Patient/{p}"));
    assert_eq!(
        answer["parameter"][1]["valuePeriod"],
        json!({"start": "2026-03-01T00:00:00.000Z", "end": "2026-03-04T23:59:59.999Z"})
    );
    let all = [
        "8310-5: 1 37 Cel",
        "8462-4: 8 70 mm[Hg]",
        "8480-6: 8 111 mm[Hg]",
        "8867-4: 7 71 /min",
        "99504-3: 4 150 mg/dL",
    ];
    assert_eq!(means(&gateway, &p, period).await, all, "what is a vital sign");
    let summary = summaries(&asked(&gateway, &p, &format!("{period}&code={LOINC}|8867-4")).await).remove(0);
    for (path, expected) in [
        ("unit", vec!["/min"]),
        ("implausible", vec!["1"]),
        ("median", vec!["64 /min"]),
        ("minimum", vec!["61 /min"]),
        ("maximum", vec!["84 /min"]),
        ("first", vec!["2026-03-01T08:00:00.000Z"]),
        ("last", vec!["2026-03-04T20:00:00.000Z"]),
        (
            "profile",
            vec![
                "08:00:00 | 60 | 4 | 61.15 /min | 61.75 /min | 62.5 /min | 63.25 /min | 63.85 /min",
                "20:00:00 | 60 | 3 | 81.1 /min | 81.5 /min | 82 /min | 83 /min | 83.8 /min",
            ],
        ),
        ("range.known-time", vec!["0 h"]),
        ("range.band.readings", vec!["0", "0", "7", "0", "0"]),
        ("range.band.from", vec!["40 /min", "50 /min", "111 /min", "131 /min"]),
        ("trend.slope", vec!["1 (/min)/d"]),
        ("habits.days", vec!["4"]),
        ("habits.usual-per-day", vec!["2"]),
        ("habits.days-without", vec!["0"]),
        ("habits.usual-time.missed", vec!["0", "1"]),
        ("habits.usual-time.missed-day", vec!["2026-03-03"]),
        ("day.date", vec!["2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04"]),
        ("day.median", vec!["71 /min", "72 /min", "63 /min", "74 /min"]),
        ("dipping", vec![]),
    ] {
        assert_eq!(parts(&summary, path), expected, "{path}");
    }
    for (query, path, expected) in [
        // 23:00 is night; 18 of 120.
        ("code=8480-6", "dipping", vec!["22:00-06:00 | 120 mm[Hg] | 4 | 102 mm[Hg] | 4 | 15 % | dipper | false"]),
        ("code=8480-6&night=11-13", "dipping.class", vec!["reverse-dipper"]),
        ("code=8480-6&night=0-6", "dipping", vec![]),
        // Two hours east the night's reading is of the next morning.
        ("code=8480-6&offset=%2B02:00", "dipping.class", vec!["dipper"]),
        ("code=8867-4&offset=-09:00", "day.date", vec!["2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04"]),
        ("code=99504-3&timezone=America/New_York", "profile.start", vec!["05:00:00"]),
        ("code=99504-3", "variability", vec!["57.735 mg/dL | 38.49 % | 6.898 %"]),
        ("code=99504-3", "range.band.name", vec!["very-low", "low", "in-range", "high", "very-high"]),
        ("code=99504-3", "range.band.time", vec!["0 h", "0 h", "0.5 h", "0.25 h", "0 h"]),
        ("code=99504-3", "range.band.time-share", vec!["0 %", "0 %", "66.6667 %", "33.3333 %", "0 %"]),
        ("code=99504-3&slot=30", "profile.start", vec!["10:00:00", "10:30:00"]),
        ("code=8310-5", "variability", vec![]),
    ] {
        let answer = asked(&gateway, &p, &format!("{period}&{query}")).await;
        assert_eq!(parts(&summaries(&answer)[0], path), expected, "{query} {path}");
    }
    // The same in a body, of some codes, one of which there is nothing of.
    let body = json!({"resourceType": "Parameters", "parameter": [
        {"name": "period", "valuePeriod": {"start": at(1, 8), "end": at(2, 1)}},
        {"name": "code", "valueString": "8867-4"}, {"name": "code", "valueString": format!("{LOINC}|29463-7")},
        {"name": "offset", "valueString": "+00:00"}]});
    let answer = gateway.post(&format!("/fhir/Patient/{p}/$vitals-summary"), &body).await.expect(200).json();
    fhir_r4::check(answer.clone()).unwrap();
    let counts: Vec<String> = summaries(&answer).iter().map(|s| parts(s, "count").join("")).collect();
    assert_eq!(counts, ["4", "0"], "whole days");
    assert_eq!(summaries(&asked(&gateway, &p, "start=2025-03-01&end=2025-03-02").await).len(), 0);
    access(&app, &p, &q).await;
    app.stop().await;
}

async fn access(app: &TestApp, p: &str, q: &str) {
    let query = "start=2026-03-01&end=2026-03-04&code=8867-4";
    let own = app.patient_app("patient/Observation.rs", p);
    assert_eq!(means(&own, p, query).await, ["8867-4: 7 71 /min"]);
    for (client, of, status) in [
        (&own, q, 404),
        (&own, "nobody", 404),
        (&app.gateway(), "nobody", 404),
        (&app.patient_app("patient/Patient.rs", p), p, 403),
        (&app.patient_app("patient/Observation.r", p), p, 403),
        (&app.machine("system/Patient.rs"), p, 403),
        (&app.anonymous(), p, 401),
    ] {
        client.get(&format!("/fhir/Patient/{of}/$vitals-summary?{query}")).await.expect(status);
    }
    let others = app.machine("system/Observation.rs");
    assert_eq!(means(&others, q, query).await, ["8867-4: 1 200 /min"]);
    assert_eq!(means(&others, "nobody", query).await, ["8867-4: 0 "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_follows_every_write() {
    let app = TestApp::start().await;
    let (gateway, p) = (app.gateway(), app.admit("m1", "Vega").await);
    let q = app.admit("m2", "Luna").await;
    let query = "start=2026-03-01&end=2026-03-05&code=8867-4";
    let put = async |id: &str, mut reading: Value| {
        reading["id"] = id.into();
        let reply = gateway.put(&format!("/fhir/Observation/{id}"), &reading).await;
        assert!([200, 201].contains(&reply.status), "{}", reply.status);
    };
    put("a", rate(&p, 60, &at(1, 8))).await;
    put("b", rate(&p, 70, &at(2, 8))).await;
    assert_eq!(means(&gateway, &p, query).await, ["8867-4: 2 65 /min"]);
    // A new one, late, on a day that is held and on one that is held as empty.
    put("c", rate(&p, 80, &at(1, 7))).await;
    assert_eq!(means(&gateway, &p, query).await, ["8867-4: 3 70 /min"]);
    put("d", rate(&p, 90, &at(4, 7))).await;
    assert_eq!(means(&gateway, &p, query).await, ["8867-4: 4 75 /min"]);
    // Corrected to another day, given to another patient, taken back, deleted, and there again.
    let mut moved = rate(&p, 64, &at(3, 8));
    moved["status"] = "corrected".into();
    put("d", moved).await;
    let answer = asked(&gateway, &p, query).await;
    assert_eq!(parts(&summaries(&answer)[0], "day.mean"), ["70 /min", "70 /min", "64 /min"]);
    assert_eq!(means(&gateway, &q, query).await, ["8867-4: 0 "]);
    put("d", rate(&q, 64, &at(3, 8))).await;
    assert_eq!(means(&gateway, &p, query).await, ["8867-4: 3 70 /min"]);
    assert_eq!(means(&gateway, &q, query).await, ["8867-4: 1 64 /min"]);
    let mut back = rate(&p, 80, &at(1, 7));
    back["status"] = "entered-in-error".into();
    put("c", back).await;
    assert_eq!(means(&gateway, &p, query).await, ["8867-4: 2 65 /min"]);
    gateway.delete("/fhir/Observation/b").await;
    assert_eq!(means(&gateway, &p, query).await, ["8867-4: 1 60 /min"]);
    put("b", rate(&p, 66, &at(2, 8))).await;
    assert_eq!(means(&gateway, &p, query).await, ["8867-4: 2 63 /min"]);
    // In another local time these are other days, held beside the first.
    for offset in ["%2B14:00", "-12:00", "Z"] {
        let answer = means(&gateway, &p, &format!("start=2026-02-28&end=2026-03-05&code=8867-4&offset={offset}")).await;
        assert_eq!(answer, ["8867-4: 2 63 /min"], "{offset}");
    }
    put("a", rate(&p, 68, &at(1, 8))).await;
    for offset in ["%2B14:00", "-12:00", "Z"] {
        let answer = means(&gateway, &p, &format!("start=2026-02-28&end=2026-03-05&code=8867-4&offset={offset}")).await;
        assert_eq!(answer, ["8867-4: 2 67 /min"], "{offset}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_told_by_name() {
    let app = TestApp::start().await;
    let (gateway, p) = (app.gateway(), app.admit("m1", "Vega").await);
    let many = (0..21).map(|n| format!("code=c{n}")).collect::<Vec<_>>().join("&");
    for (query, status, issue) in [
        ("nope=1", 400, "not-supported http.nope"),
        ("offset=Madrid", 400, "value http.offset"),
        ("offset=%2B15:00", 400, "value http.offset"),
        ("offset=Z&offset=Z", 400, "value http.offset"),
        ("timezone=Mars", 400, "value http.timezone"),
        ("timezone=Europe/Madrid&offset=Z", 400, "value http.timezone"),
        ("night=22", 400, "value http.night"),
        ("night=22:10-06", 400, "value http.night"),
        ("slot=45", 400, "value http.slot"),
        ("slot=x", 400, "value http.slot"),
        ("start=yesterday", 400, "value http.start"),
        ("end=2026-13-01", 400, "value http.end"),
        ("start=2026-03-02&end=2026-03-01", 400, "value http.start"),
        ("start=0001-01-01&end=9999-12-31", 422, "too-costly http.start"),
        ("start=2024-01-01&end=2025-01-01", 422, "too-costly http.start"),
        ("period=2026", 400, "value http.period"),
        ("code=", 400, "value http.code"),
        ("code=http://loinc.org|", 400, "value http.code"),
        ("code=%00", 400, "value http.code"),
        (&many, 422, "too-costly http.code"),
    ] {
        let reply = gateway.get(&format!("/fhir/Patient/{p}/$vitals-summary?{query}")).await.expect(status);
        assert_eq!(reply.issues(), issue, "{query}");
    }
    for (parameter, status, issue) in [
        (json!({"name": "period", "valueString": "2026"}), 400, "value Parameters.parameter[0]"),
        (
            json!({"name": "period", "valuePeriod": {"start": "2026-03-02", "end": "2026-03-01"}}),
            400,
            "value http.period",
        ),
        (json!({"name": "period", "valuePeriod": {"start": "2020", "end": "2026"}}), 422, "too-costly http.period"),
        (json!({"name": "slot", "valueDecimal": 1.5}), 400, "value Parameters.parameter[0]"),
    ] {
        let body = json!({"resourceType": "Parameters", "parameter": [parameter]});
        let reply = gateway.post(&format!("/fhir/Patient/{p}/$vitals-summary"), &body).await.expect(status);
        assert_eq!(reply.issues(), issue, "{body}");
    }
    gateway.get("/fhir/Patient/$vitals-summary").await.expect(404);
    gateway.get(&format!("/fhir/Encounter/{p}/$vitals-summary")).await.expect(404);
    for query in ["", "start=2026-01-01&end=2026-12-31", "start=9999-12-31&end=9999-12-31"] {
        assert_eq!(means(&gateway, &p, query).await, [""; 0], "{query}");
    }
    let statement = app.anonymous().get("/fhir/metadata").await.expect(200).json();
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    let patient = resources.iter().find(|resource| resource["type"] == "Patient").unwrap();
    let mut own = patient["operation"].as_array().unwrap().iter();
    assert!(own.any(|operation| operation["name"] == "vitals-summary"), "{patient}");
    app.stop().await;
}
