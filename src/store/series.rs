//! The readings of one patient and kind, in the order of their times: what a rule's window is rebuilt from.

use std::collections::{HashMap, HashSet, hash_map};
use std::ops::Range;
use std::sync::Arc;

use diesel::prelude::*;

use super::conn::Conn;
use super::deadline::Clocked;
use super::dict::{self, Dict, Source};
use super::log::{self, Entry};
use super::prepare::{self, OBSERVATION, type_number};
use super::resource::VersionRow;
use super::schema::observation;
use super::{database, newest};
use crate::error::Error;
use crate::fhir::reading::Code;

/// Kinds of readings that a patient may have.
const KINDS: usize = 2000;
/// Concepts that a few codes may stand in, with all the texts beside them.
const CONCEPTS: usize = 10_000;

/// What of a patient's past is wanted.
#[derive(Clone, Debug)]
pub struct Past {
    /// Readings of these codes; those of a panel's members are found by the panel's.
    pub codes: Vec<Code>,
    /// Everything measured then, µs UTC, and of each kind so many before it.
    pub span: Range<i64>,
    pub count: usize,
    /// Nothing that was committed after this place of the log.
    pub upto: i64,
    /// No more than so many.
    pub most: usize,
}

/// Of each the standing versions in the order of their times; none when there are too many.
pub(super) fn pasts(
    conn: &mut Conn,
    dict: &Dict,
    asked: &[(Arc<str>, Past)],
) -> Result<Vec<Option<Vec<Arc<Entry>>>>, Error> {
    at_once(conn, |conn| all(conn, dict, asked))
}

/// Many small reads in one transaction: to begin one for each costs more than the read.
fn at_once<T>(conn: &mut Conn, read: impl FnOnce(&mut Conn) -> Result<T, Error>) -> Result<T, Error> {
    conn.transaction(|conn| read(conn).map_err(Failed)).map_err(|Failed(error)| error)
}

/// Why a transaction was left.
struct Failed(Error);

impl From<diesel::result::Error> for Failed {
    fn from(error: diesel::result::Error) -> Self {
        Self(database(error))
    }
}

fn all(conn: &mut Conn, dict: &Dict, asked: &[(Arc<str>, Past)]) -> Result<Vec<Option<Vec<Arc<Entry>>>>, Error> {
    let mut known: HashMap<&[Code], Vec<i64>> = HashMap::new();
    asked
        .iter()
        .map(|(subject, past)| {
            let Some(subject) = prepare::local(&mut dict.terms(Source::Table(conn)), subject)? else {
                return Ok(Some(vec![]));
            };
            let concepts = match known.entry(&past.codes) {
                hash_map::Entry::Occupied(known) => known.into_mut(),
                hash_map::Entry::Vacant(place) => place.insert(concepts(conn, dict, &past.codes)?),
            };
            of_patient(conn, subject, concepts, past)
        })
        .collect()
}

fn of_patient(conn: &mut Conn, subject: i64, concepts: &[i64], past: &Past) -> Result<Option<Vec<Arc<Entry>>>, Error> {
    let mut found: Vec<Timed> = Vec::new();
    for concept in concepts {
        let series = Series { subject, concept: *concept, upto: past.upto };
        let room = past.most.saturating_sub(found.len());
        let since = series.within(conn, &past.span, room + 1)?;
        if since.len() > room {
            return Ok(None);
        }
        found.extend(since);
        found.extend(series.before(conn, past.span.start, past.count)?);
    }
    found.sort_by_key(|(starts, entry)| (*starts, entry.seq));
    Ok(Some(found.into_iter().map(|(_, entry)| entry).collect()))
}

/// What readings with one of these codes may be stored under.
fn concepts(conn: &mut Conn, dict: &Dict, codes: &[Code]) -> Result<Vec<i64>, Error> {
    let mut known = Vec::new();
    for (system, code) in codes {
        known.extend(dict.terms(Source::Table(conn)).coding(system, code)?);
    }
    dict::concepts_of(conn, &known, CONCEPTS)
}

/// The newest reading of each series (of these codes; none: of all) that has one since `since` (µs UTC): one step of the
/// index a series. `devices`: the newest of each device too, where several have measured the same since then.
pub(super) fn alive(
    conn: &mut Conn,
    dict: &Dict,
    since: i64,
    devices: Option<i64>,
    codes: &[Code],
) -> Result<Vec<Arc<Entry>>, Error> {
    at_once(conn, |conn| newest_of_all(conn, dict, since, devices, codes))
}

