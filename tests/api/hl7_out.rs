//! HL7 v2 out: what is stored here reaches other systems as messages, in order, in spite of trouble, and once answered
//! no more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use vigia::clock::Clock;
use vigia::config::Config;
use vigia::config::destination::{Destination, Sent};
use vigia::config::hl7::Channel;
use vigia::hl7::wire::{self, Reader};

use crate::helpers::samples::observation;
use crate::helpers::{Client, Place, TestApp, eventually, minutes_from_now, resources};
use crate::mllp::Sender;

const PATIENCE: Duration = Duration::from_secs(20);

/// A system that hears, and answers as it was told: MSA-1, `late` (the answer to another message), or `gone` (the
/// connection is closed); then always AA.
#[derive(Clone)]
struct Heard {
    address: String,
    all: Arc<Mutex<Vec<String>>>,
}

impl Heard {
    async fn start(answers: &[&str]) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), answers)
    }

    fn on(listener: TcpListener, answers: &[&str]) -> Self {
        let heard = Self { address: listener.local_addr().unwrap().to_string(), all: Arc::default() };
        let (own, mut answers): (Self, VecDeque<String>) =
            (heard.clone(), answers.iter().map(|&answer| answer.to_owned()).collect());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (from, mut to) = stream.into_split();
                let mut reader = Reader::new(from, 1 << 20, PATIENCE);
                while let Ok(Some(frame)) = reader.next().await {
                    let text = String::from_utf8(frame.message.to_vec()).unwrap();
                    let control = text.split('|').nth(9).unwrap().to_owned();
                    own.all.lock().unwrap().push(text);
                    let answer =
                        |code: &str, control: &str| format!("MSH|^~\\&|HIS\rMSA|{code}|{control}\r").into_bytes();
                    match answers.pop_front().as_deref() {
                        Some("gone") => break,
                        Some("late") => {
                            wire::write(&mut to, answer("AA", "another"), PATIENCE).await;
                            wire::write(&mut to, answer("AA", &control), PATIENCE).await;
                        }
                        code => _ = wire::write(&mut to, answer(code.unwrap_or("AA"), &control), PATIENCE).await,
                    }
                }
            }
        });
        heard
    }

    fn all(&self) -> Vec<String> {
        self.all.lock().unwrap().clone()
    }

    async fn messages(&self, count: usize) -> Vec<String> {
        let what = format!("{count} messages");
        eventually(&what, || async { Some(self.all()).filter(|all| all.len() >= count) }).await
    }

    fn destination(&self, send: &[Sent]) -> Destination {
        let (name, address) = ("his".to_owned(), self.address.clone());
        Destination { name, address, send: send.to_vec(), ..Destination::default() }
    }
}

fn to(destination: Destination) -> impl FnOnce(&mut Config) {
    move |config| config.hl7.destination = vec![destination]
}

/// Has it taken its place in the log? What is stored before is not its business.
async fn begun(app: &TestApp) {
    let client = app.gateway();
    eventually("the destination has begun", || async {
        let text = client.get("/metrics").await.expect(200).text();
        text.contains("vigia_hl7_behind_seconds{destination=\"his\"}").then_some(())
    })
    .await;
}

async fn heart(gateway: &Client, patient: &str, minute: i64, value: u32) -> String {
    let reading = observation(patient, "8867-4", &value.to_string(), "/min", &minutes_from_now(minute));
    let stored = gateway.post("/fhir/Observation", &reading).await.expect(201).json();
    stored["id"].as_str().unwrap().to_owned()
}

/// A field of a segment of a message, in its first line of this name.
fn field(message: &str, name: &str, at: usize) -> String {
    let line = message.split('\r').find(|line| line.starts_with(name)).unwrap_or_default();
    let shift = usize::from(name == "MSH");
    line.split('|').nth(at - shift).unwrap_or_default().to_owned()
}

