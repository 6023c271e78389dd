//! Index rows made anew from what stands: after an upgrade that indexes more than the rows were written with. It walks
//! the standing rows in the order of the log, a few at a time, through the lane and behind everybody else's writes.
//! No version is made and nothing is logged: a row keeps its `seq`, its version and its bytes. Progress is this node's
//! memory; a run that a stop ended is started again from the beginning, which does no harm however often it happens.

use std::sync::PoisonError;

use diesel::prelude::*;
use tokio::sync::oneshot;

use super::conn::{Conn, MultiBackend};
use super::dict::{Dict, Made, Source};
use super::lane::{Job, lock_head};
use super::prepare::{Change, OBSERVATION, Prepared, Verb, type_number};
use super::queue::Priority;
use super::resource::{VersionRow, observation_versions, stored};
use super::schema::{observation, resource};
use super::write::{Pending, forget};
use super::{Store, database, log};
use crate::auth::access::{Access, Action, Principal, Reach};
use crate::error::Error;

/// Rows a transaction: some milliseconds of the lane.
const ROWS: i64 = 100;

/// How long a full queue is left alone.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

const ONLY_ADMINISTRATORS: &str = "Only an administrator may index anew.";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Run {
    #[default]
    Never,
    Running,
    Completed,
    Failed,
}

/// How far the last run has come. Times are µs UTC.
#[derive(Clone, Debug, Default)]
pub struct Reindexing {
    pub run: Run,
    /// None: all.
    pub kinds: Vec<&'static str>,
    pub done: i64,
    /// As many rows stood when it began; none when counting them takes longer than a statement may.
    pub total: Option<i64>,
    pub started: Option<i64>,
    pub finished: Option<i64>,
}

/// Which rows are walked: those of some types, up to where the log ended at the start. What is written later is
/// indexed as it should be.
#[derive(Clone)]
struct Walk {
    kinds: Vec<&'static str>,
    until: i64,
}

/// What is ready to be written: the row's `seq`, version and time, and its new rows.
type Ready = (i64, i32, i64, Prepared);

impl Store {
    /// Starts a run. One that is under way goes on instead, and is refused to be started twice.
    pub async fn reindex(&self, access: &Access, kinds: Vec<&'static str>) -> Result<Reindexing, Error> {
        authorise(access)?;
        let mut walk = Walk { kinds, until: 0 };
        let asked = walk.clone();
        let (until, total) = self
            .read(move |conn, _| {
                let walk = Walk { until: log::head(conn)?, ..asked };
                let total = match count(conn, &walk) {
                    Err(Error::Timeout) => None,
                    total => Some(total?),
                };
                Ok((walk.until, total))
            })
            .await?;
        walk.until = until;
        let begun = Reindexing {
            run: Run::Running,
            kinds: walk.kinds.clone(),
            done: 0,
            total,
            started: Some(self.clock().now()),
            finished: None,
        };
        {
            let mut own = self.inner.reindexing.lock().unwrap_or_else(PoisonError::into_inner);
            if own.run == Run::Running {
                return Err(Error::Conflict("The index is being made anew already."));
            }
            *own = begun.clone();
        }
        let store = self.clone();
        tokio::spawn(async move {
            let done = store.walk(walk).await;
            if let Err(error) = &done {
                tracing::error!(%error, "indexing anew ended before its time");
            }
            let now = store.clock().now();
            store.progress(|own| {
                own.run = if done.is_ok() { Run::Completed } else { Run::Failed };
                own.finished = Some(now);
            });
        });
        Ok(begun)
    }

