//! Everything about one patient, or one encounter: first what is in its compartment, by `seq`, oldest first, so
//! that what is written meanwhile comes at the end; then its Observations, which are most of it, by when they were
//! measured, as their index has them; then what all that refers to (people, places, devices, medications), by the
//! number of the reference. One cursor leads through all of it, and nothing comes twice.

use serde_json::Value;

use super::cursor::Cursor;
use super::order::Order;
use super::reference::{by_ids, named, readable};
use super::sql::{self, Key, Sql};
use super::{Page, Seal, from_where, system};
use crate::auth::access::{Access, Reach};
use crate::error::Error;
use crate::fhir::compartment;
use crate::fhir::query::Query;
use crate::store::conn::Conn;
use crate::store::dict::Dict;
use crate::store::prepare::OBSERVATION;
use crate::store::{Store, Stored, patient_of, visible};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Everything {
    /// What is answered of the compartment: one query a type.
    pub queries: Vec<Query>,
    /// What is looked at for references: the same, with no condition on when it was last changed.
    pub sources: Vec<Query>,
    /// What the compartment is about: `Encounter/e1`.
    pub about: String,
    /// The types that the caller wants; none is all.
    pub kinds: Option<Vec<&'static str>>,
    /// Only what was changed at or after this (µs UTC).
    pub since: Option<i64>,
    /// Whose it all is: `Patient/p1`.
    pub patient: Option<String>,
    pub count: usize,
    pub cursor: Option<String>,
}

/// The parts of the way. Within Observations a place is the page link of their own search.
const OTHERS: i64 = 0;
const OBSERVATIONS: i64 = 1;
const REFERRED: i64 = 2;
/// References that are looked up at once, and how often for one page. Most may lead to what was told already.
const BATCH: usize = 200;
const BATCHES: usize = 5;

impl Store {
    /// One page of everything.
    pub async fn everything(&self, access: &Access, asked: Everything) -> Result<Page, Error> {
        let named = asked.kinds.is_some();
        let wanted = system::permitted(access, asked.queries.clone(), named)?;
        let sources = system::permitted(access, asked.sources.clone(), false)?;
        let fingerprint = system::fingerprint(&wanted, false) ^ system::fingerprint(&sources, true);
        let (seal, access) = (self.inner.seal.clone(), access.clone());
        self.read(move |conn, dict| {
            let after = asked.cursor.as_deref().map(|text| seal.open(text, fingerprint)).transpose()?;
            let way = Way { access: &access, asked: &asked, seal: &seal, wanted, sources };
            let (hits, last) = page(conn, dict, way, after)?;
            let next = last.map(|last| seal.close(&last, fingerprint)).transpose()?;
            Ok(Page { hits, next, total: None })
        })
        .await
    }
}

/// What is asked for, as far as this caller may ask.
struct Way<'a> {
    access: &'a Access,
    asked: &'a Everything,
    seal: &'a Seal,
    wanted: Vec<(Query, Reach)>,
    sources: Vec<(Query, Reach)>,
}

fn part(at: &Cursor) -> i64 {
    match at.keys.first() {
        Some(Key::Int(part)) => *part,
        _ => OTHERS,
    }
}

/// The hits, and where they end when there are more.
fn page(
    conn: &mut Conn,
    dict: &Dict,
    way: Way<'_>,
    after: Option<Cursor>,
) -> Result<(Vec<Stored>, Option<Cursor>), Error> {
    let Way { access, asked, seal, wanted, sources } = way;
    let (observations, others): (Vec<_>, Vec<_>) =
        wanted.into_iter().partition(|(query, _)| query.resource_type == OBSERVATION);
    let mut at = after.unwrap_or_else(|| system::at(0, OTHERS));
    let mut hits = Vec::new();
    if part(&at) == OTHERS {
        let others = system::present(conn, others)?;
        let mut rows = system::rows(conn, dict, &others, &Order::Oldest, Some(&at), asked.count + 1)?;
        let more = rows.len() > asked.count;
        rows.truncate(asked.count);
        let last = rows.last().map_or(at.seq, |(_, row)| row.seq);
        hits.extend(system::hits(rows, &others));
        if more {
            return Ok((hits, Some(system::at(last, OTHERS))));
        }
        at = system::at(0, OBSERVATIONS);
    }
    if part(&at) == OBSERVATIONS {
        for (mut query, reach) in observations {
            query.count = asked.count.saturating_sub(hits.len());
            if query.count == 0 {
                return Ok((hits, Some(at)));
            }
            query.cursor = match at.keys.pop() {
                Some(Key::Text(link)) => Some(link),
                _ => None,
            };
            let page = super::page(conn, dict, &query, &reach, seal)?;
            hits.extend(page.hits);
            if let Some(next) = page.next {
                let keys = vec![Key::Int(OBSERVATIONS), Key::Text(next)];
                return Ok((hits, Some(Cursor { keys, ..at })));
            }
        }
        at = system::at(0, REFERRED);
    }
    let sources = system::present(conn, sources)?.into_iter();
    let sources = sources.map(|(query, _)| system::simplified(conn, dict, query)).collect::<Result<Vec<_>, _>>()?;
    let last = referred(conn, dict, access, asked, &sources, at.seq, &mut hits)?;
    Ok((hits, last.map(|number| system::at(number, REFERRED))))
}

