//! People and systems outside are told of alerts. A reader of the log: what is new about an alert becomes a notice (a
//! FHIR Communication) for each recipient, committed together with the reader's place; what is due is sent, and what
//! became of it is the next version of the Communication. So everything is told at least once, nothing is planned
//! twice, and a restart forgets nothing. One node tells at a time.
//!
//! It fails open: what cannot be found out (where a patient is, quiet hours that cannot be read) keeps nobody from
//! being told, and a step of the escalation that reaches nobody reaches those who stand in.

mod email;
mod message;
mod notice;
mod plan;
mod send;
mod webhook;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use fhir_r4::Checked;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::send::Sender;

use self::notice::{News, Notice, Outcome};
use self::plan::Occasion;
use self::send::Landed;
use crate::alert::lifecycle::{self, Policy};
use crate::auth::access::Access;
use crate::clock::new_id;
use crate::config::notify::{AtLeast, Content};
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::pipeline::{Intent, Pipeline};
use crate::store::{CursorMove, Entry, READER_LOST, Store, Taken};
use crate::telemetry::Metrics;
use crate::ward;

const READER: &str = "notify";
const ALERT: &str = "DetectedIssue";
/// Entries of the log that are looked through at once.
const BATCH: usize = 500;
/// How long another node waits before it takes over from one that is silent, µs.
const LEASE: i64 = 5_000_000;
const IDLE: Duration = Duration::from_millis(500);
/// The reader's place is stored after so many entries without news.
const UNSAVED: i64 = 2_000;
/// How long an orderly stop waits for messages that are on their way.
const LANDING: Duration = Duration::from_secs(5);
/// Messages on their way at the same time.
const FLYING: usize = 16;

/// Why a message was not delivered; nothing about the patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    Later(String),
    Never(String),
}

pub struct Notifier {
    pipeline: Pipeline,
    store: Store,
    metrics: Metrics,
    access: Access,
    /// Names this process as the holder of a lease.
    holder: String,
    policy: Policy,
    sender: Arc<Sender>,
}

/// What is known while this node holds the reader.
struct Watch {
    taken: Taken,
    /// Everything up to here is planned, and stored as planned.
    seq: i64,
    saved: i64,
    /// What is not done with, by id.
    waiting: BTreeMap<String, Notice>,
    /// Recipients with a message on its way, and the notices in it.
    flying: HashSet<String>,
    flights: JoinSet<Landed>,
}

impl Notifier {
    pub fn new(pipeline: Pipeline, metrics: Metrics, holder: String, policy: Policy, sender: Sender) -> Self {
        let store = pipeline.store().clone();
        Self { pipeline, store, metrics, access: Access::system("notifier"), holder, policy, sender: Arc::new(sender) }
    }

    /// Runs until cancelled. Trouble is logged and the watch begun afresh from what is stored.
    pub async fn run(self, cancelled: CancellationToken) {
        while !cancelled.is_cancelled() {
            match self.watch(&cancelled).await {
                Ok(()) => {}
                Err(Error::Conflict(READER_LOST)) => tracing::info!("another node notifies now"),
                Err(error) => tracing::error!(%error, "notifications start again from what is stored"),
            }
            tokio::select! {
                () = tokio::time::sleep(IDLE) => {}
                () = cancelled.cancelled() => break,
            }
        }
        if let Err(error) = self.store.release_reader(READER, &self.holder).await {
            tracing::warn!(%error, "the lease of the notifications runs out by itself");
        }
    }

