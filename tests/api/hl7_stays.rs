//! Admissions, moves, discharges and merges by HL7 v2: what becomes of the person, the stay and the places.

use serde_json::{Value, json};

use crate::helpers::{Client, TestApp, resources};
use crate::mllp::{Sender, oru};

const RECORDS: &str = "urn:test:records";

/// An ADT message; `more`: its segments after MSH and EVN.
fn adt(event: &str, control: &str, more: &[&str]) -> String {
    let head = format!("MSH|^~\\&|ADT|HOSPITAL|VIGIA||20260102030405+0000||ADT^{event}|{control}|P|2.5");
    let evn = format!("EVN|{event}|20260102030{}00+0000", control.len() % 10);
    [&[head.as_str(), evn.as_str()], more, &[""]].concat().join("\r")
}

const PID: &str =
    "PID|1||r7^^^WARD^MR||VEGA^ANA^MARIA^^^^L||19560301|F|||CALLE 1^^SEVILLA^^41001^ES^H||+34 600^PRN^CP|||M";

async fn one(gateway: &Client, path: &str) -> Value {
    let found = resources(&gateway.get(path).await.expect(200).json());
    assert_eq!(found.len(), 1, "{path}: {found:?}");
    found.into_iter().next().unwrap()
}

async fn accepted(sender: &mut Sender, message: &str) {
    let answer = sender.send(message).await;
    assert!(answer.contains("\rMSA|AA|"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stay_from_admission_to_discharge() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let mut sender = Sender::connect(app.mllp).await;
    let pv1 = |place: &str, more: &str| {
        format!("PV1|1|I|{place}^HOSPITAL||||77^RUIZ^EVA^^^DR^^^DOCTORS||||||||||||V1^^^WARD{more}")
    };
    let admit = adt(
        "A01",
        "c1",
        &[
            PID,
            "NK1|1|VEGA^LUIS|SPO^Spouse^HL70063|||+34 700^PRN^PH",
            &pv1("ICU^1^A", ""),
            "AL1|1|DA|7980^Penicillin^RXN|SV|rash",
            "ZPI|1|own",
        ],
    );
    accepted(&mut sender, &admit).await;

    let patient = one(&gateway, &format!("/fhir/Patient?identifier={RECORDS}|r7")).await;
    assert_eq!(
        (&patient["name"], &patient["gender"], &patient["birthDate"], &patient["address"][0]["city"]),
        (
            &json!([{"use": "official", "family": "VEGA", "given": ["ANA", "MARIA"]}]),
            &json!("female"),
            &json!("1956-03-01"),
            &json!("SEVILLA")
        )
    );
    assert_eq!(patient["telecom"], json!([{"system": "phone", "value": "+34 600", "use": "mobile"}]));
    assert_eq!(patient["maritalStatus"]["coding"][0]["code"], "M");
    let id = patient["id"].as_str().unwrap();
    let stay = one(&gateway, &format!("/fhir/Encounter?patient={id}&status=in-progress")).await;
    assert_eq!((&stay["class"]["code"], &stay["identifier"][0]["value"]), (&json!("IMP"), &json!("V1")));
    let bed = one(&gateway, "/fhir/Location?name=ICU%201%20A").await;
    assert_eq!(stay["location"][0]["location"]["reference"], format!("Location/{}", bed["id"].as_str().unwrap()));
    assert!(bed["partOf"]["reference"].is_string(), "a bed is in a room: {bed}");
    let doctor = one(&gateway, "/fhir/Practitioner?family=RUIZ").await;
    assert_eq!(
        stay["participant"][0]["individual"],
        json!({"reference": format!("Practitioner/{}", doctor["id"].as_str().unwrap()), "display": "DR EVA RUIZ"})
    );
    let spouse = one(&gateway, &format!("/fhir/RelatedPerson?patient={id}")).await;
    assert_eq!(spouse["relationship"][0]["coding"][0]["code"], "SPS");
    let allergy = one(&gateway, &format!("/fhir/AllergyIntolerance?patient={id}")).await;
    assert_eq!(
        (&allergy["category"], &allergy["criticality"], &allergy["code"]["coding"][0]["display"]),
        (&json!(["medication"]), &json!("high"), &json!("Penicillin"))
    );

    // Nothing disappears in silence: what is not mapped is told with the kept message.
    let administrator = app.administrator().await;
    let kept = administrator.get("/hl7/messages?control=c1").await.expect(200).json();
    let issues = kept["messages"][0]["issues"].as_array().unwrap().clone();
    assert_eq!((&issues[0]["place"], &issues[0]["code"]), (&json!("ZPI[1]"), &json!("informational")));
    assert!(kept["messages"][0]["made"].as_array().unwrap().len() >= 8, "{kept}");

    accepted(&mut sender, &adt("A02", "c20", &[PID, &pv1("WARD5^2^B", "")])).await;
    let moved = one(&gateway, &format!("/fhir/Encounter?patient={id}")).await;
    let states: Vec<&str> =
        moved["location"].as_array().unwrap().iter().map(|l| l["status"].as_str().unwrap()).collect();
    assert_eq!((states, &moved["status"]), (vec!["completed", "active"], &json!("in-progress")));

    accepted(&mut sender, &adt("A03", "c300", &[PID, &pv1("WARD5^2^B", &"|".repeat(26))])).await;
    let left = one(&gateway, &format!("/fhir/Encounter?patient={id}")).await;
    assert_eq!((&left["status"], left["period"]["end"].is_string()), (&json!("finished"), true), "{left}");
    accepted(&mut sender, &adt("A13", "c4000", &[PID, &pv1("WARD5^2^B", "")])).await;
    let back = one(&gateway, &format!("/fhir/Encounter?patient={id}")).await;
    assert_eq!((&back["status"], back["period"].get("end")), (&json!("in-progress"), None));
    accepted(&mut sender, &adt("A11", "c50000", &[PID, &pv1("WARD5^2^B", "")])).await;
    assert_eq!(one(&gateway, &format!("/fhir/Encounter?patient={id}")).await["status"], "cancelled");

    // The same again changes nothing, and what is sent a second time is not done a second time.
    let version = one(&gateway, &format!("/fhir/Patient?identifier={RECORDS}|r7")).await["meta"]["versionId"].clone();
    assert_eq!(version, "1", "one version says it all");
    accepted(&mut sender, &admit).await;
    assert_eq!(one(&gateway, &format!("/fhir/Encounter?patient={id}")).await["status"], "cancelled");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_a_person_changes_and_records_are_merged() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let old = app.admit("r1", "Vega").await;
    let mut sender = Sender::connect(app.mllp).await;
    accepted(&mut sender, &adt("A28", "m1", &[PID])).await;
    let new = one(&gateway, &format!("/fhir/Patient?identifier={RECORDS}|r7")).await["id"].clone();
    let address = format!("/fhir/Patient/{}", new.as_str().unwrap());

    // What is sent takes the place of what stood, `""` takes it away, and what is not sent stays.
    accepted(&mut sender, &adt("A31", "m2", &["PID|1||r7^^^WARD^MR||LUNA^ANA|||\"\"|||||\"\""])).await;
    let changed = gateway.get(&address).await.expect(200).json();
    assert_eq!(
        (&changed["name"][0]["family"], changed.get("gender"), changed.get("telecom"), &changed["birthDate"]),
        (&json!("LUNA"), None, None, &json!("1956-03-01"))
    );
    let odd = sender.send(&adt("A08", "m3", &["PID|1||r7^^^WARD^MR||LUNA^ANA||1956-03|Q"])).await;
    assert!(odd.contains("\rMSA|AA|m3"), "what cannot be read is told and left out: {odd}");
    let kept = app.administrator().await.get("/hl7/messages?control=m3").await.expect(200).json();
    let places: Vec<&str> =
        kept["messages"][0]["issues"].as_array().unwrap().iter().map(|i| i["place"].as_str().unwrap()).collect();
    assert_eq!(places, ["PID[1].7", "PID[1].8"]);

    let merge = adt("A40", "m4", &["PID|1||r7^^^WARD^MR||LUNA^ANA", "MRG|r1^^^WARD^MR"]);
    accepted(&mut sender, &merge).await;
    let gone = gateway.get(&format!("/fhir/Patient/{old}")).await.expect(200).json();
    let stays = gateway.get(&address).await.expect(200).json();
    assert_eq!((&gone["active"], &gone["link"][0]["type"]), (&json!(false), &json!("replaced-by")));
    assert_eq!(gone["link"][0]["other"]["reference"], format!("Patient/{}", new.as_str().unwrap()));
    assert_eq!(stays["link"], json!([{"other": {"reference": format!("Patient/{old}")}, "type": "replaces"}]));

    // Who still sends by the old number means the one who stands for it; and taking the links away undoes it.
    accepted(&mut sender, &oru("m5", "r1", "72")).await;
    let count = |patient: &str| format!("/fhir/Observation?patient={patient}&code=8867-4");
    one(&gateway, &count(new.as_str().unwrap())).await;
    accepted(&mut sender, &adt("A08", "m6", &["PID|1||r1^^^WARD^MR||SOL^ANA"])).await;
    assert_eq!(gateway.get(&address).await.expect(200).json()["name"][0]["family"], "SOL");
    let mut undone = gateway.get(&format!("/fhir/Patient/{old}")).await.expect(200).json();
    undone["active"] = json!(true);
    undone.as_object_mut().unwrap().remove("link");
    gateway.put(&format!("/fhir/Patient/{old}"), &undone).await.expect(200);
    accepted(&mut sender, &oru("m7", "r1", "73")).await;
    one(&gateway, &count(&old)).await;

    app.admit("r2", "Mora").await;
    for (message, code) in [
        (adt("A01", "x1", &["PID|1||||VEGA"]), "AE|x1"),
        (adt("A01", "x2", &["PID|1||r7^^^WARD~r2^^^WARD||VEGA"]), "AE|x2"),
        (adt("Z99", "x3", &[PID]), "AR|x3"),
        (adt("A47", "x4", &[PID]), "AR|x4"),
        // Of two persons nothing may be made one.
        (adt("A08", "x5", &["PID|1||r7^^^WARD", "PID|2||r9^^^WARD"]), "AE|x5"),
    ] {
        let answer = sender.send(&message).await;
        assert!(answer.contains(&format!("\rMSA|{code}")), "{answer}");
    }
    let found = gateway.get(&format!("/fhir/Patient?identifier={RECORDS}|r9")).await.expect(200).json();
    assert!(resources(&found).is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_fields_take_away_no_more_than_they_say() {
    let app = TestApp::start().await;
    let (gateway, mut sender) = (app.gateway(), Sender::connect(app.mllp).await);
    let visit = |end: &str| format!("PV1|1|X|{}V9^^^WARD{}20260101080000+0000|{end}", "|".repeat(16), "|".repeat(25));
    let person = "PID|1|own-7|r7^^^WARD^MR||VEGA^ANA||||||||+34 600^PRN^PH|+34 700^WPN^PH";
    accepted(&mut sender, &adt("A01", "e1", &[person, &visit("")])).await;
    let empty = "PID|1|\"\"|r7^^^WARD^MR||VEGA^ANA||||\"\"|||||\"\"";
    accepted(&mut sender, &adt("A08", "e2", &[empty, &visit("\"\"")])).await;
    let patient = one(&gateway, &format!("/fhir/Patient?identifier={RECORDS}|r7")).await;
    let numbers: Vec<&str> =
        patient["identifier"].as_array().unwrap().iter().map(|i| i["value"].as_str().unwrap()).collect();
    assert_eq!((numbers, patient["telecom"].as_array().map(Vec::len)), (vec!["r7", "own-7"], Some(2)), "{patient}");
    let stay = one(&gateway, "/fhir/Encounter").await;
    assert_eq!(
        (&stay["period"], &stay["class"]["code"]),
        (&json!({"start": "2026-01-01T08:00:00Z"}), &json!("UNK")),
        "{stay}"
    );
    app.stop().await;
}
