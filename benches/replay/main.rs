//! Recorded vital signs through a real server, and what its alert engine tells held against what it should:
//! `cargo bench --bench replay -- --data DIR`. DIR holds the recordings and the expected events; they are not part of
//! this project. Nothing is measured with a stopwatch here: it is about right and wrong, and ends with an error when
//! anything differs. `--kill N` kills the servers at N random moments on the way.

#![expect(clippy::print_stdout, reason = "a report for whoever runs it")]

#[path = "../load/client.rs"]
#[expect(dead_code, reason = "this program speaks HTTP only")]
mod client;
mod found;
mod nodes;
mod recording;
mod send;
#[path = "../load/server.rs"]
#[expect(dead_code, reason = "this program does not measure")]
mod server;
#[path = "../vitals/mod.rs"]
mod vitals;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

use crate::found::Story;
use crate::nodes::Nodes;
use crate::vitals::scatter;

/// Recordings through a real server, and the alerts held against the expected ones.
#[derive(Debug, Parser)]
struct Options {
    /// Where the recordings and the expected events lie.
    #[arg(long)]
    data: PathBuf,
    /// p0: every reading counts, no distance back to normal. p1: the rules as they are shipped.
    #[arg(long, value_enum, default_value_t = Policy::P1)]
    policy: Policy,
    #[arg(long, value_enum, default_value_t = Way::Fhir)]
    door: Way,
    /// Readings a request: a Bundle or an upload of so many, or single ones.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// How often a server is killed on the way.
    #[arg(long, default_value_t = 0)]
    kill: usize,
    /// For the moments of killing.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// An empty PostgreSQL database instead of SQLite: `postgres://…`.
    #[arg(long)]
    database: Option<String>,
    /// Servers on that database.
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Only patients whose id begins like this.
    #[arg(long, default_value = "")]
    patients: String,
    /// Another `vigia` binary than the one built with this program.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Where the servers' directories are kept afterwards; else they are temporary.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Given by `cargo bench`; means nothing.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Policy {
    P0,
    P1,
}

/// The door that readings come through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    Fhir,
    Device,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(options.nodes == 1 || options.database.is_some(), "several servers need a PostgreSQL database");
    let readings = recording::read(&options.data, &options.patients)?;
    let expected = Story::expected(&options.data, options.policy == Policy::P1, &options.patients)?;
    let temporary = tempfile::tempdir()?;
    let directory = options.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    let binary = options.server.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_vigia").into());
    let mut nodes = Nodes::start(binary, directory, options.database.clone(), options.nodes).await?;
    for patient in recording::patients(&readings) {
        nodes.put(&patient).await?;
    }
    if options.policy == Policy::P0 {
        every_reading_counts(&nodes).await?;
    }
    let began = Instant::now();
    send_all(&mut nodes, &readings, &options).await?;
    let sent = began.elapsed();
    let behind = nodes.judged().await?;
    println!(
        "{:?} {:?} batch {} kill {} nodes {}: {} readings sent in {:.1} s, the engine {:.1} s behind",
        options.policy,
        options.door,
        options.batch,
        options.kill,
        options.nodes,
        readings.len(),
        sent.as_secs_f64(),
        behind.as_secs_f64()
    );
    let told = Story::told(&nodes).await?;
    nodes.stop()?;
    ensure!(told.holds_against(&expected), "the alerts are not those that were expected");
    println!("as expected");
    Ok(())
}

/// The limits of the shipped rules without what damps them.
async fn every_reading_counts(nodes: &Nodes) -> Result<()> {
    let damping = ["alert-n-of-m", "alert-hysteresis", "alert-case"];
    let damps = |extension: &Value| {
        let url = extension.get("url").and_then(Value::as_str).unwrap_or_default();
        damping.iter().any(|name| url.ends_with(name))
    };
    for mut plan in nodes.all("/fhir/PlanDefinition?status=active&_count=200").await? {
        let is_limits = plan.get("id").and_then(Value::as_str).is_some_and(|id| id.starts_with("limits-"));
        let Some(extensions) = plan.pointer_mut("/action/0/extension").filter(|_| is_limits) else { continue };
        if let Some(list) = extensions.as_array_mut() {
            list.retain(|extension| !damps(extension));
        }
        if let Some(members) = plan.as_object_mut() {
            members.insert("version".to_owned(), json!("single"));
        }
        nodes.put(&plan).await?;
    }
    Ok(())
}

/// Sends everything, and kills a server now and then.
async fn send_all(nodes: &mut Nodes, readings: &[recording::Reading], options: &Options) -> Result<()> {
    let named = options.kill > 0;
    let lanes = send::lanes(readings, options.connections.max(1), options.batch.max(1), options.door, named);
    let total: usize = lanes.iter().map(Vec::len).sum();
    let done = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for (number, lane) in lanes.into_iter().enumerate() {
        tasks.spawn(send::drive(number, lane, nodes.doors.clone(), done.clone()));
    }
    let mut moments: Vec<usize> = (0..options.kill).map(|n| moment(options.seed, n, total)).collect();
    moments.sort_unstable();
    for (number, moment) in moments.into_iter().enumerate() {
        while done.load(Ordering::Relaxed) < moment && !tasks.is_empty() {
            // A lane that has failed ends it all.
            if let Ok(Some(ended)) = tokio::time::timeout(Duration::from_millis(1), tasks.join_next()).await {
                ended??;
            }
        }
        let victim = number % nodes.count();
        nodes.kill(victim);
        // The others go on alone for a while.
        if nodes.count() > 1 {
            let pause = scatter(options.seed.wrapping_add(moment.try_into().unwrap_or(0))) % 8_000;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        nodes.up(victim).await?;
        println!("killed node {victim} after {moment} of {total} requests");
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    if named {
        // What is not judged yet is judged by the next.
        nodes.kill(0);
        nodes.up(0).await?;
    }
    Ok(())
}

fn moment(seed: u64, n: usize, total: usize) -> usize {
    let random = scatter(seed.wrapping_mul(1_000_003).wrapping_add(n.try_into().unwrap_or(0)));
    usize::try_from(random % u64::try_from(total.max(1)).unwrap_or(1)).unwrap_or(0)
}

/// How often a part stands in a text; never, when there is no part.
pub(crate) fn occurrences(text: &[u8], part: &[u8]) -> usize {
    if part.is_empty() { 0 } else { text.windows(part.len()).filter(|window| *window == part).count() }
}
