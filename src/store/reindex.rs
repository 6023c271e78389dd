//! Index rows made anew from what stands: after an upgrade that indexes more than the rows were written with. It walks
//! the standing rows in the order of the log, a few at a time, through the lane and behind everybody else's writes.
//! No version is made and nothing is logged: a row keeps its `seq`, its version and its bytes. Progress is written with
//! the rows, so a run goes on after a stop. When it ends, the stored search parameters that it began with are ready.

use std::sync::PoisonError;

use diesel::prelude::*;
use tokio::sync::oneshot;

use super::conn::{Conn, MultiBackend};
use super::dict::{Dict, Made, Source};
use super::lane::{Job, lock_head};
use super::prepare::{Change, OBSERVATION, Prepared, Verb, type_number};
use super::progress::{self, COMPLETED, FAILED, Progress, RUNNING};
use super::queue::Priority;
use super::resource::{VersionRow, observation_versions, stored};
use super::schema::{observation, resource};
use super::write::{Pending, forget};
use super::{Store, database, log, parameters};
use crate::auth::access::{Access, Action, Principal, Reach};
use crate::error::Error;
use crate::fhir::registry::Params;

/// Rows a transaction: some milliseconds of the lane.
const ROWS: i64 = 100;

/// How long a full queue is left alone.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

const ALREADY: Error = Error::Conflict("The index is being made anew already.");
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
    after: i64,
    until: i64,
    /// When it started: its name.
    started: i64,
    /// What is searched by when it ends.
    versions: Vec<i64>,
}

/// What is ready to be written: the row's `seq`, version and time, and its new rows.
type Ready = (i64, i32, i64, Prepared);

impl Store {
    /// Starts a run; refused while another one is under way.
    pub async fn reindex(&self, access: &Access, kinds: Vec<&'static str>) -> Result<Reindexing, Error> {
        authorise(access)?;
        let started = self.clock().now();
        if !self.claim(started) {
            return Err(ALREADY);
        }
        let begun = self.begin(kinds, started).await;
        if begun.is_err() {
            self.release();
        }
        let run = begun?;
        let told = Reindexing::of(&run)?;
        self.walk_on(&run)?;
        Ok(told)
    }

    async fn begin(&self, kinds: Vec<&'static str>, started: i64) -> Result<Progress, Error> {
        let mut walk = Walk { kinds, after: 0, until: 0, started, versions: vec![] };
        let counted = walk.clone();
        let (until, total) = self
            .read(move |conn, _| {
                let walk = Walk { until: log::head(conn)?, ..counted };
                let total = match count(conn, &walk) {
                    Err(Error::Timeout) => None,
                    total => Some(total?),
                };
                Ok((walk.until, total))
            })
            .await?;
        // What defines a parameter up to there is known from here on.
        self.reload_params().await?;
        walk.until = until;
        walk.versions = self.params().ready_after(&walk.kinds, until);
        let run = walk.as_progress(total);
        let (begun, shared) = (run.clone(), self.is_shared());
        self.write_aside(move |conn| {
            let last = progress::last(conn)?;
            // With the embedded database there is nobody else who could be at it.
            if shared && last.is_some_and(|last| last.is_alive(started)) {
                return Err(ALREADY);
            }
            progress::begin(conn, &begun)
        })
        .await?;
        Ok(run)
    }

    /// Searches by what waits at a type: at once where nothing of it is older than a definition, by a run of its
    /// own otherwise. A run that was left behind goes first; what waits then is seen to at the next start.
    pub async fn index_waiting(&self, access: &Access, kind: &'static str) -> Result<(), Error> {
        self.reload_params().await?;
        let waiting = self.params().waiting_of(kind);
        let Some(last_defined) = waiting.iter().max().copied() else { return Ok(()) };
        let number = type_number(kind)?;
        let last = self.read(|conn, _| progress::last(conn)).await?;
        let indexed = self
            .write_aside(move |conn| {
                lock_head(conn)?;
                let older = resource::table.filter(resource::rtype.eq(number).and(resource::seq.lt(last_defined)));
                let older = older.filter(resource::deleted.eq(false)).select(resource::seq).first::<i64>(conn);
                if older.optional().map_err(database)?.is_some() {
                    return Ok(false);
                }
                parameters::make_ready(conn, &waiting).map(|()| true)
            })
            .await?;
        if indexed {
            return self.reload_params().await;
        }
        if last.is_some_and(|last| last.state == RUNNING) {
            return Ok(());
        }
        match self.reindex(access, vec![kind]).await {
            // Another node is at it.
            Err(Error::Conflict(_)) => Ok(()),
            begun => begun.map(|_| ()),
        }
    }

    /// Goes on with a run that a stop or a crash left behind, if there is one.
    pub async fn go_on_reindexing(&self) -> Result<(), Error> {
        let now = self.clock().now();
        let Some(run) = self.read(|conn, _| progress::last(conn)).await? else { return Ok(()) };
        let left = run.state == RUNNING && !(self.is_shared() && run.is_alive(now));
        if !left || !self.claim(run.started) {
            return Ok(());
        }
        let taking = run.clone();
        let taken = self.write_aside(move |conn| progress::take(conn, &taking, now)).await;
        if !matches!(taken, Ok(true)) {
            self.release();
            return taken.map(|_| ());
        }
        self.reload_params().await?;
        self.walk_on(&run)
    }

