//! Value sets and code systems: `$expand`, `$lookup`, `$validate-code`.

use serde_json::{Value, json};

use crate::helpers::{Client, TestApp};

const STATUS: &str = "http://hl7.org/fhir/ValueSet/observation-status";
const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";

async fn store(gateway: &Client) {
    let animals = json!({"resourceType": "CodeSystem", "id": "animals", "url": "urn:animals", "version": "2", "name": "Animals",
        "status": "active", "content": "complete", "caseSensitive": false, "concept": [
            {"code": "animal", "display": "Animal", "concept": [
                {"code": "dog", "display": "Dog", "definition": "It barks.", "designation": [{"language": "es", "value": "perro"}]},
                {"code": "cat", "display": "House cat"}]},
            {"code": "stone", "display": "Stone"}]});
    let below =
        json!({"system": "urn:animals", "filter": [{"property": "concept", "op": "descendent-of", "value": "animal"}]});
    let set = |id: &str, include: Value| json!({"resourceType": "ValueSet", "id": id, "url": format!("urn:{id}"), "status": "active", "compose": {"include": [include]}});
    gateway.put("/fhir/CodeSystem/animals", &animals).await.expect(201);
    for set in [
        set("pets", below),
        set("imports", json!({"valueSet": ["urn:pets"]})),
        set("snomed", json!({"system": "http://snomed.info/sct"})),
        set("lost", json!({"system": "urn:nowhere"})),
        // It stands before the shipped one of the same url.
        json!({"resourceType": "ValueSet", "id": "own", "url": "http://hl7.org/fhir/ValueSet/address-use", "status": "active",
            "compose": {"include": [{"system": "urn:own", "concept": [{"code": "tent"}]}]}}),
    ] {
        gateway.put(&format!("/fhir/ValueSet/{}", set["id"].as_str().unwrap()), &set).await.expect(201);
    }
}

fn codes(answer: &Value) -> String {
    let contains = answer["expansion"]["contains"].as_array().cloned().unwrap_or_default();
    let codes = contains.iter().map(|c| c["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ");
    format!("{}: {codes}", answer["expansion"]["total"])
}

#[tokio::test(flavor = "multi_thread")]
async fn value_sets_are_expanded() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    store(&gateway).await;
    let all = "8: registered preliminary final amended corrected cancelled entered-in-error unknown";
    for (path, expected) in [
        (format!("ValueSet/$expand?url={STATUS}"), all),
        (format!("ValueSet/$expand?url={STATUS}|4.0.1"), all),
        (format!("ValueSet/$expand?url={STATUS}&valueSetVersion=4.0.1"), all),
        (format!("ValueSet/$expand?url={STATUS}&offset=1&count=2"), "8: preliminary final"),
        (format!("ValueSet/$expand?url={STATUS}&count=0"), "8: "),
        (format!("ValueSet/$expand?url={STATUS}&filter=ENTERED"), "1: entered-in-error"),
        ("ValueSet/$expand?url=urn:pets".to_owned(), "2: dog cat"),
        ("ValueSet/pets/$expand".to_owned(), "2: dog cat"),
        ("ValueSet/$expand?url=urn:imports&filter=hou".to_owned(), "1: cat"),
        ("ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/address-use".to_owned(), "1: tent"),
    ] {
        let answer = gateway.get(&format!("/fhir/{path}")).await.expect(200).json();
        assert_eq!(codes(&answer), expected, "{path}");
        assert!(answer["expansion"]["timestamp"].is_string() && answer["expansion"]["identifier"].is_string());
    }
    let sent = json!({"resourceType": "ValueSet", "status": "draft", "compose": {"include": [{"system": "urn:animals"}],
        "exclude": [{"valueSet": ["urn:pets"]}]}});
    assert_eq!(codes(&gateway.post("/fhir/ValueSet/$expand", &sent).await.expect(200).json()), "2: animal stone");
    let body = json!({"resourceType": "Parameters", "parameter": [{"name": "url", "valueUri": "urn:pets"},
        {"name": "includeDesignations", "valueBoolean": true}]});
    let answer = gateway.post("/fhir/ValueSet/$expand", &body).await.expect(200).json();
    assert_eq!(
        answer["expansion"]["contains"][0],
        json!({"system": "urn:animals", "code": "dog", "display": "Dog",
        "designation": [{"language": "es", "value": "perro"}]})
    );
    for (path, status, issue) in [
        ("ValueSet/$expand", 400, "required http.url"),
        ("ValueSet/$expand?url=urn:nope", 404, "not-found"),
        ("ValueSet/$expand?url=urn:pets|9", 404, "not-found"),
        ("ValueSet/$expand?url=urn:pets&count=-1", 400, "value http.count"),
        ("ValueSet/$expand?url=urn:pets&context=x", 400, "not-supported http.context"),
        ("ValueSet/$expand?url=urn:snomed", 422, "too-costly http.url"),
        ("ValueSet/$expand?url=urn:lost", 422, "not-found http.url"),
        ("ValueSet/nope/$expand", 404, "not-found"),
    ] {
        let reply = gateway.get(&format!("/fhir/{path}")).await.expect(status);
        assert_eq!(reply.issues(), issue, "{path}");
    }
    app.machine("system/Patient.rs").get("/fhir/ValueSet/$expand?url=urn:pets").await.expect(403);
    app.stop().await;
}

