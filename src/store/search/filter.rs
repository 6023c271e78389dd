//! One condition of a search as SQL over integers. A value that the dictionary does not know matches nothing,
//! and then no table is touched at all.

use fhir_r4::SearchKind;

use super::sql::{Bind, Sql};
use crate::error::Error;
use crate::fhir::params::Column;
use crate::fhir::query::{Filter, Operand, Prefix, Query, TextMode, Unit};
use crate::fhir::reading::Status;
use crate::fhir::ucum;
use crate::store::conn::Conn;
use crate::store::dict::{self, Dict, Kind, Source};
use crate::store::prepare::{self, NO_TIME, type_number};
use crate::store::{database_bytes, write};

/// Where a condition's values live.
struct Place<'a> {
    starts: &'a str,
    ends: &'a str,
    value: &'a str,
    canonical: &'a str,
    unit: &'a str,
    /// Times are Observation's columns: its recorded span bounds how far back to look.
    spanned: bool,
}

const OBSERVATION_PLACE: Place<'_> =
    Place { starts: "starts", ends: "ends", value: "value", canonical: "canonical", unit: "unit", spanned: true };
const INDEX_PLACE: Place<'_> = Place { spanned: false, ..OBSERVATION_PLACE };
/// `_lastUpdated` is an instant.
const UPDATED_PLACE: Place<'_> = Place { starts: "updated", ends: "updated + 1", ..INDEX_PLACE };

/// Writes the condition; false when nothing can match.
pub(super) fn write(sql: &mut Sql, conn: &mut Conn, dict: &Dict, kind: &str, filter: &Filter) -> Result<bool, Error> {
    match filter.param.column {
        Some(Column::Id) => Ok(ids(sql, filter)),
        Some(Column::Updated) => ranges(sql, conn, dict, filter, &UPDATED_PLACE),
        Some(Column::Date | Column::Quantity) => ranges(sql, conn, dict, filter, &OBSERVATION_PLACE),
        Some(Column::Status) => Ok(statuses(sql, filter)),
        Some(column) => {
            let terms = column_terms(conn, dict, column, filter)?;
            Ok(term_condition(sql, column_name(column), &terms, filter.negated))
        }
        None => indexed(sql, conn, dict, kind, filter),
    }
}

fn column_name(column: Column) -> &'static str {
    match column {
        Column::Id => "id",
        Column::Updated => "updated",
        Column::Subject => "subject",
        Column::Concept => "concept",
        Column::Category => "category",
        Column::Date => "starts",
        Column::Status => "status",
        Column::Quantity => "value",
        Column::Device => "device",
        Column::Encounter => "encounter",
    }
}

/// `column IN (…)`; a negated one also takes rows that have no value.
fn term_condition(sql: &mut Sql, column: &str, terms: &[i64], negated: bool) -> bool {
    match (terms.is_empty(), negated) {
        (true, false) => return false,
        (true, true) => sql.push("1 = 1"),
        (false, false) => sql.one_of(column, terms),
        (false, true) => sql.push("(").push(column).push(" IS NULL OR NOT ").one_of(column, terms).push(")"),
    };
    true
}

fn ids(sql: &mut Sql, filter: &Filter) -> bool {
    sql.push("id IN (");
    for (at, operand) in filter.operands.iter().enumerate() {
        if let Operand::Id(id) = operand {
            sql.push(if at == 0 { "" } else { ", " }).bind(Bind::Bytes(database_bytes(id)));
        }
    }
    sql.push(")");
    true
}

fn statuses(sql: &mut Sql, filter: &Filter) -> bool {
    let numbers: Vec<i64> = filter
        .operands
        .iter()
        .filter_map(|operand| match operand {
            Operand::Token { code: Some(code), .. } => Status::from_code(code).map(|s| i64::from(s.number())),
            _ => None,
        })
        .collect();
    term_condition(sql, "status", &numbers, filter.negated)
}

/// The numbers that a concept or reference column may have.
fn column_terms(conn: &mut Conn, dict: &Dict, column: Column, filter: &Filter) -> Result<Vec<i64>, Error> {
    let mut terms = Vec::new();
    for operand in &filter.operands {
        match operand {
            Operand::Token { .. } => {
                let codings = codings(conn, dict, operand)?;
                terms.extend(dict::concepts_of(conn, &codings)?);
            }
            _ => terms.extend(index_terms(conn, dict, operand)?),
        }
    }
    debug_assert!(!matches!(column, Column::Date | Column::Quantity | Column::Id), "not a column of terms");
    // One concept may hold two of the codings that are asked for.
    terms.sort_unstable();
    terms.dedup();
    Ok(terms)
}

