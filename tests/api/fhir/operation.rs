//! `$operations` that are about one resource.

use serde_json::{Value, json};

use crate::helpers::TestApp;
use crate::helpers::samples::patient;

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
