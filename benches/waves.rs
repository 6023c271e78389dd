//! Electrocardiograms live: `cargo bench --bench waves`. So many monitors send one lead each over a WebSocket at their pace, a
//! few of the patients are watched, and at the end it is asked whether every sample is on disk.

#![expect(clippy::print_stdout, reason = "a report for whoever runs it")]

#[path = "load/client.rs"]
#[expect(dead_code, reason = "this program speaks HTTP and WebSocket only")]
mod client;
#[path = "load/server.rs"]
#[expect(dead_code, reason = "this program does not measure memory over time")]
mod server;
#[path = "vitals/mod.rs"]
mod vitals;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::client::Connection;
use crate::server::{Server, database_bytes};

/// Between two frames, ms.
const FRAME_MS: u64 = 200;
/// Patients who are watched.
const WATCHED: usize = 5;

/// Electrocardiograms live.
#[derive(Clone, Debug, Parser)]
struct Options {
    #[arg(long, default_value_t = 100)]
    leads: u32,
    /// Samples a second.
    #[arg(long, default_value_t = 250)]
    rate: u64,
    #[arg(long, default_value_t = 40)]
    seconds: u64,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let data = tempfile::tempdir()?;
    let binary = Path::new(env!("CARGO_BIN_EXE_vigia"));
    let server = Server::start(binary, data.path(), None).await?;
    let cookie = sign_in(&server, binary, data.path()).await?;
    let mut patients = Vec::new();
    for n in 0..options.leads {
        patients.push(patient(&server, n).await?);
    }
    let before = server.usage().cpu_seconds;
    let mut watchers = JoinSet::new();
    for patient in patients.iter().take(WATCHED) {
        let address = format!("http://{}/live/patients/{patient}/waves", server.http);
        watchers.spawn(watch(address, cookie.clone(), options.seconds));
    }
    let mut monitors = JoinSet::new();
    for patient in patients {
        monitors.spawn(monitor(server.http.clone(), server.token.clone(), patient, options.clone()));
    }
    let (mut sent, mut stored) = (0, 0);
    while let Some(done) = monitors.join_next().await {
        let (own, acknowledged) = done??;
        sent += own;
        stored += acknowledged;
    }
    let cpu = server.usage().cpu_seconds - before;
    let mut delays = Vec::new();
    while let Some(done) = watchers.join_next().await {
        delays.extend(done??);
    }
    delays.sort_unstable();
    let of = |hundredths: usize| delays.get(delays.len() * hundredths / 100).copied().unwrap_or_default();
    let resident = server.usage().resident_mb;
    server.stop()?;
    let samples = f64::from(sent) * f64::from(u32::try_from(options.rate * FRAME_MS / 1000)?);
    // The whole database: what is in it beside the waveforms counts as theirs.
    let bytes = f64::from(u32::try_from(database_bytes(data.path()))?);
    let seconds = f64::from(u32::try_from(options.seconds)?);
    println!(
        "| leads | samples/s | frames sent | acknowledged | live p50 | p99 | cores of the server | memory | bytes a sample |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    println!(
        "| {} | {:.0} | {sent} | {stored} | {} ms | {} ms | {:.2} | {resident:.0} MB | {:.2} |",
        options.leads,
        samples / seconds,
        of(50),
        of(99),
        cpu / seconds,
        bytes / samples
    );
    ensure!(sent == stored, "frames were lost");
    Ok(())
}

/// The cookie of somebody who may watch.
async fn sign_in(server: &Server, binary: &Path, data: &Path) -> Result<String> {
    let mut add = Command::new(binary);
    add.current_dir(data).env("VIGIA__DATA_DIR", data).args(["user", "add", "nurse", "--name", "Nurse"]);
    let made = add.output()?;
    ensure!(made.status.success(), "vigia user add failed: {}", String::from_utf8_lossy(&made.stderr));
    let text = String::from_utf8(made.stdout)?;
    let password = text.trim().rsplit('\t').next().context("no password")?.to_owned();
    let login = reqwest::Client::new().post(format!("http://{}/auth/login", server.http));
    let login = login.header("X-Requested-With", "vigia").json(&json!({"username": "nurse", "password": password}));
    let answer = login.send().await?.error_for_status()?;
    let cookie = answer.headers().get("set-cookie").and_then(|value| value.to_str().ok()).context("no session")?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

async fn patient(server: &Server, n: u32) -> Result<String> {
    let id = format!("bench-{n}");
    let patient = json!({"resourceType": "Patient", "id": id}).to_string();
    let request = server.requests().send("PUT", &format!("/fhir/Patient/{id}"), "application/fhir+json", &patient);
    let mut connection = Connection::open(&server.http).await?;
    ensure!(connection.call(&request).await?.status == 201, "no patient");
    Ok(id)
}

fn now_us() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?)
}

