//! The report of the burden of alarms, from stored alerts and readings to its figures.

use serde_json::{Value, json};

use crate::helpers::samples::{observation, patient};
use crate::helpers::{Client, TestApp, minutes_from_now};

const OURS: &str = "https://vigia.dev/fhir/StructureDefinition";
const PERIOD: &str = "start=2026-03-01&end=2026-03-02";

struct Alert<'a> {
    patient: &'a str,
    rule: &'a str,
    raised: &'a str,
    over: Option<&'a str>,
    answered: Option<&'a str>,
    more: Value,
}

/// As the engine writes one, as far as the report looks at it.
async fn alert(gateway: &Client, alert: Alert<'_>) {
    let system = "https://vigia.dev/fhir/CodeSystem/alert";
    let technical = alert.rule == "silent";
    let cause = if technical { "technical-missing" } else { "threshold-high" };
    let level = if technical { "technical" } else { "critical" };
    let mut issue = json!({
        "resourceType": "DetectedIssue", "status": if alert.over.is_some() { "final" } else { "preliminary" },
        "code": {"coding": [{"system": system, "code": cause}]},
        "severity": "high", "patient": {"reference": alert.patient},
        "identifiedPeriod": {"start": alert.raised},
        "reference": format!("urn:rule:{}|1.0.0", alert.rule),
        "extension": [
            {"url": format!("{OURS}/alert-level"), "valueCode": level},
            {"url": format!("{OURS}/alert-priority"), "valueCode": if technical { "low" } else { "high" }},
            {"url": format!("{OURS}/alert-type"), "valueCode": if technical { "technical" } else { "physiological" }},
        ]
    });
    if let Some(over) = alert.over {
        issue["identifiedPeriod"]["end"] = json!(over);
    }
    if let Some(answered) = alert.answered {
        issue["mitigation"] = json!([{"action": {"text": "seen"}, "date": answered}]);
    }
    for (name, value) in alert.more.as_object().unwrap() {
        if name == "extension" {
            issue["extension"].as_array_mut().unwrap().push(value.clone());
        } else {
            issue[name] = value.clone();
        }
    }
    gateway.post("/fhir/DetectedIssue", &issue).await.expect(201);
}

/// Two patients: one in a bed of ward w, with readings on two days; one nowhere, with readings on one.
async fn ward(app: &TestApp) {
    let gateway = app.gateway();
    for (id, record) in [("a", "r1"), ("b", "r2")] {
        gateway.put(&format!("/fhir/Patient/{id}"), &patient(id, record, "Secretname")).await.expect(201);
    }
    let place = |code: &str, more: Value| {
        let mut place = json!({"resourceType": "Location", "status": "active", "physicalType": {"coding": [
            {"system": "http://terminology.hl7.org/CodeSystem/location-physical-type", "code": code}]}});
        place.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        place
    };
    gateway.put("/fhir/Location/w", &place("wa", json!({"id": "w"}))).await.expect(201);
    let bed = place("bd", json!({"id": "bed", "partOf": {"reference": "Location/w"}}));
    gateway.put("/fhir/Location/bed", &bed).await.expect(201);
    let stay = json!({"resourceType": "Encounter", "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": "Patient/a"}, "period": {"start": "2026-02-20T00:00:00Z"},
        "location": [{"location": {"reference": "Location/bed"}}]});
    gateway.post("/fhir/Encounter", &stay).await.expect(201);
    for (id, time) in [
        ("a", "2026-02-28T23:59:59Z"),
        ("a", "2026-03-01T00:00:00Z"),
        ("a", "2026-03-01T12:00:00Z"),
        ("a", "2026-03-02T23:59:59Z"),
        ("b", "2026-03-02T08:00:00Z"),
    ] {
        gateway.post("/fhir/Observation", &observation(id, "8867-4", "80", "/min", time)).await.expect(201);
    }
}