/// The numbers that a query asks of a column; none when it does not ask.
pub(super) fn terms(conn: &mut Conn, dict: &Dict, query: &Query, column: Column) -> Result<Option<Vec<i64>>, Error> {
    let filter = query.filters.iter().find(|f| f.param.column == Some(column) && !f.negated);
    filter.map(|filter| column_terms(conn, dict, column, filter)).transpose()
}

/// The codings that a token may mean.
fn codings(conn: &mut Conn, dict: &Dict, operand: &Operand) -> Result<Vec<i64>, Error> {
    let Operand::Token { system, code } = operand else { return Ok(vec![]) };
    match (system, code) {
        (None, Some(code)) => dict::codings_of_code(conn, code),
        (Some(system), Some(code)) => Ok(dict.terms(Source::Table(conn)).coding(system, code)?.into_iter().collect()),
        (Some(system), None) => match dict.terms(Source::Table(conn)).uri(system)? {
            Some(system) => dict::codings_of_system(conn, system),
            None => Ok(vec![]),
        },
        (None, None) => Ok(vec![]),
    }
}

/// The numbers of an operand in `ix_term`.
fn index_terms(conn: &mut Conn, dict: &Dict, operand: &Operand) -> Result<Vec<i64>, Error> {
    match operand {
        Operand::Token { .. } => codings(conn, dict, operand),
        Operand::References(texts) => {
            let mut terms = dict.terms(Source::Table(conn));
            let mut found = Vec::new();
            for text in texts {
                found.extend(prepare::local(&mut terms, text)?);
            }
            Ok(found)
        }
        Operand::Uri(text) => Ok(dict.terms(Source::Table(conn)).uri(text)?.into_iter().collect()),
        _ => Ok(vec![]),
    }
}

/// A condition over an index table: the rows whose `seq` has such a value.
fn indexed(sql: &mut Sql, conn: &mut Conn, dict: &Dict, kind: &str, filter: &Filter) -> Result<bool, Error> {
    let scope = type_number(kind)?.into();
    let Some(param) = dict.terms(Source::Table(conn)).get(Kind::Param, scope, filter.param.name)? else {
        // No resource was ever indexed by it.
        sql.push("1 = 1");
        return Ok(filter.negated);
    };
    let membership = if filter.negated { "seq NOT IN (SELECT seq FROM " } else { "seq IN (SELECT seq FROM " };
    let before = sql.binds.len();
    let mut inner = Sql { text: String::new(), binds: std::mem::take(&mut sql.binds) };
    inner.push(membership);
    let table = match filter.param.kind {
        SearchKind::String => "ix_string",
        SearchKind::Date => "ix_date",
        SearchKind::Number | SearchKind::Quantity => "ix_quantity",
        _ => "ix_term",
    };
    inner.push(table).push(" WHERE param = ").int(param).push(" AND ");
    let matches = match filter.param.kind {
        SearchKind::String => texts(&mut inner, filter),
        SearchKind::Date | SearchKind::Number | SearchKind::Quantity => {
            ranges(&mut inner, conn, dict, filter, &INDEX_PLACE)?
        }
        _ => {
            let mut terms = Vec::new();
            for operand in &filter.operands {
                terms.extend(index_terms(conn, dict, operand)?);
            }
            term_condition(&mut inner, "term", &terms, false)
        }
    };
    if matches {
        sql.push(&inner.text).push(")");
        sql.binds = inner.binds;
    } else {
        inner.binds.truncate(before);
        sql.binds = inner.binds;
        sql.push("1 = 1");
    }
    Ok(matches || filter.negated)
}

