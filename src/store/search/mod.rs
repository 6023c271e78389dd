//! Search: a typed query compiled to SQL over integers, and its pages by keyset. A page is found by the sort
//! key and `seq` of the row before it, so deep pages cost what first pages cost.

mod cursor;
mod everything;
mod filter;
pub(super) mod include;
mod order;
mod reference;
mod series;
mod sql;
pub(super) mod system;

pub(super) use cursor::Seal;
pub use everything::Everything;
pub use include::Included;
pub use system::Several;

use self::cursor::Cursor;
use self::order::Order;
use self::sql::Sql;
use super::conn::Conn;
use super::dict::Dict;
use super::prepare::{OBSERVATION, type_number};
use super::{Stored, id};
use crate::auth::access::Reach;
use crate::error::Error;
use crate::fhir::params;
use crate::fhir::query::{Filter, Operand, Query};

/// One page of a search.
#[derive(Debug, Default)]
pub struct Page {
    pub hits: Vec<Stored>,
    /// The opaque text that leads to the next page, when there is one.
    pub next: Option<String>,
    pub total: Option<i64>,
}

/// The ids that match, at most `limit`: for guards in the lane.
pub(super) fn ids(conn: &mut Conn, dict: &Dict, query: &Query, limit: usize) -> Result<Vec<String>, Error> {
    let Some(mut sql) = select(conn, dict, query, &Order::Recent)? else { return Ok(vec![]) };
    Order::Recent.finish(&mut sql, limit)?;
    Ok(sql::hits(conn, sql)?.into_iter().map(|row| id::decode(&row.id)).collect())
}

pub(super) fn page(conn: &mut Conn, dict: &Dict, query: &Query, reach: &Reach, seal: &Seal) -> Result<Page, Error> {
    let query = narrowed(query, reach)?;
    let fingerprint = cursor::fingerprint(&query, reach);
    let query = system::simplified(conn, dict, query)?;
    let order = order::of(conn, dict, &query)?;
    let Some(mut sql) = select(conn, dict, &query, &order)? else {
        return Ok(Page { total: query.total.then_some(0), ..Page::default() });
    };
    let total = if query.total { Some(total(conn, dict, &query)?) } else { None };
    if query.count == 0 {
        return Ok(Page { total: Some(total.map_or_else(|| self::total(conn, dict, &query), Ok)?), ..Page::default() });
    }
    if let Some(text) = &query.cursor {
        let cursor = seal.open(text, fingerprint)?;
        order.after(&mut sql, &cursor);
    }
    let mut rows = if let Some(concepts) = series::concepts(conn, dict, &query, &order)? {
        series::merged(conn, &sql, &order, &concepts, query.count + 1)?
    } else {
        order.finish(&mut sql, query.count + 1)?;
        sql::hits(conn, sql)?
    };
    let more = rows.len() > query.count;
    rows.truncate(query.count);
    let next = match rows.last().filter(|_| more) {
        Some(row) => {
            Some(seal.close(&Cursor { seq: row.seq, int: row.key_int, text: row.key_text.clone() }, fingerprint)?)
        }
        None => None,
    };
    let hits = rows.into_iter().map(|row| system::stored(query.resource_type, row));
    Ok(Page { hits: hits.collect(), next, total })
}

/// A caller who may see one patient only asks for that patient, whatever else is asked.
fn narrowed(query: &Query, reach: &Reach) -> Result<Query, Error> {
    let mut query = query.clone();
    if let Reach::Patient(own) = reach {
        let (name, operand) = if query.resource_type == "Patient" {
            ("_id", Operand::Id(own.trim_start_matches("Patient/").to_owned()))
        } else {
            ("patient", Operand::References(vec![own.clone()]))
        };
        let param = params::find(query.resource_type, name)
            .ok_or_else(|| Error::Forbidden("This type cannot be narrowed to one patient.".to_owned()))?;
        query.filters.push(Filter { param, negated: false, operands: vec![operand] });
    }
    Ok(query)
}

fn total(conn: &mut Conn, dict: &Dict, query: &Query) -> Result<i64, Error> {
    let mut sql = Sql::default();
    sql.push("SELECT COUNT(*) AS n FROM ");
    if from_where(&mut sql, conn, dict, query)? { sql::count(conn, sql) } else { Ok(0) }
}

/// `SELECT … FROM … WHERE …`; none when nothing can match.
fn select(conn: &mut Conn, dict: &Dict, query: &Query, order: &Order) -> Result<Option<Sql>, Error> {
    let mut sql = Sql::default();
    sql.push("SELECT seq, id, version, updated, body, ");
    order.key(&mut sql);
    sql.push(" FROM ");
    Ok(from_where(&mut sql, conn, dict, query)?.then_some(sql))
}

fn from_where(sql: &mut Sql, conn: &mut Conn, dict: &Dict, query: &Query) -> Result<bool, Error> {
    if query.resource_type == OBSERVATION {
        sql.push("observation WHERE NOT deleted");
    } else {
        sql.push("resource WHERE NOT deleted AND rtype = ").int(type_number(query.resource_type)?.into());
    }
    for condition in &query.filters {
        sql.push(" AND (");
        if !filter::write(sql, conn, dict, query.resource_type, condition)? {
            return Ok(false);
        }
        sql.push(")");
    }
    system::any_of(sql, conn, dict, query)
}
