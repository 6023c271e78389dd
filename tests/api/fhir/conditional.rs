//! Conditional create: whoever sends the same thing twice, or many at once, makes one.

use serde_json::{Value, json};

use crate::helpers::samples::{bundle, entry, patient, plain_observation};
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
        ("Device?identifier=x", "value http.If-None-Exist"),
    ] {
        assert_eq!(create_unless(&gateway, "r9", bad).await.expect(400).issues(), place, "{bad}");
    }
    let odd = "identifier=http://else.where/records?ward=1|r2";
    let mut sent = patient("x", "r2", "Vega");
    sent["identifier"][0]["system"] = json!("http://else.where/records?ward=1");
    for status in [201, 200] {
        gateway.with_header("If-None-Exist", odd).post("/fhir/Patient", &sent).await.expect(status);
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

/// R4 http, conditional update: every line of its table, in order.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_by_what_it_finds() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let put = |query: &str, body: Value| {
        let (gateway, path) = (gateway.clone(), format!("/fhir/Patient{query}"));
        async move { gateway.put(&path, &body).await }
    };
    let mut nameless = patient("x", "r1", "Vega");
    nameless.as_object_mut().unwrap().remove("id");
    let by = |record: &str| format!("?identifier=urn:test:records|{record}");
    let created = put(&by("r1"), nameless.clone()).await.expect(201);
    let id = created.id();
    assert_eq!(created.header("location"), format!("http://localhost/fhir/Patient/{id}/_history/1"));
    let found = put(&by("r1"), nameless.clone()).await.expect(200);
    assert_eq!((found.id(), found.header("etag")), (id.clone(), "W/\"2\"".into()), "no id, one match: updated");
    put(&by("r1"), patient(&id, "r1", "Vega")).await.expect(200);
    assert_eq!(put(&by("r1"), patient("other", "r1", "Vega")).await.expect(400).issues(), "value Patient.id");
    assert_eq!(
        put(&by("r2"), patient("own", "r2", "Ortiz")).await.expect(201).id(),
        "own",
        "no match, an id: created under it"
    );
    assert_eq!(
        put(&by("r3"), patient("own", "r3", "Luz")).await.expect(409).issues(),
        "conflict",
        "the id is another's"
    );
    gateway.delete("/fhir/Patient/own").await.expect(204);
    assert_eq!(
        put(&by("r3"), patient("own", "r3", "Luz")).await.expect(201).header("etag"),
        "W/\"3\"",
        "nothing stands there"
    );
    gateway.post("/fhir/Patient", &patient("x", "r1", "Twin")).await.expect(201);
    assert_eq!(put(&by("r1"), nameless.clone()).await.expect(412).issues(), "multiple-matches");
    for (query, place) in [
        ("", "value http.query"),
        ("?", "value http.query"),
        ("?_count=1", "value http.query"),
        ("?nope=1", "not-supported http.nope"),
    ] {
        assert_eq!(put(query, nameless.clone()).await.expect(400).issues(), place, "{query}");
    }
    let tagged = |tag: &'static str, record: &str| {
        let (gateway, path, body) =
            (gateway.clone(), format!("/fhir/Patient{}", by(record)), patient("own", record, "Luz"));
        async move { gateway.with_header("If-Match", tag).put(&path, &body).await.status }
    };
    assert_eq!(
        (tagged("W/\"2\"", "r3").await, tagged("W/\"3\"", "r3").await, tagged("*", "r3").await),
        (412, 200, 200)
    );
    assert_eq!((tagged("*", "r9").await, tagged("W/\"1\"", "r9").await), (412, 412), "nothing stands");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_by_what_it_finds() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for (id, record) in [("a", "one"), ("b", "two"), ("c", "two")] {
        gateway.put(&format!("/fhir/Patient/{id}"), &patient(id, record, "Vega")).await.expect(201);
    }
    let table = [
        ("?identifier=urn:test:records|two", 412),
        ("?identifier=urn:test:records|one", 204),
        ("?identifier=urn:test:records|one", 204),
        ("?identifier=urn:test:records|never", 204),
        ("", 400),
        ("?_count=1", 400),
        ("?nope=1", 400),
    ];
    for (query, status) in table {
        gateway.delete(&format!("/fhir/Patient{query}")).await.expect(status);
    }
    gateway.get("/fhir/Patient/a").await.expect(410);
    gateway.get("/fhir/Patient/b").await.expect(200);
    gateway
        .with_header("If-Match", "W/\"9\"")
        .send(reqwest::Method::DELETE, "/fhir/Patient?_id=b", None)
        .await
        .expect(412);
    gateway.with_header("If-Match", "*").send(reqwest::Method::DELETE, "/fhir/Patient?_id=b", None).await.expect(204);
    gateway.with_header("If-Match", "*").send(reqwest::Method::DELETE, "/fhir/Patient/b", None).await.expect(412);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_only_creates() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let put = |path: &'static str, tag: &'static str| {
        let ask = gateway.with_header("If-None-Match", tag);
        async move { ask.put(&format!("/fhir/{path}"), &patient("n", "n", "Vega")).await }
    };
    let by = "Patient?identifier=urn:test:records|n";
    for (path, tag, status) in [
        ("Patient/n", "*", 201),
        ("Patient/n", "*", 412),
        ("Patient/n", " * ", 412),
        ("Patient/n", "W/\"1\"", 400),
        (by, "*", 412),
        ("Patient?identifier=urn:test:records|other", "*", 409),
    ] {
        put(path, tag).await.expect(status);
    }
    assert_eq!(put("Patient/n", "x").await.expect(400).issues(), "value http.If-None-Match");
    let both = gateway.with_header("If-None-Match", "*").with_header("If-Match", "W/\"1\"");
    both.put("/fhir/Patient/n", &patient("n", "n", "Vega")).await.expect(400);
    assert_eq!(gateway.get("/fhir/Patient/n").await.expect(200).header("etag"), "W/\"1\"");
    gateway.delete("/fhir/Patient/n").await.expect(204);
    put("Patient/n", "*").await.expect(201);
    gateway.delete("/fhir/Patient/n").await.expect(204);
    put(by, "*").await.expect(201);
    let mut once = entry("PUT", "Patient/b", &patient("b", "b", "Vega"));
    once["request"]["ifNoneMatch"] = json!("*");
    gateway.post("/fhir", &bundle("transaction", std::slice::from_ref(&once))).await.expect(200);
    gateway.post("/fhir", &bundle("transaction", &[once])).await.expect(412);
    let body = patient("race", "race", "Vega");
    let all = futures_util::future::join_all(
        (0..20).map(|_| gateway.with_header("If-None-Match", "*").put("/fhir/Patient/race", &body)),
    );
    let mut all: Vec<u16> = all.await.into_iter().map(|reply| reply.status).collect();
    all.sort_unstable();
    assert_eq!((all[0], &all[1..]), (201, &[412; 19][..]), "one of many creates it");
    app.stop().await;
}

