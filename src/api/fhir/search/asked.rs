//! A search as it was asked for: where, by which parameters, and how it is to be answered.

use fhir_r4::Issue;

use crate::error::Error;
use crate::fhir::include::{self, Include};
use crate::fhir::query::{self, Query};
use crate::fhir::registry::Params;
use crate::fhir::shape::{self, Summary, View};
use crate::fhir::{compartment, reference};
use crate::store::Several;

/// So many different includes may be asked for at once; a wildcard is one.
const MAX_INCLUDES: usize = 50;

/// Conditions of a search of several types are read for each of them: so many bytes of them and no more.
const MAX_SHARED: usize = 4096;

/// Where is searched.
#[derive(Clone, Debug)]
pub(in crate::api::fhir) enum Place {
    Type(&'static str),
    System,
    /// `Patient/p1/Observation`; without a member all its types.
    Compartment {
        name: &'static str,
        id: String,
        member: Option<&'static str>,
    },
}

impl Place {
    pub(in crate::api::fhir) fn compartment(name: &'static str, id: &str, member: &str) -> Result<Self, Error> {
        if compartment::members(name).is_none() || !reference::is_id(id) {
            return Err(Error::UnknownEndpoint);
        }
        let member = if member == "*" { None } else { Some(crate::api::fhir::kind(member)?) };
        if let Some(kind) = member
            && compartment::conditions(name, id, kind).is_empty()
        {
            return Err(Error::NotSupported(format!("{kind} is never in the compartment of a {name}.")));
        }
        Ok(Self::Compartment { name, id: id.to_owned(), member })
    }

    /// Below the FHIR base: `/Patient`.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Type(kind) => format!("/{kind}"),
            Self::System => String::new(),
            Self::Compartment { name, id, member } => format!("/{name}/{id}/{}", member.unwrap_or("*")),
        }
    }

    /// The types that can be found here.
    fn kinds(&self) -> Vec<&'static str> {
        match self {
            Self::Type(kind) | Self::Compartment { member: Some(kind), .. } => vec![kind],
            Self::System => fhir_r4::resource_types().to_vec(),
            Self::Compartment { name, member: None, .. } => compartment::members(name).unwrap_or_default(),
        }
    }

    fn is_one_type(&self) -> bool {
        matches!(self, Self::Type(_) | Self::Compartment { member: Some(_), .. })
    }
}

/// What is searched: one type in any order, or several by when they were committed.
#[derive(Clone, Debug)]
pub(super) enum Search {
    One(Box<Query>),
    Several(Several),
}

#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub place: Place,
    /// What was asked for and is done: what links repeat.
    pub pairs: Vec<(String, String)>,
    /// Parameters that were passed over.
    pub dropped: Vec<String>,
    pub search: Search,
    pub includes: Vec<Include>,
    pub view: View,
}

impl Asked {
    pub(super) fn read(
        params: &Params,
        place: Place,
        pairs: Vec<(String, String)>,
        lenient: bool,
    ) -> Result<Self, Error> {
        let (kinds, named) = types(&place, &pairs)?;
        let (mut done, mut dropped) = (Vec::with_capacity(pairs.len()), Vec::new());
        let (mut conditions, mut includes) = (Vec::new(), Vec::new());
        let mut oldest_first = false;
        for (name, value) in pairs {
            // An order by nothing is no order: links do not repeat it.
            if name == "_sort" && value.split(',').all(str::is_empty) {
                continue;
            }
            let known = match name.as_str() {
                name if shape::is_one(name) || matches!(name, "_format" | "_pretty") => true,
                name if include::is_one(name) => match include::parse(params, name, &value) {
                    Ok(include) if includes.contains(&include) => true,
                    Ok(_) if includes.len() == MAX_INCLUDES => return Err(too_many(name)),
                    Ok(include) => {
                        includes.push(include);
                        true
                    }
                    Err(issue) if lenient && issue.code != "incomplete" => false,
                    Err(issue) => return Err(issue.into()),
                },
                "_type" if !place.is_one_type() => true,
                "_sort" if !place.is_one_type() => {
                    oldest_first = by_time(&value)?;
                    true
                }
                name if lenient && !kinds.iter().all(|kind| query::is_known(params, kind, name)) => false,
                _ => {
                    conditions.push((name.clone(), value.clone()));
                    true
                }
            };
            if known { done.push((name, value)) } else { dropped.push(name) }
        }
        let view = View::read(&done, &kinds)?;
        if view.summary() == Summary::Text && !includes.is_empty() {
            return Err(Error::invalid("value", "http._summary", "nothing is included beside texts alone"));
        }
        if view.summary() == Summary::Count {
            conditions.retain(|(name, _)| name != "_count");
            conditions.push(("_count".to_owned(), "0".to_owned()));
        }
        let search = search(params, &place, &kinds, &conditions, lenient, named, oldest_first)?;
        Ok(Self { place, pairs: done, dropped, search, includes, view })
    }

