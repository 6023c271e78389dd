//! Reading resources: the version that stands, and any version.

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

/// A version as any of the three tables has it.
#[derive(Queryable)]
pub(super) struct VersionRow {
    pub seq: i64,
    pub rtype: i16,
    pub id: Vec<u8>,
    pub version: i32,
    pub updated: i64,
    pub deleted: bool,
    pub body: Vec<u8>,
}

/// `observation` selected in the shape of the other tables.
macro_rules! observation_versions {
    ($number:expr) => {
        observation::table.select((
            observation::seq,
            $number.into_sql::<diesel::sql_types::SmallInt>(),
            observation::id,
            observation::version,
            observation::updated,
            observation::deleted,
            observation::body,
        ))
    };
}
pub(super) use observation_versions;

pub(super) fn stored(row: VersionRow) -> Result<Stored, Error> {
    let VersionRow { rtype, id, version, updated, deleted, body, .. } = row;
    Ok(Stored { resource_type: type_name(rtype)?, id: id::decode(&id), version, updated, deleted, body })
}

pub(super) fn current(conn: &mut Conn, kind: &str, id: &str) -> Result<Option<Stored>, Error> {
    let (rtype, key) = (type_number(kind)?, id::encode(id));
    let row: Option<VersionRow> = if kind == OBSERVATION {
        observation_versions!(rtype).filter(observation::id.eq(key)).first(conn).optional()
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
    let row: Option<VersionRow> =
        history::table.filter(own.and(history::version.eq(version))).first(conn).optional().map_err(database)?;
    row.map(stored).transpose()
}
