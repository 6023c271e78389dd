//! Readings from a broker: a real Mosquitto, its real client, and nodes that fetch from it.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;
use vigia::clock::Clock;
use vigia::config::Config;
use vigia::config::mqtt::Broker;

use crate::helpers::{Client, Place, TestApp, eventually, minutes_from_now};

/// A broker on a port of its own; it keeps sessions in memory.
struct Mosquitto {
    process: Child,
    folder: TempDir,
    port: u16,
}

impl Mosquitto {
    /// None on a machine without it; `tests/run` sees to it that it is there.
    async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!("listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n");
        std::fs::write(folder.path().join("mosquitto.conf"), settings).unwrap();
        let process = Self::run(&folder)?;
        let broker = Self { process, folder, port };
        broker.answers().await;
        Some(broker)
    }

    fn run(folder: &TempDir) -> Option<Child> {
        let programs = ["mosquitto", "/usr/sbin/mosquitto"].into_iter();
        let settings = folder.path().join("mosquitto.conf");
        let run = |program| {
            Command::new(program).arg("-c").arg(&settings).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
        };
        programs.map(run).find_map(Result::ok)
    }

    async fn answers(&self) {
        eventually("the broker answers", || async {
            tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.ok()
        })
        .await;
    }

    async fn again(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = Self::run(&self.folder).unwrap();
        self.answers().await;
    }

    /// Publishes with quality of service 1, as a device would.
    async fn publish(&self, topic: &str, payloads: &[String]) {
        for payload in payloads {
            let mut command = Command::new("mosquitto_pub");
            command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-q", "1", "-t", topic, "-m", payload]);
            let done = tokio::task::spawn_blocking(move || command.status().unwrap()).await.unwrap();
            assert!(done.success(), "{topic}");
        }
    }

    fn fetched_by(&self, node: &str) -> impl FnOnce(&mut Config) + use<> {
        let (address, client_id) = (format!("127.0.0.1:{}", self.port), node.to_owned());
        move |config| {
            config.mqtt.broker = vec![Broker { name: "ward".into(), address, client_id, ..Broker::default() }];
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn rate(value: u32, minute: i64) -> String {
    json!({"code": "8867-4", "value": value, "unit": "/min", "time": minutes_from_now(minute)}).to_string()
}

/// A registered device at a patient.
async fn device(app: &TestApp, serial: &str, patient: &str) -> String {
    let device = json!({"resourceType": "Device", "status": "active", "identifier": [{"value": serial}]});
    let id = app.gateway().post("/fhir/Device", &device).await.expect(201).id();
    let comes = json!({"patient": format!("Patient/{patient}"), "start": minutes_from_now(-120)});
    app.gateway().post(&format!("/device/v1/devices/{id}/association"), &comes).await.expect(201);
    id
}

async fn count(client: &Client) -> u64 {
    let found = client.get("/fhir/Observation?code=8867-4&_summary=count").await.expect(200).json();
    found["total"].as_u64().unwrap()
}

/// Waits until the node has subscribed: what is published after that is kept for it. The reading that it is tried with
/// is one, however often it is sent.
async fn subscribed(app: &TestApp, broker: &Mosquitto, device: &str, minute: i64) {
    let (before, time) = (count(&app.gateway()).await, minutes_from_now(minute));
    let probe = json!({"id": time, "code": "8867-4", "value": 60, "unit": "/min", "time": time}).to_string();
    eventually("the subscription", || async {
        broker.publish(&format!("vitals/{device}/observations"), std::slice::from_ref(&probe)).await;
        (count(&app.gateway()).await > before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_devices_publish_to_a_broker_is_stored_once() {
    let Some(mut broker) = Mosquitto::start().await else { return };
    let app = TestApp::with(broker.fetched_by("node-1")).await;
    let patient = app.admit("r1", "Vega").await;
    let id = device(&app, "m-1", &patient).await;
    subscribed(&app, &broker, &id, -100).await;
    let topic = format!("vitals/{id}/observations");
    broker.publish(&topic, &(1..=10).map(|minute| rate(70, -minute)).collect::<Vec<_>>()).await;
    eventually("all of them", || async { (count(&app.gateway()).await == 11).then_some(()) }).await;

    // What cannot be taken is passed over, and holds nobody up.
    let foreign = json!({"device": "Device/other", "code": "8867-4", "value": 1, "unit": "/min"}).to_string();
    for (topic, payload) in [
        (topic.as_str(), "no JSON".to_owned()),
        (topic.as_str(), foreign),
        ("vitals/nobody/observations", rate(71, -1)),
        (topic.as_str(), rate(72, -20)),
    ] {
        broker.publish(topic, &[payload]).await;
    }
    eventually("the good one", || async { (count(&app.gateway()).await == 12).then_some(()) }).await;
    let administrator = app.administrator().await;
    let metrics = administrator.get("/metrics").await.expect(200).text();
    assert!(metrics.contains(r#"vigia_mqtt_bridged_total{broker="ward",outcome="refused"} 3"#), "{metrics}");

    // A device that is put out of use is not heard any more.
    let mut used = app.gateway().get(&format!("/fhir/Device/{id}")).await.expect(200).json();
    used["status"] = "inactive".into();
    app.gateway().put(&format!("/fhir/Device/{id}"), &used).await.expect(200);
    broker.publish(&topic, &[rate(73, -30)]).await;
    used["status"] = "active".into();
    eventually("it is passed over", || async {
        let metrics = administrator.get("/metrics").await.expect(200).text();
        metrics.contains(r#"outcome="refused"} 4"#).then_some(())
    })
    .await;
    app.gateway().put(&format!("/fhir/Device/{id}"), &used).await.expect(200);

    // A broker that was away is found again.
    broker.again().await;
    subscribed(&app, &broker, &id, -40).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_keeps_what_comes_while_a_node_is_away() {
    let Some(broker) = Mosquitto::start().await else { return };
    let app = TestApp::with(broker.fetched_by("node-1")).await;
    let patient = app.admit("r1", "Vega").await;
    let id = device(&app, "m-1", &patient).await;
    subscribed(&app, &broker, &id, -100).await;
    let place = app.stop().await;
    let topic = format!("vitals/{id}/observations");
    broker.publish(&topic, &(1..=5).map(|minute| rate(80, -minute)).collect::<Vec<_>>()).await;
    let app = TestApp::on(place, Clock::default(), broker.fetched_by("node-1")).await;
    eventually("what came meanwhile", || async { (count(&app.gateway()).await == 6).then_some(()) }).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_share_what_comes_and_store_it_once() {
    let Some(broker) = Mosquitto::start().await else { return };
    let place = Place::new().await;
    let Some(beside) = place.beside() else { return };
    let one = TestApp::on(place, Clock::default(), broker.fetched_by("node-1")).await;
    let other = TestApp::on(beside, Clock::default(), broker.fetched_by("node-2")).await;
    let patient = one.admit("r1", "Vega").await;
    let id = device(&one, "m-1", &patient).await;
    subscribed(&one, &broker, &id, -110).await;
    let topic = format!("vitals/{id}/observations");
    let before = count(&one.gateway()).await;
    broker.publish(&topic, &(1..=20).map(|minute| rate(90, -minute)).collect::<Vec<_>>()).await;
    eventually("all of them, once", || async { (count(&one.gateway()).await == before + 20).then_some(()) }).await;
    other.stop().await;
    drop(one.stop().await);
}
