//! Search: a typed query compiled to SQL over integers, and its pages by keyset. A page is found by the sort
//! key and `seq` of the row before it, so deep pages cost what first pages cost.

mod composite;
mod cursor;
mod everything;
mod filter;
pub(super) mod include;
mod join;
mod narrow;
mod near;
mod order;
mod range;
mod reference;
mod series;
mod set;
mod sql;
pub(super) mod system;
mod zone;

pub(super) use cursor::Seal;
pub use everything::Everything;
pub use include::Included;
pub(super) use narrow::chains;
pub use system::Several;

use self::cursor::Cursor;
use self::filter::Writer;
use self::order::Order;
use self::sql::{HitRow, Key, Sql};
use super::conn::Conn;
use super::dict::Dict;
use super::prepare::{NO_TIME, OBSERVATION, type_number};
use super::{Stored, id};
use crate::auth::access::Reach;
use crate::error::Error;
use crate::fhir::params::{Column, Facet};
use crate::fhir::query::{Filter, Operand, Prefix, Query};

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

/// Whether anything of this type was written after that position, deletions too.
pub(super) fn has_after(conn: &mut Conn, resource_type: &str, seq: i64) -> Result<bool, Error> {
    let mut sql = Sql::new(conn);
    if resource_type == OBSERVATION {
        sql.push("SELECT seq AS n FROM observation WHERE seq > ");
    } else {
        let rtype = type_number(resource_type)?;
        sql.push("SELECT seq AS n FROM resource WHERE rtype = ").int(rtype.into()).push(" AND seq > ");
    }
    sql.int(seq).push(" LIMIT 1");
    Ok(!sql::numbers(conn, sql)?.is_empty())
}

/// One page of what matches, as far as `reach` goes. Chains in it are narrowed already (`chains`).
pub(super) fn page(conn: &mut Conn, dict: &Dict, query: &Query, reach: &Reach, seal: &Seal) -> Result<Page, Error> {
    let query = narrow::to(query, reach)?;
    let fingerprint = cursor::fingerprint(&query, reach);
    let cursor = query.cursor.as_deref().map(|text| seal.open(text, fingerprint)).transpose()?;
    let query = composite::taken_apart(system::simplified(conn, dict, query)?)?;
    let order = order::of(conn, dict, &query)?;
    let Some(base) = select(conn, dict, &query, &order)? else {
        let total = (query.total || query.count == 0).then_some(0);
        return Ok(Page { total, ..Page::default() });
    };
    let total = if query.total || query.count == 0 { Some(total(conn, dict, &query)?) } else { None };
    if query.count == 0 {
        return Ok(Page { total, ..Page::default() });
    }
    let mut rows = rows(conn, dict, &query, &order, &base, cursor.as_ref())?;
    let more = rows.len() > query.count;
    rows.truncate(query.count);
    let next = match rows.last_mut().filter(|_| more) {
        Some(row) => Some(seal.close(&Cursor { seq: row.seq, keys: std::mem::take(&mut row.keys) }, fingerprint)?),
        None => None,
    };
    let hits = rows.into_iter().map(|row| system::stored(query.resource_type, row));
    Ok(Page { hits: narrow::kept(hits.collect(), |_| Some(reach)), next, total })
}

