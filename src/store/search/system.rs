//! Several types searched as one: a whole system, a whole compartment. Each type is asked for its next rows by
//! `seq`, and the pages are what comes first of all of them; types without any resource are not asked.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::cursor::{self, Cursor};
use super::filter::Writer;
use super::order::Order;
use super::sql::{self, HitRow, Key, Sql};
use super::{Page, from_where, narrow, select, total};
use crate::auth::access::{Access, Action, Reach};
use crate::error::Error;
use crate::fhir::query::Query;
use crate::store::conn::Conn;
use crate::store::dict::Dict;
use crate::store::prepare::{OBSERVATION, type_name, type_number};
use crate::store::{Store, Stored, id};

/// A search of several types.
#[derive(Clone, Debug, Default)]
pub struct Several {
    /// One a type.
    pub queries: Vec<Query>,
    /// The caller named the types: one that may not be searched is refused. Else it is left out.
    pub named: bool,
    pub oldest_first: bool,
    pub count: usize,
    pub cursor: Option<String>,
    pub total: bool,
}

impl Store {
    /// One page of all these types together.
    pub async fn search_types(&self, access: &Access, mut search: Several) -> Result<Page, Error> {
        search.queries.iter_mut().for_each(|query| query.localise(self.base()));
        let wanted = permitted(access, search.queries, search.named)?;
        let order = if search.oldest_first { Order::Oldest } else { Order::Recent };
        let (seal, count, cursor, with_total) = (self.inner.seal.clone(), search.count, search.cursor, search.total);
        let fingerprint = fingerprint(&wanted, order.descending());
        self.read(move |conn, dict| {
            let wanted = present(conn, wanted)?;
            let total = if with_total || count == 0 { Some(total_of(conn, dict, &wanted)?) } else { None };
            if count == 0 {
                return Ok(Page { total, ..Page::default() });
            }
            let after = cursor.map(|text| seal.open(&text, fingerprint)).transpose()?;
            let mut rows = rows(conn, dict, &wanted, &order, after.as_ref(), count + 1)?;
            let more = rows.len() > count;
            rows.truncate(count);
            let last = rows.last().filter(|_| more).map(|(_, row)| row.seq);
            let next = last.map(|seq| seal.close(&at(seq, 0), fingerprint)).transpose()?;
            Ok(Page { hits: hits(rows, &wanted), next, total })
        })
        .await
    }
}

/// A place in the order of `seq`.
pub(super) fn at(seq: i64, phase: i64) -> Cursor {
    Cursor { seq, keys: vec![Key::Int(phase)] }
}

/// The queries that the caller may make, each narrowed to the caller's reach.
pub(in crate::store) fn permitted(
    access: &Access,
    queries: Vec<Query>,
    named: bool,
) -> Result<Vec<(Query, Reach)>, Error> {
    let (mut wanted, mut denied) = (Vec::with_capacity(queries.len()), None);
    for mut query in queries {
        super::chains(access, &mut query)?;
        match access.check(Action::Search, query.resource_type) {
            Ok(permit) => wanted.push((narrow::to(&query, permit.reach())?, permit.reach().clone())),
            Err(why) if named => return Err(why.into()),
            Err(why) => denied = Some(why),
        }
    }
    match denied {
        Some(why) if wanted.is_empty() => Err(why.into()),
        _ => Ok(wanted),
    }
}

/// Those of types that have resources at all.
pub(super) fn present(conn: &mut Conn, wanted: Vec<(Query, Reach)>) -> Result<Vec<(Query, Reach)>, Error> {
    if wanted.len() < 4 {
        return Ok(wanted);
    }
    let present = present_types(conn)?;
    Ok(wanted.into_iter().filter(|(query, _)| present.contains(query.resource_type)).collect())
}

/// The types that have resources: one step of the index for each.
pub(super) fn present_types(conn: &mut Conn) -> Result<HashSet<&'static str>, Error> {
    let mut sql = Sql::new(conn);
    sql.push(
        "WITH RECURSIVE k(c) AS (SELECT MIN(rtype) FROM resource UNION ALL \
         SELECT (SELECT MIN(rtype) FROM resource WHERE rtype > k.c) FROM k WHERE k.c IS NOT NULL) \
         SELECT CAST(c AS BIGINT) AS n FROM k WHERE c IS NOT NULL",
    );
    let mut types: HashSet<&'static str> = HashSet::from([OBSERVATION]);
    for number in sql::numbers(conn, sql)? {
        types.insert(type_name(i16::try_from(number).map_err(Error::internal)?)?);
    }
    Ok(types)
}

