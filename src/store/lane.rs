//! The write lane: one thread, one connection, the only writer. It takes what waits, writes it as ONE
//! transaction and answers each caller after COMMIT; while one commit runs the next batch gathers by itself.
//! Each group of changes stands or falls as a whole and never harms its neighbours.
//!
//! The row of `log_head` is locked first (SQLite: the write lock), so the sequence numbers that a batch takes
//! are in commit order on both engines and on every node, and what a guard or a version check reads cannot
//! change before the commit.

use std::sync::Arc;

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::prelude::*;
use tokio::sync::oneshot;

use super::audit;
use super::batch::{Batch, Finished};
use super::conn::{Conn, Location, Purpose};
use super::dict::{Dict, Made, Source};
use super::guard::Guard;
use super::log::Log;
use super::message::{Posted, Posting};
use super::parameters::{self, SEARCH_PARAMETER};
use super::prepare::{Prepared, UNKNOWN};
use super::queue::Queue;
use super::schema::log_head;
use super::{Written, database};
use crate::audit::Stamp;
use crate::clock::Clock;
use crate::error::Error;
use crate::telemetry::Metrics;

/// About how many rows one transaction takes.
const BATCH_ROWS: usize = 1000;

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

/// What became of each group of a caller, and of the message that they came with.
#[derive(Default)]
pub(super) struct Answer {
    pub groups: Vec<Result<Vec<Written>, Error>>,
    pub posted: Option<Posted>,
}

/// Work that is no commit of resources: whether it may be committed, and how its caller is then answered.
type Aside = Box<dyn FnOnce(&mut Conn) -> (bool, Box<dyn FnOnce() + Send>) + Send>;

pub(super) enum Job {
    Commit(Batched),
    Aside(Aside),
}

/// A caller's groups, to be written with those of others.
pub(super) struct Batched {
    pub groups: Vec<Group>,
    /// The message that they came with.
    pub posting: Option<Box<Posting>>,
    /// Whose groups they are, for the audit trail.
    pub stamp: Stamp,
    pub reply: oneshot::Sender<Answer>,
}

pub(super) struct Lane {
    pub location: Location,
    pub dict: Arc<Dict>,
    pub params: parameters::Current,
    pub log: Arc<Log>,
    pub queue: Arc<Queue<Job>>,
    pub clock: Clock,
    pub metrics: Metrics,
}

impl Lane {
    /// Runs until the queue is closed and empty.
    pub(super) fn run(self) {
        let mut conn = None;
        while let Some(taken) = self.queue.take(BATCH_ROWS) {
            let mut jobs = Vec::with_capacity(taken.len());
            for job in taken {
                match job {
                    Job::Commit(job) => jobs.push(job),
                    Job::Aside(work) => self.aside(&mut conn, work),
                }
            }
            if jobs.is_empty() {
                continue;
            }
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

    /// Work of its own transaction. A caller that hears nothing learns that it was not done.
    fn aside(&self, slot: &mut Option<Conn>, work: Aside) {
        let done = self.connection(slot).and_then(|conn| {
            begin(conn)?;
            let (fine, answer) = work(conn);
            if fine {
                commit(conn)?;
            } else {
                rollback(conn)?;
            }
            answer();
            Ok(())
        });
        if let Err(error) = done {
            tracing::error!(%error, "write failed");
            *slot = None;
        }
    }

    fn connection<'a>(&self, slot: &'a mut Option<Conn>) -> Result<&'a mut Conn, Error> {
        match slot {
            Some(conn) => Ok(conn),
            none => Ok(none.insert(self.location.connect(Purpose::Write)?)),
        }
    }

