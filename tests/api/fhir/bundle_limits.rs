//! What one Bundle may ask for: so many conditions, so many looks, and an answer that has an end.

use serde_json::{Value, json};

use crate::helpers::TestApp;
use crate::helpers::samples::{bundle, entry, patient};

/// A creation under a condition that finds nothing.
fn unless(number: usize) -> Value {
    let mut entry = entry("POST", "Patient", &patient("x", &format!("r{number}"), "Vega"));
    entry["request"]["ifNoneExist"] = json!(format!("identifier=urn:test:records|r{number}"));
    entry
}

fn where_(method: &str, number: usize) -> Value {
    entry(method, &format!("Patient?identifier=urn:test:records|w{number}"), &patient("x", &format!("w{number}"), "V"))
}

fn status(answer: &Value, at: usize) -> &str {
    answer["entry"][at]["response"]["status"].as_str().unwrap()
}

/// Where the outcome of an entry says that it is, when it is too costly.
fn costly(answer: &Value, at: usize) -> &str {
    let issue = &answer["entry"][at]["response"]["outcome"]["issue"][0];
    if issue["code"] == "too-costly" { issue["expression"][0].as_str().unwrap() } else { "" }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_condition_counts() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let referring = json!({"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": "Patient?identifier=urn:test:records|r0"}});
    let mut entries: Vec<Value> = (0..298).map(unless).collect();
    entries.push(where_("PUT", 1));
    let table: [(&str, Vec<Value>, u16); 5] = [
        ("batch", vec![where_("DELETE", 2), unless(300), entry("POST", "Patient", &patient("x", "p", "V"))], 200),
        ("transaction", vec![where_("DELETE", 2)], 200),
        ("transaction", vec![where_("DELETE", 2), unless(301)], 422),
        ("transaction", vec![where_("DELETE", 2), entry("POST", "Basic", &referring)], 422),
        ("transaction", vec![entry("POST", "Basic", &referring), where_("PUT", 3)], 422),
    ];
    for (kind, more, expected) in table {
        let sent = bundle(kind, &[entries.clone(), more.clone()].concat());
        let reply = gateway.post("/fhir", &sent).await;
        assert_eq!(reply.status, expected, "{kind} {more:?}: {}", reply.text());
        if expected == 422 {
            let text = reply.text();
            assert!(text.contains("too-costly") && reply.issues().contains("Bundle.entry[300]"), "{more:?}: {text}");
        } else if kind == "batch" {
            let answer = reply.json();
            assert_eq!([0, 298, 301].map(|at| status(&answer, at)), ["201 Created"; 3]);
            assert_eq!(status(&answer, 300), "422 Unprocessable Entity");
            assert_eq!([299, 300].map(|at| costly(&answer, at)), ["", "Bundle.entry[300]"], "it fails alone");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_entries_look() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Patient/a", &patient("a", "a", "Vega")).await.expect(201);
    let mut entries: Vec<Value> = (0..100).map(|_| entry("GET", "Patient?_count=1", &Value::Null)).collect();
    gateway.post("/fhir", &bundle("transaction", &entries)).await.expect(200);
    entries.push(entry("GET", "Patient/a", &Value::Null));
    entries.push(entry("POST", "Patient", &patient("x", "b", "Vega")));
    let refused = gateway.post("/fhir", &bundle("transaction", &entries)).await.expect(422);
    assert!(refused.text().contains("too-costly") && refused.issues().contains("Bundle.entry[100]"));
    let answer = gateway.post("/fhir", &bundle("batch", &entries)).await.expect(200).json();
    assert_eq!((status(&answer, 99), status(&answer, 101)), ("200 OK", "201 Created"));
    assert_eq!((status(&answer, 100), costly(&answer, 100)), ("422 Unprocessable Entity", "Bundle.entry[100]"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_an_end() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let large = json!({"resourceType": "Basic", "id": "large", "code": {"text": "x".repeat(1_000_000)}});
    gateway.put("/fhir/Basic/large", &large).await.expect(201);
    let mut entries: Vec<Value> = (0..80).map(|_| entry("GET", "Basic/large", &Value::Null)).collect();
    entries.push(entry("POST", "Patient", &patient("x", "b", "Vega")));
    for kind in ["batch", "transaction"] {
        let answer = gateway.post("/fhir", &bundle(kind, &entries)).await.expect(200).text();
        assert!(answer.len() < 68 << 20, "{kind}: {} bytes", answer.len());
        let (shown, costly) = (answer.matches("200 OK").count(), answer.matches("too-costly").count());
        assert_eq!((shown, costly), (67, 13), "{kind}");
        assert!(answer.contains("201 Created"), "what is written is told in any case");
    }
    app.stop().await;
}

/// Before anything is written it is known whether a look can be done; it is carried out once, afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn looks_that_cannot_be_done_refuse_the_whole() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let narrow = app.machine("system/Patient.crs");
    let table = [
        (&gateway, "Patient?nome=x", 400),
        (&gateway, "Patient/never", 404),
        (&gateway, "Patient/never?_summary=true", 404),
        (&gateway, "Patient/never/_history/1", 404),
        (&gateway, "Patient/_history?_since=yesterday", 400),
        (&gateway, "Nope?x=y", 404),
        (&gateway, "a/b/c/d/e", 404),
        (&narrow, "Observation?code=x", 403),
        (&narrow, "Patient?_has:Observation:patient:code=x", 403),
        (&narrow, "_history", 403),
        (&gateway, "Patient?name=vega", 200),
        (&gateway, "Patient/_history", 200),
        (&gateway, "?_type=Patient", 200),
        (&gateway, "Patient/$nope", 404),
        (&gateway, "Patient/$lastn", 404),
        (&gateway, "Patient/never/$meta-add", 405),
        (&gateway, "metadata", 200),
        (&gateway, "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender", 200),
    ];
    for (client, url, expected) in table {
        let entries = [entry("POST", "Patient", &patient("x", "b", "Vega")), entry("GET", url, &Value::Null)];
        let before = gateway.get("/fhir/Patient?_summary=count").await.expect(200).json()["total"].as_u64().unwrap();
        let reply = client.post("/fhir", &bundle("transaction", &entries)).await;
        assert_eq!(reply.status, expected, "{url}: {}", reply.text());
        let after = gateway.get("/fhir/Patient?_summary=count").await.expect(200).json()["total"].as_u64().unwrap();
        assert_eq!(after - before, u64::from(expected == 200), "{url}");
    }
    app.stop().await;
}

/// Patients with so many names that to look through them for many words takes long.
async fn much_to_look_through(app: &TestApp) {
    let names: Vec<Value> = (0..1000).map(|n| json!({"family": format!("{}{n}", "abcdefghij".repeat(6))})).collect();
    let mut large = patient("x", "large", "x");
    large["name"] = names.into();
    let entries: Vec<Value> = (0..20).map(|_| entry("POST", "Patient", &large)).collect();
    app.gateway().post("/fhir", &bundle("batch", &entries)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_takes_long_harms_nobody_else() {
    let app = TestApp::with(|config| config.database.statement_timeout_ms = 60_000).await;
    let gateway = app.gateway();
    much_to_look_through(&app).await;
    let words: Vec<String> = (0..400).map(|n| format!("j{n}z")).collect();
    let mut slow = entry("POST", "Patient", &patient("x", "slow", "Vega"));
    slow["request"]["ifNoneExist"] = json!(format!("name:contains={}", words.join(",")));
    let another = |record| entry("POST", "Patient", &patient("x", record, "Vega"));
    // Nothing of its type was written since it was resolved: there is no need to ask again.
    let answer = gateway.post("/fhir", &bundle("batch", std::slice::from_ref(&slow))).await.expect(200).json();
    assert_eq!(status(&answer, 0), "201 Created");
    let answer = gateway.post("/fhir", &bundle("batch", &[another("a"), slow, unless(1)])).await.expect(200).json();
    assert_eq!([0, 2].map(|at| status(&answer, at)), ["201 Created"; 2], "{answer}");
    assert_eq!(status(&answer, 1), "503 Service Unavailable", "{answer}");
    assert_eq!(answer["entry"][1]["response"]["outcome"]["issue"][0]["code"], "too-costly");
    for (record, there) in [("a", 1), ("slow", 1), ("r1", 1)] {
        let found = gateway.get(&format!("/fhir/Patient?identifier={record}&_summary=count")).await.expect(200).json();
        assert_eq!(found["total"], there, "{record}");
    }
    app.stop().await;
}

/// A sender need not find the wrong entries of a transaction one by one.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_entries_are_told_together() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let good = || entry("POST", "Patient", &patient("x", "b", "Vega"));
    let bad = || entry("POST", "Patient", &json!({"resourceType": "Patient", "gender": "unheard", "banana": 1}));
    let nowhere = || entry("POST", "Nope", &json!({"resourceType": "Patient"}));
    for (entries, named) in [
        (vec![good(), bad(), good(), bad()], vec![1, 3]),
        (vec![bad()], vec![0]),
        (vec![nowhere(), good(), nowhere()], vec![0, 2]),
        ((0..30).map(|_| bad()).collect(), (0..20).collect()),
    ] {
        let reply = gateway.post("/fhir", &bundle("transaction", &entries)).await;
        assert!([400, 422].contains(&reply.status), "{}", reply.text());
        let outcome = reply.json();
        let mut told: Vec<usize> = Vec::new();
        for issue in outcome["issue"].as_array().unwrap() {
            let place = issue["expression"][0].as_str().unwrap();
            told.push(place.split(['[', ']']).nth(1).unwrap().parse().unwrap());
        }
        told.dedup();
        assert_eq!(told, named, "{outcome}");
    }
    let count = gateway.get("/fhir/Patient?_summary=count").await.expect(200).json();
    assert_eq!(count["total"], 0, "nothing of them is stored");
    app.stop().await;
}
