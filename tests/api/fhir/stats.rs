//! `Observation/$stats`: figures over a patient's readings.

use serde_json::{Value, json};

use crate::helpers::samples::{LOINC, UCUM, observation};
use crate::helpers::{Client, TestApp};

fn at(hour: u32) -> String {
    format!("2026-03-01T{hour:02}:00:00Z")
}

/// The figures of each Observation as `code: figure…`.
async fn figures(client: &Client, query: &str) -> Vec<String> {
    let answer = client.get(&format!("/fhir/Observation/$stats?{query}")).await.expect(200).json();
    let statistics = answer["parameter"].as_array().unwrap().iter().filter(|p| p["name"] == "statistics");
    statistics.map(|parameter| line(&parameter["resource"])).collect()
}

fn line(observation: &Value) -> String {
    assert_eq!((&observation["resourceType"], &observation["status"]), (&json!("Observation"), &json!("final")));
    let figure = |component: &Value| match &component["valueQuantity"] {
        Value::Null => component["dataAbsentReason"]["coding"][0]["code"].as_str().unwrap().to_owned(),
        quantity => format!("{} {}", quantity["value"], quantity["code"].as_str().unwrap_or("-")),
    };
    let figures: Vec<String> = observation["component"].as_array().unwrap().iter().map(figure).collect();
    format!("{}: {}", observation["code"]["coding"][0]["code"].as_str().unwrap(), figures.join(", "))
}

