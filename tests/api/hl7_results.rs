//! Results, corrections, documents, alarms, orders, appointments, immunizations and questions by HL7 messages.

use serde_json::{Value, json};

use crate::helpers::{Client, TestApp, resources};

const HL7: &str = "application/hl7-v2";

async fn send(app: &TestApp, message: &str) -> String {
    app.gateway().post_raw("/hl7/v2", HL7, message).await.text()
}

async fn take(app: &TestApp, message: &str) {
    let answer = send(app, message).await;
    assert!(answer.contains("\rMSA|AA|"), "{answer}");
}

async fn found(client: &Client, query: &str) -> Vec<Value> {
    resources(&client.get(&format!("/fhir/{query}")).await.expect(200).json())
}

fn message(kind: &str, id: &str, segments: &[&str]) -> String {
    let head = format!("MSH|^~\\&|LAB|HOSPITAL|VIGIA||20260102120000+0000||{kind}|{id}|P|2.5.1");
    [&[head.as_str(), "PID|1||r1^^^WARD||Vega^Ana"], segments, &[""]].concat().join("\r")
}

/// One result of an order: its status and its value.
fn potassium(id: &str, order: &str, status: &str, value: &str) -> String {
    let obr = format!(
        "OBR|1|P1^HIS|F1^LAB|2823-3^Potassium^LN|||20260102080000+0000|||||||||||||||20260102090000+0000|||{order}"
    );
    let obx = format!("OBX|1|NM|2823-3^Potassium^LN||{value}|mmol/L^^UCUM|||||{status}|||20260102080000+0000");
    message("ORU^R01^ORU_R01", id, &[&obr, &obx])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_word_replaces_the_one_before() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let id = app.admit("r1", "Vega").await;
    #[rustfmt::skip]
    let story = [
        ("P", "P", "4.1", "preliminary", "4.1"),
        ("F", "F", "4.2", "final", "4.2"),
        ("P", "P", "4.1", "final", "4.2"),
        ("F", "F", "4.2", "final", "4.2"),
        ("C", "C", "5.9", "corrected", "5.9"),
        ("F", "D", "5.9", "entered-in-error", "5.9"),
    ];
    for (at, (order, result, value, status, stands)) in story.into_iter().enumerate() {
        take(&app, &potassium(&format!("m{at}"), order, result, value)).await;
        let all = found(&gateway, &format!("Observation?patient={id}")).await;
        assert_eq!(all.len(), 1, "{at}: {all:?}");
        assert_eq!(
            (&all[0]["status"], all[0]["valueQuantity"]["value"].to_string()),
            (&json!(status), stands.to_owned()),
            "{at}"
        );
    }
    let reports = found(&gateway, &format!("DiagnosticReport?patient={id}")).await;
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0]["code"]["coding"][0]["code"], "2823-3");
    assert!(reports[0]["result"][0]["reference"].as_str().unwrap().starts_with("Observation/"));
    // A late word is told, and is no fault.
    let kept = app.administrator().await.get("/hl7/messages?control=m2").await.expect(200).json();
    let issues = kept["messages"][0]["issues"].to_string();
    assert!(issues.contains("a later word on this reading is here already"), "{issues}");
    // A monitor takes a single value back; the others stay.
    let reading = |id: &str, status: &str, value: &str| {
        let obx = format!("OBX|1|NM|8867-4^HR^LN||{value}|/min^^UCUM|||||{status}|||20260102100000+0000");
        message("ORU^R01^ORU_R01", id, &["OBR|1|||monitor", &obx])
    };
    take(&app, &reading("n1", "R", "72")).await;
    take(&app, &reading("n2", "W", "72")).await;
    let all = found(&gateway, &format!("Observation?patient={id}&code=8867-4")).await;
    assert_eq!((all.len(), &all[0]["status"]), (1, &json!("entered-in-error")), "{all:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_type() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let id = app.admit("r1", "Vega").await;
    let table = [
        ("NM", "7.40", "valueQuantity", json!("7.40")),
        ("SN", ">^100", "valueQuantity", json!("100")),
        ("SN", "^1^-^2", "valueString", json!("1-2")),
        ("ST", "turbid", "valueString", json!("turbid")),
        ("TX", "two~lines", "valueString", json!("two\nlines")),
        ("FT", "a\\.br\\b", "valueString", json!("a\nb")),
        ("CE", "10828004^Positive^SCT", "valueCodeableConcept", json!("Positive")),
        ("CWE", "260385009^Negative^SCT", "valueCodeableConcept", json!("Negative")),
        ("DT", "20260102", "valueDateTime", json!("2026-01-02")),
        ("TS", "202601020304+0000", "valueDateTime", json!("2026-01-02T03:04:00Z")),
        ("DTM", "20260102030405+0000", "valueDateTime", json!("2026-01-02T03:04:05Z")),
        ("TM", "0304", "valueTime", json!("03:04:00")),
        ("NA", "1^2^3", "valueString", json!("1 2 3")),
        ("ED", "LAB^application^pdf^Base64^JVBERg==", "", Value::Null),
    ];
    let rows: Vec<String> = table
        .iter()
        .enumerate()
        .map(|(at, (kind, value, ..))| {
            format!("OBX|{}|{kind}|X{at}^Test {at}^L||{value}||||||F|||20260102080000+0000", at + 1)
        })
        .collect();
    let mut segments = vec!["OBR|1|||panel"];
    segments.extend(rows.iter().map(String::as_str));
    take(&app, &message("ORU^R32^ORU_R30", "m1", &segments)).await;
    let all = found(&gateway, &format!("Observation?patient={id}&_count=100")).await;
    for (at, (kind, _, member, want)) in table.iter().enumerate().filter(|(_, row)| !row.2.is_empty()) {
        let one = all
            .iter()
            .find(|one| one["code"]["coding"][0]["code"] == format!("X{at}"))
            .unwrap_or_else(|| panic!("{kind}"));
        let value = match *member {
            "valueQuantity" => json!(one[member]["value"].to_string()),
            "valueCodeableConcept" => one[member]["coding"][0]["display"].clone(),
            _ => one[*member].clone(),
        };
        assert_eq!(value, *want, "{kind}: {one}");
    }
    let documents = found(&gateway, &format!("DocumentReference?patient={id}")).await;
    assert_eq!(documents[0]["content"][0]["attachment"], json!({"contentType": "application/pdf", "data": "JVBERg=="}));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_alarm_is_the_devices_word() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let id = app.admit("r1", "Vega").await;
    let alarm = |message_id: &str, phase: &str, time: &str| {
        message(
            "ORU^R40^ORU_R40",
            message_id,
            &[
                &format!("OBR|1||0^^0030E60000000001^EUI-64|196616^MDC_EVT_ALARM^MDC|||{time}+0000"),
                "OBX|1|ST|196652^MDC_EVT_HI^MDC|1.0.0.0.1|SpO2 low||||||F|||||||M1^^0030E60000000001^EUI-64",
                "OBX|2|NM|150456^MDC_PULS_OXIM_SAT_O2^MDC|1.0.0.0.2|82|262688^MDC_DIM_PERCENT^MDC|90-100||||F",
                &format!("OBX|3|ST|68481^MDC_ATTR_EVENT_PHASE^MDC|1.0.0.0.3|{phase}||||||F"),
                "OBX|4|ST|68484^MDC_ATTR_ALARM_PRIORITY^MDC|1.0.0.0.6|PH||||||F",
            ],
        )
    };
    take(&app, &alarm("m1", "start", "20260102080000")).await;
    take(&app, &alarm("m2", "end", "20260102080100")).await;
    let all = found(&gateway, &format!("Observation?patient={id}")).await;
    assert_eq!(all.len(), 1, "one alarm, and its phases are its versions: {all:?}");
    assert_eq!(all[0]["category"][0]["coding"][0]["code"], "device-alarm");
    assert_eq!((&all[0]["code"]["coding"][0]["code"], &all[0]["meta"]["versionId"]), (&json!("196616"), &json!("2")));
    let phase = |component: &&Value| component["code"]["coding"][0]["display"] == "MDC_ATTR_EVENT_PHASE";
    assert_eq!(all[0]["component"].as_array().unwrap().iter().find(phase).unwrap()["valueString"], "end");
    assert_eq!(all[0]["device"]["identifier"]["value"], "0030E60000000001");
    app.judged().await;
    assert!(app.alerts(&id).await.is_empty(), "no conclusion of this server");
    let unknown = send(&app, &alarm("m3", "start", "20260102080000").replace("r1^", "r9^")).await;
    assert!(unknown.contains("MSA|AE|m3"), "{unknown}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_documents_appointments_and_immunizations() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let id = app.admit("r1", "Vega").await;
    let order = |control: &str, status: &str| {
        vec![
            format!("ORC|{control}|P1^HIS|F1^LAB||{status}||||20260102080000+0000|||D1^Kimble^Richard^^^^^^WARD"),
            "OBR|1|P1^HIS|F1^LAB|24323-8^Panel^LN|S".to_owned(),
            "NTE|1||fasting".to_owned(),
            "SPM|1|S1||BLD^Blood^HL70487|||||||||||||20260102081500+0000".to_owned(),
        ]
    };
    let texts = |rows: &[String]| rows.to_vec();
    let document = [
        "EVN|T02|20260102080000+0000",
        "TXA|1|DS^Discharge summary^HL70270|TX|20260102080000+0000||20260102090000+0000|||D1^Kimble^Richard^^^^^^WARD|||DOC1|||||AU",
        "OBX|1|TX|^Report||first line||||||F",
        "OBX|2|TX|^Report||second line||||||F",
        "OBX|3|ED|^Scan||^image^png^Base64^iVBORw==||||||F",
    ]
    .map(str::to_owned);
    let appointment = |end: &str| {
        vec![
            format!("SCH|A1^HIS|B1^LAB|||||CHECK^Check-up^HL70276|NORMAL|30|min|^^^20260110090000+0000^{end}"),
            "RGS|1".to_owned(),
            "AIL|1||AMB^1^".to_owned(),
            "AIP|1||D1^Kimble^Richard^^^^^^WARD".to_owned(),
        ]
    };
    let vaccine = [
        "ORC|RE||V1^LAB",
        "RXA|0|1|20260102083000+0000||08^HepB^CVX|0.5|mL^^UCUM||||||||L77|20270101|MSD^Merck^MVX|||CP",
        "RXR|IM^Intramuscular^HL70162|LA^Left arm^HL70163",
    ]
    .map(str::to_owned);
    #[rustfmt::skip]
    let table = [
        ("ORM^O01^ORM_O01", texts(&order("NW", "")), "ServiceRequest", vec![("/status", "active"), ("/priority", "stat"), ("/note/0/text", "fasting"), ("/code/coding/0/code", "24323-8")]),
        ("OML^O21^OML_O21", texts(&order("SC", "CM")), "ServiceRequest", vec![("/status", "completed"), ("/meta/versionId", "2")]),
        ("OML^O21^OML_O21", texts(&order("OC", "")), "Specimen", vec![("/type/coding/0/code", "BLD"), ("/identifier/0/value", "S1")]),
        ("MDM^T02^MDM_T02", document.to_vec(), "DocumentReference", vec![("/docStatus", "final"), ("/content/0/attachment/data", "Zmlyc3QgbGluZQpzZWNvbmQgbGluZQ=="), ("/content/1/attachment/contentType", "image/png")]),
        ("SIU^S12^SIU_S12", appointment(""), "Appointment", vec![("/status", "booked"), ("/end", "2026-01-10T09:30:00.000Z"), ("/participant/0/actor/reference", "")]),
        ("SIU^S15^SIU_S12", appointment(""), "Appointment", vec![("/status", "cancelled"), ("/meta/versionId", "2")]),
        ("VXU^V04^VXU_V04", vaccine.to_vec(), "Immunization", vec![("/status", "completed"), ("/vaccineCode/coding/0/code", "08"), ("/lotNumber", "L77"), ("/route/coding/0/code", "IM")]),
    ];
    for (at, (kind, segments, resource, wants)) in table.into_iter().enumerate() {
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        take(&app, &message(kind, &format!("m{at}"), &segments)).await;
        let all = found(&gateway, &format!("{resource}?patient={id}")).await;
        assert_eq!(all.len(), 1, "{kind}: {all:?}");
        for (pointer, want) in wants {
            let value = all[0]
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_else(|| panic!("{kind} {pointer}: {}", all[0]));
            assert!(want.is_empty() || value == want, "{kind} {pointer}: {value}");
        }
    }
    for (kind, segment) in [("ORM^O01", "ORC|NW|P9"), ("MDM^T02", "TXA|1|DS"), ("SIU^S12", "SCH|A9")] {
        let answer = send(&app, &message(kind, kind, &[segment]).replace("r1^", "r9^")).await;
        assert!(answer.contains("MSA|AE|"), "nobody is made by an order: {answer}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered() {
    let app = TestApp::start().await;
    app.admit("r1", "Vega").await;
    app.admit("r2", "Vega").await;
    let ask = |kind: &str, id: &str, rest: &str| {
        format!("MSH|^~\\&|MON|WARD|VIGIA||20260102120000||{kind}|{id}|P|2.5\r{rest}\r")
    };
    let place = format!("{}\r", "PV1|1|I|ICU^2^23");
    let moved = format!("MSH|^~\\&|ADT|H|||20260102080000||ADT^A02|a1|P|2.5\rPID|1||r1^^^WARD\r{place}");
    take(&app, &moved).await;
    let found = "PID|1||r1^^^WARD||Vega^Ana^María||19560301|F";
    let table = [
        (
            ask("QRY^A19", "q1", "QRD|20260102|R|I|1|||1^RD|r1|DEM"),
            vec![
                "|ADR^A19^ADR_A19|",
                "\rMSA|AA|q1\r",
                "\rQRD|20260102|R|I|1|||1^RD|r1|DEM\r",
                found,
                "PV1|1|I|ICU^2^23",
            ],
            1,
        ),
        (ask("QRY^A19", "q2", "QRD|20260102|R|I|1|||1^RD|r9|DEM"), vec!["|ADR^A19^ADR_A19|", "\rMSA|AA|q2\r"], 0),
        (
            ask("QBP^Q22^QBP_Q21", "q3", "QPD|Q22^Find^HL7|T1|@PID.3.1^r1~@PID.3.4^WARD\rRCP|I"),
            vec!["|RSP^K22^RSP_K21|", "\rQAK|T1|OK|Q22^Find^HL7\r", found],
            1,
        ),
        (
            ask("QBP^Q22^QBP_Q21", "q4", "QPD|Q22^Find^HL7|T1|@PID.5.1.1^Vega~@PID.7^19560301~@PID.8^F\rRCP|I"),
            vec!["\rQAK|T1|OK|"],
            2,
        ),
        (ask("QBP^Q22^QBP_Q21", "q5", "QPD|Q22^Find^HL7|T1|@PID.5.1^Nobody\rRCP|I"), vec!["\rQAK|T1|NF|"], 0),
        (ask("QBP^Q22^QBP_Q21", "q6", "QPD|Q22^Find^HL7|T1|@PID.99^x\rRCP|I"), vec!["\rMSA|AE|q6\r", "ERR|"], 0),
        (ask("QBP^Q22^QBP_Q21", "q7", "QPD|Q22^Find^HL7|T1|\rRCP|I"), vec!["\rMSA|AE|q7\r"], 0),
        (ask("QRY^A19", "q8", "QRD|20260102"), vec!["\rMSA|AE|q8\r"], 0),
    ];
    for (question, wants, patients) in table {
        let answer = send(&app, &question).await;
        for want in wants {
            assert!(answer.contains(want), "{question:?}: {want}: {answer:?}");
        }
        assert_eq!(answer.matches("\rPID|").count(), patients, "{answer:?}");
    }
    // Who may not look at people is not told of them.
    let machine = app.machine("system/Observation.cruds");
    let answer =
        machine.post_raw("/hl7/v2", HL7, ask("QRY^A19", "q9", "QRD|20260102|R|I|1|||1^RD|r1|DEM")).await.text();
    assert!(answer.contains("MSA|AE|q9") && !answer.contains("Vega"), "{answer}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_says_who_it_is_is_known() {
    let app = TestApp::start().await;
    let (gateway, administrator) = (app.gateway(), app.administrator().await);
    let id = app.admit("r1", "Vega").await;
    let reading = |message_id: &str, value: &str| {
        message(
            "ORU^R01^ORU_R01",
            message_id,
            &[
                "OBR|1|||69837^MDC_DEV_METER_PHYSIO_MULTI_PARAM_MDS^MDC|||20260102080000+0000",
                "OBX|1||69965^MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS^MDC|1.0.0.0|||||||X|||||||0030E60000000001^^0030E60000000001^EUI-64",
                "OBX|2||70686^MDC_DEV_ECG_VMD^MDC|1.1.0.0|||||||X",
                "OBX|3||70687^MDC_DEV_ECG_CHAN^MDC|1.1.1.0|||||||X",
                &format!(
                    "OBX|4|NM|147842^MDC_ECG_HEART_RATE^MDC|1.1.1.1|{value}|264864^MDC_DIM_BEAT_PER_MIN^MDC|50-120||||R"
                ),
            ],
        )
    };
    let machine = app.machine("system/Observation.c");
    let answer = machine.post_raw("/hl7/v2", HL7, reading("m0", "71")).await.text();
    assert!(answer.contains("\rMSA|AA|m0\r"), "who may send readings only, sends readings: {answer}");
    take(&app, &reading("m1", "72")).await;
    take(&app, &reading("m2", "73")).await;
    let devices = found(&gateway, "Device?identifier=0030E60000000001").await;
    assert_eq!((devices.len(), &devices[0]["meta"]["versionId"]), (1, &json!("1")), "{devices:?}");
    assert_eq!(devices[0]["type"]["coding"][0]["display"], "MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS");
    // The metric measured it: it stands in the channel, that in the VMD, that in the monitor.
    let monitor = format!("Device/{}", devices[0]["id"].as_str().unwrap());
    let metrics = found(&gateway, &format!("DeviceMetric?source={monitor}")).await;
    assert_eq!((metrics.len(), &metrics[0]["meta"]["versionId"]), (1, &json!("1")), "{metrics:?}");
    assert_eq!(metrics[0]["type"]["coding"][0]["code"], "147842");
    assert_eq!(metrics[0]["unit"]["coding"][0]["code"], "264864");
    let channel = metrics[0]["parent"]["reference"].as_str().unwrap().to_owned();
    let mut above = vec![];
    let mut holder = gateway.get(&format!("/fhir/{channel}")).await.expect(200).json();
    while let Some(next) = holder["parent"]["reference"].as_str().map(str::to_owned) {
        above.push(holder["type"]["coding"][0]["code"].as_str().unwrap().to_owned());
        holder = gateway.get(&format!("/fhir/{next}")).await.expect(200).json();
    }
    assert_eq!(
        (above, holder["id"].as_str()),
        (vec!["70687".to_owned(), "70686".to_owned()], devices[0]["id"].as_str())
    );
    let readings = found(&gateway, &format!("Observation?patient={id}&device={monitor}")).await;
    let by = format!("DeviceMetric/{}", metrics[0]["id"].as_str().unwrap());
    let named = readings.iter().filter(|reading| reading["extension"][0]["valueReference"]["reference"] == by);
    assert_eq!((readings.len(), named.count()), (2, 2), "{readings:?}");
    // What is taken away is said anew by the next message.
    let metric = format!("/fhir/DeviceMetric/{}", metrics[0]["id"].as_str().unwrap());
    administrator.delete(&metric).await.expect(204);
    take(&app, &reading("m3", "74")).await;
    gateway.get(&metric).await.expect(200);
    let kept = administrator.get("/hl7/messages?control=m1").await.expect(200).json();
    assert!(kept["messages"][0]["issues"].to_string().contains("not mapped, only kept: OBX-7"), "{kept}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sender_thinks_of_a_value() {
    let app = TestApp::start().await;
    let (gateway, administrator) = (app.gateway(), app.administrator().await);
    let id = app.admit("r1", "Vega").await;
    let obx = |at: usize, code: &str, row: &str, value: &str, unit: &str, range: &str, flags: &str| {
        format!("OBX|{at}|NM|{code}|{row}|{value}|{unit}|{range}|{flags}|||F|||20260102080000+0000")
    };
    let rows = [
        obx(1, "2823-3^Potassium^LN", "", "6.0", "mmol/L^^UCUM", "3.5-5.10", "HH^^HL70078~U"),
        obx(2, "1988-5^CRP^LN", "", "3", "mg/L^^UCUM", "<5", "N"),
        obx(3, "8480-6^Sys^LN", "", "16.0", "kPa^^UCUM", "12-18", "H"),
        obx(4, "8462-4^Dia^LN", "", "80", "mm[Hg]^^UCUM", "60-90", "PM"),
        obx(5, "150344^MDC_TEMP^MDC", "1.1.1.1", "39.5", "Cel^^UCUM", "36-38", "H~PM~SA"),
    ];
    let mut segments = vec!["OBR|1|||panel"];
    segments.extend(rows.iter().map(String::as_str));
    take(&app, &message("ORU^R01^ORU_R01", "m1", &segments)).await;
    let all = found(&gateway, &format!("Observation?patient={id}&_count=100")).await;
    let of = |code: &str| {
        let all =
            all.iter().flat_map(|one| std::iter::once(one).chain(one["component"].as_array().into_iter().flatten()));
        let mut all = all.filter(|one| one["code"]["coding"].as_array().unwrap().iter().any(|it| it["code"] == code));
        let one = all.next().unwrap_or_else(|| panic!("{code}"));
        let codes: Vec<&str> = one["interpretation"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| it["coding"][0]["code"].as_str().unwrap())
            .collect();
        (codes.join(" "), one["referenceRange"].clone())
    };
    let potassium = of("2823-3");
    assert_eq!((potassium.0.as_str(), &potassium.1[0]["text"]), ("HH U", &json!("3.5-5.10")));
    let end = &potassium.1[0]["high"];
    assert_eq!((end["value"].to_string().as_str(), &end["code"]), ("5.10", &json!("mmol/L")));
    assert_eq!(of("1988-5"), ("N".to_owned(), json!([{"text": "<5"}])));
    assert_eq!(of("8480-6"), ("H".to_owned(), json!([{"text": "12-18 (in the unit that was sent)"}])));
    assert_eq!((of("8462-4").0.as_str(), of("8462-4").1[0]["low"]["value"].to_string().as_str()), ("", "60"));
    assert_eq!(
        of("150344"),
        ("H".to_owned(), Value::Null),
        "the alarm limits of a device say nothing of what is usual"
    );
    let kept = administrator.get("/hl7/messages?control=m1").await.expect(200).json().to_string();
    assert!(kept.contains("only kept: OBX-7, OBX-8 (2 times)"), "{kept}");
    app.stop().await;
}
