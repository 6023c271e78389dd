//! The write lane: one thread, one connection, the only writer. It takes what waits, writes it as ONE
//! transaction and answers each caller after COMMIT; while one commit runs the next batch gathers by itself.
//! Each group of changes stands or falls as a whole and never harms its neighbours.
//!
//! The row of `log_head` is locked first (SQLite: the write lock), so the sequence numbers that a batch takes
//! are in commit order on both engines and on every node, and what a guard or a version check reads cannot
//! change before the commit.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::prelude::*;
use tokio::sync::oneshot;

use super::body;
use super::conn::{Conn, Location, Purpose};
use super::dict::{Dict, Source};
use super::log::{Entry, Log};
use super::prepare::{OBSERVATION, Prepared, Verb};
use super::queue::Queue;
use super::schema::{log_head, observation};
use super::write::{self, Current, Pending};
use super::{Outcome, Written, database, reader, search};
use crate::clock::Clock;
use crate::error::Error;
use crate::fhir::query::Query;
use crate::telemetry::Metrics;

/// About how many rows one transaction takes.
const BATCH_ROWS: usize = 1000;

/// Why a guard refuses: what its query finds has changed since it was asked.
pub const CONDITION_CHANGED: &str = "What the condition finds has just changed; try again.";

/// Why a reader's step is refused.
pub const READER_LOST: &str = "Another node reads this part of the log now.";

const OTHER_CONTENT: Error = Error::Conflict("The same reading was received before with other content.");

/// What must be true of the store when a group is committed.
#[derive(Clone, Debug)]
pub struct Guard {
    pub query: Query,
    /// The one id that the query must find, or none.
    pub expects: Option<String>,
}

/// A reader's step, taken in the transaction of what it wrote.
#[derive(Clone, Debug)]
pub struct CursorMove {
    pub reader: String,
    pub epoch: i64,
    pub seq: i64,
    /// The lease is good until then, µs UTC.
    pub leased: i64,
}

/// Changes that are committed together or not at all.
pub(super) struct Group {
    pub changes: Vec<Prepared>,
    pub guards: Vec<Guard>,
    pub cursor: Option<CursorMove>,
}

pub(super) type Answer = Vec<Result<Vec<Written>, Error>>;

pub(super) struct Job {
    pub groups: Vec<Group>,
    pub reply: oneshot::Sender<Answer>,
}

pub(super) struct Lane {
    pub location: Location,
    pub dict: Arc<Dict>,
    pub log: Arc<Log>,
    pub queue: Arc<Queue<Job>>,
    pub clock: Clock,
    pub metrics: Metrics,
}

/// One transaction at work.
struct Batch<'a> {
    conn: &'a mut Conn,
    dict: &'a Dict,
    seq: i64,
    now: i64,
    pending: Pending,
    entries: Vec<Arc<Entry>>,
    /// Ids of repeatable creates that are stored already, with version and body.
    stored: HashMap<(i16, Vec<u8>), Current>,
    /// Ids created in this batch, with the bodies they were created with.
    fresh: HashMap<(i16, Vec<u8>), (i64, Vec<u8>)>,
}

impl Lane {
    /// Runs until the queue is closed and empty.
    pub(super) fn run(self) {
        let mut conn = None;
        while let Some(mut jobs) = self.queue.take(BATCH_ROWS) {
            let rows: usize = jobs.iter().flat_map(|j| &j.groups).map(|g| g.changes.len().max(1)).sum();
            self.metrics.lane_batch(u32::try_from(rows).unwrap_or(u32::MAX));
            self.metrics.lane_depth(self.queue.depth());
            let mut answers = self.attempt(&mut conn, &mut jobs);
            if let Err(error) = &answers {
                tracing::warn!(%error, jobs = jobs.len(), "batch failed, trying its jobs one by one");
                answers = Ok(self.one_by_one(&mut conn, &mut jobs));
            }
            for (job, answer) in jobs.into_iter().zip(answers.unwrap_or_default()) {
                // A caller that went away has its answer in the store.
                let _ = job.reply.send(answer);
            }
        }
    }

