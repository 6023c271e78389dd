//! The readings of one patient and kind in the order of their commits: what a rule's window is rebuilt from.

use std::sync::Arc;

use diesel::prelude::*;

use super::conn::Conn;
use super::database;
use super::dict::{self, Dict, Source};
use super::log::{self, Entry};
use super::prepare::{self, OBSERVATION, type_number};
use super::resource::{VersionRow, observation_versions};
use super::schema::observation;
use crate::error::Error;
use crate::fhir::reading::Code;

/// At most `limit` of those before `seq`, newest first.
pub(super) fn before(
    conn: &mut Conn,
    dict: &Dict,
    subject: &str,
    codings: &[Code],
    seq: i64,
    limit: usize,
) -> Result<Vec<Arc<Entry>>, Error> {
    let Some(subject) = prepare::local(&mut dict.terms(Source::Table(conn)), subject)? else { return Ok(vec![]) };
    let mut known = Vec::new();
    for (system, code) in codings {
        known.extend(dict.terms(Source::Table(conn)).coding(system, code)?);
    }
    let concepts = dict::concepts_of(conn, &known, 10_000)?;
    let limit = i64::try_from(limit).map_err(Error::internal)?;
    let rows: Vec<VersionRow> = observation_versions!(type_number(OBSERVATION)?)
        .filter(observation::subject.eq(subject))
        .filter(observation::concept.eq_any(concepts))
        .filter(observation::seq.lt(seq))
        .order(observation::seq.desc())
        .limit(limit)
        .load(conn)
        .map_err(database)?;
    rows.iter().map(|row| Ok(Arc::new(log::entry(row)?))).collect()
}
