//! Readings that wait: kept when it is not known at whom their device was, stored as the patient's once it is, oldest
//! first. What is stored and what waits may overlap after a crash: a reading has one id, so it is stored once.

use std::time::Duration;

use fhir_r4::Issue;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::clock::{FUTURE, is_moved};
use super::intent::{Intent, change};
use super::{Pipeline, Taken, one};
use crate::auth::access::Access;
use crate::binding::{Found, UNBOUND};
use crate::error::Error;
use crate::fhir::reading::Reading;
use crate::fhir::time;
use crate::normalize::AHEAD_OF_TIME;
use crate::store::{Commit, Entry, HeldReading, Outcome, Repeat, Verb};

/// Readings that are looked through at once.
pub(super) const BATCH: i64 = 500;
/// Entries of the log that are read at once.
const ENTRIES: usize = 1000;
/// How often what waits is looked through although nothing rang: a reading may be kept just after its device has come
/// to somebody, and other nodes do not ring.
const PAUSE: Duration = Duration::from_secs(5);
/// Another reading stands under its id: what became of this one is for people to say.
const CONFLICT: &str = "conflict";
/// The patient of a reading while it is checked for all else.
pub(super) const NOBODY: &str = "Patient/unbound";

/// A reading of `at` (µs UTC) that waits, and what for. The subject keeps its place, so that the same reading sent once
/// more is the same to the letter.
pub(super) fn waiting(observation: &Value, device: String, why: &'static str, at: i64, received: i64) -> HeldReading {
    let reading = observation.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let body = observation.to_string().into_bytes();
    HeldReading { reading, device, reason: why.to_owned(), starts: at, received, body }
}

/// What is said where nothing can wait.
pub(super) fn refusal(why: &str, place: &str) -> Issue {
    match why {
        FUTURE => Issue::error("value", place, AHEAD_OF_TIME),
        _ => Issue::error("not-found", place, "nobody says whom the device was at"),
    }
}

impl Pipeline {
    /// Stores what waits of a device as its patients', as far as it is known by now at whom it was. How many.
    pub async fn release(&self, device: &str) -> Result<usize, Error> {
        let access = Access::system("quarantine");
        let (mut released, mut after) = (0, (i64::MIN, String::new()));
        loop {
            let waiting = self.store.held_of(&access, device, UNBOUND, after, BATCH).await?;
            let Some(last) = waiting.last() else { return Ok(released) };
            after = (last.starts, last.reading.clone());
            let mut found = Found::default();
            let mut ready = Vec::new();
            for held in waiting {
                let Some(patient) = self.binding.holder(device, held.starts, &mut found).await? else { continue };
                ready.push((held, patient));
            }
            released += self.take(&access, ready, None).await?;
        }
    }

    /// Stores readings that waited, each as its patient's, and lets them go. `by`: who said how to correct their times.
    /// How many.
    pub(super) async fn take(
        &self,
        access: &Access,
        ready: Vec<(HeldReading, String)>,
        by: Option<&Access>,
    ) -> Result<usize, Error> {
        let (mut commits, mut readings) = (Vec::new(), Vec::new());
        for (mut held, patient) in ready {
            let moved = by.is_some() || is_moved(&held.body);
            if let Some(commit) = self.of_patient(&held, &patient).await? {
                commits.push(commit);
                held.body = Vec::new();
                readings.push((held, moved));
            } else {
                tracing::error!(reading = held.reading, "a reading that waits can no longer be stored");
            }
        }
        let (mut stored, mut moved, mut in_the_way) = (Vec::new(), Vec::new(), Vec::new());
        for ((held, corrected), outcome) in readings.into_iter().zip(self.commit_all(access, commits).await?) {
            match one(Some(outcome)) {
                Ok(written) => {
                    if corrected && written.outcome != Outcome::Known {
                        moved.push(format!("Observation/{}", written.id));
                    }
                    stored.push(held.reading);
                }
                Err(Error::Conflict(_)) => in_the_way.push(held.reading),
                Err(error) => tracing::warn!(reading = held.reading, %error, "a reading goes on waiting"),
            }
        }
        self.say_corrected(moved, by).await;
        self.store.wait_for(in_the_way, CONFLICT).await?;
        let system = Access::system("quarantine");
        self.store.let_go(&system, stored).await
    }

