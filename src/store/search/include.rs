//! What is answered beside the matches of a page: what they refer to (`_include`) and what refers to them
//! (`_revinclude`). Found by the index, in rounds while `:iterate` asks for more, each resource once, never more
//! than a fixed number. What the caller could not read is not found at all.

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::prelude::*;
use fhir_r4::SearchKind;

use super::order::Order;
use super::sql::{self, HitRow, Sql};
use super::{Stored, narrowed, select, system};
use crate::auth::access::{Access, Action, Permit};
use crate::error::Error;
use crate::fhir::include::{Include, leads_to};
use crate::fhir::params::{Column, Param};
use crate::fhir::query::Query;
use crate::store::conn::Conn;
use crate::store::dict::{Dict, Kind, Source};
use crate::store::prepare::{OBSERVATION, type_name, type_number};
use crate::store::schema::term;
use crate::store::{Store, database, database_bytes, visible};

/// So many resources are included in one page at most.
const MAX_INCLUDED: usize = 1000;
/// And so many rounds are made for `:iterate`.
const MAX_ROUNDS: usize = 10;
/// Values in one statement.
const CHUNK: usize = 500;

/// What belongs to a page beside its matches.
#[derive(Debug, Default)]
pub struct Included {
    pub resources: Vec<Stored>,
    /// There is more, which is not told.
    pub cut: bool,
}

/// Resources by type: what a round begins with.
type ByKind = BTreeMap<&'static str, Vec<String>>;

