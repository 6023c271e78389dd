//! HL7 messages that are kept: byte for byte, with what became of them; put right and sent again; over HTTP too.

use serde_json::{Value, json};
use vigia::clock::Clock;

use crate::helpers::{Client, TestApp, eventually};
use crate::mllp::{Sender, oru};

const HL7: &str = "application/hl7-v2";

async fn messages(administrator: &Client, query: &str) -> Vec<Value> {
    let list = administrator.get(&format!("/hl7/messages?{query}")).await.expect(200).json();
    list["messages"].as_array().unwrap().clone()
}

async fn count(app: &TestApp, patient: &str) -> u64 {
    let found = app.gateway().get(&format!("/fhir/Observation?patient={patient}&_summary=count")).await.expect(200);
    found.json()["total"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_kept_as_it_came() {
    let app = TestApp::start().await;
    app.admit("r1", "Vega").await;
    let administrator = app.administrator().await;
    let mut sender = Sender::connect(app.mllp).await;
    let message = oru("m1", "r1", "72");
    sender.send(&message).await;
    sender.send("garbage\u{e9}").await;
    sender.send(&oru("m2", "nobody", "72")).await;

    let all = messages(&administrator, "").await;
    let told: Vec<_> = all
        .iter()
        .map(|m| (m["control"].as_str().unwrap(), m["verdict"].as_str().unwrap(), m["settled"].as_bool().unwrap()))
        .collect();
    assert_eq!(told, [("m2", "AE", false), ("", "AR", false), ("m1", "AA", true)]);
    let (unknown, taken) = (&all[0], &all[2]);
    assert_eq!(
        (&taken["kind"], &taken["sender"], &taken["channel"]),
        (&json!("ORU^R01"), &json!("MONITOR|WARD"), &json!("default"))
    );
    assert_eq!(
        (&unknown["issues"][0]["code"], &unknown["issues"][0]["place"]),
        (&json!("not-found"), &json!("OBX[1]"))
    );
    let gateway = app.gateway();
    let made = taken["made"].as_array().unwrap();
    assert_eq!(made.len(), 3);
    for version in made {
        gateway.get(&format!("/fhir/{}", version.as_str().unwrap())).await.expect(200);
    }
    let address = format!("/hl7/messages/{}", taken["id"]);
    let raw = administrator.with_header("Accept", HL7).get(&address).await.expect(200);
    assert_eq!((raw.header("content-type").as_str(), raw.text()), (HL7, message.clone()));
    assert_eq!(administrator.get(&address).await.expect(200).json()["content"], message);

    let garbage = messages(&administrator, "verdict=AR").await;
    let raw = administrator.with_header("Accept", HL7).get(&format!("/hl7/messages/{}", garbage[0]["id"])).await;
    assert_eq!(raw.text(), "garbage\u{e9}");
    for (query, found) in [
        ("settled=false", 2),
        ("control=m1", 1),
        ("kind=ORU^R01", 2),
        ("channel=other", 0),
        ("end=2001-01-01", 0),
        ("count=1", 1),
    ] {
        assert_eq!(messages(&administrator, query).await.len(), found, "{query}");
    }
    let page = administrator.get("/hl7/messages?count=2&kind=ORU%5ER01").await.expect(200).json();
    let next = administrator.get(page["next"].as_str().unwrap()).await.expect(200).json();
    assert_eq!((next["messages"].as_array().unwrap().len(), next.get("next")), (0, None));
    for (address, status) in [
        ("/hl7/messages?verdict=XX", 400),
        ("/hl7/messages?start=soon", 400),
        ("/hl7/messages?other=1", 400),
        ("/hl7/messages/999", 404),
    ] {
        administrator.get(address).await.expect(status);
    }
    for client in [app.gateway(), app.clinician().await] {
        client.get("/hl7/messages").await.expect(403);
        client.get(&address).await.expect(403);
    }
    app.anonymous().get("/hl7/messages").await.expect(401);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_is_the_same_message_or_a_mistake_that_is_seen() {
    let app = TestApp::start().await;
    let (id, administrator) = (app.admit("r1", "Vega").await, app.administrator().await);
    let mut sender = Sender::connect(app.mllp).await;
    for _ in 0..3 {
        let answer = sender.send(&oru("m1", "r1", "72")).await;
        assert!(answer.contains("\rMSA|AA|m1\r"), "{answer}");
    }
    assert_eq!(messages(&administrator, "").await.len(), 1, "a repetition is no second message");
    let answer = sender.send(&oru("m1", "r1", "75")).await;
    assert!(answer.contains("\rMSA|AE|m1\r") && answer.contains("\rERR||MSH^1^10|205^"), "{answer}");
    assert_eq!(count(&app, &id).await, 3, "nothing of it was taken");
    let open = messages(&administrator, "settled=false").await;
    assert_eq!((open.len(), &open[0]["issues"][0]["code"]), (1, &json!("duplicate")));
    // A person decides that it is a message all the same.
    let replayed = administrator.post(&format!("/hl7/messages/{}/replay", open[0]["id"]), &Value::Null).await;
    assert_eq!(replayed.status, 415, "a body is HL7 or none: {}", replayed.text());
    let replayed =
        administrator.post_raw(&format!("/hl7/messages/{}/replay", open[0]["id"]), HL7, "").await.expect(200).json();
    assert_eq!((&replayed["accepted"], &replayed["messages"][0]["replays"]), (&json!(1), &open[0]["id"]));
    assert_eq!(count(&app, &id).await, 4, "what it says again is not said twice");
    assert!(messages(&administrator, "settled=false").await.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_taken_is_put_right_and_sent_again() {
    let app = TestApp::start().await;
    let administrator = app.administrator().await;
    let mut sender = Sender::connect(app.mllp).await;
    for (message, record) in [("m1", "r1"), ("m2", "r2"), ("m3", "r1")] {
        let answer = sender.send(&oru(message, record, "72")).await;
        assert!(answer.contains("MSA|AE"), "{answer}");
    }
    // The patient was not admitted yet: all that came for it is taken at once, in its order.
    let id = app.admit("r1", "Vega").await;
    let outcome = administrator.post_raw("/hl7/messages/replay?kind=ORU%5ER01", HL7, "").await.expect(200).json();
    assert_eq!((&outcome["sent"], &outcome["accepted"], &outcome["more"]), (&json!(3), &json!(2), &json!(false)));
    let order: Vec<_> = outcome["messages"].as_array().unwrap().iter().map(|m| m["control"].clone()).collect();
    assert_eq!(order, ["m1", "m2", "m3"]);
    assert_eq!(count(&app, &id).await, 6);
    let again = administrator.post_raw("/hl7/messages/replay", HL7, "").await.expect(200).json();
    assert_eq!(again["accepted"], 0, "what was taken is not taken twice");
    assert_eq!(count(&app, &id).await, 6);

    let open = messages(&administrator, "settled=false&control=m2").await;
    let address = format!("/hl7/messages/{}", open.last().unwrap()["id"]);
    let right = oru("m2", "r1", "80");
    let replayed = administrator.post_raw(&format!("{address}/replay"), HL7, right.as_str()).await.expect(200).json();
    assert_eq!(replayed["accepted"], 1, "{replayed}");
    assert_eq!(count(&app, &id).await, 9);
    for open in messages(&administrator, "settled=false").await {
        administrator.post_raw(&format!("/hl7/messages/{}/settle", open["id"]), HL7, "").await.expect(204);
    }
    assert!(messages(&administrator, "settled=false").await.is_empty());
    administrator.post_raw(&format!("{address}/settle"), HL7, "").await.expect(404);
    app.clinician().await.post_raw(&format!("{address}/replay"), HL7, "").await.expect(403);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_that_speak_http_are_answered_alike() {
    let app = TestApp::start().await;
    let (id, gateway) = (app.admit("r1", "Vega").await, app.gateway());
    let quiet = oru("q", "r1", "70").replace("|P|2.6\r", "|P|2.6|||NE|NE\r");
    let table = [
        (oru("m1", "r1", "72"), 200, "\rMSA|AA|m1\r"),
        (oru("m1", "r1", "72"), 200, "\rMSA|AA|m1\r"),
        (oru("m2", "nobody", "72"), 422, "\rMSA|AE|m2\r"),
        ("garbage".to_owned(), 400, "\rMSA|AR|\r"),
        (quiet, 204, ""),
    ];
    for (message, status, answer) in table {
        let reply = gateway.post_raw("/hl7/v2", HL7, message.as_str()).await.expect(status);
        assert!(reply.text().contains(answer), "{}", reply.text());
    }
    assert_eq!(count(&app, &id).await, 6);
    let latin = oru("m9", "r1", "71").replace("|P|2.6\r", "|P|2.6||||||8859/1\r").replace("DOE", "NU\u{d1}EZ");
    let latin: Vec<u8> = latin.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    gateway.post_raw("/hl7/v2?channel=default", "application/hl7-v2; charset=iso-8859-1", latin).await.expect(200);
    gateway.post_raw("/hl7/v2", "text/plain", "MSH").await.expect(415);
    gateway.post_raw("/hl7/v2?channel=other", HL7, "MSH").await.expect(400);
    app.machine("system/Patient.r").post_raw("/hl7/v2", HL7, oru("m3", "r1", "1")).await.expect(403);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_kept_as_long_as_the_house_says_and_those_to_be_looked_at_for_ever() {
    for (days, left) in [(90, vec!["m2"]), (0, vec!["m3", "m2", "m1"]), (20_000, vec!["m3", "m2", "m1"])] {
        let app = TestApp::start().await;
        app.admit("r1", "Vega").await;
        let mut sender = Sender::connect(app.mllp).await;
        for (id, who) in [("m1", "r1"), ("m2", "nobody"), ("m3", "r1")] {
            sender.send(&oru(id, who, "72")).await;
        }
        drop(sender);
        let place = app.stop().await;
        place.execute("UPDATE message SET received = 1000000000000000").await;
        let app = TestApp::on(place, Clock::default(), |config| config.hl7.keep_days = days).await;
        let (administrator, gateway) = (app.administrator().await, app.gateway());
        eventually("the rest is gone, and what is open is counted", || async {
            let kept = messages(&administrator, "").await;
            let kept: Vec<&str> = kept.iter().map(|m| m["control"].as_str().unwrap()).collect();
            let counted = gateway.get("/metrics").await.text().contains("vigia_hl7_open_messages 1\n");
            (kept == left && counted).then_some(())
        })
        .await;
        app.stop().await;
    }
}
