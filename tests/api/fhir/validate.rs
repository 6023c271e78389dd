//! `$validate`: everything that can be said of a resource, without storing it.

use serde_json::{Value, json};

use crate::helpers::samples::{observation, patient};
use crate::helpers::{Client, Reply, TestApp};

fn parameters(parts: &[(&str, Value)]) -> Value {
    let parts: Vec<Value> = parts
        .iter()
        .map(|(name, value)| match value {
            Value::String(text) if *name == "profile" => json!({"name": name, "valueUri": text}),
            Value::String(text) => json!({"name": name, "valueCode": text}),
            resource => json!({"name": name, "resource": resource}),
        })
        .collect();
    json!({"resourceType": "Parameters", "parameter": parts})
}

/// `severity code expression` of each issue.
fn told(reply: &Reply) -> Vec<String> {
    let issues = reply.json()["issue"].as_array().cloned().unwrap_or_default();
    let line = |i: &Value| {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", text(&i["severity"]), text(&i["code"]), text(&i["expression"][0])).trim_end().to_owned()
    };
    issues.iter().map(line).collect()
}

async fn nothing_is_stored(client: &Client, kind: &str) {
    assert!(client.get(&format!("/fhir/{kind}")).await.expect(200).json().get("entry").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_told_at_once_and_nothing_is_stored() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let pulse = observation("p", "8867-4", "72", "/min", "2026-01-01T00:00:00Z");
    let with = |changes: &[(&str, Value)]| {
        let mut changed = pulse.clone();
        for (pointer, value) in changes {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            changed.pointer_mut(parent).unwrap()[name] = value.clone();
        }
        changed
    };
    let fine = vec!["information informational"];
    for (resource, expected) in [
        (pulse.clone(), fine.clone()),
        (with(&[("/status", json!("banana"))]), vec!["error code-invalid Observation.status"]),
        (
            with(&[("/dataAbsentReason", json!({"text": "x"})), ("/banana", json!(1)), ("/status", json!(7))]),
            vec!["error value Observation.status", "error structure Observation.banana", "error invariant Observation"],
        ),
        (with(&[("/valueQuantity/code", json!("bpm"))]), vec!["error value Observation.valueQuantity.code"]),
        (
            with(&[("/meta", json!({"profile": ["urn:test:unheard-of"]}))]),
            vec!["warning not-found Observation.meta.profile[0]"],
        ),
        (
            json!({"resourceType": "Observation"}),
            vec!["error required Observation.status", "error required Observation.code"],
        ),
        (patient("x", "r", "Vega"), vec!["error invalid resourceType"]),
    ] {
        let bare = gateway.post("/fhir/Observation/$validate", &resource).await.expect(200);
        assert_eq!(told(&bare), expected, "{resource}");
        let wrapped = parameters(&[("resource", resource.clone())]);
        let wrapped = gateway.post("/fhir/Observation/$validate", &wrapped).await.expect(200);
        assert_eq!(told(&wrapped), expected, "{resource}");
    }
    nothing_is_stored(&gateway, "Observation").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_of_any_type_are_computed() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for (resource, expression, key) in [
        (json!({"resourceType": "Organization"}), "Organization", "org-1"),
        (
            json!({"resourceType": "Organization", "name": "x", "telecom": [{"system": "phone", "value": "1", "use": "work"},
                {"system": "phone", "value": "1", "use": "home"}]}),
            "Organization.telecom[1]",
            "org-3",
        ),
        (
            json!({"resourceType": "Group", "type": "person", "actual": false, "member": [{"entity": {"reference": "Patient/1"}}]}),
            "Group",
            "grp-1",
        ),
        (
            json!({"resourceType": "Task", "status": "draft", "intent": "order", "authoredOn": "2026-01-02", "lastModified": "2025-01-01"}),
            "Task",
            "inv-1",
        ),
        (
            json!({"resourceType": "Encounter", "status": "planned", "class": {"code": "IMP"}, "period": {"start": "2026", "end": "2025"}}),
            "Encounter.period",
            "per-1",
        ),
        (
            json!({"resourceType": "ValueSet", "status": "draft", "compose": {"include": [{"concept": [{"code": "a"}]}]}}),
            "ValueSet.compose.include[0]",
            "vsd-1",
        ),
        (
            json!({"resourceType": "Basic", "code": {"text": "x"}, "extension": [{"url": "urn:x",
                "valueTiming": {"repeat": {"period": 1}}}]}),
            "Basic.extension[0].valueTiming.repeat",
            "tim-2",
        ),
    ] {
        let kind = resource["resourceType"].as_str().unwrap();
        let reply = gateway.post(&format!("/fhir/{kind}/$validate"), &resource).await.expect(200);
        let issues = reply.json()["issue"].as_array().cloned().unwrap();
        let hit = issues.iter().find(|i| i["diagnostics"].as_str().unwrap().starts_with(&format!("{key}:")));
        let hit = hit.unwrap_or_else(|| panic!("{key}: {issues:?}"));
        assert_eq!(
            (hit["expression"][0].as_str(), hit["severity"].as_str()),
            (Some(expression), Some("error")),
            "{key}"
        );
        let refused = gateway.post(&format!("/fhir/{kind}"), &resource).await;
        assert!([400, 422].contains(&refused.status), "{key}: what is wrong is not stored either");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_and_addresses() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Patient/p1", &patient("p1", "r1", "Vega")).await.expect(201);
    let named = |id: &str| patient(id, "r1", "Vega");
    let fine = "information informational";
    for (path, body, status, expected) in [
        ("/fhir/Patient/p1/$validate", None, 200, fine),
        ("/fhir/Patient/p2/$validate", None, 404, "error not-found"),
        ("/fhir/Patient/$validate", None, 400, "error required Parameters.parameter"),
        ("/fhir/Patient/p1/$validate?mode=delete", None, 200, fine),
        ("/fhir/Patient/p9/$validate?mode=delete", None, 404, "error not-found"),
        ("/fhir/Patient/$validate?mode=delete", None, 400, "error value http.mode"),
        ("/fhir/Patient/p1/$validate?mode=banana", None, 400, "error value http.mode"),
        ("/fhir/Patient/$validate?mode=create", Some(named("p1")), 200, fine),
        ("/fhir/Patient/p1/$validate?mode=update", Some(named("p1")), 200, fine),
        ("/fhir/Patient/p1/$validate?mode=update", Some(named("p2")), 200, "error value Patient.id"),
        (
            "/fhir/Patient/p1/$validate",
            Some(parameters(&[("mode", json!("update")), ("resource", named("p2"))])),
            200,
            "error value Patient.id",
        ),
        ("/fhir/Patient/$validate?mode=profile", Some(named("p1")), 400, "error required http.profile"),
        ("/fhir/Patient/$validate?profile=urn:unheard", Some(named("p1")), 200, "error not-found Patient"),
        (
            "/fhir/Patient/$validate",
            Some(parameters(&[("profile", json!("urn:unheard")), ("resource", named("p1"))])),
            200,
            "error not-found Patient",
        ),
        (
            "/fhir/Patient/$validate?profile=http://hl7.org/fhir/StructureDefinition/Patient",
            Some(named("p1")),
            200,
            fine,
        ),
        ("/fhir/Parameters/$validate", Some(json!({"resourceType": "Parameters"})), 200, fine),
        ("/fhir/$validate", Some(named("p1")), 404, "error not-supported"),
    ] {
        let reply = match &body {
            Some(body) => gateway.post(path, body).await,
            None => gateway.get(path).await,
        };
        assert_eq!((reply.status, told(&reply)), (status, vec![expected.to_owned()]), "{path} {body:?}");
    }
    let pulse = observation("p", "29463-7", "72", "kg", "2026-01-01T00:00:00Z");
    let path = "/fhir/Observation/$validate?profile=http://hl7.org/fhir/StructureDefinition/heartrate";
    let reply = gateway.post(path, &pulse).await.expect(200);
    assert!(reply.text().contains("heartrate"), "the embedded profiles can be asked for: {}", reply.text());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_a_resource_may_not_have_it_validated() {
    let app = TestApp::start().await;
    let (own, other) = (app.admit("r1", "Vega").await, app.admit("r2", "Lago").await);
    let relative = app.patient_app("patient/*.rs", &own);
    relative.get(&format!("/fhir/Patient/{own}/$validate")).await.expect(200);
    relative.get(&format!("/fhir/Patient/{other}/$validate")).await.expect(404);
    relative.get(&format!("/fhir/Patient/{own}/$validate?mode=delete")).await.expect(403);
    app.anonymous().post("/fhir/Patient/$validate", &patient("x", "r", "V")).await.expect(401);
    app.stop().await;
}
