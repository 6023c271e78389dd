//! HL7 v2 over MLLP: an answer for every frame, and a positive one only for what is stored.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::helpers::{Client, PATIENCE, TestApp, eventually, ids};

const START: u8 = 0x0b;
const END: [u8; 2] = [0x1c, 0x0d];

/// One sender's connection.
pub(crate) struct Sender {
    stream: TcpStream,
    /// What was received and belongs to the next answers.
    received: Vec<u8>,
}

impl Sender {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), received: Vec::new() }
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next answer; none when the server has closed.
    pub(crate) async fn answer(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.received.windows(2).position(|two| two == END) {
                let frame: Vec<u8> = self.received.drain(..end + 2).collect();
                assert_eq!(frame.first(), Some(&START));
                return Some(String::from_utf8(frame[1..end].to_vec()).unwrap());
            }
            let mut chunk = [0; 4096];
            match tokio::time::timeout(PATIENCE, self.stream.read(&mut chunk)).await.expect("an answer or an end") {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.received.extend_from_slice(&chunk[..read]),
            }
        }
    }

    /// The answer; none when the server is gone.
    pub(crate) async fn try_send(&mut self, message: &str) -> Option<String> {
        self.stream.write_all(&framed(message.as_bytes())).await.ok()?;
        self.answer().await
    }

    pub(crate) async fn send(&mut self, message: &str) -> String {
        self.write(&framed(message.as_bytes())).await;
        self.answer().await.expect("every message is answered")
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[START], message, &END].concat()
}

/// A bedside monitor's message: heart rate, saturation and a blood pressure.
pub(crate) fn oru(control_id: &str, record: &str, heart_rate: &str) -> String {
    [
        &format!("MSH|^~\\&|MONITOR|WARD|VIGIA||20260102030405+0000||ORU^R01^ORU_R01|{control_id}|P|2.6"),
        &format!("PID|||{record}^^^WARD||DOE^JANE"),
        "OBR|1|||69990^monitor^MDC|||20260102030405+0000",
        &format!("OBX|1|NM|8867-4^Heart rate^LN||{heart_rate}|/min^^UCUM|||||F"),
        "OBX|2|NM|59408-5^SpO2^LN||98|%^^UCUM|||||F",
        "OBX|3|NM|8480-6^Systolic^LN||120|mm[Hg]^^UCUM|||||F",
        "OBX|4|NM|8462-4^Diastolic^LN||80|mm[Hg]^^UCUM|||||F",
        "",
    ]
    .join("\r")
}

