//! A change on its way to the lane: everything that can be done before the transaction (reading the resource,
//! index values, compression, integers of terms) is done here, in the caller's thread.

use std::sync::Arc;

use diesel::prelude::*;
use serde_json::Value;

use super::body;
use super::dict::{Dict, Kind, Source, Terms};
use super::schema::{ix_date, ix_quantity, ix_string, ix_term, observation};
use crate::error::Error;
use crate::fhir::index::{self, Entry as IndexEntry, fold};
use crate::fhir::reading::{Amount, Reading};
use crate::fhir::{reference, ucum};

pub(super) const OBSERVATION: &str = "Observation";

/// `starts` and `ends` of an Observation without an effective time.
pub(super) const NO_TIME: i64 = i64::MIN;

/// The version that is expected where nothing may stand: never stored, or deleted.
pub const NOTHING: i32 = 0;

/// What is asked of the lane for one resource.
#[derive(Clone, Debug)]
pub enum Verb {
    /// A new resource. `again`: its id says what it is, so that the same one sent again is found, not doubled.
    Create {
        again: bool,
    },
    /// The next version; `expect` is the version that must stand ([`NOTHING`]: none may). With `or_create` it may
    /// be the first.
    Update {
        expect: Option<i32>,
        or_create: bool,
    },
    Delete {
        expect: Option<i32>,
    },
}

/// One change of one resource.
#[derive(Clone, Debug)]
pub struct Change {
    pub verb: Verb,
    pub resource_type: &'static str,
    pub id: String,
    /// The resource after the change; none when it is deleted.
    pub resource: Option<Value>,
}

/// A change made ready.
pub(super) struct Prepared {
    pub verb: Verb,
    pub resource_type: &'static str,
    pub rtype: i16,
    pub id: String,
    pub key: Vec<u8>,
    pub body: Vec<u8>,
    pub content: Content,
    index: Vec<(&'static str, IndexEntry)>,
    /// None until all its terms have numbers.
    pub rows: Option<Rows>,
}

/// What a committed version is for its readers.
#[derive(Clone, Debug)]
pub enum Content {
    Reading(Arc<Reading>),
    Resource(Arc<Value>),
    Gone,
}

/// The integers of a change: Observation columns and index rows. Their `seq` is given in the lane.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub columns: Columns,
    pub terms: Vec<(i64, i64)>,
    pub strings: Vec<(i64, String, String)>,
    pub dates: Vec<(i64, i64, i64)>,
    pub quantities: Vec<(i64, f64, f64, i64)>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    pub subject: Option<i64>,
    pub concept: Option<i64>,
    pub starts: i64,
    pub ends: i64,
    pub value: Option<f64>,
    pub unit: Option<i64>,
    pub canonical: Option<f64>,
    pub status: i16,
    pub category: Option<i64>,
    pub device: Option<i64>,
    pub encounter: Option<i64>,
}

#[derive(Insertable, Clone, Debug)]
#[diesel(table_name = observation, treat_none_as_default_value = false)]
pub(super) struct ObservationRow {
    pub seq: i64,
    pub id: Vec<u8>,
    pub version: i32,
    pub updated: i64,
    pub deleted: bool,
    pub subject: Option<i64>,
    pub concept: Option<i64>,
    pub starts: i64,
    pub ends: i64,
    pub value: Option<f64>,
    pub unit: Option<i64>,
    pub canonical: Option<f64>,
    pub status: i16,
    pub category: Option<i64>,
    pub device: Option<i64>,
    pub encounter: Option<i64>,
    pub body: Vec<u8>,
}

#[derive(Insertable, Clone, Copy, Debug)]
#[diesel(table_name = ix_term)]
pub(super) struct TermRow {
    pub param: i64,
    pub term: i64,
    pub seq: i64,
}

#[derive(Insertable, Clone, Debug)]
#[diesel(table_name = ix_string)]
pub(super) struct StringRow {
    pub param: i64,
    pub folded: String,
    pub exact: String,
    pub seq: i64,
}

#[derive(Insertable, Clone, Copy, Debug)]
#[diesel(table_name = ix_date)]
pub(super) struct DateRow {
    pub param: i64,
    pub starts: i64,
    pub ends: i64,
    pub seq: i64,
}

#[derive(Insertable, Clone, Copy, Debug)]
#[diesel(table_name = ix_quantity)]
pub(super) struct QuantityRow {
    pub param: i64,
    pub canonical: f64,
    pub value: f64,
    pub unit: i64,
    pub seq: i64,
}

/// The number stored for a resource type: its place in R4's sorted list, which is closed.
pub(super) fn type_number(resource_type: &str) -> Result<i16, Error> {
    fhir_r4::resource_type_index(resource_type)
        .and_then(|index| i16::try_from(index).ok())
        .ok_or_else(|| Error::internal(format!("no R4 resource type: {resource_type}")))
}

pub(super) fn type_name(number: i16) -> Result<&'static str, Error> {
    let index = usize::try_from(number).map_err(Error::internal)?;
    let name = fhir_r4::resource_types().get(index).copied();
    name.ok_or_else(|| Error::internal(format!("no resource type has the number {number}")))
}

impl Content {
    pub(super) fn of(resource_type: &str, resource: Value) -> Self {
        if resource_type == OBSERVATION {
            Self::Reading(Arc::new(Reading::of(&resource)))
        } else {
            Self::Resource(Arc::new(resource))
        }
    }
}