/// The rows of a page and one more.
fn rows(
    conn: &mut Conn,
    dict: &Dict,
    query: &Query,
    order: &Order,
    base: &Sql,
    cursor: Option<&Cursor>,
) -> Result<Vec<HitRow>, Error> {
    let limit = query.count + 1;
    if let (Order::Recent, Some(zones)) = (order, zone::of(conn, dict, query)?) {
        let mut sql = base.clone();
        if let Some(cursor) = cursor {
            order.after(&mut sql, cursor);
        }
        return zones.newest(conn, &sql, cursor.map(|cursor| cursor.seq), limit);
    }
    let concepts = series::concepts(conn, dict, query, order)?;
    let mut stage = |more: Option<&str>, cursor: Option<&Cursor>, limit: usize| {
        let mut sql = base.clone();
        if let Some(more) = more {
            sql.push(more).int(NO_TIME);
        }
        if let Some(cursor) = cursor {
            order.after(&mut sql, cursor);
        }
        if let Some(concepts) = &concepts {
            return series::merged(conn, &sql, order, concepts, limit);
        }
        order.finish(&mut sql, limit)?;
        sql::hits(conn, sql)
    };
    if !matches!(order, Order::Measured { descending: false }) {
        return stage(None, cursor, limit);
    }
    // The index has what has no time before everything else; it is to come last.
    let untimed = cursor.filter(|c| c.keys.first() == Some(&Key::Int(NO_TIME)));
    let mut rows = if untimed.is_some() { vec![] } else { stage(Some(" AND starts > "), cursor, limit)? };
    if rows.len() < limit {
        rows.extend(stage(Some(" AND starts = "), untimed, limit - rows.len())?);
    }
    Ok(rows)
}

/// How many match; no more than the limit where one is set.
fn total(conn: &mut Conn, dict: &Dict, query: &Query) -> Result<i64, Error> {
    let mut sql = Sql::new(conn);
    sql.push(if query.total_limit.is_some() {
        "SELECT COUNT(*) AS n FROM (SELECT 1 FROM "
    } else {
        "SELECT COUNT(*) AS n FROM "
    });
    if !from_where(&mut sql, conn, dict, query)? {
        return Ok(0);
    }
    if let Some(limit) = query.total_limit {
        sql.push(" LIMIT ").int(limit).push(") matches");
    }
    sql::count(conn, sql)
}

/// `SELECT … FROM … WHERE …`; none when nothing can match.
fn select(conn: &mut Conn, dict: &Dict, query: &Query, order: &Order) -> Result<Option<Sql>, Error> {
    let mut sql = Sql::new(conn);
    sql.kept = is_frequent(query, order);
    // A guard wants to know whether there is any: that is no page.
    sql.paged = query.count > 2;
    sql.push("SELECT ").push(sql::COLUMNS);
    order.columns(&mut sql);
    sql.push(" FROM ");
    Ok(from_where(&mut sql, conn, dict, query)?.then_some(sql))
}

fn from_where(sql: &mut Sql, conn: &mut Conn, dict: &Dict, query: &Query) -> Result<bool, Error> {
    if query.resource_type == OBSERVATION {
        sql.push("observation WHERE ").within().push("NOT deleted");
    } else {
        sql.push("resource WHERE ")
            .within()
            .push("NOT deleted AND rtype = ")
            .int(type_number(query.resource_type)?.into());
    }
    let mut writer = Writer { conn, dict, paged: sql.paged, few: filter::leave_few(&query.filters) };
    for condition in &query.filters {
        sql.push(" AND (");
        if !writer.filter(sql, query.resource_type, condition)? {
            return Ok(false);
        }
        sql.push(")");
    }
    if let Some(zones) = zone::of(conn, dict, query)?
        && !zones.any(conn)?
    {
        return Ok(false);
    }
    system::any_of(sql, conn, dict, query)
}

/// What dashboards ask all the time: readings of one patient, by kind and time. There are about a thousand such
/// texts at most; any other is prepared each time, so that nobody can make a connection keep without end.
fn is_frequent(query: &Query, order: &Order) -> bool {
    let plain = |filter: &Filter| {
        let few = match filter.operands.as_slice() {
            [Operand::Date { prefix, .. }] => matches!(prefix, Prefix::Ge | Prefix::Gt | Prefix::Le | Prefix::Lt),
            [Operand::Token { .. } | Operand::References(_)] => filter.param.column.is_some(),
            _ => false,
        };
        few && !filter.negated && filter.facet == Facet::Value
    };
    let several = |column| query.filters.iter().filter(|f| f.param.column == Some(column)).count();
    matches!(order, Order::Measured { .. } | Order::Recent)
        && query.filters.len() <= 5
        && query.any.is_empty()
        && query.filters.iter().all(plain)
        && [Column::Subject, Column::Concept, Column::Category, Column::Status].into_iter().all(|c| several(c) <= 1)
        && several(Column::Date) <= 2
}