/// The values of the named parameters.
fn told(answer: &Value, names: &[&str]) -> String {
    let all = answer["parameter"].as_array().unwrap();
    let value = |parameter: &Value| {
        let parameter = parameter.as_object().unwrap();
        let (_, value) = parameter.iter().find(|(name, _)| name.starts_with("value")).unwrap();
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    };
    let told = names.iter().flat_map(|name| all.iter().filter(move |p| p["name"] == **name));
    told.map(value).collect::<Vec<_>>().join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_looked_up_and_judged() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    store(&gateway).await;
    for (query, expected) in [
        (format!("system={CATEGORY}&code=vital-signs"), "Observation Category Codes, 4.0.1, Vital Signs"),
        ("system=urn:animals&code=DOG".to_owned(), "Animals, 2, Dog"),
        ("system=urn:animals&version=2&code=stone".to_owned(), "Animals, 2, Stone"),
    ] {
        let answer = gateway.get(&format!("/fhir/CodeSystem/$lookup?{query}")).await.expect(200).json();
        assert_eq!(told(&answer, &["name", "version", "display"]), expected, "{query}");
    }
    let answer =
        gateway.get("/fhir/CodeSystem/$lookup?system=urn:animals&code=dog&property=parent").await.expect(200).json();
    let properties: Vec<&Value> =
        answer["parameter"].as_array().unwrap().iter().filter(|p| p["name"] == "property").collect();
    assert_eq!(
        properties,
        [
            &json!({"name": "property", "part": [{"name": "code", "valueCode": "parent"}, {"name": "value", "valueCode": "animal"}]})
        ]
    );
    for (path, expected) in [
        (
            format!("ValueSet/$validate-code?url={STATUS}&code=final&system=http://hl7.org/fhir/observation-status"),
            "true, Final",
        ),
        (format!("ValueSet/$validate-code?url={STATUS}&code=final"), "true, Final"),
        (format!("ValueSet/$validate-code?url={STATUS}&code=final&display=final"), "true, Final"),
        (
            format!("ValueSet/$validate-code?url={STATUS}&code=final&display=Finished"),
            "false, the display of this code is Final",
        ),
        (format!("ValueSet/$validate-code?url={STATUS}&code=done"), "false, the value set has no such code"),
        (
            format!("ValueSet/$validate-code?url={STATUS}&code=final&system=urn:other"),
            "false, the value set has no such code",
        ),
        ("ValueSet/pets/$validate-code?code=DOG&system=urn:animals".to_owned(), "true, Dog"),
        (
            "ValueSet/pets/$validate-code?code=animal&system=urn:animals".to_owned(),
            "false, the value set has no such code",
        ),
        ("CodeSystem/$validate-code?url=urn:animals&code=cat".to_owned(), "true, House cat"),
        ("CodeSystem/animals/$validate-code?code=cow".to_owned(), "false, the code system has no such code"),
        (format!("CodeSystem/$validate-code?url={CATEGORY}&code=exam&display=Exam"), "true, Exam"),
    ] {
        let answer = gateway.get(&format!("/fhir/{path}")).await.expect(200).json();
        assert_eq!(told(&answer, &["result", "display", "message"]), expected, "{path}");
    }
    let concept = |codings: Value| {
        json!({"resourceType": "Parameters", "parameter": [{"name": "url", "valueUri": "urn:pets"},
            {"name": "codeableConcept", "valueCodeableConcept": {"coding": codings}}]})
    };
    for (codings, expected) in [
        (json!([{"system": "urn:other", "code": "x"}, {"system": "urn:animals", "code": "dog"}]), "true, Dog"),
        (json!([{"system": "urn:animals", "code": "stone"}]), "false, the value set has no such code"),
    ] {
        let answer = gateway.post("/fhir/ValueSet/$validate-code", &concept(codings)).await.expect(200).json();
        assert_eq!(told(&answer, &["result", "display", "message"]), expected);
    }
    for (path, status, issue) in [
        ("CodeSystem/$lookup?code=a", 400, "required http.code"),
        ("CodeSystem/$lookup?system=urn:nope&code=a", 404, "not-found"),
        ("CodeSystem/$lookup?system=urn:animals&code=cow", 422, "code-invalid http.code"),
        ("CodeSystem/$validate-code?url=urn:animals", 400, "required http.code"),
        ("CodeSystem/$validate-code?code=a", 400, "required http.url"),
        ("ValueSet/$validate-code?url=urn:pets&coding=a", 400, "value http.coding"),
        ("ValueSet/$validate-code?url=urn:snomed&code=1&system=http://snomed.info/sct", 422, "too-costly http.url"),
        ("Patient/$validate-code?url=urn:pets&code=a", 404, "not-supported"),
    ] {
        let reply = gateway.get(&format!("/fhir/{path}")).await.expect(status);
        assert_eq!(reply.issues(), issue, "{path}");
    }
    app.stop().await;
}
