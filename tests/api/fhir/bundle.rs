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

/// The first words of each status, joined.
fn codes(bundle: &Value) -> String {
    statuses(bundle).iter().map(|status| status.split(' ').next().unwrap()).collect::<Vec<_>>().join(" ")
}

fn with(mut entry: Value, name: &str, value: &str) -> Value {
    entry["request"][name] = json!(value);
    entry
}

/// `Patient/x` of an entry's location.
fn place_of(bundle: &Value, at: usize) -> String {
    let location = bundle["entry"][at]["response"]["location"].as_str().unwrap();
    location.strip_prefix("http://localhost/fhir/").unwrap().split("/_history").next().unwrap().to_owned()
}

fn about(reference: &str) -> Value {
    plain_observation("x", &json!({"subject": {"reference": reference}}))
}

const BY_RECORD: &str = "identifier=urn:test:records|";

#[tokio::test(flavor = "multi_thread")]
async fn links_lead_to_what_the_entries_become() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let absolute = "http://else.where/fhir/Patient/7";
    let sent = bundle(
        "transaction",
        &[
            named(absolute, entry("POST", "Patient", &patient("7", "r7", "Vega"))),
            named("urn:oid:1.2.3", entry("PUT", "Patient/own", &patient("own", "own", "Vega"))),
            entry("POST", "Observation", &about(absolute)),
            named("http://else.where/fhir/Observation/1", entry("POST", "Observation", &about("Patient/7"))),
            entry("POST", "Observation", &about("urn:oid:1.2.3")),
            entry("POST", "Observation", &about("Patient/7")),
        ],
    );
    let answer = gateway.post("/fhir", &sent).await.expect(200).json();
    let patient = place_of(&answer, 0);
    for (at, expected) in [(2, patient.as_str()), (3, &patient), (4, "Patient/own"), (5, "Patient/7")] {
        let stored = gateway.get(&format!("/fhir/{}", place_of(&answer, at))).await.expect(200).json();
        assert_eq!(stored["subject"]["reference"], expected, "entry {at}");
    }
    let twice = || named(MOTHER, entry("POST", "Patient", &patient_of("r8")));
    let reply = gateway.post("/fhir", &bundle("transaction", &[twice(), twice()])).await.expect(422);
    assert_eq!(reply.issues(), "invariant Bundle.entry[1].fullUrl");
    app.stop().await;
}