/// RFC 9110, 13.1.1: one of the list is enough.
#[tokio::test(flavor = "multi_thread")]
async fn several_versions_of_which_one_must_stand() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let body = patient("l", "l", "Vega");
    gateway.put("/fhir/Patient/l", &body).await.expect(201);
    for (tags, status) in [
        ("W/\"99\", W/\"1\"", 200),
        ("W/\"99\",W/\"1\"", 412),
        ("\"2\" , 7", 200),
        ("W/\"3\", nonsense", 400),
        ("W/\"3\",", 400),
        ("W/\"3\", *", 400),
    ] {
        gateway.with_header("If-Match", tags).put("/fhir/Patient/l", &body).await.expect(status);
    }
    let delete = |tags: &'static str| {
        gateway.with_header("If-Match", tags).send(reqwest::Method::DELETE, "/fhir/Patient/l", None)
    };
    delete("W/\"8\", W/\"9\"").await.expect(412);
    delete("W/\"8\", W/\"3\"").await.expect(204);
    gateway
        .with_header("If-Match", "W/\"8\", W/\"9\"")
        .put("/fhir/Patient/none", &patient("none", "l", "V"))
        .await
        .expect(412);
    app.stop().await;
}

/// Who may not search everything would learn of others by what a condition finds.
#[tokio::test(flavor = "multi_thread")]
async fn a_condition_needs_the_right_to_search() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Observation/o", &observation_of("p")).await.expect(201);
    let (put, delete) = (reqwest::Method::PUT, reqwest::Method::DELETE);
    let path = "/fhir/Observation?status=final";
    let body = || Some(observation_of("p").to_string().into_bytes());
    let patient_app = |scope: &str| app.patient_app(scope, "p");
    let table = [
        (app.machine("system/Observation.u"), &put, 403),
        (app.machine("system/Observation.d"), &delete, 403),
        (patient_app("patient/Observation.cruds"), &put, 403),
        (patient_app("patient/Observation.cruds"), &delete, 403),
        (app.machine("system/Observation.s"), &put, 403),
        (app.machine("system/Observation.us"), &put, 200),
        (app.machine("system/Observation.ds"), &delete, 204),
    ];
    for (client, method, status) in table {
        let ask = client.with_header("Content-Type", "application/fhir+json");
        ask.send(method.clone(), path, body().filter(|_| *method == put)).await.expect(status);
    }
    app.stop().await;
}

fn observation_of(id: &str) -> Value {
    plain_observation("x", &json!({"id": "o", "subject": {"reference": format!("Patient/{id}")}}))
}

/// However many put at once by the same condition, one is made and all others are its versions.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_updates_at_once_make_one() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let tries: Vec<_> = (0..20)
        .map(|n| {
            let gateway = gateway.clone();
            tokio::spawn(async move {
                let mut body = patient("x", "race", &format!("Writer{n}"));
                body.as_object_mut().unwrap().remove("id");
                gateway.put("/fhir/Patient?identifier=urn:test:records|race", &body).await.status
            })
        })
        .collect();
    let mut statuses = Vec::new();
    for one in tries {
        statuses.push(one.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!((statuses[18], statuses[19]), (200, 201), "{statuses:?}");
    let found = gateway.get("/fhir/Patient?identifier=urn:test:records|race").await.json();
    assert_eq!((ids(&found).len(), &found["entry"][0]["resource"]["meta"]["versionId"]), (1, &json!("20")));
    app.stop().await;
}