fn newest_of_all(
    conn: &mut Conn,
    dict: &Dict,
    since: i64,
    devices: Option<i64>,
    codes: &[Code],
) -> Result<Vec<Arc<Entry>>, Error> {
    let wanted: HashSet<i64> = concepts(conn, dict, codes)?.into_iter().collect();
    let (mut found, mut subject) = (Vec::new(), i64::MIN);
    while let Some(next) = next_subject(conn, subject)? {
        subject = next;
        for concept in newest::concepts(conn, Clocked::now(conn), subject, KINDS)?.unwrap_or_default() {
            if !codes.is_empty() && !wanted.contains(&concept) {
                continue;
            }
            let series = Series { subject, concept, upto: i64::MAX };
            let newest = series.before(conn, i64::MAX, 1)?.into_iter().find(|(starts, _)| *starts >= since);
            let others = match devices.filter(|devices| newest.as_ref().is_some_and(|(starts, _)| starts >= devices)) {
                Some(devices) => series.by_device(conn, devices)?,
                None => vec![],
            };
            let known = newest.as_ref().map(|(_, entry)| entry.seq);
            found.extend(others.into_iter().filter(|(_, entry)| Some(entry.seq) != known));
            found.extend(newest);
        }
    }
    Ok(found.into_iter().map(|(_, entry)| entry).collect())
}

pub(super) fn next_subject(conn: &mut Conn, after: i64) -> Result<Option<i64>, Error> {
    let next: Option<Option<i64>> = observation::table
        .filter(observation::subject.gt(after))
        .order(observation::subject)
        .select(observation::subject)
        .first(conn)
        .optional()
        .map_err(database)?;
    Ok(next.flatten())
}

/// A version with the time that its series is ordered by.
type Timed = (i64, Arc<Entry>);

struct Series {
    subject: i64,
    concept: i64,
    upto: i64,
}

/// The standing versions of a series with their times, not yet in any order.
macro_rules! standing {
    ($series:expr) => {
        observation::table
            .filter(observation::subject.eq($series.subject).and(observation::concept.eq($series.concept)))
            .filter(observation::deleted.eq(false).and(observation::seq.le($series.upto)))
            .select((
                observation::starts,
                (
                    observation::seq,
                    type_number(OBSERVATION)?.into_sql::<diesel::sql_types::SmallInt>(),
                    observation::id,
                    observation::version,
                    observation::updated,
                    observation::deleted,
                    observation::body,
                ),
            ))
    };
}

impl Series {
    fn within(&self, conn: &mut Conn, span: &Range<i64>, limit: usize) -> Result<Vec<Timed>, Error> {
        let rows: Vec<(i64, VersionRow)> = standing!(self)
            .filter(observation::starts.ge(span.start).and(observation::starts.lt(span.end)))
            .order((observation::starts, observation::seq))
            .limit(i64::try_from(limit).map_err(Error::internal)?)
            .load(conn)
            .map_err(database)?;
        timed(&rows)
    }

    /// The newest of each device, where several have measured since then.
    fn by_device(&self, conn: &mut Conn, since: i64) -> Result<Vec<Timed>, Error> {
        let own = observation::subject.eq(self.subject).and(observation::concept.eq(self.concept));
        let devices: Vec<Option<i64>> = observation::table
            .filter(own.and(observation::deleted.eq(false)).and(observation::starts.ge(since)))
            .select(observation::device)
            .distinct()
            .load(conn)
            .map_err(database)?;
        let mut found = Vec::new();
        for device in devices.iter().flatten().filter(|_| devices.len() > 1) {
            let rows: Vec<(i64, VersionRow)> = standing!(self)
                .filter(observation::device.eq(device).and(observation::starts.ge(since)))
                .order((observation::starts.desc(), observation::seq.desc()))
                .limit(1)
                .load(conn)
                .map_err(database)?;
            found.extend(timed(&rows)?);
        }
        Ok(found)
    }

    /// The newest first.
    fn before(&self, conn: &mut Conn, from: i64, limit: usize) -> Result<Vec<Timed>, Error> {
        let rows: Vec<(i64, VersionRow)> = standing!(self)
            .filter(observation::starts.lt(from))
            .order((observation::starts.desc(), observation::seq.desc()))
            .limit(i64::try_from(limit).map_err(Error::internal)?)
            .load(conn)
            .map_err(database)?;
        timed(&rows)
    }
}

fn timed(rows: &[(i64, VersionRow)]) -> Result<Vec<Timed>, Error> {
    rows.iter().map(|(starts, row)| Ok((*starts, Arc::new(log::entry(row)?)))).collect()
}
