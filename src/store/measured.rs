//! What was measured of one patient in a period: the numbers behind statistics. They come from the value columns;
//! a body is taken apart only when it says more than its columns (components, members, modifiers).

use std::sync::Arc;

use diesel::dsl::exists;
use diesel::prelude::*;
use serde_json::Value;

use super::conn::Conn;
use super::deadline::{Clocked, within};
use super::dict::{self, Dict, Source};
use super::prepare::{self, OBSERVATION};
use super::resource::Stored;
use super::schema::{component, concept_coding, observation};
use super::{Store, database, id, newest};
use crate::auth::access::{Access, Action};
use crate::error::Error;
use crate::fhir::reading::{Code, Reading, Status, codings};

/// Kinds of readings of one patient that are looked through.
const KINDS: usize = 2000;
/// Ids that are asked for at once.
const CHUNK: usize = 500;
/// Codings that the codes may stand for.
const CODINGS: usize = 10_000;

/// A code that statistics are asked for; without a system it is of any.
pub type Wanted = (Option<String>, String);

/// One measured number, or that there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub codings: Arc<[Code]>,
    /// The number and the code of its unit.
    pub value: Option<(f64, Option<String>)>,
}

/// One Observation of the period.
#[derive(Clone, Debug)]
pub struct Measured {
    pub seq: i64,
    pub starts: i64,
    pub stored: Stored,
    /// Its own value, then those of its components.
    pub parts: Vec<Part>,
    /// It was asked for by its own code, not by a component's.
    pub by_code: bool,
    /// It is there for its parts: components or members.
    pub panel: bool,
}

struct Asked<'a> {
    subject: i64,
    wanted: &'a [Wanted],
    /// The numbers of the wanted codings.
    codings: Vec<i64>,
    period: Option<(i64, i64)>,
    most: usize,
    units: std::collections::HashMap<i64, String>,
    clocked: Clocked,
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

impl Store {
    /// Everything of the subject that has one of the codes and begins in the period, and the members of panels
    /// among it; what was entered in error is not there. None when it is more than `most`.
    pub async fn measured(
        &self,
        access: &Access,
        subject: &str,
        wanted: Vec<Wanted>,
        period: Option<(i64, i64)>,
        most: usize,
    ) -> Result<Option<Vec<Measured>>, Error> {
        if !access.check(Action::Search, OBSERVATION)?.covers(Some(subject)) {
            return Ok(Some(vec![]));
        }
        let subject = subject.to_owned();
        self.read(move |conn, dict| {
            let Some(subject) = prepare::local(&mut dict.terms(Source::Table(conn)), &subject)? else {
                return Ok(Some(vec![]));
            };
            let codings = codings_of(conn, dict, &wanted)?;
            if codings.len() > CODINGS {
                return Ok(None);
            }
            let units = dict::all_units(conn)?.into_iter().collect();
            let clocked = Clocked::now(conn);
            of_subject(conn, &Asked { subject, wanted: &wanted, codings, period, most, units, clocked })
        })
        .await
    }
}

pub fn is_wanted(wanted: &Wanted, (system, code): &Code) -> bool {
    wanted.1 == *code && wanted.0.as_ref().is_none_or(|own| own == system)
}

/// The codings that are known of those wanted; one more than may be when there are too many.
fn codings_of(conn: &mut Conn, dict: &Dict, wanted: &[Wanted]) -> Result<Vec<i64>, Error> {
    let mut codings = Vec::new();
    for (system, code) in wanted {
        match system {
            Some(system) => codings.extend(dict.terms(Source::Table(conn)).coding(system, code)?),
            None => codings.extend(dict::codings_of_code(conn, code, CODINGS + 1)?),
        }
        if codings.len() > CODINGS {
            break;
        }
    }
    Ok(codings)
}

fn of_subject(conn: &mut Conn, asked: &Asked<'_>) -> Result<Option<Vec<Measured>>, Error> {
    let Some(concepts) = newest::concepts(conn, asked.clocked, asked.subject, KINDS)? else { return Ok(None) };
    let (mut found, mut members) = (Vec::new(), Vec::new());
    let mut left = asked.most;
    for concept in concepts {
        let Some(newest) = rows(conn, asked, concept, 1, false)?.pop() else { continue };
        let own = codings_of_body(&newest)?;
        let by_code = own.iter().any(|coding| asked.wanted.iter().any(|wanted| is_wanted(wanted, coding)));
        let rows = rows(conn, asked, concept, left + 1, !by_code)?;
        let Some(rest) = left.checked_sub(rows.len()) else { return Ok(None) };
        left = rest;
        for row in rows {
            found.push(measured(asked, &row, &own, by_code, &mut members)?);
        }
    }
    members.retain(|id| !found.iter().any(|m: &Measured| m.by_code && m.stored.id == *id));
    if members.len() > left {
        return Ok(None);
    }
    for chunk in members.chunks(CHUNK) {
        let keys: Vec<Vec<u8>> = chunk.iter().map(|id| id::encode(id)).collect();
        for row in
            standing(asked).filter(observation::id.eq_any(keys)).select(COLUMNS).load::<Row>(conn).map_err(database)?
        {
            let own = codings_of_body(&row)?;
            found.push(measured(asked, &row, &own, true, &mut vec![])?);
        }
    }
    // A member that is there by its own right too is there once.
    found.sort_unstable_by_key(|m| std::cmp::Reverse((m.starts, m.seq)));
    found.dedup_by_key(|m| m.seq);
    Ok(Some(found))
}

