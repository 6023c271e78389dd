//! How far what was granted reaches: constraints of scopes, the patient compartment, and patients who see themselves.

use serde_json::{Value, json};
use vigia::auth::access::Role;

use super::{Way, public, register};
use crate::helpers::samples::{observation, plain_observation};
use crate::helpers::{Actor, Client, TestApp, ids, minutes_from_now};

const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";

fn laboratory(patient: &str) -> Value {
    let category = json!([{"coding": [{"system": CATEGORY, "code": "laboratory"}]}]);
    let subject = json!({"reference": format!("Patient/{patient}")});
    plain_observation(
        "K",
        &json!({"category": category, "subject": subject, "effectiveDateTime": minutes_from_now(-1)}),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_holds_on_every_road() {
    let app = TestApp::start().await;
    let (own, other) = (app.admit("r1", "Vega").await, app.admit("r2", "Soto").await);
    let gateway = app.gateway();
    let mut made = Vec::new();
    for id in [&own, &other] {
        let vital = observation(id, "8867-4", "72", "/min", &minutes_from_now(-1));
        for resource in [vital, laboratory(id)] {
            made.push(gateway.post("/fhir/Observation", &resource).await.expect(201).id());
        }
    }
    let of = |scope: &str| app.patient_app(scope, &own);
    for (who, seen) in [
        (of("patient/Observation.rs?category=vital-signs"), vec![0]),
        (of(&format!("patient/Observation.rs?category={CATEGORY}|laboratory")), vec![1]),
        (of("patient/Observation.rs?category=vital-signs patient/Observation.rs?category=laboratory"), vec![0, 1]),
        (of("patient/Observation.rs?category=vital-signs&code=8867-4"), vec![0]),
        (of("patient/Observation.rs?category=vital-signs&code=8310-5"), vec![]),
        (of("patient/Observation.rs?status=preliminary"), vec![]),
        (app.machine("system/Observation.rs?category=laboratory"), vec![1, 3]),
        (of("patient/Observation.rs"), vec![0, 1]),
    ] {
        let mut found = ids(&who.get("/fhir/Observation?_total=accurate").await.expect(200).json());
        found.sort_unstable();
        let mut expected: Vec<String> = seen.iter().map(|at: &usize| made[*at].clone()).collect();
        expected.sort_unstable();
        assert_eq!(found, expected);
        for (at, id) in made.iter().enumerate() {
            let status = if seen.contains(&at) { 200 } else { 404 };
            for road in ["", "/_history/1", "/_history"] {
                who.get(&format!("/fhir/Observation/{id}{road}")).await.expect(status);
            }
        }
        let query = format!("/fhir/Observation?_id={}", made.join(","));
        assert_eq!(ids(&who.get(&query).await.expect(200).json()).len(), seen.len());
        let widened = who.get("/fhir/Observation?category=laboratory,vital-signs,x").await.expect(200);
        assert_eq!(ids(&widened.json()).len(), seen.len());
    }
    // Roads that only ask whose it is are closed to what is constrained.
    let vitals = of("patient/Observation.rs?category=vital-signs patient/Patient.rs");
    for road in ["/fhir/Observation/$lastn?max=1".to_owned(), format!("/live/series?patient={own}&code=8867-4")] {
        assert_ne!(vitals.get(&road).await.status, 500, "{road}");
        assert!(!vitals.get(&road).await.text().contains("\"K\""), "{road}");
    }
    let included =
        vitals.get(&format!("/fhir/Patient?_id={own}&_revinclude=Observation:subject")).await.expect(200).json();
    assert_eq!(ids(&included), [own.clone(), made[0].clone()]);
    let chained = vitals.get("/fhir/Patient?_has:Observation:patient:category=laboratory").await.expect(200).json();
    assert!(ids(&chained).is_empty(), "nothing is learnt through a chain: {chained}");
    vitals.get("/fhir/Observation/_history").await.expect(403);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_compartment_and_no_more() {
    let app = TestApp::start().await;
    let (own, other) = (app.admit("r1", "Vega").await, app.admit("r2", "Soto").await);
    let gateway = app.gateway();
    let reference = |id: &str| json!({"reference": format!("Patient/{id}")});
    let practitioner = json!({"resourceType": "Practitioner", "active": true});
    let practitioner = gateway.post("/fhir/Practitioner", &practitioner).await.expect(201).id();
    let mut all = Vec::new();
    for id in [&own, &other] {
        for resource in [
            json!({"resourceType": "Condition", "subject": reference(id), "code": {"text": "x"}}),
            json!({"resourceType": "AllergyIntolerance", "patient": reference(id), "code": {"text": "x"},
                "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}}),
            json!({"resourceType": "Coverage", "status": "active", "beneficiary": reference(id), "payor": [reference(id)]}),
            json!({"resourceType": "DocumentReference", "status": "current", "subject": reference(id), "content": [{"attachment": {"title": "x"}}]}),
        ] {
            let kind = resource["resourceType"].as_str().unwrap().to_owned();
            all.push((
                id.clone(),
                kind.clone(),
                gateway.post(&format!("/fhir/{kind}"), &resource).await.expect(201).id(),
            ));
        }
    }
    let mine = app.patient_app("patient/*.cruds", &own);
    for (whose, kind, id) in &all {
        let status = if *whose == own { 200 } else { 404 };
        mine.get(&format!("/fhir/{kind}/{id}")).await.expect(status);
        let found = ids(&mine.get(&format!("/fhir/{kind}")).await.expect(200).json());
        assert_eq!(found.contains(id), *whose == own, "{kind}");
    }
    // Who gave the care is no secret; what is about the running of the server is.
    mine.get(&format!("/fhir/Practitioner/{practitioner}")).await.expect(200);
    for closed in ["/fhir/Device", "/fhir/AuditEvent", "/fhir/Subscription", "/fhir/PlanDefinition", "/fhir/Group"] {
        mine.get(closed).await.expect(403);
    }
    let about = |id: &str| json!({"resourceType": "Condition", "subject": reference(id), "code": {"text": "y"}});
    mine.post("/fhir/Condition", &about(&own)).await.expect(201);
    mine.post("/fhir/Condition", &about(&other)).await.expect(403);
    mine.post("/fhir/Practitioner", &json!({"resourceType": "Practitioner"})).await.expect(403);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patients_see_themselves() {
    let app = TestApp::start().await;
    let root = app.administrator().await;
    let (own, other) = (app.admit("r1", "Vega").await, app.admit("r2", "Soto").await);
    app.heart_rates(&own, &[80]).await;
    app.heart_rates(&other, &[90]).await;
    let eva = patient_account(&app, "eva", Some(&own)).await;
    assert_eq!(ids(&eva.get("/fhir/Patient").await.expect(200).json()), std::slice::from_ref(&own));
    eva.get(&format!("/fhir/Patient/{other}")).await.expect(404);
    eva.get("/live").await.expect(403);
    let scope = "openid fhirUser launch/patient patient/*.rs user/Observation.rs";
    let client = register(&root, &public(scope)).await;
    let way = Way::of(&app, &client, scope);
    let handle = way.ask().await;
    let offer = eva.get(&format!("/auth/authorize/{handle}")).await.expect(200).json();
    assert_eq!(offer["patient"], json!({"fixed": own}));
    let told = way.granted(&eva, Some(&other)).await;
    assert_eq!(told["patient"], json!(own), "nobody else's");
    let mine = app.bearer(told["access_token"].as_str().unwrap());
    assert_eq!(ids(&mine.get("/fhir/Observation").await.expect(200).json()).len(), 1);
    mine.get(&format!("/fhir/Patient/{other}")).await.expect(404);
    mine.post("/fhir/Observation", &observation(&own, "8867-4", "72", "/min", &minutes_from_now(-1))).await.expect(403);
    // Bound to nobody, one sees nothing.
    let nobody = patient_account(&app, "ida", None).await;
    nobody.get("/fhir/Patient").await.expect(403);
    app.stop().await;
}

async fn patient_account(app: &TestApp, username: &str, patient: Option<&str>) -> Client {
    let password = vigia::auth::password::generate();
    assert!(app.state.sessions.create_account(username, "Eva", Role::Patient, &password).await.unwrap());
    if let Some(patient) = patient {
        let account = app.state.store.find_account(username).await.unwrap().unwrap();
        app.state.store.set_account_resource(&account.id, &format!("Patient/{patient}")).await.unwrap();
    }
    let login = json!({"username": username, "password": password});
    let reply = app.anonymous().with_header("X-Requested-With", "vigia").post("/auth/login", &login).await.expect(204);
    let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
    Client { actor: Actor::Session(cookie), ..app.anonymous() }
}
