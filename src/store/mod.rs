//! The store: the only room that knows diesel. Reads go to a pool of read connections, writes through the one
//! lane. Every function that touches patient data takes the caller's `Access` first and authorises before SQL.
//! No clinical rule, no HTTP and no FHIR checking may enter.

mod account;
mod attended;
mod audit;
mod batch;
mod batch_key;
// Not for use outside; open for the benchmarks.
#[doc(hidden)]
pub mod body;
mod columns;
mod conn;
mod contact;
mod credential;
mod deadline;
mod dict;
mod fault;
mod globe;
mod guard;
mod held;
mod history;
mod id;
mod labels;
mod lane;
mod log;
mod measured;
mod message;
mod newest;
mod oddity;
mod parameters;
mod permitted;
mod prepare;
mod progress;
mod queue;
mod reader;
mod reindex;
mod resource;
mod sampled;
mod samples;
mod schema;
mod search;
mod series;
mod smart;
mod terminology;
mod wave;
mod write;
mod zone;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use fhir_r4::Issue;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use account::{Account, Session};
pub use attended::Attended;
pub use audit::{Broken, Found as FoundTrail, Trails, Verified, Wanted as WantedTrails};
pub use batch::{CONTROL_ID_TAKEN, READER_LOST};
pub use batch_key::{BatchKey, Begun};
pub use contact::Contact;
pub use credential::{Claim, Credential, CredentialKey};
pub use guard::{CONDITION_CHANGED, Guard};
pub use held::{HeldLine, HeldReading};
pub use history::{HistoryPage, HistoryQuery};
pub use labels::Labels;
pub use lane::CursorMove;
pub use log::Entry;
pub use measured::{Measured, Part, Wanted, is_wanted};
pub use message::{Judge, Judged, Kept, KnownBy, Message, Opened, Posted, Verdict, Waiting, Wanted as WantedMessages};
pub use newest::{Placed, Series};
pub use permitted::patient_of;
pub use prepare::{Change, Content, NOTHING, Repeat, Verb};
pub use queue::Priority;
pub use reader::Taken;
pub use reindex::{Reindexing, Run};
pub use resource::Stored;
pub use sampled::{Sampled, Telling};
pub use search::{Everything, Included, Page, Several};
pub use series::Past;
pub use smart::{Ended, Grant, Presented, SmartClient, Ticket};
pub use wave::{Drawing, Drawn};

use self::conn::{Conn, Location, Pool};
use self::dict::Dict;
use self::fault::database;
use self::lane::{Batched, Group, Job, Lane};
use self::log::Log;
use self::permitted::{authorise, visible, within};
use self::prepare::Prepared;
use self::queue::{Queue, Refused};
use self::search::Seal;
use crate::audit::Stamp;
use crate::auth::access::{Access, Action, Permit, Reach};
use crate::clock::Clock;
use crate::error::Error;
use crate::fhir::query::Query;
use crate::telemetry::Metrics;

/// What a change came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Created,
    Updated,
    /// It was there already; nothing was written.
    Known,
    /// It was to be deleted and never was there; nothing was written.
    Absent,
}

/// One change as it stands after the commit.
#[derive(Clone, Debug)]
pub struct Written {
    pub id: String,
    pub version: i32,
    /// µs UTC
    pub updated: i64,
    pub seq: i64,
    pub outcome: Outcome,
}

impl Written {
    /// A deletion of what never was there.
    pub fn absent(id: &str) -> Self {
        Self { id: id.to_owned(), version: NOTHING, updated: 0, seq: 0, outcome: Outcome::Absent }
    }
}

/// Changes that are committed together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    pub changes: Vec<Change>,
    /// What must be true when they are committed.
    pub guards: Vec<Guard>,
    /// A reader's step that is taken with them.
    pub cursor: Option<CursorMove>,
}

/// How often it is asked what other nodes have committed.
const OTHERS: Duration = Duration::from_millis(50);

