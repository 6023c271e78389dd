//! Readings that wait until it is known whose they are, or when they were taken. What they wait for is not known here.

use diesel::dsl::{count_star, max, min};
use diesel::prelude::*;

use super::conn::{Conn, each};
use super::schema::held;
use super::{Store, database};
use crate::auth::access::{Access, Action};
use crate::error::Error;

const NOT_FOR_ALL: &str = "Only who may see the readings of every patient may see what waits.";
/// Lines of one answer at most.
const MOST: i64 = 1000;
/// SQLite takes so many values in one statement with ease.
const CHUNK: usize = 500;

/// A reading that waits. Times in µs UTC.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = held, treat_none_as_default_value = false)]
pub struct HeldReading {
    /// The id that the Observation will have.
    pub reading: String,
    /// `Device/…`
    pub device: String,
    pub reason: String,
    pub starts: i64,
    pub received: i64,
    /// The Observation, as JSON; its subject says nothing.
    pub body: Vec<u8>,
}

/// What waits of one device, for one reason.
#[derive(Clone, Debug)]
pub struct HeldLine {
    pub device: String,
    pub reason: String,
    pub readings: i64,
    /// The times of the first and the last of them, µs UTC.
    pub first: i64,
    pub last: i64,
    /// By how much a time was ahead of its receipt at most, µs; below zero: by none.
    pub ahead: i64,
}

type Line = (String, String, i64, Option<i64>, Option<i64>, Option<i64>);

impl Store {
    /// Keeps readings; one that waits already goes on waiting.
    pub async fn hold(&self, access: &Access, readings: Vec<HeldReading>) -> Result<(), Error> {
        access.check(Action::Create, "Observation")?;
        let insert = move |conn: &mut Conn| {
            for chunk in readings.chunks(CHUNK) {
                each!(conn, c => diesel::insert_into(held::table).values(chunk).on_conflict_do_nothing().execute(c))?;
            }
            Ok(())
        };
        self.write_aside(move |conn| insert(conn).map_err(database)).await
    }

    /// What waits, by device.
    pub async fn held(&self, access: &Access) -> Result<Vec<HeldLine>, Error> {
        may_see(access)?;
        self.read(|conn, _| {
            let lines: Vec<Line> = held::table
                .group_by((held::device, held::reason))
                .select((
                    held::device,
                    held::reason,
                    count_star(),
                    min(held::starts),
                    max(held::starts),
                    max(held::starts - held::received),
                ))
                .order((held::device, held::reason))
                .limit(MOST)
                .load(conn)
                .map_err(database)?;
            let line = |(device, reason, readings, first, last, ahead): Line| {
                Some(HeldLine { device, reason, readings, first: first?, last: last?, ahead: ahead? })
            };
            Ok(lines.into_iter().filter_map(line).collect())
        })
        .await
    }

    /// What waits of a device for this reason, in the order of time, after this place among them.
    pub async fn held_of(
        &self,
        access: &Access,
        device: &str,
        reason: &str,
        after: (i64, String),
        limit: i64,
    ) -> Result<Vec<HeldReading>, Error> {
        may_see(access)?;
        let (device, reason) = (device.to_owned(), reason.to_owned());
        self.read(move |conn, _| {
            let (starts, reading) = after;
            let later = held::starts.gt(starts).or(held::starts.eq(starts).and(held::reading.gt(reading)));
            held::table
                .filter(held::device.eq(device).and(held::reason.eq(reason)).and(later))
                .order((held::starts, held::reading))
                .limit(limit)
                .load(conn)
                .map_err(database)
        })
        .await
    }

    /// They wait for something else from now on.
    pub async fn wait_for(&self, readings: Vec<String>, reason: &'static str) -> Result<(), Error> {
        if readings.is_empty() {
            return Ok(());
        }
        self.write_aside(move |conn| {
            for chunk in readings.chunks(CHUNK) {
                let these = held::table.filter(held::reading.eq_any(chunk));
                diesel::update(these).set(held::reason.eq(reason)).execute(conn).map_err(database)?;
            }
            Ok(())
        })
        .await
    }

    /// They wait no longer: they are stored, or nobody wants them.
    pub async fn let_go(&self, access: &Access, readings: Vec<String>) -> Result<usize, Error> {
        may_see(access)?;
        self.write_aside(move |conn| {
            let mut gone = 0;
            for chunk in readings.chunks(CHUNK) {
                let these = held::table.filter(held::reading.eq_any(chunk));
                gone += diesel::delete(these).execute(conn).map_err(database)?;
            }
            Ok(gone)
        })
        .await
    }
}

fn may_see(access: &Access) -> Result<(), Error> {
    let all = access.check(Action::Read, "Observation").is_ok_and(|permit| permit.covers(None));
    if all { Ok(()) } else { Err(Error::Forbidden(NOT_FOR_ALL.to_owned())) }
}
