//! The samples of the schemas themselves, and what data points become.

use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::normalize::draft::{Draft, Measured};

fn common() -> Map<String, Value> {
    json!({"patient": "Patient/p"}).as_object().unwrap().clone()
}

fn items(body: &Value) -> Vec<Item> {
    parse(body.to_string().as_bytes(), common(), "s").unwrap()
}

/// Schema, version, shall it pass, file.
fn samples() -> Vec<(String, String, bool, PathBuf)> {
    let mut found = Vec::new();
    let list = |path: PathBuf| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    for schema in list(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/openmhealth")).filter(|p| p.is_dir())
    {
        for version in list(schema.clone()) {
            for verdict in list(version.clone()) {
                let passes = name(&verdict) == "shouldPass";
                found.extend(list(verdict).map(|file| (name(&schema), name(&version), passes, file)));
            }
        }
    }
    found
}

#[test]
fn every_sample_is_taken_or_refused_as_its_schema_says() {
    let mut judged = 0;
    for (name, version, passes, file) in samples() {
        if schema::named(&name).is_none() {
            continue;
        }
        let body = std::fs::read(&file).unwrap();
        let mut common = common();
        common.insert("schema".to_owned(), json!(format!("{name}:{version}")));
        let read = parse(&body, common, "s").unwrap();
        assert_eq!(read.iter().all(Result::is_ok), passes, "{}: {read:?}", file.display());
        judged += 1;
    }
    assert!(judged > 40, "{judged}");
}

fn summary(draft: &Draft) -> String {
    let own = (&draft.code, &draft.value);
    let all = std::iter::once(own).chain(draft.components.iter().map(|(code, value)| (code, value)));
    let told = all.map(|(code, value)| {
        let code = code.first().map(|c| if c.code.is_empty() { c.display.clone().unwrap() } else { c.code.clone() });
        let value = match value {
            Measured::Quantity { value, unit, .. } => format!("{value} {}", unit.as_ref().unwrap().code),
            Measured::Panel => String::new(),
            other => format!("{other:?}"),
        };
        format!("{} {value}", code.unwrap()).trim().to_owned()
    });
    told.collect::<Vec<_>>().join(" + ")
}

#[test]
fn bodies_become_readings() {
    let at = json!({"date_time": "2026-03-01T09:00:00+01:00"});
    let night =
        json!({"time_interval": {"start_date_time": "2026-02-28T22:00:00Z", "duration": {"value": 7.5, "unit": "h"}}});
    let table = [
        (json!({"heart_rate": {"value": 72.0, "unit": "beats/min"}, "effective_time_frame": at}), "8867-4 72.0 /min"),
        (
            json!({"systolic_blood_pressure": {"value": 115, "unit": "mmHg"}, "diastolic_blood_pressure": {"value": 60, "unit": "mmHg"}, "effective_time_frame": at}),
            "85354-9 + 8480-6 115 mm[Hg] + 8462-4 60 mm[Hg]",
        ),
        (
            json!({"systolic_blood_pressure": {"value": 115, "unit": "mmHg"}, "diastolic_blood_pressure": {"value": 60, "unit": "mmHg"}, "effective_time_frame": night, "descriptive_statistic": "maximum"}),
            "8480-6 + maximum 115 mm[Hg]; 8462-4 + maximum 60 mm[Hg]",
        ),
        (
            json!({"body_temperature": {"value": 96.5, "unit": "F"}, "effective_time_frame": at, "measurement_location": "oral"}),
            "8331-1 96.5 [degF]",
        ),
        (
            json!({"oxygen_saturation": {"value": 95, "unit": "%"}, "effective_time_frame": at, "supplemental_oxygen_flow_rate": {"value": 2.5, "unit": "L/min"}}),
            "59408-5 95 %; 3151-8 2.5 L/min",
        ),
        (
            json!({"blood_glucose": {"value": 5.6, "unit": "mmol/L"}, "effective_time_frame": at, "specimen_source": "interstitial fluid"}),
            "105272-9 5.6 mmol/L",
        ),
        (json!({"blood_glucose": {"value": 95, "unit": "mg/dL"}, "effective_time_frame": at}), "2339-0 95 mg/dL"),
        (
            json!({"blood_glucose": {"value": 95, "unit": "mg/dL"}, "effective_time_frame": at, "specimen_source": "tears"}),
            "Glucose in tears 95 mg/dL",
        ),
        (
            json!({"step_count": {"value": 6000, "unit": "steps"}, "effective_time_frame": night}),
            "55423-8 6000 {steps}",
        ),
        (json!({"total_sleep_time": {"value": 7, "unit": "h"}, "effective_time_frame": night}), "93832-4 7 h"),
        (
            json!({"total_sleep_time": {"value": 7, "unit": "h"}, "number_of_awakenings": 3, "effective_time_frame": night}),
            "Sleep episode + 93832-4 7 h + Number of awakenings 3 1",
        ),
        (json!({"rr_interval": {"value": 812, "unit": "ms"}}), "8637-1 812 ms"),
    ];
    for (body, want) in table {
        let drafts: Vec<Draft> = items(&body).into_iter().map(Result::unwrap).collect();
        assert_eq!(drafts.iter().map(summary).collect::<Vec<_>>().join("; "), want, "{body}");
    }
}

#[test]
fn a_header_names_its_readings() {
    let point = |version: &str, body: Value| {
        json!({"items": [{"header": {"id": "dp-1", "creation_date_time": "2026-03-01T09:00:00Z",
            "schema_id": {"namespace": "omh", "name": "heart-rate", "version": version},
            "acquisition_provenance": {"source_name": "Watch", "modality": "sensed"}, "user_id": "u7"}, "body": body}]})
    };
    let rate = json!({"heart_rate": {"value": 72, "unit": "beats/min"}});
    let draft = items(&point("1.0", rate.clone())).remove(0).unwrap();
    assert_eq!(draft.identifier, Some((None, "dp-1".to_owned())));
    assert_eq!(draft.effective.as_deref(), Some("2026-03-01T09:00:00Z"), "when it came to be");
    assert!(draft.note.unwrap().contains("Source: Watch"));
    let other = items(&point("1.0", json!({"heart_rate": {"value": 99, "unit": "beats/min"}}))).remove(0).unwrap();
    assert_eq!(other.key, draft.key, "the id decides");
    let issue = |point: &Value| {
        let rejected = items(point).remove(0).unwrap_err();
        format!("{} {}", rejected.issues[0].code, rejected.issues[0].expression)
    };
    assert_eq!(issue(&point("2.0", rate.clone())), "required [0].body.effective_time_frame");
    assert_eq!(issue(&point("3.0", rate.clone())), "not-supported [0].header.schema_id");
    assert_eq!(issue(&point("2.0", json!({}))), "required [0].body.effective_time_frame");
    assert_eq!(issue(&json!([{"header": {}, "body": rate}])), "required [0].header.id");
    assert_eq!(issue(&json!([{"mood": "good"}])), "not-supported [0].header.schema_id");
    assert_eq!(issue(&json!([{"heart_rate": {"value": "72", "unit": "bpm"}}])), "required [0].effective_time_frame");
}

#[test]
fn times_are_taken_as_they_were_sent() {
    let frame = |frame: Value, interval: bool| {
        let mut read = Reader::new("");
        let wanted = Wanted { interval, part_of_day: true };
        let found = frame::read(&mut read, "t", &frame, wanted);
        found.filter(|_| read.issues.is_empty()).map(|found| (found.start.unwrap(), found.end.unwrap_or_default()))
    };
    let own = |start: &str, end: &str| Some((start.to_owned(), end.to_owned()));
    let at = |text: &str| json!({"date_time": text});
    let interval = |members: Value| json!({"time_interval": members});
    let table = [
        (at("2026-03-01T09:00:00.5-08:00"), false, own("2026-03-01T09:00:00.5-08:00", "")),
        (at("2026-03-01T09:00:00"), false, own("2026-03-01T09:00:00Z", "")),
        (at("2026-03-01"), false, None),
        (at("2026-03-01T09:00:00Z"), true, None),
        (
            interval(json!({"start_date_time": "2026-03-01T09:00:00Z", "end_date_time": "2026-03-01T10:00:00Z"})),
            true,
            own("2026-03-01T09:00:00Z", "2026-03-01T10:00:00Z"),
        ),
        (
            interval(json!({"end_date_time": "2026-03-01T10:00:00Z", "duration": {"value": 1.5, "unit": "min"}})),
            false,
            own("2026-03-01T09:58:30.000Z", "2026-03-01T10:00:00Z"),
        ),
        (interval(json!({"date": "2026-03-01", "part_of_day": "night"})), false, own("2026-03-01", "")),
        (interval(json!({"start_date_time": "2026-03-01T09:00:00Z"})), false, None),
        (
            interval(json!({"end_date_time": "2026-03-01T10:00:00Z", "duration": {"value": 1, "unit": "Mo"}})),
            false,
            None,
        ),
        (
            interval(json!({"end_date_time": "2026-03-01T10:00:00Z", "duration": {"value": -1, "unit": "h"}})),
            false,
            None,
        ),
        (json!("now"), false, None),
    ];
    for (body, interval, want) in table {
        assert_eq!(frame(body.clone(), interval), want, "{body}");
    }
}

#[test]
fn schemas_are_named_in_several_ways() {
    for (text, major) in [
        ("heart-rate", Some(2)),
        ("heart-rate:1.1", Some(1)),
        ("omh:blood-glucose:4.0", Some(4)),
        ("heart-rate:9.0", None),
        ("heart-rate:x", None),
        ("mood", None),
    ] {
        assert_eq!(version_of(text).map(|version| version.major), major, "{text}");
    }
    let wrong = json!({"patient": "Patient/p", "schema": "mood"}).as_object().unwrap().clone();
    assert_eq!(parse(b"[{}]", wrong, "s").unwrap_err().expression, "http.schema");
}

proptest! {
    #[test]
    fn any_member_is_read_or_refused(name in prop::sample::select(vec!["heart_rate", "effective_time_frame", "header", "body",
            "descriptive_statistic", "user_notes", "is_main_sleep", "total_sleep_time", "patient"]),
            value in prop::sample::select(vec!["1", "\"x\"", "{}", "[]", "{\"value\":1}", "{\"value\":1e99,\"unit\":\"h\"}", "true",
            "{\"time_interval\":{\"duration\":{}}}", "{\"date_time\":7}", "{\"id\":1,\"schema_id\":{\"namespace\":\"omh\"}}"])) {
        let good = r#"{"rr_interval":{"value":812,"unit":"ms"}}"#;
        let body = format!(r#"[{{"{name}":{value},"total_sleep_time":{{"value":1,"unit":"h"}}}},{good}]"#);
        let read = parse(body.as_bytes(), common(), "s").unwrap();
        prop_assert!(read.last().unwrap().is_ok());
    }
}
