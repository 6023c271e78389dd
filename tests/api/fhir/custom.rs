//! Search parameters that somebody stores: judged when they are written, indexed at once, searched by after `$reindex`.

use serde_json::{Value, json};

use super::reindex::finished;
use crate::helpers::samples::{patient, plain_observation};
use crate::helpers::{Client, TestApp, eventually, ids};

/// An active definition; `more` replaces members of it.
fn parameter(id: &str, base: &str, code: &str, kind: &str, expression: &str, more: &Value) -> Value {
    let mut definition = json!({"resourceType": "SearchParameter", "id": id, "url": format!("urn:test:{id}"), "name": id,
        "status": "active", "description": "A test.", "code": code, "base": [base], "type": kind, "expression": expression});
    for (name, value) in more.as_object().unwrap() {
        definition[name] = value.clone();
    }
    definition
}

async fn put(caller: &Client, definition: &Value, status: u16) {
    let id = definition["id"].as_str().unwrap();
    caller.put(&format!("/fhir/SearchParameter/{id}"), definition).await.expect(status);
}

async fn reindex(caller: &Client) -> Value {
    caller.post("/fhir/$reindex", &json!({"resourceType": "Parameters"})).await.expect(202);
    finished(caller).await
}

async fn found(caller: &Client, path: &str) -> Vec<String> {
    let mut found = ids(&caller.get(path).await.expect(200).json());
    found.sort();
    found
}

fn extended(mut resource: Value, value: &Value) -> Value {
    let mut extension = json!({"url": "urn:test:extension"});
    for (name, value) in value.as_object().unwrap() {
        extension[name] = value.clone();
    }
    resource["extension"] = json!([extension]);
    resource
}

