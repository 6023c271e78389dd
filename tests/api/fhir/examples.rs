//! HL7's own examples can be stored and come back as they were.

use std::path::PathBuf;

use serde_json::Value;

use crate::helpers::TestApp;

/// Examples that break the rules which they illustrate.
const KNOWN: [&str; 2] = ["DeviceMetric-example.json", "Observation-f202.json"];

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_stored_and_read_back() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fhir-profiles/tests/data/examples");
    let mut stored = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        let sent: Value = serde_json::from_slice(&bytes).unwrap();
        let kind = sent["resourceType"].as_str().unwrap().to_owned();
        let reply = gateway.post_raw(&format!("/fhir/{kind}"), "application/fhir+json", bytes).await;
        if KNOWN.contains(&name.as_str()) {
            assert!((400..423).contains(&reply.status), "{name}: {}", reply.status);
            continue;
        }
        let reply = reply.expect(201);
        let id = reply.id();
        let read = gateway.get(&format!("/fhir/{kind}/{id}")).await.expect(200);
        assert_eq!(without_own(read.json()), without_own(sent), "{name}");
        let xml = gateway.get(&format!("/fhir/{kind}/{id}?_format=xml")).await.expect(200);
        fhir_r4::parse(&xml.body, fhir_r4::Format::Xml).unwrap_or_else(|issues| panic!("{name}: {issues:?}"));
        let found = gateway.get(&format!("/fhir/{kind}?_id={id}")).await.expect(200).json();
        assert_eq!(without_own(found["entry"][0]["resource"].clone()), without_own(read.json()), "{name}");
        stored += 1;
    }
    assert_eq!(stored, 98);
    app.stop().await;
}

/// Without what the server itself says about a version.
fn without_own(mut resource: Value) -> Value {
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