    /// Takes the reader and tells until something stands against it. Returns when another node holds it.
    async fn watch(&self, cancelled: &CancellationToken) -> Result<(), Error> {
        let Some(taken) = self.store.take_reader(READER, &self.holder, LEASE).await? else { return Ok(()) };
        let _kept = self.store.keep_reader(READER, taken.epoch, LEASE);
        let mut watch = Watch {
            taken,
            seq: taken.seq,
            saved: taken.seq,
            waiting: self.waiting().await?,
            flying: HashSet::new(),
            flights: JoinSet::new(),
        };
        if taken.seq == 0 {
            // Who is named for the first time is not told what happened before.
            watch.seq = self.store.log_head().await?;
            self.commit(&mut watch, vec![]).await?;
        }
        let mut bell = self.store.bell();
        while !cancelled.is_cancelled() {
            let looked = self.look(&mut watch).await?;
            self.depart(&mut watch).await?;
            self.metrics.notices_waiting(watch.waiting.len());
            if looked == 0 {
                let pause = self.pause(&watch);
                tokio::select! {
                    Some(landed) = watch.flights.join_next() => {
                        self.arrive(&mut watch, landed.map_err(Error::internal)?).await?;
                    }
                    _ = bell.changed() => {}
                    () = tokio::time::sleep(pause) => {}
                    () = cancelled.cancelled() => {}
                }
            }
        }
        self.land(&mut watch).await
    }

    /// What is on its way at an orderly stop is waited for and recorded: whoever takes over does not tell it again.
    async fn land(&self, watch: &mut Watch) -> Result<(), Error> {
        let over = tokio::time::Instant::now() + LANDING;
        while let Ok(Some(landed)) = tokio::time::timeout_at(over, watch.flights.join_next()).await {
            self.arrive(watch, landed.map_err(Error::internal)?).await?;
        }
        Ok(())
    }

    fn now(&self) -> i64 {
        self.store.clock().now()
    }

    /// Until the next notice is due, or somebody has to be looked after.
    fn pause(&self, watch: &Watch) -> Duration {
        let free = watch.waiting.values().filter(|notice| !watch.flying.contains(&notice.recipient));
        let due = free.map(|notice| notice.due).min().map(|due| due.saturating_sub(self.now()));
        let due = due.map(|us| Duration::from_micros(u64::try_from(us).unwrap_or(0)));
        due.unwrap_or(IDLE).clamp(Duration::from_millis(1), IDLE)
    }

    /// All notices that are not done with.
    async fn waiting(&self) -> Result<BTreeMap<String, Notice>, Error> {
        let asked = [("status", "preparation,in-progress"), ("category", notice::CATEGORY)];
        let query = Query::new("Communication", &asked, MAX_COUNT)?;
        let mut waiting = BTreeMap::new();
        for stored in self.store.search_all(&self.access, query).await? {
            if let Some(mut notice) = Notice::of(stored.value()?, stored.version) {
                // It may have been on its way: what goes out under its name must stay the same.
                notice.message.get_or_insert_with(|| notice.id.clone());
                waiting.insert(notice.id.clone(), notice);
            }
        }
        Ok(waiting)
    }

    /// Plans what the log has to say. The number of entries looked through.
    async fn look(&self, watch: &mut Watch) -> Result<usize, Error> {
        let entries = self.store.log_after(watch.seq, BATCH).await?;
        let Some(last) = entries.last().map(|entry| entry.seq) else { return Ok(0) };
        let mut told = Vec::new();
        for entry in entries.iter().filter(|entry| entry.resource_type == ALERT) {
            told.extend(self.news(entry).await?);
        }
        watch.seq = last;
        if !told.is_empty() || watch.seq - watch.saved >= UNSAVED {
            self.commit(watch, told.into_iter().map(|resource| (resource, None)).collect()).await?;
        }
        Ok(entries.len())
    }

    /// The notices that a version of an alert asks for.
    async fn news(&self, entry: &Entry) -> Result<Vec<Value>, Error> {
        // What could not be told for so long is told no more.
        if self.now() - entry.updated > self.sender.give_up() {
            return Ok(vec![]);
        }
        let Some(next) = self.version(&entry.id, entry.version).await? else { return Ok(vec![]) };
        let previous = match entry.version {
            1 => None,
            version => self.version(&entry.id, version - 1).await?,
        };
        let Some(occasion) = plan::occasion(previous.as_ref(), &next) else { return Ok(vec![]) };
        let news =
            News { alert: &next, id: &entry.id, version: entry.version, occasion, urgency: plan::urgency(&next) };
        self.notices(&news).await
    }

