//! In which order the hits come, and where a page begins in it.

use super::cursor::Cursor;
use super::sql::{Bind, Key, Sql};
use crate::error::Error;
use crate::fhir::params::{Column, Facet};
use crate::fhir::query::{Query, Sort};
use crate::fhir::reading::Status;
use crate::store::conn::Conn;
use crate::store::dict::{Dict, Kind, Source};
use crate::store::prepare::{NO_TIME, type_number};
use crate::store::search::filter::table;
use fhir_r4::SearchKind;

/// Every order is total. Orders by a value end in the id, which a correction does not change: what is corrected between
/// two pages keeps its place.
pub(super) enum Order {
    /// By `seq`, newest first: the order of commits.
    Recent,
    /// The same, oldest first.
    Oldest,
    /// By when an Observation was measured.
    Measured { descending: bool },
    /// By the least (greatest, descending) value of each parameter; what has none comes last either way.
    Keys(Vec<Sorted>),
}

/// One sort key: what it is computed by, and how it is read (`i`nteger, `f`loat, `t`ext, `b`ytes).
pub(super) struct Sorted {
    expression: String,
    letter: char,
    descending: bool,
}

/// A patient's Observations come by when they were measured unless asked otherwise, everything else by commit.
pub(super) fn of(conn: &mut Conn, dict: &Dict, query: &Query) -> Result<Order, Error> {
    match query.sort.as_slice() {
        [] => {
            let about =
                |f: &crate::fhir::query::Filter| f.param.column == Some(Column::Subject) && f.values().is_some();
            let of_a_patient = query.filters.iter().chain(&query.any).any(about);
            return Ok(if of_a_patient { Order::Measured { descending: true } } else { Order::Recent });
        }
        [Sort { param, descending }] => match param.column {
            Some(Column::Updated) if *descending => return Ok(Order::Recent),
            Some(Column::Updated) => return Ok(Order::Oldest),
            Some(Column::Date) => return Ok(Order::Measured { descending: *descending }),
            _ => {}
        },
        _ => {}
    }
    let mut keys = Vec::new();
    for sort in &query.sort {
        keys.extend(sorted(conn, dict, query.resource_type, *sort)?);
    }
    // Parameters that indexed nothing yet sort nothing.
    Ok(if keys.is_empty() { Order::Recent } else { Order::Keys(keys) })
}

fn sorted(conn: &mut Conn, dict: &Dict, kind: &'static str, sort: Sort) -> Result<Option<Sorted>, Error> {
    let Sort { param, descending } = sort;
    let least = if descending { "MAX" } else { "MIN" };
    // Letter by letter, on either engine.
    let collate = if matches!(conn, Conn::Postgres(_)) { " COLLATE \"C\"" } else { "" };
    let outer = table(kind);
    let (letter, expression) = match param.column {
        Some(Column::Id) => ('b', "id".to_owned()),
        Some(Column::Updated) => ('i', "seq".to_owned()),
        Some(Column::Date) => ('i', format!("NULLIF(starts, {NO_TIME})")),
        Some(Column::Status) => ('t', statuses(collate)),
        Some(Column::Quantity) => ('f', "canonical".to_owned()),
        Some(column @ (Column::Concept | Column::Category)) => {
            let name = if column == Column::Concept { "concept" } else { "category" };
            (
                't',
                format!(
                    "(SELECT {least}(t.text{collate}) FROM concept_coding c JOIN term t ON t.id = c.coding WHERE c.concept = observation.{name})"
                ),
            )
        }
        Some(column @ (Column::Subject | Column::Device | Column::Encounter)) => {
            let name = match column {
                Column::Subject => "subject",
                Column::Device => "device",
                _ => "encounter",
            };
            ('t', format!("(SELECT t.text{collate} FROM term t WHERE t.id = observation.{name})"))
        }
        Some(_) => return Err(Error::NotSupported(format!("Sorting by {} is not supported.", param.name))),
        None => {
            let scope = type_number(kind)?.into();
            let found = dict.terms(Source::Table(conn)).get(Kind::Param, scope, param.index_name(Facet::Value))?;
            let Some(number) = found else { return Ok(None) };
            let rows = |index: &str, value: &str| {
                format!("(SELECT {least}(k.{value}) FROM {index} k WHERE k.param = {number} AND k.seq = {outer}.seq)")
            };
            match param.kind {
                SearchKind::String => ('t', rows("ix_string", "folded")),
                SearchKind::Date => ('i', rows("ix_date", "starts")),
                SearchKind::Number | SearchKind::Quantity => ('f', rows("ix_quantity", "canonical")),
                _ => (
                    't',
                    format!(
                        "(SELECT {least}(t.text{collate}) FROM ix_term k JOIN term t ON t.id = k.term WHERE k.param = {number} AND k.seq = {outer}.seq)"
                    ),
                ),
            }
        }
    };
    Ok(Some(Sorted { expression, letter, descending }))
}

