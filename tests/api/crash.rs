//! `kill -9` under load: whatever was acknowledged is there afterwards, and what follows from it is told once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::helpers::process::Process;
use crate::helpers::samples::{bundle, encounter, entry, heart_rate, observation, patient};
use crate::helpers::{Client, Place, eventually, ids, minutes_from_now};
use crate::mllp::{Sender, oru};
use crate::replay::oracle::{self, HEART, Reading};
use crate::replay::series::{Request, device, fhir, generate, is_taken, prepare, random, told};

/// Acknowledged Observations, and the heart rates of acknowledged HL7 messages.
#[derive(Default)]
struct Acknowledged {
    observations: Vec<String>,
    messages: Vec<String>,
}

type Kept = Arc<Mutex<Acknowledged>>;

/// Sends a JSON body; none when the server is gone.
async fn send(client: &Client, path: &str, body: &Value) -> Option<(u16, Value)> {
    let request = client.request(reqwest::Method::POST, path).header("Content-Type", "application/json");
    let response = request.body(body.to_string()).send().await.ok()?;
    let status = response.status().as_u16();
    Some((status, serde_json::from_slice(&response.bytes().await.ok()?).ok()?))
}

async fn singles(client: Client, kept: Kept) {
    while let Some((status, body)) =
        send(&client, "/fhir/Observation", &observation("p", "8867-4", "72", "/min", &minutes_from_now(0))).await
    {
        assert_eq!(status, 201, "{body}");
        kept.lock().unwrap().observations.push(format!("Observation/{}", body["id"].as_str().unwrap()));
    }
}

async fn bundles(client: Client, kept: Kept, kind: &'static str) {
    let entries: Vec<Value> = (0..10)
        .map(|_| entry("POST", "Observation", &observation("p", "8867-4", "73", "/min", &minutes_from_now(0))))
        .collect();
    while let Some((status, body)) = send(&client, "/fhir", &bundle(kind, &entries)).await {
        assert_eq!(status, 200, "{body}");
        for entry in body["entry"].as_array().unwrap() {
            let location = entry["response"]["location"].as_str().unwrap();
            let place = location.split("/fhir/").nth(1).unwrap().split("/_history").next().unwrap();
            kept.lock().unwrap().observations.push(place.to_owned());
        }
    }
}

async fn uploads(client: Client, kept: Kept) {
    for n in 0.. {
        let reading = |k: i64| {
            let mut reading = heart_rate("p", 74, &minutes_from_now(-k));
            reading["id"] = json!(format!("{n}-{k}"));
            reading
        };
        let Some((status, body)) = send(&client, "/device/v1/observations", &json!([reading(1), reading(2)])).await
        else {
            return;
        };
        assert_eq!(status, 200, "{body}");
        let places =
            body["items"].as_array().unwrap().iter().map(|item| item["reference"].as_str().unwrap().to_owned());
        kept.lock().unwrap().observations.extend(places);
    }
}

