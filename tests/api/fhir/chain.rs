//! Chains and reverse chains, and that nobody learns through them what they may not search.

use serde_json::{Value, json};

use super::search::{check, coded, observation, quantity, store};
use crate::helpers::samples::patient;
use crate::helpers::{TestApp, ids};

fn on(reference: &str) -> Value {
    json!({"reference": reference})
}

/// Two patients in two houses, with readings, stays and who looked at them.
pub(super) fn resources() -> Vec<Value> {
    let mut vega = patient("0f36a0ac-2cd3-7d55-8a47-0c7a4c2a1b01", "r1", "Vega");
    vega["managingOrganization"] = on("Organization/north");
    let mut soto = patient("soto", "r2", "Soto");
    soto["managingOrganization"] = on("Organization/south");
    let house = |id: &str, parent: Option<&str>| {
        let mut house = json!({"resourceType": "Organization", "id": id, "name": format!("House {id}"), "identifier": [{"system": "urn:h", "value": id}]});
        if let Some(parent) = parent {
            house["partOf"] = on(parent);
        }
        house
    };
    let stay = |id: &str, patient: &str, house: &str| json!({"resourceType": "Encounter", "id": id, "status": "in-progress", "class": {"code": "IMP"}, "subject": on(patient), "serviceProvider": on(house)});
    let reading = |id: &str, patient: &str, stay: &str, code: &str, value: &str| {
        observation(
            id,
            &json!({"subject": on(patient), "encounter": on(stay), "code": coded(&[("urn:s", code)]), "valueQuantity": quantity(value, "/min")}),
        )
    };
    let audit = |id: &str, who: &str, what: &str| {
        json!({"resourceType": "AuditEvent", "id": id, "type": {"system": "urn:t", "code": "rest"}, "recorded": "2026-01-01T00:00:00Z",
            "agent": [{"who": on(who), "requestor": true}], "source": {"observer": on("Device/server")}, "entity": [{"what": on(what)}]})
    };
    let vega_id = "Patient/0f36a0ac-2cd3-7d55-8a47-0c7a4c2a1b01";
    vec![
        house("all", None),
        house("north", Some("Organization/all")),
        house("south", None),
        vega,
        soto,
        stay("e1", vega_id, "Organization/north"),
        stay("e2", "Patient/soto", "Organization/south"),
        reading("o1", vega_id, "Encounter/e1", "hr", "130"),
        reading("o2", "Patient/soto", "Encounter/e2", "hr", "70"),
        reading("o3", "Patient/soto", "Encounter/e2", "rr", "130"),
        observation("sum", &json!({"hasMember": [on("Observation/o1")], "code": coded(&[("urn:s", "panel")])})),
        audit("a1", "Practitioner/x", "Observation/o1"),
        json!({"resourceType": "DetectedIssue", "id": "i1", "status": "final", "patient": on("Patient/soto"), "implicated": [on("Observation/o3")]}),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn lead_through_references_either_way() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    store(&gateway, &resources()).await;
    let vega = "0f36a0ac-2cd3-7d55-8a47-0c7a4c2a1b01";
    check(
        &gateway,
        "Observation",
        &[
            ("subject:Patient.name=vega", "o1"),
            ("patient.family=soto", "o2 o3"),
            ("patient.family=nobody", ""),
            ("patient._id=soto", "o2 o3"),
            ("patient.identifier=urn:test:records|r1", "o1"),
            ("patient.family:exact=Vega", "o1"),
            ("patient.organization.name=house", "o1 o2 o3"),
            ("patient.organization.name=house north", "o1"),
            ("patient.organization.partof.name=house all", "o1"),
            ("encounter.service-provider.identifier=urn:h|south", "o2 o3"),
            ("encounter.patient.family=vega", "o1"),
            ("patient.family=soto&code=rr", "o3"),
            ("patient.birthdate=lt1960&value-quantity=gt100", "o1 o3"),
            ("has-member:Observation.code=hr", "sum"),
            ("has-member.code=rr", ""),
            ("patient.gender:not=male", "o1 o2 o3"),
            ("patient._has:Encounter:patient:service-provider=Organization/north", "o1"),
            ("_has:DetectedIssue:implicated:status=final", "o3"),
            ("_has:AuditEvent:entity:agent=Practitioner/x", "o1"),
            ("_has:Observation:has-member:code=panel", "o1"),
        ],
    )
    .await;
    check(
        &gateway,
        "Patient",
        &[
            ("_has:Observation:patient:code=urn:s|hr", &format!("{vega} soto")),
            ("_has:Observation:patient:code=rr", "soto"),
            ("_has:Observation:patient:code-value-quantity=hr$gt100", vega),
            ("_has:Observation:patient:code=hr&_has:Observation:patient:code=rr", "soto"),
            ("_has:Observation:patient:_has:AuditEvent:entity:agent=Practitioner/x", vega),
            ("_has:Observation:patient:_has:AuditEvent:entity:agent=Practitioner/y", ""),
            ("_has:Observation:patient:encounter.service-provider.name=house south", "soto"),
            ("_has:Encounter:patient:status=in-progress&family=vega", vega),
            ("organization.name=house north", vega),
            ("organization:Organization.partof=Organization/all", vega),
            ("_has:DetectedIssue:patient:implicated:Observation.code=rr", "soto"),
        ],
    )
    .await;
    // What is replaced or deleted leads nowhere.
    gateway.delete("/fhir/Observation/o3").await.expect(204);
    gateway
        .put("/fhir/Organization/north", &json!({"resourceType": "Organization", "id": "north", "name": "Moved"}))
        .await
        .expect(200);
    check(
        &gateway,
        "Patient",
        &[
            ("_has:Observation:patient:code=rr", ""),
            ("organization.name=house north", ""),
            ("organization.name=moved", vega),
        ],
    )
    .await;
    for (query, issue) in [
        ("Observation?patient.nope=1", "not-supported http.patient.nope"),
        ("Observation?patient:Group.name=1", "not-supported http.patient:Group.name"),
        ("AuditEvent?entity._id=1", "too-costly http.entity._id"),
        (
            "Organization?partof.partof.partof.partof.partof.partof.partof.name=x",
            "too-costly http.partof.partof.partof.partof.partof.partof.partof.name",
        ),
        ("Patient?_has:Observation:patient=1", "value http._has:Observation:patient"),
    ] {
        assert_eq!(gateway.get(&format!("/fhir/{query}")).await.expect(400).issues(), issue, "{query}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn show_no_more_than_could_be_searched() {
    let app = TestApp::start().await;
    store(&app.gateway(), &resources()).await;
    let mine = app
        .patient_app("patient/Observation.rs patient/Patient.rs patient/Encounter.rs patient/DetectedIssue.rs", "soto");
    for (query, expected) in [
        ("Observation?patient.family=vega", ""),
        ("Observation?patient.family=soto", "o2 o3"),
        // The panel is about nobody, its member about another patient.
        ("Observation?has-member:Observation.code=hr", ""),
        ("Patient?_has:Observation:patient:code=hr", "soto"),
        ("Encounter?_has:Observation:encounter:code=rr", "e2"),
        ("Observation?encounter.patient.family=vega", ""),
    ] {
        let found = mine.get(&format!("/fhir/{query}")).await.expect(200).json();
        let mut found = ids(&found);
        found.sort();
        assert_eq!(found.join(" "), expected, "{query}");
    }
    // Types that the caller may not search are no way round either.
    for query in [
        "Patient?organization.name=house",
        "Observation?encounter.service-provider.name=house",
        "Observation?_has:AuditEvent:entity:agent=Practitioner/x",
        "Observation?_list=l",
    ] {
        mine.get(&format!("/fhir/{query}")).await.expect(403);
    }
    // A condition of a write sees no further than a search.
    let half = app.patient_app("system/Observation.crs patient/Patient.rs", "soto");
    let ask = |family: &str| half.with_header("If-None-Exist", &format!("patient.family={family}&code=hr"));
    ask("soto").post("/fhir/Observation", &observation("x", &json!({}))).await.expect(200);
    ask("vega").post("/fhir/Observation", &observation("x", &json!({}))).await.expect(201);
    let narrow = app.machine("system/Observation.rs");
    narrow.get("/fhir/Observation?code=hr").await.expect(200);
    narrow.get("/fhir/Observation?patient.family=vega").await.expect(403);
    app.stop().await;
}
