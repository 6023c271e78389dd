//! Load on the real server, over its real doors: `cargo bench --bench load`. The server runs as a process of its
//! own in its production form (authentication, checking, alert rules, live feed on; every answer after COMMIT).
//!
//! `-- --only post-32,batch-4`, `--seconds 10`, `--rows 1000000`, `--database postgres://…`; see `--help`.

#![expect(clippy::print_stdout, reason = "a report for whoever runs it")]

mod bounds;
mod client;
mod depth;
mod fill;
mod measure;
mod mqtt;
mod scenario;
mod server;
#[path = "../vitals/mod.rs"]
mod vitals;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use serde_json::json;

use crate::measure::{Drive, Figures, histogram};
use crate::scenario::{Context, all};
use crate::server::{Server, database_bytes};

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
    /// Patients on the ward, each with a monitor.
    #[arg(long, default_value_t = 100)]
    patients: u64,
    /// Where the data directory is kept afterwards; else it is temporary. One that is filled already is used as it is.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Connections of every scenario instead of its own number.
    #[arg(long)]
    connections: Option<u64>,
    /// Before each scenario the server is started anew and the machine forgets what it read (root alone may): no
    /// warm-up, and PostgreSQL keeps its own buffers unless it is restarted too.
    #[arg(long)]
    cold: bool,
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
    vitals::set_patients(options.patients);
    let temporary = tempfile::tempdir()?;
    let data = options.data.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&data)?;
    let database = options.database.as_deref();
    let binary = options.server.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_vigia").into());

    let mut server = Server::start(&binary, &data, database).await?;
    let idle = server.usage();
    let filled = fill::fill(&server, &data, options.rows).await?;
    let loaded = server.usage();
    server.stop()?;
    let bytes = database_bytes(&data);
    server = Server::start(&binary, &data, database).await?;
    println!("{} Observations stored at {:.0}/s in batches of 100", options.rows, filled.rate);
    println!("memory: {:.0} MB idle, {:.0} MB after them", idle.resident_mb, loaded.resident_mb);
    if database.is_none() {
        println!("disk: {:.1} B an Observation, all in", per(bytes, options.rows));
    }
    println!("ready {:.0} ms after a start with them\n", server.start.as_secs_f64() * 1000.0);

    let mut report = Vec::new();
    println!("{}", Figures::HEAD);
    let context = Arc::new(Context { requests: server.requests(), ward: filled.ward, rows: filled.rows });
    let counter = Arc::new(AtomicU64::new(filled.next));
    for scenario in all(&context) {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == scenario.name) {
            continue;
        }
        if let Some(pause) = options.pause {
            println!("{}: server process {}", scenario.name, server.id());
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
        if options.cold {
            server.stop()?;
            server::forget_files()?;
            server = Server::start(&binary, &data, database).await?;
        }
        let time = Duration::from_secs_f64(options.seconds);
        let Drive { connections, units, pace, .. } = scenario.drive;
        let connections = options.connections.unwrap_or(connections);
        let warm_up = if options.cold { Duration::ZERO } else { time / 5 };
        let drive = Drive { connections, warm_up, time, units, pace };
        server.judged().await?;
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
    if options.only.is_empty() || options.only.iter().any(|name| name == "bounds") {
        bounds::ask(&server).await?;
    }
    if counter.load(Ordering::Relaxed) > filled.next {
        filled.keep(&data, counter.load(Ordering::Relaxed))?;
    }
    let usage = server.usage();
    println!("\nmemory at the end: {:.0} MB", usage.resident_mb);
    server.stop()?;
    let report: Vec<_> = report.iter().map(Figures::json).collect();
    println!(
        "{}",
        json!({"rows": options.rows, "fill_per_second": filled.rate, "idle_mb": idle.resident_mb, "loaded_mb": loaded.resident_mb,
            "bytes_per_observation": per(bytes, options.rows), "scenarios": report})
    );
    Ok(())
}

fn per(bytes: u64, rows: u64) -> f64 {
    float(bytes) / float(rows.max(1))
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}
