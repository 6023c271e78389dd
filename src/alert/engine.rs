//! The alert engine: reads the log in commit order, lets the rules judge every reading, and sends what they
//! conclude back through the pipeline as `DetectedIssues`, with its own cursor in the same transaction. So every
//! cause has exactly one alert, whatever crashes. Windows in memory are a cache of the log: after a restart
//! they are rebuilt from the readings before the cursor and from the episodes that are open.

use std::sync::Arc;
use std::time::Duration;

use fhir_r4::Checked;
use tokio_util::sync::CancellationToken;

use super::episodes::{Conclusion, Episodes};
use super::patient::Patients;
use super::rule::{RuleSet, compile};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::reading::Reading;
use crate::pipeline::{Intent, Pipeline};
use crate::store::{Content, CursorMove, Entry, READER_LOST, Store, Taken};
use crate::telemetry::Metrics;

const READER: &str = "alert";
/// How many entries are judged before their conclusions are committed.
const BATCH: usize = 500;
/// How long another node waits before it takes over from one that is silent, µs.
const LEASE: i64 = 5_000_000;
/// How often a silent log is looked at, a lease renewed, and another node's lease tried.
const IDLE: Duration = Duration::from_millis(500);
/// The cursor is stored after so many entries, or so long after the last commit (µs): a restart repeats little, and
/// a reading that raises nothing costs no transaction of its own.
const UNSAVED: i64 = 2_000;
const SAVE_AFTER: i64 = 1_000_000;

pub struct Engine {
    pipeline: Pipeline,
    store: Store,
    metrics: Metrics,
    access: Access,
    /// Names this process as the holder of a lease.
    holder: String,
}

/// What the engine knows while it holds the reader.
struct Watch {
    taken: Taken,
    /// The last entry that was judged, and the last that is stored as the cursor.
    judged: i64,
    saved: i64,
    leased: i64,
    rules: RuleSet,
    patients: Patients,
    episodes: Episodes,
}

impl Engine {
    pub fn new(pipeline: Pipeline, metrics: Metrics, holder: String) -> Self {
        let store = pipeline.store().clone();
        Self { pipeline, store, metrics, access: Access::system("alert engine"), holder }
    }

    /// Runs until cancelled. Trouble is logged and the watch begun afresh from the stored cursor.
    pub async fn run(self, cancelled: CancellationToken) {
        self.watch_again(&cancelled).await;
        // Another node goes on at once instead of waiting for the end of the lease.
        if let Err(error) = self.store.release_reader(READER, &self.holder).await {
            tracing::warn!(%error, "the alert engine's lease runs out by itself");
        }
    }

    async fn watch_again(&self, cancelled: &CancellationToken) {
        while !cancelled.is_cancelled() {
            let outcome = tokio::select! {
                outcome = self.watch(cancelled) => outcome,
                () = cancelled.cancelled() => return,
            };
            match outcome {
                Ok(()) => {}
                Err(Error::Conflict(READER_LOST)) => tracing::info!("another node watches now"),
                Err(error @ (Error::VersionConflict { .. } | Error::Conflict(_))) => {
                    tracing::info!(%error, "an alert was changed meanwhile, judging again");
                }
                Err(error) => tracing::error!(%error, "alert engine starts again from its cursor"),
            }
            tokio::select! {
                () = tokio::time::sleep(IDLE) => {}
                () = cancelled.cancelled() => return,
            }
        }
    }

    /// Takes the reader and judges until something stands against it. Returns when another node holds it.
    async fn watch(&self, cancelled: &CancellationToken) -> Result<(), Error> {
        let Some(taken) = self.store.take_reader(READER, &self.holder, LEASE).await? else { return Ok(()) };
        let mut watch = Watch {
            taken,
            judged: taken.seq,
            saved: taken.seq,
            leased: self.store.clock().now() + LEASE,
            rules: self.load_rules().await?,
            patients: Patients::default(),
            episodes: Episodes::open(&self.store, &self.access).await?,
        };
        tracing::info!(seq = taken.seq, rules = watch.rules.rules().len(), "alert engine watches");
        let mut bell = self.store.bell();
        while !cancelled.is_cancelled() {
            if self.step(&mut watch).await? == 0 {
                self.save_when_due(&mut watch).await?;
                let _ = tokio::time::timeout(IDLE, bell.changed()).await;
            }
        }
        Ok(())
    }

    /// Judges what has come since, and commits what follows from it. The number of entries judged.
    async fn step(&self, watch: &mut Watch) -> Result<usize, Error> {
        let entries = self.store.log_after(watch.judged, BATCH).await?;
        let mut conclusions: Vec<Conclusion> = Vec::new();
        for entry in &entries {
            let found = self.judge(watch, entry).await?;
            // One version of an episode a transaction: a second change waits for the first to be committed.
            for conclusion in found {
                if conclusions.iter().any(|c| c.id == conclusion.id) {
                    self.commit(watch, std::mem::take(&mut conclusions)).await?;
                }
                conclusions.push(conclusion);
            }
            watch.judged = entry.seq;
        }
        if !conclusions.is_empty() || watch.judged - watch.saved >= UNSAVED {
            self.commit(watch, conclusions).await?;
        }
        Ok(entries.len())
    }

