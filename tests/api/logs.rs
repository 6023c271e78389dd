//! No patient is found in the log, whatever is sent and however loud the log is.

use serde_json::{Value, json};

use crate::helpers::process::Process;
use crate::helpers::samples::{bundle, encounter, entry, heart_rate, observation, patient};
use crate::helpers::{Place, eventually, minutes_from_now};
use crate::mllp::{Sender, oru};

/// Words that stand for what is private: a family name, a record number, a value, a free text, a password.
const NAME: &str = "Kanarienvogel";
const RECORD: &str = "MRN-8642097531";
const VALUE: &str = "86.4207531";
const TEXT: &str = "zwitschert leise";
const PASSWORD: &str = "piep-piep-piep";

fn marked(id: &str) -> Value {
    let mut person = patient(id, RECORD, NAME);
    person["text"] =
        json!({"status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{TEXT}</div>")});
    person
}

fn reading() -> Value {
    let mut reading = observation("p", "8867-4", VALUE, "/min", &minutes_from_now(-10));
    reading["note"] = json!([{"text": TEXT}]);
    reading
}

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_sings() {
    let place = Place::new().await;
    let server = Process::serve(&place, "debug,vigia=trace").await;
    let gateway = server.client("system/*.cruds");
    gateway.put("/fhir/Patient/p", &marked("p")).await.expect(201);
    gateway.post("/fhir/Encounter", &encounter("p")).await.expect(201);
    gateway.post("/fhir/Observation", &reading()).await.expect(201);
    let mut stale = entry("PUT", "Patient/p", &marked("p"));
    stale["request"]["ifMatch"] = json!("W/\"9\"");
    for kind in ["batch", "transaction"] {
        gateway.post("/fhir", &bundle(kind, &[entry("POST", "Observation", &reading()), stale.clone()])).await;
        gateway.post("/fhir", &bundle(kind, &[entry("GET", &format!("Patient?name={NAME}"), &Value::Null)])).await;
    }
    // A rule that breaks, a value that alarms, and somebody who is not known.
    for minute in [-3, -2] {
        let mut alarming = heart_rate("p", 0, &minutes_from_now(minute));
        alarming["value"] = json!(format!("1{VALUE}"));
        alarming["note"] = json!(TEXT);
        gateway.post("/device/v1/observations", &alarming).await.expect(200);
    }
    for body in [
        json!({"patient": format!("urn:test:records|{RECORD}"), "code": "8867-4", "value": NAME, "unit": TEXT}),
        json!({"patient": NAME, "code": NAME, "value": VALUE, NAME: TEXT}),
        json!({"patient": format!("urn:x|{NAME}"), "code": "8867-4", "value": 7, "unit": "/min"}),
    ] {
        gateway.post("/device/v1/observations", &body).await;
    }
    for (path, media, body) in [
        (
            "/fhir/Patient",
            "application/fhir+json",
            format!(r#"{{"resourceType":"Patient","name":"{NAME}","{NAME}":"{TEXT}"}}"#),
        ),
        (
            "/fhir/Patient",
            "application/fhir+json",
            format!(r#"{{"resourceType":"Patient","birthDate":"{NAME}","gender":"{NAME}","name":[{{"family":"{NAME}""#),
        ),
        ("/fhir/Patient", "application/fhir+json", format!(r#"{{"resourceType":"{NAME}"}}"#)),
        (
            "/fhir/Patient",
            "application/fhir+xml",
            format!(r#"<Patient xmlns="http://hl7.org/fhir"><name><family value="{NAME}"/></name><{NAME}/></Patient>"#),
        ),
        ("/fhir/Patient", NAME, NAME.to_owned()),
        ("/device/v1/observations", "application/x-ndjson", format!("{NAME}\n{{\"patient\":\"{NAME}\"}}\n")),
        (
            "/fhir/Patient/_search",
            "application/x-www-form-urlencoded",
            format!("name={NAME}&identifier={RECORD}&nope={TEXT}"),
        ),
        (&format!("/fhir/{NAME}"), "application/fhir+json", NAME.to_owned()),
    ] {
        gateway.post_raw(path, media, body).await;
    }
    for path in [
        format!("/fhir/Patient?name={NAME}&identifier={RECORD}"),
        format!("/fhir/Patient?{NAME}={RECORD}"),
        format!("/fhir/Observation?value-quantity={VALUE}||{NAME}"),
        format!("/fhir/Observation?date={NAME}"),
        format!("/fhir/Patient?_cursor={NAME}"),
        format!("/{NAME}"),
        format!("/ui/{NAME}"),
        format!("/live/series?patient=p&code={NAME}"),
        format!("/fhir/Patient/p/_history?{NAME}=1"),
        format!("/fhir/Patient?_sort={NAME}"),
        format!("/fhir/Patient?name={NAME}%00"),
    ] {
        gateway.get(&path).await;
    }
    gateway
        .with_header("If-None-Exist", &format!("identifier={RECORD}&{NAME}=x"))
        .post("/fhir/Patient", &marked("p"))
        .await;
    gateway.with_header("If-Match", NAME).put("/fhir/Patient/p", &marked("p")).await;
    gateway.with_header("X-Request-Id", &format!("{NAME} {RECORD}")).get("/fhir/Patient/p").await.expect(200);
    let anonymous = server.anonymous();
    let login = json!({"username": "nora", "password": PASSWORD});
    anonymous.with_header("X-Requested-With", "vigia").post("/auth/login", &login).await.expect(401);
    anonymous.with_header("Authorization", &format!("Bearer {PASSWORD}")).get("/fhir/Patient").await.expect(401);

    let mut sender = Sender::connect(server.mllp).await;
    let message = oru("m1", RECORD, VALUE).replace("DOE", NAME);
    assert!(sender.send(&message).await.contains("MSA|AA"));
    for wrong in [
        message.replace("|NM|", "|ZZ|").replace("m1", "m2"),
        message.replace(VALUE, NAME),
        message.replace(RECORD, NAME),
        format!("{NAME}|{RECORD}\r{TEXT}"),
        format!("MSH|^~\\&|{NAME}"),
        message.replace("20260102030405", NAME),
        message.replace("PID|", &format!("{NAME}|")),
    ] {
        sender.send(&wrong).await;
    }
    eventually("an alert was raised", || async {
        let found = gateway.get("/fhir/DetectedIssue?patient=p").await.expect(200).json();
        found["entry"].is_array().then_some(())
    })
    .await;
    let metrics = gateway.get("/metrics").await.expect(200).text();
    let log = server.stop().await;
    assert!(log.lines().count() > 30, "the log was listened to: {log}");
    assert!(log.contains("answered"), "one line a request: {log}");
    for private in [NAME, RECORD, VALUE, TEXT, PASSWORD] {
        for line in log.lines().chain(metrics.lines()) {
            assert!(!line.to_lowercase().contains(&private.to_lowercase()), "{private} is in: {line}");
        }
    }
}
