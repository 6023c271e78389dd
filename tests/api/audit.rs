//! The audit trail: what was changed by whom is in it, with the change; and whoever meddles with it is found out.

use std::process::Command;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use serde_json::json;
use vigia::auth::access::Access;
use vigia::store::{FoundTrail, WantedTrails};

use crate::helpers::samples::{heart_rate, observation, patient};
use crate::helpers::{TestApp, minutes_from_now};

fn auditor() -> Access {
    Access::system("test")
}

async fn about(app: &TestApp, patient: &str) -> Vec<FoundTrail> {
    let wanted = WantedTrails { patients: vec![format!("Patient/{patient}")], count: 50, ..WantedTrails::default() };
    app.state.store.trails(&auditor(), wanted).await.unwrap().found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_recorded_with_it() {
    let app = TestApp::with(|config| config.alert.enabled = false).await;
    let id = app.admit("r1", "Vega").await;
    let other = app.admit("r2", "Soto").await;
    let nurse = app.clinician().await;
    let renewed = patient(&id, "r1", "Vega");
    nurse.with_header("X-Request-Id", "asked-1").put(&format!("/fhir/Patient/{id}"), &renewed).await.expect(200);
    let readings = json!([1, 2, 3].map(|at| heart_rate(&id, 70 + at, &minutes_from_now(-i64::from(at)))));
    app.upload(&readings).await;
    let reading = observation(&id, "8867-4", "72", "/min", &minutes_from_now(-9));
    let reading = app.gateway().post("/fhir/Observation", &reading).await.expect(201).id();
    app.gateway().delete(&format!("/fhir/Observation/{reading}")).await.expect(204);

    let told = about(&app, &id).await;
    let lines: Vec<_> = told
        .iter()
        .map(|found| {
            let entry = &found.entry;
            (entry.act.code(), entry.kind.as_deref().unwrap_or("-"), entry.count)
        })
        .collect();
    let expected = [
        ("D", "Observation", 1),
        ("C", "Observation", 1),
        ("C", "Observation", 3),
        ("U", "Patient", 1),
        ("C", "Encounter", 1),
        ("C", "Patient", 1),
    ];
    assert_eq!(lines, expected, "the newest first, and a batch of readings once");
    let update = &told[3].entry;
    assert!(update.agent.who.starts_with("user/") && update.agent.name.as_deref() == Some("nora"), "{update:?}");
    assert_eq!(update.request.as_deref(), Some("asked-1"));
    assert_eq!(update.from.as_deref(), Some("127.0.0.1"));
    assert_eq!(update.resources, [format!("Patient/{id}/_history/2")]);
    assert_eq!(about(&app, &other).await.len(), 2, "of another patient only what is about that one");

    // What is refused changes nothing.
    nurse.delete(&format!("/fhir/Patient/{id}")).await.expect(403);
    assert_eq!(about(&app, &id).await.len(), told.len());
    let wanted = WantedTrails { entities: vec![format!("Observation/{reading}")], count: 1, ..WantedTrails::default() };
    let page = app.state.store.trails(&auditor(), wanted.clone()).await.unwrap();
    assert_eq!(page.found[0].entry.act.code(), "D");
    let next = WantedTrails { before: page.next, ..wanted };
    let rest = app.state.store.trails(&auditor(), next).await.unwrap();
    assert_eq!((rest.found[0].entry.act.code(), rest.next), ("C", None));

    let event = vigia::audit::render(&told[0].entry, told[0].seq, &told[0].hash, "http://localhost");
    fhir_r4::check(event).unwrap();
    app.state.store.verify_trail(&auditor(), None).await.unwrap().unwrap();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_reads_it() {
    let app = TestApp::start().await;
    let machine =
        Access::from_scopes(vigia::auth::access::Principal::Client { id: "c".into() }, "system/*.cruds", None);
    for access in [machine.unwrap(), Access::for_user("u", "nora", vigia::auth::access::Role::Clinician, None)] {
        assert!(app.state.store.trails(&access, WantedTrails::default()).await.is_err());
        assert!(app.state.store.verify_trail(&access, None).await.is_err());
    }
    let auditor = Access::for_user("u", "aud", vigia::auth::access::Role::Auditor, None);
    app.state.store.verify_trail(&auditor, None).await.unwrap().unwrap();
    assert!(app.state.store.find(&auditor, "Patient", "x").await.is_err_and(|error| error.view().status == 403));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn meddling_is_found_out_and_named() {
    for (sql, seq, what) in [
        ("UPDATE audit_block SET body = (SELECT body FROM audit_block WHERE first = 1) WHERE first = 3", 3, "recorded"),
        ("UPDATE audit_block SET hash = marks WHERE first = 2", 2, "hash"),
        ("UPDATE audit_block SET ends = ends + 1 WHERE first = 2", 2, "times"),
        ("DELETE FROM audit_block WHERE first = 2", 2, "missing"),
        ("DELETE FROM audit_block WHERE first >= 3", 3, "cut off"),
        ("DELETE FROM audit_key WHERE first = 3", 3, "index"),
        ("UPDATE audit_head SET seq = seq - 1", 4, "head"),
    ] {
        let app = TestApp::with(|config| config.alert.enabled = false).await;
        let before = app.state.store.verify_trail(&auditor(), None).await.unwrap().unwrap().entries;
        app.place.execute("DELETE FROM audit_block; DELETE FROM audit_key; DELETE FROM audit_head").await;
        for id in ["a", "b", "c", "d"] {
            app.gateway().put(&format!("/fhir/Patient/{id}"), &patient(id, id, "Vega")).await.expect(201);
        }
        let whole = app.state.store.verify_trail(&auditor(), Some(2)).await.unwrap().unwrap();
        assert!(whole.entries == 4 && whole.at.is_some(), "{whole:?}, {before} were the seeds");
        app.place.execute(sql).await;
        let broken = app.state.store.verify_trail(&auditor(), None).await.unwrap().unwrap_err();
        assert!(broken.seq == seq && broken.what.contains(what), "{sql}: {broken:?}");
        app.stop().await;
    }
}

#[test]
fn verify_ends_with_one_and_keeps_to_a_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let run = |line: &str| {
        let path = std::path::Path::new(env!("CARGO_BIN_EXE_vigia")).parent().unwrap().display().to_string();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", line]).current_dir(directory.path()).env_clear().env("PATH", format!("{path}:/usr/bin:/bin"));
        let done = shell.output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap())
    };
    let rule = "vigia keygen >> vigia.toml && vigia verify";
    assert_eq!(run(rule).0, Some(0), "a trail that is empty holds");
    assert_eq!(run("vigia verify --checkpoint c.jws && vigia verify --checkpoint c.jws").0, Some(0));
    let found = run("find . -name vigia.db").1;
    let mut database = SqliteConnection::establish(directory.path().join(found.trim()).to_str().unwrap()).unwrap();
    database.batch_execute("INSERT INTO audit_head (one, seq, hash) VALUES (1, 5, zeroblob(32))").unwrap();
    let (code, said) = run("vigia verify");
    assert!(code == Some(1) && said.contains("entry 1 of the audit trail"), "{said}");
    assert_eq!(
        run("sed -i s/^./x/ c.jws; vigia verify --checkpoint c.jws").0,
        Some(1),
        "a checkpoint that was changed"
    );
}