fn patient_of(record: &str) -> Value {
    patient("x", record, "Vega")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_may_be_a_search() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for (id, record) in [("one", "one"), ("a", "two"), ("b", "two")] {
        gateway.put(&format!("/fhir/Patient/{id}"), &patient(id, record, "Vega")).await.expect(201);
    }
    let by = |record: &str| format!("Patient?{BY_RECORD}{record}");
    let good = || entry("PUT", "Patient/good", &patient("good", "good", "x"));
    let table = [
        (by("never"), 422, "not-found Bundle.entry[1]"),
        (by("two"), 412, "multiple-matches Bundle.entry[1]"),
        ("Patient?nope=1".to_owned(), 400, "not-supported Bundle.entry[1] (http.nope)"),
        ("Patient?_count=1".to_owned(), 400, "value Bundle.entry[1] (reference)"),
    ];
    for (reference, status, issue) in table {
        let sent = bundle("transaction", &[good(), entry("POST", "Observation", &about(&reference))]);
        assert_eq!(gateway.post("/fhir", &sent).await.expect(status).issues(), issue, "{reference}");
        gateway.get("/fhir/Patient/good").await.expect(404);
    }
    let new = with(entry("POST", "Patient", &patient_of("new")), "ifNoneExist", &format!("{BY_RECORD}new"));
    let put = entry("PUT", &by("put"), &patient_of("put"));
    let observed = |record: &str| entry("POST", "Observation", &about(&by(record)));
    let sent = bundle("transaction", &[observed("one"), observed("new"), observed("put"), new, put]);
    let answer = gateway.post("/fhir", &sent).await.expect(200).json();
    for (at, expected) in [(0, "Patient/one".to_owned()), (1, place_of(&answer, 3)), (2, place_of(&answer, 4))] {
        let stored = gateway.get(&format!("/fhir/{}", place_of(&answer, at))).await.expect(200).json();
        assert_eq!(stored["subject"]["reference"], expected, "{answer}");
    }
    let narrow = app.machine("system/Observation.cruds");
    let sent = bundle("transaction", &[entry("POST", "Observation", &about(&by("one")))]);
    assert_eq!(
        narrow.post("/fhir", &sent).await.expect(403).issues(),
        "forbidden Bundle.entry[0]",
        "a search needs its right"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_in_the_place_of_ids() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for kind in ["batch", "transaction"] {
        let by = |record: &str| format!("Patient?{BY_RECORD}{kind}-{record}");
        let of = |id: &str, record: &str| patient(id, &format!("{kind}-{record}"), "Vega");
        let sent = || {
            bundle(
                kind,
                &[
                    entry("PUT", &by("a"), &of(&format!("{kind}-own"), "a")),
                    with(entry("POST", "Patient", &of("x", "b")), "ifNoneExist", &format!("{BY_RECORD}{kind}-b")),
                    with(entry("POST", "Patient", &of("x", "b")), "ifNoneExist", &format!("{BY_RECORD}{kind}-b")),
                    entry("DELETE", &by("c"), &Value::Null),
                    entry("DELETE", "Patient/never", &Value::Null),
                ],
            )
        };
        let first = gateway.post("/fhir", &sent()).await.expect(200).json();
        assert_eq!(codes(&first), "201 201 200 204 204", "{kind}: {first}");
        assert_eq!((place_of(&first, 0), place_of(&first, 1)), (format!("Patient/{kind}-own"), place_of(&first, 2)));
        gateway.post("/fhir/Patient", &of("x", "c")).await.expect(201);
        let second = gateway.post("/fhir", &sent()).await.expect(200).json();
        assert_eq!(codes(&second), "200 200 200 204 204", "{kind}: {second}");
        let left = gateway.get(&format!("/fhir/{}&_total=accurate", by("c"))).await.expect(200).json();
        assert_eq!((&left["total"], place_of(&second, 1)), (&json!(0), place_of(&first, 1)), "{kind}");
    }
    app.stop().await;
}

/// R4 http: "If any resource identities overlap, the transaction SHALL fail", also those that conditions find.
#[tokio::test(flavor = "multi_thread")]
async fn one_resource_is_changed_by_one_entry() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Patient/p", &patient("p", "p", "Vega")).await.expect(201);
    let by = format!("Patient?{BY_RECORD}p");
    let none = format!("Patient?{BY_RECORD}none");
    let put = || entry("PUT", "Patient/p", &patient("p", "p", "New"));
    let nobody = || patient_of("none");
    let table = [
        [put(), entry("DELETE", "Patient/p", &Value::Null)],
        [put(), put()],
        [put(), entry("PUT", &by, &patient("p", "p", "x"))],
        [put(), entry("DELETE", &by, &Value::Null)],
        [entry("DELETE", &by, &Value::Null), entry("DELETE", "Patient/p", &Value::Null)],
        [entry("PUT", &none, &nobody()), entry("PUT", &none, &nobody())],
        [entry("PUT", &none, &nobody()), with(entry("POST", "Patient", &nobody()), "ifNoneExist", &none)],
    ];
    for entries in table {
        let reply = gateway.post("/fhir", &bundle("transaction", &entries)).await;
        assert_eq!(reply.status, 409, "{entries:?}: {}", reply.text());
        assert!(reply.issues().starts_with("conflict Bundle.entry["), "{}", reply.text());
    }
    assert_eq!(gateway.get("/fhir/Patient/p").await.expect(200).header("etag"), "W/\"1\"", "nothing was done");
    let answer = gateway.post("/fhir", &bundle("batch", &[put(), put()])).await.expect(200).json();
    assert_eq!(codes(&answer), "200 200", "in a batch each is by itself");
    app.stop().await;
}

/// R4 http: DELETE is carried out before POST, so what is deleted here keeps nothing from being created.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_no_match_for_a_creation() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let by = format!("{BY_RECORD}p");
    let create = || {
        let mut create = with(entry("POST", "Patient", &patient_of("p")), "ifNoneExist", &by);
        create["fullUrl"] = MOTHER.into();
        create
    };
    let reading = || {
        let subject = json!({"subject": {"reference": MOTHER}});
        entry("POST", "Observation", &plain_observation("x", &subject))
    };
    gateway.put("/fhir/Patient/p", &patient("p", "p", "Vega")).await.expect(201);
    let mut standing = "p".to_owned();
    for delete in [by_id, by_record] {
        let delete = delete(&standing, &by);
        let entries = [reading(), create(), delete.clone()];
        let answer = gateway.post("/fhir", &bundle("transaction", &entries)).await.expect(200).json();
        assert_eq!(codes(&answer), "201 201 204", "{delete}");
        gateway.get(&format!("/fhir/Patient/{standing}")).await.expect(410);
        let found = gateway.get(&format!("/fhir/Patient?{by}")).await.expect(200).json();
        standing = ids(&found).join(" ");
        let location = answer["entry"][1]["response"]["location"].as_str().unwrap();
        assert!(location.contains(&format!("Patient/{standing}/_history/1")), "{location}");
        let found = gateway.get(&format!("/fhir/Observation?subject=Patient/{standing}")).await.expect(200).json();
        assert_eq!(ids(&found).len(), 1, "others refer to the new one");
    }
    app.stop().await;
}

fn by_id(id: &str, _: &str) -> Value {
    entry("DELETE", &format!("Patient/{id}"), &Value::Null)
}

