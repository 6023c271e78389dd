//! Conditional create: whoever sends the same thing twice, or many at once, makes one.

use serde_json::json;

use crate::helpers::samples::patient;
use crate::helpers::{Client, Reply, TestApp, ids};

async fn create_unless(client: &Client, record: &str, criterion: &str) -> Reply {
    client.with_header("If-None-Exist", criterion).post("/fhir/Patient", &patient("x", record, "Vega")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn none_one_several() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let criterion = "identifier=urn:test:records|r1";
    let created = create_unless(&gateway, "r1", criterion).await.expect(201);
    let found = create_unless(&gateway, "r1", criterion).await.expect(200);
    assert_eq!((found.id(), found.header("etag")), (created.id(), "W/\"1\"".into()));
    assert_eq!(found.json(), created.json(), "it is shown as it stands");
    create_unless(&gateway, "r1", "Patient?identifier=urn:test:records%7Cr1").await.expect(200);
    gateway.post("/fhir/Patient", &patient("x", "r1", "Other")).await.expect(201);
    assert_eq!(create_unless(&gateway, "r1", criterion).await.expect(412).issues(), "multiple-matches");
    for (bad, place) in [
        ("", "value http.If-None-Exist"),
        ("_count=1", "value http.If-None-Exist"),
        ("nope=1", "not-supported http.nope"),
    ] {
        assert_eq!(create_unless(&gateway, "r9", bad).await.expect(400).issues(), place, "{bad}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_make_one() {
    let app = TestApp::start().await;
    for round in 0..3 {
        let (record, gateway) = (format!("race-{round}"), app.gateway());
        let tries = (0..50).map(|_| {
            let (record, gateway) = (record.clone(), gateway.clone());
            tokio::spawn(async move {
                create_unless(&gateway, &record, &format!("identifier=urn:test:records|{record}")).await
            })
        });
        let mut replies = Vec::new();
        for one in tries.collect::<Vec<_>>() {
            replies.push(one.await.unwrap());
        }
        let created: Vec<&Reply> = replies.iter().filter(|r| r.status == 201).collect();
        assert_eq!(created.len(), 1, "{:?}", replies.iter().map(|r| r.status).collect::<Vec<_>>());
        let id = created[0].id();
        for reply in replies.iter().filter(|r| r.status != 201) {
            // Who lost the race every time may be told to come again, but is never lied to.
            assert!(
                reply.status == 200 && reply.id() == id || reply.status == 409,
                "{}: {}",
                reply.status,
                reply.text()
            );
        }
        let found = gateway.get(&format!("/fhir/Patient?identifier=urn:test:records|{record}")).await.json();
        assert_eq!(ids(&found), [id]);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_of_one_version_let_one_through() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let gateway = app.gateway();
    let tries = (0..20).map(|n| {
        let (id, gateway) = (id.clone(), gateway.clone());
        tokio::spawn(async move {
            let body = patient(&id, "r1", &format!("Writer{n}"));
            gateway.with_header("If-Match", "W/\"1\"").put(&format!("/fhir/Patient/{id}"), &body).await.status
        })
    });
    let mut statuses = Vec::new();
    for one in tries.collect::<Vec<_>>() {
        statuses.push(one.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1], statuses[19]), (200, 412, 412), "{statuses:?}");
    let read = gateway.get(&format!("/fhir/Patient/{id}")).await.json();
    assert_eq!(read["meta"]["versionId"], json!("2"));
    app.stop().await;
}