    /// How far the last run of this node has come.
    pub fn reindexing(&self, access: &Access) -> Result<Reindexing, Error> {
        authorise(access)?;
        Ok(self.inner.reindexing.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn progress(&self, change: impl FnOnce(&mut Reindexing)) {
        change(&mut self.inner.reindexing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn walk(&self, walk: Walk) -> Result<(), Error> {
        let mut after = 0;
        loop {
            let asked = walk.clone();
            let ready = self.read(move |conn, dict| ready(conn, dict, &asked, after)).await?;
            let Some(last) = ready.last().map(|row| row.0) else { return Ok(()) };
            let rows = i64::try_from(ready.len()).map_err(Error::internal)?;
            self.replace(ready).await?;
            after = last;
            self.progress(|own| own.done += rows);
        }
    }

    /// One transaction of the lane. What was superseded since it was read is left out.
    async fn replace(&self, ready: Vec<Ready>) -> Result<(), Error> {
        while self.queue_depth() > 0 && self.inner.queue.is_crowded(ready.len()) {
            tokio::time::sleep(PAUSE).await;
        }
        let (reply, answer) = oneshot::channel();
        let (rows, dict) = (ready.len(), self.inner.dict.clone());
        let work = Box::new(move |conn: &mut Conn| {
            let done = write(conn, &dict, ready);
            let fine = done.is_ok();
            let answer: Box<dyn FnOnce() + Send> = Box::new(move || drop(reply.send(done)));
            (fine, answer)
        });
        self.enqueue(rows, Priority::Bulk, Job::Aside(work))?;
        let made = answer.await.unwrap_or(Err(Error::Unavailable("The database is not reachable.")))?;
        self.inner.dict.learn(made);
        Ok(())
    }
}

/// Users who run the server, and machines that may do everything.
fn authorise(access: &Access) -> Result<(), Error> {
    let machine = || {
        matches!(access.principal(), Principal::Client { .. })
            && [Action::Create, Action::Read, Action::Update, Action::Delete, Action::Search]
                .into_iter()
                .all(|action| access.check(action, "*").is_ok_and(|permit| *permit.reach() == Reach::All))
    };
    if access.is_administrator() || machine() {
        return Ok(());
    }
    Err(Error::Forbidden(ONLY_ADMINISTRATORS.to_owned()))
}

impl Walk {
    fn has_observations(&self) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&OBSERVATION)
    }

    /// The numbers of the other types; none: all of them.
    fn others(&self) -> Result<Option<Vec<i16>>, Error> {
        if self.kinds.is_empty() {
            return Ok(None);
        }
        let others = self.kinds.iter().filter(|kind| **kind != OBSERVATION);
        others.map(|kind| type_number(kind)).collect::<Result<_, _>>().map(Some)
    }
}

fn count(conn: &mut Conn, walk: &Walk) -> Result<i64, Error> {
    let mut total = 0;
    if walk.has_observations() {
        let standing = observation::table.filter(observation::seq.le(walk.until).and(observation::deleted.eq(false)));
        total += standing.count().get_result::<i64>(conn).map_err(database)?;
    }
    let mut standing = resource::table
        .filter(resource::seq.le(walk.until).and(resource::deleted.eq(false)))
        .select(diesel::dsl::count_star())
        .into_boxed::<MultiBackend>();
    if let Some(others) = walk.others()? {
        standing = standing.filter(resource::rtype.eq_any(others));
    }
    Ok(total + standing.get_result::<i64>(conn).map_err(database)?)
}

/// The next rows, with their index values taken out anew.
fn ready(conn: &mut Conn, dict: &Dict, walk: &Walk, after: i64) -> Result<Vec<Ready>, Error> {
    let mut rows: Vec<VersionRow> = Vec::new();
    if walk.has_observations() {
        rows = observation_versions!(type_number(OBSERVATION)?)
            .filter(observation::seq.gt(after).and(observation::seq.le(walk.until)))
            .filter(observation::deleted.eq(false))
            .order(observation::seq)
            .limit(ROWS)
            .load(conn)
            .map_err(database)?;
    }
    let mut others = resource::table
        .filter(resource::seq.gt(after).and(resource::seq.le(walk.until)))
        .filter(resource::deleted.eq(false))
        .order(resource::seq)
        .limit(ROWS)
        .into_boxed::<MultiBackend>();
    if let Some(kinds) = walk.others()? {
        others = others.filter(resource::rtype.eq_any(kinds));
    }
    rows.extend(others.load::<VersionRow>(conn).map_err(database)?);
    rows.sort_unstable_by_key(|row| row.seq);
    rows.truncate(usize::try_from(ROWS).map_err(Error::internal)?);
    rows.into_iter().map(|row| prepared(row, dict)).collect()
}

fn prepared(row: VersionRow, dict: &Dict) -> Result<Ready, Error> {
    let (seq, key) = (row.seq, row.id.clone());
    let stored = stored(row)?;
    let change = Change {
        verb: Verb::Update { expect: Some(stored.version), or_create: false },
        resource_type: stored.resource_type,
        id: stored.id.clone(),
        resource: Some(stored.value()?),
        warnings: vec![],
    };
    let mut prepared = Prepared::new(change, dict)?;
    // The row keeps its bytes.
    (prepared.key, prepared.body) = (key, stored.body);
    Ok((seq, stored.version, stored.updated, prepared))
}

fn write(conn: &mut Conn, dict: &Dict, mut ready: Vec<Ready>) -> Result<Made, Error> {
    // Nobody supersedes a row from here to the commit.
    lock_head(conn)?;
    let seqs: Vec<i64> = ready.iter().map(|row| row.0).collect();
    let mut standing: Vec<i64> = observation::table
        .filter(observation::seq.eq_any(&seqs))
        .select(observation::seq)
        .load(conn)
        .map_err(database)?;
    let others = resource::table.filter(resource::seq.eq_any(&seqs)).select(resource::seq);
    standing.extend(others.load::<i64>(conn).map_err(database)?);
    ready.retain(|row| standing.contains(&row.0));
    let mut terms = dict.terms(Source::Make(conn));
    for (.., prepared) in &mut ready {
        prepared.resolve(&mut terms)?;
    }
    let made = terms.into_made();
    forget(conn, &standing).map_err(database)?;
    let mut pending = Pending::default();
    for (seq, version, updated, prepared) in &ready {
        pending.add(prepared, *seq, *version, *updated);
    }
    pending.write(conn)?;
    Ok(made)
}
