//! `/device/v1/waves`: waveforms while they are measured, stored ten seconds at a time and seen at once.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use vigia::clock::Clock;

use crate::helpers::{PATIENCE, Place, TestApp, eventually, resources};

const ECG: &str =
    r#"{"code": "mdc:131328", "leads": ["mdc:131329", "mdc:131330"], "period": 4, "unit": "mV", "factor": 0.005}"#;
const SECOND: i64 = 1_000_000;

/// A monitor at a patient, and its key.
struct Bed {
    app: TestApp,
    patient: String,
    device: String,
    key: String,
}

impl Bed {
    async fn start() -> Self {
        // The beginning of ten seconds, so that the test knows where they end.
        let now = Clock::default().now().div_euclid(10 * SECOND) * 10 * SECOND;
        let app = TestApp::on(Place::new().await, Clock::fixed(now), |_| {}).await;
        let (patient, manager) = (app.admit("r1", "Vega").await, app.gateway());
        let device = json!({"resourceType": "Device", "status": "active", "identifier": [{"value": "m-1"}]});
        let device = manager.post("/fhir/Device", &device).await.expect(201).id();
        let comes =
            json!({"patient": format!("Patient/{patient}"), "start": vigia::fhir::time::instant(now - 3600 * SECOND)});
        manager.post(&format!("/device/v1/devices/{device}/association"), &comes).await.expect(201);
        let wish = json!({"secret": true});
        let given = manager.post(&format!("/device/v1/devices/{device}/credentials"), &wish).await.expect(201).json();
        Self { key: given["secret"].as_str().unwrap().to_owned(), app, patient, device }
    }

    fn now(&self) -> i64 {
        self.app.state.store.clock().now()
    }

    async fn connect(&self, token: Option<&str>) -> Result<Monitor, Error> {
        let mut request = format!("ws://{}/device/v1/waves", self.app.address).into_client_request()?;
        if let Some(token) = token {
            request.headers_mut().insert("Authorization", format!("Bearer {token}").parse().unwrap());
        }
        Ok(Monitor(connect_async(request).await?.0))
    }

    async fn stored(&self) -> Vec<Value> {
        let found = self.app.gateway().get("/fhir/Observation?code=131328&_sort=date").await.expect(200).json();
        resources(&found)
    }
}

