//! Results that name nobody who is known, but a bed: kept there, and taken when it is known who lies in it.

use serde_json::{Value, json};

use crate::helpers::{Client, TestApp, eventually, resources};
use crate::mllp::Sender;

const BED: &str = "ICU%5E2%5E23";

/// A heart rate at a time of day, of a patient (PID-3) in a bed (PV1-3).
fn reading(id: &str, patient: &str, bed: &str, time: &str) -> String {
    let pid = if patient == "-" { String::new() } else { format!("PID|1||{patient}\r") };
    format!(
        "MSH|^~\\&|MONITOR|ICU|VIGIA||20260102120000+0000||ORU^R01|{id}|P|2.6\r{pid}PV1|1|I|{bed}\rOBR|1|||monitor\r\
         OBX|1|NM|8867-4^HR^LN||72|/min^^UCUM|||||F|||20260102{time}00+0000\r"
    )
}

fn adt(event: &str, id: &str, record: &str, bed: &str, time: &str) -> String {
    let time = format!("20260102{time}00+0000");
    format!(
        "MSH|^~\\&|ADT|HOSPITAL|VIGIA||{time}||ADT^{event}|{id}|P|2.5\rEVN|{event}|{time}\rPID|1||{record}^^^WARD^MR||Vega^Ana\r\
         PV1|1|I|{bed}\r"
    )
}

async fn answer(sender: &mut Sender, message: &str) -> String {
    let answer = sender.send(message).await;
    answer.split("\rMSA|").nth(1).unwrap().split('|').next().unwrap().to_owned()
}

