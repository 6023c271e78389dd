//! `$everything`: all about one patient, each resource once, and nothing of another patient.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::include::ward;
use super::system::next;
use crate::helpers::samples::{patient, plain_observation};
use crate::helpers::{Client, TestApp};

fn on(reference: &str) -> Value {
    json!({"reference": reference})
}

pub(super) async fn all(client: &Client, first: &str) -> String {
    let (mut path, mut seen) = (Some(first.to_owned()), Vec::new());
    while let Some(address) = path {
        let page = client.get(&address).await.expect(200).json();
        let none = vec![];
        for entry in page["entry"].as_array().unwrap_or(&none) {
            let resource = &entry["resource"];
            seen.push(format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap()));
        }
        path = next(&page);
        fhir_r4::check(page).unwrap_or_else(|issues| panic!("{address}: {issues:?}"));
    }
    let different: HashSet<&String> = seen.iter().collect();
    assert_eq!(different.len(), seen.len(), "each once: {seen:?}");
    seen.join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_told_page_by_page() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    ward(&gateway).await;
    // A device that is another patient's, and an old reading that refers to it and to a place.
    let device = json!({"resourceType": "Device", "id": "d2", "patient": {"reference": "Patient/p2"}});
    gateway.put("/fhir/Device/d2", &device).await.expect(201);
    gateway.put("/fhir/Location/l", &json!({"resourceType": "Location", "id": "l"})).await.expect(201);
    // Its house, its doctor and its medicine are in nobody's compartment; a sample is, but says no patient.
    let mut p1 = patient("p1", "r1", "Vega");
    p1["managingOrganization"] = on("Organization/c");
    p1["generalPractitioner"] = json!([on("Practitioner/gp")]);
    p1["link"] = json!([{"other": on("Patient/p2"), "type": "seealso"}]);
    gateway.put("/fhir/Patient/p1", &p1).await.expect(200);
    let order = json!({"resourceType": "MedicationRequest", "id": "mr", "status": "active", "intent": "order",
        "subject": on("Patient/p1"), "medicationReference": on("Medication/m")});
    for resource in [
        json!({"resourceType": "Practitioner", "id": "gp"}),
        json!({"resourceType": "Medication", "id": "m"}),
        json!({"resourceType": "Specimen", "id": "s"}),
        json!({"resourceType": "Specimen", "id": "s2", "subject": on("Patient/p2")}),
        order,
    ] {
        let path = format!("/fhir/{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
        gateway.put(&path, &resource).await.expect(201);
    }
    let mut old = plain_observation(
        "x",
        &json!({"subject": on("Patient/p1"), "effectiveDateTime": "2020-05-05", "device": on("Device/d2"), "specimen": on("Specimen/s"),
            "hasMember": [on("Observation/o2")], "focus": [on("Specimen/s2")], "derivedFrom": [on("Observation/o1")]}),
    );
    old["id"] = "o0".into();
    gateway.put("/fhir/Observation/o0", &old).await.expect(201);
    let stay = json!({"resourceType": "Encounter", "id": "e0", "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": "Patient/p1"}, "period": {"start": "2020-05-01", "end": "2020-05-09"},
        "location": [{"location": {"reference": "Location/l"}}]});
    gateway.put("/fhir/Encounter/e0", &stay).await.expect(201);
    let condition = json!({"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p1"}, "onsetDateTime": "1999"});
    gateway.put("/fhir/Condition/c", &condition).await.expect(201);
    let table = [
        (
            "Patient/p1/$everything",
            "Patient/p1 Encounter/e1 Observation/o1 Observation/o0 Encounter/e0 Condition/c MedicationRequest/mr \
             PractitionerRole/r1 Device/d1 Location/l Organization/c Practitioner/gp Medication/m Specimen/s",
        ),
        ("Patient/p1/$everything?_type=Observation", "Observation/o1 Observation/o0"),
        ("Patient/p1/$everything?_type=Organization,Medication,Specimen", "Organization/c Medication/m Specimen/s"),
        ("Patient/p1/$everything?_type=Device,Patient", "Patient/p1 Device/d1"),
        ("Patient/p1/$everything?_since=2200-01-01", ""),
        ("Patient/p1/$everything?_since=2000-01-01&_type=Observation", "Observation/o1 Observation/o0"),
        (
            "Patient/p1/$everything?start=2020-05-01&end=2020-05-31",
            "Patient/p1 Observation/o0 Encounter/e0 Condition/c Location/l Organization/c \
             Practitioner/gp Specimen/s",
        ),
        ("Patient/p1/$everything?start=2026&_type=Observation", "Observation/o1"),
        ("Encounter/e1/$everything", "Encounter/e1 Observation/o1 Patient/p1 PractitionerRole/r1 Device/d1"),
    ];
    for (path, expected) in table {
        for count in [1, 2, 3, 50] {
            let mark = if path.contains('?') { '&' } else { '?' };
            let told = all(&gateway, &format!("/fhir/{path}{mark}_count={count}")).await;
            let (mut told, mut expected): (Vec<&str>, Vec<&str>) =
                (told.split(' ').collect(), expected.split(' ').collect());
            if expected.first().is_some_and(|first| path.starts_with(first)) {
                assert_eq!(told.first(), expected.first(), "{path} by {count}");
            }
            // In which order references were met is the dictionary's own.
            told.sort_unstable();
            expected.sort_unstable();
            assert_eq!(told, expected, "{path} by {count}");
        }
    }
    let parameters = json!({"resourceType": "Parameters", "parameter": [
        {"name": "_type", "valueCode": "Condition"}, {"name": "_count", "valueInteger": 5}]});
    let page = gateway.post("/fhir/Patient/p1/$everything", &parameters).await.expect(200).json();
    assert_eq!(page["entry"][0]["resource"]["id"], "c");
    for (path, status) in [
        ("Patient/none/$everything", 404),
        ("Patient/$everything", 400),
        ("Location/l/$everything", 404),
        ("Patient/p1/$everything?nope=1", 400),
        ("Patient/p1/$everything?start=yesterday", 400),
        ("Patient/p1/$everything?_since=x", 400),
        ("Patient/p1/$everything?_count=x", 400),
        ("Patient/p1/$everything?_type=Nope", 400),
        ("Patient/p1/$everything?_cursor=AAAA", 400),
        ("Patient/p1/$everything?_format=ndjson", 406),
    ] {
        gateway.get(&format!("/fhir/{path}")).await.expect(status).issues();
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_bound_to_a_patient_is_told_of_that_patient_alone() {
    let app = TestApp::start().await;
    ward(&app.gateway()).await;
    // What it refers to is another patient's: neither shown nor told apart from what is not there.
    let mut reading = app.gateway().get("/fhir/Observation/o1").await.expect(200).json();
    reading["hasMember"] = json!([on("Observation/o2"), on("Observation/none")]);
    app.gateway().put("/fhir/Observation/o1", &reading).await.expect(200);
    let own = app.patient_app("patient/*.rs", "p1");
    for path in ["/fhir/Patient/$everything", "/fhir/Patient/p1/$everything"] {
        assert_eq!(all(&own, path).await, "Patient/p1 Encounter/e1 Observation/o1 PractitionerRole/r1", "{path}");
    }
    for path in ["/fhir/Patient/p2/$everything", "/fhir/Encounter/none/$everything"] {
        own.get(path).await.expect(404);
    }
    own.get("/fhir/Patient/$everything?_type=Device").await.expect(200);
    let few = app.machine("system/Patient.rs system/Observation.rs");
    assert_eq!(all(&few, "/fhir/Patient/p1/$everything").await, "Patient/p1 Observation/o1");
    few.get("/fhir/Patient/p1/$everything?_type=Encounter").await.expect(403);
    app.machine("system/Observation.rs").get("/fhir/Patient/p1/$everything").await.expect(403);
    let _: Value = own.get("/fhir/Patient/$everything?_elements=Patient.gender").await.expect(200).json();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_comes_once_while_others_write() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    ward(&gateway).await;
    let reading = |n: usize| {
        let mut all = plain_observation(
            "x",
            &json!({"subject": {"reference": "Patient/p1"}, "effectiveDateTime": format!("2026-02-{:02}T01:00:00Z", n % 28 + 1)}),
        );
        all["id"] = format!("n{n:03}").into();
        all
    };
    for n in 0..40 {
        gateway.put(&format!("/fhir/Observation/n{n:03}"), &reading(n)).await.expect(201);
    }
    for first in [
        "/fhir/Patient/p1/$everything?_count=6",
        "/fhir?_type=Observation,Encounter,Patient&_sort=_lastUpdated&_count=6",
        "/fhir/Patient/p1/Observation?_count=6",
    ] {
        let (mut path, mut seen, mut round) = (Some(first.to_owned()), Vec::new(), 0);
        while let Some(address) = path {
            let page = gateway.get(&address).await.expect(200).json();
            seen.extend(crate::helpers::ids(&page));
            path = next(&page);
            round += 1;
            if round < 5 {
                // One more, and a change of one that was not told yet.
                let n = 100 + seen.len() + first.len();
                gateway.put(&format!("/fhir/Observation/n{n:03}"), &reading(n)).await;
                if let Some(unseen) = (0..40).find(|n| !seen.contains(&format!("n{n:03}"))) {
                    let mut changed = reading(unseen);
                    changed["status"] = "amended".into();
                    changed["note"] = json!([{"text": format!("{first} {round}")}]);
                    gateway.put(&format!("/fhir/Observation/n{unseen:03}"), &changed).await.expect(200);
                }
            }
        }
        for n in 0..40 {
            let id = format!("n{n:03}");
            assert_eq!(seen.iter().filter(|own| **own == id).count(), 1, "{first}: {id}");
        }
    }
    app.stop().await;
}
