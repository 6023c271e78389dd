//! The rows of a change: integers and texts, ready to be written as soon as their `seq` is known.

use diesel::prelude::*;

use super::{canonical, local, short};
use crate::error::Error;
use crate::fhir::index::{Entry, Second, fold};
use crate::fhir::reading::Code;
use crate::store::dict::Terms;
use crate::store::schema::{component, ix_date, ix_pair, ix_quantity, ix_string, ix_term, observation, wave};

/// The integers of a change: Observation columns and index rows. Their `seq` is given in the lane.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Rows {
    pub columns: Columns,
    pub terms: Vec<(i64, i64)>,
    pub strings: Vec<(i64, String, String)>,
    pub dates: Vec<(i64, i64, i64)>,
    pub quantities: Vec<(i64, f64, f64, i64)>,
    pub pairs: Vec<Pair>,
    pub components: Vec<ComponentRow>,
    pub waves: Vec<WaveRow>,
}

/// What a row of `ix_pair` says but its `seq`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::store) struct Pair {
    pub param: i64,
    pub first: i64,
    pub second: i64,
    pub low: f64,
    pub high: f64,
    pub unit: i64,
}

#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Columns {
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
    pub profile: Option<i64>,
}

#[derive(Insertable, Clone, Debug)]
#[diesel(table_name = observation, treat_none_as_default_value = false)]
pub(in crate::store) struct ObservationRow {
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
    pub profile: Option<i64>,
}

#[derive(Insertable, Clone, Copy, Debug)]
#[diesel(table_name = ix_term)]
pub(in crate::store) struct TermRow {
    pub param: i64,
    pub term: i64,
    pub seq: i64,
}

#[derive(Insertable, Clone, Debug)]
#[diesel(table_name = ix_string)]
pub(in crate::store) struct StringRow {
    pub param: i64,
    pub folded: String,
    pub exact: String,
    pub seq: i64,
}

#[derive(Insertable, Clone, Copy, Debug)]
#[diesel(table_name = ix_date)]
pub(in crate::store) struct DateRow {
    pub param: i64,
    pub starts: i64,
    pub ends: i64,
    pub seq: i64,
}

#[derive(Insertable, Clone, Copy, Debug)]
#[diesel(table_name = ix_quantity)]
pub(in crate::store) struct QuantityRow {
    pub param: i64,
    pub canonical: f64,
    pub value: f64,
    pub unit: i64,
    pub seq: i64,
}

#[derive(Insertable, Clone, Copy, Debug)]
#[diesel(table_name = ix_pair)]
pub(in crate::store) struct PairRow {
    pub param: i64,
    pub first: i64,
    pub second: i64,
    pub low: f64,
    pub high: f64,
    pub unit: i64,
    pub seq: i64,
}

/// One component; its `seq` is 0 until it is written.
#[derive(Insertable, Clone, Copy, Debug)]
#[diesel(table_name = component, treat_none_as_default_value = false)]
pub(in crate::store) struct ComponentRow {
    pub seq: i64,
    pub n: i16,
    pub concept: i64,
    pub value: Option<f64>,
    pub unit: Option<i64>,
    pub canonical: Option<f64>,
    pub value_concept: Option<i64>,
}

/// One waveform; its `seq` is 0 until it is written.
#[derive(Insertable, Clone, Copy, Debug)]
#[diesel(table_name = wave, treat_none_as_default_value = false)]
pub(in crate::store) struct WaveRow {
    pub seq: i64,
    pub lead: i16,
    pub subject: i64,
    pub concept: i64,
    pub panel: i64,
    pub starts: i64,
    pub ends: i64,
    pub low: f64,
    pub high: f64,
    pub unit: Option<i64>,
}

impl Rows {
    /// Adds an index value; none when one of its terms has no number.
    pub(super) fn add(&mut self, param: i64, entry: &Entry, terms: &mut Terms<'_>) -> Result<Option<()>, Error> {
        match entry {
            Entry::Token { .. } | Entry::Reference(_) | Entry::Uri(_) => {
                let found = term(entry, terms)?.map(|term| (param, term));
                self.terms.extend(found);
                return Ok(found.map(|_| ()));
            }
            Entry::Text(text) => {
                let text = short(text);
                self.strings.push((param, fold(&text), text));
            }
            Entry::Date(starts, ends) => self.dates.push((param, *starts, *ends)),
            Entry::Quantity { value, unit } => {
                let found = measure(*value, unit.as_ref(), terms)?;
                self.quantities.extend(found.map(|(canonical, unit)| (param, canonical, *value, unit)));
                return Ok(found.map(|_| ()));
            }
            // In one row, for they belong together; it is found by its latitude.
            Entry::Position { latitude, longitude } => self.quantities.push((param, *latitude, *longitude, 0)),
            Entry::Pair { first, second } => {
                let Some(first) = terms.coding(&first.0, &first.1)? else { return Ok(None) };
                let found = pair(second, terms)?;
                self.pairs.extend(found.map(|pair| Pair { param, first, ..pair }));
                return Ok(found.map(|_| ()));
            }
        }
        Ok(Some(()))
    }

    /// What differs only beyond what is indexed is one row.
    pub(super) fn tidy(&mut self) {
        self.terms.sort_unstable();
        self.terms.dedup();
        self.strings.sort_unstable();
        self.strings.dedup();
        self.pairs.sort_by(|a, b| {
            (a.param, a.first, a.second, a.unit)
                .cmp(&(b.param, b.first, b.second, b.unit))
                .then(a.low.total_cmp(&b.low))
                .then(a.high.total_cmp(&b.high))
        });
        self.pairs.dedup();
    }
}

fn term(entry: &Entry, terms: &mut Terms<'_>) -> Result<Option<i64>, Error> {
    match entry {
        Entry::Token { system, code } => terms.coding(system, code),
        Entry::Reference(text) => local(terms, text),
        Entry::Uri(text) => terms.uri(text),
        _ => Ok(None),
    }
}

/// The value in its canonical unit, and its own unit (0: none).
fn measure(value: f64, unit: Option<&Code>, terms: &mut Terms<'_>) -> Result<Option<(f64, i64)>, Error> {
    let Some((system, code)) = unit else { return Ok(Some((value, 0))) };
    Ok(terms.unit(system, code)?.map(|number| (canonical(value, Some(code)), number)))
}

fn pair(second: &Second, terms: &mut Terms<'_>) -> Result<Option<Pair>, Error> {
    let none = Pair::default();
    match second {
        Second::Numbers(low, high) => Ok(Some(Pair { low: *low, high: *high, ..none })),
        Second::Value(Entry::Quantity { value, unit }) => {
            let found = measure(*value, unit.as_ref(), terms)?;
            Ok(found.map(|(canonical, unit)| Pair { low: canonical, high: *value, unit, ..none }))
        }
        Second::Value(entry) => Ok(term(entry, terms)?.map(|second| Pair { second, ..none })),
    }
}
