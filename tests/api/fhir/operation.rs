//! `$operations` that are about one resource.

use serde_json::{Value, json};

use crate::helpers::TestApp;
use crate::helpers::samples::{bundle, entry, patient, plain_observation};

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_added_and_taken_away() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let id = gateway.post("/fhir/Patient", &patient("x", "r1", "Vega")).await.expect(201).id();
    let tag = |code: &str| json!({"system": "urn:test:tags", "code": code});
    let given = |tags: &[Value]| json!({"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": tags}}]});
    for (operation, tags, expected, version) in [
        ("$meta-add", vec![tag("a"), tag("b")], json!([tag("a"), tag("b")]), 2),
        ("$meta-add", vec![tag("b")], json!([tag("a"), tag("b")]), 2),
        ("$meta-delete", vec![tag("a"), tag("z")], json!([tag("b")]), 3),
        ("$meta-delete", vec![tag("z")], json!([tag("b")]), 3),
    ] {
        let answered = gateway.post(&format!("/fhir/Patient/{id}/{operation}"), &given(&tags)).await.expect(200).json();
        let meta = gateway.get(&format!("/fhir/Patient/{id}/$meta")).await.expect(200).json();
        assert_eq!(answered, meta, "{operation}");
        let meta = &meta["parameter"][0]["valueMeta"];
        assert_eq!((&meta["tag"], &meta["versionId"]), (&expected, &json!(version.to_string())), "{operation}");
    }
    for (method, path, status) in [
        ("GET", format!("/fhir/Patient/{id}/$meta-add"), 405),
        ("GET", "/fhir/Patient/nope/$meta".to_owned(), 404),
        ("GET", "/fhir/Patient/$nope".to_owned(), 404),
        ("GET", "/fhir/$nope".to_owned(), 404),
        ("POST", format!("/fhir/Patient/{id}/$meta-add"), 400),
    ] {
        let body = (method == "POST").then(|| br#"{"resourceType":"Parameters"}"#.to_vec());
        let ask = gateway.with_header("Content-Type", "application/fhir+json");
        ask.send(method.parse().unwrap(), &path, body).await.expect(status);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_labels_in_use_are_told() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let label = |code: &str| json!({"system": "urn:test:labels", "code": code});
    let mut ana = patient("a", "r1", "Vega");
    ana["meta"] = json!({"tag": [label("red")], "profile": ["urn:test:profile"]});
    gateway.put("/fhir/Patient/a", &ana).await.expect(201);
    let mut device = json!({"resourceType": "Device", "id": "d"});
    device["meta"] = json!({"tag": [label("blue"), label("red")], "security": [label("secret")]});
    gateway.put("/fhir/Device/d", &device).await.expect(201);
    for (path, expected) in [
        ("/fhir/Patient/$meta", json!({"profile": ["urn:test:profile"], "tag": [label("red")]})),
        ("/fhir/Device/$meta", json!({"security": [label("secret")], "tag": [label("blue"), label("red")]})),
        (
            "/fhir/$meta",
            json!({"profile": ["urn:test:profile"], "security": [label("secret")], "tag": [label("blue"), label("red")]}),
        ),
        ("/fhir/Group/$meta", json!({})),
    ] {
        let meta = gateway.get(path).await.expect(200).json();
        let told = &meta["parameter"][0]["valueMeta"];
        for set in ["profile", "security"] {
            assert_eq!(told[set], expected[set], "{path}");
        }
        // The server's own rules carry labels too.
        let tags = expected["tag"].as_array().cloned().unwrap_or_default();
        assert!(tags.iter().all(|tag| told["tag"].as_array().unwrap().contains(tag)), "{path}: {told}");
    }
    // Only what is current.
    gateway.delete("/fhir/Device/d").await;
    let meta = gateway.get("/fhir/Device/$meta").await.expect(200).json();
    assert!(meta["parameter"][0]["valueMeta"].get("tag").is_none(), "{meta}");
    app.patient_app("patient/*.rs", "a").get("/fhir/Patient/$meta").await.expect(403);
    app.machine("system/Device.rs").get("/fhir/$meta").await.expect(403);
    app.stop().await;
}

/// What an operation answers by itself it answers in a Bundle too.
#[tokio::test(flavor = "multi_thread")]
async fn entries_of_bundles_call_operations() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Patient/a", &patient("a", "r1", "Vega")).await.expect(201);
    let reading = json!({"id": "o", "subject": {"reference": "Patient/a"}});
    gateway.put("/fhir/Observation/o", &plain_observation("x", &reading)).await.expect(201);
    let wrong = json!({"resourceType": "Patient", "gender": "unheard"});
    let parameters = |name: &str, resource: Value| json!({"resourceType": "Parameters", "parameter": [{"name": name, "resource": resource}]});
    let labels =
        json!({"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "t"}]}}]});
    // Method, address, what is given; status, and what the answer holds.
    let table: [(&str, &str, Value, u16, &str); 15] = [
        ("GET", "Observation/$lastn?patient=a&category=vital-signs", Value::Null, 200, "\"searchset\""),
        ("GET", "Patient/a/$everything?_count=10", Value::Null, 200, "Observation/o"),
        (
            "GET",
            "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender",
            Value::Null,
            200,
            "\"female\"",
        ),
        ("GET", "Patient/a/$meta", Value::Null, 200, "valueMeta"),
        ("GET", "metadata", Value::Null, 200, "CapabilityStatement"),
        ("POST", "Patient/$validate", wrong.clone(), 200, "Patient.gender"),
        ("POST", "Patient/$validate", parameters("resource", wrong), 200, "Patient.gender"),
        ("POST", "Patient/$match", parameters("resource", patient("x", "r1", "Vega")), 200, "match-grade"),
        ("POST", "Observation/$lastn?patient=a&category=vital-signs", Value::Null, 200, "\"searchset\""),
        ("POST", "Patient/a/$meta-add", labels, 200, "\"t\""),
        ("GET", "Observation/$stats", Value::Null, 400, "http."),
        ("GET", "Patient/never/$everything", Value::Null, 404, "not-found"),
        ("GET", "Patient/$match", Value::Null, 405, "not-supported"),
        ("GET", "Patient/$nope", Value::Null, 404, "not-supported"),
        ("POST", "a/b/c/$lastn", Value::Null, 404, "not-supported"),
    ];
    let entries: Vec<Value> = table.iter().map(|(method, url, given, ..)| entry(method, url, given)).collect();
    let answer = gateway.post("/fhir", &bundle("batch", &entries)).await.expect(200).json();
    for (at, (method, url, _, status, holds)) in table.iter().enumerate() {
        let entry = &answer["entry"][at];
        let told = entry["response"]["status"].as_str().unwrap();
        assert!(told.starts_with(&status.to_string()), "{method} {url}: {entry}");
        assert!(entry.to_string().contains(holds), "{method} {url}: {entry}");
        assert_eq!(entry.get("resource").is_some(), *status == 200, "{method} {url}: {entry}");
    }
    // In a transaction they see what it wrote; one that writes is none of its entries.
    let created = json!({"resourceType": "Patient", "id": "new"});
    let written = entry("PUT", "Patient/new", &created);
    let with = |url: &str| bundle("transaction", &[written.clone(), entry("GET", url, &Value::Null)]);
    let answer = gateway.post("/fhir", &with("Patient/new/$everything")).await.expect(200).json();
    assert_eq!(answer["entry"][1]["resource"]["entry"][0]["resource"]["id"], "new");
    let adds = entry("POST", "Patient/a/$meta-add", &json!({"resourceType": "Parameters"}));
    let refused = gateway.post("/fhir", &bundle("transaction", &[adds])).await.expect(400);
    assert!(refused.text().contains("Bundle.entry[0]"), "{}", refused.text());
    // Who is bound to one patient learns nothing here either.
    gateway.put("/fhir/Patient/b", &patient("b", "r2", "Soto")).await.expect(201);
    let foreign = ["Patient/b/$everything", "Observation/$lastn?patient=b", "Patient/b/$meta"];
    let entries: Vec<Value> = foreign.iter().map(|url| entry("GET", url, &Value::Null)).collect();
    let answer = app.patient_app("patient/*.rs", "a").post("/fhir", &bundle("batch", &entries)).await.expect(200);
    assert!(!answer.text().contains("Soto"), "{}", answer.text());
    app.stop().await;
}