    fn one_by_one(&self, conn: &mut Option<Conn>, jobs: &mut [Job]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            let groups = job.groups.len();
            answers.push(match self.attempt(conn, std::slice::from_mut(job)) {
                Ok(mut answer) => answer.pop().unwrap_or_default(),
                Err(error) => {
                    tracing::error!(%error, "commit failed");
                    (0..groups).map(|_| Err(failed(&error))).collect()
                }
            });
        }
        answers
    }

    /// One transaction for all jobs. An error means that nothing of it is committed.
    fn attempt(&self, slot: &mut Option<Conn>, jobs: &mut [Job]) -> Result<Vec<Answer>, Error> {
        if slot.is_none() {
            *slot = Some(self.location.connect(Purpose::Write)?);
        }
        let Some(conn) = slot.as_mut() else { return Err(Error::Unavailable("The database is not reachable.")) };
        let done = self.intern(conn, jobs).and_then(|()| self.transaction(conn, jobs));
        if done.is_err() {
            // The connection may be broken or inside a transaction: the next attempt opens a new one.
            *slot = None;
        }
        done
    }

    /// Gives numbers to terms that are new, in a transaction of its own: numbers outlive a failed batch.
    fn intern(&self, conn: &mut Conn, jobs: &mut [Job]) -> Result<(), Error> {
        let changes = || jobs.iter().flat_map(|j| &j.groups).flat_map(|g| &g.changes);
        if changes().all(|change| change.rows.is_some()) {
            return Ok(());
        }
        begin(conn)?;
        let changes = jobs.iter_mut().flat_map(|j| &mut j.groups).flat_map(|g| &mut g.changes);
        for change in changes.filter(|change| change.rows.is_none()) {
            if let Err(error) = change.resolve(&mut self.dict.terms(Source::Make(conn))) {
                self.dict.forget();
                return Err(error);
            }
        }
        commit(conn).inspect_err(|_| self.dict.forget())
    }

    fn transaction(&self, conn: &mut Conn, jobs: &[Job]) -> Result<Vec<Answer>, Error> {
        begin(conn)?;
        let seq = lock_head(conn)?;
        let now = self.clock.now();
        let mut batch = Batch {
            conn,
            dict: &self.dict,
            seq,
            now,
            pending: Pending::default(),
            entries: vec![],
            stored: HashMap::new(),
            fresh: HashMap::new(),
        };
        batch.look_up_repeatable(jobs)?;
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            answers.push(job.groups.iter().map(|group| batch.group(group)).collect::<Result<Answer, Error>>()?);
        }
        batch.flush()?;
        let (last, entries) = (batch.seq, std::mem::take(&mut batch.entries));
        if last > seq {
            diesel::update(log_head::table).set(log_head::seq.eq(last)).execute(conn).map_err(database)?;
        }
        commit(conn)?;
        self.log.publish(entries);
        Ok(answers)
    }
}

