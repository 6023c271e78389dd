//! A patient's Observations by when they were measured. The index holds one series a patient and concept, so
//! the newest of several concepts are the newest of each, merged: what is read is bounded by the page, however
//! long the patient's history is.

use super::filter;
use super::order::Order;
use super::sql::{self, HitRow, Key, Sql};
use crate::error::Error;
use crate::fhir::params::Column;
use crate::fhir::query::Query;
use crate::store::conn::Conn;
use crate::store::dict::Dict;

/// More concepts than this are one sorted query after all.
const MAX_SERIES: usize = 200;

/// The concepts whose series are to be merged; none when the query is of another shape, or of one series.
pub(super) fn concepts(conn: &mut Conn, dict: &Dict, query: &Query, order: &Order) -> Result<Option<Vec<i64>>, Error> {
    if !matches!(order, Order::Measured { .. }) {
        return Ok(None);
    }
    let subjects = filter::terms(conn, dict, query, Column::Subject)?.unwrap_or_default();
    let [subject] = subjects.as_slice() else { return Ok(None) };
    let series = match filter::terms(conn, dict, query, Column::Concept)? {
        Some(concepts) => concepts,
        None => of_subject(conn, *subject)?,
    };
    Ok((2..=MAX_SERIES).contains(&series.len()).then_some(series))
}

/// All concepts of a subject: one step of the index for each concept, not one for each row.
fn of_subject(conn: &mut Conn, subject: i64) -> Result<Vec<i64>, Error> {
    let mut sql = Sql::new(conn);
    sql.kept = true;
    sql.push("WITH RECURSIVE k(c) AS (SELECT MIN(concept) FROM observation WHERE subject = ").int(subject);
    sql.push(" UNION ALL SELECT (SELECT MIN(concept) FROM observation WHERE subject = ").int(subject);
    sql.push(" AND concept > k.c) FROM k WHERE k.c IS NOT NULL) SELECT c AS n FROM k WHERE c IS NOT NULL LIMIT ");
    sql.int(i64::try_from(MAX_SERIES + 1).map_err(Error::internal)?);
    sql::numbers(conn, sql)
}

/// The first rows of all series together. `base` is the query up to its conditions.
pub(super) fn merged(
    conn: &mut Conn,
    base: &Sql,
    order: &Order,
    concepts: &[i64],
    limit: usize,
) -> Result<Vec<HitRow>, Error> {
    let mut rows = Vec::new();
    for concept in concepts {
        let mut one = base.clone();
        one.push(" AND concept = ").int(*concept);
        order.finish(&mut one, limit)?;
        rows.extend(sql::hits(conn, one)?);
    }
    let at = |row: &HitRow| if let Some(Key::Int(at)) = row.keys.first() { *at } else { i64::MIN };
    rows.sort_unstable_by(|a, b| (at(a), &a.id).cmp(&(at(b), &b.id)));
    if order.descending() {
        rows.reverse();
    }
    rows.truncate(limit);
    Ok(rows)
}