impl Store {
    /// What these includes add to a page of hits.
    pub async fn included(&self, access: &Access, hits: &[Stored], includes: &[Include]) -> Result<Included, Error> {
        if includes.is_empty() || hits.is_empty() {
            return Ok(Included::default());
        }
        let hits: Vec<(&'static str, String)> = hits.iter().map(|hit| (hit.resource_type, hit.id.clone())).collect();
        let (access, includes) = (access.clone(), includes.to_vec());
        self.read(move |conn, dict| Rounds::new(access, hits).run(conn, dict, &includes)).await
    }
}

struct Rounds {
    access: Access,
    seen: HashSet<(&'static str, String)>,
    fresh: ByKind,
    found: Included,
    places: HashMap<(&'static str, &'static str), Place>,
}

impl Rounds {
    fn new(access: Access, hits: Vec<(&'static str, String)>) -> Self {
        let mut fresh = ByKind::new();
        for (kind, id) in &hits {
            fresh.entry(kind).or_default().push(id.clone());
        }
        Self { access, seen: hits.into_iter().collect(), fresh, found: Included::default(), places: HashMap::new() }
    }

    fn run(mut self, conn: &mut Conn, dict: &Dict, includes: &[Include]) -> Result<Included, Error> {
        let present = system::present_types(conn)?;
        let mut round = 0;
        while !self.fresh.is_empty() && !self.found.cut {
            let from = std::mem::take(&mut self.fresh);
            let asked: Vec<&Include> = includes.iter().filter(|include| round == 0 || include.iterate).collect();
            if round == MAX_ROUNDS {
                self.found.cut = !asked.is_empty();
                break;
            }
            let (seqs, terms) = (by_kind(&from, |kind, ids| seqs(conn, kind, ids))?, terms(conn, dict, &from, &asked)?);
            for include in asked {
                if include.reverse {
                    for kind in present.iter().filter(|kind| include.source.is_none_or(|source| source == **kind)) {
                        self.referring(conn, dict, include, kind, &terms)?;
                    }
                } else {
                    for (kind, seqs) in &seqs {
                        self.referred(conn, dict, include, kind, seqs)?;
                    }
                }
            }
            round += 1;
        }
        Ok(self.found)
    }

    /// What resources of this type refer to.
    fn referred(
        &mut self,
        conn: &mut Conn,
        dict: &Dict,
        include: &Include,
        kind: &'static str,
        seqs: &[i64],
    ) -> Result<(), Error> {
        let mut targets = ByKind::new();
        for param in include.params_of(kind) {
            let place = self.place(conn, dict, kind, param)?;
            for (target, id) in references(conn, place, param, seqs)? {
                if include.takes(param, target) && !self.seen.contains(&(target, id.clone())) {
                    targets.entry(target).or_default().push(id);
                }
            }
        }
        for (target, mut ids) in targets {
            ids.sort_unstable();
            ids.dedup();
            let Some(permit) = readable(&self.access, target) else { continue };
            for chunk in ids.chunks(CHUNK) {
                let rows = by_ids(conn, dict, &permit, target, chunk)?;
                self.take(target, &permit, rows);
            }
        }
        Ok(())
    }

    /// What resources of the type `source` refer to any of these.
    fn referring(
        &mut self,
        conn: &mut Conn,
        dict: &Dict,
        include: &Include,
        source: &'static str,
        to: &BTreeMap<&'static str, Vec<i64>>,
    ) -> Result<(), Error> {
        let Some(permit) = readable(&self.access, source) else { return Ok(()) };
        for param in include.params_of(source) {
            let place = self.place(conn, dict, source, param)?;
            let terms = to.iter().filter(|(kind, _)| include.takes(param, kind)).flat_map(|(_, terms)| terms);
            let terms: Vec<i64> = terms.copied().collect();
            for chunk in terms.chunks(CHUNK) {
                let rows = self.holding(conn, dict, &permit, source, place, chunk)?;
                self.take(source, &permit, rows);
            }
        }
        Ok(())
    }

    /// Rows of this type that hold one of the terms under the parameter, newest first.
    fn holding(
        &self,
        conn: &mut Conn,
        dict: &Dict,
        permit: &Permit,
        kind: &'static str,
        place: Place,
        terms: &[i64],
    ) -> Result<Vec<HitRow>, Error> {
        let Some(mut sql) = readable_rows(conn, dict, permit, kind)? else { return Ok(vec![]) };
        match place {
            Place::Nowhere => return Ok(vec![]),
            Place::Column(column) => sql.push(" AND ").one_of(column, terms),
            Place::Index(number) => sql
                .push(" AND seq IN (SELECT seq FROM ix_term WHERE param = ")
                .int(number)
                .push(" AND ")
                .one_of("term", terms)
                .push(")"),
        };
        // What was seen already does not take the place of what was not.
        let seen = self.seen.iter().filter(|(own, _)| *own == kind).count();
        Order::Recent.finish(&mut sql, MAX_INCLUDED - self.found.resources.len() + seen + 1)?;
        sql::hits(conn, sql)
    }

    fn place(
        &mut self,
        conn: &mut Conn,
        dict: &Dict,
        kind: &'static str,
        param: &'static Param,
    ) -> Result<Place, Error> {
        if let Some(known) = self.places.get(&(kind, param.name)) {
            return Ok(*known);
        }
        let place = place(conn, dict, kind, param)?;
        self.places.insert((kind, param.name), place);
        Ok(place)
    }

    fn take(&mut self, kind: &'static str, permit: &Permit, rows: Vec<HitRow>) {
        for row in rows {
            let stored = system::stored(kind, row);
            if visible(permit, &stored).is_err() || self.seen.contains(&(kind, stored.id.clone())) {
                continue;
            }
            if self.found.resources.len() == MAX_INCLUDED {
                self.found.cut = true;
                return;
            }
            self.seen.insert((kind, stored.id.clone()));
            self.fresh.entry(kind).or_default().push(stored.id.clone());
            self.found.resources.push(stored);
        }
    }
}

/// Leave to read this type; none when there is none.
pub(super) fn readable(access: &Access, kind: &str) -> Option<Permit> {
    access.check(Action::Read, kind).ok()
}

/// The rows of this type within the permit's reach, to be narrowed further.
fn readable_rows(conn: &mut Conn, dict: &Dict, permit: &Permit, kind: &str) -> Result<Option<Sql>, Error> {
    let query = narrowed(&Query::new(kind, &[], 1)?, permit.reach())?;
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

fn seqs(conn: &mut Conn, kind: &str, ids: &[String]) -> Result<Vec<i64>, Error> {
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(CHUNK) {
        let mut sql = Sql::default();
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

/// Something about each type's resources.
fn by_kind<T>(
    all: &ByKind,
    mut of: impl FnMut(&'static str, &[String]) -> Result<T, Error>,
) -> Result<BTreeMap<&'static str, T>, Error> {
    all.iter().map(|(kind, ids)| Ok((*kind, of(kind, ids)?))).collect()
}

/// The numbers under which these are referred to, where anybody asks for that.
fn terms(
    conn: &mut Conn,
    dict: &Dict,
    all: &ByKind,
    asked: &[&Include],
) -> Result<BTreeMap<&'static str, Vec<i64>>, Error> {
    if !asked.iter().any(|include| include.reverse) {
        return Ok(BTreeMap::new());
    }
    by_kind(all, |kind, ids| {
        let (mut terms, scope) = (dict.terms(Source::Table(conn)), type_number(kind)?.into());
        let found = ids.iter().map(|id| terms.get(Kind::Reference, scope, id));
        Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    })
}

/// Where the references of a parameter are.
#[derive(Clone, Copy)]
enum Place {
    Column(&'static str),
    Index(i64),
    /// No resource was ever indexed by it.
    Nowhere,
}

fn place(conn: &mut Conn, dict: &Dict, kind: &str, param: &Param) -> Result<Place, Error> {
    debug_assert!(param.kind == SearchKind::Reference, "only references are followed");
    Ok(match param.column {
        Some(Column::Subject) => Place::Column("subject"),
        Some(Column::Device) => Place::Column("device"),
        Some(Column::Encounter) => Place::Column("encounter"),
        Some(_) => Place::Nowhere,
        None => {
            let number = dict.terms(Source::Table(conn)).get(Kind::Param, type_number(kind)?.into(), param.name)?;
            number.map_or(Place::Nowhere, Place::Index)
        }
    })
}

/// What the rows refer to under this parameter, on this server.
fn references(
    conn: &mut Conn,
    place: Place,
    param: &Param,
    seqs: &[i64],
) -> Result<Vec<(&'static str, String)>, Error> {
    let mut found = Vec::new();
    for chunk in seqs.chunks(CHUNK) {
        let mut sql = Sql::default();
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
        let numbers = sql::numbers(conn, sql)?;
        found.extend(named(conn, &numbers)?.into_iter().map(|(_, kind, id)| (kind, id)));
    }
    found.retain(|(target, _)| leads_to(param, target));
    Ok(found)
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
