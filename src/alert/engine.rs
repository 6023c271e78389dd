//! The alert engine: reads the log in commit order, lets the rules judge every reading, and sends what they
//! conclude back through the pipeline as `DetectedIssues`, with its own cursor in the same transaction. So every
//! cause has exactly one alert, whatever crashes. Windows in memory are a cache of the log: after a restart
//! they are rebuilt from the readings before the cursor and from the episodes that are open.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fhir_r4::Checked;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::departure;
use super::episodes::{Conclusion, Episodes, Origin};
use super::lifecycle::{self, Policy};
use super::lookup;
use super::patients::Patients;
use super::round::Round;
use super::rule::{RuleSet, compile};
use super::scores;
use super::seed::AUTHOR;
use super::watch::Watch;
use crate::auth::access::Access;
use crate::clock::new_id;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::pipeline::{Intent, Pipeline};
use crate::store::{CursorMove, Entry, READER_LOST, Store};
use crate::telemetry::Metrics;

const READER: &str = "alert";
/// How many entries are judged before their conclusions are committed.
pub(super) const BATCH: usize = 500;
/// How long another node waits before it takes over from one that is silent, µs.
const LEASE: i64 = 5_000_000;
/// How often a silent log is looked at, and another node's lease tried.
pub(super) const IDLE: Duration = Duration::from_millis(500);
/// The cursor is stored after so many entries, or so long after the last commit (µs): a restart repeats little, and
/// a reading that raises nothing costs no transaction of its own.
const UNSAVED: i64 = 2_000;
/// How often a batch is concluded anew, each time for one resource that somebody changed meanwhile.
const ATTEMPTS: usize = 100;
const SAVE_AFTER: i64 = 1_000_000;

/// What became of a look at the log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There was nothing to judge.
    Nothing,
    /// All was judged.
    All,
    /// More waits to be judged.
    More,
}

pub struct Engine {
    pipeline: Pipeline,
    store: Store,
    metrics: Metrics,
    access: Access,
    /// Names this process as the holder of a lease.
    holder: String,
    policy: Policy,
}

