//! `vigia simulate`: invented patients by every door, as an operator starts them.

use std::process::Command;

use serde_json::Value;

use crate::helpers::{TestApp, resources};

const SCOPES: &str = "system/Patient.crus system/Device.crus system/Encounter.crus system/Location.crus system/Organization.crus \
                      system/Observation.crs system/DetectedIssue.rs";

/// Runs it to its end: whether it was content, and what it said.
async fn simulate(app: &TestApp, options: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, app.token(SCOPES, None, 600)).unwrap();
    let url = format!("http://{}", app.address);
    let mut command = Command::new(env!("CARGO_BIN_EXE_vigia"));
    command.arg("simulate").arg("--token-file").arg(&token).args(options.split_whitespace());
    if !options.contains("--url") {
        command.args(["--url", &url]);
    }
    command.current_dir(folder.path());
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_go_by_every_door_and_the_ill_raise_alerts() {
    let app = TestApp::start().await;
    let client = app.gateway();
    for (door, ill) in [("device", "1:sepsis"), ("fhir", "1:opioid"), ("hl7", "stable"), ("mixed", "1:arrhythmia")] {
        let options = format!(
            "--patients 3 --scenario {ill} --speed 5000 --interval-ms 100 --for 3 --door {door} --mllp {}",
            app.mllp
        );
        let (content, said) = simulate(&app, &options).await;
        assert!(content, "{door}: {said}");
        assert!(said.contains("readings sent") && !said.contains("refused"), "{door}: {said}");
        assert!(!said.contains("no answers by HTTP"), "the ward itself is set up by HTTP: {said}");
    }
    // The same people, whichever door.
    let patients = client.get("/fhir/Patient?_summary=count").await.expect(200).json();
    assert_eq!(patients["total"], 3);
    app.judged().await;
    let alerts = client.get("/fhir/DetectedIssue?status=preliminary,final").await.expect(200).json();
    assert!(!resources(&alerts).is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_comes_first_and_wrong_options_are_told() {
    let app = TestApp::start().await;
    let (content, said) = simulate(&app, "--patients 1 --history 1 --for 2 --door device").await;
    assert!(content, "{said}");
    let old = format!("/fhir/Observation?code=8867-4&date=lt{}&_summary=count", crate::helpers::minutes_from_now(-10));
    let old: Value = app.gateway().get(&old).await.expect(200).json();
    assert!(old["total"].as_u64().unwrap() >= 49, "{old}");
    for (options, what) in [
        ("--scenario 2:sepsis --patients 1", "--scenario"),
        ("--door hl7", "--mllp"),
        ("--scenario flu", "there is no scenario flu"),
        ("--url http://127.0.0.1:1 --for 1", "cannot be reached"),
    ] {
        let (content, said) = simulate(&app, options).await;
        assert!(!content && said.contains(what), "{options}: {said}");
    }
    app.stop().await;
}