    fn one_by_one(&self, conn: &mut Option<Conn>, jobs: &mut [Batched]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            let groups = job.groups.len();
            answers.push(match self.attempt(conn, std::slice::from_mut(job)) {
                Ok(mut answer) => answer.pop().unwrap_or_default(),
                Err(error) => {
                    tracing::error!(%error, "commit failed");
                    Answer { groups: (0..groups.max(1)).map(|_| Err(failed(&error))).collect(), posted: None }
                }
            });
        }
        answers
    }

    /// One transaction for all jobs. An error means that nothing of it is committed.
    fn attempt(&self, slot: &mut Option<Conn>, jobs: &mut [Batched]) -> Result<Vec<Answer>, Error> {
        let conn = self.connection(slot)?;
        let done = self.intern(conn, jobs).and_then(|()| self.transaction(conn, jobs));
        if done.is_err() {
            // Numbers of terms that were made with it are not there.
            let changes = jobs.iter_mut().flat_map(|job| &mut job.groups).flat_map(|group| &mut group.changes);
            changes.for_each(|change| change.params = UNKNOWN);
            // The connection may be broken or inside a transaction: the next attempt opens a new one.
            *slot = None;
        }
        done
    }

    /// Gives numbers to terms that are new, in a transaction of its own: numbers outlive a failed batch.
    fn intern(&self, conn: &mut Conn, jobs: &mut [Batched]) -> Result<(), Error> {
        if changes(jobs).all(|change| change.rows.is_some()) {
            return Ok(());
        }
        let changes = jobs.iter_mut().flat_map(|j| &mut j.groups).flat_map(|g| &mut g.changes);
        let mut open: Vec<_> = changes.filter(|change| change.rows.is_none()).collect();
        let done = self.make_terms(conn, &mut open);
        if done.is_err() {
            // What was made is not there: no change may go on with its numbers.
            for change in open {
                change.rows = None;
            }
        }
        done
    }

    /// Under the lock of the log's head, so that two nodes never wait for each other's terms.
    fn make_terms(&self, conn: &mut Conn, open: &mut [&mut Prepared]) -> Result<(), Error> {
        begin(conn)?;
        lock_head(conn)?;
        let mut terms = self.dict.terms(Source::Make(conn));
        for change in open {
            change.resolve(&mut terms)?;
        }
        let made = terms.into_made();
        commit(conn)?;
        self.dict.learn(made);
        Ok(())
    }

    /// What was made ready under another state of the search parameters is indexed by the one that is in force now.
    fn index_again(&self, conn: &mut Conn, jobs: &mut [Batched], params: i64) -> Result<Made, Error> {
        if changes(jobs).all(|change| change.params == params) {
            return Ok(Made::default());
        }
        parameters::refresh(conn, &self.params)?;
        let current = self.params.load_full();
        let mut terms = self.dict.terms(Source::Make(conn));
        let all = jobs.iter_mut().flat_map(|job| &mut job.groups).flat_map(|group| &mut group.changes);
        for change in all.filter(|change| change.params != params) {
            change.index_by(&current, self.clock.now())?;
            change.resolve(&mut terms)?;
        }
        Ok(terms.into_made())
    }

    fn transaction(&self, conn: &mut Conn, jobs: &mut [Batched]) -> Result<Vec<Answer>, Error> {
        begin(conn)?;
        let (seq, params) = lock_log(conn)?;
        let made = self.index_again(conn, jobs, params)?;
        let mut batch = Batch::new(conn, &self.dict, seq, self.clock.now());
        batch.look_up_repeatable(jobs)?;
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs.iter() {
            answers.push(batch.job(job)?);
        }
        let Finished { seq: last, entries, recorded } = batch.finish()?;
        audit::append(conn, &recorded)?;
        if last > seq {
            let defines = changes(jobs).any(|change| change.resource_type == SEARCH_PARAMETER);
            let head = (log_head::seq.eq(last), log_head::parameters.eq(params + i64::from(defines)));
            diesel::update(log_head::table).set(head).execute(conn).map_err(database)?;
        }
        commit(conn)?;
        self.dict.learn(made);
        self.log.publish(entries);
        Ok(answers)
    }
}

fn changes(jobs: &[Batched]) -> impl Iterator<Item = &Prepared> {
    jobs.iter().flat_map(|job| &job.groups).flat_map(|group| &group.changes)
}

/// The last sequence number, with its row locked until COMMIT.
pub(super) fn lock_head(conn: &mut Conn) -> Result<i64, Error> {
    Ok(lock_log(conn)?.0)
}

/// The same, with the state of the search parameters.
fn lock_log(conn: &mut Conn) -> Result<(i64, i64), Error> {
    let head = log_head::table.select((log_head::seq, log_head::parameters));
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

fn rollback(conn: &mut Conn) -> Result<(), Error> {
    match conn {
        Conn::Postgres(c) => AnsiTransactionManager::rollback_transaction(c),
        Conn::Sqlite(c) => AnsiTransactionManager::rollback_transaction(c),
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
