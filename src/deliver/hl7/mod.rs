//! HL7 v2 out. For each destination a reader of the log with a place of its own: what is new there becomes messages
//! (`result`, `alarm`, which begin alike: `head`; admissions go on as they came), one after the other, each sent until it is answered. A restart
//! forgets nothing, a message may come twice (under the same control id) and none is lost; a destination that is away
//! for days is caught up with and keeps nobody else waiting. What a destination refuses for good is parked as a
//! Communication, to be seen and sent again. Nothing clinical is written here.

mod alarm;
mod head;
mod parcel;
mod parked;
mod result;

use std::path::PathBuf;
use std::time::Duration;

use fhir_r4::Checked;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use self::parcel::{Page, Parcel};
use crate::auth::access::Access;
use crate::config::destination::{ClientTls, Destination};
use crate::error::Error;
use crate::hl7::client::{Answer, Line, Secure};
use crate::hl7::tls;
use crate::pipeline::{Intent, Pipeline};
use crate::store::{CursorMove, READER_LOST, Store, Taken};
use crate::telemetry::Metrics;

/// Entries of the log that are looked through at once.
const BATCH: usize = 500;
/// How long another node waits before it takes over from one that is silent, µs.
const LEASE: i64 = 5_000_000;
const IDLE: Duration = Duration::from_millis(500);
/// The place is stored after so many messages, or entries that say nothing to this destination: a restart sends few
/// of them again.
const UNSAVED: i64 = 20;
const UNSAID: i64 = 2_000;
/// How long is waited before a message is sent again: from the first to the longest.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_mins(1);

/// Sends one destination what it wants.
pub struct Feeder {
    pipeline: Pipeline,
    store: Store,
    metrics: Metrics,
    access: Access,
    /// Names this process as the holder of a lease.
    holder: String,
    to: Destination,
    secure: Option<Secure>,
    /// Its place in the log.
    reader: String,
}

/// What is known while this node holds the reader.
struct Watch {
    taken: Taken,
    /// Everything up to here is sent.
    seq: i64,
    saved: i64,
    /// Messages since the place was stored.
    sent: i64,
    line: Option<Line>,
}

/// What became of a message.
enum Outcome {
    Sent,
    /// Refused for good, and why.
    Refused(String),
    Stopped,
}

/// Reads the files that destinations name. The error names the key.
pub fn check(destinations: &[Destination]) -> anyhow::Result<()> {
    for (at, to) in destinations.iter().enumerate() {
        let tls = to.tls.clone().unwrap_or_default();
        for (key, path) in [("ca", &tls.ca), ("cert", &tls.cert)] {
            if let Some(path) = path {
                tls::certificates(&format!("hl7.destination[{at}].tls.{key}"), path)?;
            }
        }
        if let Some(path) = &tls.key {
            tls::key(&format!("hl7.destination[{at}].tls.key"), path)?;
        }
    }
    Ok(())
}

impl Feeder {
    pub fn new(pipeline: Pipeline, metrics: Metrics, holder: String, to: Destination) -> Self {
        let (store, reader) = (pipeline.store().clone(), format!("hl7:{}", to.name));
        let secure = to.tls.clone().map(|ClientTls { ca, cert, key }: ClientTls| {
            let own: Option<(PathBuf, PathBuf)> = cert.zip(key);
            Secure { authorities: ca, own }
        });
        Self { pipeline, store, metrics, access: Access::system("hl7 destination"), holder, to, secure, reader }
    }

    /// Runs until cancelled. Trouble is logged and the watch begun afresh from what is stored.
    pub async fn run(self, cancelled: CancellationToken) {
        while !cancelled.is_cancelled() {
            match self.watch(&cancelled).await {
                Ok(()) => {}
                Err(Error::Conflict(READER_LOST)) => tracing::info!(to = self.to.name, "another node sends now"),
                Err(error) => tracing::error!(%error, to = self.to.name, "sending starts again from what is stored"),
            }
            tokio::select! {
                () = tokio::time::sleep(IDLE) => {}
                () = cancelled.cancelled() => break,
            }
        }
        if let Err(error) = self.store.release_reader(&self.reader, &self.holder).await {
            tracing::warn!(%error, to = self.to.name, "the lease of a destination runs out by itself");
        }
    }

    /// Takes the reader and sends until something stands against it. Returns when another node holds it.
    async fn watch(&self, cancelled: &CancellationToken) -> Result<(), Error> {
        let Some(taken) = self.store.take_reader(&self.reader, &self.holder, LEASE).await? else { return Ok(()) };
        let _kept = self.store.keep_reader(&self.reader, taken.epoch, LEASE);
        let mut watch = Watch { taken, seq: taken.seq, saved: taken.seq, sent: 0, line: None };
        if taken.seq == 0 {
            // Who is named for the first time is not told what happened before.
            watch.seq = self.store.log_head().await?;
            self.save(&mut watch, None).await?;
        }
        let mut bell = self.store.bell();
        while !cancelled.is_cancelled() {
            if self.look(&mut watch, cancelled).await? == 0 {
                if watch.sent > 0 {
                    self.save(&mut watch, None).await?;
                }
                self.metrics.hl7_behind(&self.to.name, Duration::ZERO);
                tokio::select! {
                    _ = bell.changed() => {}
                    () = tokio::time::sleep(IDLE) => {}
                    () = cancelled.cancelled() => {}
                }
            }
        }
        if watch.seq > watch.saved { self.save(&mut watch, None).await } else { Ok(()) }
    }

