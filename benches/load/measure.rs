//! Drives the server through so many connections for so long, and what comes of it: rates and percentiles from
//! all latencies, sorted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::Connection;
use crate::server::Server;

/// What one request is, and what a right answer to it is.
pub(crate) trait Job: Send + Sync + 'static {
    fn request(&self, n: u64) -> Vec<u8>;

    /// Did the server do all that was asked?
    fn right(&self, status: u16, body: &[u8]) -> bool;

    /// How it goes.
    fn wire(&self) -> Wire {
        Wire::Http
    }
}

/// How requests reach the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Http,
    Mllp,
    Mqtt,
}

/// How a job is driven.
#[derive(Clone, Copy)]
pub(crate) struct Drive {
    pub(crate) connections: u64,
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
    /// Readings (or hits) a request.
    pub(crate) units: u64,
    /// Requests a second in all; as many as possible when none.
    pub(crate) pace: Option<f64>,
}

/// One line of the report.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) name: &'static str,
    connections: u64,
    requests_per_second: f64,
    units_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    wrong: u64,
    /// Cores that the server used, and its CPU time for one request, µs: the figure that a busy machine spoils least.
    cores: f64,
    cpu_us: f64,
    pub(crate) note: String,
}

/// Runs a job; `counter` numbers its requests and goes on over several runs.
pub(crate) async fn run(
    server: &Server,
    name: &'static str,
    job: Arc<dyn Job>,
    drive: Drive,
    counter: Arc<AtomicU64>,
) -> Result<Figures> {
    let start = Instant::now() + Duration::from_millis(20);
    let (from, until) = (start + drive.warm_up, start + drive.warm_up + drive.time);
    let mut tasks = JoinSet::new();
    for index in 0..drive.connections {
        let connection = match job.wire() {
            Wire::Http => Connection::open(&server.http).await?,
            Wire::Mllp => Connection::open(&server.mllp).await?,
            Wire::Mqtt => Connection::mqtt(&server.mqtt, &server.token).await?,
        };
        let (job, counter) = (job.clone(), counter.clone());
        tasks.spawn(one(connection, job, counter, Times { start, from, until }, Pace::new(drive, index)));
    }
    tokio::time::sleep_until(from.into()).await;
    let before = server.usage();
    tokio::time::sleep_until(until.into()).await;
    let after = server.usage();
    let (mut latencies, mut wrong) = (Vec::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let (own, own_wrong) = done??;
        latencies.extend(own);
        wrong += own_wrong;
    }
    latencies.sort_unstable();
    let count = number(latencies.len());
    let rate = count / drive.time.as_secs_f64();
    let cores = (after.cpu_seconds - before.cpu_seconds) / drive.time.as_secs_f64();
    let at = |share: f64| latencies.get(position(latencies.len(), share)).map_or(0.0, |d| d.as_secs_f64() * 1000.0);
    Ok(Figures {
        name,
        connections: drive.connections,
        requests_per_second: rate,
        units_per_second: rate * f64::from(u32::try_from(drive.units)?),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        max_ms: at(1.0),
        wrong,
        cores,
        cpu_us: cores / rate * 1e6,
        note: String::new(),
    })
}

#[derive(Clone, Copy)]
struct Times {
    start: Instant,
    /// Answers from then on count.
    from: Instant,
    until: Instant,
}

/// When a connection may send next.
struct Pace {
    every: Option<Duration>,
    shift: Duration,
}

impl Pace {
    fn new(drive: Drive, index: u64) -> Self {
        let connections = f64::from(u32::try_from(drive.connections).unwrap_or(1));
        let every = drive.pace.map(|rate| Duration::from_secs_f64(connections / rate));
        let share = f64::from(u32::try_from(index).unwrap_or(0)) / connections;
        Self { every, shift: every.unwrap_or_default().mul_f64(share) }
    }
}

async fn one(
    mut connection: Connection,
    job: Arc<dyn Job>,
    counter: Arc<AtomicU64>,
    times: Times,
    pace: Pace,
) -> Result<(Vec<Duration>, u64)> {
    let (mut latencies, mut wrong) = (Vec::with_capacity(100_000), 0);
    let mut due = times.start + pace.shift;
    loop {
        let request = job.request(counter.fetch_add(1, Ordering::Relaxed));
        if pace.every.is_some() {
            tokio::time::sleep_until(due.into()).await;
        }
        // A paced request that is late counts from when it was due.
        let sent = if pace.every.is_some() { due } else { Instant::now() };
        due += pace.every.unwrap_or_default();
        if sent >= times.until {
            return Ok((latencies, wrong));
        }
        let right = match job.wire() {
            Wire::Mllp => job.right(0, connection.exchange(&request).await?),
            Wire::Mqtt => job.right(0, connection.publish(&request).await?),
            Wire::Http => {
                let answer = connection.call(&request).await?;
                job.right(answer.status, answer.body)
            }
        };
        let now = Instant::now();
        if !right {
            wrong += 1;
        } else if now >= times.from && now < times.until {
            latencies.push(now - sent);
        }
    }
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a count of measurements")]
fn number(count: usize) -> f64 {
    count as f64
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list"
)]
fn position(count: usize, share: f64) -> usize {
    ((number(count) * share).ceil() as usize).clamp(1, count.max(1)) - 1
}

impl Figures {
    pub(crate) const HEAD: &'static str = "| scenario | conn. | requests/s | Obs/s | p50 ms | p99 ms | max ms | cores | CPU µs a request | wrong | |\n|---|---|---|---|---|---|---|---|---|---|---|";

    pub(crate) fn line(&self) -> String {
        format!(
            "| {} | {} | {:.0} | {:.0} | {:.2} | {:.2} | {:.1} | {:.2} | {:.0} | {} | {} |",
            self.name,
            self.connections,
            self.requests_per_second,
            self.units_per_second,
            self.p50_ms,
            self.p99_ms,
            self.max_ms,
            self.cores,
            self.cpu_us,
            self.wrong,
            self.note
        )
    }

    pub(crate) fn json(&self) -> Value {
        json!({"name": self.name, "connections": self.connections, "requests_per_second": self.requests_per_second,
            "units_per_second": self.units_per_second, "p50_ms": self.p50_ms, "p99_ms": self.p99_ms, "max_ms": self.max_ms,
            "wrong": self.wrong, "server_cores": self.cores, "server_cpu_us": self.cpu_us, "note": self.note})
    }
}

/// A percentile of a Prometheus histogram between two readings of /metrics, in seconds, interpolated in its
/// bucket; and how many values there were.
pub(crate) fn histogram(before: &str, after: &str, name: &str, share: f64) -> (f64, f64) {
    let buckets = |text: &str| -> Vec<(f64, f64)> {
        let prefix = format!("{name}_bucket{{le=\"");
        let lines = text.lines().filter_map(|line| line.strip_prefix(&prefix)?.split_once("\"} "));
        lines.filter_map(|(le, count)| Some((le.replace("+Inf", "inf").parse().ok()?, count.parse().ok()?))).collect()
    };
    let counts: Vec<(f64, f64)> =
        buckets(after).into_iter().zip(buckets(before)).map(|((le, now), (_, then))| (le, now - then)).collect();
    let total = counts.last().map_or(0.0, |(_, count)| *count);
    let (mut lower, mut below) = (0.0, 0.0);
    for (upper, count) in counts {
        if count >= total * share && total > 0.0 {
            let inside = if count > below { (total * share - below) / (count - below) } else { 1.0 };
            return (if upper.is_finite() { lower + (upper - lower) * inside } else { lower }, total);
        }
        (lower, below) = (upper, count);
    }
    (0.0, total)
}
