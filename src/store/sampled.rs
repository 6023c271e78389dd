//! The numbers of one measurement of one patient over time: what patterns are read from. They come from the value
//! columns of readings and of their components. What was entered in error, cancelled or is not yet there, what is
//! marked as a test, and what something else bears on (`<`, a modifier) is not among them; a body is only taken apart
//! where its text says that it must be.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::dsl::exists;
use diesel::prelude::*;
use serde_json::Value;

use super::conn::{Conn, MultiBackend};
use super::deadline::Clocked;
use super::dict::{self, Source};
use super::measured::{Wanted, is_wanted};
use super::prepare::{self, OBSERVATION};
use super::resource::Stored;
use super::schema::{component, observation};
use super::{Store, database, id, newest};
use crate::auth::access::{Access, Action};
use crate::error::Error;
use crate::fhir::reading::{Code, Reading, Status, amount, codings};

/// Kinds of readings of one patient that are looked through.
const KINDS: usize = 2000;
/// Codings that a code may stand for, and concepts.
const CODINGS: usize = 1000;
/// The newest readings of a kind that tell what is measured with it.
const TELLING: i64 = 20;

/// One number with the code of its unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// µs UTC
    pub starts: i64,
    pub value: f64,
    pub unit: Option<Arc<str>>,
}

/// What a patient has readings of.
#[derive(Clone, Debug, PartialEq)]
pub struct Telling {
    pub category: Vec<Code>,
    /// Its own codings when it has a value, and those of each component that has one.
    pub codings: Vec<Vec<Code>>,
}

#[derive(Queryable)]
struct Row {
    seq: i64,
    starts: i64,
    id: Vec<u8>,
    version: i32,
    updated: i64,
    value: Option<f64>,
    unit: Option<i64>,
    body: Vec<u8>,
}

type Columns = (
    observation::seq,
    observation::starts,
    observation::id,
    observation::version,
    observation::updated,
    observation::value,
    observation::unit,
    observation::body,
);
const COLUMNS: Columns = (
    observation::seq,
    observation::starts,
    observation::id,
    observation::version,
    observation::updated,
    observation::value,
    observation::unit,
    observation::body,
);

type Query<'a> = observation::BoxedQuery<'a, MultiBackend>;

impl Store {
    /// What `make` makes of the subject's numbers of this code that begin in these stretches of time, in the order
    /// of time. None when they are more than `most`.
    pub async fn sampled<T: Send + 'static>(
        &self,
        access: &Access,
        subject: &str,
        code: Wanted,
        stretches: Vec<(i64, i64)>,
        most: usize,
        make: impl FnOnce(Vec<Sampled>) -> T + Send + 'static,
    ) -> Result<Option<T>, Error> {
        if !access.check(Action::Search, OBSERVATION)?.covers(Some(subject)) {
            return Ok(Some(make(vec![])));
        }
        let subject = subject.to_owned();
        let work = move |conn: &mut Conn, dict: &dict::Dict| {
            let mut terms = dict.terms(Source::Table(conn));
            let Some(subject) = prepare::local(&mut terms, &subject)? else { return Ok(Some(make(vec![]))) };
            let known = match &code {
                (Some(system), code) => terms.coding(system, code)?.into_iter().collect(),
                (None, code) => dict::codings_of_code(conn, code, CODINGS)?,
            };
            let concepts = dict::concepts_of(conn, &known, CODINGS)?;
            Ok(numbers(conn, subject, &code, &concepts, &stretches, most)?.map(make))
        };
        self.read(work).await
    }

    /// What the subject has readings of in a stretch of time, by the newest of each kind. None when it has more
    /// kinds than can be looked through.
    pub async fn telling(
        &self,
        access: &Access,
        subject: &str,
        stretch: (i64, i64),
    ) -> Result<Option<Vec<Telling>>, Error> {
        if !access.check(Action::Search, OBSERVATION)?.covers(Some(subject)) {
            return Ok(Some(vec![]));
        }
        let subject = subject.to_owned();
        let work = move |conn: &mut Conn, dict: &dict::Dict| {
            let Some(subject) = prepare::local(&mut dict.terms(Source::Table(conn)), &subject)? else {
                return Ok(Some(vec![]));
            };
            let Some(concepts) = newest::concepts(conn, Clocked::now(conn), subject, KINDS)? else { return Ok(None) };
            let mut all = Vec::new();
            for concept in concepts {
                let newest: Vec<Row> = standing(subject, &[concept], stretch)
                    .order((observation::starts.desc(), observation::seq.desc()))
                    .limit(TELLING)
                    .select(COLUMNS)
                    .load(conn)
                    .map_err(database)?;
                all.extend(told(&newest)?);
            }
            Ok(Some(all))
        };
        self.read(work).await
    }
}

/// Readings that count, of these concepts.
fn standing<'a>(subject: i64, concepts: &[i64], (from, to): (i64, i64)) -> Query<'a> {
    let counts: Vec<i16> = Status::all().filter(|status| status.counts()).map(Status::number).collect();
    observation::table
        .filter(observation::subject.eq(subject).and(observation::deleted.eq(false)))
        .filter(observation::concept.eq_any(concepts.to_vec()))
        .filter(observation::starts.ge(from).and(observation::starts.lt(to)))
        .filter(observation::status.eq_any(counts))
        .into_boxed()
}