    /// Sends what the next entries of the log have to say. The number of entries looked through.
    async fn look(&self, watch: &mut Watch, cancelled: &CancellationToken) -> Result<usize, Error> {
        let entries = self.store.log_after(watch.seq, BATCH).await?;
        let Some(last) = entries.last() else { return Ok(0) };
        let mut page = Page::new(&self.store, &self.access, &self.to);
        for parcel in page.parcels(&entries).await? {
            let before = parcel.first - 1;
            match self.deliver(watch, &parcel, cancelled).await {
                Outcome::Sent => {
                    watch.seq = parcel.last;
                    watch.sent += 1;
                    if let Some(again) = &parcel.again {
                        self.save(watch, Some(parked::settled(again))).await?;
                    } else if watch.sent >= UNSAVED {
                        self.save(watch, None).await?;
                    }
                }
                Outcome::Refused(why) => {
                    watch.seq = parcel.last;
                    let parked = parked::parked(&self.to.name, &parcel, &why, self.store.clock().now());
                    self.save(watch, Some(parked)).await?;
                }
                Outcome::Stopped => {
                    watch.seq = watch.seq.max(before);
                    return Ok(entries.len());
                }
            }
        }
        watch.seq = last.seq;
        if watch.seq - watch.saved >= UNSAID {
            self.save(watch, None).await?;
        }
        Ok(entries.len())
    }

    /// Sends one message until it is answered for good. Without a connection nothing is refused: it waits.
    async fn deliver(&self, watch: &mut Watch, parcel: &Parcel, cancelled: &CancellationToken) -> Outcome {
        let (mut pause, mut tried) = (FIRST, 0);
        loop {
            let behind = self.store.clock().now() - parcel.committed;
            self.metrics.hl7_behind(&self.to.name, Duration::from_micros(behind.unsigned_abs()));
            let answer = tokio::select! {
                answer = self.exchange(watch, parcel) => answer,
                () = cancelled.cancelled() => return Outcome::Stopped,
            };
            match answer {
                Ok(Answer::Accepted) => {
                    self.metrics.hl7_sent(&self.to.name, "accepted");
                    return Outcome::Sent;
                }
                Ok(Answer::Refused(code, why)) => {
                    tried += 1;
                    self.metrics.hl7_sent(&self.to.name, "refused");
                    tracing::warn!(to = self.to.name, code, tried, "a message was not accepted");
                    if matches!(code.as_str(), "AR" | "CR") || tried >= self.to.attempts {
                        return Outcome::Refused(why);
                    }
                }
                Err(error) => {
                    watch.line = None;
                    self.metrics.hl7_sent(&self.to.name, "failed");
                    tracing::warn!(to = self.to.name, error = format!("{error:#}"), "a message was not answered");
                }
            }
            // Many that were cut off at once do not come back at once.
            let jitter = pause.mul_f64(rand::random_range(0.5..1.0));
            tokio::select! {
                () = tokio::time::sleep(jitter) => {}
                () = cancelled.cancelled() => return Outcome::Stopped,
            }
            pause = (pause * 2).min(LONGEST);
        }
    }

    async fn exchange(&self, watch: &mut Watch, parcel: &Parcel) -> anyhow::Result<Answer> {
        let line = match &mut watch.line {
            Some(line) => line,
            none => {
                let patience = Duration::from_secs(self.to.timeout_s);
                none.insert(Line::open(&self.to.address, self.secure.as_ref(), patience).await?)
            }
        };
        line.exchange(parcel.bytes.clone(), Some(&parcel.control)).await
    }

    /// Stores the place, with what became of a message that was refused.
    async fn save(&self, watch: &mut Watch, told: Option<(Value, Option<i32>)>) -> Result<(), Error> {
        let (epoch, leased) = (watch.taken.epoch, self.store.clock().now() + LEASE);
        let cursor = CursorMove { reader: self.reader.clone(), epoch, seq: watch.seq, leased };
        let mut intents = Vec::new();
        if let Some((resource, expect)) = told {
            let id = resource.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            intents.push(Intent::Update { resource: checked(resource)?, id, expect });
        }
        match self.pipeline.conclude(&self.access, intents, cursor.clone()).await {
            // Somebody has written into the record meanwhile: that stands, and the message is done with all the same.
            Err(Error::VersionConflict { .. }) => _ = self.pipeline.conclude(&self.access, vec![], cursor).await?,
            outcome => _ = outcome?,
        }
        watch.saved = watch.seq;
        watch.sent = 0;
        Ok(())
    }
}

fn checked(resource: Value) -> Result<Checked, Error> {
    fhir_r4::check(resource).map_err(|issues| {
        let places: Vec<&str> = issues.iter().map(|i| i.expression.as_str()).collect();
        Error::internal(format!("a record of our own making is not valid: {places:?}"))
    })
}
