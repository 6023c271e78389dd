//! Fills a server with readings, telling the rate of each million, and remembers in the data directory what is there,
//! so that many runs use one filling.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::client::Connection;
use crate::float;
use crate::scenario;
use crate::server::Server;
use crate::vitals::{self, Ward};

const MANY: u64 = 100;
const MILLION: u64 = 1_000_000;

/// What is stored.
pub(crate) struct Filled {
    pub(crate) ward: Ward,
    /// Those that were asked for.
    pub(crate) rows: u64,
    /// The first reading that is not stored.
    pub(crate) next: u64,
    /// A second.
    pub(crate) rate: f64,
}

impl Filled {
    fn known(data: &Path) -> Option<Self> {
        let kept: Value = serde_json::from_slice(&std::fs::read(data.join("load.json")).ok()?).ok()?;
        Some(Self {
            ward: Ward { start: kept.get("start")?.as_i64()? },
            rows: kept.get("rows")?.as_u64()?,
            next: kept.get("next")?.as_u64()?,
            rate: kept.get("rate")?.as_f64()?,
        })
    }

    /// `next`: what the scenarios have added meanwhile.
    pub(crate) fn keep(&self, data: &Path, next: u64) -> Result<()> {
        let kept = json!({"start": self.ward.start, "rows": self.rows, "next": next, "rate": self.rate});
        std::fs::write(data.join("load.json"), kept.to_string()).context("the data directory cannot be written")
    }
}

/// So many readings, unless they are there.
pub(crate) async fn fill(server: &Server, data: &Path, rows: u64) -> Result<Filled> {
    if let Some(known) = Filled::known(data) {
        ensure!(known.rows == rows, "the data directory holds {} readings: give --rows {0}", known.rows);
        return Ok(known);
    }
    register(server).await?;
    let (ward, began) = (Ward { start: start_of_readings() }, Instant::now());
    store(server, ward, rows).await?;
    let filled = Filled { ward, rows, next: rows, rate: per_second(rows, began.elapsed()) };
    filled.keep(data, rows)?;
    Ok(filled)
}

/// Three days ago: a reading's time may not lie in the future.
fn start_of_readings() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(0) / 3600 * 3_600_000 - 3 * 86_400_000
}

async fn register(server: &Server) -> Result<()> {
    let mut connection = Connection::open(&server.http).await?;
    for first in (0..vitals::patients()).step_by(100) {
        let some = vitals::registry(first..(first + 100).min(vitals::patients()));
        let answer = connection.call(&server.requests().post("/fhir", "application/fhir+json", &some)).await?;
        ensure!(answer.status == 200, "patients are refused: {}", String::from_utf8_lossy(answer.body));
    }
    Ok(())
}

async fn store(server: &Server, ward: Ward, rows: u64) -> Result<()> {
    let requests = Arc::new(server.requests());
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (requests, next) = (requests.clone(), next.clone());
        let mut connection = Connection::open(&server.http).await?;
        tasks.spawn(async move {
            loop {
                let first = next.fetch_add(MANY, Ordering::Relaxed);
                if first >= rows {
                    return Ok::<(), anyhow::Error>(());
                }
                let body = vitals::bundle(ward, "batch", first, MANY.min(rows - first));
                let answer = connection.call(&requests.post("/fhir", "application/fhir+json", &body)).await?;
                ensure!(
                    answer.status == 200 && !scenario::contains(answer.body, b"\"outcome\""),
                    "readings are refused: {}",
                    String::from_utf8_lossy(answer.body.get(..answer.body.len().min(2000)).unwrap_or_default())
                );
            }
        });
    }
    let (mut since, mut million) = ((Instant::now(), server.usage().cpu_seconds), 0);
    loop {
        let ended = tokio::time::timeout(Duration::from_millis(50), tasks.join_next()).await;
        if let Ok(Some(done)) = ended {
            done??;
        } else if let Ok(None) = ended {
            return Ok(());
        }
        let now = next.load(Ordering::Relaxed).min(rows) / MILLION;
        if now > million {
            let (stored, cpu) = ((now - million) * MILLION, server.usage().cpu_seconds);
            let (rate, each) = (per_second(stored, since.0.elapsed()), (cpu - since.1) / float(stored) * 1e6);
            println!("million {now}: {rate:.0} Observations/s, {each:.1} µs CPU each");
            (since, million) = ((Instant::now(), cpu), now);
        }
    }
}

fn per_second(rows: u64, time: Duration) -> f64 {
    float(rows) / time.as_secs_f64()
}