    async fn judge(&self, watch: &mut Watch, entry: &Arc<Entry>) -> Result<Vec<Conclusion>, Error> {
        match (&entry.content, entry.resource_type) {
            (Content::Reading(reading), _) if judged_at_all(reading) => self.judge_reading(watch, entry, reading).await,
            (_, "PlanDefinition") => {
                watch.rules = self.load_rules().await?;
                watch.patients = Patients::default();
                Ok(vec![])
            }
            (_, "DetectedIssue") => {
                watch.episodes.observe(entry);
                Ok(vec![])
            }
            _ => Ok(vec![]),
        }
    }

    async fn judge_reading(
        &self,
        watch: &mut Watch,
        entry: &Arc<Entry>,
        reading: &Reading,
    ) -> Result<Vec<Conclusion>, Error> {
        let mut conclusions = Vec::new();
        let Watch { rules, patients, episodes, .. } = watch;
        for (codings, amount) in reading.amounts() {
            for (rule, signal, code) in rules.select(codings) {
                let judged = patients.judge(&self.store, episodes, entry, reading, rule, signal, amount).await?;
                for transition in judged {
                    conclusions.extend(episodes.conclude(&self.store, entry, reading, rule, code, &transition).await?);
                }
            }
        }
        Ok(conclusions)
    }

    /// Conclusions and cursor in one transaction.
    async fn commit(&self, watch: &mut Watch, conclusions: Vec<Conclusion>) -> Result<(), Error> {
        watch.leased = self.store.clock().now() + LEASE;
        let cursor =
            CursorMove { reader: READER.to_owned(), epoch: watch.taken.epoch, seq: watch.judged, leased: watch.leased };
        let mut intents = Vec::with_capacity(conclusions.len());
        for conclusion in &conclusions {
            let resource = checked(conclusion.resource.clone())?;
            intents.push(Intent::Update { resource, id: conclusion.id.clone(), expect: conclusion.expect });
        }
        let written = self.pipeline.conclude(&self.access, intents, cursor).await?;
        watch.saved = watch.judged;
        for (conclusion, written) in conclusions.into_iter().zip(written) {
            let waited =
                Duration::from_micros(u64::try_from(written.updated - conclusion.cause_committed).unwrap_or(0));
            self.metrics.commit_to_alert_seconds.observe(waited.as_secs_f64());
            self.metrics.alert(conclusion.severity, conclusion.event);
        }
        Ok(())
    }

    /// With nothing to judge: stores the cursor from time to time, and renews the lease when half of it is over.
    async fn save_when_due(&self, watch: &mut Watch) -> Result<(), Error> {
        // The lease is renewed by every commit.
        let since = self.store.clock().now() - (watch.leased - LEASE);
        let due = watch.judged > watch.saved && since >= SAVE_AFTER;
        if due || (self.store.is_shared() && since > LEASE / 2) {
            self.commit(watch, vec![]).await?;
        }
        Ok(())
    }

    /// All active rules. One that does not compile is left out and named; it never stops the others.
    async fn load_rules(&self) -> Result<RuleSet, Error> {
        load_rules(&self.store, &self.access).await
    }
}

/// The active rules of the store.
pub async fn load_rules(store: &Store, access: &Access) -> Result<RuleSet, Error> {
    let query = Query::new("PlanDefinition", &[("status", "active")], MAX_COUNT)?;
    let mut rules = Vec::new();
    for plan in store.search_all(access, query).await? {
        match compile(&plan.value()?) {
            Ok(rule) => rules.push(rule),
            Err(issues) => {
                let places: Vec<&str> = issues.iter().map(|i| i.expression.as_str()).collect();
                tracing::error!(id = plan.id, ?places, "rule refused");
            }
        }
    }
    Ok(RuleSet::new(rules))
}

/// Demonstration data, and what is said to be wrong or not done, is never alerted on.
fn judged_at_all(reading: &Reading) -> bool {
    let of_patient = reading.subject.as_deref().is_some_and(|subject| subject.starts_with("Patient/"));
    reading.status.counts() && !reading.test && of_patient
}

fn checked(resource: serde_json::Value) -> Result<Checked, Error> {
    fhir_r4::check(resource).map_err(|issues| {
        let places: Vec<&str> = issues.iter().map(|i| i.expression.as_str()).collect();
        Error::internal(format!("an alert of our own making is not valid: {places:?}"))
    })
}