/// How many frames were sent, and up to which one all are stored.
async fn monitor(address: String, token: String, patient: String, options: Options) -> Result<(u32, u32)> {
    let mut request = format!("ws://{address}/device/v1/waves").into_client_request()?;
    request.headers_mut().insert("Authorization", format!("Bearer {token}").parse()?);
    let (mut door, _) = connect_async(request).await?;
    let header = json!({"patient": format!("Patient/{patient}"), "code": "mdc:131329", "unit": "mV", "factor": 0.005,
        "period": serde_json::Number::from(1000 / options.rate)});
    door.send(Message::text(header.to_string())).await?;
    let count = options.rate * FRAME_MS / 1000;
    let frames = u32::try_from(options.seconds * 1000 / FRAME_MS)?;
    let mut tick = interval(Duration::from_millis(FRAME_MS));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    tick.tick().await;
    let (begin, mut stored) = (now_us()?, 0);
    let mut number = 0;
    while number < frames {
        tokio::select! {
            _ = tick.tick() => {
                let starts = begin + i64::from(number) * i64::try_from(FRAME_MS * 1000)?;
                number += 1;
                door.send(Message::binary(frame(number, starts, count)?)).await?;
            }
            told = door.next() => stored = acknowledged(told, stored)?,
        }
    }
    // What is left becomes a reading a few seconds after the last frame.
    while stored < frames {
        stored = acknowledged(tokio::time::timeout(Duration::from_secs(30), door.next()).await?, stored)?;
    }
    door.close(None).await?;
    Ok((frames, stored))
}

fn acknowledged(told: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>, before: u32) -> Result<u32> {
    let message = told.context("the connection has ended")??;
    let Message::Text(text) = message else { return Ok(before) };
    let told: Value = serde_json::from_str(&text)?;
    ensure!(told.get("rejected").is_none() && told.get("refused").is_none(), "{told}");
    Ok(told.get("acknowledged").and_then(Value::as_u64).map(u32::try_from).transpose()?.unwrap_or(before))
}

/// A heart that beats once a second, with some noise.
fn frame(number: u32, starts: i64, count: u64) -> Result<Vec<u8>> {
    let mut bytes = [&number.to_le_bytes()[..], &starts.to_le_bytes()].concat();
    for n in 0..count {
        let at = (u64::from(number) * count + n) % (5 * count);
        let spike = i16::try_from(if at < 6 { 60 * (3 - at.abs_diff(3)) } else { 0 })?;
        let noise = rand::random_range(-3..=3_i16);
        bytes.extend((200 + spike + noise).to_le_bytes());
    }
    Ok(bytes)
}

/// How long after its last sample each frame was seen, ms.
async fn watch(address: String, cookie: String, seconds: u64) -> Result<Vec<i64>> {
    let mut stream = reqwest::Client::new().get(address).header("Cookie", cookie).send().await?.error_for_status()?;
    let (mut delays, mut text) = (Vec::new(), String::new());
    let until = tokio::time::Instant::now() + Duration::from_secs(seconds);
    while let Ok(chunk) = tokio::time::timeout_at(until, stream.chunk()).await {
        let Some(chunk) = chunk? else { break };
        text.push_str(std::str::from_utf8(&chunk)?);
        while let Some((event, rest)) = text.split_once("\n\n") {
            if let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) {
                let told: Value = serde_json::from_str(data)?;
                let start = told.get("start").and_then(Value::as_i64).context("no time")?;
                delays.push((now_us()? - start - i64::try_from(FRAME_MS * 1000)?) / 1000);
            }
            text = rest.to_owned();
        }
    }
    Ok(delays)
}
