//! Where references are, and what they lead to: the steps that includes and `$everything` are made of.

use diesel::prelude::*;

use super::order::Order;
use super::sql::{self, HitRow, Sql};
use super::{narrow, select, system};
use crate::auth::access::{Access, Action, Permit};
use crate::error::Error;
use crate::fhir::params::{Column, Facet, Param};
use crate::fhir::query::Query;
use crate::store::conn::Conn;
use crate::store::dict::{Dict, Kind, Source};
use crate::store::prepare::{OBSERVATION, type_name, type_number};
use crate::store::schema::term;
use crate::store::{database, database_bytes};

/// Values in one statement.
pub(super) const CHUNK: usize = 500;

/// Leave to read this type; none when there is none.
pub(super) fn readable(access: &Access, kind: &str) -> Option<Permit> {
    access.check(Action::Read, kind).ok()
}

/// The rows of this type within the permit's reach, to be narrowed further.
pub(super) fn readable_rows(conn: &mut Conn, dict: &Dict, permit: &Permit, kind: &str) -> Result<Option<Sql>, Error> {
    let query = narrow::to(&Query::new(kind, &[], 1)?, permit.reach())?;
    select(conn, dict, &query, &Order::Recent)
}

/// The resources of one type by their ids, within the permit's reach.
pub(super) fn by_ids(
    conn: &mut Conn,
    dict: &Dict,
    permit: &Permit,
    kind: &'static str,
    ids: &[String],
) -> Result<Vec<HitRow>, Error> {
    let Some(mut sql) = readable_rows(conn, dict, permit, kind)? else { return Ok(vec![]) };
    sql.push(" AND ");
    one_of_ids(&mut sql, ids);
    Order::Recent.finish(&mut sql, ids.len())?;
    sql::hits(conn, sql)
}

fn one_of_ids(sql: &mut Sql, ids: &[String]) {
    sql.push("id IN (");
    for (at, id) in ids.iter().enumerate() {
        sql.push(if at == 0 { "" } else { ", " }).bind(sql::Bind::Bytes(database_bytes(id)));
    }
    sql.push(")");
}

pub(super) fn seqs(conn: &mut Conn, kind: &str, ids: &[String]) -> Result<Vec<i64>, Error> {
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(CHUNK) {
        let mut sql = Sql::new(conn);
        if kind == OBSERVATION {
            sql.push("SELECT seq AS n FROM observation WHERE ");
        } else {
            sql.push("SELECT seq AS n FROM resource WHERE rtype = ").int(type_number(kind)?.into()).push(" AND ");
        }
        one_of_ids(&mut sql, chunk);
        found.extend(sql::numbers(conn, sql)?);
    }
    Ok(found)
}

/// Where the references of a parameter are.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Column(&'static str),
    Index(i64),
    /// No resource was ever indexed by it.
    Nowhere,
}

pub(super) fn place(conn: &mut Conn, dict: &Dict, kind: &str, param: &'static Param) -> Result<Place, Error> {
    Ok(match param.column {
        Some(Column::Subject) => Place::Column("subject"),
        Some(Column::Device) => Place::Column("device"),
        Some(Column::Encounter) => Place::Column("encounter"),
        Some(_) => Place::Nowhere,
        None => {
            let number = dict.terms(Source::Table(conn)).get(
                Kind::Param,
                type_number(kind)?.into(),
                param.index_name(Facet::Value),
            )?;
            number.map_or(Place::Nowhere, Place::Index)
        }
    })
}

/// The numbers of what the rows refer to under a parameter.
pub(super) fn numbers(conn: &mut Conn, place: Place, seqs: &[i64]) -> Result<Vec<i64>, Error> {
    let mut found = Vec::new();
    for chunk in seqs.chunks(CHUNK) {
        let mut sql = Sql::new(conn);
        match place {
            Place::Nowhere => return Ok(found),
            Place::Column(column) => {
                sql.push("SELECT DISTINCT ").push(column).push(" AS n FROM observation WHERE ");
                sql.push(column).push(" IS NOT NULL AND ").one_of("seq", chunk)
            }
            Place::Index(param) => {
                sql.push("SELECT DISTINCT term AS n FROM ix_term WHERE param = ").int(param);
                sql.push(" AND ").one_of("seq", chunk)
            }
        };
        found.extend(sql::numbers(conn, sql)?);
    }
    Ok(found)
}

/// The canonical addresses among these terms, each with the version that it names.
pub(super) fn canonicals(conn: &mut Conn, terms: &[i64]) -> Result<Vec<(String, Option<String>)>, Error> {
    let mut found = Vec::new();
    for chunk in terms.chunks(CHUNK) {
        let own = term::table.filter(term::id.eq_any(chunk).and(term::kind.eq(Kind::Uri.number())));
        let texts: Vec<String> = own.select(term::text).load(conn).map_err(database)?;
        // `url|` only says that some version is named.
        let named = texts.into_iter().filter(|text| !text.ends_with('|'));
        found.extend(named.map(|text| match text.split_once('|') {
            Some((url, version)) => (url.to_owned(), Some(version.to_owned())),
            None => (text, None),
        }));
    }
    Ok(found)
}

pub(super) fn has_version(kind: &'static str, row: &HitRow, version: &str) -> bool {
    let resource = system::stored(kind, row.clone()).value();
    resource.is_ok_and(|resource| resource.get("version").is_some_and(|own| own == version))
}

/// The references among these terms: number, type and id.
pub(super) fn named(conn: &mut Conn, terms: &[i64]) -> Result<Vec<(i64, &'static str, String)>, Error> {
    let mut found = Vec::with_capacity(terms.len());
    for chunk in terms.chunks(CHUNK) {
        let own = term::table.filter(term::id.eq_any(chunk).and(term::kind.eq(Kind::Reference.number())));
        let rows: Vec<(i64, i64, String)> =
            own.select((term::id, term::scope, term::text)).load(conn).map_err(database)?;
        for (number, scope, text) in rows {
            found.push((number, type_name(i16::try_from(scope).map_err(Error::internal)?)?, text));
        }
    }
    Ok(found)
}