fn texts(sql: &mut Sql, filter: &Filter) -> bool {
    any_of(sql, &filter.operands, |sql, operand| {
        let Operand::Text { folded, exact, mode } = operand else { return false };
        let (folded, exact) = (prepare::short(folded), prepare::short(exact));
        match mode {
            TextMode::StartsWith => {
                sql.push("folded >= ").bind(Bind::Text(folded.clone()));
                sql.push(" AND folded < ").bind(Bind::Text(format!("{folded}\u{10FFFF}")));
            }
            TextMode::Exact => {
                sql.push("folded = ").bind(Bind::Text(folded.clone()));
                sql.push(" AND exact = ").bind(Bind::Text(exact.clone()));
            }
            TextMode::Contains => {
                let escaped = folded.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
                sql.push("folded LIKE ").bind(Bind::Text(format!("%{escaped}%"))).push(" ESCAPE '\\'");
            }
        }
        true
    })
}

/// `(a OR b …)`; false when no operand can match.
fn any_of(sql: &mut Sql, operands: &[Operand], mut one: impl FnMut(&mut Sql, &Operand) -> bool) -> bool {
    sql.push("(");
    let mut written = 0;
    for operand in operands {
        let (text, binds) = (sql.text.len(), sql.binds.len());
        sql.push(if written == 0 { "(" } else { " OR (" });
        if one(sql, operand) {
            sql.push(")");
            written += 1;
        } else {
            sql.text.truncate(text);
            sql.binds.truncate(binds);
        }
    }
    sql.push(")");
    written > 0
}

fn ranges(sql: &mut Sql, conn: &mut Conn, dict: &Dict, filter: &Filter, place: &Place<'_>) -> Result<bool, Error> {
    let mut units = Vec::with_capacity(filter.operands.len());
    for operand in &filter.operands {
        units.push(match operand {
            Operand::Quantity { unit: Some(unit), .. } => Some(same_measure(conn, dict, unit)?),
            _ => None,
        });
    }
    let mut units = units.into_iter();
    Ok(any_of(sql, &filter.operands, |sql, operand| match operand {
        Operand::Date { prefix, start, end } => {
            date(sql, *prefix, *start, *end, place);
            let _ = units.next();
            true
        }
        Operand::Quantity { prefix, value, low, high, unit } => match units.next().flatten() {
            None => {
                compare(sql, place.value, *prefix, [*value, *low, *high]);
                unit.is_none()
            }
            Some(terms) if terms.is_empty() => false,
            Some(terms) => {
                let code = unit.as_ref().map(|u| u.code.as_str());
                let canonical = [*value, *low, *high].map(|v| prepare::canonical(v, code));
                sql.one_of(place.unit, &terms).push(" AND ");
                compare(sql, place.canonical, *prefix, canonical);
                true
            }
        },
        _ => false,
    }))
}

/// All units that measure the same as this one, so that `canonical` values compare.
fn same_measure(conn: &mut Conn, dict: &Dict, unit: &Unit) -> Result<Vec<i64>, Error> {
    if let Some(wanted) = ucum::canonical(&unit.code) {
        let same = |code: &str| ucum::canonical(code).is_some_and(|c| c.unit == wanted.unit);
        Ok(dict::units(conn)?.into_iter().filter(|(_, code)| same(code)).map(|(id, _)| id).collect())
    } else {
        let mut terms = dict.terms(Source::Table(conn));
        Ok(terms.unit(unit.system.as_deref().unwrap_or_default(), &unit.code)?.into_iter().collect())
    }
}

fn compare(sql: &mut Sql, column: &str, prefix: Prefix, [value, low, high]: [f64; 3]) {
    let mut bound = |operator: &str, value: f64| {
        sql.push(column).push(operator).bind(Bind::Float(value));
    };
    match prefix {
        Prefix::Gt | Prefix::Sa => bound(" > ", value),
        Prefix::Lt | Prefix::Eb => bound(" < ", value),
        Prefix::Ge => bound(" >= ", value),
        Prefix::Le => bound(" <= ", value),
        Prefix::Eq => {
            bound(" >= ", low);
            sql.push(" AND ").push(column).push(" < ").bind(Bind::Float(high));
        }
        Prefix::Ne => {
            sql.push("(").push(column).push(" < ").bind(Bind::Float(low));
            sql.push(" OR ").push(column).push(" >= ").bind(Bind::Float(high)).push(")");
        }
        Prefix::Ap => {
            let margin = (value * 0.1).abs();
            bound(" >= ", value - margin);
            sql.push(" AND ").push(column).push(" <= ").bind(Bind::Float(value + margin));
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