async fn count(client: &Client, patient: &str) -> usize {
    ids(&client.get(&format!("/fhir/Observation?patient={patient}&_count=1000")).await.expect(200).json()).len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_stored_before_it_is_accepted_and_once() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let gateway = app.gateway();
    let mut sender = Sender::connect(app.mllp).await;
    let answer = sender.send(&oru("m1", "r1", "72.50")).await;
    assert!(answer.contains("\rMSA|AA|m1\r"), "{answer}");
    assert_eq!(count(&gateway, &id).await, 3, "the two parts of a pressure are one");
    let found = gateway.get(&format!("/fhir/Observation?patient={id}&code=http://loinc.org|8867-4")).await.text();
    assert!(found.contains(r#""value":72.50"#) && found.contains("vital-signs"), "{found}");
    let pressure = gateway.get(&format!("/fhir/Observation?patient={id}&code=85354-9")).await.json();
    assert_eq!(pressure["entry"][0]["resource"]["component"].as_array().unwrap().len(), 2);

    let again = sender.send(&oru("m1", "r1", "72.50")).await;
    assert!(again.contains("\rMSA|AA|m1\r"), "{again}");
    assert_eq!(count(&gateway, &id).await, 3, "the same message sent again is no second reading");
    let mut other = Sender::connect(app.mllp).await;
    assert!(other.send(&oru("m2", "r1", "73")).await.contains("\rMSA|AA|m2\r"));
    assert_eq!(count(&gateway, &id).await, 6);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_is_told_and_harms_no_neighbour() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let gateway = app.gateway();
    let mut sender = Sender::connect(app.mllp).await;
    let unknown = sender.send(&oru("m1", "nobody", "72")).await;
    assert!(unknown.contains("\rMSA|AE|m1\r") && unknown.contains("\rERR|"), "{unknown}");
    assert!(!unknown.contains("nobody") && !unknown.contains("DOE"), "no patient data in answers: {unknown}");
    let bad_value = sender.send(&oru("m2", "r1", "fast")).await;
    assert!(bad_value.contains("\rMSA|AE|m2\r") && bad_value.contains("OBX^1^5"), "{bad_value}");
    assert_eq!(count(&gateway, &id).await, 2, "the other results of the message are kept");
    for (message, code) in [
        ("MSH|^~\\&|A|B|||20260102||BAR^P01|m3|P|2.6\rPID|||r1\r", "AR"),
        ("garbage", "A"),
        ("", "A"),
        ("MSH", "A"),
        ("MSH|^~\\&\r", "A"),
        ("PID|||r1\r", "A"),
        ("MSH|^~\\&|A|B|||20260102||ORU^R01|m4|P|2.6\rPID|||\rOBX|1|NM|8867-4^^LN||72|/min\r", "AE|m4"),
        (
            "MSH|^~\\&|A|B|||20260102||ORU^R01|m5|P|2.6\rPID|||r1^^^WARD\rOBX|1|NM|8867-4^^LN||72\rsecond half of a line\r",
            "AE|m5",
        ),
        ("MSH|^~\\&|A|B|||20260102||ORU^R01|m6|P|2.6\rPID|||r\u{0}1^^^WARD\rOBX|1|NM|8867-4^^LN||72|/min\r", "A"),
    ] {
        let answer = sender.send(message).await;
        assert!(answer.contains(&format!("\rMSA|{code}")) && !answer.contains("\rMSA|AA"), "{message:?}: {answer:?}");
    }
    // The end of a message is lost on the way; the next one is whole.
    let lost = [&[START], oru("m7", "r1", "73").as_bytes(), &framed(oru("m8", "r1", "74").as_bytes())].concat();
    sender.write(&lost).await;
    let (first, second) = (sender.answer().await.unwrap(), sender.answer().await.unwrap());
    assert!(first.contains("\rMSA|AE|m7\r") && first.contains("\rERR|"), "{first}");
    assert!(second.contains("\rMSA|AA|m8\r"), "{second}");
    assert!(sender.send(&oru("m9", "r1", "75")).await.contains("\rMSA|AA|m9\r"), "the connection is as good as before");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_come_in_any_pieces() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let mut sender = Sender::connect(app.mllp).await;
    for byte in framed(oru("m1", "r1", "70").as_bytes()) {
        sender.write(&[byte]).await;
    }
    assert!(sender.answer().await.unwrap().contains("MSA|AA|m1"));
    let three = ["m2", "m3", "m4"].map(|m| framed(oru(m, "r1", "71").as_bytes())).concat();
    sender.write(&three).await;
    for control_id in ["m2", "m3", "m4"] {
        let answer = sender.answer().await.unwrap();
        assert!(answer.contains(&format!("MSA|AA|{control_id}\r")), "in order: {answer}");
    }
    assert_eq!(count(&app.gateway(), &id).await, 12);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_without_end_is_never_stored_and_blocks_nobody() {
    let app = TestApp::with(|config| config.mllp.max_frame_bytes = 4096).await;
    let id = app.admit("r1", "Vega").await;
    let gateway = app.gateway();
    let message = oru("m1", "r1", "72");
    // One waits for ever, one hangs up in the middle.
    let mut waiting = Sender::connect(app.mllp).await;
    waiting.write(&framed(message.as_bytes())[..message.len()]).await;
    let mut gone = Sender::connect(app.mllp).await;
    gone.write(&framed(message.as_bytes())[..message.len()]).await;
    drop(gone);
    let mut other = Sender::connect(app.mllp).await;
    assert!(other.send(&oru("m2", "r1", "80")).await.contains("MSA|AA|m2"));
    assert_eq!(count(&gateway, &id).await, 3, "only what was complete");

    let mut large = Sender::connect(app.mllp).await;
    let _ = large.stream.write_all(&[&[START][..], &vec![b'x'; 100_000]].concat()).await;
    // The answer may be lost with the connection; that it ends may not.
    if let Some(answer) = large.answer().await {
        assert!(answer.contains("MSA|AR"), "{answer}");
    }
    assert_eq!(large.answer().await, None, "closed");
    let mut noise = Sender::connect(app.mllp).await;
    let _ = noise.stream.write_all(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(400)).await;
    let _ = noise.answer().await;
    assert_eq!(noise.answer().await, None, "no MLLP, no connection");
    assert!(other.send(&oru("m3", "r1", "81")).await.contains("MSA|AA|m3"));
    waiting.write(&framed(message.as_bytes())[message.len()..]).await;
    assert!(waiting.answer().await.unwrap().contains("MSA|AA|m1"), "patience is rewarded");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_senders_at_once() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let (address, gateway) = (app.mllp, app.gateway());
    let senders: Vec<_> = (0..20)
        .map(|n| {
            tokio::spawn(async move {
                let mut sender = Sender::connect(address).await;
                for m in 0..5 {
                    let control_id = format!("s{n}-{m}");
                    let answer = sender.send(&oru(&control_id, "r1", "72")).await;
                    assert!(answer.contains(&format!("MSA|AA|{control_id}\r")), "{answer}");
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    eventually("all of them", || async { (count(&gateway, &id).await == 300).then_some(()) }).await;
    app.stop().await;
}
