//! What is answered beside the matches of a page: what they refer to (`_include`) and what refers to them
//! (`_revinclude`). Found by the index, in rounds while `:iterate` asks for more, each resource once, never more
//! than a fixed number. What the caller could not read is not found at all.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::order::Order;
use super::reference::{
    CHUNK, Place, by_ids, canonicals, has_version, named, numbers, place, readable, readable_rows, seqs,
};
use super::sql::{self, HitRow};
use super::{Stored, system};
use crate::auth::access::{Access, Permit};
use crate::error::Error;
use crate::fhir::include::Include;
use crate::fhir::params::{self, Param};
use crate::fhir::registry::Params;
use crate::store::conn::Conn;
use crate::store::dict::{Dict, Kind, Source};
use crate::store::prepare::type_number;
use crate::store::{Store, visible};

/// So many resources are included in one page at most.
const MAX_INCLUDED: usize = 1000;
/// And so many rounds are made for `:iterate`.
const MAX_ROUNDS: usize = 10;

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
        let (access, params, includes) = (access.clone(), self.params(), includes.to_vec());
        self.read(move |conn, dict| Rounds::new(access, params, hits).run(conn, dict, &includes)).await
    }
}

struct Rounds {
    access: Access,
    params: Arc<Params>,
    seen: HashSet<(&'static str, String)>,
    fresh: ByKind,
    found: Included,
    places: HashMap<(&'static str, &'static str), Place>,
}

impl Rounds {
    fn new(access: Access, params: Arc<Params>, hits: Vec<(&'static str, String)>) -> Self {
        let mut fresh = ByKind::new();
        for (kind, id) in &hits {
            fresh.entry(kind).or_default().push(id.clone());
        }
        Self {
            access,
            params,
            seen: hits.into_iter().collect(),
            fresh,
            found: Included::default(),
            places: HashMap::new(),
        }
    }

    fn run(mut self, conn: &mut Conn, dict: &Dict, includes: &[Include]) -> Result<Included, Error> {
        let reverse = includes.iter().any(|include| include.reverse);
        let present = if reverse { system::present_types(conn)? } else { HashSet::new() };
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
        for param in include.params_of(&self.params, kind) {
            let place = self.place(conn, dict, kind, param)?;
            let numbers = numbers(conn, place, seqs)?;
            for (canonical, version) in canonicals(conn, &numbers)? {
                self.named_by(conn, dict, include, param, &canonical, version.as_deref())?;
            }
            for (_, target, id) in named(conn, &numbers)? {
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

    /// What has this canonical address, of the types that the parameter may refer to.
    fn named_by(
        &mut self,
        conn: &mut Conn,
        dict: &Dict,
        include: &Include,
        param: &'static Param,
        canonical: &str,
        version: Option<&str>,
    ) -> Result<(), Error> {
        let Some(term) = dict.terms(Source::Table(conn)).uri(canonical)? else { return Ok(()) };
        for target in param.target.iter().filter(|target| include.takes(param, target)) {
            let (Some(url), Some(permit)) = (params::find(target, "url"), readable(&self.access, target)) else {
                continue;
            };
            let place = self.place(conn, dict, target, url)?;
            let mut rows = self.holding(conn, dict, &permit, target, place, &[term])?;
            if let Some(version) = version {
                rows.retain(|row| has_version(target, row, version));
            }
            self.take(target, &permit, rows);
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
        for param in include.params_of(&self.params, source) {
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
