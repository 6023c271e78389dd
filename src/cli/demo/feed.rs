//! What the monitors do while the server runs: the simulator's steps or a recording, handed to the doors at their time.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::super::bedside::doors::{Doors, Parcel};
use super::super::bedside::monitor::{STEP_S, Simulator};
use super::super::bedside::progress::{bar, next};
use super::super::bedside::reading::Reading;
use super::super::bedside::ward::Bed;
use super::super::output;
use super::replay::{self, Pace, Recording, Row};
use crate::clock::Clock;

/// How often a recording is looked at for rows whose time has come.
const LOOK: Duration = Duration::from_millis(200);
/// Bad rows that are told one by one.
const TOLD: usize = 10;

/// Steps of the simulator until stopped.
pub(super) async fn simulate(beds: &[Arc<Bed>], seed: u64, doors: &Doors, clock: &Clock, stop: &CancellationToken) {
    let mut ward = Simulator::new(seed, beds.len());
    let mut tick = interval(Duration::from_secs(STEP_S.into()));
    // A machine that slept has missed readings; it does not make them up.
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while next(&mut tick, stop).await {
        let at = clock.now();
        let measured = |what| Reading { at, status: "final", what };
        let steps = ward.step().into_iter().map(|step| step.into_iter().map(measured).collect());
        let parcels = beds.iter().cloned().zip(steps).enumerate();
        if stop.run_until_cancelled(doors.send(parcels)).await.is_none() {
            return;
        }
    }
}

/// Reads a recording and tells what of it cannot be played.
pub(super) fn load(path: &Path) -> Result<Recording> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let recording = replay::read(file).with_context(|| path.display().to_string())?;
    for (line, why) in recording.skipped.iter().take(TOLD) {
        output::line(format!("{}:{line}: left out, {why}", path.display()));
    }
    if recording.skipped.len() > TOLD {
        output::line(format!("{}: {} more lines are left out", path.display(), recording.skipped.len() - TOLD));
    }
    if recording.rows.is_empty() {
        bail!("{}: there is nothing to play", path.display());
    }
    Ok(recording)
}

/// Plays a recording to its end, or until stopped.
pub(super) async fn play(
    recording: Recording,
    speed: u32,
    beds: &[Arc<Bed>],
    doors: &Doors,
    clock: &Clock,
    stop: &CancellationToken,
) {
    let Some(first) = recording.rows.first() else { return };
    let pace = Pace { recorded: first.reading.at, started: clock.now(), speed: speed.into() };
    let bar = bar(recording.rows.len(), "{elapsed} {wide_bar} {pos}/{len} readings, {eta} left");
    let mut rows = recording.rows.into_iter().peekable();
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while rows.peek().is_some() && next(&mut tick, stop).await {
        let now = clock.now();
        let mut due: Vec<Vec<Reading>> = vec![Vec::new(); beds.len()];
        let mut count = 0;
        while let Some(Row { patient, reading }) = rows.next_if(|row| pace.moved(row.reading.at) <= now) {
            if let Some(own) = due.get_mut(patient) {
                own.push(Reading { at: pace.moved(reading.at), ..reading });
            }
            count += 1;
        }
        let parcels = beds.iter().cloned().zip(due).enumerate().map(|(at, parcel): (usize, Parcel)| (at, parcel));
        if stop.run_until_cancelled(doors.send(parcels)).await.is_none() {
            break;
        }
        bar.inc(count);
    }
    bar.finish_and_clear();
}
