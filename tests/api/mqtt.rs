//! MQTT as devices speak it: who is let in, what is taken at which topic, and that an answer means it is stored. The
//! packets of the client are made by hand here; `tests/e2e/device.sh` does the same with
//! mosquitto's client.

use std::net::SocketAddr;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::helpers::{TestApp, minutes_from_now, resources};
use crate::hl7_channels::{Authority, secure};

/// Acknowledged, in either version.
const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;

struct Device<S = TcpStream> {
    stream: S,
    five: bool,
}

fn text(value: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(value.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(value.as_bytes());
    bytes
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let (mut bytes, mut left) = (vec![first], body.len());
    loop {
        let digit = u8::try_from(left % 128).unwrap();
        left /= 128;
        bytes.push(if left > 0 { digit | 0x80 } else { digit });
        if left == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

fn connect(five: bool, client: &str, user: &str, password: &str, keep_alive: u16) -> Vec<u8> {
    let mut body = text("MQTT");
    let flags = 0x02 | if user.is_empty() { 0 } else { 0x80 } | if password.is_empty() { 0 } else { 0x40 };
    body.extend([if five { 5 } else { 4 }, flags]);
    body.extend(keep_alive.to_be_bytes());
    if five {
        body.push(0);
    }
    body.extend(text(client));
    for part in [user, password].into_iter().filter(|part| !part.is_empty()) {
        body.extend(text(part));
    }
    packet(0x10, &body)
}

impl Device {
    /// A connection that has said who it is, and what it was told: the code of the CONNACK.
    async fn comes(address: SocketAddr, five: bool, client: &str, user: &str, password: &str) -> (Self, u8) {
        Self::over(TcpStream::connect(address).await.unwrap(), five, client, user, password).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Device<S> {
    /// The same over a line that stands.
    async fn over(stream: S, five: bool, client: &str, user: &str, password: &str) -> (Self, u8) {
        let mut device = Self { stream, five };
        device.say(&connect(five, client, user, password, 60)).await;
        let told = device.hears().await.expect("an answer");
        assert_eq!(told[0], 0x20, "{told:?}");
        (device, told[3])
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next packet: its first byte, the length, the rest. None when the connection has ended.
    async fn hears(&mut self) -> Option<Vec<u8>> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).await.ok()?;
        assert!(head[1] < 0x80, "short packets only");
        let mut rest = vec![0; head[1].into()];
        self.stream.read_exact(&mut rest).await.ok()?;
        Some([head.to_vec(), rest].concat())
    }

    fn publication(&self, qos: u8, id: u16, topic: &str, payload: &[u8]) -> Vec<u8> {
        let mut body = text(topic);
        if qos > 0 {
            body.extend(id.to_be_bytes());
        }
        if self.five {
            body.push(0);
        }
        body.extend(payload);
        packet(0x30 | qos << 1, &body)
    }

    /// Publishes, and the reason of the answer; 3.1.1 knows none but that it was taken.
    async fn publishes(&mut self, id: u16, topic: &str, payload: &[u8]) -> u8 {
        let bytes = self.publication(1, id, topic, payload);
        self.say(&bytes).await;
        let told = self.hears().await.expect("an answer");
        assert_eq!((told[0], &told[2..4]), (PUBACK, &id.to_be_bytes()[..]), "{told:?}");
        told.get(4).copied().unwrap_or_default()
    }
}

async fn start() -> TestApp {
    TestApp::with(|config| config.mqtt.bind = Some("127.0.0.1:0".parse().unwrap())).await
}

/// A registered device at a patient, with its key.
async fn device(app: &TestApp, serial: &str, patient: &str) -> (String, String) {
    let gateway = app.gateway();
    let device = json!({"resourceType": "Device", "status": "active", "identifier": [{"value": serial}]});
    let id = gateway.post("/fhir/Device", &device).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    let comes = json!({"patient": format!("Patient/{patient}"), "start": minutes_from_now(-60)});
    gateway.post(&format!("/device/v1/devices/{id}/association"), &comes).await.expect(201);
    let path = format!("/device/v1/devices/{id}/credentials");
    let given = gateway.post(&path, &json!({"secret": true})).await.expect(201).json();
    (id, given["secret"].as_str().unwrap().to_owned())
}

fn rate(value: u32, minute: i64) -> Vec<u8> {
    json!({"code": "8867-4", "value": value, "unit": "/min", "time": minutes_from_now(minute)}).to_string().into_bytes()
}

async fn values(app: &TestApp, patient: &str) -> Vec<f64> {
    let path = format!("/fhir/Observation?patient={patient}&_sort=date&_count=100");
    let found = resources(&app.gateway().get(&path).await.expect(200).json());
    found.iter().map(|one: &Value| one["valueQuantity"]["value"].as_f64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_stored() {
    let app = start().await;
    let address = app.mqtt.unwrap();
    let ana = app.admit("r1", "Vega").await;
    let (id, key) = device(&app, "m1", &ana).await;
    let observations = format!("vitals/{id}/observations");

    let (mut old, code) = Device::comes(address, false, "old", "", "").await;
    assert_eq!((code, old.hears().await), (4, None), "nobody");
    let (mut wrong, code) = Device::comes(address, true, "wrong", "m1", "vgd_wrong").await;
    assert_eq!((code, wrong.hears().await), (0x86, None), "not with this key");

    for (five, client, user, password) in
        [(false, "a", "m1", key.as_str()), (false, "b", &key, ""), (true, "c", &key, ""), (true, "", "m1", &key)]
    {
        let (mut device, code) = Device::comes(address, five, client, user, password).await;
        assert_eq!(code, 0, "{five} {client} {user}");
        let before = values(&app, &ana).await.len();
        assert_eq!(device.publishes(7, &observations, &rate(70, -50 + i64::try_from(before).unwrap())).await, 0);
        assert_eq!(values(&app, &ana).await.len(), before + 1);
    }

    let (mut device, _) = Device::comes(address, true, "d", "m1", &key).await;
    let same = rate(75, -10);
    assert_eq!(device.publishes(1, "vitals/me/observations", &same).await, 0);
    assert_eq!(device.publishes(2, "vitals/me/observations", &same).await, 0, "once more, the same");
    assert_eq!(device.publishes(3, "v1/devices/me/telemetry", br#"{"heartRate": 76}"#).await, 0);
    assert_eq!(device.publishes(4, "vitals/me/gatt/2A37", &[0x00, 77]).await, 0);
    assert_eq!(values(&app, &ana).await, [70.0, 70.0, 70.0, 70.0, 75.0, 76.0, 77.0]);
    for (topic, payload, code) in [
        ("vitals/me/observations", &b"not json"[..], 0x99),
        ("vitals/me/observations", br#"{"code": "8867-4", "value": "high", "unit": "/min"}"#, 0x99),
        ("vitals/me/gatt/2A37", &[0x01], 0x99),
        ("vitals/somebody/observations", &same, 0x87),
        ("vitals/somebody/gatt/2A37", &[0x00, 77], 0x87),
        ("weather/today", &same, 0x90),
    ] {
        assert_eq!(device.publishes(9, topic, payload).await, code, "{topic}");
    }
    assert_eq!(values(&app, &ana).await.len(), 7);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_answered_in_order() {
    let app = start().await;
    let ana = app.admit("r1", "Vega").await;
    let (_, key) = device(&app, "m1", &ana).await;
    let (mut device, _) = Device::comes(app.mqtt.unwrap(), false, "a", "m1", &key).await;
    let mut all = Vec::new();
    for id in 1..=60_u16 {
        let at = i64::from(id) - 61;
        all.extend(device.publication(1, id, "vitals/me/observations", &rate(u32::from(id) + 40, at)));
    }
    // Not asked to be answered, and still taken; a packet may come in two pieces.
    all.extend(device.publication(0, 0, "vitals/me/observations", &rate(140, 0)));
    let (first, rest) = all.split_at(all.len() / 2 + 1);
    device.say(first).await;
    device.say(rest).await;
    for id in 1..=60_u16 {
        let told = device.hears().await.unwrap();
        assert_eq!((told[0], &told[2..4]), (PUBACK, &id.to_be_bytes()[..]));
    }
    device.say(&packet(0xC0, &[])).await;
    assert_eq!(device.hears().await, Some(vec![0xD0, 0]), "PINGRESP, after all before it");
    assert_eq!(values(&app, &ana).await.len(), 61);

    // Exactly once.
    let twice = device.publication(2, 9, "vitals/me/observations", &rate(150, 1));
    device.say(&twice).await;
    assert_eq!(device.hears().await, Some(vec![PUBREC, 2, 0, 9]));
    device.say(&packet(0x62, &[0, 9])).await;
    assert_eq!(device.hears().await, Some(vec![0x70, 2, 0, 9]));

    // This is no broker.
    let mut filter = vec![0, 11];
    filter.extend(text("#"));
    filter.push(1);
    device.say(&packet(0x82, &filter)).await;
    assert_eq!(device.hears().await, Some(vec![0x90, 3, 0, 11, 0x80]));
    device.say(&packet(0xE0, &[])).await;
    assert_eq!(device.hears().await, None);
    assert_eq!(values(&app, &ana).await.len(), 62);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_end_when_they_must() {
    let app = start().await;
    let address = app.mqtt.unwrap();
    let ana = app.admit("r1", "Vega").await;
    let (id, key) = device(&app, "m1", &ana).await;

    // Who comes under the same name takes the place; the same name of another is another.
    let (mut first, _) = Device::comes(address, true, "same", "m1", &key).await;
    let (mut second, _) = Device::comes(address, true, "same", "m1", &key).await;
    assert_eq!(first.hears().await.map(|told| (told[0], told[2])), Some((0xE0, 0x8E)));
    assert_eq!(second.publishes(1, "vitals/me/observations", &rate(70, -1)).await, 0);

    // Nobody need wait for the welcome.
    let mut eager = Device { stream: TcpStream::connect(address).await.unwrap(), five: false };
    let bytes = eager.publication(1, 5, "vitals/me/observations", &rate(71, -2));
    eager.say(&[connect(false, "eager", "m1", &key, 60), bytes].concat()).await;
    assert_eq!(eager.hears().await, Some(vec![0x20, 2, 0, 0]));
    assert_eq!(eager.hears().await, Some(vec![PUBACK, 2, 0, 5]));

    // A key that is over ends what was opened with it.
    app.gateway().delete(&format!("/device/v1/devices/{id}/credentials")).await.expect(204);
    assert_eq!(second.hears().await.map(|told| (told[0], told[2])), Some((0xE0, 0x87)));
    assert_eq!(second.hears().await, None);

    // What is no MQTT, or too large, ends.
    for bytes in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), packet(0x10, &[0, 4, b'M']), vec![0x10, 0xFF, 0xFF, 0xFF, 0x7F]] {
        let mut stranger = Device { stream: TcpStream::connect(address).await.unwrap(), five: false };
        stranger.say(&bytes).await;
        let mut left = Vec::new();
        let _ = stranger.stream.read_to_end(&mut left).await;
    }

    // Who says nothing for one and a half times what it promised is gone.
    let (_, key) = device(&app, "m2", &ana).await;
    let mut quiet = Device { stream: TcpStream::connect(address).await.unwrap(), five: true };
    quiet.say(&connect(true, "quiet", "m2", &key, 1)).await;
    assert_eq!(quiet.hears().await.map(|told| told[3]), Some(0));
    assert_eq!(quiet.hears().await.map(|told| (told[0], told[2])), Some((0xE0, 0x8D)));
    let (mut last, _) = Device::comes(address, true, "last", "m2", &key).await;
    app.stop().await;
    assert_eq!(last.hears().await.map(|told| (told[0], told[2])), Some((0xE0, 0x8B)), "it stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_proof_enough() {
    let (ours, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let server = ours.write(folder.path(), "vigia.test");
    let (own, other) = (ours.write(folder.path(), "bed-3.test"), ours.write(folder.path(), "bed-4.test"));
    let app = TestApp::with(|config| {
        config.mqtt.bind = Some("127.0.0.1:0".parse().unwrap());
        config.mqtt.tls = Some(server);
    })
    .await;
    let (gateway, address, patient) = (app.gateway(), app.mqtt.unwrap(), app.admit("r1", "Vega").await);
    let (id, key) = device(&app, "m1", &patient).await;
    let certificates = vigia::hl7::tls::certificates("cert", &own.cert).unwrap();
    let fingerprint: Vec<String> = Sha256::digest(&certificates[0]).iter().map(|byte| format!("{byte:02X}")).collect();
    let wish = json!({"certificate": fingerprint.join(":")});
    gateway.post(&format!("/device/v1/devices/{id}/credentials"), &wish).await.expect(201);

    // With its certificate nothing more is asked; with another it needs its key; without one it is not heard.
    let (mut monitor, told) = Device::over(secure(address, &ours, Some(&own)).await.unwrap(), true, "c", "", "").await;
    assert_eq!((told, monitor.publishes(1, "vitals/me/observations", &rate(72, -3)).await), (0, 0));
    let foreign = "vitals/someone-else/observations";
    assert_eq!(monitor.publishes(2, foreign, &rate(73, -2)).await, 0x87, "not authorized");
    let (_, told) = Device::over(secure(address, &ours, Some(&other)).await.unwrap(), true, "d", "", "").await;
    assert_ne!(told, 0);
    let stream = secure(address, &ours, Some(&other)).await.unwrap();
    let (mut known, told) = Device::over(stream, true, "e", &id, &key).await;
    assert_eq!((told, known.publishes(1, "vitals/me/observations", &rate(74, -1)).await), (0, 0));
    if let Ok(mut nobody) = secure(address, &ours, None).await {
        let _ = nobody.write_all(&connect(true, "f", &id, &key, 60)).await;
        assert_eq!(nobody.read(&mut [0; 8]).await.unwrap_or(0), 0, "not heard");
    }
    assert_eq!(values(&app, &patient).await, [72.0, 74.0]);

    // A certificate that was revoked cuts the line, and is good no more.
    gateway.delete(&format!("/device/v1/devices/{id}/credentials")).await;
    assert_eq!(monitor.hears().await.map(|told| told[0]), Some(0xE0), "sent away");
    let (_, told) = Device::over(secure(address, &ours, Some(&own)).await.unwrap(), true, "c", "", "").await;
    assert_ne!(told, 0);
    app.stop().await;
}
