//! `Patient/$match`: who a person may be.

use serde_json::{Value, json};

use crate::helpers::samples::RECORDS;
use crate::helpers::{Client, TestApp};

async fn matched(client: &Client, body: &Value) -> String {
    let bundle = client.post("/fhir/Patient/$match", body).await.expect(200).json();
    assert_eq!(bundle["type"], "searchset");
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let line = |entry: &Value| {
        if entry["search"]["mode"] == "outcome" {
            return entry["resource"]["issue"][0]["code"].as_str().unwrap().to_owned();
        }
        assert_eq!(entry["search"]["extension"][0]["url"], "http://hl7.org/fhir/StructureDefinition/match-grade");
        let (id, grade) = (&entry["resource"]["id"], &entry["search"]["extension"][0]["valueCode"]);
        format!("{} {} {}", id.as_str().unwrap(), grade.as_str().unwrap(), entry["search"]["score"])
    };
    entries.iter().map(line).collect::<Vec<_>>().join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_found_graded_and_ordered() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for (id, record, family, given, birth, phone) in [
        ("a", "1", "Núñez", "Ana", "1956-03-01", "+34 600112233"),
        ("b", "2", "Nuñes", "Ana", "1956-03-01", "+34 600999999"),
        ("c", "3", "Núñez", "Eva", "1990-12-31", "+34 600888888"),
        ("d", "4", "Vega", "Luis", "1970-01-01", "+34 600777777"),
        ("e", "5", "Núñez", "Ana", "1956-03-01", "+34 600112233"),
    ] {
        let patient = json!({"resourceType": "Patient", "id": id, "identifier": [{"system": RECORDS, "value": record}],
            "name": [{"family": family, "given": [given]}], "birthDate": birth, "telecom": [{"system": "phone", "value": phone}]});
        gateway.put(&format!("/fhir/Patient/{id}"), &patient).await.expect(201);
    }
    let person = |more: &Value| {
        let mut patient = json!({"resourceType": "Patient"});
        for (name, value) in more.as_object().unwrap() {
            patient[name] = value.clone();
        }
        patient
    };
    let ana = json!([{"family": "NUNEZ", "given": ["ana"]}]);
    let asked = person(
        &json!({"name": ana, "birthDate": "1956-03-01", "telecom": [{"system": "phone", "value": "600112233"}]}),
    );
    let certain = |resource: &Value, count: u32| {
        json!({"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": resource},
            {"name": "onlyCertainMatches", "valueBoolean": true}, {"name": "count", "valueInteger": count}]})
    };
    for (body, expected) in [
        (person(&json!({"identifier": [{"system": RECORDS, "value": "3"}]})), "c certain 1.000"),
        (person(&json!({"identifier": [{"system": RECORDS, "value": "9"}]})), ""),
        (person(&json!({"identifier": [{"value": "3"}]})), ""),
        (asked.clone(), "a certain 1.000, e certain 1.000, b possible 0.666"),
        (certain(&asked, 5), "multiple-matches"),
        (certain(&person(&json!({"identifier": [{"system": RECORDS, "value": "3"}]})), 5), "c certain 1.000"),
        (certain(&person(&json!({"name": ana})), 5), ""),
        (person(&json!({"name": [{"family": "Vega", "given": ["L."]}], "birthDate": "1970"})), "d possible 0.700"),
        (person(&json!({"gender": "male"})), ""),
        (person(&json!({})), ""),
    ] {
        assert_eq!(matched(&gateway, &body).await, expected, "{body}");
    }
    let many = json!({"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": asked}, {"name": "count", "valueInteger": 1}]});
    assert_eq!(matched(&gateway, &many).await, "a certain 1.000");
    for (body, issue) in [
        (json!({"resourceType": "Parameters"}), "required http.resource"),
        (json!({"resourceType": "Group", "type": "person", "actual": true}), "value http.resource"),
        (json!({"resourceType": "Patient", "birthDate": "1970-02-30"}), "value Patient.birthDate"),
        (certain(&asked, 0), "value Parameters.parameter[2]"),
    ] {
        assert_eq!(gateway.post("/fhir/Patient/$match", &body).await.expect(400).issues(), issue, "{body}");
    }
    // Who may see one patient would learn who else is known.
    let own = app.patient_app("patient/Patient.rs", "a");
    own.post("/fhir/Patient/$match", &asked).await.expect(403);
    app.machine("system/Patient.r").post("/fhir/Patient/$match", &asked).await.expect(403);
    gateway.get("/fhir/Patient/$match").await.expect(405);
    app.stop().await;
}
