//! `/device/v1/omh` and `/device/v1/csv`: what apps and tables say becomes Observations.

use serde_json::{Value, json};

use super::outcomes;
use crate::helpers::samples::RECORDS;
use crate::helpers::{TestApp, resources};

const OMH: &str = "/device/v1/omh";
const CSV: &str = "/device/v1/csv";

#[tokio::test(flavor = "multi_thread")]
async fn data_points_become_observations() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let (device, gateway) = (app.machine("system/Observation.c"), app.gateway());
    let point = |id: &str, rate: u32| {
        json!({"header": {"id": id, "creation_date_time": "2026-01-02T03:04:05Z",
            "schema_id": {"namespace": "omh", "name": "heart-rate", "version": "2.0"}},
            "body": {"heart_rate": {"value": rate, "unit": "beats/min"}, "effective_time_frame": {"date_time": "2026-01-02T03:04:05+01:00"}}})
    };
    let day =
        json!({"time_interval": {"start_date_time": "2026-01-01T00:00:00Z", "end_date_time": "2026-01-02T00:00:00Z"}});
    let low = json!({"heart_rate": {"value": 44, "unit": "beats/min"}, "effective_time_frame": day, "descriptive_statistic": "minimum"});
    let steps = json!({"step_count": {"value": 6000, "unit": "steps"}, "effective_time_frame": day});
    let wrong = json!({"body_weight": {"value": 50, "unit": "km"}, "effective_time_frame": {"date_time": "2020-02-05T09:25:00-08:00"}});
    let batch = json!({"patient": format!("Patient/{id}"), "items": [point("dp-1", 72), low, steps, wrong]});
    let receipts = device.post(OMH, &batch).await.expect(200).json();
    assert_eq!(outcomes(&receipts), ["created", "created", "created", "rejected"], "{receipts}");
    assert_eq!(receipts["items"][3]["reason"]["issue"][0]["expression"][0], "[3].body_weight.unit");
    let mut stored = Vec::new();
    for at in 0..3 {
        let reference = receipts["items"][at]["reference"].as_str().unwrap();
        stored.push(gateway.get(&format!("/fhir/{reference}")).await.expect(200).json());
    }
    assert_eq!(
        (&stored[0]["identifier"][0]["value"], &stored[0]["effectiveDateTime"]),
        (&json!("dp-1"), &json!("2026-01-02T03:04:05+01:00"))
    );
    assert!(stored[1].get("valueQuantity").is_none(), "the least of a day is nothing that was measured");
    let part = &stored[1]["component"][0];
    assert_eq!((&part["code"]["coding"][0]["code"], &part["valueQuantity"]["value"]), (&json!("minimum"), &json!(44)));
    assert_eq!(stored[2]["effectivePeriod"]["end"], "2026-01-02T00:00:00Z");
    for observation in stored {
        fhir_r4::check(observation).unwrap();
    }
    assert_eq!(outcomes(&device.post(OMH, &batch).await.expect(200).json())[..3], ["duplicate"; 3]);
    let other = json!({"patient": format!("Patient/{id}"), "items": [point("dp-1", 99)]});
    let other = device.post(OMH, &other).await.expect(422).json();
    assert_eq!(other["items"][0]["reason"]["issue"][0]["code"], "conflict", "the id is another value's");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_alone_is_what_the_address_says() {
    let app = TestApp::start().await;
    app.admit("r1", "Vega").await;
    let device = app.machine("system/Observation.c");
    let body = json!({"heart_rate": {"value": 60, "unit": "beats/min"}});
    let whose = form_urlencoded::byte_serialize(format!("{RECORDS}|r1").as_bytes()).collect::<String>();
    for (query, status) in [
        ("schema=heart-rate:1.0", 200),
        ("schema=heart-rate:2.0", 422),
        ("", 422),
        ("schema=heart-rate:9.0", 400),
        ("schema=mood", 400),
        ("mood=good", 400),
    ] {
        device.post(&format!("{OMH}?patient={whose}&{query}"), &body).await.expect(status);
    }
    device.post_raw(OMH, "text/csv", "x").await.expect(415);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_become_observations() {
    let app = TestApp::start().await;
    let id = app.admit("MRN-100", "Vega").await;
    let device = app.machine("system/Observation.c");
    let table = "device_id,patient_mrn,time,code,value,unit\n\
        DEV-1,MRN-100,2025-12-02T08:00:00+01:00,8867-4,84,/min\n\
        DEV-1,MRN-100,2025-12-02T08:00:00+01:00,8310-5,37.60,Cel\n\
        DEV-1,MRN-100,2025-12-02T08:00:00+01:00,bp,138/88,mm[Hg]\n\
        DEV-1,MRN-100,2025-12-02T08:05:00+01:00,9279-1,,/min\n\
        DEV-1,MRN-100,2025-13-02T08:05:00+01:00,8867-4,84,/min\n";
    let receipts = device.post_raw(CSV, "text/csv", table).await.expect(200).json();
    assert_eq!(outcomes(&receipts), ["created", "created", "created", "rejected", "rejected"], "{receipts}");
    let places: Vec<&Value> = receipts["items"].as_array().unwrap().iter().map(|item| &item["place"]).collect();
    assert_eq!(places, ["line 2", "line 3", "line 4", "line 5", "line 6"]);
    assert_eq!(outcomes(&device.post_raw(CSV, "text/csv", table).await.expect(200).json())[..3], ["duplicate"; 3]);
    let found = app.gateway().get(&format!("/fhir/Observation?patient={id}&code=8310-5")).await;
    assert!(found.text().contains("37.60"));
    assert_eq!(resources(&found.json()).len(), 1);
    let short =
        device.post_raw(&format!("{CSV}?patient=Patient/{id}"), "text/csv", "code,value\nspo2,97\n").await.expect(200);
    assert_eq!(outcomes(&short.json()), ["created"]);
    for (body, issue) in [("", "required line 1"), ("code,mood\n", "structure line 1"), ("code,value\n", "required")] {
        assert_eq!(device.post_raw(CSV, "text/csv", body).await.expect(400).issues(), issue, "{body}");
    }
    device.post_raw(CSV, "application/json", "{}").await.expect(415);
    app.stop().await;
}