    async fn notices(&self, news: &News<'_>) -> Result<Vec<Value>, Error> {
        let wards = self.wards(news.alert).await;
        let recipients = self.sender.recipients();
        let targets = match news.occasion {
            Occasion::Escalated(step) => plan::targets(&self.policy, news.alert, step),
            _ => &[],
        };
        let mut whom = plan::whom(recipients, news.occasion, news.urgency, wards.as_deref(), targets);
        if whom.is_empty() && matches!(news.occasion, Occasion::Escalated(_)) {
            whom = plan::fallback(recipients);
            self.metrics.notification("none", "nobody");
            tracing::error!(
                alert = news.id,
                stand_ins = whom.len(),
                "a step of the escalation reaches nobody by itself"
            );
        }
        let now = self.now();
        let wait = if news.urgency == AtLeast::Critical { 0 } else { self.sender.group_wait() };
        let mut notices = Vec::with_capacity(whom.len());
        for recipient in whom {
            let quiet = plan::is_quiet(recipient, news.urgency, now);
            let planned = notice::planned(news, recipient, quiet, now, now + wait);
            let id = planned.get("id").and_then(Value::as_str).unwrap_or_default();
            // Planned before a place was lost.
            if self.store.find(&self.access, "Communication", id).await.is_ok() {
                continue;
            }
            if quiet {
                self.metrics.notification(recipient.channel(), "quiet");
            }
            notices.push(planned);
        }
        Ok(notices)
    }