struct Monitor(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Monitor {
    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text.to_owned())).await.unwrap();
    }

    /// A frame of two leads; `None` is a sample that was not measured.
    async fn frame(&mut self, number: u32, starts: i64, leads: &[&[i16]]) {
        let mut bytes = [&number.to_le_bytes()[..], &starts.to_le_bytes()].concat();
        bytes.extend(leads.iter().flat_map(|lead| lead.iter()).flat_map(|sample| sample.to_le_bytes()));
        self.0.send(Message::binary(bytes)).await.unwrap();
    }

    /// What is said next: a message, or why the connection ends.
    async fn hear(&mut self) -> Result<Value, String> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("something is said");
            match message {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(end)))) => return Err(format!("{} {}", u16::from(end.code), end.reason)),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => return Err(format!("{other:?}")),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_become_readings_of_ten_seconds() {
    let bed = Bed::start().await;
    let begin = bed.now();
    let mut monitor = bed.connect(Some(&bed.key)).await.unwrap();
    monitor.say(ECG).await;
    assert_eq!(monitor.hear().await.unwrap(), json!({"ready": true}));
    let sine: Vec<i16> = (0..250).map(|n| (n % 50) * 10).collect();
    let flat = vec![i16::MIN; 250];
    for second in 0..11_i64 {
        let number = u32::try_from(second).unwrap() + 1;
        monitor.frame(number, begin - 20 * SECOND + second * SECOND, &[&sine, &flat]).await;
    }
    let told = monitor.hear().await.unwrap();
    assert_eq!((&told["acknowledged"], &told["outcome"]), (&json!(10), &json!("created")));
    let id = told["reference"].as_str().unwrap().to_owned();
    let reading = bed.app.gateway().get(&format!("/fhir/{id}")).await.expect(200).json();
    assert_eq!(reading["subject"]["reference"], format!("Patient/{}", bed.patient));
    assert_eq!(reading["device"]["reference"], format!("Device/{}", bed.device));
    let lead = &reading["component"][0]["valueSampledData"];
    let data = lead["data"].as_str().unwrap();
    assert_eq!((data.split(' ').count(), &lead["period"], &lead["factor"]), (2500, &json!(4), &json!(0.005)));
    assert_eq!((&lead["origin"]["code"], data.starts_with("0 10 20 30")), (&json!("mV"), true));
    assert!(reading["component"][1]["valueSampledData"]["data"].as_str().unwrap().starts_with("E E E"));

    // What is left when the monitor goes is a reading as well.
    monitor.0.close(None).await.unwrap();
    eventually("the rest is stored", || async { (bed.stored().await.len() == 2).then_some(()) }).await;

    // Sent again after a break, the same is the same.
    let mut again = bed.connect(Some(&bed.key)).await.unwrap();
    again.say(ECG).await;
    again.hear().await.unwrap();
    for second in 0..11_i64 {
        let number = u32::try_from(second).unwrap() + 1;
        again.frame(number, begin - 20 * SECOND + second * SECOND, &[&sine, &flat]).await;
    }
    assert_eq!(again.hear().await.unwrap(), json!({"acknowledged": 10, "outcome": "duplicate", "reference": id}));
    let drawn =
        format!("/fhir/Observation/$downsample?subject=Patient/{}&code=131329&duration=1&points=1", bed.patient);
    let drawn = bed.app.gateway().get(&drawn).await.expect(200).json();
    assert_eq!(drawn["parameter"][0]["resource"]["valueSampledData"]["data"], "0 2.45");
    bed.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_sees_samples_before_they_are_stored() {
    let bed = Bed::start().await;
    let nurse = bed.app.clinician().await;
    let path = format!("/live/patients/{}/waves", bed.patient);
    bed.app.anonymous().get(&path).await.expect(401);
    bed.app.patient_app("patient/*.rs", &bed.patient).get(&path).await.expect(401);
    nurse.get("/live/patients/nobody/waves").await.expect(404);
    let mut strip = nurse.request(reqwest::Method::GET, &path).send().await.unwrap();
    assert_eq!(
        (strip.status().as_u16(), &strip.headers()["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    let mut monitor = bed.connect(Some(&bed.key)).await.unwrap();
    monitor.say(ECG).await;
    monitor.hear().await.unwrap();
    monitor.frame(1, bed.now() - SECOND, &[&[1, 2], &[3, i16::MIN]]).await;
    let mut seen = String::new();
    while !seen.contains("event: wave\n") || !seen.ends_with("\n\n") {
        let chunk = tokio::time::timeout(PATIENCE, strip.chunk()).await.expect("samples").unwrap().unwrap();
        seen.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let data = seen.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["leads"], json!({"131329": "1 2", "131330": "3 E"}));
    assert_eq!((&data["start"], &data["period"]), (&json!(bed.now() - SECOND), &json!(4)));
    bed.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_send_and_what_cannot_be_read_is_told_so() {
    let bed = Bed::start().await;
    let read_only = bed.app.token("system/Observation.rs", None, 600);
    for (token, status) in [(None, 401), (Some("vgd_wrong"), 401), (Some(read_only.as_str()), 403)] {
        match bed.connect(token).await {
            Err(Error::Http(answer)) => assert_eq!(answer.status().as_u16(), status, "{token:?}"),
            _ => panic!("{token:?} came in"),
        }
    }
    bed.app.gateway().get("/device/v1/waves").await.expect(400);
    bed.app.clinician().await.get("/device/v1/waves").await.expect(401);

    for (header, place) in
        [("{}", "header.code"), ("no JSON", "header"), (r#"{"code": "mdc:1", "period": -4}"#, "header.period")]
    {
        let mut monitor = bed.connect(Some(&bed.key)).await.unwrap();
        monitor.say(header).await;
        let told = monitor.hear().await.unwrap();
        assert!(told["refused"].to_string().contains(&format!("\"{place}\"")), "{header}: {told}");
        assert!(monitor.hear().await.unwrap_err().starts_with(&format!("1007 {place}")));
    }
    let mut monitor = bed.connect(Some(&bed.key)).await.unwrap();
    monitor.frame(1, 5, &[&[1], &[2]]).await;
    assert!(monitor.hear().await.unwrap_err().starts_with("1008 "));
    let mut monitor = bed.connect(Some(&bed.key)).await.unwrap();
    monitor.say(ECG).await;
    monitor.hear().await.unwrap();
    monitor.frame(7, bed.now(), &[&[1, 2, 3]]).await;
    assert!(monitor.hear().await.unwrap()["refused"].to_string().contains("frame 7"));

    // Samples of the future wait, and what comes after them is taken.
    let mut monitor = bed.connect(Some(&bed.key)).await.unwrap();
    monitor.say(ECG).await;
    monitor.hear().await.unwrap();
    monitor.frame(1, bed.now() + 3600 * SECOND, &[&[1], &[2]]).await;
    monitor.frame(2, bed.now() - 5 * SECOND, &[&[1], &[2]]).await;
    let told = monitor.hear().await.unwrap();
    assert_eq!((&told["acknowledged"], &told["outcome"]), (&json!(1), &json!("quarantined")));
    bed.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_with_the_credential() {
    let bed = Bed::start().await;
    let mut monitor = bed.connect(Some(&bed.key)).await.unwrap();
    monitor.say(ECG).await;
    monitor.hear().await.unwrap();
    monitor.frame(1, bed.now() - SECOND, &[&[1], &[2]]).await;
    bed.app.gateway().delete(&format!("/device/v1/devices/{}/credentials", bed.device)).await;
    assert_eq!(monitor.hear().await.unwrap_err(), "1008 the credential is not good any more");
    assert!(bed.stored().await.is_empty(), "what came last is not taken from who is locked out");
    bed.app.stop().await;
}