/// The status by its code: it is stored as a number.
fn statuses(collate: &str) -> String {
    let arms: Vec<String> = Status::all().map(|s| format!("WHEN {} THEN '{}'", s.number(), s.code())).collect();
    format!("(CASE status {} END){collate}", arms.join(" "))
}

impl Order {
    pub(super) fn descending(&self) -> bool {
        match self {
            Self::Recent => true,
            Self::Oldest => false,
            Self::Measured { descending } => *descending,
            Self::Keys(keys) => keys.first().is_some_and(|key| key.descending),
        }
    }

    /// The keys of a row as columns, each after a comma.
    pub(super) fn columns(&self, sql: &mut Sql) {
        match self {
            Self::Recent | Self::Oldest => {}
            Self::Measured { .. } => {
                sql.push(", starts AS ki0, id AS kb1");
            }
            Self::Keys(keys) => {
                for (at, key) in keys.iter().enumerate() {
                    sql.push(&format!(", {} AS k{}{at}", key.expression, key.letter));
                }
                sql.push(&format!(", id AS kb{}", keys.len()));
            }
        }
    }

    /// Begins after the row that the cursor names.
    pub(super) fn after(&self, sql: &mut Sql, cursor: &Cursor) {
        let beyond = beyond(self.descending());
        match self {
            Self::Recent | Self::Oldest => {
                sql.push(" AND seq").push(beyond).int(cursor.seq);
            }
            Self::Measured { .. } => {
                let at = if let Some(Key::Int(at)) = cursor.keys.first() { *at } else { NO_TIME };
                let id = cursor.keys.get(1).and_then(bound).unwrap_or(Bind::Bytes(vec![]));
                sql.push(" AND (starts, id)").push(beyond).push("(").int(at).push(", ").bind(id).push(")");
            }
            Self::Keys(keys) => after_keys(sql, keys, cursor, beyond),
        }
    }

    /// `ORDER BY … LIMIT …`
    pub(super) fn finish(&self, sql: &mut Sql, limit: usize) -> Result<(), Error> {
        let direction = if self.descending() { " DESC" } else { "" };
        sql.push(" ORDER BY ");
        let last = match self {
            Self::Recent | Self::Oldest => "seq",
            Self::Measured { .. } => {
                sql.push("starts").push(direction).push(", ");
                "id"
            }
            Self::Keys(keys) => {
                for (at, key) in keys.iter().enumerate() {
                    let direction = if key.descending { "DESC" } else { "ASC" };
                    sql.push(&format!("k{}{at} {direction} NULLS LAST, ", key.letter));
                }
                "id"
            }
        };
        sql.push(last).push(direction).push(" LIMIT ").int(i64::try_from(limit).map_err(Error::internal)?);
        Ok(())
    }
}

fn beyond(descending: bool) -> &'static str {
    if descending { " < " } else { " > " }
}

/// Further in the first key; or equal in it, and further in the second; and so on down to the id.
fn after_keys(sql: &mut Sql, keys: &[Sorted], cursor: &Cursor, beyond_last: &str) {
    sql.push(" AND (");
    for (at, key) in keys.iter().enumerate() {
        // Nothing comes after what has no value.
        let Some(value) = cursor.keys.get(at).and_then(bound) else { continue };
        sql.push("(");
        equal(sql, keys, cursor, at);
        sql.push("(").push(&key.expression).push(beyond(key.descending)).bind(value);
        sql.push(" OR ").push(&key.expression).push(" IS NULL)) OR ");
    }
    sql.push("(");
    equal(sql, keys, cursor, keys.len());
    let id = cursor.keys.get(keys.len()).and_then(bound).unwrap_or(Bind::Bytes(vec![]));
    sql.push("id").push(beyond_last).bind(id).push("))");
}

/// The first so many keys are those of the cursor, each followed by `AND`.
fn equal(sql: &mut Sql, keys: &[Sorted], cursor: &Cursor, count: usize) {
    for (key, value) in keys.iter().zip(&cursor.keys).take(count) {
        match bound(value) {
            Some(value) => sql.push(&key.expression).push(" = ").bind(value),
            None => sql.push(&key.expression).push(" IS NULL"),
        };
        sql.push(" AND ");
    }
}

fn bound(key: &Key) -> Option<Bind> {
    match key {
        Key::Absent => None,
        Key::Int(value) => Some(Bind::Int(*value)),
        Key::Float(value) => Some(Bind::Float(*value)),
        Key::Text(value) => Some(Bind::Text(value.clone())),
        Key::Bytes(value) => Some(Bind::Bytes(value.clone())),
    }
}