fn total_of(conn: &mut Conn, dict: &Dict, wanted: &[(Query, Reach)]) -> Result<i64, Error> {
    wanted.iter().try_fold(0, |sum, (query, _)| Ok(sum + total(conn, dict, query)?))
}

/// What a page link belongs to: all that the caller may ask, not only the types that have resources now.
pub(super) fn fingerprint(wanted: &[(Query, Reach)], descending: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    descending.hash(&mut hasher);
    for (query, reach) in wanted {
        cursor::fingerprint(query, reach).hash(&mut hasher);
    }
    hasher.finish()
}

/// The first rows of all types in this order, after the cursor.
pub(super) fn rows(
    conn: &mut Conn,
    dict: &Dict,
    wanted: &[(Query, Reach)],
    order: &Order,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Vec<(&'static str, HitRow)>, Error> {
    let mut rows = Vec::new();
    for (query, _) in wanted {
        let Some(mut sql) = select(conn, dict, query, order)? else { continue };
        if let Some(cursor) = after {
            order.after(&mut sql, cursor);
        }
        order.finish(&mut sql, limit)?;
        rows.extend(sql::hits(conn, sql)?.into_iter().map(|row| (query.resource_type, row)));
        // No more than a page and what one type adds to it is ever held.
        arrange(&mut rows, order, limit);
    }
    Ok(rows)
}

fn arrange(rows: &mut Vec<(&'static str, HitRow)>, order: &Order, limit: usize) {
    rows.sort_unstable_by_key(|(_, row)| row.seq);
    if order.descending() {
        rows.reverse();
    }
    rows.truncate(limit);
}

/// The same query with as few alternatives as really find something. One alone is a condition like others, and
/// then what makes those fast makes it fast: nearly always only the `subject` puts an Observation with a patient.
pub(super) fn simplified(conn: &mut Conn, dict: &Dict, mut query: Query) -> Result<Query, Error> {
    let mut found = Vec::with_capacity(query.any.len());
    for alternative in &query.any {
        let one = Query { any: vec![alternative.clone()], filters: vec![], ..query.clone() };
        let mut sql = Sql::new(conn);
        sql.push("SELECT seq AS n FROM ");
        let possible = from_where(&mut sql, conn, dict, &one)?;
        sql.push(" LIMIT 1");
        if possible && !sql::numbers(conn, sql)?.is_empty() {
            found.push(alternative.clone());
        }
    }
    if let (true, Some(only)) = (found.len() == 1, found.pop()) {
        query.any.clear();
        query.filters.push(only);
    }
    Ok(query)
}

/// ` AND seq IN (…)` of what any one of the query's alternatives finds; false when none can find anything.
pub(super) fn any_of(sql: &mut Sql, conn: &mut Conn, dict: &Dict, query: &Query) -> Result<bool, Error> {
    if query.any.is_empty() {
        return Ok(true);
    }
    let mut found = false;
    sql.push(" AND seq IN (");
    for alternative in &query.any {
        let (text, binds) = (sql.text.len(), sql.binds.len());
        sql.push(if found { " UNION SELECT seq FROM " } else { "SELECT seq FROM " });
        if query.resource_type == OBSERVATION {
            sql.push("observation WHERE ").within();
        } else {
            sql.push("resource WHERE ")
                .within()
                .push("rtype = ")
                .int(type_number(query.resource_type)?.into())
                .push(" AND ");
        }
        if (Writer { conn, dict, paged: false, few: false }).filter(sql, query.resource_type, alternative)? {
            found = true;
        } else {
            sql.text.truncate(text);
            sql.binds.truncate(binds);
        }
    }
    sql.push(")");
    Ok(found)
}

/// What was found, as far as the caller may see each type.
pub(super) fn hits(rows: Vec<(&'static str, HitRow)>, wanted: &[(Query, Reach)]) -> Vec<Stored> {
    let found = rows.into_iter().map(|(kind, row)| stored(kind, row)).collect();
    narrow::kept(found, |kind| wanted.iter().find(|(query, _)| query.resource_type == kind).map(|(_, reach)| reach))
}

pub(super) fn stored(resource_type: &'static str, row: HitRow) -> Stored {
    let HitRow { id, version, updated, body, .. } = row;
    Stored { resource_type, id: id::decode(&id), version, updated, deleted: false, body }
}