    /// How far the last run has come.
    pub async fn reindexing(&self, access: &Access) -> Result<Reindexing, Error> {
        authorise(access)?;
        let last = self.read(|conn, _| progress::last(conn)).await?;
        // Whoever is told that it is done may search by what it made ready, here and at once.
        self.reload_params().await?;
        last.as_ref().map_or_else(|| Ok(Reindexing::default()), Reindexing::of)
    }

    fn claim(&self, started: i64) -> bool {
        let mut own = self.inner.reindexing.lock().unwrap_or_else(PoisonError::into_inner);
        let free = own.is_none();
        if free {
            *own = Some(started);
        }
        free
    }

    fn release(&self) {
        *self.inner.reindexing.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn walk_on(&self, run: &Progress) -> Result<(), Error> {
        let walk = Walk::of(run)?;
        let store = self.clone();
        tokio::spawn(async move {
            let done = match store.walk(&walk).await {
                Ok(()) => store.conclude_walk(&walk).await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                tracing::error!(%error, "indexing anew ended before its time");
                // A server that stops, or has lost its database, goes on later.
                if !matches!(error, Error::Unavailable(_)) {
                    let (started, now) = (walk.started, store.clock().now());
                    let end = store.write_aside(move |conn| progress::end(conn, started, FAILED, now)).await;
                    drop(end.inspect_err(|error| tracing::error!(%error, "the end of it is not noted")));
                }
            }
            store.release();
        });
        Ok(())
    }

    async fn walk(&self, walk: &Walk) -> Result<(), Error> {
        let mut after = walk.after;
        loop {
            let (asked, params) = (walk.clone(), self.params());
            let ready = self.read(move |conn, dict| ready(conn, dict, &params, &asked, after)).await?;
            let Some(last) = ready.last().map(|row| row.0) else { return Ok(()) };
            self.replace(walk.started, last, ready).await?;
            after = last;
        }
    }

    /// From now on its parameters are searched by.
    async fn conclude_walk(&self, walk: &Walk) -> Result<(), Error> {
        let (started, versions, now) = (walk.started, walk.versions.clone(), self.clock().now());
        self.write_aside(move |conn| {
            lock_head(conn)?;
            parameters::make_ready(conn, &versions)?;
            progress::end(conn, started, COMPLETED, now)
        })
        .await?;
        self.reload_params().await
    }

    /// One transaction of the lane. What was superseded since it was read is left out.
    async fn replace(&self, started: i64, last: i64, ready: Vec<Ready>) -> Result<(), Error> {
        while self.queue_depth() > 0 && self.inner.queue.is_crowded(ready.len()) {
            tokio::time::sleep(PAUSE).await;
        }
        let (reply, answer) = oneshot::channel();
        let (rows, dict, now) = (ready.len(), self.inner.dict.clone(), self.clock().now());
        let work = Box::new(move |conn: &mut Conn| {
            let count = i64::try_from(ready.len()).map_err(Error::internal);
            let done = count.and_then(|count| {
                let made = write(conn, &dict, ready)?;
                progress::step(conn, started, last, count, now)?;
                Ok(made)
            });
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

impl Reindexing {
    fn of(run: &Progress) -> Result<Self, Error> {
        Ok(Self {
            run: match run.state {
                RUNNING => Run::Running,
                COMPLETED => Run::Completed,
                _ => Run::Failed,
            },
            kinds: Walk::of(run)?.kinds,
            done: run.done,
            total: run.total,
            started: Some(run.started),
            finished: run.finished,
        })
    }
}

impl Walk {
    fn of(run: &Progress) -> Result<Self, Error> {
        let parts = |text: &str| text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let kind = |name: &String| {
            let index = fhir_r4::resource_type_index(name);
            index.and_then(|index| fhir_r4::resource_types().get(index)).copied()
        };
        let versions = parts(&run.versions).iter().map(|seq| seq.parse::<i64>()).collect::<Result<_, _>>();
        Ok(Self {
            kinds: parts(&run.kinds).iter().filter_map(kind).collect(),
            after: run.place,
            until: run.until,
            started: run.started,
            versions: versions.map_err(Error::internal)?,
        })
    }

    fn as_progress(&self, total: Option<i64>) -> Progress {
        let versions: Vec<String> = self.versions.iter().map(i64::to_string).collect();
        Progress {
            one: 1,
            state: RUNNING,
            kinds: self.kinds.join(","),
            versions: versions.join(","),
            place: self.after,
            until: self.until,
            done: 0,
            total,
            started: self.started,
            finished: None,
            touched: self.started,
        }
    }

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
fn ready(conn: &mut Conn, dict: &Dict, params: &Params, walk: &Walk, after: i64) -> Result<Vec<Ready>, Error> {
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
    rows.into_iter().map(|row| prepared(row, dict, params)).collect()
}

fn prepared(row: VersionRow, dict: &Dict, params: &Params) -> Result<Ready, Error> {
    let (seq, key) = (row.seq, row.id.clone());
    let stored = stored(row)?;
    let change = Change {
        verb: Verb::Update { expect: Some(stored.version), or_create: false },
        resource_type: stored.resource_type,
        id: stored.id.clone(),
        resource: Some(stored.value()?),
        warnings: vec![],
    };
    let mut prepared = Prepared::new(change, dict, params)?;
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
