//! Admissions, transfers, discharges and merges (ADT) through both doors: what stands in the store after each.

use serde_json::{Value, json};

use crate::helpers::{Client, TestApp, eventually, resources};
use crate::mllp::{Sender, oru};

const HL7: &str = "application/hl7-v2";

/// A message of one event: its time, its patient and the segments after PID.
fn adt(event: &str, id: &str, time: &str, patient: &str, rest: &[&str]) -> String {
    let mut lines = vec![
        format!("MSH|^~\\&|ADT|HOSPITAL|VIGIA||{time}+0000||ADT^{event}|{id}|P|2.5"),
        format!("EVN|{event}|{time}+0000"),
        format!("PID|1||{patient}"),
    ];
    lines.extend(rest.iter().map(|&line| line.to_owned()));
    lines.push(String::new());
    lines.join("\r")
}

const VEGA: &str = "r1^^^WARD^MR||Vega&von^Ana^Mar\\T\\a^^Dr^^L~Veguita^^^^^^N||19560301|F|||1 Hill Street^^Cork^^T12^IE^H||^PRN^PH^^353^21^555|^WPN^Internet^ana@example.org||M";

async fn send(app: &TestApp, message: &str) -> String {
    app.gateway().post_raw("/hl7/v2", HL7, message).await.text()
}

/// Sends it, and it must be taken.
async fn take(app: &TestApp, message: &str) {
    let answer = send(app, message).await;
    assert!(answer.contains("\rMSA|AA|"), "{answer}");
}

async fn found(client: &Client, query: &str) -> Vec<Value> {
    resources(&client.get(&format!("/fhir/{query}")).await.expect(200).json())
}