fn codings_of_body(row: &Row) -> Result<Arc<[Code]>, Error> {
    Ok(Reading::of(&row.stored().value()?).codings.into())
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

fn standing<'a>(asked: &Asked<'_>) -> observation::BoxedQuery<'a, super::conn::MultiBackend> {
    observation::table
        .filter(within!(asked.clocked, "observation"))
        .filter(observation::subject.eq(asked.subject).and(observation::deleted.eq(false)))
        .filter(observation::status.ne(Status::EnteredInError.number()))
        .into_boxed()
}

/// The newest of one kind; `by_component`: only those of which a component has a wanted coding.
fn rows(conn: &mut Conn, asked: &Asked<'_>, concept: i64, limit: usize, by_component: bool) -> Result<Vec<Row>, Error> {
    let mut query = standing(asked).filter(observation::concept.eq(concept));
    if by_component {
        // By the row and not by the concept: a patient has few readings of what everybody has many of.
        let wanted = concept_coding::table.filter(concept_coding::coding.eq_any(&asked.codings));
        let own = component::table
            .filter(component::seq.eq(observation::seq))
            .filter(component::concept.eq_any(wanted.select(concept_coding::concept)));
        query = query.filter(exists(own));
    }
    if let Some((from, to)) = asked.period {
        query = query.filter(observation::starts.ge(from).and(observation::starts.lt(to)));
    }
    let limit = i64::try_from(limit).map_err(Error::internal)?;
    query.order(observation::starts.desc()).limit(limit).select(COLUMNS).load(conn).map_err(database)
}

impl Row {
    fn stored(&self) -> Stored {
        Stored {
            resource_type: OBSERVATION,
            id: id::decode(&self.id),
            version: self.version,
            updated: self.updated,
            deleted: false,
            body: self.body.clone(),
        }
    }
}

/// The row with its parts.
fn measured(
    asked: &Asked<'_>,
    row: &Row,
    own: &Arc<[Code]>,
    by_code: bool,
    members: &mut Vec<String>,
) -> Result<Measured, Error> {
    let stored = row.stored();
    let json = stored.json()?;
    let says = |member: &str| contains(&json, member.as_bytes());
    let panel = says("\"component\"") || says("\"hasMember\"");
    let plain = !["\"modifierExtension\"", "\"comparator\""].into_iter().any(says);
    let parts = if plain && !panel {
        let unit = row.unit.and_then(|unit| asked.units.get(&unit)).cloned();
        vec![Part { codings: own.clone(), value: row.value.map(|value| (value, unit)) }]
    } else {
        let resource: Value = serde_json::from_slice(&json).map_err(Error::internal)?;
        if by_code {
            members.extend(members_of(&resource));
        }
        parts_of(&resource, own)
    };
    Ok(Measured { seq: row.seq, starts: row.starts, stored, parts, by_code, panel })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

fn members_of(resource: &Value) -> Vec<String> {
    let members = resource.get("hasMember").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let local = |reference: &Value| {
        let local = crate::fhir::reference::local(reference.get("reference")?.as_str()?)?;
        (local.resource_type == OBSERVATION).then(|| local.id.to_owned())
    };
    members.iter().filter_map(local).collect()
}

fn parts_of(resource: &Value, own: &Arc<[Code]>) -> Vec<Part> {
    let modified = resource.get("modifierExtension").is_some();
    let mut parts = vec![Part { codings: own.clone(), value: number(resource, modified) }];
    for component in resource.get("component").and_then(Value::as_array).into_iter().flatten() {
        let codings: Arc<[Code]> = codings(component.get("code")).into();
        let modified = modified || component.get("modifierExtension").is_some();
        parts.push(Part { codings, value: number(component, modified) });
    }
    parts
}

/// The number of an element; none when something else bears on it (`<`, a modifier).
fn number(element: &Value, modified: bool) -> Option<(f64, Option<String>)> {
    let quantity = element.get("valueQuantity").filter(|q| !modified && q.get("comparator").is_none())?;
    let amount = crate::fhir::reading::amount(quantity)?;
    Some((amount.value, amount.unit))
}