    pub(super) fn cursor(&self) -> Option<&str> {
        match &self.search {
            Search::One(query) => query.cursor.as_deref(),
            Search::Several(several) => several.cursor.as_deref(),
        }
    }

    pub(super) fn go_on_from(&mut self, cursor: String) {
        match &mut self.search {
            Search::One(query) => query.cursor = Some(cursor),
            Search::Several(several) => several.cursor = Some(cursor),
        }
    }
}

/// The types of a search, and whether the caller named them.
fn types(place: &Place, pairs: &[(String, String)]) -> Result<(Vec<&'static str>, bool), Error> {
    let possible = place.kinds();
    let asked: Vec<&str> = pairs.iter().filter(|(name, _)| name == "_type").flat_map(|(_, v)| v.split(',')).collect();
    if place.is_one_type() || asked.is_empty() {
        return Ok((possible, place.is_one_type()));
    }
    let mut kinds: Vec<&'static str> = Vec::with_capacity(asked.len());
    for text in asked {
        let kind = possible.iter().find(|kind| **kind == text.trim()).copied();
        kinds
            .push(kind.ok_or_else(|| Error::invalid("value", "http._type", "it names a type that is not found here"))?);
    }
    kinds.sort_unstable();
    kinds.dedup();
    Ok((kinds, true))
}

fn too_many(name: &str) -> Error {
    Error::invalid("too-costly", format!("http.{name}"), format!("{MAX_INCLUDES} includes at most; * is one"))
}

/// Several types have one order: that of their commits. Whether oldest first.
fn by_time(sort: &str) -> Result<bool, Error> {
    match sort {
        "_lastUpdated" => Ok(true),
        "-_lastUpdated" => Ok(false),
        _ => Err(Error::invalid("not-supported", "http._sort", "several types are sorted by _lastUpdated alone")),
    }
}

fn search(
    params: &Params,
    place: &Place,
    kinds: &[&'static str],
    conditions: &[(String, String)],
    lenient: bool,
    named: bool,
    oldest_first: bool,
) -> Result<Search, Error> {
    if !place.is_one_type()
        && conditions.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_SHARED
    {
        let text = format!("a search of several types takes {MAX_SHARED} bytes of parameters");
        return Err(Error::invalid("too-long", "http.query", text));
    }
    let mut queries = Vec::with_capacity(kinds.len());
    for kind in kinds {
        let mut query = query::parse(params, kind, conditions, lenient)?;
        if let Place::Compartment { name, id, .. } = place {
            query.any = belonging(name, id, kind)?;
        }
        queries.push(query);
    }
    if place.is_one_type() {
        let query = queries.pop().ok_or_else(|| Error::internal("a search of no type"))?;
        return Ok(Search::One(Box::new(query)));
    }
    let first = queries.first();
    let (count, total) = first.map_or((0, false), |query| (query.count, query.total));
    let cursor = first.and_then(|query| query.cursor.clone());
    Ok(Search::Several(Several { queries, named, oldest_first, count, cursor, total }))
}

/// What puts a resource of this type into the compartment, as conditions of which one must hold.
pub(in crate::api::fhir) fn belonging(name: &str, id: &str, kind: &str) -> Result<Vec<query::Filter>, Vec<Issue>> {
    let (params, mut any) = (Params::default(), Vec::new());
    for condition in compartment::conditions(name, id, kind) {
        let pair = (condition.0.to_owned(), condition.1);
        if query::is_known(&params, kind, &pair.0) {
            any.extend(query::parse(&params, kind, &[pair], false)?.filters);
        }
    }
    Ok(any)
}
