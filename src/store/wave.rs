//! What waveforms and series of numbers look like over a time, drawn with few points: of what is shorter than a point
//! only its extremes are read, of what is longer its samples.

use std::collections::BTreeMap;

use diesel::prelude::*;
use serde_json::Value;

use super::conn::Conn;
use super::dict::{self, Source};
use super::measured::Wanted;
use super::prepare::{self, OBSERVATION};
use super::schema::{observation, observation_span, wave};
use super::write::SHORT_SPAN;
use super::{Store, body, database};
use crate::auth::access::{Access, Action};
use crate::error::Error;
use crate::fhir::waveform::{self, Envelope};

/// Codings that a code may stand for, and concepts.
const CODINGS: usize = 1000;
/// Observations whose samples are read at once.
const BODIES: usize = 100;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// `Patient/…`
    pub subject: String,
    pub code: Wanted,
    /// From the first up to, and without, the second, µs UTC.
    pub span: (i64, i64),
    pub points: usize,
    /// Waveforms that are looked at.
    pub most: usize,
}

/// One waveform over the time.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Its CodeableConcept.
    pub code: Value,
    /// The `origin` that it was sent with, for its unit.
    pub origin: Value,
    pub envelope: Envelope,
}

#[derive(Queryable, Clone, Copy)]
struct Row {
    seq: i64,
    lead: i16,
    concept: i64,
    unit: Option<i64>,
    starts: i64,
    ends: i64,
    low: f64,
    high: f64,
}

/// The pieces of a waveform, in the order of their times.
type Pieces = BTreeMap<(i64, Option<i64>), Vec<Row>>;

impl Store {
    /// The waveforms of this code, or of an Observation of this code, one for each kind and unit. None when there are too
    /// many of them.
    pub async fn drawn(&self, access: &Access, drawing: Drawing) -> Result<Option<Vec<Drawn>>, Error> {
        if !access.check(Action::Search, OBSERVATION)?.covers(Some(&drawing.subject)) {
            return Ok(Some(vec![]));
        }
        self.read(move |conn, dict| {
            let Some(pieces) = pieces(conn, dict, &drawing)? else { return Ok(None) };
            let drawn = pieces.into_values().map(|rows| draw(conn, &drawing, &rows));
            Ok(Some(drawn.filter_map(Result::transpose).collect::<Result<_, Error>>()?))
        })
        .await
    }
}

fn pieces(conn: &mut Conn, dict: &dict::Dict, drawing: &Drawing) -> Result<Option<Pieces>, Error> {
    let mut terms = dict.terms(Source::Table(conn));
    let Some(subject) = prepare::local(&mut terms, &drawing.subject)? else { return Ok(Some(Pieces::new())) };
    let known = match &drawing.code {
        (Some(system), code) => terms.coding(system, code)?.into_iter().collect(),
        (None, code) => dict::codings_of_code(conn, code, CODINGS)?,
    };
    let concepts = dict::concepts_of(conn, &known, CODINGS)?;
    let longest: i64 = observation_span::table.select(observation_span::longest).first(conn).map_err(database)?;
    let longest = longest.max(SHORT_SPAN);
    let (from, to) = drawing.span;
    let rows: Vec<Row> = wave::table
        .filter(wave::subject.eq(subject).and(wave::starts.lt(to)))
        // What began before may reach into it.
        .filter(wave::starts.ge(from.saturating_sub(longest)).and(wave::ends.gt(from)))
        .filter(wave::concept.eq_any(&concepts).or(wave::panel.eq_any(&concepts)))
        .order((wave::starts, wave::seq, wave::lead))
        .limit(i64::try_from(drawing.most).map_err(Error::internal)?.saturating_add(1))
        .select((wave::seq, wave::lead, wave::concept, wave::unit, wave::starts, wave::ends, wave::low, wave::high))
        .load(conn)
        .map_err(database)?;
    if rows.len() > drawing.most {
        return Ok(None);
    }
    let mut pieces = Pieces::new();
    for row in rows {
        pieces.entry((row.concept, row.unit)).or_default().push(row);
    }
    Ok(Some(pieces))
}

fn draw(conn: &mut Conn, drawing: &Drawing, rows: &[Row]) -> Result<Option<Drawn>, Error> {
    let mut envelope = Envelope::new(drawing.span, drawing.points);
    let width = envelope.width();
    let (short, long): (Vec<Row>, Vec<Row>) = rows.iter().partition(|row| row.ends - row.starts <= width);
    for row in short {
        // It may have begun before, and then it is seen from the beginning on.
        envelope.add(row.starts.max(drawing.span.0), row.low, row.high);
    }
    for rows in long.chunks(BODIES) {
        let bodies = bodies(conn, rows)?;
        for row in rows {
            let Some(lead) = bodies.get(&row.seq).and_then(|body| lead(body, row.lead)) else { continue };
            for (at, value) in lead.samples(row.starts).iter().flat_map(waveform::Samples::values) {
                envelope.add(at, value, value);
            }
        }
    }
    let Some(newest) = rows.last() else { return Ok(None) };
    let bodies = bodies(conn, std::slice::from_ref(newest))?;
    let lead = bodies.get(&newest.seq).and_then(|body| lead(body, newest.lead));
    Ok(lead.map(|lead| Drawn {
        code: lead.code.cloned().unwrap_or_default(),
        origin: lead.sampled.get("origin").cloned().unwrap_or_default(),
        envelope,
    }))
}

/// The rows of a waveform are numbered like those that can be drawn.
fn lead(observation: &Value, number: i16) -> Option<waveform::Lead<'_>> {
    let mut drawable =
        waveform::leads(observation).filter(|lead| lead.samples(0).is_some_and(|s| s.extremes().is_some()));
    drawable.nth(usize::try_from(number).ok()?)
}

fn bodies(conn: &mut Conn, rows: &[Row]) -> Result<BTreeMap<i64, Value>, Error> {
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    let found: Vec<(i64, Vec<u8>)> = observation::table
        .filter(observation::seq.eq_any(seqs))
        .select((observation::seq, observation::body))
        .load(conn)
        .map_err(database)?;
    let head = body::Head { resource_type: OBSERVATION, id: "", version: 1, updated: 0 };
    let parsed = found.into_iter().map(|(seq, stored)| {
        let json = body::render(&head, &stored)?;
        Ok((seq, serde_json::from_slice(&json).map_err(Error::internal)?))
    });
    parsed.collect()
}
