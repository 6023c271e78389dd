//! PATCH: what stands is changed in place, by JSON Patch and by FHIRPath Patch.

use reqwest::Method;
use serde_json::{Value, json};

use crate::helpers::samples::{bundle, entry, patient, plain_observation};
use crate::helpers::{Client, Reply, TestApp};

const JSON_PATCH: &str = "application/json-patch+json";

async fn patch(client: &Client, path: &str, media: &str, body: impl ToString) -> Reply {
    client.with_header("Content-Type", media).send(Method::PATCH, path, Some(body.to_string().into_bytes())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn json_patch_changes_what_stands() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Patient/p", &patient("p", "r1", "Vega")).await.expect(201);
    let table: [(Value, u16, &str); 14] = [
        (json!([{"op": "replace", "path": "/name/0/family", "value": "Ortiz"}]), 200, r#""family":"Ortiz""#),
        (
            json!([{"op": "test", "path": "/active", "value": true}, {"op": "remove", "path": "/gender"}]),
            200,
            r#""active":true"#,
        ),
        (json!([{"op": "add", "path": "/name/0/given/-", "value": "Luz"}]), 200, r#"["Ana","María","Luz"]"#),
        (
            json!([{"op": "move", "from": "/name/0/given/2", "path": "/name/0/given/0"}]),
            200,
            r#"["Luz","Ana","María"]"#,
        ),
        (json!([{"op": "copy", "from": "/name/0", "path": "/name/1"}]), 200, r#""name":[{"#),
        (
            json!([{"op": "remove", "path": "/name/1"}, {"op": "remove", "path": "/identifier/0"}]),
            200,
            r#""birthDate":"1956-03-01""#,
        ),
        (json!([{"op": "test", "path": "/active", "value": false}]), 422, "processing patch[0]"),
        (json!([{"op": "remove", "path": "/photo"}]), 422, "processing patch[0]"),
        (json!([{"op": "replace", "path": "/id", "value": "q"}]), 422, "business-rule Patient.id"),
        (json!([{"op": "replace", "path": "/resourceType", "value": "Device"}]), 422, "business-rule Patient.id"),
        (json!([{"op": "add", "path": "/birthDate", "value": "yesterday"}]), 422, "Patient.birthDate"),
        (json!([{"op": "add", "path": "/active", "value": null}]), 422, "Patient.active"),
        (json!([{"op": "shuffle", "path": "/name"}]), 400, "invalid http.body"),
        (json!({"op": "remove", "path": "/name"}), 400, "invalid http.body"),
    ];
    for (operations, status, holds) in table {
        let reply = patch(&gateway, "/fhir/Patient/p", JSON_PATCH, &operations).await;
        assert_eq!(reply.status, status, "{operations}: {}", reply.text());
        let shown = if status == 200 { reply.text() } else { reply.issues() };
        assert!(shown.contains(holds), "{operations}: {shown}");
    }
    let stands = gateway.get("/fhir/Patient/p").await.expect(200);
    assert_eq!(
        (stands.header("etag"), stands.json().get("identifier")),
        ("W/\"7\"".into(), None),
        "what is empty is gone"
    );
    assert_eq!(
        patch(&gateway, "/fhir/Patient/never", JSON_PATCH, json!([{"op": "remove", "path": "/a"}])).await.status,
        404
    );
    gateway.delete("/fhir/Patient/p").await.expect(204);
    assert_eq!(
        patch(&gateway, "/fhir/Patient/p", JSON_PATCH, json!([{"op": "remove", "path": "/a"}])).await.status,
        410
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_patches_are_refused_by_their_type() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Patient/p", &patient("p", "r1", "Vega")).await.expect(201);
    for media in ["application/xml-patch+xml", "text/plain", "application/merge-patch+json"] {
        assert_eq!(
            patch(&gateway, "/fhir/Patient/p", media, "[]").await.expect(415).issues(),
            "not-supported http.Content-Type"
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_knows_the_version_it_is_for() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Patient/p", &patient("p", "r1", "Vega")).await.expect(201);
    let body = json!([{"op": "replace", "path": "/active", "value": false}]).to_string().into_bytes();
    for (tag, status) in [("W/\"2\"", 412), ("W/\"1\"", 200), ("W/\"1\"", 412), ("*", 200), ("\"3\"", 200)] {
        let ask = gateway.with_header("Content-Type", JSON_PATCH).with_header("If-Match", tag);
        ask.send(Method::PATCH, "/fhir/Patient/p", Some(body.clone())).await.expect(status);
    }
    app.stop().await;
}

/// Without If-Match nobody's change is lost, and nobody is told to come again.
#[tokio::test(flavor = "multi_thread")]
async fn many_patches_at_once_are_all_done() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Patient/p", &patient("p", "r1", "Vega")).await.expect(201);
    let tries: Vec<_> = (0..12)
        .map(|n| {
            let gateway = gateway.clone();
            tokio::spawn(async move {
                let add = json!([{"op": "add", "path": "/name/0/given/-", "value": format!("N{n}")}]);
                patch(&gateway, "/fhir/Patient/p", JSON_PATCH, &add).await.expect(200);
            })
        })
        .collect();
    for one in tries {
        one.await.unwrap();
    }
    let stands = gateway.get("/fhir/Patient/p").await.expect(200).json();
    assert_eq!(
        (stands["name"][0]["given"].as_array().unwrap().len(), &stands["meta"]["versionId"]),
        (14, &json!("13"))
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_keeps_the_digits_of_decimals() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let sent = plain_observation("x", &json!({"id": "o", "valueQuantity": {"unit": "mg"}}));
    gateway.put("/fhir/Observation/o", &sent).await.expect(201);
    for digits in ["1.10", "0.100", "98765432109876543210.5"] {
        let add = format!(r#"[{{"op": "add", "path": "/valueQuantity/value", "value": {digits}}}]"#);
        patch(&gateway, "/fhir/Observation/o", JSON_PATCH, &add).await.expect(200);
        let test = format!(r#"[{{"op": "test", "path": "/valueQuantity/value", "value": {digits}}}]"#);
        let read = patch(&gateway, "/fhir/Observation/o", JSON_PATCH, &test).await.expect(200).text();
        assert!(read.contains(&format!(r#""value":{digits}"#)), "{digits}: {read}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_needs_the_right_to_read_and_to_update() {
    let app = TestApp::start().await;
    app.gateway().put("/fhir/Patient/p", &patient("p", "r1", "Vega")).await.expect(201);
    let body = json!([{"op": "remove", "path": "/gender"}]);
    for (scope, path, status) in [
        ("system/Patient.r", "/fhir/Patient/p", 403),
        ("system/Patient.u", "/fhir/Patient/p", 403),
        ("system/Patient.ru", "/fhir/Patient?identifier=urn:test:records|r1", 403),
        ("system/Patient.ru", "/fhir/Patient/p", 200),
        ("system/Patient.rus", "/fhir/Patient?identifier=urn:test:records|r1", 422),
    ] {
        patch(&app.machine(scope), path, JSON_PATCH, &body).await.expect(status);
    }
    let rename = json!([{"op": "remove", "path": "/name"}]);
    let own = app.patient_app("patient/Patient.rus", "p");
    patch(&own, "/fhir/Patient/p", JSON_PATCH, &rename).await.expect(403);
    patch(&own, "/fhir/Patient/other", JSON_PATCH, &rename).await.expect(404);
    patch(&own, "/fhir/Patient?identifier=urn:test:records|r1", JSON_PATCH, &rename).await.expect(403);
    app.stop().await;
}

/// A patch in a Bundle is a Binary that holds it.
#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_carries_patches() {
    use base64::Engine;
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Patient/p", &patient("p", "r1", "Vega")).await.expect(201);
    let binary = |media: &str, patch: &Value| {
        let data = base64::engine::general_purpose::STANDARD.encode(patch.to_string());
        json!({"resourceType": "Binary", "contentType": media, "data": data})
    };
    let add = |name: &str| binary(JSON_PATCH, &json!([{"op": "add", "path": "/name/0/given/-", "value": name}]));
    for (kind, url) in [
        ("batch", "Patient/p"),
        ("transaction", "Patient/p"),
        ("transaction", "Patient?identifier=urn:test:records|r1"),
    ] {
        let answer = gateway.post("/fhir", &bundle(kind, &[entry("PATCH", url, &add(kind))])).await.expect(200).json();
        assert_eq!(answer["entry"][0]["response"]["status"], "200 OK", "{kind} {url}: {answer}");
    }
    assert_eq!(gateway.get("/fhir/Patient/p").await.json()["name"][0]["given"].as_array().unwrap().len(), 5);
    let twice = bundle("batch", &[entry("PATCH", "Patient/p", &add("a")), entry("PATCH", "Patient/p", &add("b"))]);
    let answer = gateway.post("/fhir", &twice).await.expect(200).json();
    assert_eq!(answer["entry"][1]["response"]["etag"], "W/\"6\"", "the second patches what the first made: {answer}");
    for (url, resource, status) in [
        ("Patient/never", add("x"), 404),
        ("Patient?identifier=urn:test:records|none", add("x"), 404),
        ("Patient/p", binary("application/xml-patch+xml", &json!([])), 415),
        ("Patient/p", binary(JSON_PATCH, &json!([{"op": "test", "path": "/active", "value": false}])), 422),
        ("Patient/p", patient("p", "r", "x"), 400),
    ] {
        let sent = bundle("transaction", &[entry("PATCH", url, &resource)]);
        assert!(gateway.post("/fhir", &sent).await.expect(status).issues().contains("Bundle.entry[0]"), "{url}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fhirpath_patch_in_json_and_xml() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Patient/p", &patient("p", "r1", "Vega")).await.expect(201);
    let parameters = |kind: &str, path: &str, more: &[Value]| {
        let mut parts = vec![json!({"name": "type", "valueCode": kind}), json!({"name": "path", "valueString": path})];
        parts.extend_from_slice(more);
        json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]})
    };
    let family = |text: &str| json!({"name": "value", "valueString": text});
    let table = [
        ("Patient/p", parameters("replace", "Patient.name[0].family", &[family("Ortiz")]), 200, r#""family":"Ortiz""#),
        ("Patient/p", parameters("delete", "Patient.gender", &[]), 200, r#""birthDate""#),
        (
            "Patient?identifier=urn:test:records%7Cr1",
            parameters("replace", "Patient.name.first().family", &[family("Luz")]),
            200,
            "Luz",
        ),
        ("Patient/p", parameters("delete", "Patient.name.given", &[]), 422, "processing Parameters.parameter[0]"),
        ("Patient/p", parameters("delete", "Patient.name.count()", &[]), 400, "invalid Parameters.parameter[0]"),
        ("Patient/p", parameters("replace", "Patient.birthDate", &[family("yesterday")]), 422, "Patient.birthDate"),
        ("Patient/p", parameters("replace", "Patient.id", &[family("q")]), 422, "business-rule Patient.id"),
        ("Patient/p", patient("p", "r1", "Vega"), 400, "invalid resourceType"),
        ("Patient/p", json!({"resourceType": "Parameters"}), 400, "invalid Parameters.parameter"),
    ];
    for (path, body, status, holds) in table {
        let reply = patch(&gateway, &format!("/fhir/{path}"), "application/fhir+json", &body).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
        let shown = if status == 200 { reply.text() } else { reply.issues() };
        assert!(shown.contains(holds), "{body}: {shown}");
    }
    let xml = r#"<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>
        <part><name value="type"/><valueCode value="add"/></part><part><name value="path"/><valueString value="Patient"/></part>
        <part><name value="name"/><valueString value="contact"/></part><part><name value="value"/>
        <part><name value="name"/><valueHumanName><text value="a name"/></valueHumanName></part></part></parameter></Parameters>"#;
    let added = patch(&gateway, "/fhir/Patient/p", "application/fhir+xml", xml).await.expect(200).json();
    assert_eq!(added["contact"], json!([{"name": {"text": "a name"}}]));
    let sent = bundle("transaction", &[entry("PATCH", "Patient/p", &parameters("delete", "Patient.contact[0]", &[]))]);
    gateway.post("/fhir", &sent).await.expect(200);
    assert!(gateway.get("/fhir/Patient/p").await.expect(200).json().get("contact").is_none());
    app.stop().await;
}
