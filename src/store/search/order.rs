//! In which order the hits come, and where a page begins in it.

use fhir_r4::SearchKind;

use super::cursor::Cursor;
use super::sql::{Bind, Sql};
use crate::error::Error;
use crate::fhir::params::Column;
use crate::fhir::query::{Query, Sort};
use crate::store::conn::Conn;
use crate::store::dict::{Dict, Kind, Source};
use crate::store::prepare::{OBSERVATION, type_number};

/// Every order ends in `seq`, newest first, so that it is total.
pub(super) enum Order {
    /// By `seq`, newest first: the order of commits.
    Recent,
    /// The same, oldest first.
    Oldest,
    /// By when an Observation was measured.
    Measured { descending: bool },
    /// By the least (greatest, descending) indexed value of a parameter.
    Indexed {
        outer: &'static str,
        table: &'static str,
        column: &'static str,
        is_text: bool,
        param: i64,
        descending: bool,
    },
}

/// A patient's Observations come by when they were measured unless asked otherwise, everything else by commit.
pub(super) fn of(conn: &mut Conn, dict: &Dict, query: &Query) -> Result<Order, Error> {
    let Some(Sort { param, descending }) = query.sort.first().copied() else {
        let of_a_patient = query.filters.iter().chain(&query.any).any(|f| f.param.column == Some(Column::Subject));
        return Ok(if of_a_patient { Order::Measured { descending: true } } else { Order::Recent });
    };
    match param.column {
        Some(Column::Updated) if descending => return Ok(Order::Recent),
        Some(Column::Updated) => return Ok(Order::Oldest),
        Some(Column::Date) => return Ok(Order::Measured { descending }),
        _ => {}
    }
    let (table, column, is_text) = match (param.column, param.kind) {
        (None, SearchKind::String) => ("ix_string", "folded", true),
        (None, SearchKind::Date) => ("ix_date", "starts", false),
        _ => return Err(Error::NotSupported(format!("Sorting by {} is not supported.", param.name))),
    };
    let outer = if query.resource_type == OBSERVATION { "observation" } else { "resource" };
    let scope = type_number(query.resource_type)?.into();
    let param = dict.terms(Source::Table(conn)).get(Kind::Param, scope, param.name)?;
    // A parameter that indexed nothing yet sorts nothing.
    Ok(param.map_or(Order::Recent, |param| Order::Indexed { outer, table, column, is_text, param, descending }))
}

impl Order {
    pub(super) fn descending(&self) -> bool {
        match self {
            Self::Recent => true,
            Self::Oldest => false,
            Self::Measured { descending } | Self::Indexed { descending, .. } => *descending,
        }
    }

    /// The key of a row, as the columns `key_int` and `key_text`.
    pub(super) fn key(&self, sql: &mut Sql) {
        match self {
            Self::Recent | Self::Oldest => sql.push("CAST(0 AS BIGINT) AS key_int, '' AS key_text"),
            Self::Measured { .. } => sql.push("starts AS key_int, '' AS key_text"),
            Self::Indexed { is_text: true, .. } => {
                sql.push("CAST(0 AS BIGINT) AS key_int, ");
                self.expression(sql);
                sql.push(" AS key_text")
            }
            Self::Indexed { .. } => {
                self.expression(sql);
                sql.push(" AS key_int, '' AS key_text")
            }
        };
    }

    /// What is sorted by. Rows without a value come last ascending, and last descending.
    fn expression(&self, sql: &mut Sql) {
        match self {
            Self::Recent | Self::Oldest => {
                sql.push("seq");
            }
            Self::Measured { .. } => {
                sql.push("starts");
            }
            Self::Indexed { outer, table, column, is_text, param, descending } => {
                let absent = match (is_text, descending) {
                    (true, true) => "''",
                    (true, false) => "'\u{10FFFF}'",
                    (false, true) => "-9223372036854775807",
                    (false, false) => "9223372036854775807",
                };
                sql.push("COALESCE((SELECT ").push(if *descending { "MAX(k." } else { "MIN(k." }).push(column);
                sql.push(") FROM ").push(table).push(" k WHERE k.param = ").int(*param);
                sql.push(" AND k.seq = ").push(outer).push(".seq), ").push(absent).push(")");
            }
        }
    }

    /// Begins after the row that the cursor names.
    pub(super) fn after(&self, sql: &mut Sql, cursor: &Cursor) {
        let beyond = if self.descending() { " < " } else { " > " };
        match self {
            Self::Recent | Self::Oldest => {
                sql.push(" AND seq").push(beyond).int(cursor.seq);
            }
            Self::Measured { .. } | Self::Indexed { .. } => {
                let key = match self {
                    Self::Indexed { is_text: true, .. } => Bind::Text(cursor.text.clone()),
                    _ => Bind::Int(cursor.int),
                };
                sql.push(" AND (");
                self.expression(sql);
                sql.push(", seq)").push(beyond).push("(").bind(key).push(", ").int(cursor.seq).push(")");
            }
        }
    }

    /// `ORDER BY … LIMIT …`
    pub(super) fn finish(&self, sql: &mut Sql, limit: usize) -> Result<(), Error> {
        let direction = if self.descending() { " DESC" } else { "" };
        sql.push(" ORDER BY ");
        if matches!(self, Self::Measured { .. }) {
            sql.push("starts").push(direction).push(", ");
        } else if let Self::Indexed { is_text, .. } = self {
            sql.push(if *is_text { "key_text" } else { "key_int" }).push(direction).push(", ");
        }
        sql.push("seq").push(direction).push(" LIMIT ").int(i64::try_from(limit).map_err(Error::internal)?);
        Ok(())
    }
}
