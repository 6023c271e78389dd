//! `Prefer: return=…`: what a write is answered with, and the headers that come with it whatever is asked.

use reqwest::Method;
use serde_json::{Value, json};

use crate::helpers::samples::{bundle, entry, patient};
use crate::helpers::{Client, Reply, TestApp};

async fn ask(client: &Client, prefer: &str, method: &str, path: &str, body: &Value) -> Reply {
    let media = if method == "PATCH" { "application/json-patch+json" } else { "application/fhir+json" };
    let ask = client.with_header("Prefer", prefer).with_header("Content-Type", media);
    let body = if body.is_null() { None } else { Some(body.to_string().into_bytes()) };
    ask.send(method.parse::<Method>().unwrap(), path, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_answers_as_it_is_asked() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let own = patient("p", "r1", "Vega");
    let rename = json!([{"op": "replace", "path": "/name/0/family", "value": "Ortiz"}]);
    let by_record = "/fhir/Patient?identifier=urn:test:records|r1";
    let writes = [
        ("PUT", "/fhir/Patient/p", &own, 201),
        ("PUT", "/fhir/Patient/p", &own, 200),
        ("PATCH", "/fhir/Patient/p", &rename, 200),
        ("PUT", by_record, &own, 200),
        ("PATCH", by_record, &rename, 200),
    ];
    for prefer in [
        "return=minimal",
        "return=representation",
        "return=OperationOutcome",
        "handling=strict; return=minimal",
        "respond-async",
    ] {
        for (method, path, body, status) in writes {
            let reply = ask(&gateway, prefer, method, path, body).await.expect(status);
            let version = reply.header("etag").replace("W/", "").replace('"', "");
            assert_eq!(reply.header("location"), format!("http://localhost/fhir/Patient/p/_history/{version}"));
            assert!(reply.header("last-modified").ends_with(" GMT"), "{prefer} {method} {path}");
            match prefer {
                "return=OperationOutcome" => assert_eq!(reply.issues(), "informational"),
                p if p.contains("minimal") => assert!(reply.body.is_empty(), "{prefer} {method} {path}"),
                _ => assert_eq!(reply.json()["meta"]["versionId"], version, "{prefer} {method} {path}"),
            }
        }
        let deleted = ask(&gateway, prefer, "DELETE", "/fhir/Patient/p", &Value::Null).await;
        let outcome = prefer == "return=OperationOutcome";
        assert_eq!(
            (deleted.status, deleted.body.is_empty()),
            if outcome { (200, false) } else { (204, true) },
            "{prefer}"
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_shows_what_it_stored_when_asked() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for kind in ["batch", "transaction"] {
        let sent = bundle(
            kind,
            &[
                entry("PUT", "Patient/p", &patient("p", "r1", "Vega")),
                entry("POST", "Patient", &patient("x", "r2", "Ortiz")),
                entry("DELETE", "Patient/never", &Value::Null),
            ],
        );
        let ask = |prefer| gateway.with_header("Prefer", prefer).post("/fhir", &sent);
        let shown = ask("return=representation").await.expect(200).json();
        fhir_r4::check(shown.clone()).unwrap();
        let first = &shown["entry"][0];
        assert_eq!(
            (&first["fullUrl"], &first["resource"]["id"]),
            (&json!("http://localhost/fhir/Patient/p"), &json!("p"))
        );
        assert_eq!(
            format!("W/\"{}\"", first["resource"]["meta"]["versionId"].as_str().unwrap()),
            first["response"]["etag"]
        );
        assert_eq!(
            (shown["entry"][1]["resource"]["name"][0]["family"].as_str(), shown["entry"][2].get("resource")),
            (Some("Ortiz"), None)
        );
        let told = ask("return=OperationOutcome").await.expect(200).json();
        assert!(
            told["entry"]
                .as_array()
                .unwrap()
                .iter()
                .all(|e| e["response"]["outcome"]["resourceType"] == "OperationOutcome")
        );
        let least = ask("return=minimal").await.expect(200).json();
        assert!(least["entry"].as_array().unwrap().iter().all(|e| e.get("resource").is_none()), "{least}");
    }
    app.stop().await;
}