async fn parked(gateway: &Client) -> Vec<Value> {
    let found = gateway.get("/fhir/Communication?category=hl7-destination").await.expect(200).json();
    resources(&found)
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_go_out_as_they_are_stored() {
    let his = Heard::start(&[]).await;
    let codes = vec!["http://loinc.org|8867-4".to_owned()];
    let app = TestApp::with(to(Destination { codes, ..his.destination(&[Sent::Observations]) })).await;
    let (id, gateway) = (app.admit("r1", "Vega").await, app.gateway());
    begun(&app).await;
    let reading = heart(&gateway, &id, -2, 72).await;
    let other = observation(&id, "9279-1", "16", "/min", &minutes_from_now(-2));
    gateway.post("/fhir/Observation", &other).await.expect(201);
    let mut corrected = gateway.get(&format!("/fhir/Observation/{reading}")).await.expect(200).json();
    corrected["status"] = json!("corrected");
    corrected["valueQuantity"]["value"] = json!(74);
    gateway.put(&format!("/fhir/Observation/{reading}"), &corrected).await.expect(200);
    let heard = his.messages(2).await;
    let rows: Vec<[String; 4]> = heard
        .iter()
        .map(|m| [field(m, "MSH", 9), field(m, "OBX", 3), field(m, "OBX", 5), field(m, "OBX", 11)])
        .collect();
    let row = |value: &str, status: &str| ["ORU^R01^ORU_R01", "8867-4^Heart rate^LN", value, status].map(str::to_owned);
    assert!(rows[0][1].starts_with("8867-4^"), "{}", heard[0]);
    let strip = |mut row: [String; 4]| {
        row[1] = "8867-4^Heart rate^LN".to_owned();
        row
    };
    assert_eq!(rows.into_iter().map(strip).collect::<Vec<_>>(), [row("72", "F"), row("74", "C")]);
    assert!(field(&heard[0], "PID", 3).starts_with("r1"), "{}", heard[0]);
    assert_eq!(his.all().len(), 2, "what was not asked for is not sent");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_an_event_with_phases() {
    let his = Heard::start(&[]).await;
    let app = TestApp::with(to(his.destination(&[Sent::Alerts]))).await;
    let (id, gateway) = (app.admit("r1", "Vega").await, app.gateway());
    begun(&app).await;
    for (minute, value) in [(-5, 115), (-4, 116)] {
        heart(&gateway, &id, minute, value).await;
    }
    his.messages(1).await;
    for (minute, value) in [(-3, 135), (-2, 136)] {
        heart(&gateway, &id, minute, value).await;
    }
    his.messages(2).await;
    for (minute, value) in [(-1, 80), (0, 80)] {
        heart(&gateway, &id, minute, value).await;
    }
    let heard = his.messages(3).await;
    let facet = |message: &str, code: &str| {
        let line = message.split('\r').find(|line| line.contains(code)).unwrap_or_default().to_owned();
        line.split('|').nth(5).unwrap_or_default().to_owned()
    };
    let told: Vec<[String; 3]> = heard
        .iter()
        .map(|m| {
            [facet(m, "MDC_ATTR_EVENT_PHASE"), facet(m, "MDC_ATTR_ALARM_STATE"), facet(m, "MDC_ATTR_ALARM_PRIORITY")]
        })
        .collect();
    let row = |phase: &str, state: &str, priority: &str| [phase, state, priority].map(str::to_owned);
    assert_eq!(told[..2], [row("start", "active", "PM"), row("escalate", "active", "PH")], "{heard:#?}");
    // A critical alert whose condition is gone waits for somebody.
    assert_eq!((told[2][0].as_str(), told[2][1].as_str()), ("update", "latched"), "{}", heard[2]);
    let event = field(&heard[0], "OBR", 3);
    assert!(heard.iter().all(|message| field(message, "OBR", 3) == event), "one event");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_delays_and_loses_nothing() {
    let his = Heard::start(&["gone", "AE", "late"]).await;
    let app = TestApp::with(to(his.destination(&[Sent::Observations]))).await;
    let (id, gateway) = (app.admit("r1", "Vega").await, app.gateway());
    begun(&app).await;
    heart(&gateway, &id, -2, 72).await;
    heart(&gateway, &id, -1, 73).await;
    let heard = his.messages(4).await;
    let values: Vec<String> = heard.iter().map(|message| field(message, "OBX", 5)).collect();
    assert_eq!(values, ["72", "72", "72", "73"]);
    let controls: Vec<String> = heard.iter().map(|message| field(message, "MSH", 10)).collect();
    assert!(controls[0] == controls[1] && controls[1] == controls[2] && controls[2] != controls[3], "{controls:?}");
    assert!(parked(&gateway).await.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_good_is_parked_and_sent_again_when_asked() {
    let his = Heard::start(&["AR"]).await;
    let app = TestApp::with(to(his.destination(&[Sent::Observations]))).await;
    let (id, gateway) = (app.admit("r1", "Vega").await, app.gateway());
    begun(&app).await;
    let reading = heart(&gateway, &id, -2, 72).await;
    heart(&gateway, &id, -1, 73).await;
    his.messages(2).await;
    let mut told = eventually("parked", || async { parked(&gateway).await.into_iter().next() }).await;
    assert_eq!(
        (&told["status"], &told["about"][0]["reference"], &told["subject"]["reference"]),
        (&json!("stopped"), &json!(format!("Observation/{reading}/_history/1")), &json!(format!("Patient/{id}")))
    );
    told["status"] = json!("preparation");
    let address = format!("/fhir/Communication/{}", told["id"].as_str().unwrap());
    gateway.put(&address, &told).await.expect(200);
    let heard = his.messages(3).await;
    assert_eq!(field(&heard[2], "OBX", 5), "72");
    eventually("settled", || async {
        let now = gateway.get(&address).await.expect(200).json();
        (now["status"] == "completed").then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_is_told_what_happened_meanwhile() {
    let his = Heard::start(&[]).await;
    let mut place = Place::new().await;
    let mut sent = Vec::new();
    for round in 0..3 {
        // The second time nobody listens.
        let mut destination = his.destination(&[Sent::Observations]);
        if round == 1 {
            let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
            destination.address = free.to_string();
        }
        let app = TestApp::on(place, Clock::default(), to(destination)).await;
        let gateway = app.gateway();
        let id = app.admit(&format!("r{round}"), "Vega").await;
        if round == 0 {
            begun(&app).await;
        }
        for minute in 1..4 {
            let value = u32::try_from(60 + round * 10 + minute).unwrap();
            heart(&gateway, &id, -minute, value).await;
            sent.push(value.to_string());
        }
        if round != 1 {
            his.messages(sent.len()).await;
        }
        place = app.stop().await;
    }
    let mut heard: Vec<String> = his.all().iter().map(|message| field(message, "OBX", 5)).collect();
    heard.dedup();
    assert_eq!(heard, sent, "in order, and nothing lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn admissions_go_on_as_they_came() {
    let his = Heard::start(&[]).await;
    let destination = Destination { except_channels: vec!["his".to_owned()], ..his.destination(&[Sent::Admissions]) };
    let channel = |name: &str| Channel {
        name: name.to_owned(),
        bind: Some("127.0.0.1:0".parse().unwrap()),
        ..Channel::default()
    };
    let app = TestApp::with(|config| {
        config.hl7.destination = vec![destination];
        config.hl7.channel = vec![channel("adt"), channel("his")];
    })
    .await;
    begun(&app).await;
    let adt = |control: &str, record: &str| {
        format!(
            "MSH|^~\\&|ADT|H|VIGIA||20260102030405+0000||ADT^A28|{control}|P|2.5\rEVN|A28|20260102030405+0000\rPID|1||{record}^^^WARD||VEGA^ANA\rZPI|1|own\r"
        )
    };
    let mut back = Sender::connect(app.channels[1].1).await;
    assert!(back.send(&adt("b1", "r2")).await.contains("MSA|AA"));
    let mut sender = Sender::connect(app.channels[0].1).await;
    assert!(sender.send(&adt("a1", "r1")).await.contains("MSA|AA"));
    let heard = his.messages(1).await;
    assert_eq!(heard, [adt("a1", "r1")], "byte for byte, and not what came from there");
    app.stop().await;
}
