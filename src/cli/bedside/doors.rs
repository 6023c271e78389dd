//! The doors by which readings go out, each with its own queue and task, so that a slow one never holds
//! up the others: HTTP device upload, FHIR transactions, HL7 v2 over MLLP. A reading counts as acknowledged
//! when the server has said so, and not before.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::codec::Framed;

use super::hl7;
use super::http::{ATTEMPTS, Answered, Http, Tally, wait};
use super::reading::{Reading, compact, observation};
use super::ward::Bed;
use crate::clock::Clock;
use crate::hl7::frame::Codec;

/// Parcels that wait for a door before their sender does.
const QUEUE: usize = 256;
/// Readings of one upload, and of one Bundle or message.
const UPLOAD: usize = 1000;
const TOGETHER: usize = 200;
const ANSWER: Duration = Duration::from_secs(15);
/// What is queued when the ward stops may take so long.
const DRAIN: Duration = Duration::from_secs(10);

/// Readings of one bed.
pub(in crate::cli) type Parcel = (Arc<Bed>, Vec<Reading>);

/// How readings are sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum Form {
    /// The compact form of the device door.
    Device,
    /// FHIR transactions.
    Fhir,
    /// HL7 v2 over MLLP, to this address.
    Hl7(SocketAddr),
}

/// The doors, open: bed 0 sends by the first, bed 1 by the second, and so on, round and round.
pub(in crate::cli) struct Doors {
    queues: Vec<mpsc::Sender<Vec<Parcel>>>,
    tasks: JoinSet<()>,
}

impl Doors {
    pub(in crate::cli) fn open(http: &Http, forms: &[Form], clock: &Clock) -> Self {
        let (mut tasks, mut queues) = (JoinSet::new(), Vec::new());
        for form in forms {
            let (queue, parcels) = mpsc::channel(QUEUE);
            queues.push(queue);
            match form {
                Form::Device => _ = tasks.spawn(upload(http.clone(), parcels)),
                Form::Fhir => _ = tasks.spawn(bundle(http.clone(), parcels)),
                Form::Hl7(address) => {
                    let (clock, tally) = (clock.clone(), http.tally.clone());
                    let run = clock.now_seconds();
                    let sender = Mllp { address: *address, line: None, clock, run, count: 0, tally };
                    tasks.spawn(sender.run(parcels));
                }
            }
        }
        Self { queues, tasks }
    }

    /// Hands parcels to their doors; waits while a queue is full.
    pub(in crate::cli) async fn send(&self, parcels: impl IntoIterator<Item = (usize, Parcel)>) {
        let mut split: Vec<Vec<Parcel>> = vec![Vec::new(); self.queues.len()];
        for (bed, parcel) in parcels {
            if let Some(own) = split.get_mut(bed % self.queues.len().max(1)).filter(|_| !parcel.1.is_empty()) {
                own.push(parcel);
            }
        }
        for (queue, parcels) in self.queues.iter().zip(split) {
            if !parcels.is_empty() {
                // A door that has ended has told why in the log.
                let _ = queue.send(parcels).await;
            }
        }
    }

    /// Sends what is queued and waits for the answers.
    pub(in crate::cli) async fn close(self) {
        let Self { queues, mut tasks } = self;
        drop(queues);
        let drained = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("readings that were queued are not sent");
        }
    }
}

fn write_all(parcels: &[Parcel], form: fn(&Reading, &Bed) -> Value) -> Vec<Value> {
    parcels.iter().flat_map(|(bed, readings)| readings.iter().map(|reading| form(reading, bed))).collect()
}

/// The device door: everything of one moment in one upload, with a receipt for each.
async fn upload(http: Http, mut queue: mpsc::Receiver<Vec<Parcel>>) {
    while let Some(parcels) = queue.recv().await {
        for readings in write_all(&parcels, compact).chunks(UPLOAD) {
            Tally::add(&http.tally.sent, readings.len());
            let answer = http.post("/device/v1/observations", "application/json", &Value::from(readings)).await;
            let taken = match answer {
                Ok(answer) => receipts(&answer),
                Err(error) => lost("device", &error),
            };
            settle(&http.tally, readings.len(), taken);
        }
    }
}

/// How many readings were taken; what the first of the others is refused for goes to the log.
fn receipts(answer: &Answered) -> usize {
    let items = answer.body.get("items").and_then(Value::as_array).into_iter().flatten();
    let reason = items.filter_map(|item| item.get("reason")).find_map(|reason| reason.pointer("/issue/0/diagnostics"));
    if let Some(reason) = reason.and_then(Value::as_str) {
        tracing::warn!(reason, "device door: readings refused");
    } else if answer.status != 200 {
        tracing::warn!(reason = answer.reason(), "device door: upload refused");
    }
    let count = |name: &str| answer.body.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    count("created").unwrap_or_default() + count("duplicate").unwrap_or_default()
}

