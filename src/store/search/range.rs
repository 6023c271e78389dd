//! Dates, numbers and quantities: what the prefixes of R4 mean as comparisons of columns.

use super::sql::{Bind, Sql};
use crate::error::Error;
use crate::fhir::query::{Operand, Prefix, Unit};
use crate::fhir::ucum;
use crate::store::conn::Conn;
use crate::store::dict::{self, Dict, Source};
use crate::store::prepare::{self, NO_TIME};
use crate::store::write;

/// Where a condition's values live.
pub(super) struct Place<'a> {
    pub starts: &'a str,
    pub ends: &'a str,
    pub value: &'a str,
    pub canonical: &'a str,
    pub unit: &'a str,
    /// Times are Observation's columns: its recorded span bounds how far back to look.
    pub spanned: bool,
}

pub(super) const OBSERVATION: Place<'_> =
    Place { starts: "starts", ends: "ends", value: "value", canonical: "canonical", unit: "unit", spanned: true };
pub(super) const INDEX: Place<'_> = Place { spanned: false, ..OBSERVATION };
/// `_lastUpdated` is an instant.
pub(super) const UPDATED: Place<'_> = Place { starts: "updated", ends: "updated + 1", ..INDEX };
/// The quantity of a pair; its first and its second number.
pub(super) const PAIR: Place<'_> = Place { value: "high", canonical: "low", ..INDEX };
pub(super) const FROM: Place<'_> = Place { value: "low", ..INDEX };
pub(super) const TO: Place<'_> = Place { value: "high", ..INDEX };

const UCUM: &str = "http://unitsofmeasure.org";

/// Writes one operand's comparison; false (and nothing that could match) when there is no such unit.
pub(super) fn write(
    sql: &mut Sql,
    conn: &mut Conn,
    dict: &Dict,
    operand: &Operand,
    place: &Place<'_>,
) -> Result<bool, Error> {
    match operand {
        Operand::Date { prefix, start, end } => date(sql, *prefix, *start, *end, place),
        Operand::Quantity { prefix, value, low, high, unit: None } => {
            compare(sql, (place.value, place.value), *prefix, [*value, *low, *high]);
        }
        Operand::Quantity { prefix, value, low, high, unit: Some(unit) } => {
            let units = same_measure(conn, dict, unit)?;
            if units.is_empty() {
                sql.push("1 = 0");
                return Ok(false);
            }
            let canonical = [*value, *low, *high].map(|v| prepare::canonical(v, Some(&unit.code)));
            sql.one_of(place.unit, &units).push(" AND ");
            compare(sql, (place.canonical, place.canonical), *prefix, canonical);
        }
        _ => {
            sql.push("1 = 0");
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a zone can hold a value of which the comparison is true; units are left aside. False for anything else.
pub(super) fn zone(sql: &mut Sql, operand: &Operand) -> bool {
    let Operand::Quantity { prefix, value, low, high, unit } = operand else {
        sql.push("1 = 0");
        return false;
    };
    let values = [*value, *low, *high];
    match unit {
        None => compare(sql, ("value_low", "value_high"), *prefix, values),
        Some(unit) => {
            let canonical = values.map(|v| prepare::canonical(v, Some(&unit.code)));
            compare(sql, ("canonical_low", "canonical_high"), *prefix, canonical);
        }
    }
    true
}

/// All units that measure the same as this one, so that `canonical` values compare. Without a system it may be
/// a unit's human name too.
fn same_measure(conn: &mut Conn, dict: &Dict, unit: &Unit) -> Result<Vec<i64>, Error> {
    let measured = ucum::canonical(&unit.code).filter(|_| unit.system.as_deref().is_none_or(|s| s == UCUM));
    let mut systems = vec![0];
    systems.extend(dict.terms(Source::Table(conn)).uri(UCUM)?);
    if let Some(wanted) = measured {
        let same = |code: &str| ucum::canonical(code).is_some_and(|c| c.unit == wanted.unit);
        return Ok(dict::units(conn, &systems)?.into_iter().filter(|(_, code)| same(code)).map(|(id, _)| id).collect());
    }
    let mut terms = dict.terms(Source::Table(conn));
    match &unit.system {
        Some(system) => Ok(terms.unit(system, &unit.code)?.into_iter().collect()),
        None => dict::units_called(conn, &unit.code),
    }
}

/// The columns are the same one, or those between which values lie: then it says whether any of them compares so.
fn compare(sql: &mut Sql, (least, greatest): (&str, &str), prefix: Prefix, [value, low, high]: [f64; 3]) {
    let mut bound = |column: &str, operator: &str, value: f64| {
        sql.push(column).push(operator).bind(Bind::Float(value));
    };
    match prefix {
        Prefix::Gt | Prefix::Sa => bound(greatest, " > ", value),
        Prefix::Lt | Prefix::Eb => bound(least, " < ", value),
        Prefix::Ge => bound(greatest, " >= ", value),
        Prefix::Le => bound(least, " <= ", value),
        Prefix::Eq => {
            bound(greatest, " >= ", low);
            sql.push(" AND ").push(least).push(" < ").bind(Bind::Float(high));
        }
        Prefix::Ne => {
            sql.push("(").push(least).push(" < ").bind(Bind::Float(low));
            sql.push(" OR ").push(greatest).push(" >= ").bind(Bind::Float(high)).push(")");
        }
        Prefix::Ap => {
            let margin = (value * 0.1).abs();
            bound(greatest, " >= ", value - margin);
            sql.push(" AND ").push(least).push(" <= ").bind(Bind::Float(value + margin));
        }
    }
}

/// R4 search, "date": the resource's [starts, ends) against the parameter's [start, end).
fn date(sql: &mut Sql, prefix: Prefix, start: i64, end: i64, place: &Place<'_>) {
    let Place { starts, ends, .. } = place;
    let bound = |sql: &mut Sql, column: &str, operator: &str, value: i64| {
        sql.push(column).push(operator).int(value);
    };
    match prefix {
        Prefix::Eq | Prefix::Ne => {
            sql.push(if prefix == Prefix::Ne { "NOT (" } else { "(" });
            bound(sql, starts, " >= ", start);
            sql.push(" AND ");
            bound(sql, starts, " < ", end);
            sql.push(" AND ");
            bound(sql, ends, " <= ", end);
            sql.push(")");
        }
        Prefix::Gt => later(sql, end, place),
        Prefix::Ge => later(sql, start, place),
        Prefix::Lt => bound(sql, starts, " < ", start),
        Prefix::Le => bound(sql, starts, " < ", end),
        Prefix::Sa => bound(sql, starts, " >= ", end),
        Prefix::Eb => {
            bound(sql, ends, " <= ", start);
            sql.push(" AND ");
            bound(sql, starts, " < ", start);
        }
        Prefix::Ap => {
            later(sql, start, place);
            sql.push(" AND ");
            bound(sql, starts, " < ", end);
        }
    }
    if place.spanned && matches!(prefix, Prefix::Ne | Prefix::Lt | Prefix::Le | Prefix::Eb) {
        sql.push(" AND starts > ").int(NO_TIME);
    }
}

/// Something of it is after `at`. What covers time may have begun before; the longest span says how long.
fn later(sql: &mut Sql, at: i64, place: &Place<'_>) {
    if place.spanned {
        sql.push("starts >= ").int(at.saturating_sub(write::SHORT_SPAN));
        sql.push(" - (SELECT longest FROM observation_span WHERE one = 1) AND ");
    }
    sql.push(place.ends).push(" > ").int(at);
}
