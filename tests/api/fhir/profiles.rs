//! Profiles that were loaded: a resource that claims one is held to it.

use serde_json::{Value, json};
use vigia::auth::access::Access;
use vigia::config::ProfilePolicy;
use vigia::profiles::package;

use crate::helpers::samples::{entry, observation, patient};
use crate::helpers::{Client, Reply, TestApp, eventually};

const US_CORE: &str = "http://hl7.org/fhir/us/core/StructureDefinition";

/// Issues as `severity expression`.
fn told(reply: &Reply) -> Vec<String> {
    let issues = reply.json()["issue"].as_array().cloned().unwrap_or_default();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    issues
        .iter()
        .map(|i| format!("{} {}", text(&i["severity"]), text(&i["expression"][0])).trim_end().to_owned())
        .collect()
}

/// As one transaction.
async fn load(client: &Client, name: &str) {
    let entries = package::read(package::shipped(name).unwrap()).unwrap().into_iter().map(|mut resource| {
        // They claim profiles of their own, which one of the stories refuses.
        resource.as_object_mut().unwrap().shift_remove("meta");
        let url = format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
        entry("PUT", &url, &resource)
    });
    let entries: Vec<Value> = entries.collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    client.post("/fhir", &bundle).await.expect(200);
}

fn claiming(mut resource: Value, profile: &str) -> Value {
    resource["meta"] = json!({"profile": [profile]});
    resource
}

fn changed(resource: &Value, changes: &[(&str, Value)]) -> Value {
    let mut resource = resource.clone();
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match resource.pointer_mut(parent).unwrap() {
            Value::Object(members) if value.is_null() => drop(members.shift_remove(name)),
            Value::Object(members) => drop(members.insert(name.to_owned(), value.clone())),
            Value::Array(items) => items[name.parse::<usize>().unwrap()] = value.clone(),
            _ => unreachable!(),
        }
    }
    resource
}

fn pressure() -> Value {
    let part = |code: &str, value: u32| {
        json!({"code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "valueQuantity": {"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}})
    };
    let mut panel = observation("p", "85354-9", "1", "x", "2026-01-01T00:00:00Z");
    panel.as_object_mut().unwrap().shift_remove("valueQuantity");
    panel["component"] = json!([part("8480-6", 120), part("8462-4", 80)]);
    panel
}