    async fn version(&self, id: &str, version: i32) -> Result<Option<Value>, Error> {
        match self.store.find_version(&self.access, ALERT, id, version).await {
            Ok(stored) if !stored.deleted => Ok(Some(stored.value()?)),
            Ok(_) | Err(Error::NotFound { .. } | Error::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where the patient is; none when that cannot be found out.
    async fn wards(&self, alert: &Value) -> Option<Vec<String>> {
        let patient = alert.pointer("/patient/reference").and_then(Value::as_str)?;
        let found = ward::locations(&self.store, &self.access, patient).await;
        found.inspect_err(|error| tracing::error!(%error, "it is not known where a patient is")).ok()
    }

    /// Sends what is due to those who have nothing on its way.
    async fn depart(&self, watch: &mut Watch) -> Result<(), Error> {
        while watch.flights.len() < FLYING {
            let now = self.now();
            let Some(group) = send::next_group(&watch.waiting, &watch.flying, now) else { return Ok(()) };
            let (group, over) = self.still_of_use(group, now).await?;
            let mut changes: Vec<_> = over.iter().map(|(n, why)| (n.clone(), Outcome::Stopped(why.clone()))).collect();
            let message = group.first().map(|told| told.notice.message.clone().unwrap_or(told.notice.id.clone()));
            if let Some(message) = message.as_ref().filter(|_| group.len() > 1) {
                let alone = group.iter().filter(|told| told.notice.message.is_none());
                changes.extend(alone.map(|told| (told.notice.clone(), Outcome::Leaves(message.clone()))));
            }
            self.record(watch, &changes).await?;
            let (Some(message), Some(first)) = (message, group.first()) else { continue };
            let recipient = first.notice.recipient.clone();
            watch.flying.insert(recipient.clone());
            let sender = self.sender.clone();
            watch.flights.spawn(async move { sender.send(&recipient, &message, group, now).await });
        }
        Ok(())
    }

    /// Notices with their alerts as they stand now, and those that nobody needs any more, with the reason.
    async fn still_of_use(
        &self,
        group: Vec<Notice>,
        now: i64,
    ) -> Result<(Vec<message::Told>, Vec<(Notice, String)>), Error> {
        let (mut told, mut over) = (Vec::new(), Vec::new());
        for notice in group {
            let alert = match self.store.find(&self.access, ALERT, &notice.alert).await {
                Ok(stored) => Some(stored.value()?),
                Err(Error::NotFound { .. } | Error::Gone { .. }) => None,
                Err(error) => return Err(error),
            };
            let why = send::of_no_use(&notice, alert.as_ref(), now, self.sender.give_up());
            match (why, alert) {
                (None, Some(alert)) => {
                    let wards = self.wards(&alert).await.unwrap_or_default();
                    told.push(message::Told { notice, alert, wards });
                }
                (why, _) => over.push((notice, why.unwrap_or("the alert is gone").to_owned())),
            }
        }
        Ok((told, over))
    }

    /// A message has arrived, or not.
    async fn arrive(&self, watch: &mut Watch, landed: Landed) -> Result<(), Error> {
        watch.flying.remove(&landed.recipient);
        let now = self.now();
        let channel = self.sender.recipient(&landed.recipient).map_or("none", |recipient| recipient.channel());
        let mut changes = Vec::with_capacity(landed.notices.len());
        for id in &landed.notices {
            let Some(notice) = watch.waiting.get(id).cloned() else { continue };
            let outcome = send::outcome(&notice, &landed.result, now);
            match &outcome {
                Outcome::Delivered => {
                    self.metrics.notification(channel, "delivered");
                    self.metrics.notified(now - notice.planned);
                }
                Outcome::Again(..) => self.metrics.notification(channel, "failed"),
                _ => self.metrics.notification(channel, "stopped"),
            }
            changes.push((notice, outcome));
        }
        if let Err(failure) = &landed.result {
            tracing::warn!(recipient = landed.recipient, ?failure, "a notification was not delivered");
        }
        self.record(watch, &changes).await
    }

    /// Commits what became of notices.
    async fn record(&self, watch: &mut Watch, changes: &[(Notice, Outcome)]) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let next = changes.iter().map(|(notice, outcome)| (notice.after(outcome, now), Some(notice.version)));
        self.commit(watch, next.collect()).await?;
        let full = changes.iter().filter(|(notice, outcome)| {
            let recipient = self.sender.recipient(&notice.recipient);
            *outcome == Outcome::Delivered && recipient.is_some_and(|r| r.content == Content::Full)
        });
        for (notice, _) in full {
            let who = json!({"identifier": {"system": "urn:vigia:recipient", "value": notice.recipient}});
            let event = lifecycle::audit_event(&notice.alert, 1, "disclose", &who, now);
            let intent = Intent::Create { resource: checked(event)?, id: new_id(), guard: None };
            self.pipeline.write(&self.access, intent).await?;
        }
        Ok(())
    }

    /// Communications and the reader's place in one transaction.
    async fn commit(&self, watch: &mut Watch, told: Vec<(Value, Option<i32>)>) -> Result<(), Error> {
        let (epoch, leased) = (watch.taken.epoch, self.now() + LEASE);
        let cursor = CursorMove { reader: READER.to_owned(), epoch, seq: watch.seq, leased };
        let mut intents = Vec::with_capacity(told.len());
        for (resource, expect) in &told {
            let id = resource.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            intents.push(Intent::Update { resource: checked(resource.clone())?, id, expect: *expect });
        }
        let written = self.pipeline.conclude(&self.access, intents, cursor).await?;
        watch.saved = watch.seq;
        for ((resource, _), written) in told.into_iter().zip(written) {
            match Notice::of(resource, written.version) {
                Some(notice) => _ = watch.waiting.insert(notice.id.clone(), notice),
                None => _ = watch.waiting.remove(&written.id),
            }
        }
        Ok(())
    }
}

fn checked(resource: Value) -> Result<Checked, Error> {
    fhir_r4::check(resource).map_err(|issues| {
        let places: Vec<&str> = issues.iter().map(|i| i.expression.as_str()).collect();
        Error::internal(format!("a notice of our own making is not valid: {places:?}"))
    })
}