    /// Throws away what waits of a device for this reason and was taken before `end` (µs UTC). How many.
    pub async fn discard(&self, access: &Access, device: &str, why: &str, end: i64) -> Result<usize, Error> {
        let (mut gone, mut after) = (0, (i64::MIN, String::new()));
        loop {
            let waiting = self.store.held_of(access, device, why, after, BATCH).await?;
            let Some(last) = waiting.last() else { return Ok(gone) };
            after = (last.starts, last.reading.clone());
            let these = waiting.into_iter().filter(|held| held.starts < end).map(|held| held.reading).collect();
            gone += self.store.let_go(access, these).await?;
        }
    }

    async fn of_patient(&self, held: &HeldReading, patient: &str) -> Result<Option<Commit>, Error> {
        let mut observation: Value = serde_json::from_slice(&held.body).map_err(Error::internal)?;
        if let Value::Object(members) = &mut observation {
            members.insert("subject".into(), json!({"reference": patient}));
        }
        let Ok(checked) = self.profiles.check(observation).await else { return Ok(None) };
        let change = change(Verb::Create(Repeat::SameContent), checked, held.reading.clone());
        Ok(Some(Commit { changes: vec![change], ..Commit::default() }))
    }

    /// The patient (`Patient/…`) whom a device is at, at this time (µs UTC).
    pub async fn whom(&self, device: &str, at: i64) -> Result<Option<String>, Error> {
        self.binding.holder(device, at, &mut Found::default()).await
    }

    /// Looks through what waits whenever a device may have come to somebody, until cancelled.
    pub async fn run_quarantine(self, cancelled: CancellationToken) {
        let mut bell = self.store.bell();
        let mut seen = None;
        loop {
            match self.moved_since(&mut seen).await {
                Ok(false) => {}
                Ok(true) => {
                    if let Err(error) = self.release_all().await {
                        tracing::error!(%error, "what waits for its patient could not be looked through");
                        seen = None;
                    }
                }
                Err(error) => tracing::error!(%error, "the log cannot be read for what waits"),
            }
            tokio::select! {
                rung = bell.changed() => if rung.is_err() { return },
                () = tokio::time::sleep(PAUSE) => seen = None,
                () = cancelled.cancelled() => return,
            }
        }
    }

    /// Whether a device may have come to somebody since; at the beginning it may.
    async fn moved_since(&self, seen: &mut Option<i64>) -> Result<bool, Error> {
        let Some(mut after) = *seen else {
            *seen = Some(self.store.log_head().await?);
            return Ok(true);
        };
        let mut moved = false;
        loop {
            let entries = self.store.log_after(after, ENTRIES).await?;
            let Some(last) = entries.last() else { break };
            after = last.seq;
            moved |= entries.iter().any(|entry: &std::sync::Arc<Entry>| {
                matches!(entry.resource_type, "Device" | "DeviceUseStatement" | "Encounter")
            });
        }
        *seen = Some(after);
        Ok(moved)
    }

    async fn release_all(&self) -> Result<(), Error> {
        for line in self.store.held(&Access::system("quarantine")).await? {
            // What waits may be much: it is read only when some of it can have found somebody.
            if line.reason == UNBOUND && self.binding.anybody(&line.device, line.first, line.last).await? {
                let released = self.release(&line.device).await?;
                if released > 0 {
                    tracing::info!(device = line.device, released, "readings that waited found their patient");
                }
            }
        }
        Ok(())
    }
}

impl Pipeline {
    /// A device that sends Observations itself says nothing of others than whom it is at.
    pub(super) async fn own_patient(&self, access: &Access, intents: &[Intent]) -> Result<(), Error> {
        let Some(device) = access.device() else { return Ok(()) };
        let mut found = Found::default();
        for observation in intents.iter().filter_map(Intent::content) {
            let subject = Reading::of(observation).subject;
            let effective =
                observation.get("effectiveDateTime").or_else(|| observation.pointer("/effectivePeriod/start"));
            let at = start(effective.and_then(Value::as_str), self.store.clock().now());
            let holder = self.binding.holder(device, at, &mut found).await?;
            if holder.is_none() || holder != subject {
                return Err(Error::Forbidden("The device was not at this patient at that time.".to_owned()));
            }
        }
        Ok(())
    }
}

/// When a reading was taken, for whoever looks for its patient.
pub(super) fn start(effective: Option<&str>, received: i64) -> i64 {
    effective.and_then(time::range).map_or(received, |range| range.start)
}

/// How a receipt names it.
pub(super) fn outcome(taken: &Taken) -> &'static str {
    match taken {
        Taken::Held(_) => "quarantined",
        Taken::Written(written) if written.outcome == Outcome::Known => "duplicate",
        Taken::Written(_) => "created",
    }
}
