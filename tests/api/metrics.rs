//! `/metrics`: what was promised is measured, without anybody in it.

use crate::helpers::samples::observation;
use crate::helpers::{TestApp, eventually, minutes_from_now};
use crate::live::Page;
use crate::mllp::{Sender, oru};

/// The sum of all samples whose line starts like this.
fn total(text: &str, start: &str) -> f64 {
    let value = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap();
    text.lines().filter(|line| line.starts_with(start)).map(value).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_leaves_its_marks() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let mut page = Page::open(&app.clinician().await, None).await;
    page.until("snapshot", |_| true).await;
    app.heart_rates(&id, &[80, 140, 141]).await;
    let gateway = app.gateway();
    gateway
        .post("/fhir/Observation", &observation(&id, "8867-4", "142", "/min", &minutes_from_now(0)))
        .await
        .expect(201);
    let mut sender = Sender::connect(app.mllp).await;
    sender.send(&oru("m1", "r1", "72")).await;
    page.until("alarm", |_| true).await;
    let counted = [
        "vigia_ingest_to_commit_seconds_count",
        "vigia_commit_to_alert_seconds_count",
        "vigia_commit_to_live_seconds_count",
        "vigia_lane_batch_rows_count",
        "vigia_http_request_seconds_count{method=\"POST\",route=\"/device/v1/observations\",status=\"2xx\"}",
        "vigia_readings_total{door=\"device\",outcome=\"created\"}",
        "vigia_readings_total{door=\"hl7\",outcome=\"created\"}",
        "vigia_readings_total{door=\"fhir\",outcome=\"created\"}",
        "vigia_hl7_messages_total{ack=\"AA\"}",
        "vigia_hl7_answer_seconds_count",
        "vigia_alerts_total{",
        "vigia_alerts_raised_total{rule=\"limits-8867-4\",severity=\"high\"}",
        "vigia_live_clients 1",
        "vigia_hl7_connections 1",
    ];
    eventually("everything is counted", || async {
        let text = gateway.get("/metrics").await.expect(200).text();
        let missing: Vec<&str> = counted.into_iter().filter(|start| total(&text, start) < 1.0).collect();
        missing.is_empty().then_some(())
    })
    .await;
    let reply = gateway.get("/metrics").await.expect(200);
    assert!(reply.header("content-type").starts_with("text/plain"));
    let text = reply.text();
    assert!(text.contains("vigia_lane_queue_depth") && text.contains("vigia_ingest_to_commit_seconds_bucket"));
    for private in [id.as_str(), "Vega", "r1\"", "DetectedIssue/"] {
        assert!(!text.contains(private), "{private}");
    }
    drop(page);
    eventually("the page is gone", || async {
        (total(&gateway.get("/metrics").await.text(), "vigia_live_clients") < 1.0).then_some(())
    })
    .await;
    app.stop().await;
}