impl Engine {
    pub fn new(pipeline: Pipeline, metrics: Metrics, holder: String, policy: Policy) -> Self {
        let store = pipeline.store().clone();
        metrics.alert_behind(None);
        Self { pipeline, store, metrics, access: Access::system("alert engine"), holder, policy }
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
            self.metrics.alert_behind(None);
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
            reached: self.committed_at(taken.seq).await?,
            saved: taken.seq,
            committed: self.store.clock().now(),
            rules: RuleSet::default(),
            refused: vec![],
            rules_end: i64::MIN,
            evicts: i64::MIN,
            patients: Patients::default(),
            episodes: Episodes::open(&self.store, &self.access, self.policy.clone()).await?,
        };
        let _kept = self.store.keep_reader(READER, taken.epoch, LEASE);
        self.reload(&mut watch).await?;
        tracing::info!(seq = taken.seq, rules = watch.rules.rules().len(), "alert engine watches");
        let mut bell = self.store.bell();
        while !cancelled.is_cancelled() {
            let step = self.step(&mut watch).await?;
            // While readings wait to be judged, time has come no further than the last that was.
            let now = self.store.clock().now();
            let reached = if step == Step::More { watch.reached.min(now) } else { now };
            self.metrics.alert_behind(Some(Duration::from_micros((now - reached).unsigned_abs())));
            self.ripen(&mut watch, reached).await?;
            if watch.rules_end <= now {
                self.end_orphans(&mut watch).await?;
            }
            watch.evict(now);
            if step == Step::Nothing {
                self.save_when_due(&mut watch).await?;
                let _ = tokio::time::timeout(watch.rest(self.store.clock().now()), bell.changed()).await;
            }
        }
        Ok(())
    }

    /// When an entry of the log was committed, µs UTC; now, before there is one.
    async fn committed_at(&self, seq: i64) -> Result<i64, Error> {
        let found = self.store.log_after(seq - 1, 1).await?.into_iter().next().filter(|entry| entry.seq == seq);
        Ok(found.map_or_else(|| self.store.clock().now(), |entry| entry.updated))
    }

    /// Judges what has come since, and commits what follows from it.
    async fn step(&self, watch: &mut Watch) -> Result<Step, Error> {
        let mut entries = self.store.log_after(watch.judged, BATCH).await?;
        // What changes the rules, or who is here, ends the round: what comes after is judged in its light.
        let turns = |entry: &Arc<Entry>| entry.resource_type == "PlanDefinition" || departure::may_tell(entry);
        let read = entries.len();
        entries.truncate(entries.iter().position(turns).map_or(read, |at| at + 1));
        let Some(last) = entries.last().cloned() else { return Ok(Step::Nothing) };
        watch.reached = last.updated;
        let mut round = Round::gather(&self.store, watch, &entries).await?;
        let mut conclusions = round.judge(&self.store, &self.access, watch).await?;
        watch.judged = last.seq;
        conclusions.extend(round.correct(&self.store, &self.access, watch).await?);
        if last.resource_type == "PlanDefinition" {
            self.reload(watch).await?;
        } else if departure::may_tell(&last)
            && let Some((patient, why)) = departure::told(&self.store, &self.access, &last).await?
        {
            conclusions.extend(watch.leave(&patient, why, self.store.clock().now()));
        }
        if !conclusions.is_empty() || watch.judged - watch.saved >= UNSAVED {
            self.commit(watch, conclusions).await?;
        }
        Ok(if read == BATCH || entries.len() < read { Step::More } else { Step::All })
    }

    async fn reload(&self, watch: &mut Watch) -> Result<(), Error> {
        let (rules, refused) = read_rules(&self.store, &self.access, &watch.rules).await?;
        watch.refused = refused;
        watch.obey(&self.store, &self.access, rules).await
    }

    /// Puts an end to episodes that the rules no longer speak of.
    async fn end_orphans(&self, watch: &mut Watch) -> Result<(), Error> {
        let now = self.store.clock().now();
        let mut conclusions = Vec::new();
        for orphan in watch.episodes.orphans(&watch.rules, &watch.refused, now) {
            let context = lookup::context(&self.store, &self.access, &orphan.patient).await?;
            if !watch.episodes.is_covered(&orphan, &watch.rules, &context, now) {
                conclusions.extend(watch.episodes.end(&orphan.id, orphan.why, now));
            }
        }
        watch.patients.keep(&watch.rules.in_force(now));
        watch.rules_end = watch.rules.next_end(now);
        if conclusions.is_empty() { Ok(()) } else { self.commit(watch, conclusions).await }
    }

    /// Tells what time alone has changed.
    async fn ripen(&self, watch: &mut Watch, now: i64) -> Result<(), Error> {
        let mut conclusions = Vec::new();
        while let Some((key, changes)) = watch.patients.ripen(now) {
            let code = watch.patients.get(&key).map_or(0, |slot| slot.code);
            let origin = Origin { place: &key, code, entry: None, now };
            for change in &changes {
                conclusions.extend(watch.episodes.conclude(&self.store, &origin, change).await?);
            }
            let scored = watch.patients.take_scores(&key);
            conclusions.extend(scores::told(&self.store, &self.access, &origin, scored).await?);
            if conclusions.len() >= BATCH {
                break;
            }
        }
        conclusions.extend(watch.episodes.ripen(now, BATCH));
        conclusions.extend(watch.episodes.mute(now));
        if conclusions.is_empty() { Ok(()) } else { self.commit(watch, conclusions).await }
    }

    /// Conclusions and cursor in one transaction. What somebody changed meanwhile is concluded anew on what stands.
    async fn commit(&self, watch: &mut Watch, mut conclusions: Vec<Conclusion>) -> Result<(), Error> {
        conclusions.extend(watch.episodes.mute(self.store.clock().now()));
        for _ in 0..ATTEMPTS {
            match self.commit_once(watch, &mut conclusions).await {
                Err(Error::VersionConflict { resource_type, id }) => {
                    tracing::info!(resource_type, id, "changed meanwhile, concluded anew");
                    let about = (resource_type.as_str(), id.as_str());
                    conclusions = watch.episodes.follow(&self.store, &self.access, conclusions, about).await?;
                }
                outcome => return outcome,
            }
        }
        self.commit_once(watch, &mut conclusions).await
    }

    async fn commit_once(&self, watch: &mut Watch, conclusions: &mut Vec<Conclusion>) -> Result<(), Error> {
        watch.committed = self.store.clock().now();
        let (epoch, leased) = (watch.taken.epoch, watch.committed + LEASE);
        let cursor = CursorMove { reader: READER.to_owned(), epoch, seq: watch.judged, leased };
        let mut intents = Vec::with_capacity(conclusions.len());
        let mut versions: HashMap<String, i32> = HashMap::new();
        let mut sound = Vec::with_capacity(conclusions.len());
        for mut conclusion in conclusions.drain(..) {
            // One that cannot be stored must not stand in the way of all others.
            let Some(resource) = self.sound(&conclusion) else { continue };
            // What a round concludes twice is two versions.
            conclusion.expect = conclusion.expect.or(versions.get(&conclusion.id).copied());
            versions.insert(conclusion.id.clone(), conclusion.expect.unwrap_or(0) + 1);
            intents.push(Intent::Update { resource, id: conclusion.id.clone(), expect: conclusion.expect });
            sound.push(conclusion);
        }
        *conclusions = sound;
        intents.extend(self.records(conclusions)?);
        let written = self.pipeline.conclude(&self.access, intents, cursor).await?;
        watch.saved = watch.judged;
        watch.episodes.committed();
        for (conclusion, written) in conclusions.iter().zip(written) {
            if let Some(committed) = conclusion.cause_committed {
                let waited = Duration::from_micros(u64::try_from(written.updated - committed).unwrap_or(0));
                self.metrics.commit_to_alert_seconds.observe(waited.as_secs_f64());
            }
            if let Some(severity) = conclusion.severity {
                self.metrics.alert(severity, conclusion.event);
            }
        }
        Ok(())
    }

    /// For the record, with the alerts that it is about.
    fn records(&self, conclusions: &[Conclusion]) -> Result<Vec<Intent>, Error> {
        let (who, now) = (json!({"reference": AUTHOR}), self.store.clock().now());
        let mut intents = Vec::new();
        for alert in conclusions.iter().filter(|conclusion| conclusion.severity.is_some()) {
            let version = alert.expect.unwrap_or(0) + 1;
            for told in [lifecycle::provenance, lifecycle::audit_event] {
                let resource = checked(told(&alert.id, version, alert.event, &who, now))?;
                intents.push(Intent::Create { resource, id: new_id(), guard: None });
            }
        }
        Ok(intents)
    }

    /// A conclusion as it is stored; none, and an error in the log, when what others wrote into it has spoilt it.
    fn sound(&self, conclusion: &Conclusion) -> Option<Checked> {
        match checked(conclusion.resource.clone()) {
            Ok(resource) => Some(resource),
            Err(error) => {
                tracing::error!(id = conclusion.id, event = conclusion.event, %error, "an alert cannot be told");
                self.metrics.alert("none", "spoilt");
                None
            }
        }
    }

    /// With nothing to judge: stores the cursor from time to time.
    async fn save_when_due(&self, watch: &mut Watch) -> Result<(), Error> {
        let since = self.store.clock().now() - watch.committed;
        if watch.judged > watch.saved && since >= SAVE_AFTER { self.commit(watch, vec![]).await } else { Ok(()) }
    }
}

