//! Search of several types at once, and of compartments.

use serde_json::{Value, json};

use super::include::{modes, ward};
use crate::helpers::samples::{bundle, entry, patient};
use crate::helpers::{Client, TestApp};

const FORM: &str = "application/x-www-form-urlencoded";

/// What a search finds, page by page.
async fn found(client: &Client, first: &str) -> Vec<String> {
    let (mut path, mut seen) = (Some(first.to_owned()), Vec::new());
    while let Some(address) = path {
        let page = client.get(&address).await.expect(200).json();
        let none = vec![];
        for entry in page["entry"].as_array().unwrap_or(&none) {
            let resource = &entry["resource"];
            seen.push(format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap()));
        }
        path = next(&page);
    }
    seen
}

pub(super) fn next(page: &Value) -> Option<String> {
    let link = page["link"].as_array()?.iter().find(|link| link["relation"] == "next")?;
    Some(link["url"].as_str()?.replace("http://localhost", ""))
}

#[tokio::test(flavor = "multi_thread")]
async fn several_types_are_searched_by_what_all_have() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    ward(&gateway).await;
    let mut tagged = patient("p3", "r3", "Nieto");
    tagged["meta"] = json!({"tag": [{"system": "urn:t", "code": "seen"}]});
    gateway.put("/fhir/Patient/p3", &tagged).await.expect(201);
    let table = [
        ("_type=Patient", "Patient/p3 Patient/p2 Patient/p1"),
        (
            "_type=Patient,Observation&_sort=_lastUpdated",
            "Patient/p1 Patient/p2 Observation/o1 Observation/o2 Patient/p3",
        ),
        ("_type=Patient&_type=Encounter", "Patient/p3 Encounter/e1 Patient/p2 Patient/p1"),
        ("_id=o1,p1", "Observation/o1 Patient/p1"),
        ("_id=o1,p1&_type=Patient", "Patient/p1"),
        ("_tag=urn:t|seen", "Patient/p3"),
        ("_tag=other", ""),
        ("_type=Patient&_lastUpdated=gt2200", ""),
        ("_type=Patient&_lastUpdated=gt2020&_id=p2", "Patient/p2"),
    ];
    for (query, expected) in table {
        for count in [1, 2, 50] {
            let seen = found(&gateway, &format!("/fhir?{query}&_count={count}")).await;
            assert_eq!(seen.join(" "), expected, "{query} by {count}");
        }
        let form = gateway.post_raw("/fhir/_search", FORM, query).await.expect(200).json();
        let [matches, ..] = modes(&form);
        let mut expected: Vec<&str> = expected.split_whitespace().collect();
        expected.sort_unstable();
        assert_eq!(matches, expected.join(" "), "{query} as a form");
    }
    for (query, shown, total) in [
        ("_type=Patient&_total=accurate&_count=1", 1, json!(3)),
        ("_type=Patient,Encounter&_summary=count", 0, json!(4)),
        ("_type=Patient&_count=0", 0, json!(3)),
    ] {
        let page = gateway.get(&format!("/fhir?{query}")).await.expect(200).json();
        assert_eq!((page["entry"].as_array().map_or(0, Vec::len), &page["total"]), (shown, &total), "{query}");
    }
    let long = format!("_id={}", vec!["p1"; 2000].join(","));
    gateway.post_raw("/fhir/_search", FORM, long).await.expect(400).issues();
    for (query, place) in [
        ("_type=Nope", "http._type"),
        ("_type=", "http._type"),
        ("name=x", "http.name"),
        ("_sort=name", "http._sort"),
        ("_type=Patient&_cursor=AAAA", "http._cursor"),
        ("_elements=nope", "http._elements"),
    ] {
        let reply = gateway.get(&format!("/fhir?{query}")).await.expect(400);
        assert!(reply.issues().contains(place), "{query}: {}", reply.issues());
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compartment_is_what_the_definitions_say() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    ward(&gateway).await;
    // Performed by a patient on nobody in particular: in the compartment all the same.
    let own = json!({"resourceType": "Observation", "id": "o3", "status": "final", "code": {"text": "x"}, "performer": [{"reference": "Patient/p1"}]});
    gateway.put("/fhir/Observation/o3", &own).await.expect(201);
    let table = [
        // by when they were measured, as a search by patient; what has no time comes last
        ("Patient/p1/Observation", "Observation/o1 Observation/o3"),
        ("Patient/p2/Observation", "Observation/o2"),
        ("Patient/p1/Observation?_sort=_lastUpdated", "Observation/o1 Observation/o3"),
        ("Patient/p1/Observation?code=urn:test|x", "Observation/o1"),
        ("Patient/p1/Encounter", "Encounter/e1"),
        ("Patient/p1/Patient", "Patient/p1"),
        ("Patient/p1/*", "Observation/o3 Observation/o1 Encounter/e1 Patient/p1"),
        ("Patient/p1/*?_type=Encounter,Patient", "Encounter/e1 Patient/p1"),
        ("Patient/none/Observation", ""),
        ("Encounter/e1/Observation", "Observation/o1"),
        ("Encounter/e1/*", "Observation/o1 Encounter/e1"),
        ("Device/d1/Observation", "Observation/o1"),
        ("Practitioner/gone/Observation", "Observation/o1"),
        ("RelatedPerson/none/*", ""),
    ];
    for (path, expected) in table {
        for count in [1, 50] {
            let mark = if path.contains('?') { '&' } else { '?' };
            let seen = found(&gateway, &format!("/fhir/{path}{mark}_count={count}")).await;
            assert_eq!(seen.join(" "), expected, "{path} by {count}");
        }
    }
    for (path, form, expected) in [
        ("Patient/p1/Observation/_search", "code=urn:test|x", "Observation/o1"),
        ("Patient/p1/_search", "_type=Encounter", "Encounter/e1"),
    ] {
        let page = gateway.post_raw(&format!("/fhir/{path}"), FORM, form).await.expect(200).json();
        assert_eq!(modes(&page)[0], expected, "{path}");
        let link = page["link"][0]["url"].as_str().unwrap().replace("http://localhost", "");
        assert_eq!(modes(&gateway.get(&link).await.expect(200).json())[0], expected, "{link}: a GET finds the same");
    }
    for (path, status) in [
        ("Patient/p1/Location", 400),
        ("Location/l1/Observation", 404),
        ("Patient/p1/Nope", 404),
        ("Patient/p1/Observation?nope=1", 400),
        ("Patient/p1/*?_type=Location", 400),
    ] {
        gateway.get(&format!("/fhir/{path}")).await.expect(status).issues();
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_bound_to_a_patient_finds_that_patient_alone() {
    let app = TestApp::start().await;
    ward(&app.gateway()).await;
    let own = app.patient_app("patient/*.rs", "p1");
    for (path, expected) in [
        ("/fhir?_type=Observation,Encounter,Patient", "Observation/o1 Encounter/e1 Patient/p1"),
        // What is about nobody is not hidden: who gave the care, and where.
        (
            "/fhir",
            "Observation/o1 Encounter/e1 Patient/p1 PractitionerRole/r1 Organization/c Organization/b Organization/a",
        ),
        ("/fhir?_id=o1,o2,p2", "Observation/o1"),
        ("/fhir?_type=Patient", "Patient/p1"),
        ("/fhir/Patient/p1/*", "Observation/o1 Encounter/e1 Patient/p1"),
        ("/fhir/Patient/p2/Observation", ""),
        ("/fhir/Patient/p2/*", ""),
        ("/fhir/Device/d1/Observation", "Observation/o1"),
    ] {
        assert_eq!(found(&own, path).await.join(" "), expected, "{path}");
    }
    assert_eq!(own.get("/fhir?_type=Patient,Observation&_summary=count").await.expect(200).json()["total"], 2);
    own.get("/fhir?_type=Device").await.expect(403);
    app.machine("system/Observation.c").get("/fhir").await.expect(403);
    assert_eq!(found(&app.machine("system/Encounter.s"), "/fhir").await, ["Encounter/e1"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_links_say_what_was_done() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    ward(&gateway).await;
    for preference in ["handling=lenient", "return=minimal, handling=lenient", "respond-async; handling=lenient"] {
        let ask = gateway.with_header("Prefer", preference);
        let page = ask.get("/fhir/Patient?nope=1&family=Vega&_include=Nope:x&_count=1").await.expect(200).json();
        assert_eq!(modes(&page), ["Patient/p1", "", "OperationOutcome"]);
        assert_eq!(
            page["link"][0],
            json!({"relation": "self", "url": "http://localhost/fhir/Patient?family=Vega&_count=1"})
        );
        let outcome = &page["entry"][1]["resource"]["issue"];
        assert_eq!((&outcome[0]["severity"], &outcome[0]["expression"][0]), (&json!("warning"), &json!("http.nope")));
        assert_eq!(outcome[1]["expression"][0], "http._include");
    }
    for preference in ["handling=strict", "return=minimal"] {
        let reply = gateway.with_header("Prefer", preference).get("/fhir/Patient?nope=1").await.expect(400);
        assert_eq!(reply.issues(), "not-supported http.nope");
    }
    let first =
        gateway.post_raw("/fhir/Patient/_search?_count=1", FORM, "birthdate=1956-03-01").await.expect(200).json();
    let second = gateway.get(&next(&first).unwrap()).await.expect(200).json();
    assert_eq!((&modes(&first)[0], &modes(&second)[0]), (&"Patient/p2".to_owned(), &"Patient/p1".to_owned()));
    let start = second["link"].as_array().unwrap().iter().find(|link| link["relation"] == "first").unwrap();
    let start = gateway.get(&start["url"].as_str().unwrap().replace("http://localhost", "")).await.expect(200).json();
    assert_eq!(modes(&start)[0], "Patient/p2");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_ask_the_same_addresses() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    ward(&gateway).await;
    let none = Value::Null;
    let entries: Vec<Value> = [
        "?_type=Patient",
        "Patient/p1/Observation",
        "Patient/p1?_elements=gender",
        "Patient?_id=p2",
        "Patient/p1/Location",
    ]
    .iter()
    .map(|url| entry("GET", url, &none))
    .collect();
    let answer = gateway.post("/fhir", &bundle("batch", &entries)).await.expect(200).json();
    let all = answer["entry"].as_array().unwrap();
    assert_eq!(modes(&all[0]["resource"])[0], "Patient/p1 Patient/p2");
    assert_eq!(modes(&all[1]["resource"])[0], "Observation/o1");
    assert!(all[2]["resource"].get("name").is_none() && all[2]["resource"]["gender"] == "female");
    assert_eq!(modes(&all[3]["resource"])[0], "Patient/p2");
    assert_eq!(all[4]["response"]["status"], "400 Bad Request");
    app.stop().await;
}
