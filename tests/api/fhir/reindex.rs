//! `$reindex`: what stands is indexed anew without being changed, while the server works.

use serde_json::{Value, json};

use crate::helpers::samples::{UCUM, patient, plain_observation};
use crate::helpers::{Client, TestApp, eventually, ids};

const START: &str = "/fhir/$reindex";
const STATUS: &str = "/fhir/$reindex-status";

fn types(names: &[&str]) -> Value {
    let parameters: Vec<Value> = names.iter().map(|name| json!({"name": "type", "valueCode": name})).collect();
    if parameters.is_empty() {
        return json!({"resourceType": "Parameters"});
    }
    json!({"resourceType": "Parameters", "parameter": parameters})
}

fn told<'a>(status: &'a Value, name: &str) -> &'a Value {
    let parameters = status["parameter"].as_array().unwrap();
    let found = parameters.iter().find(|parameter| parameter["name"] == name);
    found
        .and_then(|p| p.as_object()?.iter().find(|(n, _)| n.starts_with("value")).map(|(_, v)| v))
        .unwrap_or(&Value::Null)
}

/// Waits for the end of the run; its last words.
pub(super) async fn finished(caller: &Client) -> Value {
    eventually("the run is over", || async {
        let status = caller.get(STATUS).await.expect(200).json();
        (told(&status, "state") != "running").then_some(status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lost_its_index_rows_is_found_again_and_is_the_same() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Patient/a", &patient("a", "r1", "Vega")).await.expect(201);
    gateway.put("/fhir/Patient/a", &patient("a", "r1", "Vegas")).await.expect(200);
    gateway
        .put(
            "/fhir/Organization/d",
            &json!({"resourceType": "Organization", "id": "d", "identifier": [{"value": "d1"}]}),
        )
        .await
        .expect(201);
    let part = json!({"code": {"coding": [{"system": "urn:test", "code": "part"}]}, "valueQuantity": {"value": 7.50, "system": UCUM, "code": "mg"}});
    let mut observation = plain_observation("whole", &json!({"id": "o", "component": [part], "note": [{"text": "x"}]}));
    observation["meta"] = json!({"profile": ["urn:test:profile"], "tag": [{"system": "urn:test", "code": "old"}]});
    gateway.put("/fhir/Observation/o", &observation).await.expect(201);
    gateway.put("/fhir/Observation/gone", &plain_observation("gone", &json!({"id": "gone"}))).await.expect(201);
    gateway.delete("/fhir/Observation/gone").await;
    let searches = [
        ("/fhir/Patient?family=vegas", "a"),
        ("/fhir/Patient?identifier=r1", "a"),
        ("/fhir/Patient?birthdate=1956", "a"),
        ("/fhir/Organization?identifier=d1", "d"),
        ("/fhir/Observation?_tag=old", "o"),
        ("/fhir/Observation?component-code=part", "o"),
        ("/fhir/Observation?component-value-quantity=7.5", "o"),
        ("/fhir/Observation?_profile=urn:test:profile", "o"),
        ("/fhir/Observation?code=whole", "o"),
    ];
    let same = ["/fhir/Patient/a/_history", "/fhir/Organization/d", "/fhir/Observation/o", "/fhir/_history"];
    let mut before = Vec::new();
    for path in same {
        before.push(gateway.get(path).await.expect(200).text());
    }
    let head = app.state.store.log_head().await.unwrap();
    app.place
        .execute(
            "DELETE FROM ix_term; DELETE FROM ix_string; DELETE FROM ix_date; DELETE FROM ix_quantity; DELETE FROM component;
             UPDATE observation SET profile = NULL, concept = NULL",
        )
        .await;
    for (path, _) in searches {
        assert!(ids(&gateway.get(path).await.expect(200).json()).is_empty(), "{path}");
    }
    assert_eq!(told(&gateway.get(STATUS).await.expect(200).json(), "state"), "never");
    // One type first: the others stay as they were.
    let begun = gateway.post(START, &types(&["Organization"])).await.expect(202);
    assert!(begun.header("content-location").ends_with(STATUS), "{}", begun.header("content-location"));
    let ended = finished(&gateway).await;
    let words = ["state", "done", "total", "type"].map(|name| told(&ended, name).clone());
    assert_eq!(words, [json!("completed"), json!(1), json!(1), json!("Organization")], "{ended}");
    assert_eq!(ids(&gateway.get("/fhir/Organization?identifier=d1").await.expect(200).json()), ["d"]);
    assert!(ids(&gateway.get("/fhir/Patient?family=vegas").await.expect(200).json()).is_empty());
    // Then everything, twice: a second run changes nothing.
    for _ in 0..2 {
        gateway.post(START, &types(&[])).await.expect(202);
        let ended = finished(&gateway).await;
        assert_eq!(
            (told(&ended, "state"), told(&ended, "done")),
            (&json!("completed"), told(&ended, "total")),
            "{ended}"
        );
        assert!(told(&ended, "started").is_string() && told(&ended, "finished").is_string(), "{ended}");
        for (path, id) in searches {
            assert_eq!(ids(&gateway.get(path).await.expect(200).json()), [id], "{path}");
        }
        for (path, before) in same.iter().zip(&before) {
            assert_eq!(&gateway.get(path).await.expect(200).text(), before, "{path}");
        }
        assert_eq!(app.state.store.log_head().await.unwrap(), head, "nothing is logged");
    }
    assert!(
        ids(&gateway.get("/fhir/Patient?family:exact=Vega").await.expect(200).json()).is_empty(),
        "history stays unindexed"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_meanwhile_is_found_as_it_is_now() {
    const PATIENTS: usize = 350;
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let put = |n: usize, family: String| {
        let gateway = &gateway;
        async move {
            gateway.put(&format!("/fhir/Patient/p{n}"), &patient(&format!("p{n}"), &format!("r{n}"), &family)).await
        }
    };
    for n in 0..PATIENTS {
        put(n, format!("Old{n}")).await.expect(201);
    }
    gateway.post(START, &types(&["Patient"])).await.expect(202);
    for n in (0..PATIENTS).step_by(7) {
        put(n, format!("New{n}")).await.expect(200);
    }
    let ended = finished(&gateway).await;
    assert_eq!(told(&ended, "state"), "completed", "{ended}");
    for n in 0..PATIENTS {
        let (now, never) = if n % 7 == 0 { ("New", "Old") } else { ("Old", "New") };
        let found =
            gateway.get(&format!("/fhir/Patient?family:exact={now}{n}&_total=accurate")).await.expect(200).json();
        assert_eq!((ids(&found), &found["total"]), (vec![format!("p{n}")], &json!(1)));
        let none = gateway.get(&format!("/fhir/Patient?family:exact={never}{n}")).await.expect(200).json();
        assert!(ids(&none).is_empty(), "{never}{n}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_runs_the_server_may_ask_and_only_for_what_there_is() {
    let app = TestApp::start().await;
    app.gateway().put("/fhir/Patient/a", &patient("a", "r1", "Vega")).await.expect(201);
    for caller in [
        app.clinician().await,
        app.patient_app("patient/*.cruds", "a"),
        app.machine("system/*.rs"),
        app.machine("system/Patient.cruds"),
    ] {
        caller.post(START, &types(&[])).await.expect(403);
        caller.get(STATUS).await.expect(403);
    }
    app.anonymous().post(START, &types(&[])).await.expect(401);
    let gateway = app.gateway();
    for (body, status, place) in [
        (types(&["Nope"]), 400, "Parameters.parameter.value"),
        (json!({"resourceType": "Parameters", "parameter": [{"name": "type"}]}), 400, "Parameters.parameter.value"),
        (
            json!({"resourceType": "Parameters", "parameter": [{"name": "x", "valueCode": "Patient"}]}),
            400,
            "Parameters.parameter.name",
        ),
        (patient("a", "r1", "Vega"), 400, "Parameters"),
    ] {
        let issues = gateway.post(START, &body).await.expect(status).issues();
        assert!(issues.contains(place), "{body}: {issues}");
    }
    gateway.get(START).await.expect(405);
    assert_eq!(told(&gateway.get(STATUS).await.expect(200).json(), "state"), "never");
    app.administrator().await.post(START, &types(&["Patient"])).await.expect(202);
    assert_eq!(told(&finished(&gateway).await, "state"), "completed");
    let statement = gateway.get("/fhir/metadata").await.expect(200).json();
    let operations = statement["rest"][0]["operation"].as_array().unwrap();
    assert!(["reindex", "reindex-status"].iter().all(|name| operations.iter().any(|o| o["name"] == *name)));
    app.stop().await;
}
