//! Reading resources: the version that stands, any version, and histories.

use diesel::prelude::*;
use serde_json::Value;

use super::body::{self, Head};
use super::conn::Conn;
use super::prepare::{OBSERVATION, type_name, type_number};
use super::schema::{history, observation, resource};
use super::{database, id};
use crate::error::Error;

/// One stored version.
#[derive(Clone, Debug)]
pub struct Stored {
    pub resource_type: &'static str,
    pub id: String,
    pub version: i32,
    /// µs UTC
    pub updated: i64,
    pub deleted: bool,
    pub(super) body: Vec<u8>,
}

impl Stored {
    /// FHIR JSON with `id` and `meta` filled in. An error for a deleted version: it has no content.
    pub fn json(&self) -> Result<Vec<u8>, Error> {
        if self.deleted {
            return Err(Error::gone(self.resource_type, &*self.id));
        }
        let head =
            Head { resource_type: self.resource_type, id: &self.id, version: self.version, updated: self.updated };
        body::render(&head, &self.body)
    }

    /// The same, read.
    pub fn value(&self) -> Result<Value, Error> {
        serde_json::from_slice(&self.json()?).map_err(Error::internal)
    }
}

type Row = (i64, i16, Vec<u8>, i32, i64, bool, Vec<u8>);

fn stored(row: Row) -> Result<Stored, Error> {
    let (_, rtype, key, version, updated, deleted, body) = row;
    Ok(Stored { resource_type: type_name(rtype)?, id: id::decode(&key), version, updated, deleted, body })
}

/// `observation` selected in the shape of the other tables.
macro_rules! observation_columns {
    ($rtype:expr) => {
        (
            observation::seq,
            $rtype.into_sql::<diesel::sql_types::SmallInt>(),
            observation::id,
            observation::version,
            observation::updated,
            observation::deleted,
            observation::body,
        )
    };
}

pub(super) fn current(conn: &mut Conn, kind: &str, id: &str) -> Result<Option<Stored>, Error> {
    let (rtype, key) = (type_number(kind)?, id::encode(id));
    let row: Option<Row> = if kind == OBSERVATION {
        observation::table.filter(observation::id.eq(key)).select(observation_columns!(rtype)).first(conn).optional()
    } else {
        resource::table.filter(resource::rtype.eq(rtype).and(resource::id.eq(key))).first(conn).optional()
    }
    .map_err(database)?;
    row.map(stored).transpose()
}

pub(super) fn version(conn: &mut Conn, kind: &str, id: &str, version: i32) -> Result<Option<Stored>, Error> {
    if let Some(current) = current(conn, kind, id)?.filter(|c| c.version == version) {
        return Ok(Some(current));
    }
    let own = history::rtype.eq(type_number(kind)?).and(history::id.eq(id::encode(id)));
    let row: Option<Row> =
        history::table.filter(own.and(history::version.eq(version))).first(conn).optional().map_err(database)?;
    row.map(stored).transpose()
}

/// Whose history: one resource's, one type's, or everything's.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    Instance(&'static str, &'a str),
    Type(&'static str),
    System,
}

/// Versions, newest first, below `before` (a `seq`); each with its `seq` to go on from.
pub(super) fn versions(
    conn: &mut Conn,
    scope: Scope<'_>,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<(i64, Stored)>, Error> {
    let limit = i64::try_from(limit).map_err(Error::internal)?;
    let before = before.unwrap_or(i64::MAX);
    let observations = type_number(OBSERVATION)?;
    let mut rows: Vec<Row> = Vec::new();
    if !matches!(scope, Scope::Instance(kind, _) | Scope::Type(kind) if kind != OBSERVATION) {
        let mut query = observation::table
            .filter(observation::seq.lt(before))
            .order(observation::seq.desc())
            .limit(limit)
            .select(observation_columns!(observations))
            .into_boxed::<super::conn::MultiBackend>();
        if let Scope::Instance(_, id) = scope {
            query = query.filter(observation::id.eq(id::encode(id)));
        }
        rows.extend(query.load::<Row>(conn).map_err(database)?);
    }
    if !matches!(scope, Scope::Instance(OBSERVATION, _) | Scope::Type(OBSERVATION)) {
        let mut query = resource::table
            .filter(resource::seq.lt(before))
            .order(resource::seq.desc())
            .limit(limit)
            .into_boxed::<super::conn::MultiBackend>();
        if let Scope::Instance(kind, _) | Scope::Type(kind) = scope {
            query = query.filter(resource::rtype.eq(type_number(kind)?));
        }
        if let Scope::Instance(_, id) = scope {
            query = query.filter(resource::id.eq(id::encode(id)));
        }
        rows.extend(query.load::<Row>(conn).map_err(database)?);
    }
    let mut query = history::table
        .filter(history::seq.lt(before))
        .order(history::seq.desc())
        .limit(limit)
        .into_boxed::<super::conn::MultiBackend>();
    if let Scope::Instance(kind, _) | Scope::Type(kind) = scope {
        query = query.filter(history::rtype.eq(type_number(kind)?));
    }
    if let Scope::Instance(_, id) = scope {
        query = query.filter(history::id.eq(id::encode(id)));
    }
    rows.extend(query.load::<Row>(conn).map_err(database)?);
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.0));
    rows.truncate(usize::try_from(limit).map_err(Error::internal)?);
    rows.into_iter().map(|row| Ok((row.0, stored(row)?))).collect()
}