/// The FHIR door: transactions; when one is refused, its entries one by one, so that a bad one harms no other.
async fn bundle(http: Http, mut queue: mpsc::Receiver<Vec<Parcel>>) {
    while let Some(parcels) = queue.recv().await {
        for resources in write_all(&parcels, observation).chunks(TOGETHER) {
            Tally::add(&http.tally.sent, resources.len());
            let taken = match bundled(&http, resources).await {
                Ok(taken) => taken,
                Err(error) => lost("FHIR", &error),
            };
            settle(&http.tally, resources.len(), taken);
        }
    }
}

async fn bundled(http: &Http, resources: &[Value]) -> Result<usize> {
    let entry = |resource: &Value| json!({"resource": resource, "request": {"method": "POST", "url": "Observation"}});
    let entries: Vec<Value> = resources.iter().map(entry).collect();
    let of = |kind: &str| json!({"resourceType": "Bundle", "type": kind, "entry": entries});
    let whole = http.post("/fhir", "application/fhir+json", &of("transaction")).await?;
    if whole.status == 200 {
        return Ok(resources.len());
    }
    tracing::warn!(reason = whole.reason(), "FHIR door: transaction refused");
    let each = http.post("/fhir", "application/fhir+json", &of("batch")).await?;
    let entries = each.body.get("entry").and_then(Value::as_array).into_iter().flatten();
    let fine =
        |entry: &&Value| entry.pointer("/response/status").and_then(Value::as_str).is_some_and(|s| s.starts_with('2'));
    Ok(entries.filter(fine).count())
}

fn lost(door: &str, error: &anyhow::Error) -> usize {
    tracing::warn!(door, error = format!("{error:#}"), "not sent");
    0
}

fn settle(tally: &Tally, sent: usize, taken: usize) {
    Tally::add(&tally.acknowledged, taken);
    Tally::add(&tally.refused, sent.saturating_sub(taken));
}

/// The HL7 door: one connection, one message a patient, the next one after its answer.
struct Mllp {
    address: SocketAddr,
    line: Option<Framed<TcpStream, Codec>>,
    clock: Clock,
    /// Control ids are this and a number, so that no two runs use the same.
    run: i64,
    count: u64,
    tally: Arc<Tally>,
}

impl Mllp {
    async fn run(mut self, mut queue: mpsc::Receiver<Vec<Parcel>>) {
        while let Some(parcels) = queue.recv().await {
            for (bed, readings) in parcels {
                for part in readings.chunks(TOGETHER) {
                    Tally::add(&self.tally.sent, part.len());
                    let taken = match self.send(&bed, part).await {
                        Ok(true) => part.len(),
                        Ok(false) => 0,
                        Err(error) => lost("HL7", &error),
                    };
                    settle(&self.tally, part.len(), taken);
                }
            }
        }
    }

    /// True: AA. The same message may be sent again: its readings are known by its control id.
    async fn send(&mut self, bed: &Bed, readings: &[Reading]) -> Result<bool> {
        self.count += 1;
        let control_id = format!("{}-{}", self.run, self.count);
        let message = hl7::message(bed, readings, &control_id, self.clock.now());
        for attempt in 1..=ATTEMPTS {
            match self.exchange(&message, &control_id).await {
                Ok((verdict, _)) if verdict == "AA" => return Ok(true),
                Ok((_, true)) | Err(_) if attempt < ATTEMPTS => {}
                Ok((verdict, _)) => {
                    tracing::warn!(verdict, "HL7 door: message refused");
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
            Tally::add(&self.tally.again, 1);
            wait(attempt, None).await;
        }
        Ok(false)
    }

    async fn exchange(&mut self, message: &[u8], control_id: &str) -> Result<(String, bool)> {
        let mut line = match self.line.take() {
            Some(line) => line,
            None => Framed::new(
                TcpStream::connect(self.address).await.context("the HL7 listener cannot be reached")?,
                Codec::new(1 << 20),
            ),
        };
        let broken = |_| anyhow::anyhow!("the connection to the HL7 listener broke");
        line.send(message.to_vec()).await.map_err(broken)?;
        let answer = tokio::time::timeout(ANSWER, line.next()).await.context("no answer of the HL7 listener")?;
        let Some(answer) = answer.transpose().map_err(broken)? else { bail!("the HL7 listener closed the connection") };
        let verdict = hl7::verdict(&answer.message, control_id).context("an answer to something else")?;
        self.line = Some(line);
        Ok(verdict)
    }
}