fn pressure(patient: &str, systolic: u32, diastolic: u32, time: &str) -> Value {
    let component = |code: &str, value: u32| {
        json!({"code": {"coding": [{"system": LOINC, "code": code}]},
            "valueQuantity": {"value": value, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}})
    };
    let mut panel = observation(patient, "85354-9", "0", "mm[Hg]", time);
    panel.as_object_mut().unwrap().remove("valueQuantity");
    panel["component"] = json!([component("8480-6", systolic), component("8462-4", diastolic)]);
    panel
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_those_worked_out_by_hand() {
    let app = TestApp::start().await;
    let (gateway, p) = (app.gateway(), app.admit("m1", "Vega").await);
    let q = app.admit("m2", "Luna").await;
    let mut readings = vec![];
    for (hour, value) in [(1, "60"), (2, "70"), (3, "80"), (4, "90")] {
        readings.push(observation(&p, "8867-4", value, "/min", &at(hour)));
    }
    let mut wrong = observation(&p, "8867-4", "300", "/min", &at(5));
    wrong["status"] = "entered-in-error".into();
    let mut absent = observation(&p, "8867-4", "1", "/min", &at(6));
    absent.as_object_mut().unwrap().remove("valueQuantity");
    absent["dataAbsentReason"] =
        json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "error"}]});
    let mut below = observation(&p, "8867-4", "5", "/min", &at(7));
    below["valueQuantity"]["comparator"] = "<".into();
    readings.extend([wrong, absent, below]);
    // 98.6 °F is 37 °C.
    readings.push(observation(&p, "8310-5", "98.6", "[degF]", &at(1)));
    readings.push(observation(&p, "8310-5", "38.00", "Cel", &at(3)));
    readings.push(pressure(&p, 120, 80, &at(1)));
    readings.push(pressure(&p, 130, 70, &at(2)));
    // A score with its parts has both a value and components.
    let mut apgar = observation(&p, "9274-2", "9", "{score}", &at(1));
    apgar.as_object_mut().unwrap().remove("category");
    apgar["component"] = json!([{"code": {"coding": [{"system": LOINC, "code": "32407-3"}]},
        "valueQuantity": {"value": 2, "unit": "{score}", "system": UCUM, "code": "{score}"}}]);
    readings.push(apgar);
    readings.push(observation(&q, "8867-4", "200", "/min", &at(1)));
    for reading in &readings {
        gateway.post("/fhir/Observation", reading).await.expect(201);
    }
    let all = "statistic=average&statistic=maximum&statistic=minimum&statistic=count&statistic=total-count";
    for (query, expected) in [
        (format!("code=8867-4&system={LOINC}&{all}"), vec!["8867-4: 75 /min, 90 /min, 60 /min, 4 1, 6 1"]),
        (format!("code=8867-4&{all}"), vec!["8867-4: 75 /min, 90 /min, 60 /min, 4 1, 6 1"]),
        (
            "code=8867-4&statistic=sum&statistic=median&statistic=variance&statistic=std-dev".to_owned(),
            vec!["8867-4: 300 /min, 75 /min, 166.6667 (/min).(/min), 12.9099 /min"],
        ),
        (
            "code=8867-4&statistic=20-percent&statistic=80-percent&statistic=4-lower&statistic=4-dev&statistic=5-4"
                .to_owned(),
            vec!["8867-4: 66 /min, 84 /min, 67.5 /min, 7.5 /min, 84 /min"],
        ),
        ("code=8867-4&statistic=skew&statistic=kurtosis".to_owned(), vec!["8867-4: 0 1, -1.2 1"]),
        // Ten more an hour, from the first hour's 60.
        ("code=8867-4&statistic=regression".to_owned(), vec!["8867-4: 10 (/min)/h, 60 /min"]),
        (format!("code=8310-5&{all}"), vec!["8310-5: 37.5 Cel, 38 Cel, 37 Cel, 2 1, 2 1"]),
        ("code=8310-5&statistic=variance&statistic=skew".to_owned(), vec!["8310-5: 0.5 K2, not-a-number"]),
        // A panel is its parts; a part may be asked for by itself.
        (
            "code=85354-9&statistic=average&statistic=count".to_owned(),
            vec!["8462-4: 75 mm[Hg], 2 1", "8480-6: 125 mm[Hg], 2 1"],
        ),
        ("code=8480-6&statistic=max&statistic=min".to_owned(), vec!["8480-6: 130 mm[Hg], 120 mm[Hg]"]),
        ("code=8480-6&code=85354-9&statistic=count".to_owned(), vec!["8480-6: 2 1", "8462-4: 2 1"]),
        ("code=32407-3&statistic=sum".to_owned(), vec!["32407-3: 2 {score}"]),
        ("code=9274-2&statistic=sum".to_owned(), vec!["9274-2: 9 {score}", "32407-3: 2 {score}"]),
        ("code=nope&statistic=average&statistic=count".to_owned(), vec!["nope: not-a-number, 0 1"]),
        ("code=8867-4&duration=1&statistic=count".to_owned(), vec!["8867-4: 0 1"]),
    ] {
        assert_eq!(figures(&gateway, &format!("subject=Patient/{p}&{query}")).await, expected, "{query}");
    }
    periods_and_sources(&gateway, &p).await;
    refusals(&gateway, &p).await;
    bound(&app, &p, &q).await;
    app.stop().await;
}

async fn periods_and_sources(gateway: &Client, p: &str) {
    let body = json!({"resourceType": "Parameters", "parameter": [
        {"name": "subject", "valueUri": format!("Patient/{p}")},
        {"name": "coding", "valueCoding": {"system": LOINC, "code": "8867-4"}},
        {"name": "period", "valuePeriod": {"start": at(2), "end": at(3)}},
        {"name": "statistic", "valueCode": "average"}, {"name": "statistic", "valueCode": "count"},
        {"name": "include", "valueBoolean": true}, {"name": "limit", "valuePositiveInt": 1}]});
    let answer = gateway.post("/fhir/Observation/$stats", &body).await.expect(200).json();
    let parameters = answer["parameter"].as_array().unwrap();
    let statistics = &parameters[0]["resource"];
    assert_eq!(line(statistics), "8867-4: 75 /min, 2 1");
    assert_eq!(statistics["effectivePeriod"]["start"], "2026-03-01T02:00:00.000Z");
    assert_eq!(statistics["subject"]["reference"], format!("Patient/{p}"));
    assert_eq!(parameters.len(), 2, "as many sources as the limit says");
    assert_eq!(
        (&parameters[1]["name"], &parameters[1]["resource"]["effectiveDateTime"]),
        (&json!("source"), &json!(at(3)))
    );
}

