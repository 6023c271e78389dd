//! How far the last run of `$reindex` has come: one row, written with the rows that it counts, so that a run goes on
//! from where a stop or a crash left it.

use diesel::prelude::*;

use super::conn::Conn;
use super::database;
use super::schema::reindexing;
use crate::error::Error;

/// A node that says nothing for so long (µs) has given its run up.
pub(super) const SILENCE: i64 = 60_000_000;

pub(super) const RUNNING: i16 = 1;
pub(super) const COMPLETED: i16 = 2;
pub(super) const FAILED: i16 = 3;

/// A run. When it `started` is its name.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = reindexing, treat_none_as_default_value = false)]
pub(super) struct Progress {
    pub one: i16,
    pub state: i16,
    /// With commas between; empty: all.
    pub kinds: String,
    /// The versions of search parameters that are ready when it ends.
    pub versions: String,
    /// Everything up to here is done.
    pub place: i64,
    pub until: i64,
    pub done: i64,
    pub total: Option<i64>,
    pub started: i64,
    pub finished: Option<i64>,
    pub touched: i64,
}

impl Progress {
    /// Whether somebody is at it, as far as can be known.
    pub(super) fn is_alive(&self, now: i64) -> bool {
        self.state == RUNNING && self.touched > now - SILENCE
    }
}

pub(super) fn last(conn: &mut Conn) -> Result<Option<Progress>, Error> {
    reindexing::table.first(conn).optional().map_err(database)
}

/// In place of the run before it.
pub(super) fn begin(conn: &mut Conn, run: &Progress) -> Result<(), Error> {
    diesel::delete(reindexing::table).execute(conn).map_err(database)?;
    diesel::insert_into(reindexing::table).values(run).execute(conn).map_err(database)?;
    Ok(())
}

/// Takes a run over that nobody has touched since; false: somebody has.
pub(super) fn take(conn: &mut Conn, run: &Progress, now: i64) -> Result<bool, Error> {
    let own = reindexing::table.filter(reindexing::started.eq(run.started).and(reindexing::touched.eq(run.touched)));
    let taken = diesel::update(own.filter(reindexing::state.eq(RUNNING)));
    Ok(taken.set(reindexing::touched.eq(now)).execute(conn).map_err(database)? == 1)
}

/// Some rows more.
pub(super) fn step(conn: &mut Conn, started: i64, place: i64, rows: i64, now: i64) -> Result<(), Error> {
    let step = (reindexing::place.eq(place), reindexing::done.eq(reindexing::done + rows), reindexing::touched.eq(now));
    let own = reindexing::table.filter(reindexing::started.eq(started));
    diesel::update(own).set(step).execute(conn).map_err(database)?;
    Ok(())
}

pub(super) fn end(conn: &mut Conn, started: i64, state: i16, now: i64) -> Result<(), Error> {
    let end = (reindexing::state.eq(state), reindexing::finished.eq(now), reindexing::touched.eq(now));
    let own = reindexing::table.filter(reindexing::started.eq(started));
    diesel::update(own).set(end).execute(conn).map_err(database)?;
    Ok(())
}
