//! `POST /fhir`: a batch is many requests, a transaction is one.

use serde_json::{Value, json};

use crate::helpers::samples::{bundle, entry, patient, plain_observation};
use crate::helpers::{TestApp, ids};

fn statuses(bundle: &Value) -> Vec<&str> {
    bundle["entry"].as_array().unwrap().iter().map(|e| e["response"]["status"].as_str().unwrap()).collect()
}

fn named(full_url: &str, mut entry: Value) -> Value {
    entry["fullUrl"] = json!(full_url);
    entry
}

const MOTHER: &str = "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9";
const READING: &str = "urn:uuid:15efabf0-4be2-4561-91ce-51548425acb9";

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_names_its_entries_for_each_other() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let reading = plain_observation(
        "x",
        &json!({"subject": {"reference": MOTHER}, "note": [{"text": format!("about {MOTHER}")}]}),
    );
    let issue = json!({"resourceType": "DetectedIssue", "status": "final", "patient": {"reference": MOTHER}, "implicated": [{"reference": READING}]});
    let sent = bundle(
        "transaction",
        &[
            entry("GET", "Patient?identifier=urn:test:records|new", &Value::Null),
            entry("POST", "DetectedIssue", &issue),
            named(READING, entry("POST", "Observation", &reading)),
            named(MOTHER, entry("POST", "Patient", &patient("x", "new", "Vega"))),
        ],
    );
    let answer = gateway.post("/fhir", &sent).await.expect(200).json();
    assert_eq!(answer["type"], "transaction-response");
    assert_eq!(
        statuses(&answer),
        ["200 OK", "201 Created", "201 Created", "201 Created"],
        "in the order of the entries"
    );
    fhir_r4::check(answer.clone()).unwrap();
    let place = |at: usize| {
        answer["entry"][at]["response"]["location"]
            .as_str()
            .unwrap()
            .replace("http://localhost/fhir/", "")
            .replace("/_history/1", "")
    };
    let (issue, reading, mother) = (place(1), place(2), place(3));
    assert_eq!(
        ids(&answer["entry"][0]["resource"]),
        [mother.replace("Patient/", "")],
        "reads see what the others wrote"
    );
    let stored = gateway.get(&format!("/fhir/{reading}")).await.expect(200).json();
    assert_eq!(stored["subject"]["reference"], json!(mother));
    assert_eq!(stored["note"][0]["text"], format!("about {MOTHER}"), "words are left alone");
    let stored = gateway.get(&format!("/fhir/{issue}")).await.expect(200).json();
    assert_eq!(
        (&stored["patient"]["reference"], &stored["implicated"][0]["reference"]),
        (&json!(mother), &json!(reading))
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_all_or_nothing() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Patient/there", &patient("there", "twice", "A")).await.expect(201);
    gateway.post("/fhir/Patient", &patient("x", "twice", "B")).await.expect(201);
    let good = || entry("PUT", "Patient/good", &patient("good", "good", "x"));
    let mut stale = entry("PUT", "Patient/there", &patient("there", "r", "x"));
    stale["request"]["ifMatch"] = json!("W/\"7\"");
    let mut several = entry("POST", "Patient", &patient("x", "r", "x"));
    several["request"]["ifNoneExist"] = json!("identifier=urn:test:records|twice");
    let table = [
        (
            entry("POST", "Patient", &json!({"resourceType": "Patient", "birthDate": "yesterday"})),
            400,
            "Bundle.entry[1].resource.birthDate",
        ),
        (
            entry("POST", "Patient", &json!({"resourceType": "Patient", "gender": "banana"})),
            422,
            "Bundle.entry[1].resource.gender",
        ),
        (entry("POST", "Nope", &patient("x", "r", "x")), 400, "Bundle.entry[1].request.url"),
        (entry("POST", "Observation", &patient("x", "r", "x")), 400, "Bundle.entry[1].resource"),
        (entry("POST", "Patient", &Value::Null), 400, "Bundle.entry[1].resource"),
        (entry("PUT", "Patient/other", &patient("x", "r", "x")), 400, "Bundle.entry[1].resource.id"),
        (entry("PUT", "Patient?nome=x", &patient("x", "r", "x")), 400, "Bundle.entry[1] (http.nome)"),
        (entry("GET", "Patient/never", &Value::Null), 404, "Bundle.entry[1]"),
        (entry("PUT", "Patient/good", &patient("good", "again", "x")), 409, "Bundle.entry[1]"),
        (json!({"resource": patient("x", "r", "x")}), 422, "Bundle.entry[1].request"),
        (stale, 412, "Bundle.entry[1]"),
        (several, 412, "Bundle.entry[1]"),
    ];
    for (bad, status, place) in table {
        let shown = bad.to_string();
        let reply = gateway.post("/fhir", &bundle("transaction", &[good(), bad])).await;
        assert_eq!(reply.status, status, "{shown}: {}", reply.text());
        assert!(reply.issues().contains(place), "{shown}: {}", reply.text());
        gateway.get("/fhir/Patient/good").await.expect(404);
    }
    gateway.post("/fhir", &bundle("transaction", &[good()])).await.expect(200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_lets_each_stand_for_itself() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let mut once = entry("POST", "Patient", &patient("x", "once", "Vega"));
    once["request"]["ifNoneExist"] = json!("identifier=urn:test:records|once");
    let sent = bundle(
        "batch",
        &[
            once.clone(),
            entry("POST", "Patient", &json!({"resourceType": "Patient", "gender": "banana"})),
            entry("PUT", "Patient/p", &patient("p", "p", "Vega")),
            entry("GET", "Patient/p", &Value::Null),
            entry("GET", "Patient?identifier=urn:test:records|p", &Value::Null),
            entry("GET", "Patient/never", &Value::Null),
            entry("GET", "Patient/p/_history/1", &Value::Null),
            entry("GET", "metadata/what", &Value::Null),
        ],
    );
    let answer = gateway.post("/fhir", &sent).await.expect(200).json();
    let short: Vec<&str> = statuses(&answer).iter().map(|s| s.split(' ').next().unwrap()).collect();
    assert_eq!(short, ["201", "422", "201", "200", "200", "404", "200", "404"], "{answer}");
    assert!(answer["entry"][1]["response"]["outcome"].to_string().contains("Bundle.entry[1].resource.gender"));
    let again = gateway.post("/fhir", &bundle("batch", &[once.clone(), once])).await.expect(200).json();
    assert_eq!(statuses(&again), ["200 OK", "200 OK"]);
    assert_eq!(again["entry"][0]["response"]["location"], answer["entry"][0]["response"]["location"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditional_entries_of_a_transaction() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let sent = || {
        let mut mother = named(MOTHER, entry("POST", "Patient", &patient("x", "once", "Vega")));
        mother["request"]["ifNoneExist"] = json!("identifier=urn:test:records|once");
        bundle(
            "transaction",
            &[
                mother,
                entry("POST", "Observation", &plain_observation("x", &json!({"subject": {"reference": MOTHER}}))),
            ],
        )
    };
    let first = gateway.post("/fhir", &sent()).await.expect(200).json();
    let second = gateway.post("/fhir", &sent()).await.expect(200).json();
    assert_eq!((statuses(&first), statuses(&second)), (vec!["201 Created"; 2], vec!["200 OK", "201 Created"]));
    let id = ids(&gateway.get("/fhir/Patient?identifier=urn:test:records|once").await.json());
    assert_eq!(id.len(), 1);
    let readings = gateway.get(&format!("/fhir/Observation?patient={}&_total=accurate", id[0])).await.json();
    assert_eq!(readings["total"], 2, "both are about the one that was found");

    let tries: Vec<_> = (0..20)
        .map(|_| {
            let gateway = gateway.clone();
            tokio::spawn(async move {
                let mut race = entry("POST", "Patient", &patient("x", "race", "Vega"));
                race["request"]["ifNoneExist"] = json!("identifier=urn:test:records|race");
                gateway.post("/fhir", &bundle("transaction", &[race])).await.status
            })
        })
        .collect();
    for one in tries {
        let status = one.await.unwrap();
        assert!([200, 409].contains(&status), "{status}");
    }
    assert_eq!(ids(&gateway.get("/fhir/Patient?identifier=urn:test:records|race").await.json()).len(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_that_are_none_of_both() {
    let app = TestApp::with(|config| config.validation.max_bundle_entries = 3).await;
    let gateway = app.gateway();
    let one = || entry("POST", "Patient", &patient("x", "r", "x"));
    for (body, place) in [
        (bundle("collection", &[]), "value Bundle.type"),
        (json!({"resourceType": "Bundle"}), "required Bundle.type"),
        (patient("x", "r", "x"), "invalid resourceType"),
        (bundle("batch", &[one(), one(), one(), one()]), "too-long Bundle.entry"),
        (json!({"resourceType": "Bundle", "type": "batch", "entry": [7]}), "Bundle.entry[0]"),
    ] {
        let reply = gateway.post("/fhir", &body).await.expect(400);
        assert!(reply.issues().contains(place), "{body}: {}", reply.text());
    }
    let nothing = gateway.post("/fhir", &json!({"resourceType": "Bundle", "type": "batch"})).await.expect(200).json();
    assert_eq!(nothing, json!({"resourceType": "Bundle", "type": "batch-response"}));
    app.stop().await;
}
