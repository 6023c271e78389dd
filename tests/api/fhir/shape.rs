//! `_summary`, `_elements`, `_pretty`: how much of a resource is answered, and how it is laid out.

use serde_json::{Value, json};

use super::include::{modes, ward};
use crate::helpers::TestApp;
use crate::helpers::samples::patient;

fn names(value: &Value) -> String {
    value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_answered_and_marked() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let mut person = patient("p", "r", "Vega");
    person["text"] = json!({"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Ana</div>"});
    person["maritalStatus"] = json!({"text": "M"});
    person["link"] = json!([{"other": {"reference": "Patient/q"}, "type": "seealso"}]);
    person["meta"] = json!({"tag": [{"system": "urn:t", "code": "x"}]});
    gateway.put("/fhir/Patient/p", &person).await.expect(201);
    let frame = "resourceType id meta";
    let table = [
        ("_summary=true", "identifier active name gender birthDate link"),
        ("_summary=text", "text"),
        ("_summary=data", "identifier active name gender birthDate maritalStatus link"),
        ("_elements=gender", "gender"),
        ("_elements=gender,name.family", "name gender"),
        ("_elements=Patient.maritalStatus", "maritalStatus"),
    ];
    for (query, expected) in table {
        let read = gateway.get(&format!("/fhir/Patient/p?{query}")).await.expect(200).json();
        let version = gateway.get(&format!("/fhir/Patient/p/_history/1?{query}")).await.expect(200).json();
        let found = gateway.get(&format!("/fhir/Patient?_id=p&{query}")).await.expect(200).json();
        for part in [&read, &version, &found["entry"][0]["resource"]] {
            assert_eq!(names(part), format!("{frame} {expected}"), "{query}");
            let tags = part["meta"]["tag"].as_array().unwrap();
            assert_eq!((tags.len(), &tags[1]["code"]), (2, &json!("SUBSETTED")), "{query}");
            fhir_r4::check(part.clone()).unwrap_or_else(|issues| panic!("{query}: {issues:?}"));
        }
    }
    let whole = gateway.get("/fhir/Patient/p").await.json();
    assert_eq!(gateway.get("/fhir/Patient/p?_summary=false").await.json(), whole);
    let nested = gateway.get("/fhir/Patient/p?_elements=name.family").await.json();
    assert_eq!(nested["name"], json!([{"family": "Vega"}]));
    let xml = gateway.get("/fhir/Patient/p?_summary=text&_format=xml").await.expect(200).text();
    assert!(xml.contains("<text>") && xml.contains("SUBSETTED") && !xml.contains("birthDate"), "{xml}");
    for (path, place) in [
        ("Patient/p?_summary=nope", "http._summary"),
        ("Patient/p?_summary=count", "http._summary"),
        ("Patient/p?_elements=nope", "http._elements"),
        ("Patient?_elements=gender&_summary=true", "http._elements"),
        ("Patient?_summary=text&_revinclude=*", "http._summary"),
    ] {
        let reply = gateway.get(&format!("/fhir/{path}")).await.expect(400);
        assert!(reply.issues().ends_with(place), "{path}: {}", reply.issues());
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_has_no_entries_and_included_types_have_elements_of_their_own() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    ward(&gateway).await;
    let count = gateway.get("/fhir/Patient?_summary=count&_count=1").await.expect(200).json();
    assert_eq!((&count["total"], count.get("entry")), (&json!(2), None));
    let page = gateway
        .get("/fhir/Observation?_id=o1&_include=Observation:patient&_elements=Observation.status,Patient.gender")
        .await
        .expect(200)
        .json();
    assert_eq!(modes(&page), ["Observation/o1", "Patient/p1", ""]);
    assert_eq!(names(&page["entry"][0]["resource"]), "resourceType id meta status code");
    assert_eq!(names(&page["entry"][1]["resource"]), "resourceType id meta gender");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pretty_is_the_same_in_more_lines() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    ward(&gateway).await;
    for path in ["Patient/p1", "Patient?_id=p1", "metadata"] {
        let mark = if path.contains('?') { '&' } else { '?' };
        let plain = gateway.get(&format!("/fhir/{path}{mark}_pretty=false")).await.expect(200);
        let pretty = gateway.get(&format!("/fhir/{path}{mark}_pretty=true")).await.expect(200);
        assert!(plain.text().lines().count() == 1 && pretty.text().lines().count() > 10, "{path}");
        let content = |value: Value| value.get("link").is_none().then_some(value);
        assert_eq!(content(plain.json()), content(pretty.json()), "{path}");
    }
    app.stop().await;
}