#[tokio::test(flavor = "multi_thread")]
async fn us_core_vital_signs() {
    for version in ["us-core-6.1.0", "us-core-8.0.0"] {
        let app = TestApp::start().await;
        let gateway = app.gateway();
        load(&gateway, version).await;
        let bp = claiming(pressure(), &format!("{US_CORE}/us-core-blood-pressure"));
        let pulse = observation("p", "8867-4", "72", "/min", "2026-01-01T00:00:00Z");
        let pulse = claiming(pulse, &format!("{US_CORE}/us-core-heart-rate"));
        // The embedded profile of the code finds the same again: one problem is one line, by expression.
        for (resource, expected) in [
            (bp.clone(), vec!["information"]),
            (pulse.clone(), vec!["information"]),
            (changed(&bp, &[("/component/1/code/coding/0/code", json!("1-1"))]), vec!["error Observation.component"]),
            (
                changed(&bp, &[("/component/0/valueQuantity/code", json!("mmHg"))]),
                vec!["error Observation.component[0].valueQuantity.code"],
            ),
            (changed(&bp, &[("/component/0/valueQuantity", Value::Null)]), vec!["error Observation.component[0]"]),
            (
                changed(&pulse, &[("/code/coding/0/code", json!("8310-5"))]),
                vec!["error Observation.valueQuantity.code", "error Observation.code"],
            ),
            (changed(&pulse, &[("/category", json!([{"text": "x"}]))]), vec!["error Observation.category"]),
            (changed(&pulse, &[("/subject/reference", json!("Device/1"))]), vec!["error Observation.subject"]),
            (changed(&pulse, &[("/effectiveDateTime", json!("2026"))]), vec!["error Observation.effectiveDateTime"]),
        ] {
            let reply = gateway.post("/fhir/Observation/$validate", &resource).await.expect(200);
            let mut lines = told(&reply);
            lines.retain(|line| !line.starts_with("information Obs") && !line.starts_with("warning"));
            lines.dedup();
            if lines.is_empty() {
                lines.push("information".to_owned());
            }
            assert_eq!(lines, expected, "{version} {resource} {}", reply.text());
            let stored = gateway.post("/fhir/Observation", &resource).await;
            assert_eq!(stored.status == 201, expected == ["information"], "{version} {resource}");
        }
        let wrong = claiming(patient("x", "r", "V"), &format!("{US_CORE}/us-core-heart-rate"));
        assert_eq!(told(&gateway.post("/fhir/Patient", &wrong).await.expect(400)), ["error Patient.meta.profile[0]"]);
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_in_force_until_it_is_deleted_and_after_a_restart() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    load(&gateway, "us-core-6.1.0").await;
    let wrong = observation("p", "8310-5", "37", "Cel", "2026-01-01T00:00:00Z");
    let wrong = claiming(wrong, &format!("{US_CORE}/us-core-heart-rate"));
    gateway.post("/fhir/Observation", &wrong).await.expect(400);
    let place = app.stop().await;
    let app = TestApp::on(place, vigia::clock::Clock::default(), |_| {}).await;
    let gateway = app.gateway();
    gateway.post("/fhir/Observation", &wrong).await.expect(400);
    gateway.delete("/fhir/StructureDefinition/us-core-heart-rate").await.expect(204);
    gateway.post("/fhir/Observation", &wrong).await.expect(201);
    app.stop().await;
}

/// What a node looks at to know that another one changed the definitions.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_changed_definition_is_a_change() {
    const TYPES: [&str; 2] = ["ValueSet", "CodeSystem"];
    let app = TestApp::start().await;
    let (gateway, store) = (app.gateway(), &app.state.store);
    assert_eq!(store.last_change(&TYPES).await.unwrap(), 0);
    let set = |status: &str| json!({"resourceType": "ValueSet", "id": "s", "status": status});
    for (change, resource, counts) in [
        ("PUT Patient/p", patient("p", "p", "Vega"), false),
        ("PUT ValueSet/s", set("draft"), true),
        ("PUT Observation/o", observation("p", "8310-5", "37", "Cel", "2026-01-01T00:00:00Z"), false),
        ("PUT ValueSet/s", set("active"), true),
        ("DELETE Patient/p", json!({}), false),
        ("DELETE ValueSet/s", json!({}), true),
    ] {
        let before = store.last_change(&TYPES).await.unwrap();
        let (method, url) = change.split_once(' ').unwrap();
        let mut resource = resource;
        resource["id"] = url.split_once('/').unwrap().1.into();
        let reply = match method {
            "PUT" => gateway.put(&format!("/fhir/{url}"), &resource).await,
            _ => gateway.delete(&format!("/fhir/{url}")).await,
        };
        assert!(reply.status < 300, "{change}: {}", reply.text());
        let expected = if counts { store.log_head().await.unwrap() } else { before };
        assert_eq!(store.last_change(&TYPES).await.unwrap(), expected, "{change}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_loads_the_other_holds_to() {
    let app = TestApp::start().await;
    let Some(beside) = app.place.beside() else { return drop(app.stop().await) };
    let second = TestApp::on(beside, vigia::clock::Clock::default(), |_| {}).await;
    load(&app.gateway(), "us-core-6.1.0").await;
    let wrong = observation("p", "8310-5", "37", "Cel", "2026-01-01T00:00:00Z");
    let wrong = claiming(wrong, &format!("{US_CORE}/us-core-heart-rate"));
    for (step, status) in [("loaded", 400), ("deleted", 201)] {
        if step == "deleted" {
            app.gateway().delete("/fhir/StructureDefinition/us-core-heart-rate").await.expect(204);
        }
        let other = second.gateway();
        eventually(step, || async { (other.post("/fhir/Observation", &wrong).await.status == status).then_some(()) })
            .await;
    }
    second.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_decide_what_becomes_of_it() {
    let named = format!("{US_CORE}/us-core-heart-rate");
    for (profiles, named_policy, unknown, expected) in [
        (ProfilePolicy::Reject, None, ProfilePolicy::AcceptWithWarning, [400, 201]),
        (ProfilePolicy::AcceptWithWarning, None, ProfilePolicy::AcceptWithWarning, [201, 201]),
        (ProfilePolicy::Reject, Some(ProfilePolicy::AcceptWithWarning), ProfilePolicy::Reject, [201, 422]),
    ] {
        let url = named.clone();
        let app = TestApp::with(move |config| {
            config.validation.profiles = profiles;
            config.validation.unknown_profiles = unknown;
            config.validation.profile.extend(named_policy.map(|policy| (url, policy)));
        })
        .await;
        let gateway = app.gateway();
        load(&gateway, "us-core-6.1.0").await;
        let wrong = observation("p", "8310-5", "37", "Cel", "2026-01-01T00:00:00Z");
        let outcome = gateway.with_header("Prefer", "return=OperationOutcome");
        let reply = outcome.post("/fhir/Observation", &claiming(wrong.clone(), &named)).await.expect(expected[0]);
        let severity = if expected[0] == 201 { "warning" } else { "error" };
        assert!(told(&reply).contains(&format!("{severity} Observation.code")), "{}", reply.text());
        let outcome = gateway.with_header("Prefer", "return=OperationOutcome");
        let reply = outcome.post("/fhir/Observation", &claiming(wrong, "urn:unheard-of")).await.expect(expected[1]);
        let severity = if expected[1] == 201 { "warning" } else { "error" };
        assert!(told(&reply).contains(&format!("{severity} Observation.meta.profile[0]")), "{}", reply.text());
        app.stop().await;
    }
}

/// A profile of Observation that carries only a differential.
fn differential(id: &str, base: &str, elements: &Value) -> Value {
    json!({"resourceType": "StructureDefinition", "id": id, "url": format!("urn:test:{id}"), "name": "X",
        "status": "active", "kind": "resource", "abstract": false, "type": "Observation",
        "derivation": "constraint", "baseDefinition": base, "differential": {"element": elements}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_differential_is_applied_or_refused() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let core = "http://hl7.org/fhir/StructureDefinition/Observation";
    let outcome = || gateway.with_header("Prefer", "return=OperationOutcome");
    let device = json!([{"path": "Observation", "id": "Observation"}, {"path": "Observation.device", "min": 1, "id": "Observation.device"}]);
    let banana = json!([{"path": "Observation", "id": "Observation"}, {"path": "Observation.banana", "min": 1, "id": "Observation.banana"}]);
    for (id, base, elements, status, line) in [
        ("early", "urn:test:base", &device, 201, "warning StructureDefinition"),
        ("base", core, &device, 201, ""),
        ("wrong", core, &banana, 422, "error StructureDefinition.differential.element[1]"),
        (
            "late",
            "urn:test:base",
            &json!([{"path": "Observation.device", "min": 0, "id": "x"}]),
            422,
            "error StructureDefinition.differential.element[0]",
        ),
    ] {
        let reply = outcome().put(&format!("/fhir/StructureDefinition/{id}"), &differential(id, base, elements)).await;
        assert_eq!(reply.status == 201, status == 201, "{id} {}", reply.text());
        assert!(line.is_empty() || told(&reply).contains(&line.to_owned()), "{id} {}", reply.text());
    }
    // What came before its base is in force with it.
    let pulse = observation("p", "8867-4", "72", "/min", "2026-01-01T00:00:00Z");
    for claim in ["urn:test:base", "urn:test:early"] {
        let reply = gateway.post("/fhir/Observation", &claiming(pulse.clone(), claim)).await.expect(400);
        assert_eq!(told(&reply), ["error Observation.device"], "{claim}");
    }
    app.stop().await;
}

/// What `vigia package load` asks of each definition of a package.
#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_come_together_know_each_other() {
    let app = TestApp::start().await;
    let at = |path: &str| json!([{"path": path, "id": path, "min": 1}]);
    let core = "http://hl7.org/fhir/StructureDefinition/Observation";
    let all = [
        differential("derived", "urn:test:base", &at("Observation.device")),
        differential("base", core, &at("Observation.subject")),
        differential("wrong", core, &at("Observation.banana")),
        differential("on-wrong", "urn:test:wrong", &at("Observation.subject")),
        differential("alone", "urn:test:nowhere", &at("Observation.subject")),
    ];
    for (definition, expected) in all.iter().zip(["taken", "taken", "banana", "banana", "nowhere"]) {
        let told = match app.state.pipeline.profiles().check_among(definition.clone(), &all).await {
            Ok(checked) if checked.warnings().is_empty() => "taken".to_owned(),
            Ok(checked) => checked.warnings()[0].diagnostics.clone(),
            Err(issues) => issues.iter().map(|issue| issue.diagnostics.clone()).collect(),
        };
        assert!(told.contains(expected), "{}: {told}", definition["id"]);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_odd_stays_with_the_version() {
    let app = TestApp::with(|config| {
        let panel = "http://hl7.org/fhir/StructureDefinition/vitalspanel".to_owned();
        config.validation.profile.extend([(panel, ProfilePolicy::AcceptWithWarning)]);
    })
    .await;
    let gateway = app.gateway();
    let pulse = observation("p", "8867-4", "72", "/min", "2026-01-01T00:00:00Z");
    let odd = claiming(pulse.clone(), "urn:test:later");
    let warnings = async |path: &str| -> Vec<String> {
        let reply = gateway.get(&format!("/fhir/{path}/$validate")).await.expect(200);
        told(&reply).into_iter().filter(|line| line.starts_with("warning")).collect()
    };
    let place = format!("Observation/{}", gateway.post("/fhir/Observation", &odd).await.expect(201).id());
    let claim = ["warning Observation.meta.profile[0]"];
    assert_eq!(warnings(&place).await, claim, "fresh and kept are one");
    let elements = json!([{"path": "Observation", "id": "Observation"}]);
    let core = "http://hl7.org/fhir/StructureDefinition/Observation";
    gateway.put("/fhir/StructureDefinition/later", &differential("later", core, &elements)).await.expect(201);
    assert_eq!(warnings(&place).await, claim, "it was odd when it was taken");

    // What a device sends goes the same way.
    app.admit("r1", "Vega").await;
    let reading = json!({"patient": "urn:test:records|r1", "code": "85353-1", "value": 1, "unit": "kg",
        "time": "2026-01-01T00:00:00Z"});
    let receipt =
        app.machine("system/Observation.c").post("/device/v1/observations", &reading).await.expect(200).json();
    let id = receipt["items"][0]["reference"]
        .as_str()
        .unwrap_or_else(|| panic!("{receipt}"))
        .trim_start_matches("Observation/")
        .to_owned();
    let kept = app.state.store.oddities(&Access::system("test"), "Observation", &id).await.unwrap();
    assert!(kept.iter().any(|issue| issue.expression == "Observation.hasMember"), "{kept:?}");

    // Another version has its own; a caller that may not see the resource sees nothing of it.
    let stranger = app.patient_app("patient/Observation.r", "other");
    stranger.get(&format!("/fhir/{place}/$validate")).await.expect(404);
    let mut fine = pulse.clone();
    fine["id"] = json!(place.split_once('/').unwrap().1);
    gateway.put(&format!("/fhir/{place}"), &fine).await.expect(200);
    assert_eq!(warnings(&place).await, Vec::<String>::new());
    app.stop().await;
}