async fn refusals(gateway: &Client, p: &str) {
    for (query, issue) in [
        ("code=a&statistic=count".to_owned(), "required http.subject"),
        (format!("subject=Patient/{p}&statistic=count"), "required http.code"),
        (format!("subject=Patient/{p}&code=a"), "required http.statistic"),
        (format!("subject=Patient/{p}&code=a&statistic=banana"), "value http.statistic"),
        (format!("subject={p}&code=a&statistic=count"), "value http.subject"),
        (format!("subject=Patient/{p}&code=a&statistic=count&duration=0"), "value http.duration"),
        (format!("subject=Patient/{p}&code=a&statistic=count&duration=x"), "value http.duration"),
        (format!("subject=Patient/{p}&code=a&statistic=count&period=2026"), "value http.period"),
        (format!("subject=Patient/{p}&code=a&statistic=count&include=true&limit=0"), "value http.limit"),
        (format!("subject=Patient/{p}&code=a&statistic=count&include=yes"), "value http.include"),
        (format!("subject=Patient/{p}&code=a&statistic=count&nope=1"), "not-supported http.nope"),
    ] {
        let reply = gateway.get(&format!("/fhir/Observation/$stats?{query}")).await.expect(400);
        assert_eq!(reply.issues(), issue, "{query}");
    }
}

async fn bound(app: &TestApp, p: &str, q: &str) {
    let own = app.patient_app("patient/Observation.rs", p);
    for (query, expected) in [
        ("", "8867-4: 90 /min, 4 1".to_owned()),
        (&format!("subject=Patient/{p}&"), "8867-4: 90 /min, 4 1".to_owned()),
        (&format!("subject=Patient/{q}&"), "8867-4: not-a-number, 0 1".to_owned()),
        ("subject=Patient/nobody&", "8867-4: not-a-number, 0 1".to_owned()),
    ] {
        let query = format!("{query}code=8867-4&statistic=maximum&statistic=count&include=true");
        assert_eq!(figures(&own, &query).await, [expected], "{query}");
    }
    let reader = app.patient_app("patient/Observation.r", p);
    reader.get("/fhir/Observation/$stats?code=8867-4&statistic=count").await.expect(403);
}