async fn patient(client: &Client, record: &str) -> Value {
    let all = found(client, &format!("Patient?identifier=urn:test:records|{record}")).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

async fn visit(client: &Client, patient: &Value) -> Value {
    let all = found(client, &format!("Encounter?patient={}", patient["id"].as_str().unwrap())).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

/// Status, and each place with its status and when it began and ended.
fn stay(visit: &Value) -> (String, Vec<(String, String, String, String)>) {
    let text = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
    let places = visit["location"].as_array().into_iter().flatten();
    let places = places.map(|place| {
        let (display, status) = (text(place, "/location/display"), text(place, "/status"));
        (display, status, text(place, "/period/start"), text(place, "/period/end"))
    });
    (text(visit, "/status"), places.collect())
}

fn place(display: &str, status: &str, start: &str, end: &str) -> (String, String, String, String) {
    let time = |t: &str| if t.is_empty() { String::new() } else { format!("2026-01-02T{t}:00Z") };
    (display.to_owned(), status.to_owned(), time(start), time(end))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admission_makes_all_that_it_names() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let message = adt(
        "A01",
        "a1",
        "20260102080000",
        VEGA,
        &[
            "PD1||||D7^House^Gregory^^^Dr^^^WARD",
            "NK1|1|Vega^Luis|SPO^Spouse^HL70063||^PRN^PH^^^21^556",
            "PV1|1|I|ICU^2^23||||D1^Kimble^Richard^^^Dr^^^WARD|||CAR||||7|||||V1^^^WARD^VN|||||||||||||||||||||||||20260102075500+0000",
            "AL1|1|DA^Drug^HL70127|7980^Penicillin^RXNORM|SV|Hives~Wheeze|20200101",
            "DG1|1||I21.9^Infarct^I10|||A",
            "IN1|1|GOLD^Gold plan|INS1^^^WARD|Safe Insurance|||||||||20250101|||HMO",
            "OBX|1|NM|29463-7^Weight^LN||71.5|kg^^UCUM|||||F|||20260102074500+0000",
            "ZBE|1|x",
        ],
    );
    take(&app, &message).await;

    let patient = patient(&gateway, "r1").await;
    let reference = format!("Patient/{}", patient["id"].as_str().unwrap());
    assert_eq!(
        patient["name"],
        json!([{"family": "Vega", "given": ["Ana", "Mar&a"], "prefix": ["Dr"], "use": "official"}, {"family": "Veguita", "use": "nickname"}])
    );
    assert_eq!((&patient["gender"], &patient["birthDate"]), (&json!("female"), &json!("1956-03-01")));
    assert_eq!(patient["address"][0]["line"], json!(["1 Hill Street"]));
    assert_eq!(
        patient["telecom"],
        json!([{"system": "phone", "value": "+353 21 555", "use": "home"}, {"system": "email", "value": "ana@example.org", "use": "work"}])
    );
    assert_eq!(patient["maritalStatus"]["coding"][0]["display"], "Married");
    let visit = visit(&gateway, &patient).await;
    assert_eq!((&visit["class"]["code"], &visit["subject"]["reference"]), (&json!("IMP"), &json!(reference)));
    assert_eq!(visit["identifier"][0]["value"], "V1");
    assert_eq!(stay(&visit), ("in-progress".to_owned(), vec![place("ICU 2 23", "active", "08:00", "")]));
    assert_eq!(visit["period"]["start"], "2026-01-02T07:55:00Z");
    let bed = gateway
        .get(&format!("/fhir/{}", visit["location"][0]["location"]["reference"].as_str().unwrap()))
        .await
        .expect(200)
        .json();
    assert_eq!(bed["physicalType"]["coding"][0]["code"], "bd");
    let room = gateway.get(&format!("/fhir/{}", bed["partOf"]["reference"].as_str().unwrap())).await.expect(200).json();
    let ward =
        gateway.get(&format!("/fhir/{}", room["partOf"]["reference"].as_str().unwrap())).await.expect(200).json();
    assert_eq!((&ward["physicalType"]["coding"][0]["code"], &ward["name"]), (&json!("wa"), &json!("ICU")));
    let doctor = visit["participant"][0]["individual"]["reference"].as_str().unwrap();
    assert_eq!(gateway.get(&format!("/fhir/{doctor}")).await.expect(200).json()["name"][0]["family"], "Kimble");
    for (query, pointer, value) in [
        ("RelatedPerson", "/relationship/0/coding/0/code", "SPS"),
        ("AllergyIntolerance", "/reaction/0/manifestation/1/text", "Wheeze"),
        ("AllergyIntolerance", "/criticality", "high"),
        ("Condition", "/code/coding/0/code", "I21.9"),
        ("Coverage", "/payor/0/display", "Safe Insurance"),
        ("Observation", "/code/coding/0/code", "29463-7"),
    ] {
        let all = found(&gateway, &format!("{query}?patient={reference}")).await;
        assert_eq!(all.len(), 1, "{query}: {all:?}");
        assert_eq!(all[0].pointer(pointer).and_then(Value::as_str), Some(value), "{query}: {}", all[0]);
    }
    let told = found(&gateway, &format!("Provenance?target={reference}")).await;
    assert_eq!(told[0]["entity"][0]["what"]["identifier"]["value"], "ADT|HOSPITAL|a1");

    // What no table takes is told with the message that is kept, and in no answer.
    let administrator = app.administrator().await;
    let kept = administrator.get("/hl7/messages?control=a1").await.expect(200).json();
    let kept = &kept["messages"][0];
    let issues: Vec<_> = kept["issues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| (i["place"].as_str().unwrap(), i["text"].as_str().unwrap()))
        .collect();
    assert!(issues.contains(&("ZBE[1]", "not mapped, only kept: the whole segment")), "{issues:?}");
    assert!(issues.contains(&("DG1[1]", "not mapped, only kept: DG1-6")), "{issues:?}");
    assert!(kept["made"].as_array().unwrap().len() >= 11, "{kept}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stay_goes_on_event_by_event() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let pv1 = |bed: &str| format!("PV1|1|I|ICU^2^{bed}||||||||||||||||V1^^^WARD");
    let icu = |status: &str, end: &str| place("ICU 2 1", status, "08:00", end);
    let step = |status: &str| place("ICU 2 2", status, "10:00", "");
    #[rustfmt::skip]
    let story = [
        ("A05", "0700", "1", "planned", vec![place("ICU 2 1", "planned", "", "")]),
        ("A01", "0800", "1", "in-progress", vec![place("ICU 2 1", "planned", "", ""), icu("active", "")]),
        ("A02", "1000", "2", "in-progress", vec![place("ICU 2 1", "planned", "", ""), icu("completed", "10:00"), step("active")]),
        ("A08", "1100", "2", "in-progress", vec![place("ICU 2 1", "planned", "", ""), icu("completed", "10:00"), step("active")]),
        ("A12", "1130", "1", "in-progress", vec![place("ICU 2 1", "planned", "", ""), icu("active", "")]),
        ("A06", "1140", "1", "in-progress", vec![place("ICU 2 1", "planned", "", ""), icu("active", "")]),
        ("A03", "1200", "1", "finished", vec![place("ICU 2 1", "planned", "", ""), icu("completed", "12:00")]),
        ("A13", "1230", "1", "in-progress", vec![place("ICU 2 1", "planned", "", ""), icu("active", "")]),
        ("A11", "1300", "1", "cancelled", vec![place("ICU 2 1", "planned", "", ""), icu("completed", "13:00")]),
    ];
    let mut sender = Sender::connect(app.mllp).await;
    for (event, time, bed, status, places) in story {
        let message = adt(event, event, &format!("20260102{time}00"), VEGA, &[&pv1(bed)]);
        let answer = sender.send(&message).await;
        assert!(answer.contains(&format!("\rMSA|AA|{event}\r")), "{answer}");
        let patient = patient(&gateway, "r1").await;
        assert_eq!(stay(&visit(&gateway, &patient).await), (status.to_owned(), places), "{event}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_said_stays_and_what_is_said_to_be_nothing_goes() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    take(&app, &adt("A28", "a1", "20260102080000", VEGA, &["PV1|1|N"])).await;
    let before = patient(&gateway, "r1").await;
    assert!(found(&gateway, "Encounter").await.is_empty(), "a person is no visit");
    let table = [
        ("r1^^^WARD", vec![]),
        ("r1^^^WARD||Vega^Ana||\"\"", vec!["birthDate"]),
        ("r1^^^WARD||Vega^Ana||\"\"|\"\"", vec!["birthDate", "gender"]),
    ];
    for (at, (said, gone)) in table.into_iter().enumerate() {
        take(&app, &adt("A31", &format!("b{at}"), "20260102090000", said, &[])).await;
        let now = patient(&gateway, "r1").await;
        for member in ["birthDate", "gender", "address", "telecom"] {
            let want = if gone.contains(&member) { &Value::Null } else { &before[member] };
            assert_eq!(&now[member], want, "{said}: {member}");
        }
    }
    // Said again, nothing changes.
    let version = patient(&gateway, "r1").await["meta"]["versionId"].clone();
    take(&app, &adt("A31", "b9", "20260102090000", "r1^^^WARD", &[])).await;
    assert_eq!(patient(&gateway, "r1").await["meta"]["versionId"], version);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_that_is_here_is_the_one_that_is_meant() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let id = app.admit("r1", "Vega").await;
    // Without a visit number the visit that goes on is meant.
    take(&app, &adt("A02", "a1", "20260102080000", "r1^^^WARD", &["PV1|1|I|ICU^2^23"])).await;
    let patient = patient(&gateway, "r1").await;
    assert_eq!(patient["id"], json!(id));
    assert_eq!(patient["name"][0]["family"], "Vega", "what was not said stays");
    assert_eq!(stay(&visit(&gateway, &patient).await).1, [place("ICU 2 23", "active", "08:00", "")]);
    // Readings go on, and a person that is unknown to ADT is unknown to results.
    let mut sender = Sender::connect(app.mllp).await;
    assert!(sender.send(&oru("m1", "r1", "72")).await.contains("MSA|AA|m1"));
    assert!(sender.send(&oru("m2", "r2", "72")).await.contains("MSA|AE|m2"));
    // Two records with one number: nobody guesses.
    app.admit("r3", "Vega").await;
    app.admit("r3", "Otra").await;
    let answer = send(&app, &adt("A08", "a3", "20260102080000", "r3^^^WARD", &[])).await;
    assert!(answer.contains("\rMSA|AE|a3\r") && answer.contains("more than one record"), "{answer}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_is_a_link_and_can_be_undone() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let (old, new) = (app.admit("r1", "Vega").await, app.admit("r2", "Vega").await);
    let mut sender = Sender::connect(app.mllp).await;
    sender.send(&oru("m1", "r1", "72")).await;
    let count = async |patient: &str| found(&gateway, &format!("Observation?patient={patient}")).await.len();
    assert_eq!((count(&old).await, count(&new).await), (3, 0));

    take(&app, &adt("A40", "a1", "20260102080000", "r2^^^WARD", &["MRG|r1^^^WARD"])).await;
    let read = async |id: &str| gateway.get(&format!("/fhir/Patient/{id}")).await.expect(200).json();
    let (left, stays) = (read(&old).await, read(&new).await);
    assert_eq!((&left["active"], &stays["active"]), (&json!(false), &json!(true)));
    assert_eq!(left["link"], json!([{"other": {"reference": format!("Patient/{new}")}, "type": "replaced-by"}]));
    assert_eq!(stays["link"], json!([{"other": {"reference": format!("Patient/{old}")}, "type": "replaces"}]));
    assert_eq!(left["name"][0]["family"], "Vega");
    let told = found(&gateway, &format!("Provenance?target=Patient/{old}")).await;
    assert_eq!((told.len(), &told[0]["activity"]["coding"][0]["code"]), (1, &json!("A40")));
    // What was measured stays where it was, what still comes for the old number goes to the one that stays.
    assert!(sender.send(&oru("m2", "r1", "75")).await.contains("MSA|AA|m2"));
    assert_eq!((count(&old).await, count(&new).await), (3, 3));
    take(&app, &adt("A08", "a2", "20260102083000", "r1^^^WARD||Vega^Ana", &[])).await;
    assert_eq!(read(&old).await["active"], json!(false));

    take(&app, &adt("A37", "a3", "20260102090000", "r1^^^WARD", &["PID|2||r2^^^WARD"])).await;
    for id in [&old, &new] {
        let patient = read(id).await;
        assert_eq!((&patient["active"], patient.get("link")), (&json!(true), None), "{patient}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn merges_that_are_odd() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let id = app.admit("r1", "Vega").await;
    // The old number was never seen here: what comes for it finds its way all the same.
    take(&app, &adt("A34", "a1", "20260102080000", "r1^^^WARD", &["MRG|r0^^^WARD"])).await;
    let mut sender = Sender::connect(app.mllp).await;
    assert!(sender.send(&oru("m1", "r0", "72")).await.contains("MSA|AA|m1"));
    assert_eq!(found(&gateway, &format!("Observation?patient={id}")).await.len(), 3);
    for (message, code) in [
        (adt("A40", "a2", "20260102080000", "r1^^^WARD", &["MRG|r1^^^WARD"]), "MSA|AE|a2"),
        (adt("A37", "a3", "20260102080000", "r1^^^WARD", &["PID|2||r9^^^WARD"]), "MSA|AE|a3"),
        (adt("A01", "a4", "20260102080000", "^^^WARD", &[]), "MSA|AE|a4"),
    ] {
        let answer = send(&app, &message).await;
        assert!(answer.contains(code), "{answer}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_write_patients_admits_none() {
    let app = TestApp::start().await;
    let message = adt("A01", "a1", "20260102080000", VEGA, &[]);
    let reply = app.machine("system/Observation.cru").post_raw("/hl7/v2", HL7, message.as_str()).await.expect(422);
    assert!(reply.text().contains("\rMSA|AE|a1\r"), "{}", reply.text());
    assert!(found(&app.gateway(), "Patient").await.is_empty());
    let kept = app.administrator().await.get("/hl7/messages?settled=false").await.expect(200).json();
    assert_eq!(
        (&kept["messages"][0]["control"], &kept["messages"][0]["issues"][0]["code"]),
        (&"a1".into(), &"forbidden".into()),
        "{kept}"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_without_a_number_are_told_apart_by_time() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let story = [
        ("A01", "0800", vec!["in-progress"]),
        ("A08", "0830", vec!["in-progress"]),
        ("A03", "0900", vec!["finished"]),
        ("A01", "1000", vec!["finished", "in-progress"]),
        ("A03", "1100", vec!["finished", "finished"]),
        ("A13", "1130", vec!["finished", "in-progress"]),
    ];
    for (at, (event, time, want)) in story.into_iter().enumerate() {
        let message = adt(event, &format!("a{at}"), &format!("20260102{time}00"), VEGA, &["PV1|1|I|ICU^2^23"]);
        take(&app, &message).await;
        let mut all: Vec<_> = found(&gateway, "Encounter?_sort=date").await.iter().map(|visit| stay(visit).0).collect();
        all.sort();
        assert_eq!(all, want, "{event} at {time}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_doors_admit_a_patient_once() {
    let app = TestApp::start().await;
    let (gateway, address) = (app.gateway(), app.mllp);
    let doors: Vec<_> = (0..8)
        .map(|door| {
            tokio::spawn(async move {
                let mut sender = Sender::connect(address).await;
                for turn in 0..3 {
                    let id = format!("d{door}-{turn}");
                    let pv1 = "PV1|1|I|ICU^2^23||||D1^Kimble^Richard^^^^^^WARD||||||||||||V1^^^WARD";
                    let answer = sender.send(&adt("A08", &id, "20260102080000", VEGA, &[pv1])).await;
                    assert!(answer.contains(&format!("\rMSA|AA|{id}\r")), "{answer}");
                }
            })
        })
        .collect();
    for door in doors {
        door.await.unwrap();
    }
    for (kind, count) in [("Patient", 1), ("Encounter", 1), ("Practitioner", 1), ("Location", 3)] {
        assert_eq!(found(&gateway, kind).await.len(), count, "{kind}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_resource_can_hold_is_refused_and_kept() {
    let app = TestApp::start().await;
    let table = [
        ("r1^^^WARD||Ve\u{0}ga", "AE"),
        ("r1\u{0}^^^WARD||Vega", "AE"),
        ("r1^^^WARD||Vega||19561399", "AA"),
        ("r1^^^WARD||Vega|||X", "AA"),
        ("r1^^^WARD||\"\"|||", "AA"),
    ];
    for (at, (patient, code)) in table.into_iter().enumerate() {
        let answer = send(&app, &adt("A31", &format!("a{at}"), "20260102080000", patient, &[])).await;
        assert!(answer.contains(&format!("\rMSA|{code}|a{at}\r")), "{patient:?}: {answer}");
    }
    let kept = app.administrator().await.get("/hl7/messages").await.expect(200).json();
    assert_eq!(kept["messages"].as_array().unwrap().len(), 5);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_that_came_before_the_admission_are_taken_with_it() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let mut sender = Sender::connect(app.mllp).await;
    for (id, record) in [("m1", "r1"), ("m2", "r2"), ("m3", "r1")] {
        assert!(sender.send(&oru(id, record, "72")).await.contains(&format!("MSA|AE|{id}")));
    }
    take(&app, &adt("A01", "a1", "20260102040000", VEGA, &["PV1|1|I|ICU^2^23"])).await;
    let patient = patient(&gateway, "r1").await;
    let query = format!("Observation?patient={}", patient["id"].as_str().unwrap());
    eventually("both messages of it", || async { (found(&gateway, &query).await.len() == 6).then_some(()) }).await;
    let administrator = app.administrator().await;
    let open = async || administrator.get("/hl7/messages?settled=false").await.expect(200).json()["messages"].clone();
    eventually("only the other waits", || async { (open().await.as_array().unwrap().len() == 1).then_some(()) }).await;
    assert_eq!(open().await[0]["control"], "m2");
    app.stop().await;
}
