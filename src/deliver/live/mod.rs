//! The live feed: one reader of the log keeps the board of the ward (who lies where, latest values, open
//! alerts) and tells every open page what changed. Values are gathered and sent once a second, alarms at once.
//! A page that lost its stream goes on from the last event it saw, else begins with a new snapshot.

mod alarms;
mod board;
mod patient;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use self::alarms::Alarms;
pub use self::board::Board;
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::time;
use crate::store::{Entry, Store};
use crate::telemetry::Metrics;

/// How often gathered values are sent.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between heartbeats.
const HEARTBEAT_TICKS: u32 = 5;
/// Events that are kept for pages that come back: a minute of values and a busy minute of alarms.
const KEPT: usize = 512;
/// Events that a slow page may be behind before it is cut and begins anew.
const BEHIND: usize = 256;
const BATCH: usize = 1000;

/// One event of the stream, ready to be sent.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: u64,
    pub frame: Bytes,
}

/// A page's stream: what it starts with, then what comes.
pub struct Stream {
    pub first: Vec<Bytes>,
    /// Events up to this one are in `first` already.
    pub seen: u64,
    pub events: broadcast::Receiver<Event>,
}

#[derive(Clone)]
pub struct Live {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    metrics: Metrics,
    state: Mutex<State>,
    events: broadcast::Sender<Event>,
}

struct State {
    board: Board,
    alarms: Alarms,
    kept: VecDeque<Event>,
    last: u64,
}

impl Live {
    pub fn new(store: Store, metrics: Metrics) -> Self {
        // Ids go on rising over a restart, so that a page never takes an old id for one it has seen.
        let now = store.clock().now();
        let (last, alarms) = (u64::try_from(now).unwrap_or(0), Alarms::since(now));
        let state = Mutex::new(State { board: Board::default(), alarms, kept: VecDeque::new(), last });
        let events = broadcast::Sender::new(BEHIND);
        Self { shared: Arc::new(Shared { store, metrics, state, events }) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a stream for a page that saw `after` last.
    pub fn open(&self, after: Option<u64>) -> Stream {
        let state = self.state();
        let events = self.shared.events.subscribe();
        let missed = after
            .filter(|after| *after <= state.last && state.kept.front().is_some_and(|oldest| oldest.id <= after + 1));
        let first = match missed {
            Some(after) => state.kept.iter().filter(|e| e.id > after).map(|e| e.frame.clone()).collect(),
            None => vec![frame(state.last, "snapshot", &state.board.snapshot(self.shared.store.clock().now()))],
        };
        Stream { first, seen: state.last, events }
    }

    /// A snapshot now, as JSON.
    pub fn snapshot(&self) -> Value {
        self.state().board.snapshot(self.shared.store.clock().now())
    }

    /// Ends every open stream.
    pub fn close(&self) {
        // An event without content is the last one.
        let _ = self.shared.events.send(Event { id: u64::MAX, frame: Bytes::new() });
    }

    /// Runs until cancelled.
    pub async fn run(self, cancelled: CancellationToken) {
        while !cancelled.is_cancelled() {
            let outcome = tokio::select! {
                outcome = self.follow() => outcome,
                () = cancelled.cancelled() => return,
            };
            if let Err(error) = outcome {
                tracing::error!(%error, "live feed starts again");
                tokio::time::sleep(TICK).await;
            }
        }
    }

    async fn follow(&self) -> Result<(), Error> {
        let store = &self.shared.store;
        let mut seen = store.log_head().await?;
        let board = Board::load(store, &Access::system("live")).await?;
        {
            let mut state = self.state();
            state.board = board;
            let snapshot = state.board.snapshot(store.clock().now());
            self.send(&mut state, "snapshot", &snapshot);
        }
        let mut bell = store.bell();
        let mut tick = tokio::time::interval(TICK);
        let mut ticks = 0_u32;
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    ticks = ticks.wrapping_add(1);
                    self.send_values(ticks.is_multiple_of(HEARTBEAT_TICKS));
                    if store.is_shared() {
                        seen = self.read_on(seen).await?;
                    }
                }
                rung = bell.changed() => {
                    if rung.is_err() {
                        return Ok(());
                    }
                    seen = self.read_on(seen).await?;
                }
            }
        }
    }

    /// Takes in everything after `seen`.
    async fn read_on(&self, mut seen: i64) -> Result<i64, Error> {
        loop {
            let entries = self.shared.store.log_after(seen, BATCH).await?;
            let Some(last) = entries.last() else { return Ok(seen) };
            seen = last.seq;
            let mut missing = Vec::new();
            {
                let mut state = self.state();
                for entry in &entries {
                    state.alarms.take(entry, &self.shared.metrics);
                    let changes = state.board.take(entry);
                    missing.extend(changes.unknown_patient);
                    for (event, data) in changes.events {
                        self.send(&mut state, event, &data);
                        self.observe_delay(entry);
                    }
                }
            }
            for patient in missing {
                self.introduce(&patient).await?;
            }
        }
    }

    /// A patient that the board does not know yet: looked up and shown.
    async fn introduce(&self, id: &str) -> Result<(), Error> {
        let Some(entry) = board::patient_entry(&self.shared.store, id).await? else { return Ok(()) };
        let mut state = self.state();
        for (event, data) in state.board.take(&entry).events {
            self.send(&mut state, event, &data);
        }
        Ok(())
    }

    fn send_values(&self, heartbeat: bool) {
        let now = self.shared.store.clock().now();
        let mut state = self.state();
        if let Some((values, committed)) = state.board.changed_values(now) {
            self.send(&mut state, "v", &values);
            for at in committed {
                self.shared.metrics.commit_to_live_seconds.observe(seconds(now - at));
            }
        }
        if heartbeat {
            // Only the present has a heartbeat: it is never kept for those who come back.
            let id = state.last;
            let _ = self
                .shared
                .events
                .send(Event { id: id + 1, frame: frame(id, "hb", &json!({"time": time::instant(now)})) });
        }
    }

    fn observe_delay(&self, entry: &Entry) {
        let now = self.shared.store.clock().now();
        self.shared.metrics.commit_to_live_seconds.observe(seconds(now - entry.updated));
    }

    fn send(&self, state: &mut State, name: &str, data: &Value) {
        state.last += 1;
        let event = Event { id: state.last, frame: frame(state.last, name, data) };
        state.kept.push_back(event.clone());
        if state.kept.len() > KEPT {
            state.kept.pop_front();
        }
        // Nobody listening is no error.
        let _ = self.shared.events.send(event);
    }
}

fn seconds(us: i64) -> f64 {
    Duration::from_micros(u64::try_from(us).unwrap_or(0)).as_secs_f64()
}

/// The event in the form of `text/event-stream`.
fn frame(id: u64, name: &str, data: &Value) -> Bytes {
    Bytes::from(format!("id: {id}\nevent: {name}\ndata: {data}\n\n"))
}