/// How the store is opened.
pub struct Settings {
    pub url: String,
    pub readers: u32,
    /// A statement that reads may take so long.
    pub statement_limit: Option<Duration>,
    /// Rows that may wait for the lane.
    pub queue_rows: usize,
    pub seal_key: [u8; 32],
    /// The address of the FHIR endpoint: a reference below it is a local one.
    pub base: String,
}

#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    location: Location,
    readers: Pool,
    dict: Arc<Dict>,
    params: parameters::Current,
    log: Arc<Log>,
    queue: Arc<Queue<Job>>,
    seal: Seal,
    base: String,
    clock: Clock,
    metrics: Metrics,
    lane: Mutex<Option<JoinHandle<()>>>,
    /// The run of `$reindex` that this process is at, by when it started.
    reindexing: Mutex<Option<i64>>,
}

impl Store {
    /// Migrates the database, starts the lane and opens the readers.
    pub fn open(settings: &Settings, clock: Clock, metrics: Metrics) -> Result<Self, Error> {
        let location = Location::parse(&settings.url)?;
        location.migrate()?;
        let readers = conn::pool(&location, settings.readers, settings.statement_limit)?;
        let (dict, log) = (Arc::new(Dict::default()), Arc::new(Log::new()));
        let params = parameters::Current::default();
        let queue = Arc::new(Queue::new(settings.queue_rows));
        let lane = Lane {
            location: location.clone(),
            dict: dict.clone(),
            params: params.clone(),
            log: log.clone(),
            queue: queue.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
        };
        let thread =
            std::thread::Builder::new().name("write-lane".into()).spawn(|| lane.run()).map_err(Error::internal)?;
        let seal = Seal::new(settings.seal_key);
        let lane = Mutex::new(Some(thread));
        let reindexing = Mutex::default();
        let base = settings.base.clone();
        let inner = Inner { location, readers, dict, params, log, queue, seal, base, clock, metrics, lane, reindexing };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The address below which references are local.
    pub fn base(&self) -> &str {
        &self.inner.base
    }

    /// One round trip to the database: for readiness.
    pub async fn ping(&self) -> Result<(), Error> {
        self.read(|conn, _| log::head(conn).map(|_| ())).await
    }

    /// Commits each group by itself: one answer a group, in order. Returns after COMMIT. The outer error is the
    /// server's: nothing was stored then.
    pub async fn commit(
        &self,
        access: &Access,
        priority: Priority,
        commits: Vec<Commit>,
    ) -> Result<Vec<Result<Vec<Written>, Error>>, Error> {
        let (mut groups, mut refused) = (Vec::with_capacity(commits.len()), Vec::with_capacity(commits.len()));
        for commit in commits {
            let group = authorise(access, &commit).and_then(|()| self.prepared(access, commit));
            refused.push(group.map(|group| groups.push(group)).err());
        }
        let mut answers = self.commit_groups(Stamp::of(access), priority, groups).await?.into_iter();
        let unanswered = || Err(Error::internal("a commit without an answer"));
        let all =
            refused.into_iter().map(|refused| refused.map_or_else(|| answers.next().unwrap_or_else(unanswered), Err));
        Ok(all.collect())
    }

    /// Whether the caller may write all of it.
    pub fn may_commit(&self, access: &Access, commit: &Commit) -> Result<(), Error> {
        authorise(access, commit)
    }

    fn prepared(&self, access: &Access, mut commit: Commit) -> Result<Group, Error> {
        for guard in &mut commit.guards {
            search::chains(access, &mut guard.query)?;
        }
        let params = self.params();
        let changes = commit.changes.into_iter().map(|change| Prepared::new(change, &self.inner.dict, &params));
        Ok(Group { changes: changes.collect::<Result<_, _>>()?, guards: commit.guards, cursor: commit.cursor })
    }

    async fn commit_groups(
        &self,
        stamp: Stamp,
        priority: Priority,
        groups: Vec<Group>,
    ) -> Result<Vec<Result<Vec<Written>, Error>>, Error> {
        if groups.is_empty() {
            return Ok(vec![]);
        }
        let rows = groups.iter().map(|g| g.changes.len().max(1)).sum();
        let (reply, answer) = oneshot::channel();
        self.enqueue(rows, priority, Job::Commit(Batched { groups, posting: None, stamp, reply }))?;
        self.inner.metrics.lane_depth(self.inner.queue.depth());
        let answer = answer.await.map_err(|_| Error::Unavailable("The server is shutting down."))?;
        Ok(answer.groups)
    }

    /// One group by itself.
    pub async fn commit_one(&self, access: &Access, priority: Priority, commit: Commit) -> Result<Vec<Written>, Error> {
        let mut answers = self.commit(access, priority, vec![commit]).await?;
        answers.pop().unwrap_or_else(|| Err(Error::internal("a commit without an answer")))
    }

    /// The version that stands; a deleted one is `Gone`.
    pub async fn find(&self, access: &Access, kind: &'static str, id: &str) -> Result<Stored, Error> {
        let permit = access.check(Action::Read, kind)?;
        let id = id.to_owned();
        let stored = self
            .point_read(move |conn, _| resource::current(conn, kind, &id)?.ok_or_else(|| Error::not_found(kind, id)))
            .await?;
        visible(&permit, &stored)?;
        if stored.deleted { Err(Error::gone(kind, stored.id)) } else { Ok(stored) }
    }

    pub async fn find_version(
        &self,
        access: &Access,
        kind: &'static str,
        id: &str,
        version: i32,
    ) -> Result<Stored, Error> {
        let permit = access.check(Action::Read, kind)?;
        let id = id.to_owned();
        let stored = self
            .point_read(move |conn, _| {
                resource::version(conn, kind, &id, version)?.ok_or_else(|| Error::not_found(kind, id))
            })
            .await?;
        visible(&permit, &stored)?;
        if stored.deleted { Err(Error::gone(kind, stored.id)) } else { Ok(stored) }
    }

    /// What was odd about the version that stands when it was taken.
    pub async fn oddities(&self, access: &Access, kind: &'static str, id: &str) -> Result<Vec<Issue>, Error> {
        let Stored { id, version, .. } = self.find(access, kind, id).await?;
        self.point_read(move |conn, _| oddity::of_current(conn, kind, &id, version)).await
    }

    /// One page of versions, newest first. None when there never was such a resource.
    pub async fn history(
        &self,
        access: &Access,
        kind: Option<&'static str>,
        id: Option<&str>,
        query: HistoryQuery,
    ) -> Result<Option<HistoryPage>, Error> {
        let permit = may_follow(access, kind, id)?;
        let (scope, seal) = (history::Scope::of(kind, id), self.inner.seal.clone());
        // A deletion says nothing about whose it was, so who is bound to one patient sees none.
        let bound = *permit.reach() != Reach::All;
        let page = self.read(move |conn, _| history::page(conn, &scope, &query, bound, &seal)).await?;
        if bound {
            for version in page.iter().flat_map(|page| &page.versions) {
                visible(&permit, version)?;
            }
        }
        Ok(page)
    }

    pub async fn search(&self, access: &Access, mut query: Query) -> Result<Page, Error> {
        let permit = access.check(Action::Search, query.resource_type)?;
        search::chains(access, &mut query)?;
        self.settle(&mut query).await?;
        let seal = self.inner.seal.clone();
        self.read(move |conn, dict| search::page(conn, dict, &query, permit.reach(), &seal)).await
    }

    /// All hits, page by page: for the house's own use, where the number is bounded by what a ward holds.
    pub async fn search_all(&self, access: &Access, mut query: Query) -> Result<Vec<Stored>, Error> {
        let mut found = Vec::new();
        loop {
            let page = self.search(access, query.clone()).await?;
            found.extend(page.hits);
            match page.next {
                Some(next) => query.cursor = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// What was committed after a position, in commit order; from memory when it is recent.
    pub async fn log_after(&self, after: i64, limit: usize) -> Result<Vec<Arc<Entry>>, Error> {
        if let Some(entries) = self.inner.log.recent(after, limit) {
            return Ok(entries);
        }
        // With nobody else writing, what was committed last here is the end of the log; else it is asked for elsewhere.
        let is_known = !self.is_shared() || self.inner.log.is_followed();
        if is_known && after > 0 && after >= self.inner.log.last() {
            return Ok(vec![]);
        }
        self.read(move |conn, _| log::read_after(conn, after, limit)).await
    }

    /// A position that every search from now on sees. Other nodes may have gone on from it.
    pub fn seen(&self) -> i64 {
        self.inner.log.last()
    }

    /// The position of the last commit.
    pub async fn log_head(&self) -> Result<i64, Error> {
        let head = self.read(|conn, _| log::head(conn)).await?;
        self.inner.log.heard(head);
        Ok(head)
    }

    /// Asks again and again, until cancelled, whether other nodes have committed something, and rings then: one
    /// question for all who read the log.
    pub async fn follow_others(self, cancelled: CancellationToken) {
        while self.is_shared() && !cancelled.is_cancelled() {
            let asked = self.log_head().await;
            // While there is no answer everybody asks for himself, and hears why.
            self.inner.log.set_followed(asked.is_ok());
            tokio::select! {
                () = tokio::time::sleep(OTHERS) => {}
                () = cancelled.cancelled() => {}
            }
        }
        self.inner.log.set_followed(false);
    }

    /// The position of the last commit that changed a resource of these types, which are others than Observation.
    pub async fn last_change(&self, types: &'static [&'static str]) -> Result<i64, Error> {
        self.read(move |conn, _| log::last_of(conn, types)).await
    }

    /// Rings when something was committed, as soon as this node knows of it.
    pub fn bell(&self) -> watch::Receiver<i64> {
        self.inner.log.bell()
    }

    /// Changes whenever a device may have come to another patient, or a patient to another bed, on this node.
    pub fn placement_generation(&self) -> u64 {
        self.inner.log.placement_generation()
    }

    /// Changes whenever a Patient or a Device was changed on this node: what was found among them may be stale.
    pub fn registry_generation(&self) -> u64 {
        self.inner.log.registry_generation()
    }

    /// Whether other nodes may write: then readers must also ask from time to time.
    pub fn is_shared(&self) -> bool {
        !self.inner.location.is_sqlite()
    }

    /// Takes a reader over, unless another node holds its lease.
    pub async fn take_reader(&self, name: &str, holder: &str, lease: i64) -> Result<Option<Taken>, Error> {
        let (name, holder, now) = (name.to_owned(), holder.to_owned(), self.inner.clock.now());
        // The embedded database has one process, so a lease that is there is that of a process that is gone.
        let alone = !self.is_shared();
        self.write_aside(move |conn| reader::take(conn, &name, &holder, now, lease, alone)).await
    }

    /// Holds a reader for longer from time to time, as long as the answer is kept: what takes long must not look like a
    /// dead node. Nobody else can take one of the embedded database.
    pub fn keep_reader(&self, name: &str, epoch: i64, lease: i64) -> Option<AbortOnDropHandle<()>> {
        let (store, name) = (self.clone(), name.to_owned());
        let pause = Duration::from_micros(lease.unsigned_abs() / 3);
        let renew = async move {
            loop {
                tokio::time::sleep(pause).await;
                let until = store.inner.clock.now() + lease;
                let own = name.clone();
                if let Err(error) = store.write_aside(move |conn| reader::renew(conn, &own, epoch, until)).await {
                    tracing::warn!(%error, reader = name, "a lease was not renewed");
                }
            }
        };
        self.is_shared().then(|| AbortOnDropHandle::new(tokio::spawn(renew)))
    }

    /// Gives a reader up at an orderly stop.
    pub async fn release_reader(&self, name: &str, holder: &str) -> Result<(), Error> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        self.write_aside(move |conn| reader::release(conn, &name, &holder)).await
    }

    /// What a patient's readings were, in the order of their times. None when there are more than `past.most`.
    pub async fn past(&self, subject: &str, past: Past) -> Result<Option<Vec<Arc<Entry>>>, Error> {
        Ok(self.pasts(vec![(subject.into(), past)]).await?.pop().flatten())
    }

    /// The same for several patients, as they are at one moment.
    pub async fn pasts(&self, asked: Vec<(Arc<str>, Past)>) -> Result<Vec<Option<Vec<Arc<Entry>>>>, Error> {
        self.read(move |conn, dict| series::pasts(conn, dict, &asked)).await
    }

    /// The newest reading of each patient and kind (of these codes; none: of all) that something was measured of since
    /// then (µs UTC); where devices matter, of each device that has measured since then.
    pub async fn alive(
        &self,
        since: i64,
        devices: Option<i64>,
        codes: Vec<crate::fhir::reading::Code>,
    ) -> Result<Vec<Arc<Entry>>, Error> {
        self.read(move |conn, dict| series::alive(conn, dict, since, devices, &codes)).await
    }

    /// Rows that wait for the lane.
    pub fn queue_depth(&self) -> usize {
        self.inner.queue.depth()
    }

    /// Takes no more writes and waits until the last COMMIT is answered.
    pub async fn close(&self) {
        self.inner.queue.close();
        let thread = self.inner.lane.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    /// Runs on a read connection, off the async threads.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn, &Dict) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || inner.with_reader(work)).await.map_err(Error::internal)?
    }

    /// A read by key. In the embedded database it is some microseconds of this thread, less than a hop costs.
    async fn point_read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn, &Dict) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if self.inner.location.is_sqlite()
            && let Some(mut conn) = self.inner.readers.try_get()
        {
            return work(&mut conn, &self.inner.dict);
        }
        self.read(work).await
    }