const EYES: &str = "Patient.extension.where(url='urn:test:extension').value.as(CodeableConcept)";

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_searched_is_refused_with_the_element() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    put(&gateway, &parameter("taken", "Patient", "taken", "string", "Patient.name.text", &json!({})), 201).await;
    let none = json!({});
    let table = [
        (parameter("a", "Patient", "family", "string", "Patient.name.family", &none), "SearchParameter.code"),
        (parameter("a", "Patient", "taken", "string", "Patient.name.family", &none), "SearchParameter.code"),
        (parameter("a", "Resource", "taken", "token", "Resource.language", &none), "SearchParameter.code"),
        (parameter("a", "Patient", "_mine", "string", "Patient.name.family", &none), "SearchParameter.code"),
        (parameter("a", "Patient", "a.b", "string", "Patient.name.family", &none), "SearchParameter.code"),
        (parameter("a", "Patient", "a", "composite", "Patient.name", &none), "SearchParameter.type"),
        (parameter("a", "Patient", "a", "special", "Patient.name", &none), "SearchParameter.type"),
        (parameter("a", "Patient", "a", "date", "Patient.name.family", &none), "SearchParameter.type"),
        (parameter("a", "Patient", "a", "quantity", "Patient.birthDate", &none), "SearchParameter.type"),
        (parameter("a", "Patient", "a", "string", "Patient.name.first()", &none), "SearchParameter.expression"),
        (parameter("a", "Patient", "a", "string", "Patient.nope", &none), "SearchParameter.expression"),
        (parameter("a", "Patient", "a", "string", "Device.udiCarrier.issuer", &none), "SearchParameter.expression"),
    ];
    for (definition, expression) in table {
        let refused = gateway.put("/fhir/SearchParameter/a", &definition).await.expect(422).json();
        assert_eq!(refused["issue"][0]["expression"][0], expression, "{definition}\n{refused}");
        // One that is not in force may be anything.
        let mut draft = definition;
        draft["status"] = json!("draft");
        let status = gateway.put("/fhir/SearchParameter/a", &draft).await.status;
        assert!(status == 200 || status == 201, "{draft} {status}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_searched_by_when_everything_is_indexed() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let eyes = |code: &str| json!({"valueCodeableConcept": {"text": "Eyes", "coding": [{"system": "urn:eyes", "code": code}]}});
    gateway.put("/fhir/Patient/a", &extended(patient("a", "r1", "Vega"), &eyes("brown"))).await.expect(201);
    gateway.put("/fhir/Patient/b", &extended(patient("b", "r2", "Soto"), &eyes("green"))).await.expect(201);
    let definition = parameter("eyes", "Patient", "eyes", "token", EYES, &json!({}));
    put(&gateway, &definition, 201).await;
    gateway.put("/fhir/Patient/c", &extended(patient("c", "r3", "Mora"), &eyes("brown"))).await.expect(201);
    let waits =
        ["Patient?eyes=brown", "Patient?_sort=eyes", "Observation?patient.eyes=brown", "Patient?eyes:missing=true"];
    for path in waits {
        for handling in ["strict", "lenient"] {
            let asked = gateway.with_header("Prefer", &format!("handling={handling}"));
            let refused = asked.get(&format!("/fhir/{path}")).await.expect(400).text();
            assert!(refused.contains("eyes") && refused.contains("$reindex"), "{path} {refused}");
        }
    }
    assert!(!gateway.get("/fhir/metadata").await.text().contains("urn:test:eyes"));
    let ended = reindex(&gateway).await;
    assert!(ended.to_string().contains("completed"), "{ended}");
    assert!(gateway.get("/fhir/metadata").await.text().contains("urn:test:eyes"));
    gateway
        .put("/fhir/Observation/o", &plain_observation("x", &json!({"id": "o", "subject": {"reference": "Patient/a"}})))
        .await
        .expect(201);
    let searches: [(&str, &[&str]); 10] = [
        ("Patient?eyes=brown", &["a", "c"]),
        ("Patient?eyes=urn:eyes|green", &["b"]),
        ("Patient?eyes=green,brown&family=soto", &["b"]),
        ("Patient?eyes:not=brown", &["b"]),
        ("Patient?eyes:text=eyes", &["a", "b", "c"]),
        ("Patient?eyes:missing=true", &[]),
        ("Patient?_sort=eyes", &["a", "b", "c"]),
        ("Observation?patient.eyes=brown", &["o"]),
        ("Observation?patient.eyes=green", &[]),
        ("Patient?_has:Observation:patient:code=x&eyes=brown", &["a"]),
    ];
    for (path, expected) in searches {
        assert_eq!(found(&gateway, &format!("/fhir/{path}")).await, expected, "{path}");
    }
    // Another restart of the same data: still ready.
    let app = TestApp::on(app.stop().await, vigia::clock::Clock::default(), |_| {}).await;
    let gateway = app.gateway();
    assert_eq!(found(&gateway, "/fhir/Patient?eyes=brown").await, ["a", "c"]);
    // Another expression is another parameter.
    let mut changed = definition.clone();
    changed["expression"] = json!("Patient.maritalStatus");
    put(&gateway, &changed, 200).await;
    gateway.get("/fhir/Patient?eyes=brown").await.expect(400);
    reindex(&gateway).await;
    assert!(found(&gateway, "/fhir/Patient?eyes=brown").await.is_empty());
    put(&gateway, &definition, 200).await;
    gateway.get("/fhir/Patient?eyes=brown").await.expect(400);
    reindex(&gateway).await;
    assert_eq!(found(&gateway, "/fhir/Patient?eyes=brown").await, ["a", "c"]);
    // Retired or deleted, it is none.
    gateway.delete("/fhir/SearchParameter/eyes").await.expect(204);
    let refused = gateway.get("/fhir/Patient?eyes=brown").await.expect(400).text();
    assert!(!refused.contains("$reindex"), "{refused}");
    assert!(!gateway.get("/fhir/metadata").await.text().contains("urn:test:eyes"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_type_of_search_works_for_observations_too() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let none = json!({});
    let at = |kind: &str| format!("Observation.extension.where(url='urn:test:extension').value.ofType({kind})");
    for definition in [
        parameter("bed", "Observation", "bed", "reference", &at("Reference"), &json!({"target": ["Location"]})),
        parameter("depth", "Observation", "depth", "quantity", &at("Quantity"), &none),
        parameter("rank", "Observation", "rank", "number", &at("integer"), &none),
        parameter("seen", "Observation", "seen", "date", &at("dateTime"), &none),
        parameter("note", "Observation", "note", "string", "Observation.note.text", &none),
        parameter("guide", "Observation", "guide", "uri", &at("uri"), &none),
        parameter("tongue", "Resource", "tongue", "token", "Resource.language", &none),
    ] {
        put(&gateway, &definition, 201).await;
    }
    let location = json!({"resourceType": "Location", "id": "l", "name": "Bed", "language": "es"});
    gateway.put("/fhir/Location/l", &location).await.expect(201);
    let values = [
        ("bed", json!({"valueReference": {"reference": "Location/l"}})),
        ("depth", json!({"valueQuantity": {"value": 7.5, "system": "http://unitsofmeasure.org", "code": "cm"}})),
        ("rank", json!({"valueInteger": 7})),
        ("seen", json!({"valueDateTime": "2026-01-02"})),
        ("guide", json!({"valueUri": "urn:guide"})),
    ];
    for (id, value) in values {
        let observation = plain_observation("x", &json!({"id": id, "note": [{"text": format!("about {id}")}]}));
        gateway.put(&format!("/fhir/Observation/{id}"), &extended(observation, &value)).await.expect(201);
    }
    reindex(&gateway).await;
    let searches: [(&str, &[&str]); 11] = [
        ("Observation?bed=Location/l", &["bed"]),
        ("Observation?bed.name=bed", &["bed"]),
        ("Observation?bed.tongue=es", &["bed"]),
        ("Location?_has:Observation:bed:note=about", &["l"]),
        ("Observation?depth=gt70|http://unitsofmeasure.org|mm", &["depth"]),
        ("Observation?rank=7", &["rank"]),
        ("Observation?seen=2026-01", &["seen"]),
        ("Observation?note:contains=EEN", &["seen"]),
        ("Observation?guide=urn:guide", &["guide"]),
        ("Observation?bed=Location/l&_include=Observation:bed", &["bed", "l"]),
        ("Location?_id=l&_revinclude=Observation:*", &["bed", "l"]),
    ];
    for (path, expected) in searches {
        assert_eq!(found(&gateway, &format!("/fhir/{path}")).await, expected, "{path}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_left_behind_goes_on_and_nothing_written_meanwhile_is_missed() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for n in 0..150 {
        let id = format!("p{n}");
        gateway.put(&format!("/fhir/Patient/{id}"), &patient(&id, &id, "Vega")).await.expect(201);
    }
    let definition = parameter("given2", "Patient", "given2", "string", "Patient.name.family", &json!({}));
    put(&gateway, &definition, 201).await;
    gateway.post("/fhir/$reindex", &json!({"resourceType": "Parameters"})).await.expect(202);
    for n in 150..200 {
        let id = format!("p{n}");
        gateway.put(&format!("/fhir/Patient/{id}"), &patient(&id, &id, "Vega")).await.expect(201);
    }
    finished(&gateway).await;
    let count = |page: Value| page["total"].as_i64().unwrap();
    let all = "/fhir/Patient?given2=vega&_total=accurate&_count=0";
    assert_eq!(count(gateway.get(all).await.expect(200).json()), 200);
    // As another node's change leaves it: what is made ready here is made ready under a state that is over.
    app.place.execute("UPDATE log_head SET parameters = parameters + 1").await;
    gateway.put("/fhir/Patient/new", &patient("new", "new", "Vega")).await.expect(201);
    gateway.put("/fhir/Observation/new", &plain_observation("x", &json!({"id": "new"}))).await.expect(201);
    assert_eq!(count(gateway.get(all).await.expect(200).json()), 201);
    assert_eq!(found(&gateway, "/fhir/Observation?code=x").await, ["new"]);
    // As a crash leaves it: half done, and nobody is at it.
    app.place
        .execute("DELETE FROM ready_parameter; DELETE FROM ix_string; UPDATE reindexing SET state = 1, place = 0, touched = 0, done = 0;
                  UPDATE log_head SET parameters = parameters + 1")
        .await;
    let app = TestApp::on(app.stop().await, vigia::clock::Clock::default(), |_| {}).await;
    let gateway = app.gateway();
    eventually("the run goes on", || async {
        let found = gateway.get(all).await;
        (found.status == 200 && count(found.json()) >= 150).then_some(())
    })
    .await;
    app.stop().await;
}
