//! `/fhir/metadata`: what it promises is kept.

use serde_json::Value;
use vigia::fhir::params;

use crate::helpers::TestApp;

/// A value that a parameter of this type can have. What is seeded is not in the built-in table.
fn sample(resource: &str, name: &str) -> String {
    let Some(param) = params::find(resource, name) else { return "x".to_owned() };
    match param.kind.code() {
        "number" | "quantity" => "5".to_owned(),
        "date" => "2026-01-01".to_owned(),
        "reference" => "Patient/1".to_owned(),
        "uri" => "urn:x".to_owned(),
        "composite" => param.parts.iter().map(|part| sample(resource, part.param)).collect::<Vec<_>>().join("$"),
        "special" => "1|1".to_owned(),
        _ => "x".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promised_parameter_can_be_asked_for() {
    let app = TestApp::start().await;
    let statement = app.anonymous().get("/fhir/metadata").await.expect(200).json();
    fhir_r4::check(statement.clone()).unwrap();
    assert_eq!((&statement["fhirVersion"], &statement["kind"]), (&"4.0.1".into(), &"instance".into()));
    let gateway = app.gateway();
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    assert!(resources.len() > 140, "every R4 type: {}", resources.len());
    let (mut asked, none) = (0, vec![]);
    for resource in resources {
        let kind = resource["type"].as_str().unwrap();
        for param in resource["searchParam"].as_array().unwrap_or(&none) {
            let name = param["name"].as_str().unwrap();
            let value = sample(kind, name);
            let bundle = gateway.get(&format!("/fhir/{kind}?{name}={value}&_count=1")).await.expect(200).json();
            assert_eq!(bundle["type"], "searchset", "{kind} {name}");
            asked += 1;
        }
    }
    assert!(asked > 1000, "{asked}");
    let patient = resources.iter().find(|resource| resource["type"] == "Patient").unwrap();
    for (name, member) in [("_include", "searchInclude"), ("_revinclude", "searchRevInclude")] {
        for value in patient[member].as_array().unwrap() {
            gateway.get(&format!("/fhir/Patient?{name}={}&_id=none", value.as_str().unwrap())).await.expect(200);
        }
    }
    let rest = &statement["rest"][0];
    for address in rest["compartment"].as_array().unwrap() {
        let name = address.as_str().unwrap().rsplit('/').next().unwrap();
        let kind = name.get(..1).unwrap().to_uppercase() + name.get(1..).unwrap();
        gateway.get(&format!("/fhir/{kind}/none/*")).await.expect(200);
    }
    for param in rest["searchParam"].as_array().unwrap() {
        let name = param["name"].as_str().unwrap();
        let value = if name == "_type" { "Patient".to_owned() } else { sample("Patient", name) };
        gateway.get(&format!("/fhir?_type=Patient&{name}={value}")).await.expect(200);
    }
    for format in statement["format"].as_array().unwrap() {
        let format = format.as_str().unwrap().replace('+', "%2B");
        gateway.get(&format!("/fhir/Patient?_format={format}")).await.expect(200);
    }
    let xml = app.anonymous().with_header("Accept", "application/fhir+xml").get("/fhir/metadata").await.expect(200);
    fhir_r4::parse(&xml.body, fhir_r4::Format::Xml).unwrap();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promised_interaction_is_served() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let statement: Value = gateway.get("/fhir/metadata").await.json();
    for resource in statement["rest"][0]["resource"].as_array().unwrap() {
        let kind = resource["type"].as_str().unwrap();
        gateway.get(&format!("/fhir/{kind}/none")).await.expect(404);
        gateway.get(&format!("/fhir/{kind}/_history?_count=1")).await.expect(200);
        gateway.post_raw(&format!("/fhir/{kind}"), "application/fhir+json", *b"{}").await.expect(400);
    }
    app.stop().await;
}
