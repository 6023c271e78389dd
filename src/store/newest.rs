//! The newest readings of every kind that a patient has, and single ones by their place in the log: what the
//! rings in memory are filled from. One step of the series index for each kind, however long its history is.

use diesel::prelude::*;

use super::conn::Conn;
use super::deadline::{Clocked, within};
use super::dict::{Dict, Source};
use super::prepare::{self, OBSERVATION};
use super::resource::Stored;
use super::schema::observation;
use super::{Store, database, id};
use crate::auth::access::{Access, Action};
use crate::error::Error;
use crate::fhir::reading::{Code, Reading};

/// A stored reading with what it is ordered by.
#[derive(Clone, Debug)]
pub struct Placed {
    pub seq: i64,
    /// When it was measured, µs UTC; the least integer when nobody says.
    pub starts: i64,
    pub stored: Stored,
}

/// The newest readings of one kind, newest first.
#[derive(Clone, Debug)]
pub struct Series {
    pub readings: Vec<Placed>,
    /// There are no older ones.
    pub complete: bool,
}

/// Readings by key that are read on the thread that asks: more take longer than a hop to another costs.
const FEW: usize = 8;

type Row = (i64, i64, Vec<u8>, i32, i64, Vec<u8>);

impl Store {
    /// What `make` makes of the newest `limit` of each kind that the subject has, off the threads that answer
    /// requests: they may be thousands. None when it has more kinds than `kinds`.
    pub async fn newest<T: Send + 'static>(
        &self,
        access: &Access,
        subject: &str,
        limit: usize,
        kinds: usize,
        make: impl FnOnce(Vec<Series>) -> Result<T, Error> + Send + 'static,
    ) -> Result<Option<T>, Error> {
        if !access.check(Action::Search, OBSERVATION)?.covers(Some(subject)) {
            return make(vec![]).map(Some);
        }
        let subject = subject.to_owned();
        self.read(move |conn, dict| of_subject(conn, dict, &subject, limit, kinds)?.map(make).transpose()).await
    }

    /// Every category that the subject's readings of one kind have. It looks at all of them.
    pub async fn categories(
        &self,
        access: &Access,
        subject: &str,
        codings: &[Code],
        text: &str,
    ) -> Result<Vec<Vec<Code>>, Error> {
        if !access.check(Action::Search, OBSERVATION)?.covers(Some(subject)) {
            return Ok(vec![]);
        }
        let (subject, codings, text) = (subject.to_owned(), codings.to_vec(), text.to_owned());
        self.read(move |conn, dict| categories(conn, dict, &subject, &codings, &text)).await
    }

    /// The readings that stand at these places of the log and are the subject's; one that was superseded is
    /// not among them.
    pub async fn readings_at(&self, access: &Access, subject: &str, seqs: Vec<i64>) -> Result<Vec<Placed>, Error> {
        if !access.check(Action::Search, OBSERVATION)?.covers(Some(subject)) {
            return Ok(vec![]);
        }
        let (subject, few) = (subject.to_owned(), seqs.len() <= FEW);
        let work = move |conn: &mut Conn, dict: &Dict| at(conn, dict, &subject, &seqs);
        if few { self.point_read(work).await } else { self.read(work).await }
    }
}

fn of_subject(
    conn: &mut Conn,
    dict: &Dict,
    subject: &str,
    limit: usize,
    kinds: usize,
) -> Result<Option<Vec<Series>>, Error> {
    let Some(subject) = prepare::local(&mut dict.terms(Source::Table(conn)), subject)? else {
        return Ok(Some(vec![]));
    };
    let clocked = Clocked::now(conn);
    let Some(concepts) = concepts(conn, clocked, subject, kinds)? else { return Ok(None) };
    concepts
        .into_iter()
        .map(|concept| series(conn, clocked, (subject, concept), limit))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// The kinds of a subject, one step of the index for each; none when there are more than `most`.
pub(super) fn concepts(
    conn: &mut Conn,
    clocked: Clocked,
    subject: i64,
    most: usize,
) -> Result<Option<Vec<i64>>, Error> {
    let (mut found, mut after) = (Vec::new(), i64::MIN);
    loop {
        let next: Option<Option<i64>> = observation::table
            .filter(within!(clocked, "observation"))
            .filter(observation::subject.eq(subject).and(observation::concept.gt(after)))
            .order(observation::concept)
            .select(observation::concept)
            .first(conn)
            .optional()
            .map_err(database)?;
        match next.flatten() {
            None => return Ok(Some(found)),
            Some(_) if found.len() == most => return Ok(None),
            Some(concept) => {
                found.push(concept);
                after = concept;
            }
        }
    }
}

fn series(conn: &mut Conn, clocked: Clocked, of: (i64, i64), limit: usize) -> Result<Series, Error> {
    let (subject, concept) = of;
    let rows: Vec<Row> = observation::table
        .filter(within!(clocked, "observation"))
        .filter(observation::subject.eq(subject).and(observation::concept.eq(concept)))
        .filter(observation::deleted.eq(false))
        .order((observation::starts.desc(), observation::seq.desc()))
        .limit(i64::try_from(limit + 1).map_err(Error::internal)?)
        .select((
            observation::seq,
            observation::starts,
            observation::id,
            observation::version,
            observation::updated,
            observation::body,
        ))
        .load(conn)
        .map_err(database)?;
    let complete = rows.len() <= limit;
    Ok(Series { readings: rows.into_iter().take(limit).map(placed).collect(), complete })
}

/// One reading of each category tells what its number stands for.
fn categories(
    conn: &mut Conn,
    dict: &Dict,
    subject: &str,
    codings: &[Code],
    text: &str,
) -> Result<Vec<Vec<Code>>, Error> {
    let mut terms = dict.terms(Source::Table(conn));
    let (number, concept) = (prepare::local(&mut terms, subject)?, terms.concept(codings, Some(text))?);
    let (Some(number), Some(concept)) = (number, concept) else { return Ok(vec![]) };
    let clocked = Clocked::now(conn);
    let one_of_each: Vec<Option<i64>> = observation::table
        .filter(within!(clocked, "observation"))
        .filter(observation::subject.eq(number).and(observation::concept.eq(concept)))
        .filter(observation::deleted.eq(false))
        .group_by(observation::category)
        .select(diesel::dsl::max(observation::seq))
        .load(conn)
        .map_err(database)?;
    let seqs: Vec<i64> = one_of_each.into_iter().flatten().collect();
    let readings = at(conn, dict, subject, &seqs)?;
    readings.iter().map(|placed| Ok(Reading::of(&placed.stored.value()?).category)).collect()
}

fn at(conn: &mut Conn, dict: &Dict, subject: &str, seqs: &[i64]) -> Result<Vec<Placed>, Error> {
    let Some(subject) = prepare::local(&mut dict.terms(Source::Table(conn)), subject)? else { return Ok(vec![]) };
    let rows: Vec<Row> = observation::table
        .filter(observation::seq.eq_any(seqs))
        .filter(observation::subject.eq(subject).and(observation::deleted.eq(false)))
        .select((
            observation::seq,
            observation::starts,
            observation::id,
            observation::version,
            observation::updated,
            observation::body,
        ))
        .load(conn)
        .map_err(database)?;
    Ok(rows.into_iter().map(placed).collect())
}

fn placed((seq, starts, id, version, updated, body): Row) -> Placed {
    let id = id::decode(&id);
    Placed { seq, starts, stored: Stored { resource_type: OBSERVATION, id, version, updated, deleted: false, body } }
}