/// The control ids of what waits at the bed.
async fn waiting(administrator: &Client) -> Vec<String> {
    let list = administrator.get(&format!("/hl7/messages?settled=false&place={BED}")).await.expect(200).json();
    let all = list["messages"].as_array().unwrap();
    let mut ids: Vec<String> = all.iter().map(|message| message["control"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

async fn until_waiting(administrator: &Client, ids: &[&str]) {
    eventually("this waits", || async { (waiting(administrator).await == ids).then_some(()) }).await;
}

/// When the heart rates of the patient with this record were taken.
async fn times(gateway: &Client, record: &str) -> Vec<String> {
    let query = format!("/fhir/Observation?patient.identifier=urn:test:records|{record}&_count=100");
    let all = resources(&gateway.get(&query).await.expect(200).json());
    let mut times: Vec<String> =
        all.iter().map(|one| one["effectiveDateTime"].as_str().unwrap().get(11..16).unwrap().to_owned()).collect();
    times.sort();
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stay_says_whose_the_readings_of_its_bed_are() {
    let app = TestApp::start().await;
    let (gateway, administrator) = (app.gateway(), app.administrator().await);
    let mut sender = Sender::connect(app.mllp).await;
    // Nobody lies there yet. What names a number or two patients, or no bed, is not the bed's to say.
    #[rustfmt::skip]
    let before = [
        ("b1", "-", "ICU^2^23", "0750"), ("b2", "-", "ICU^2^23", "0805"), ("b3", "", "ICU^2^23", "0806"),
        ("b4", "r9^^^WARD", "ICU^2^23", "0807"), ("b5", "\rPID|2||", "ICU^2^23", "0808"), ("b6", "-", "ICU^2", "0809"),
    ];
    for (id, patient, bed, time) in before {
        assert_eq!(answer(&mut sender, &reading(id, patient, bed, time)).await, "AE", "{id}");
    }
    assert_eq!(waiting(&administrator).await, ["b1", "b2", "b3", "b4"]);
    assert_eq!(answer(&mut sender, &adt("A01", "a1", "r1", "ICU^2^23", "0800")).await, "AA");
    until_waiting(&administrator, &["b1", "b4"]).await;
    assert_eq!(times(&gateway, "r1").await, ["08:05", "08:06"]);

    // While somebody lies there, a bed answers at once; the same again is the same.
    for _ in 0..2 {
        assert_eq!(answer(&mut sender, &reading("c1", "-", "ICU^2^23", "0830")).await, "AA");
    }
    assert_eq!(answer(&mut sender, &reading("c2", "r9^^^WARD", "ICU^2^23", "0830")).await, "AE");
    assert_eq!(answer(&mut sender, &reading("c3", "-", "ICU^2^24", "0830")).await, "AE");
    assert_eq!(times(&gateway, "r1").await, ["08:05", "08:06", "08:30"]);

    // The next one in the bed has only what was measured in the new stay.
    assert_eq!(answer(&mut sender, &adt("A02", "a2", "r1", "ICU^2^24", "0900")).await, "AA");
    assert_eq!(answer(&mut sender, &reading("d1", "-", "ICU^2^23", "0945")).await, "AE");
    assert_eq!(answer(&mut sender, &reading("d2", "-", "ICU^2^23", "0859")).await, "AA");
    assert_eq!(answer(&mut sender, &adt("A01", "a3", "r2", "ICU^2^23", "0930")).await, "AA");
    until_waiting(&administrator, &["b1", "b4", "c2"]).await;
    assert_eq!(times(&gateway, "r1").await, ["08:05", "08:06", "08:30", "08:59"]);
    assert_eq!(times(&gateway, "r2").await, ["09:45"]);
    // Two in one bed: nobody can say.
    assert_eq!(answer(&mut sender, &adt("A01", "a4", "r3", "ICU^2^23", "1000")).await, "AA");
    assert_eq!(answer(&mut sender, &reading("e1", "-", "ICU^2^23", "1015")).await, "AE");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_says_whose_they_are() {
    let app = TestApp::start().await;
    let (administrator, clinician) = (app.administrator().await, app.clinician().await);
    let (id, gateway) = (app.admit("r1", "Vega").await, app.gateway());
    let mut sender = Sender::connect(app.mllp).await;
    let report = "OBR|1|P1^HIS|F1^LAB|2823-3^Potassium^LN|||20260102080000+0000||||||||||||||||||F";
    let late = reading("w3", "-", "ICU^2^23", "0807").replace("OBR|1|||monitor", report);
    for message in [reading("w1", "", "ICU^2^23", "0805"), reading("w2", "r9^^^WARD", "ICU^2^23", "0806"), late.clone()]
    {
        assert_eq!(answer(&mut sender, &message).await, "AE");
    }
    let list = clinician.get("/hl7/waiting").await.expect(200).json();
    assert_eq!(list["places"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!((&list["places"][0]["place"], &list["places"][0]["messages"]), (&json!("ICU^2^23"), &json!(3)));
    let members: Vec<&String> = list["places"][0].as_object().unwrap().keys().collect();
    assert_eq!(members, ["place", "messages", "first", "last"], "nothing of what they say");

    let address = |place: &str, patient: &str, more: &str| {
        format!("/hl7/waiting/attach?place={place}&patient={patient}&start=2000{more}")
    };
    let own = format!("Patient/{id}");
    let outsider = app.patient_app("patient/*.cruds", &own);
    let machine = app.machine("system/Observation.c");
    for (client, address, status) in [
        (&clinician, address(BED, "Patient/nobody", ""), 404),
        (&clinician, address(BED, "Device/d", ""), 400),
        (&clinician, address(BED, &own, "&end=soon"), 400),
        (&clinician, format!("/hl7/waiting/attach?place={BED}&patient={own}"), 400),
        (&outsider, address(BED, &own, ""), 403),
        (&machine, address(BED, &own, ""), 403),
    ] {
        client.post_raw(&address, "application/json", "").await.expect(status);
    }
    for client in [&outsider, &machine] {
        client.get("/hl7/waiting").await.expect(403);
    }
    for (place, more, found, taken) in
        [("ICU%5E2%5E99", "", 0, 0), (BED, "&end=2001", 0, 0), (BED, "", 3, 3), (BED, "", 0, 0)]
    {
        let told = clinician.post_raw(&address(place, &own, more), "application/json", "").await.expect(200).json();
        assert_eq!(told, json!({"found": found, "taken": taken, "more": false}), "{place}{more}");
    }
    assert_eq!(times(&gateway, "r1").await, ["08:05", "08:06", "08:07"]);
    let reports = resources(&gateway.get(&format!("/fhir/DiagnosticReport?subject={own}")).await.expect(200).json());
    assert_eq!(reports.len(), 1, "the report is of the one who was named");
    assert!(waiting(&administrator).await.is_empty());
    assert_eq!(clinician.get("/hl7/waiting").await.expect(200).json(), json!({"places": []}));
    // Who said so stands with the message; its sender, who sends it again, hears that it was taken.
    let kept = administrator.get("/hl7/messages?control=w2").await.expect(200).json();
    let (again, first) = (&kept["messages"][0], &kept["messages"][1]);
    assert_eq!((&again["replays"], &again["verdict"], &first["settled"]), (&first["id"], &json!("AA"), &json!(true)));
    assert!(again["peer"].as_str().unwrap().starts_with("user/"), "{again}");
    assert_eq!(answer(&mut sender, &late).await, "AA");
    assert_eq!(times(&gateway, "r1").await.len(), 3);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_known_is_never_overruled() {
    let app = TestApp::start().await;
    let (clinician, gateway) = (app.clinician().await, app.gateway());
    let vega = app.admit("r1", "Vega").await;
    let mut sender = Sender::connect(app.mllp).await;
    assert_eq!(answer(&mut sender, &reading("w1", "r2^^^WARD", "ICU^2^23", "0805")).await, "AE");
    app.admit("r2", "Lyra").await;
    let address = format!("/hl7/waiting/attach?place={BED}&patient=Patient/{vega}&start=2000");
    let told: Value = clinician.post_raw(&address, "application/json", "").await.expect(200).json();
    assert_eq!(told["taken"], 1);
    assert_eq!((times(&gateway, "r1").await.len(), times(&gateway, "r2").await), (0, vec!["08:05".to_owned()]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_decides_what_its_beds_may_say() {
    for (rule, numbered, unnumbered) in [("never", 0, 0), ("unnumbered", 0, 1), ("unknown", 1, 1)] {
        let app = TestApp::with(|config| {
            let by = serde_json::from_value(json!(rule)).unwrap();
            config.hl7.channel.iter_mut().for_each(|channel| channel.attach_by_bed = by);
        })
        .await;
        let gateway = app.gateway();
        let mut sender = Sender::connect(app.mllp).await;
        assert_eq!(answer(&mut sender, &adt("A01", "a1", "r1", "ICU^2^23", "0800")).await, "AA");
        for (id, patient, taken) in [("b1", "r9^^^WARD", numbered), ("b2", "-", unnumbered)] {
            let code = if taken == 1 { "AA" } else { "AE" };
            assert_eq!(answer(&mut sender, &reading(id, patient, "ICU^2^23", "0805")).await, code, "{rule} {id}");
        }
        assert_eq!(times(&gateway, "r1").await.len(), numbered + unnumbered, "{rule}");
        app.stop().await;
    }
}