impl Prepared {
    pub(super) fn new(change: Change, dict: &Dict) -> Result<Self, Error> {
        let Change { verb, resource_type, id, resource } = change;
        let (body, index, content) = match resource {
            None => (vec![], vec![], Content::Gone),
            Some(resource) => {
                let entries = index::entries(resource_type, &resource);
                let index = entries.into_iter().map(|(param, entry)| (param.name, entry)).collect();
                (body::encode(&resource)?, index, Content::of(resource_type, resource))
            }
        };
        let rtype = type_number(resource_type)?;
        let key = super::id::encode(&id);
        let mut prepared = Self { verb, resource_type, rtype, id, key, body, content, index, rows: None };
        prepared.resolve(&mut dict.terms(Source::Cache))?;
        Ok(prepared)
    }

    /// Turns every term into its number; leaves `rows` empty when one is not known to the source.
    pub(super) fn resolve(&mut self, terms: &mut Terms<'_>) -> Result<(), Error> {
        self.rows = rows(self, terms)?;
        Ok(())
    }
}

/// None as soon as one term has no number.
fn rows(change: &Prepared, terms: &mut Terms<'_>) -> Result<Option<Rows>, Error> {
    let mut rows = Rows::default();
    if let Content::Reading(reading) = &change.content {
        match columns(reading, terms)? {
            Some(columns) => rows.columns = columns,
            None => return Ok(None),
        }
    }
    for (name, entry) in &change.index {
        let Some(param) = terms.get(Kind::Param, change.rtype.into(), name)? else { return Ok(None) };
        if index_row(&mut rows, param, entry, terms)?.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(rows))
}

fn columns(reading: &Reading, terms: &mut Terms<'_>) -> Result<Option<Columns>, Error> {
    let mut complete = true;
    let mut known = |found: Option<i64>| {
        complete &= found.is_some();
        found
    };
    let value = reading.value.as_ref();
    let columns = Columns {
        subject: optional(reading.subject.as_deref(), |s| local(terms, s), &mut known)?,
        // Never none: a patient's series are found by their concepts.
        concept: known(terms.concept(&reading.codings, Some(reading.text.as_deref().unwrap_or_default()))?),
        starts: reading.effective.map_or(NO_TIME, |e| e.0),
        ends: reading.effective.map_or(NO_TIME, |e| e.1),
        value: value.map(|v| v.value),
        unit: optional(value.and_then(unit_of), |(system, code)| terms.unit(system, code), &mut known)?,
        canonical: value.map(|v| canonical(v.value, v.unit.as_deref())),
        status: reading.status.number(),
        category: optional(
            (!reading.category.is_empty()).then_some(()),
            |()| terms.concept(&reading.category, None),
            &mut known,
        )?,
        device: optional(reading.device.as_deref(), |s| local(terms, s), &mut known)?,
        encounter: optional(reading.encounter.as_deref(), |s| local(terms, s), &mut known)?,
    };
    Ok(complete.then_some(columns))
}

fn optional<T>(
    given: Option<T>,
    find: impl FnOnce(T) -> Result<Option<i64>, Error>,
    known: &mut impl FnMut(Option<i64>) -> Option<i64>,
) -> Result<Option<i64>, Error> {
    match given {
        None => Ok(None),
        Some(text) => Ok(known(find(text)?)),
    }
}

fn unit_of(amount: &Amount) -> Option<(&str, &str)> {
    Some((amount.system.as_deref().unwrap_or_default(), amount.unit.as_deref()?))
}

/// The value in the canonical unit of what it measures; as it is when the unit is not in the table.
pub(super) fn canonical(value: f64, unit: Option<&str>) -> f64 {
    unit.and_then(ucum::canonical).map_or(value, |c| c.of(value))
}

/// The term of a local reference `Type/id`.
pub(super) fn local(terms: &mut Terms<'_>, text: &str) -> Result<Option<i64>, Error> {
    match reference::local(text) {
        Some(local) => terms.get(Kind::Reference, type_number(local.resource_type)?.into(), local.id),
        None => Ok(None),
    }
}

/// As much of a text as is searched by: an index entry of PostgreSQL has a limit.
pub(super) fn short(text: &str) -> String {
    text.chars().take(256).collect()
}

fn index_row(rows: &mut Rows, param: i64, entry: &IndexEntry, terms: &mut Terms<'_>) -> Result<Option<()>, Error> {
    let term = match entry {
        IndexEntry::Token { system, code } => terms.coding(system, code)?,
        IndexEntry::Reference(text) => local(terms, text)?,
        IndexEntry::Uri(text) => terms.uri(text)?,
        IndexEntry::Text(text) => {
            let text = short(text);
            rows.strings.push((param, fold(&text), text));
            return Ok(Some(()));
        }
        IndexEntry::Date(starts, ends) => {
            rows.dates.push((param, *starts, *ends));
            return Ok(Some(()));
        }
        IndexEntry::Quantity { value, unit } => {
            let number = match unit {
                Some((system, code)) => terms.unit(system, code)?,
                None => Some(0),
            };
            let canonical = canonical(*value, unit.as_ref().map(|u| u.1.as_str()));
            return Ok(number.map(|unit| rows.quantities.push((param, canonical, *value, unit))));
        }
    };
    Ok(term.map(|term| rows.terms.push((param, term))))
}
