//! On which days a patient was measured at all: what alarms are counted against. A step of the series index for each
//! day and, where a kind of readings leaves days open, for the next kind; never a walk over the readings.

use std::collections::BTreeSet;

use diesel::prelude::*;

use super::conn::Conn;
use super::deadline::Clocked;
use super::prepare::{OBSERVATION, type_number};
use super::schema::{observation, term};
use super::{Store, database, newest, series};
use crate::auth::access::{Access, Action, Reach};
use crate::error::Error;
use crate::fhir::reading::Status;

/// Kinds of readings that a patient may have.
const KINDS: usize = 2000;
const DAY: i64 = 86_400_000_000;

/// A patient (`Patient/…`) and the days (µs UTC of their beginnings) with a reading.
pub type Attended = (String, Vec<i64>);

impl Store {
    /// The UTC days of [from, to) (µs UTC) on which each patient has a reading. None when that takes more than `most`
    /// steps of the index. Only for who may see all patients.
    pub async fn attended(
        &self,
        access: &Access,
        period: (i64, i64),
        most: usize,
    ) -> Result<Option<Vec<Attended>>, Error> {
        if *access.check(Action::Search, OBSERVATION)?.reach() != Reach::All {
            return Err(Error::Forbidden("This counts the days of all patients.".to_owned()));
        }
        self.read(move |conn, _| attended(conn, period, most)).await
    }
}

fn attended(conn: &mut Conn, period: (i64, i64), most: usize) -> Result<Option<Vec<Attended>>, Error> {
    let (patients, clocked) = (i64::from(type_number("Patient")?), Clocked::now(conn));
    let (mut all, mut subject, mut looked) = (Vec::new(), i64::MIN, 0);
    while let Some(next) = series::next_subject(conn, subject)? {
        subject = next;
        let named: Option<String> = term::table
            .filter(term::id.eq(subject).and(term::scope.eq(patients)))
            .select(term::text)
            .first(conn)
            .optional()
            .map_err(database)?;
        let Some(id) = named else { continue };
        let (days, steps) = days(conn, clocked, subject, period)?;
        looked += steps;
        if looked > most {
            return Ok(None);
        }
        if !days.is_empty() {
            all.push((format!("Patient/{id}"), days.into_iter().map(|day| day * DAY).collect()));
        }
    }
    Ok(Some(all))
}

/// By number since 1970, with the steps that it took.
fn days(
    conn: &mut Conn,
    clocked: Clocked,
    subject: i64,
    (from, to): (i64, i64),
) -> Result<(BTreeSet<i64>, usize), Error> {
    let (mut found, mut steps) = (BTreeSet::new(), 1);
    let possible = from.div_euclid(DAY)..=(to - 1).div_euclid(DAY);
    // As many steps as there are kinds found them.
    for concept in newest::concepts(conn, clocked, subject, KINDS)?.unwrap_or_default() {
        steps += 1;
        let mut open = possible.clone().filter(|day| !found.contains(day)).collect::<BTreeSet<i64>>();
        while let Some(day) = open.pop_first() {
            steps += 1;
            let at = first_reading(conn, (subject, concept), (from.max(day * DAY), to))?;
            let Some(at) = at.map(|at| at.div_euclid(DAY)) else { break };
            found.insert(at);
            open.retain(|day| *day > at);
        }
    }
    Ok((found, steps))
}

fn first_reading(
    conn: &mut Conn,
    (subject, concept): (i64, i64),
    (from, to): (i64, i64),
) -> Result<Option<i64>, Error> {
    observation::table
        .filter(observation::subject.eq(subject).and(observation::concept.eq(concept)))
        .filter(observation::starts.ge(from).and(observation::starts.lt(to)))
        .filter(observation::deleted.eq(false).and(observation::status.ne(Status::EnteredInError.number())))
        .order(observation::starts)
        .select(observation::starts)
        .first(conn)
        .optional()
        .map_err(database)
}