async fn messages(server: std::net::SocketAddr, kept: Kept, round: u32) {
    let mut sender = Sender::connect(server).await;
    for n in 0..20_000_u32 {
        // A value of its own, by which it is found again.
        let value = format!("100.{:05}", round * 20_000 + n);
        let Some(answer) = sender.try_send(&oru(&format!("m{round}-{n}"), "r1", &value)).await else { return };
        assert!(answer.contains("MSA|AA"), "{answer}");
        kept.lock().unwrap().messages.push(value);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost() {
    let place = Place::new().await;
    let mut server = Process::serve(&place, "info").await;
    let gateway = server.client("system/*.cruds");
    gateway.put("/fhir/Patient/p", &patient("p", "r1", "Vega")).await.expect(201);
    gateway.post("/fhir/Encounter", &encounter("p")).await.expect(201);
    let kept = Kept::default();
    for round in 0..3 {
        let before = kept.lock().unwrap().observations.len();
        let client = || server.client("system/*.cruds");
        let mut writers = vec![
            tokio::spawn(bundles(client(), kept.clone(), "batch")),
            tokio::spawn(bundles(client(), kept.clone(), "transaction")),
            tokio::spawn(uploads(client(), kept.clone())),
            tokio::spawn(messages(server.mllp, kept.clone(), round)),
        ];
        writers.extend((0..4).map(|_| tokio::spawn(singles(client(), kept.clone()))));
        eventually("enough was written", || async {
            (kept.lock().unwrap().observations.len() > before + 500).then_some(())
        })
        .await;
        server.kill();
        for writer in writers {
            writer.await.unwrap();
        }
        server = Process::serve(&place, "info").await;
    }
    let gateway = server.client("system/*.cruds");
    let kept = std::mem::take(&mut *kept.lock().unwrap());
    assert!(
        kept.observations.len() > 1500 && kept.messages.len() > 3,
        "{} {}",
        kept.observations.len(),
        kept.messages.len()
    );
    for place in &kept.observations {
        gateway.get(&format!("/fhir/{place}")).await.expect(200);
    }
    for value in &kept.messages {
        let found = gateway
            .get(&format!("/fhir/Observation?patient=p&code=http://loinc.org|8867-4&value-quantity={value}"))
            .await;
        assert_eq!(ids(&found.expect(200).json()).len(), 1, "{value}");
    }
    server.stop().await;
}

/// The ways to the nodes that are up.
type Doors = Arc<Mutex<Vec<Option<Client>>>>;

/// Sends until it is taken, by whichever node is there. What nobody answered may have been stored or not.
async fn deliver(doors: &Doors, request: &Request, number: usize) {
    let body = request.body.to_string();
    let method = if request.method == "PUT" { reqwest::Method::PUT } else { reqwest::Method::POST };
    for attempt in number.. {
        let up: Vec<Client> = doors.lock().unwrap().iter().flatten().cloned().collect();
        let Some(client) = up.get(attempt % up.len().max(1)) else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let ask = client.request(method.clone(), &request.path).header("Content-Type", "application/json");
        let Ok(response) = ask.body(body.clone()).send().await else { continue };
        let status = response.status().as_u16();
        let Ok(answer) = response.bytes().await else { continue };
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        if is_taken(status, &answer) {
            return;
        }
        assert!([429, 503].contains(&status), "{}: {status} {answer}", request.path);
    }
}

/// Readings of several patients in parcels of five, one after the other; half of them by each door.
async fn lane(doors: Doors, done: Arc<AtomicUsize>, patients: Vec<(String, Vec<Reading>)>) {
    for (number, (id, readings)) in patients.iter().enumerate() {
        for (parcel, chunk) in readings.chunks(5).enumerate() {
            let form = if number % 2 == 0 { fhir } else { device };
            deliver(&doors, &form(id, chunk), parcel).await;
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_episode_is_told_once_whatever_is_killed() {
    let place = Place::new().await;
    // On PostgreSQL two nodes, one of which at a time is killed.
    let places: Vec<Place> = place.beside().into_iter().collect();
    let places: Vec<&Place> = std::iter::once(&place).chain(&places).collect();
    let (mut servers, doors) = (Vec::new(), Doors::default());
    for place in &places {
        let server = Process::serve(place, "info").await;
        doors.lock().unwrap().push(Some(server.client("system/*.cruds")));
        servers.push(server);
    }
    let all: Vec<(String, Vec<Reading>)> = (0..12).map(|n| (format!("p{n}"), generate(1_000 + n, 100))).collect();
    let ids: Vec<String> = all.iter().map(|(id, _)| id.clone()).chain(["fence".to_owned()]).collect();
    prepare(&servers[0].client("system/*.cruds"), &ids).await;

    let done = Arc::new(AtomicUsize::new(0));
    let mut lanes = tokio::task::JoinSet::new();
    for own in all.chunks(4) {
        lanes.spawn(lane(doors.clone(), done.clone(), own.to_vec()));
    }
    let (total, mut state) = (12 * 20, 7);
    for kill in 0..3 {
        let moment = total / 4 * (kill + 1) - usize::try_from(random(&mut state, 40)).unwrap();
        eventually("so much was sent", || async { (done.load(Ordering::Relaxed) >= moment).then_some(()) }).await;
        let victim = kill % servers.len();
        doors.lock().unwrap()[victim] = None;
        servers[victim].kill();
        servers[victim] = Process::serve(places[victim], "info").await;
        doors.lock().unwrap()[victim] = Some(servers[victim].client("system/*.cruds"));
    }
    while let Some(ended) = lanes.join_next().await {
        ended.unwrap();
    }
    // The log is judged in its order: once this alert is there, everything before it was judged.
    let gateway = servers[0].client("system/*.cruds");
    let alarming = [0, 1].map(|at| Reading { at, signal: HEART, tenths: 1400 });
    deliver(&doors, &device("fence", &alarming), 0).await;
    eventually("all is judged", || async { (!told(&gateway, "fence").await.is_empty()).then_some(()) }).await;
    let mut count = 1;
    for (id, readings) in &all {
        let expected = oracle::episodes(readings);
        assert_eq!(told(&gateway, id).await, expected, "{id}");
        count += expected.len();
    }
    let stand = gateway.get("/fhir/DetectedIssue?status:not=entered-in-error&_summary=count").await.expect(200).json();
    assert!(count > 50 && stand["total"] == count, "{count} episodes, {stand}");
    for server in servers {
        server.stop().await;
    }
}