fn by_record(_: &str, criterion: &str) -> Value {
    entry("DELETE", &format!("Patient?{criterion}"), &Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_entries_are_for() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Patient/p", &patient("p", "p", "Vega")).await.expect(201);
    let put = || entry("PUT", "Patient/p", &patient("p", "p", "New"));
    let delete = || entry("DELETE", "Patient/p", &Value::Null);
    let get = || entry("GET", "Patient/p", &Value::Null);
    let table = [
        (with(put(), "ifMatch", "W/\"9\""), "412 Precondition Failed"),
        (with(delete(), "ifMatch", "W/\"9\""), "412 Precondition Failed"),
        (with(entry("PUT", "Patient/q", &patient("q", "q", "x")), "ifMatch", "*"), "412 Precondition Failed"),
        (with(put(), "ifMatch", "nonsense"), "400 Bad Request"),
        (with(get(), "ifNoneMatch", "W/\"1\""), "304 Not Modified"),
        (with(get(), "ifNoneMatch", "W/\"2\""), "200 OK"),
        (with(get(), "ifModifiedSince", "2099-01-01T00:00:00Z"), "304 Not Modified"),
        (with(get(), "ifModifiedSince", "2001-01-01T00:00:00Z"), "200 OK"),
        (entry("HEAD", "Patient/p", &Value::Null), "200 OK"),
        (entry("GET", "Patient/p/_history", &Value::Null), "200 OK"),
        (entry("GET", "Patient/_history?_count=1", &Value::Null), "200 OK"),
        (entry("GET", "_history", &Value::Null), "200 OK"),
        (entry("GET", "http://localhost/fhir/Patient/p", &Value::Null), "200 OK"),
        (entry("GET", "Patient?nope=1", &Value::Null), "400 Bad Request"),
        (entry("GET", "Patient/never", &Value::Null), "404 Not Found"),
        (entry("POST", "Patient/p", &patient_of("p")), "400 Bad Request"),
        (entry("POST", "Nope", &patient_of("p")), "400 Bad Request"),
        (json!({"resource": patient_of("p")}), "422 Unprocessable Entity"),
        (with(put(), "ifMatch", "W/\"1\""), "200 OK"),
        (with(delete(), "ifMatch", "W/\"2\""), "204 No Content"),
        (get(), "410 Gone"),
    ];
    for (entry, status) in table {
        let shown = entry.to_string();
        let alone = gateway.post("/fhir", &bundle("batch", &[entry])).await;
        let answer = alone.json();
        assert_eq!(answer["entry"][0]["response"]["status"], status, "{shown}: {answer}");
        let wrong = status.starts_with('4');
        assert_eq!(answer["entry"][0]["response"].get("outcome").is_some(), wrong, "{shown}: {answer}");
        assert_eq!(
            answer["entry"][0].get("resource").is_some(),
            status == "200 OK" && shown.contains("GET"),
            "{shown}"
        );
    }
    app.stop().await;
}

/// What is not allowed fails where it stands: alone in a batch, with everything in a transaction.
#[tokio::test(flavor = "multi_thread")]
async fn entries_are_allowed_one_by_one() {
    let app = TestApp::start().await;
    let narrow = app.machine("system/Observation.cru system/Patient.r");
    let entries = [
        entry("POST", "Observation", &about("Patient/1")),
        entry("POST", "Patient", &patient_of("x")),
        entry("DELETE", "Patient/p", &Value::Null),
        entry("DELETE", &format!("Patient?{BY_RECORD}x"), &Value::Null),
        with(entry("POST", "Observation", &about("Patient/1")), "ifNoneExist", "status=final"),
        entry("GET", "Patient?name=x", &Value::Null),
    ];
    let answer = narrow.post("/fhir", &bundle("batch", &entries)).await.expect(200).json();
    assert_eq!(codes(&answer), "201 403 403 403 403 403", "{answer}");
    for (at, one) in entries.iter().enumerate().skip(1) {
        let both = [entries[0].clone(), one.clone()];
        let reply = narrow.post("/fhir", &bundle("transaction", &both)).await.expect(403);
        assert_eq!(reply.issues(), "forbidden Bundle.entry[1]", "entry {at}");
    }
    let left = app.gateway().get("/fhir/Observation?_total=accurate").await.json();
    assert_eq!(left["total"], 1, "only the batch stored one");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_a_resource_too() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let sent = bundle("transaction", &[entry("POST", "Patient", &patient_of("inside"))]);
    let stored = gateway.post("/fhir/Bundle", &sent).await.expect(201).json();
    assert_eq!((&stored["type"], &stored["entry"]), (&json!("transaction"), &sent["entry"]));
    assert!(ids(&gateway.get(&format!("/fhir/Patient?{BY_RECORD}inside")).await.json()).is_empty());
    app.stop().await;
}
