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
        ("$meta-add", vec![tag("b")], json!([tag("a"), tag("b")]), 3),
        ("$meta-delete", vec![tag("a"), tag("z")], json!([tag("b")]), 4),
    ] {
        gateway.post(&format!("/fhir/Patient/{id}/{operation}"), &given(&tags)).await.expect(200);
        let meta = gateway.get(&format!("/fhir/Patient/{id}/$meta")).await.expect(200).json();
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
