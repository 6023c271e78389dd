//! A reference by the server's own address is the local one, wherever it stands: stored, searched by, conditional.

use serde_json::{Value, json};

use super::chain::resources;
use super::everything::all;
use super::include::modes;
use super::search::{check, coded, observation, store};
use crate::helpers::TestApp;

const BASE: &str = "http://localhost/fhir";

fn on(local: &str) -> Value {
    json!({"reference": format!("{BASE}/{local}")})
}

/// Soto's last reading and stay, which name everything by its whole address.
fn absolute() -> [Value; 2] {
    let reading = json!({"subject": on("Patient/soto"), "encounter": on("Encounter/e3"), "code": coded(&[("urn:s", "abs")]),
        "performer": [on("Practitioner/x/_history/1"), {"reference": "http://else.where/fhir/Practitioner/y"}]});
    let stay = json!({"resourceType": "Encounter", "id": "e3", "status": "finished", "class": {"code": "IMP"},
        "subject": on("Patient/soto"), "serviceProvider": on("Organization/south")});
    [observation("abs", &reading), stay]
}

#[tokio::test(flavor = "multi_thread")]
async fn is_the_local_one() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    store(&gateway, &resources()).await;
    store(&gateway, &absolute()).await;
    let table = [
        // stored either way, searched by either
        ("Observation", "subject=Patient/soto", "abs o2 o3"),
        ("Observation", "subject={}/Patient/soto", "abs o2 o3"),
        ("Observation", "subject=http%3A%2F%2Flocalhost%2Ffhir%2FPatient%2Fsoto", "abs o2 o3"),
        ("Observation", "subject={}/Patient/soto/_history/1", "abs o2 o3"),
        ("Observation", "patient={}/Patient/soto", "abs o2 o3"),
        ("Observation", "subject:Patient={}/Patient/soto", "abs o2 o3"),
        ("Observation", "subject={}/Patient/soto,Patient/none", "abs o2 o3"),
        ("Observation", "encounter={}/Encounter/e2", "o2 o3"),
        ("Observation", "performer=Practitioner/x", "abs"),
        ("Observation", "performer={}/Practitioner/x", "abs"),
        ("Observation", "performer=http://else.where/fhir/Practitioner/y", "abs"),
        // chains either way
        ("Observation", "patient.organization={}/Organization/south", "abs o2 o3"),
        ("Observation", "encounter.service-provider=Organization/south", "abs o2 o3"),
        ("Patient", "_has:Observation:patient:encounter={}/Encounter/e3", "soto"),
        ("Patient", "_has:Observation:patient:performer=Practitioner/x", "soto"),
        // others' addresses
        ("Observation", "subject=http://localhost:1/fhir/Patient/soto", ""),
        ("Observation", "subject=http://else.where/fhir/Patient/soto", ""),
        ("Observation", "subject={}/Patient/none", ""),
    ];
    for (kind, query, expected) in table {
        check(&gateway, kind, &[(&query.replace("{}", BASE), expected)]).await;
    }
    let found = gateway.get(&format!("/fhir?_type=Observation,Encounter&subject={BASE}/Patient/soto")).await;
    assert_eq!(
        modes(&found.expect(200).json())[0],
        "Encounter/e2 Encounter/e3 Observation/abs Observation/o2 Observation/o3"
    );
    let page = gateway.get("/fhir/Observation?_id=abs&_include=*").await.expect(200).json();
    assert_eq!(modes(&page)[1], "Encounter/e3 Patient/soto");
    let page = gateway.get("/fhir/Patient/soto/Observation").await.expect(200).json();
    assert_eq!(modes(&page)[0], "Observation/abs Observation/o2 Observation/o3");
    let told = all(&gateway, "/fhir/Patient/soto/$everything").await;
    assert!(told.contains("Observation/abs") && told.contains("Organization/south"), "{told}");
    let stored = gateway.get("/fhir/Observation/abs").await.expect(200).json();
    assert_eq!(stored["subject"]["reference"], "Patient/soto", "one resource has one name");
    assert_eq!(stored["performer"][1]["reference"], "http://else.where/fhir/Practitioner/y");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_conditions_and_operations_too() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    store(&gateway, &resources()).await;
    store(&gateway, &absolute()).await;
    for condition in ["subject={}/Patient/soto&code=abs", "subject=Patient/soto&performer={}/Practitioner/x"] {
        let ask = gateway.with_header("If-None-Exist", &condition.replace("{}", BASE));
        assert_eq!(ask.post("/fhir/Observation", &absolute()[0]).await.expect(200).id(), "abs", "{condition}");
    }
    let page = gateway.get(&format!("/fhir/Observation/$lastn?subject={BASE}/Patient/soto&code=abs")).await;
    assert_eq!(modes(&page.expect(200).json())[0], "Observation/abs");
    // Whose it is, is known by the whole address, too.
    let (own, other) = (app.patient_app("patient/*.rs", "soto"), app.patient_app("patient/*.rs", "vega"));
    own.get("/fhir/Observation/abs").await.expect(200);
    other.get("/fhir/Observation/abs").await.expect(404);
    app.stop().await;
}
