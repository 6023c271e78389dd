//! Load on the real server, over its real doors: `cargo bench --bench load`. The server runs as a process of its
//! own in its production form (authentication, checking, alert rules, live feed on; every answer after COMMIT).
//!
//! `-- --only post-32,batch-4`, `--seconds 10`, `--rows 1000000`, `--database postgres://…`; see `--help`.

#![expect(clippy::print_stdout, reason = "a report for whoever runs it")]

mod client;
mod depth;
mod measure;
mod scenario;
mod server;
#[path = "../vitals/mod.rs"]
mod vitals;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Parser;
use serde_json::json;

use crate::client::Connection;
use crate::measure::{Drive, Figures, histogram};
use crate::scenario::{Context, all};
use crate::server::{Server, database_bytes};
use crate::vitals::Ward;

/// Load on a real server, with a report.
#[derive(Debug, Parser)]
struct Options {
    /// How long each scenario is measured, after a warm-up of a fifth of it.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Only these scenarios, by their names, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A PostgreSQL database of its own instead of SQLite: `postgres://…`.
    #[arg(long)]
    database: Option<String>,
    /// Observations that are stored before anything is measured.
    #[arg(long, default_value_t = 85_000)]
    rows: u64,
    /// Where the data directory is kept afterwards; else it is temporary.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Another `vigia` binary than the one built with this program, to compare two builds.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Prints the server's process id and waits for so many seconds before each scenario: for a profiler.
    #[arg(long)]
    pause: Option<u64>,
    /// Given by `cargo bench`; means nothing.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let temporary = tempfile::tempdir()?;
    let data = options.data.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&data)?;
    let database = options.database.as_deref();
    let binary = options.server.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_vigia").into());

    let mut server = Server::start(&binary, &data, database).await?;
    let idle = server.usage();
    register(&server).await?;
    let ward = Ward { start: start_of_readings() };
    let filled = Instant::now();
    fill(&server, ward, options.rows).await?;
    let fill_rate = per_second(options.rows, filled.elapsed());
    let loaded = server.usage();
    server.stop()?;
    let bytes = database_bytes(&data);
    server = Server::start(&binary, &data, database).await?;
    println!("{} Observations stored at {fill_rate:.0}/s in batches of 100", options.rows);
    println!("memory: {:.0} MB idle, {:.0} MB after them", idle.resident_mb, loaded.resident_mb);
    if database.is_none() {
        println!("disk: {:.1} B an Observation, all in", per(bytes, options.rows));
    }
    println!("ready {:.0} ms after a start with them\n", server.start.as_secs_f64() * 1000.0);

    let mut report = Vec::new();
    println!("{}", Figures::HEAD);
    let context = Arc::new(Context { requests: server.requests(), ward, rows: options.rows });
    let counter = Arc::new(AtomicU64::new(options.rows));
    for scenario in all(&context) {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == scenario.name) {
            continue;
        }
        if let Some(pause) = options.pause {
            println!("{}: server process {}", scenario.name, server.id());
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
        let time = Duration::from_secs_f64(options.seconds);
        let Drive { connections, units, pace, .. } = scenario.drive;
        let drive = Drive { connections, units, pace, time, warm_up: time / 5 };
        let before = server.metrics().await?;
        // Requests of several readings must not meet those of the others.
        let own = Arc::new(AtomicU64::new(scenario.first(&counter)));
        let mut figures = measure::run(&server, scenario.name, scenario.job.clone(), drive, own.clone()).await?;
        scenario.done(&own, &counter);
        if scenario.alerts {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let after = server.metrics().await?;
            let of = |share| histogram(&before, &after, "vigia_commit_to_alert_seconds", share);
            let ((p50, count), (p99, _)) = (of(0.5), of(0.99));
            figures.note = format!(
                "{count:.0} alert events, commit to alert p50 {:.1} ms, p99 {:.1} ms",
                p50 * 1000.0,
                p99 * 1000.0
            );
        } else if let Some(hits) = scenario.hits(&server).await? {
            figures.note = format!("{hits} hits a page");
        }
        println!("{}", figures.line());
        report.push(figures);
    }
    if options.only.is_empty() || options.only.iter().any(|name| name == "deep-pages") {
        println!("{}", depth::walk(&server).await?);
    }
    let usage = server.usage();
    println!("\nmemory at the end: {:.0} MB", usage.resident_mb);
    server.stop()?;
    let report: Vec<_> = report.iter().map(Figures::json).collect();
    println!(
        "{}",
        json!({"rows": options.rows, "fill_per_second": fill_rate, "idle_mb": idle.resident_mb, "loaded_mb": loaded.resident_mb,
            "bytes_per_observation": per(bytes, options.rows), "scenarios": report})
    );
    Ok(())
}

/// Three days ago: a reading's time may not lie in the future.
fn start_of_readings() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(0) / 3600 * 3_600_000 - 3 * 86_400_000
}

async fn register(server: &Server) -> Result<()> {
    let mut connection = Connection::open(&server.http).await?;
    let request = server.requests().post("/fhir", "application/fhir+json", &vitals::registry());
    let answer = connection.call(&request).await?;
    ensure!(answer.status == 200, "patients are refused: {}", String::from_utf8_lossy(answer.body));
    Ok(())
}

async fn fill(server: &Server, ward: Ward, rows: u64) -> Result<()> {
    let requests = Arc::new(server.requests());
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (requests, next) = (requests.clone(), next.clone());
        let mut connection = Connection::open(&server.http).await?;
        tasks.spawn(async move {
            loop {
                let first = next.fetch_add(100, std::sync::atomic::Ordering::Relaxed);
                if first >= rows {
                    return Ok(());
                }
                let body = vitals::bundle(ward, "batch", first, 100.min(rows - first));
                let answer = connection.call(&requests.post("/fhir", "application/fhir+json", &body)).await?;
                ensure!(
                    answer.status == 200 && !scenario::contains(answer.body, b"\"outcome\""),
                    "readings are refused: {}",
                    String::from_utf8_lossy(answer.body.get(..answer.body.len().min(2000)).unwrap_or_default())
                );
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

fn per(bytes: u64, rows: u64) -> f64 {
    float(bytes) / float(rows.max(1))
}

fn per_second(rows: u64, time: Duration) -> f64 {
    float(rows) / time.as_secs_f64()
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}
