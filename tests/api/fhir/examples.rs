//! HL7's own examples can be stored and come back as they were.

use std::path::PathBuf;

use serde_json::Value;

use crate::helpers::TestApp;

/// Examples that break the rules which they illustrate, and where.
const KNOWN: [(&str, &str); 2] = [
    // R4 lets the parent be a Device; the example has kept a DeviceDefinition of an older draft.
    ("DeviceMetric-example.json", "DeviceMetric.parent"),
    // A body temperature in the category vital-signs without the time that the R4 profile for it asks for.
    ("Observation-f202.json", "Observation.effective"),
];

/// Those that keep the rules, by file name.
pub(super) fn examples() -> Vec<(String, Vec<u8>)> {
    all().into_iter().filter(|(name, _)| !KNOWN.iter().any(|(known, _)| known == name)).collect()
}

fn all() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fhir-profiles/tests/data/examples");
    let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_stored_and_found() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for (name, bytes) in examples() {
        let sent: Value = serde_json::from_slice(&bytes).unwrap();
        let kind = sent["resourceType"].as_str().unwrap().to_owned();
        let reply = gateway.post_raw(&format!("/fhir/{kind}"), "application/fhir+json", bytes).await;
        assert_eq!(reply.status, 201, "{name}: {}", reply.text());
        let id = reply.id();
        let read = gateway.get(&format!("/fhir/{kind}/{id}")).await.expect(200);
        assert_eq!(without_own(read.json()), without_own(sent), "{name}");
        let found = gateway.get(&format!("/fhir/{kind}?_id={id}")).await.expect(200).json();
        assert_eq!(without_own(found["entry"][0]["resource"].clone()), without_own(read.json()), "{name}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_that_break_a_rule_are_refused_by_that_rule() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for (name, bytes) in all() {
        let Some((_, place)) = KNOWN.iter().find(|(known, _)| *known == name) else { continue };
        let kind = name.split('-').next().unwrap();
        let reply = gateway.post_raw(&format!("/fhir/{kind}"), "application/fhir+json", bytes).await.expect(400);
        assert!(reply.issues().ends_with(place), "{name}: {}", reply.issues());
    }
    app.stop().await;
}

/// Without what the server itself says about a version.
pub(super) fn without_own(mut resource: Value) -> Value {
    let members = resource.as_object_mut().unwrap();
    members.remove("id");
    if let Some(meta) = members.get_mut("meta").and_then(Value::as_object_mut) {
        meta.remove("versionId");
        meta.remove("lastUpdated");
        if meta.is_empty() {
            members.remove("meta");
        }
    }
    super::resource::plain(&resource)
}