/// Saturations with a value of their own, each with a perfusion index as its component; the newest has none.
#[tokio::test(flavor = "multi_thread")]
async fn a_reading_without_components_hides_none_of_the_others() {
    let app = TestApp::start().await;
    let (gateway, p) = (app.gateway(), app.admit("m1", "Vega").await);
    let saturation = |hour: u32, index: Option<u32>| {
        let mut reading = observation(&p, "59408-5", "97", "%", &at(hour));
        if let Some(index) = index {
            reading["component"] = json!([{"code": {"coding": [{"system": LOINC, "code": "3151-8"}]},
                "valueQuantity": {"value": index, "unit": "%", "system": UCUM, "code": "%"}}]);
        }
        reading
    };
    for (hour, index) in [(1, Some(2)), (2, Some(4)), (3, Some(3)), (4, None), (5, Some(9)), (6, None)] {
        gateway.post("/fhir/Observation", &saturation(hour, index)).await.expect(201);
    }
    let until = |hour: u32| json!({"start": at(1), "end": at(hour)});
    for (coding, period, expected) in [
        (json!({"system": LOINC, "code": "3151-8"}), None, "3151-8: 4 1, 9 %"),
        (json!({"code": "3151-8"}), None, "3151-8: 0 1, not-a-number"),
        (json!({"system": "urn:other", "code": "3151-8"}), None, "3151-8: 0 1, not-a-number"),
        // The newest of the period has none, whatever comes after it; and has one, though what comes after has none.
        (json!({"system": LOINC, "code": "3151-8"}), Some(until(4)), "3151-8: 3 1, 4 %"),
        (json!({"system": LOINC, "code": "3151-8"}), Some(until(5)), "3151-8: 4 1, 9 %"),
    ] {
        let mut parameters = vec![
            json!({"name": "subject", "valueUri": format!("Patient/{p}")}),
            json!({"name": "coding", "valueCoding": coding}),
            json!({"name": "statistic", "valueCode": "count"}),
            json!({"name": "statistic", "valueCode": "maximum"}),
        ];
        parameters.extend(period.as_ref().map(|period| json!({"name": "period", "valuePeriod": period})));
        let body = json!({"resourceType": "Parameters", "parameter": parameters});
        let answer = gateway.post("/fhir/Observation/$stats", &body).await.expect(200).json();
        assert_eq!(line(&answer["parameter"][0]["resource"]), expected, "{coding} {period:?}");
    }
    let own = figures(&gateway, &format!("subject=Patient/{p}&code=3151-8&statistic=count")).await;
    assert_eq!(own, ["3151-8: 4 1"], "of any system");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_panel_count_once_and_what_is_modified_is_no_number() {
    let app = TestApp::start().await;
    let (gateway, p) = (app.gateway(), app.admit("m1", "Vega").await);
    let q = app.admit("m2", "Luna").await;
    let mut members = vec![];
    for reading in [
        observation(&p, "8867-4", "60", "/min", &at(1)),
        observation(&p, "9279-1", "14", "/min", &at(1)),
        // Another patient's, and one that was entered in error.
        observation(&q, "8867-4", "200", "/min", &at(1)),
        json!({"status": "entered-in-error"}),
    ] {
        let mut whole = observation(&p, "8867-4", "300", "/min", &at(1));
        for (name, value) in reading.as_object().unwrap() {
            whole[name] = value.clone();
        }
        let stored = gateway.post("/fhir/Observation", &whole).await.expect(201).json();
        members.push(json!({"reference": format!("Observation/{}", stored["id"].as_str().unwrap())}));
    }
    let mut panel = observation(&p, "85353-1", "0", "1", &at(2));
    panel.as_object_mut().unwrap().remove("valueQuantity");
    panel["hasMember"] = members.into();
    gateway.post("/fhir/Observation", &panel).await.expect(201);
    let modifier = json!([{"url": "urn:example:not-done", "valueBoolean": true}]);
    let mut modified = observation(&p, "8310-5", "41", "Cel", &at(2));
    modified["modifierExtension"] = modifier.clone();
    let mut in_part = pressure(&p, 120, 80, &at(1));
    in_part["component"][0]["modifierExtension"] = modifier;
    for reading in [observation(&p, "8310-5", "37", "Cel", &at(1)), modified, in_part] {
        gateway.post("/fhir/Observation", &reading).await.expect(201);
    }
    let count = "statistic=maximum&statistic=count&statistic=total-count";
    for (codes, expected) in [
        ("code=85353-1", vec!["8867-4: 60 /min, 1 1, 1 1", "9279-1: 14 /min, 1 1, 1 1"]),
        ("code=85353-1&code=8867-4", vec!["8867-4: 60 /min, 1 1, 1 1", "9279-1: 14 /min, 1 1, 1 1"]),
        ("code=8867-4", vec!["8867-4: 60 /min, 1 1, 1 1"]),
        ("code=8310-5", vec!["8310-5: 37 Cel, 1 1, 2 1"]),
        ("code=8480-6", vec!["8480-6: not-a-number, 0 1, 1 1"]),
        ("code=85354-9", vec!["8462-4: 80 mm[Hg], 1 1, 1 1", "8480-6: not-a-number, 0 1, 1 1"]),
    ] {
        let query = format!("subject=Patient/{p}&system={LOINC}&{codes}&{count}");
        assert_eq!(figures(&gateway, &query).await, expected, "{codes}");
    }
    app.stop().await;
}