    /// A small write that is no clinical resource (accounts, sessions, cursors): in the lane too, as a
    /// transaction of its own, so that there is one writer.
    async fn write_aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let work = Box::new(move |conn: &mut Conn| {
            let done = work(conn);
            let fine = done.is_ok();
            let answer: Box<dyn FnOnce() + Send> = Box::new(move || drop(reply.send(done)));
            (fine, answer)
        });
        self.enqueue(1, Priority::Interactive, Job::Aside(work))?;
        answer.await.unwrap_or(Err(Error::Unavailable("The database is not reachable.")))
    }

    fn enqueue(&self, rows: usize, priority: Priority, job: Job) -> Result<(), Error> {
        self.inner.queue.push(rows, priority, job).map_err(|refused| match refused {
            Refused::Full => Error::TooMany { retry_after_s: 1 },
            Refused::Closed => Error::Unavailable("The server is shutting down."),
        })
    }
}

impl Inner {
    fn with_reader<T>(&self, work: impl FnOnce(&mut Conn, &Dict) -> Result<T, Error>) -> Result<T, Error> {
        let mut conn = self.readers.get().map_err(|error| {
            tracing::error!(%error, "no read connection");
            Error::Unavailable("The database is not reachable.")
        })?;
        match work(&mut conn, &self.dict) {
            // How a lost connection fails differs from case to case; that it is lost can be asked.
            Err(Error::Internal(error)) if conn::is_lost(&mut conn) => {
                tracing::error!(%error, "read connection lost");
                Err(Error::Unavailable("The database is not reachable."))
            }
            answer => answer,
        }
    }
}

/// May the caller make these searches? `named`: each of them; else those that may not be made are left out.
pub fn may_search(access: &Access, queries: Vec<Query>, named: bool) -> Result<(), Error> {
    search::system::permitted(access, queries, named).map(|_| ())
}

/// May the caller see this history?
pub fn may_follow(access: &Access, kind: Option<&'static str>, id: Option<&str>) -> Result<Permit, Error> {
    let action = if id.is_some() { Action::Read } else { Action::Search };
    let permit = access.check(action, kind.unwrap_or("*"))?;
    if id.is_none() && *permit.reach() != Reach::All {
        return Err(Error::Forbidden("The history of a whole type is not about one patient.".to_owned()));
    }
    Ok(permit)
}

/// The stored form of a logical id.
fn database_bytes(id: &str) -> Vec<u8> {
    id::encode(id)
}