fn told(newest: &[Row]) -> Result<Option<Telling>, Error> {
    let mut told: Option<Telling> = None;
    for row in newest {
        let json = row.json()?;
        if told.is_some() && !says(&json, "\"component\"") {
            continue;
        }
        let reading = Reading::of(&serde_json::from_str(&json).map_err(Error::internal)?);
        if reading.test {
            continue;
        }
        let codings = reading.amounts().map(|(codings, _)| codings.to_vec());
        match &mut told {
            None => told = Some(Telling { codings: codings.collect(), category: reading.category.clone() }),
            Some(told) => {
                for codings in codings {
                    if !told.codings.contains(&codings) {
                        told.codings.push(codings);
                    }
                }
            }
        }
    }
    Ok(told)
}

fn numbers(
    conn: &mut Conn,
    subject: i64,
    code: &Wanted,
    own: &[i64],
    stretches: &[(i64, i64)],
    most: usize,
) -> Result<Option<Vec<Sampled>>, Error> {
    let units: HashMap<i64, Arc<str>> =
        dict::all_units(conn)?.into_iter().map(|(unit, text)| (unit, text.into())).collect();
    let others = parents(conn, subject, own)?;
    let mut found = Vec::new();
    for stretch in stretches {
        for (concepts, in_parts) in [(own, false), (others.as_slice(), true)] {
            if concepts.is_empty() {
                continue;
            }
            let mut query = standing(subject, concepts, *stretch);
            if in_parts {
                let part = component::table
                    .filter(component::seq.eq(observation::seq))
                    .filter(component::concept.eq_any(own.to_vec()));
                query = query.filter(exists(part));
            }
            let limit = i64::try_from(most.saturating_sub(found.len()) + 1).map_err(Error::internal)?;
            let rows: Vec<Row> = query.limit(limit).select(COLUMNS).load(conn).map_err(database)?;
            for row in &rows {
                sample(row, code, in_parts, &units, &mut found)?;
            }
            if rows.len() > most || found.len() > most {
                return Ok(None);
            }
        }
    }
    found.sort_by_key(|(sampled, seq)| (sampled.starts, *seq));
    Ok(Some(found.into_iter().map(|(sampled, _)| sampled).collect()))
}

/// The other kinds of the subject, when anything has these concepts in its components.
fn parents(conn: &mut Conn, subject: i64, own: &[i64]) -> Result<Vec<i64>, Error> {
    let part = component::table.filter(component::concept.eq_any(own.to_vec())).select(component::seq);
    if part.first::<i64>(conn).optional().map_err(database)?.is_none() {
        return Ok(vec![]);
    }
    let mut concepts = newest::concepts(conn, Clocked::now(conn), subject, KINDS)?.unwrap_or_default();
    concepts.retain(|concept| !own.contains(concept));
    Ok(concepts)
}

fn sample(
    row: &Row,
    code: &Wanted,
    in_parts: bool,
    units: &HashMap<i64, Arc<str>>,
    found: &mut Vec<(Sampled, i64)>,
) -> Result<(), Error> {
    if row.value.is_none() && !in_parts {
        return Ok(());
    }
    let json = row.json()?;
    let plain = !["\"modifierExtension\"", "\"comparator\"", "\"HTEST\""].iter().any(|part| says(&json, part));
    if !in_parts && plain {
        let unit = row.unit.and_then(|unit| units.get(&unit)).cloned();
        found.extend(row.value.map(|value| (Sampled { starts: row.starts, value, unit }, row.seq)));
        return Ok(());
    }
    let resource: Value = serde_json::from_str(&json).map_err(Error::internal)?;
    if Reading::of(&resource).test || resource.get("modifierExtension").is_some() {
        return Ok(());
    }
    let parts = resource.get("component").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let elements = if in_parts { parts } else { std::slice::from_ref(&resource) };
    for element in elements.iter().filter(|element| element.get("modifierExtension").is_none()) {
        let wanted = !in_parts || codings(element.get("code")).iter().any(|coding| is_wanted(code, coding));
        let quantity = element.get("valueQuantity").filter(|q| wanted && q.get("comparator").is_none());
        if let Some(amount) = quantity.and_then(amount) {
            let sampled = Sampled { starts: row.starts, value: amount.value, unit: amount.unit.map(Into::into) };
            found.push((sampled, row.seq));
        }
    }
    Ok(())
}

fn says(json: &str, part: &str) -> bool {
    json.contains(part)
}

impl Row {
    fn json(&self) -> Result<String, Error> {
        let stored = Stored {
            resource_type: OBSERVATION,
            id: id::decode(&self.id),
            version: self.version,
            updated: self.updated,
            deleted: false,
            body: self.body.clone(),
        };
        String::from_utf8(stored.json()?).map_err(Error::internal)
    }
}
