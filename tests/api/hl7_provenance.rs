//! Who said what: the one Provenance that a message leaves of what it changed, unless that is readings alone.

use serde_json::{Value, json};

use crate::helpers::{Client, TestApp, resources};

const HL7: &str = "application/hl7-v2";

fn message(kind: &str, id: &str, segments: &[&str]) -> String {
    let head = format!("MSH|^~\\&|LAB^1^ISO|HOSPITAL|VIGIA||20260102120000+0000||{kind}|{id}|P|2.5.1");
    [&[head.as_str(), "PID|1||r1^^^WARD||Vega^Ana"], segments, &[""]].concat().join("\r")
}

async fn take(sender: &Client, message: &str) {
    let answer = sender.post_raw("/hl7/v2", HL7, message).await.text();
    assert!(answer.contains("\rMSA|AA|"), "{answer}");
}

async fn all(client: &Client, query: &str) -> Vec<Value> {
    resources(&client.get(&format!("/fhir/{query}")).await.expect(200).json())
}

const HEART_RATE: &str = "OBX|1|NM|8867-4^HR^LN||72|/min^^UCUM|||||F|||20260102080000+0000";
const DEVICE: &str = "OBX|1||69965^MDC_DEV_MON^MDC|1.0.0.0|||||||X|||||||M1^^0030E60000000001^EUI-64";
const REPORT: &str =
    "OBR|1|P1^HIS|F1^LAB|2823-3^Potassium^LN|||20260102080000+0000|||||||||||||||20260102090000+0000|||F";
const ALARM: &str = "OBR|1||7^^0030E60000000001^EUI-64|196616^MDC_EVT_ALARM^MDC|||20260102080000+0000";
const ORDER: &str = "ORC|NW|P7^HIS\rOBR|1|P7^HIS||2823-3^Potassium^LN";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_tells_of_all_that_it_changed() {
    let app = TestApp::start().await;
    let (gateway, administrator) = (app.gateway(), app.administrator().await);
    app.admit("r1", "Vega").await;
    #[rustfmt::skip]
    let table: [(&str, &str, &[&str], &[&str]); 8] = [
        ("m1", "ORU^R01^ORU_R01", &["OBR|1|||monitor", HEART_RATE], &[]),
        ("m2", "ORU^R01^ORU_R01", &["OBR|1|||monitor", DEVICE, HEART_RATE], &["Device"]),
        ("m3", "ORU^R01^ORU_R01", &[REPORT, HEART_RATE], &["DiagnosticReport"]),
        ("m4", "ORU^R01^ORU_R01", &["OBR|1|P2^HIS|F2^LAB|2823-3^Potassium^LN|||20260102080000+0000||||||||||||||||||F", "OBX|1||69965^MDC_DEV_MON^MDC|1.0.0.0|||||||X|||||||M2^^0030E60000000002^EUI-64"], &["Device", "DiagnosticReport"]),
        ("m5", "ORU^R40^ORU_R40", &[ALARM], &["Observation"]),
        ("m6", "ORM^O01", &[ORDER], &["ServiceRequest"]),
        ("m7", "ORM^O01", &[ORDER], &[]),
        ("m8", "ADT^A31", &[], &["Patient"]),
    ];
    for (id, kind, segments, kinds) in table {
        take(&gateway, &message(kind, id, segments)).await;
        let kept = administrator.get(&format!("/hl7/messages?control={id}")).await.expect(200).json();
        let kept = &kept["messages"][0];
        let made: Vec<&str> = kept["made"].as_array().unwrap().iter().map(|made| made.as_str().unwrap()).collect();
        let told: Vec<&&str> = made.iter().filter(|made| made.starts_with("Provenance/")).collect();
        assert_eq!(told.len(), usize::from(!kinds.is_empty()), "{id}: {made:?}");
        let Some(told) = told.first() else { continue };
        let own = gateway.get(&format!("/fhir/{told}")).await.expect(200).json();
        let targets: Vec<&str> =
            own["target"].as_array().unwrap().iter().map(|t| t["reference"].as_str().unwrap()).collect();
        let mut types: Vec<&str> = targets.iter().filter_map(|target| target.split('/').next()).collect();
        types.sort_unstable();
        assert_eq!(types, kinds, "{id}");
        assert!(targets.iter().all(|target| made.contains(target)), "{id}: {targets:?} {made:?}");
        for target in targets {
            gateway.get(&format!("/fhir/{target}")).await.expect(200);
            let resource = target.split("/_history").next().unwrap();
            let found = all(&gateway, &format!("Provenance?target={resource}")).await;
            assert!(found.iter().any(|found| found["id"] == own["id"]), "{id}: {target}");
        }
        let named = |value: &Value| value["identifier"]["value"].clone();
        assert_eq!(named(&own["entity"][0]["what"]), json!(format!("{}|{id}", kept["sender"].as_str().unwrap())));
        let agents: Vec<(Value, Value)> = own["agent"]
            .as_array()
            .unwrap()
            .iter()
            .map(|agent| (agent["type"]["coding"][0]["code"].clone(), named(&agent["who"])))
            .collect();
        assert_eq!(
            agents,
            [(json!("author"), kept["sender"].clone()), (json!("assembler"), kept["channel"].clone())],
            "{id}"
        );
        assert_eq!(own["agent"][0]["who"]["display"], "LAB 1 ISO HOSPITAL");
        assert_eq!(own["activity"]["coding"][0]["code"], kind.split('^').nth(1).unwrap());
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_tell_may_send_results_all_the_same() {
    let app = TestApp::start().await;
    app.admit("r1", "Vega").await;
    let sender = app.machine("system/Observation.cu system/DiagnosticReport.cu");
    take(&sender, &message("ORU^R01^ORU_R01", "m1", &[REPORT, HEART_RATE])).await;
    let gateway = app.gateway();
    assert_eq!(all(&gateway, "DiagnosticReport").await.len(), 1);
    assert!(all(&gateway, "Provenance").await.is_empty());
    app.stop().await;
}
