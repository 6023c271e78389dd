//! The examples of HL7's device guides: what gateways for personal devices (PHD) and monitors (`PoCD`) send.

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use crate::helpers::samples::observation;
use crate::helpers::{Client, TestApp, minutes_from_now, resources};

const MDC: &str = "urn:iso:std:iso:11073:10101";
const XML: &str = "application/fhir+xml";

/// The files of a guide; who is referred to comes first.
fn examples(guide: &str) -> Vec<PathBuf> {
    const FIRST: [&str; 10] =
        ["Practitioner", "Location", "Patient", "sisansarah", "Mds", "Vmd", "Channel", "ph", "DeviceMetric", "coin-"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/guides").join(guide);
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut all: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|kind| kind != "md")).collect();
    all.sort_by_key(|file| {
        let name = file.file_name().unwrap().to_str().unwrap();
        (FIRST.iter().position(|part| name.contains(part)).unwrap_or(FIRST.len()), file.clone())
    });
    all
}

/// The same in the other form.
async fn converted(client: &Client, text: &[u8], from: &str, to: &str) -> String {
    let request = client.request(Method::POST, "/fhir/$convert").header("Content-Type", from).header("Accept", to);
    let answer = request.body(text.to_vec()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_taken_in_both_forms_and_comes_back() {
    for guide in ["phd", "pocd"] {
        let app = TestApp::start().await;
        let client = app.gateway();
        for file in examples(guide) {
            let (name, text) = (file.display(), std::fs::read(&file).unwrap());
            let is_xml = file.extension().unwrap() == "xml";
            let json = if is_xml {
                converted(&client, &text, XML, "application/fhir+json").await
            } else {
                String::from_utf8(text).unwrap()
            };
            let mut resource: Value = serde_json::from_str(&json).unwrap();
            let xml = converted(&client, json.as_bytes(), "application/fhir+json", XML).await;
            if resource["resourceType"] == "Bundle" {
                let told = client.post("/fhir", &resource).await.expect(200).json();
                let statuses = |told: &Value| -> Vec<String> {
                    told["entry"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|e| e["response"]["status"].as_str().unwrap().to_owned())
                        .collect()
                };
                assert!(statuses(&told).iter().all(|status| status == "201 Created"), "{name}: {told}");
                // Sent again in the other form: who and what is there already is found.
                let again = client.post_raw("/fhir", XML, xml).await.expect(200);
                assert!(again.text().contains("200 OK"), "{}", again.text());
                continue;
            }
            let address =
                format!("/fhir/{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
            client.put(&address, &resource).await.expect(201);
            let ask = client.with_header("Content-Type", XML);
            assert_eq!(ask.send(Method::PUT, &address, Some(xml.into_bytes())).await.status, 200, "{name}");
            let mut stored = client.get(&address).await.expect(200).json();
            for kept in [&mut stored, &mut resource] {
                kept.as_object_mut().unwrap().remove("meta");
            }
            assert_eq!(stored, resource, "{name}");
        }
        app.stop().await;
    }
}

/// A reading that is coded by MDC alone.
fn by_mdc(patient: &str, code: &str, value: &str, unit: &str, minute: i64) -> Value {
    let mut reading = observation(patient, "8867-4", value, unit, &minutes_from_now(minute));
    reading["code"] = json!({"coding": [{"system": MDC, "code": code}]});
    reading.as_object_mut().unwrap().remove("category");
    reading
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_judge_what_is_coded_by_mdc_alone() {
    for (code, value, unit) in [
        ("147842", "190", "{beat}/min"),
        ("149530", "190", "/min"),
        ("150456", "70", "%"),
        ("151562", "45", "/min"),
        ("150364", "41.5", "Cel"),
    ] {
        let app = TestApp::start().await;
        let (patient, client) = (app.admit("r1", "Vega").await, app.gateway());
        for minute in [-3, -2, -1, 0] {
            client.post("/fhir/Observation", &by_mdc(&patient, code, value, unit, minute)).await.expect(201);
        }
        app.alert_becomes(&patient, code, |_| true).await;
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_coded_by_mdc_alone_is_found_by_loinc_and_comes_back_as_it_was_sent() {
    let app = TestApp::start().await;
    let (patient, client) = (app.admit("r1", "Vega").await, app.gateway());
    let mut pressure = by_mdc(&patient, "150020", "1", "mm[Hg]", 0);
    pressure.as_object_mut().unwrap().remove("valueQuantity");
    let part = |code: &str, value: u32| {
        let mut part = by_mdc(&patient, code, &value.to_string(), "mm[Hg]", 0);
        json!({"code": part["code"].take(), "valueQuantity": part["valueQuantity"].take()})
    };
    pressure["component"] = json!([part("150021", 120), part("150022", 80)]);
    let kept = client.post("/fhir/Observation", &pressure).await.expect(201).json();
    assert_eq!((&kept["code"], &kept["component"]), (&pressure["code"], &pressure["component"]));
    client.post("/fhir/Observation", &by_mdc(&patient, "147842", "72", "{beat}/min", 0)).await.expect(201);
    client.post("/fhir/Observation", &by_mdc(&patient, "147842", "72", "kg", 0)).await.expect(201);
    for (query, count) in [
        ("code=http://loinc.org|85354-9", 1),
        ("component-code=8480-6", 1),
        ("combo-code=8462-4", 1),
        ("code=8867-4", 1),
        ("code=147842", 2),
        ("code=urn:iso:std:iso:11073:10101|147842", 2),
    ] {
        let found = client.get(&format!("/fhir/Observation?{query}")).await.expect(200).json();
        assert_eq!(resources(&found).len(), count, "{query}");
    }
    app.stop().await;
}
