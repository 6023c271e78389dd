//! The log: every committed version in commit order. It is no table of its own but the version rows of all
//! tables read by `seq`. What was committed last is also kept in memory (the tail), so that readers which keep
//! up never touch the disk; a reader that fell behind reads from the tables and gets the same entries.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use diesel::prelude::*;
use serde_json::Value;
use tokio::sync::watch;

use super::body::{self, Head};
use super::conn::Conn;
use super::prepare::{Content, OBSERVATION, type_name, type_number};
use super::resource::{VersionRow, observation_versions};
use super::schema::{history, log_head, observation, resource};
use super::{database, id};
use crate::error::Error;

/// One committed version.
#[derive(Clone, Debug)]
pub struct Entry {
    pub seq: i64,
    pub resource_type: &'static str,
    pub id: String,
    pub version: i32,
    /// When it was committed, µs UTC.
    pub updated: i64,
    pub content: Content,
}

impl Entry {
    /// `Observation/x/_history/2`
    pub fn versioned_reference(&self) -> String {
        format!("{}/{}/_history/{}", self.resource_type, self.id, self.version)
    }
}

/// How many entries the tail holds: some seconds of a busy hospital, a few MB.
const TAIL: usize = 8192;

pub(super) struct Log {
    tail: RwLock<VecDeque<Arc<Entry>>>,
    /// The last number that is known to be committed, here or on another node.
    bell: watch::Sender<i64>,
    /// Whether that is asked for again and again.
    followed: AtomicBool,
    /// Counts commits that changed a patient or a device.
    registry: AtomicU64,
    /// And those that may have changed where one of them is.
    placement: AtomicU64,
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            tail: RwLock::default(),
            bell: watch::Sender::new(0),
            followed: AtomicBool::new(false),
            registry: AtomicU64::new(0),
            placement: AtomicU64::new(0),
        }
    }

    /// Entries of one committed batch, in order.
    pub(super) fn publish(&self, entries: Vec<Arc<Entry>>) {
        let Some(last) = entries.last().map(|e| e.seq) else { return };
        if entries.iter().any(|e| matches!(e.resource_type, "Patient" | "Device" | "DeviceMetric")) {
            self.registry.fetch_add(1, Ordering::Release);
        }
        if entries.iter().any(|e| matches!(e.resource_type, "Patient" | "Device" | "DeviceUseStatement" | "Encounter"))
        {
            self.placement.fetch_add(1, Ordering::Release);
        }
        if let Ok(mut tail) = self.tail.write() {
            // Another node has written in between: what is here no longer follows on.
            if tail.back().map(|e| e.seq + 1) != entries.first().map(|e| e.seq) {
                tail.clear();
            }
            tail.extend(entries);
            let surplus = tail.len().saturating_sub(TAIL);
            tail.drain(..surplus);
        }
        self.heard(last);
    }

    /// Everything up to here is committed, whoever did it.
    pub(super) fn heard(&self, head: i64) {
        self.bell.send_if_modified(|known| {
            let is_news = head > *known;
            *known = head.max(*known);
            is_news
        });
    }

    /// The last number that is known to be committed; 0 before the first.
    pub(super) fn last(&self) -> i64 {
        *self.bell.borrow()
    }

    pub(super) fn is_followed(&self) -> bool {
        self.followed.load(Ordering::Acquire)
    }

    pub(super) fn set_followed(&self, followed: bool) {
        self.followed.store(followed, Ordering::Release);
    }

    /// The doorbell: changes when something is known to be committed. It carries no data and may skip.
    pub(super) fn bell(&self) -> watch::Receiver<i64> {
        self.bell.subscribe()
    }

    pub(super) fn registry_generation(&self) -> u64 {
        self.registry.load(Ordering::Acquire)
    }

    pub(super) fn placement_generation(&self) -> u64 {
        self.placement.load(Ordering::Acquire)
    }

    /// What follows `after`, when the tail holds it from there on.
    pub(super) fn recent(&self, after: i64, limit: usize) -> Option<Vec<Arc<Entry>>> {
        let tail = self.tail.read().ok()?;
        let first = tail.front()?.seq;
        let skip = usize::try_from(after + 1 - first).ok()?;
        if skip >= tail.len() {
            return None;
        }
        Some(tail.iter().skip(skip).take(limit).cloned().collect())
    }
}

/// The entries after a position, from the tables.
pub(super) fn read_after(conn: &mut Conn, after: i64, limit: usize) -> Result<Vec<Arc<Entry>>, Error> {
    let (most, observations) = (i64::try_from(limit).map_err(Error::internal)?, type_number(OBSERVATION)?);
    let mut rows = rows_after(conn, after, most, observations).map_err(database)?;
    rows.sort_unstable_by_key(|r| r.seq);
    rows.truncate(limit);
    rows.iter().map(|row| Ok(Arc::new(entry(row)?))).collect()
}

/// Each table's next rows; together they hold the next rows of the log. All three are read in one snapshot, or
/// a version that moves to history in between would be missed.
fn rows_after(conn: &mut Conn, after: i64, limit: i64, observations: i16) -> QueryResult<Vec<VersionRow>> {
    conn.transaction(|conn| {
        if let Conn::Postgres(c) = conn {
            diesel::sql_query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(c)?;
        }
        let mut rows: Vec<VersionRow> = observation_versions!(observations)
            .filter(observation::seq.gt(after))
            .order(observation::seq)
            .limit(limit)
            .load(conn)?;
        rows.extend(
            resource::table
                .filter(resource::seq.gt(after))
                .order(resource::seq)
                .limit(limit)
                .load::<VersionRow>(conn)?,
        );
        rows.extend(
            history::table.filter(history::seq.gt(after)).order(history::seq).limit(limit).load::<VersionRow>(conn)?,
        );
        Ok(rows)
    })
}

pub(super) fn entry(row: &VersionRow) -> Result<Entry, Error> {
    let resource_type = type_name(row.rtype)?;
    let id = id::decode(&row.id);
    let content = if row.deleted {
        Content::Gone
    } else {
        let head = Head { resource_type, id: &id, version: row.version, updated: row.updated };
        let json = body::render(&head, &row.body)?;
        let resource: Value = serde_json::from_slice(&json).map_err(Error::internal)?;
        Content::of(resource_type, resource)
    };
    Ok(Entry { seq: row.seq, resource_type, id, version: row.version, updated: row.updated, content })
}

/// The last version of a resource of these types (Observations are elsewhere), deletions among them; 0 before the
/// first.
pub(super) fn last_of(conn: &mut Conn, types: &[&str]) -> Result<i64, Error> {
    let mut last = 0;
    for kind in types {
        let of_type = resource::table.filter(resource::rtype.eq(type_number(kind)?));
        let newest = of_type.order(resource::seq.desc()).select(resource::seq).first(conn).optional();
        last = last.max(newest.map_err(database)?.unwrap_or(0));
    }
    Ok(last)
}

/// The last sequence number that is committed.
pub(super) fn head(conn: &mut Conn) -> Result<i64, Error> {
    log_head::table.select(log_head::seq).first(conn).map_err(database)
}