impl Batch<'_> {
    /// One query for all ids that may be stored already.
    fn look_up_repeatable(&mut self, jobs: &[Job]) -> Result<(), Error> {
        let mut keys: Vec<&[u8]> = Vec::new();
        let changes = jobs.iter().flat_map(|j| &j.groups).flat_map(|g| &g.changes);
        for change in changes.filter(|c| matches!(c.verb, Verb::Create { again: true })) {
            if change.resource_type == OBSERVATION {
                keys.push(&change.key);
            } else if let Some(current) = write::current(self.conn, change.resource_type, change.rtype, &change.key)? {
                self.stored.insert((change.rtype, change.key.clone()), current);
            }
        }
        let rtype = super::prepare::type_number(OBSERVATION)?;
        for chunk in keys.chunks(500) {
            let found: Vec<(Vec<u8>, Current)> = observation::table
                .filter(observation::id.eq_any(chunk.iter().map(|k| k.to_vec())))
                .select((
                    observation::id,
                    (
                        observation::seq,
                        observation::version,
                        observation::updated,
                        observation::deleted,
                        observation::body,
                    ),
                ))
                .load(self.conn)
                .map_err(database)?;
            self.stored.extend(found.into_iter().map(|(key, current)| ((rtype, key), current)));
        }
        Ok(())
    }

    /// All changes of a group, or what stands against it. The outer error is the transaction's.
    fn group(&mut self, group: &Group) -> Result<Result<Vec<Written>, Error>, Error> {
        let plain = group.guards.is_empty()
            && group.cursor.is_none()
            && group.changes.iter().all(|c| matches!(c.verb, Verb::Create { .. }));
        if !plain {
            // What is read now must see what this batch has written so far.
            self.flush()?;
        }
        let steps = match self.check(group)? {
            Ok(steps) => steps,
            Err(refused) => return Ok(Err(refused)),
        };
        if let Some(cursor) = &group.cursor
            && !reader::advance(self.conn, cursor)?
        {
            return Ok(Err(Error::Conflict(READER_LOST)));
        }
        Ok(Ok(group.changes.iter().zip(steps).map(|(change, step)| self.apply(change, step)).collect()))
    }

    /// What each change finds, without writing anything.
    fn check(&mut self, group: &Group) -> Result<Result<Vec<Step>, Error>, Error> {
        for guard in &group.guards {
            let found = search::ids(self.conn, self.dict, &guard.query, 2)?;
            if found.first() != guard.expects.as_ref() || found.len() > 1 {
                return Ok(Err(Error::Conflict(CONDITION_CHANGED)));
            }
        }
        let mut steps = Vec::with_capacity(group.changes.len());
        let mut seen = HashMap::new();
        for change in &group.changes {
            // Twice the same id in a group: a reading repeated, else a contradiction.
            let before = seen.insert((change.rtype, change.key.as_slice()), &change.body);
            let repeated = matches!(change.verb, Verb::Create { again: true }) && before == Some(&change.body);
            match self.step(change)? {
                Ok(_) if before.is_some() && !repeated => {
                    return Ok(Err(Error::Conflict("One resource is changed twice in one transaction.")));
                }
                Ok(step) => steps.push(step),
                Err(refused) => return Ok(Err(refused)),
            }
        }
        Ok(Ok(steps))
    }

    fn step(&mut self, change: &Prepared) -> Result<Result<Step, Error>, Error> {
        let key = (change.rtype, change.key.clone());
        if let Verb::Create { again } = change.verb {
            if !again {
                return Ok(Ok(Step::First));
            }
            return Ok(match self.stored.get(&key) {
                None if self.fresh.get(&key).is_some_and(|(_, body)| *body != change.body) => Err(OTHER_CONTENT),
                None => Ok(Step::First),
                // A later version or a deletion says that the reading was known and worked on since.
                Some(c) if c.deleted || c.version > 1 || body::same(&c.body, &change.body) => {
                    Ok(Step::Known(c.clone()))
                }
                Some(_) => Err(OTHER_CONTENT),
            });
        }
        let current = write::current(self.conn, change.resource_type, change.rtype, &change.key)?;
        Ok(write::next(change, current))
    }

    fn apply(&mut self, change: &Prepared, step: Step) -> Written {
        let key = (change.rtype, change.key.clone());
        // The same repeatable id twice in one batch: the second is the first.
        if matches!(change.verb, Verb::Create { again: true })
            && let Some((seq, _)) = self.fresh.get(&key)
        {
            return Written {
                id: change.id.clone(),
                version: 1,
                updated: self.now,
                seq: *seq,
                outcome: Outcome::Known,
            };
        }
        let (version, outcome) = match step {
            Step::Known(current) => {
                return Written {
                    id: change.id.clone(),
                    version: current.version,
                    updated: current.updated,
                    seq: current.seq,
                    outcome: Outcome::Known,
                };
            }
            Step::First => (1, Outcome::Created),
            Step::After(current) => {
                let version = current.version + 1;
                let revived = current.deleted;
                self.pending.supersede(change, current);
                (version, if revived { Outcome::Created } else { Outcome::Updated })
            }
        };
        self.seq += 1;
        self.pending.add(change, self.seq, version, self.now);
        if matches!(change.verb, Verb::Create { again: true }) {
            self.fresh.insert(key, (self.seq, change.body.clone()));
        }
        self.entries.push(Arc::new(Entry {
            seq: self.seq,
            resource_type: change.resource_type,
            id: change.id.clone(),
            version,
            updated: self.now,
            content: change.content.clone(),
        }));
        Written { id: change.id.clone(), version, updated: self.now, seq: self.seq, outcome }
    }

    fn flush(&mut self) -> Result<(), Error> {
        std::mem::take(&mut self.pending).write(self.conn)
    }
}

/// What a change finds in the store.
pub(super) enum Step {
    First,
    After(Current),
    /// Stored already: nothing is written.
    Known(Current),
}

/// The last sequence number, with its row locked until COMMIT.
fn lock_head(conn: &mut Conn) -> Result<i64, Error> {
    let head = log_head::table.select(log_head::seq);
    match conn {
        Conn::Postgres(c) => head.for_update().first(c),
        Conn::Sqlite(c) => head.first(c),
    }
    .map_err(database)
}

fn begin(conn: &mut Conn) -> Result<(), Error> {
    match conn {
        Conn::Postgres(c) => AnsiTransactionManager::begin_transaction(c),
        Conn::Sqlite(c) => AnsiTransactionManager::begin_transaction_sql(c, "BEGIN IMMEDIATE"),
    }
    .map_err(database)
}

fn commit(conn: &mut Conn) -> Result<(), Error> {
    match conn {
        Conn::Postgres(c) => AnsiTransactionManager::commit_transaction(c),
        Conn::Sqlite(c) => AnsiTransactionManager::commit_transaction(c),
    }
    .map_err(database)
}

/// The same failure told to each caller of a batch; its text has gone to the log.
fn failed(error: &Error) -> Error {
    match error {
        Error::Unavailable(what) => Error::Unavailable(what),
        _ => Error::internal("the commit failed"),
    }
}