/// Adds what the sources refer to until the page is full; then the number of the last reference that was looked at.
fn referred(
    conn: &mut Conn,
    dict: &Dict,
    access: &Access,
    asked: &Everything,
    sources: &[Query],
    mut after: i64,
    hits: &mut Vec<Stored>,
) -> Result<Option<i64>, Error> {
    for _ in 0..BATCHES {
        let Some(sql) = reference_numbers(conn, dict, sources, after)? else { return Ok(None) };
        let numbers = sql::numbers(conn, sql)?;
        for (number, kind, id) in in_order(named(conn, &numbers)?) {
            if hits.len() == asked.count {
                return Ok(Some(after));
            }
            after = number;
            if !asked.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind)) {
                continue;
            }
            hits.extend(one(conn, dict, access, asked, kind, id)?);
        }
        if numbers.len() < BATCH {
            return Ok(None);
        }
    }
    Ok(Some(after))
}

fn in_order(mut references: Vec<(i64, &'static str, String)>) -> Vec<(i64, &'static str, String)> {
    references.sort_unstable_by_key(|(number, ..)| *number);
    references
}

/// One that is referred to, where the caller may read it and it is not another patient's.
fn one(
    conn: &mut Conn,
    dict: &Dict,
    access: &Access,
    asked: &Everything,
    kind: &'static str,
    id: String,
) -> Result<Option<Stored>, Error> {
    let Some(permit) = readable(access, kind) else { return Ok(None) };
    let Some(row) = by_ids(conn, dict, &permit, kind, &[id])?.pop() else { return Ok(None) };
    let stored = system::stored(kind, row);
    if asked.since.is_some_and(|since| stored.updated < since) || visible(&permit, &stored).is_err() {
        return Ok(None);
    }
    Ok(is_beside(asked, kind, &stored.id, &stored.value()?).then_some(stored))
}

/// Whether it is not in the compartment, where it was told, and in no other patient's.
fn is_beside(asked: &Everything, kind: &str, id: &str, resource: &Value) -> bool {
    let name = asked.about.split('/').next().unwrap_or_default();
    if asked.about == format!("{kind}/{id}") || compartment::owners(name, kind, resource).contains(&asked.about) {
        return false;
    }
    // Whose a patient is, its links to others do not say.
    let owners = if kind == "Patient" { vec![] } else { compartment::owners("Patient", kind, resource) };
    patient_of(kind, id, resource).into_iter().chain(owners).all(|whose| asked.patient.as_ref() == Some(&whose))
}

/// The numbers of the references of all sources, above `after`; none when there is no source.
fn reference_numbers(conn: &mut Conn, dict: &Dict, sources: &[Query], after: i64) -> Result<Option<Sql>, Error> {
    let mut sql = Sql::new(conn);
    sql.push("SELECT DISTINCT r.n AS n FROM (");
    let mut written = 0;
    for query in sources {
        // What is found by index rows, and of an Observation what its columns hold.
        let columns: &[&str] =
            if query.resource_type == OBSERVATION { &["device", "subject", "encounter"] } else { &[] };
        for column in [None].into_iter().chain(columns.iter().map(Some)) {
            let (text, binds) = (sql.text.len(), sql.binds.len());
            sql.push(if written == 0 { "" } else { " UNION " });
            match column {
                None => sql.push("SELECT term AS n FROM ix_term WHERE seq IN (SELECT seq FROM "),
                Some(column) => sql.push("SELECT ").push(column).push(" AS n FROM "),
            };
            if from_where(&mut sql, conn, dict, query)? {
                sql.push(if column.is_none() { ")" } else { "" });
                written += 1;
            } else {
                sql.text.truncate(text);
                sql.binds.truncate(binds);
            }
        }
    }
    if written == 0 {
        return Ok(None);
    }
    sql.push(") r JOIN term t ON t.id = r.n WHERE t.kind = 5 AND r.n > ").int(after);
    sql.push(" ORDER BY r.n LIMIT ").int(i64::try_from(BATCH).map_err(Error::internal)?);
    Ok(Some(sql))
}
