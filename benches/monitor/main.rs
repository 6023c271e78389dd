//! A hospital under watch for some minutes: `cargo bench --bench monitor`. Thousands of patients, each with five vital
//! signs at a steady pace and at the present time, through the device door of a server that runs as a process of its
//! own with the rules as they are shipped. A line every half minute: memory and CPU of the server, how long uploads
//! took, and how long from the commit of a reading to that of its alert. Some patients alarm all the time; `--storm`:
//! now and then all do at once.

#![expect(clippy::print_stdout, reason = "a report for whoever runs it")]

#[path = "../load/client.rs"]
mod client;
#[path = "../load/measure.rs"]
#[expect(dead_code, reason = "this program has a pace of its own")]
mod measure;
#[path = "../load/mqtt.rs"]
mod mqtt;
mod send;
#[path = "../load/server.rs"]
#[expect(dead_code, reason = "this program measures the present only")]
mod server;
#[path = "../vitals/mod.rs"]
mod vitals;
mod ward;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Parser;
use tokio::task::JoinSet;

use crate::client::Connection;
use crate::measure::histogram;
use crate::send::{Schedule, Sent, send};
use crate::server::{Server, Usage};
use crate::ward::Ward;

/// A hospital under watch for some minutes.
#[derive(Clone, Debug, Parser)]
struct Options {
    #[arg(long, default_value_t = 10_000)]
    patients: u64,
    /// Seconds between two readings of a patient and sign. 10,000 patients every ten seconds: 5,000 readings a second.
    #[arg(long, default_value_t = 10)]
    every: u64,
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Of a thousand patients so many are beyond a limit at any time.
    #[arg(long, default_value_t = 5)]
    alarms: u64,
    /// Every tenth time that alarms change, all patients are beyond a limit at once.
    #[arg(long)]
    storm: bool,
    /// Patients whose readings come in one upload, as from a gateway.
    #[arg(long, default_value_t = 20)]
    gateway: u64,
    #[arg(long, default_value_t = 8)]
    connections: u64,
    /// Seconds between two lines.
    #[arg(long, default_value_t = 30.0)]
    report: f64,
    /// After so many seconds the server is stopped and started again.
    #[arg(long)]
    restart: Option<f64>,
    /// A PostgreSQL database of its own instead of SQLite: `postgres://…`.
    #[arg(long)]
    database: Option<String>,
    /// Another `vigia` binary than the one built with this program.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Given by `cargo bench`; means nothing.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(options.every > 0 && options.gateway > 0 && options.connections > 0, "what is counted must be there");
    let directory = tempfile::tempdir()?;
    let binary = options.server.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_vigia").into());
    let mut server = Server::start(&binary, directory.path(), options.database.as_deref()).await?;
    let idle = server.usage();
    let ward = Ward { alarms: options.alarms, storm: options.storm };
    register(&server, options.patients).await?;
    println!(
        "{} patients, {} signs every {} s, {} of 1,000 alarming{}; memory {:.0} MB idle, {:.0} MB with them",
        options.patients,
        ward::SIGNS,
        options.every,
        options.alarms,
        if options.storm { ", storms" } else { "" },
        idle.resident_mb,
        server.usage().resident_mb
    );
    let sent = Arc::new(Sent::at(&server.http));
    let begun = Instant::now();
    let until = begun + Duration::from_secs_f64(options.minutes * 60.0);
    let mut senders = JoinSet::new();
    let requests = Arc::new(server.requests());
    for number in 0..options.connections {
        let schedule = Schedule { begun, until, number };
        senders.spawn(send(requests.clone(), schedule, ward, options.clone(), sent.clone()));
    }
    println!(
        "| s | readings/s | wrong | late | upload p50 / p99 ms | alert events | p50 / p99 ms | MB | cores | load |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut first = Mark::of(&server, &sent).await?;
    let mut last = Mark::of(&server, &sent).await?;
    let mut restart = options.restart.map(|after| begun + Duration::from_secs_f64(after));
    loop {
        let next = Duration::from_secs_f64(options.report).min(until.saturating_duration_since(Instant::now()));
        let pause = restart.map_or(next, |at| next.min(at.saturating_duration_since(Instant::now())));
        let ended = tokio::time::timeout(pause, senders.join_next()).await;
        if let Ok(Some(ended)) = ended {
            ended??;
            continue;
        }
        let now = Mark::of(&server, &sent).await?;
        println!("{}", line(&sent, &last, &now, now.at - begun));
        last = now;
        if let Ok(None) = ended {
            break;
        }
        if restart.take_if(|at| *at <= Instant::now()).is_some() {
            server.stop()?;
            server = Server::start(&binary, directory.path(), options.database.as_deref()).await?;
            sent.moved(&server.http);
            println!("started again: ready after {:.0} ms", server.start.as_secs_f64() * 1000.0);
            (first, last) = (Mark::of(&server, &sent).await?, Mark::of(&server, &sent).await?);
        }
    }
    println!(
        "all of it{}:\n{}",
        if options.restart.is_some() { " since then" } else { "" },
        line(&sent, &first, &last, last.at - begun)
    );
    server.stop()
}

/// What is known of the server at one moment.
struct Mark {
    at: Instant,
    metrics: String,
    usage: Usage,
    /// Uploads that were answered.
    uploads: usize,
}

impl Mark {
    async fn of(server: &Server, sent: &Sent) -> Result<Self> {
        let (metrics, usage) = (server.metrics().await?, server.usage());
        Ok(Self { at: Instant::now(), metrics, usage, uploads: sent.took().len() })
    }
}

async fn register(server: &Server, patients: u64) -> Result<()> {
    let mut connection = Connection::open(&server.http).await?;
    for first in (0..patients).step_by(500) {
        let body = ward::registry(first, 500.min(patients - first));
        let answer = connection.call(&server.requests().post("/fhir", "application/fhir+json", &body)).await?;
        ensure!(answer.status == 200, "patients are refused: {}", String::from_utf8_lossy(answer.body));
    }
    Ok(())
}

/// What happened between two moments; `passed`: since the beginning.
fn line(sent: &Sent, from: &Mark, to: &Mark, passed: Duration) -> String {
    let mut took: Vec<Duration> = sent.took().get(from.uploads..to.uploads).unwrap_or_default().to_vec();
    took.sort_unstable();
    let at = |percent: usize| {
        let place = (took.len() * percent / 100).min(took.len().saturating_sub(1));
        took.get(place).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    let of = |share| histogram(&from.metrics, &to.metrics, "vigia_commit_to_alert_seconds", share);
    let ((p50, events), (p99, _)) = (of(0.5), of(0.99));
    let seconds = (to.at - from.at).as_secs_f64().max(0.001);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "| {:.0} | {:.0} | {} | {} | {:.1} / {:.1} | {events:.0} | {:.1} / {:.1} | {:.0} | {:.2} | {} |",
        passed.as_secs_f64(),
        (created(&to.metrics) - created(&from.metrics)) / seconds,
        sent.wrong.load(Ordering::Relaxed),
        sent.late.load(Ordering::Relaxed),
        at(50),
        at(99),
        p50 * 1000.0,
        p99 * 1000.0,
        to.usage.resident_mb,
        (to.usage.cpu_seconds - from.usage.cpu_seconds) / seconds,
        load.split(' ').next().unwrap_or_default()
    )
}

/// Readings that the device door has made, by /metrics.
fn created(metrics: &str) -> f64 {
    let line =
        metrics.lines().find(|line| line.starts_with("vigia_readings_total{door=\"device\",outcome=\"created\"}"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}