/// The active rules of the store.
///
/// One that does not compile is left out and named; it never stops the others. A rule that is in force already stays
/// the same, with the windows that hang on it.
pub async fn load_rules(store: &Store, access: &Access, before: &RuleSet) -> Result<RuleSet, Error> {
    read_rules(store, access, before).await.map(|(rules, _)| rules)
}

/// The same, with the canonical urls of those that were left out.
async fn read_rules(store: &Store, access: &Access, before: &RuleSet) -> Result<(RuleSet, Vec<String>), Error> {
    let query = Query::new("PlanDefinition", &[("status", "active")], MAX_COUNT)?;
    let (mut rules, mut refused) = (Vec::new(), Vec::new());
    for plan in store.search_all(access, query).await? {
        let value = plan.value()?;
        match compile(&value) {
            Ok(rule) => rules.push(rule),
            Err(issues) => {
                let places: Vec<&str> = issues.iter().map(|i| i.expression.as_str()).collect();
                tracing::error!(id = plan.id, ?places, "rule refused");
                refused.extend(value.get("url").and_then(serde_json::Value::as_str).map(str::to_owned));
            }
        }
    }
    Ok((RuleSet::after(before, rules), refused))
}

fn checked(resource: serde_json::Value) -> Result<Checked, Error> {
    fhir_r4::check(resource).map_err(|issues| {
        let places: Vec<&str> = issues.iter().map(|i| i.expression.as_str()).collect();
        Error::internal(format!("an alert of our own making is not valid: {places:?}"))
    })
}
