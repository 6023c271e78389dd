//! `_include` and `_revinclude`: what belongs to a page beside its matches, each resource once, and nothing that
//! the caller could not read.

use serde_json::{Value, json};

use crate::helpers::samples::{bundle, encounter, entry, patient, plain_observation};
use crate::helpers::{Client, TestApp};

/// The entries of a page as `Type/id`, each mode by itself and in order of name.
pub(super) fn modes(page: &Value) -> [String; 3] {
    ["match", "include", "outcome"].map(|mode| {
        let none = vec![];
        let entries = page["entry"].as_array().unwrap_or(&none).iter().filter(|e| e["search"]["mode"] == mode);
        let mut names: Vec<String> = entries.map(|e| name(&e["resource"])).collect();
        names.sort();
        names.join(" ")
    })
}

fn name(resource: &Value) -> String {
    match resource["id"].as_str() {
        Some(id) => format!("{}/{id}", resource["resourceType"].as_str().unwrap()),
        None => resource["resourceType"].as_str().unwrap().to_owned(),
    }
}

/// Two patients with an observation each; the first one's was made in an encounter, with a device, by somebody of
/// an organization that is part of another.
pub(super) async fn ward(gateway: &Client) {
    let organization = |id: &str, above: &str| json!({"resourceType": "Organization", "id": id, "name": id, "partOf": {"reference": format!("Organization/{above}")}});
    let reading = |patient: &str, more: &Value| {
        let mut all = json!({"subject": {"reference": format!("Patient/{patient}")}, "effectiveDateTime": "2026-01-05T10:00:00Z"});
        more.as_object().unwrap().iter().for_each(|(name, value)| all[name] = value.clone());
        plain_observation("x", &all)
    };
    let o1 = json!({"encounter": {"reference": "Encounter/e1"}, "device": {"reference": "Device/d1"},
        "performer": [{"reference": "PractitionerRole/r1"}, {"reference": "Practitioner/gone"}]});
    let resources = [
        ("Organization/a", organization("a", "b")),
        ("Organization/b", organization("b", "c")),
        ("Organization/c", organization("c", "a")),
        (
            "PractitionerRole/r1",
            json!({"resourceType": "PractitionerRole", "organization": {"reference": "Organization/a"}}),
        ),
        ("Patient/p1", patient("p1", "r1", "Vega")),
        ("Patient/p2", patient("p2", "r2", "Mora")),
        ("Device/d1", json!({"resourceType": "Device", "owner": {"reference": "Organization/b"}})),
        ("Encounter/e1", encounter("p1")),
        ("Observation/o1", reading("p1", &o1)),
        ("Observation/o2", reading("p2", &json!({"hasMember": [{"reference": "Observation/o1"}]}))),
    ];
    let with_id = |(path, mut resource): (&str, Value)| {
        resource["id"] = path.split('/').nth(1).unwrap().into();
        entry("PUT", path, &resource)
    };
    let entries: Vec<Value> = resources.into_iter().map(with_id).collect();
    let done = gateway.post("/fhir", &bundle("transaction", &entries)).await.expect(200).json();
    assert_eq!(done["entry"].as_array().unwrap().len(), entries.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_a_page_comes_with_it() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    ward(&gateway).await;
    let table = [
        ("Observation?_id=o1", ""),
        ("Observation?_id=o1&_include=Observation:patient", "Patient/p1"),
        ("Observation?_id=o1&_include=Observation:subject", "Patient/p1"),
        ("Observation?_id=o1&_include=Observation:subject:Patient", "Patient/p1"),
        ("Observation?_id=o1&_include=Observation:subject:Group", ""),
        ("Observation?_id=o1&_include=Observation:encounter&_include=Observation:device", "Device/d1 Encounter/e1"),
        // one that is not there is not told
        ("Observation?_id=o1&_include=Observation:performer", "PractitionerRole/r1"),
        ("Observation?_id=o1&_include=Observation:*", "Device/d1 Encounter/e1 Patient/p1 PractitionerRole/r1"),
        ("Observation?_id=o1&_include=*", "Device/d1 Encounter/e1 Patient/p1 PractitionerRole/r1"),
        // of another type than the matches: nothing to follow
        ("Observation?_id=o1&_include=Encounter:patient", ""),
        // a match is not included again
        ("Observation?_id=o1,o2&_include=Observation:has-member", ""),
        ("Observation?_id=o2&_include=Observation:has-member", "Observation/o1"),
        // only :iterate follows what was included
        (
            "Observation?_id=o1&_include=Observation:performer&_include=PractitionerRole:organization",
            "PractitionerRole/r1",
        ),
        (
            "Observation?_id=o1&_include=Observation:performer&_include:iterate=PractitionerRole:organization",
            "Organization/a PractitionerRole/r1",
        ),
        // a circle ends
        (
            "PractitionerRole?_id=r1&_include=PractitionerRole:organization&_include:iterate=Organization:partof",
            "Organization/a Organization/b Organization/c",
        ),
        ("Organization?_id=a&_include:iterate=Organization:partof", "Organization/b Organization/c"),
        ("Organization?_id=a&_include=Organization:partof", "Organization/b"),
        // what refers to the matches
        ("Patient?_id=p1&_revinclude=Observation:patient", "Observation/o1"),
        ("Patient?_id=p1&_revinclude=Observation:subject&_revinclude=Encounter:subject", "Encounter/e1 Observation/o1"),
        ("Patient?_id=p1&_revinclude=Observation:performer", ""),
        ("Patient?_revinclude=Observation:patient", "Observation/o1 Observation/o2"),
        ("Patient?_id=p1&_revinclude=*", "Encounter/e1 Observation/o1"),
        ("Patient?_id=p1&_revinclude=Observation:*", "Observation/o1"),
        (
            "Patient?_id=p1&_revinclude=Observation:patient&_revinclude:iterate=Observation:has-member",
            "Observation/o1 Observation/o2",
        ),
        ("Organization?_id=a&_revinclude:iterate=Organization:partof", "Organization/b Organization/c"),
        ("Device?_id=d1&_revinclude=Observation:device&_include=Device:organization", "Observation/o1 Organization/b"),
        ("Patient?_id=none&_revinclude=*", ""),
    ];
    for (query, expected) in table {
        let page = gateway.get(&format!("/fhir/{query}")).await.expect(200).json();
        let [_, included, outcomes] = modes(&page);
        assert_eq!((included.as_str(), outcomes.as_str()), (expected, ""), "{query}");
        fhir_r4::check(page).unwrap_or_else(|issues| panic!("{query}: {issues:?}"));
    }
    for (query, place) in [
        ("_include=Nope:subject", "http._include"),
        ("_include=Observation:code", "http._include"),
        ("_include=Observation:nope", "http._include"),
        ("_include:nope=Observation:subject", "http._include:nope"),
        ("_revinclude=Observation:subject:Encounter", "http._revinclude"),
        ("_revinclude=", "http._revinclude"),
    ] {
        let reply = gateway.get(&format!("/fhir/Observation?{query}")).await.expect(400);
        assert!(reply.issues().ends_with(place), "{query}: {}", reply.issues());
    }
    let all: Vec<String> = fhir_r4::resource_types().iter().map(|kind| format!("_include={kind}:*")).collect();
    let reply = gateway.get(&format!("/fhir/Observation?{}", all.join("&"))).await.expect(400);
    assert_eq!(reply.issues(), "too-costly http._include");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn included_resources_belong_to_their_page() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    ward(&gateway).await;
    let first = gateway.get("/fhir/Observation?_sort=_lastUpdated&_count=1&_include=Observation:patient").await.json();
    assert_eq!(modes(&first), ["Observation/o1", "Patient/p1", ""]);
    let next = first["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").unwrap();
    let next = next["url"].as_str().unwrap().replace("http://localhost", "");
    assert_eq!(modes(&gateway.get(&next).await.expect(200).json()), ["Observation/o2", "Patient/p2", ""]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn canonical_addresses_lead_to_what_they_name() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let definition = |id: &str, more: Value| {
        let mut all = json!({"resourceType": "PlanDefinition", "id": id, "status": "active"});
        more.as_object().unwrap().iter().for_each(|(name, value)| all[name] = value.clone());
        all
    };
    let action = |canonical: &str| json!({"action": [{"definitionCanonical": canonical}]});
    for resource in [
        definition("d1", json!({"url": "urn:x:plan", "version": "1"})),
        definition("d2", json!({"url": "urn:x:plan", "version": "2"})),
        definition("any", action("urn:x:plan")),
        definition("second", action("urn:x:plan|2")),
        definition("none", action("urn:x:nope")),
    ] {
        gateway.put(&format!("/fhir/PlanDefinition/{}", resource["id"].as_str().unwrap()), &resource).await.expect(201);
    }
    for (id, expected) in
        [("any", "PlanDefinition/d1 PlanDefinition/d2"), ("second", "PlanDefinition/d2"), ("none", "")]
    {
        let query = format!("/fhir/PlanDefinition?_id={id}&_include=PlanDefinition:definition");
        assert_eq!(modes(&gateway.get(&query).await.expect(200).json())[1], expected, "{id}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_is_cut_and_said_so() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Patient/p", &patient("p", "r", "Vega")).await.expect(201);
    let reading = plain_observation("x", &json!({"subject": {"reference": "Patient/p"}}));
    for _ in 0..2 {
        let many: Vec<Value> = (0..501).map(|_| entry("POST", "Observation", &reading)).collect();
        gateway.post("/fhir", &bundle("transaction", &many)).await.expect(200);
    }
    let page = gateway.get("/fhir/Patient?_id=p&_revinclude=Observation:patient").await.expect(200).json();
    let entries = page["entry"].as_array().unwrap();
    assert_eq!(entries.len(), 1 + 1000 + 1);
    let last = &entries[entries.len() - 1];
    assert_eq!(
        (&last["search"]["mode"], &last["resource"]["issue"][0]["severity"]),
        (&json!("outcome"), &json!("warning"))
    );
    assert_eq!(last["resource"]["issue"][0]["code"], "too-costly");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_shown_what_they_could_not_read() {
    let app = TestApp::start().await;
    ward(&app.gateway()).await;
    let own = app.patient_app("patient/*.rs", "p1");
    let table = [
        // Who gave the care is nobody's secret, and nobody's record.
        (&own, "Observation?_include=*", "Observation/o1", "Encounter/e1 Patient/p1 PractitionerRole/r1"),
        (&own, "Patient?_revinclude=*", "Patient/p1", "Encounter/e1 Observation/o1"),
        // o2 refers to o1, but is another patient's
        (&own, "Observation?_revinclude=Observation:has-member", "Observation/o1", ""),
        (
            &own,
            "Observation?_include:iterate=*&_revinclude:iterate=*",
            "Observation/o1",
            "Encounter/e1 Organization/a Organization/b Organization/c Patient/p1 PractitionerRole/r1",
        ),
    ];
    for (client, query, matches, included) in table {
        let page = client.get(&format!("/fhir/{query}")).await.expect(200).json();
        assert_eq!(modes(&page), [matches, included, ""], "{query}");
    }
    let machine = app.machine("system/Observation.rs system/Encounter.r");
    let page = machine.get("/fhir/Observation?_id=o1&_include=*&_revinclude=*").await.expect(200).json();
    assert_eq!(modes(&page), ["Observation/o1", "Encounter/e1 Observation/o2", ""]);
    app.stop().await;
}