async fn burden(app: &TestApp) {
    ward(app).await;
    let gateway = app.gateway();
    let none = || json!({});
    for (patient, rule, raised, over, answered, more) in [
        ("Patient/a", "fast", "2026-03-01T10:00:00Z", Some("2026-03-01T10:00:30Z"), None, none()),
        (
            "Patient/a",
            "fast",
            "2026-03-01T11:00:00Z",
            Some("2026-03-01T11:30:00Z"),
            Some("2026-03-01T11:00:20Z"),
            none(),
        ),
        ("Patient/a", "fast", "2026-03-02T11:00:00Z", None, Some("2026-03-02T11:01:40Z"), none()),
        ("Patient/b", "silent", "2026-03-02T09:00:00Z", None, None, none()),
        ("Patient/a", "fast", "2026-02-28T23:00:00Z", None, None, none()),
        ("Patient/a", "fast", "2026-03-03T00:00:00Z", None, None, none()),
        ("Patient/a", "fast", "2026-03-01T15:00:00Z", None, None, json!({"status": "entered-in-error"})),
        (
            "Patient/a",
            "trial",
            "2026-03-01T15:00:00Z",
            None,
            None,
            json!({"extension": {"url": format!("{OURS}/alert-shadow"), "valueBoolean": true}}),
        ),
    ] {
        alert(&gateway, Alert { patient, rule, raised, over, answered, more }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_are_counted_against_days_of_patients() {
    let app = TestApp::with(|config| config.alert.enabled = false).await;
    burden(&app).await;
    let report = app.gateway().get(&format!("/alert/v1/report?{PERIOD}")).await.expect(200).json();
    for (pointer, expected) in [
        ("/total/alarms", json!(4)),
        ("/total/patientDays", json!(3)),
        ("/total/perPatientDay", json!(1.333)),
        ("/total/technical", json!(1)),
        ("/total/nuisance", json!(1)),
        ("/total/nuisanceShare", json!(0.333)),
        ("/total/technicalNuisance", json!(0)),
        ("/total/answered", json!(2)),
        ("/total/neverAnswered", json!(2)),
        ("/total/medianSecondsToAnswer", json!(20.0)),
        ("/total/p90SecondsToAnswer", json!(100.0)),
        ("/byRule/0/rule", json!("urn:rule:fast")),
        ("/byRule/0/alarms", json!(3)),
        ("/byWard/0/ward", json!("Location/w")),
        ("/byWard/0/alarms", json!(3)),
        ("/byWard/0/perPatientDay", json!(1.5)),
        ("/byWard/1/ward", json!("none")),
        ("/byWard/1/patientDays", json!(1)),
        ("/byRuleAndWard/0/ward", json!("Location/w")),
        ("/byLevel/0/level", json!("critical")),
        ("/byPriority/1/priority", json!("low")),
        ("/byType/1/type", json!("technical")),
        ("/countedApart", json!({"retracted": 1, "shadow": 1})),
        ("/topOffenders/rules/0", json!({"rule": "urn:rule:fast", "alarms": 3, "share": 0.75})),
        ("/topOffenders/patients", json!({"topTenPercent": 1, "theirShareOfAlarms": 0.75})),
    ] {
        assert_eq!(report.pointer(pointer), Some(&expected), "{pointer}\n{report}");
    }
    let text = report.to_string();
    assert!(!text.contains("Secretname") && !text.contains("Patient/a"), "{text}");
    assert!(text.contains("within 60 s without an answer"), "{text}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ward_a_table_and_who_changed_what() {
    let app = TestApp::with(|config| config.alert.enabled = false).await;
    burden(&app).await;
    let gateway = app.gateway();
    let report = gateway.get(&format!("/alert/v1/report?{PERIOD}&ward=Location/w&patients=true&nuisance=1800")).await;
    let report = report.expect(200).json();
    assert_eq!((&report["total"]["alarms"], &report["total"]["patientDays"]), (&json!(3), &json!(2)));
    assert_eq!(report["topOffenders"]["patients"]["most"][0]["patient"], "Patient/a");
    assert!(report.to_string().contains("within 1800 s"));
    let table = gateway.get(&format!("/alert/v1/report?{PERIOD}&format=csv")).await.expect(200).text();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("by,key,ward,alarms,technical,patientDays,perPatientDay,nuisance"), "{table}");
    assert!(lines[1].starts_with("total,,,4,1,3,1.333,1,0.333"), "{table}");
    assert!(lines.iter().any(|line| line.starts_with("rule and ward,urn:rule:fast,Location/w,3,")), "{table}");

    // Changes are told by when they were stored: the rules that are shipped were, just now.
    let now = minutes_from_now(0);
    let now = now.split('T').next().unwrap();
    let flag = json!({"resourceType": "Flag", "status": "active",
        "code": {"coding": [{"system": "https://vigia.dev/fhir/CodeSystem/alert-flag", "code": "spo2-scale-2"}]},
        "subject": {"reference": "Patient/a"}, "author": {"reference": "Practitioner/chief"}});
    gateway.post("/fhir/Flag", &flag).await.expect(201);
    for (more, subject) in [("", "Patient"), ("&patients=true", "Patient/a")] {
        let report = gateway.get(&format!("/alert/v1/report?start={now}&end={now}{more}")).await.expect(200).json();
        let changes = report["changesOfLimits"].as_array().unwrap();
        let scale = changes.iter().find(|change| change["what"] == "Flag").unwrap();
        assert_eq!((&scale["author"], &scale["subject"]), (&json!("Practitioner/chief"), &json!(subject)), "{scale}");
        assert!(changes.iter().any(|change| change["what"] == "PlanDefinition" && change["rule"].is_string()));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_and_what_is_wrong() {
    let app = TestApp::with(|config| config.alert.enabled = false).await;
    burden(&app).await;
    let whole = "system/DetectedIssue.rs system/Observation.rs system/Encounter.rs";
    let path = format!("/alert/v1/report?{PERIOD}");
    for (caller, status) in [
        (app.anonymous(), 401),
        (app.patient_app("patient/*.rs", "a"), 403),
        (app.machine("system/Observation.rs"), 403),
        (app.machine("system/DetectedIssue.rs"), 403),
        (app.machine(whole), 200),
        (app.gateway(), 200),
    ] {
        assert_eq!(caller.get(&path).await.status, status);
    }
    let told = app.machine(whole).get(&path).await.expect(200).json();
    assert_eq!(told["changesOfLimits"], Value::Null, "who may not read Flags sees no changes");
    assert_eq!(told["byWard"][0]["ward"], "Location/bed", "who may not read Locations sees what Encounters name");
    let gateway = app.gateway();
    for (query, name) in [
        ("start=2026-03-01", "http.query"),
        ("start=never&end=2026-03-02", "http.start"),
        ("start=2026-03-01&end=x", "http.end"),
        ("start=2026-03-02&end=2026-03-01", "http.end"),
        ("start=2020-01-01&end=2026-03-01", "http.end"),
        ("start=2026-03-01&end=2026-03-02&ward=Patient/a", "http.ward"),
        ("start=2026-03-01&end=2026-03-02&ward=", "http.ward"),
        ("start=2026-03-01&end=2026-03-02&format=pdf", "http.format"),
        ("start=2026-03-01&end=2026-03-02&nuisance=86401", "http.nuisance"),
        ("start=2026-03-01&end=2026-03-02&nuisance=-1", "http.query"),
        ("start=2026-03-01&end=2026-03-02&more=1", "http.query"),
    ] {
        let refused = gateway.get(&format!("/alert/v1/report?{query}")).await.expect(400);
        assert!(refused.text().contains(name), "{query} {}", refused.text());
    }
    app.stop().await;
}
