//! A change on its way to the lane: everything that can be done before the transaction (reading the resource,
//! index values, compression, integers of terms) is done here, in the caller's thread.

mod observation;
mod rows;

use std::sync::Arc;

use fhir_r4::Issue;
use serde_json::Value;

use self::observation::Parts;
pub(super) use self::rows::{
    ComponentRow, DateRow, ObservationRow, PairRow, QuantityRow, Rows, StringRow, TermRow, WaveRow,
};

use super::body::{self, Head};
use super::dict::{Dict, Kind, Source, Terms};
use super::oddity;
use crate::error::Error;
use crate::fhir::index::{self, Named};
use crate::fhir::reading::Reading;
use crate::fhir::registry::Params;
use crate::fhir::{reference, ucum};

pub(super) const OBSERVATION: &str = "Observation";

/// `starts` and `ends` of an Observation without an effective time.
pub(super) const NO_TIME: i64 = i64::MIN;

/// No state of the search parameters: to be indexed again.
pub(super) const UNKNOWN: i64 = -1;

/// The version that is expected where nothing may stand: never stored, or deleted.
pub const NOTHING: i32 = 0;

/// When a new resource is one that is stored already, and so is found instead of doubled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    Never,
    /// Its id says what it is; the same id with the same content is the same one.
    SameContent,
    /// The same, but its effective time is that of its receipt, which a repetition does not share.
    SameButTime,
}

/// What is asked of the lane for one resource.
#[derive(Clone, Debug)]
pub enum Verb {
    Create(Repeat),
    /// The next version; `expect` is the version that must stand ([`NOTHING`]: none may). With `or_create` it may
    /// be the first.
    Update {
        expect: Option<i32>,
        or_create: bool,
    },
    Delete {
        expect: Option<i32>,
    },
}

impl Verb {
    /// Can what is created have been created before?
    pub(super) fn is_repeatable(&self) -> bool {
        matches!(self, Self::Create(Repeat::SameContent | Repeat::SameButTime))
    }

    /// Does it expect this version?
    pub(super) fn follows(&self, version: i32) -> bool {
        matches!(self, Self::Update { expect: Some(expected), .. } if *expected == version)
    }
}

/// One change of one resource.
#[derive(Clone, Debug)]
pub struct Change {
    pub verb: Verb,
    pub resource_type: &'static str,
    pub id: String,
    /// The resource after the change; none when it is deleted.
    pub resource: Option<Value>,
    /// What is odd about it: kept with the version.
    pub warnings: Vec<Issue>,
}

/// A change made ready.
pub(super) struct Prepared {
    pub verb: Verb,
    pub resource_type: &'static str,
    pub rtype: i16,
    pub id: String,
    pub key: Vec<u8>,
    pub body: Vec<u8>,
    pub content: Content,
    /// None for most: nothing is written then.
    pub oddity: Option<String>,
    index: Vec<Named>,
    /// The state of the search parameters that it is indexed by.
    pub params: i64,
    parts: Parts,
    /// None until all its terms have numbers.
    pub rows: Option<Rows>,
}

/// What a committed version is for its readers.
#[derive(Clone, Debug)]
pub enum Content {
    Reading(Arc<Reading>),
    Resource(Arc<Value>),
    Gone,
}

/// The number stored for a resource type: its place in R4's sorted list, which is closed.
pub(super) fn type_number(resource_type: &str) -> Result<i16, Error> {
    fhir_r4::resource_type_index(resource_type)
        .and_then(|index| i16::try_from(index).ok())
        .ok_or_else(|| Error::internal(format!("no R4 resource type: {resource_type}")))
}

pub(super) fn type_name(number: i16) -> Result<&'static str, Error> {
    let index = usize::try_from(number).map_err(Error::internal)?;
    let name = fhir_r4::resource_types().get(index).copied();
    name.ok_or_else(|| Error::internal(format!("no resource type has the number {number}")))
}

impl Content {
    pub(super) fn of(resource_type: &str, resource: Value) -> Self {
        if resource_type == OBSERVATION {
            Self::Reading(Arc::new(Reading::of(&resource)))
        } else {
            Self::Resource(Arc::new(resource))
        }
    }
}

impl Prepared {
    /// Does this stored body hold what is to be created?
    pub(super) fn repeats(&self, stored: &[u8]) -> bool {
        match self.verb {
            Verb::Create(Repeat::SameButTime) => {
                body::same_but(stored, &self.body, &["effectiveDateTime", "effectivePeriod"])
            }
            _ => body::same(stored, &self.body),
        }
    }

    pub(super) fn new(change: Change, dict: &Dict, params: &Params) -> Result<Self, Error> {
        let Change { verb, resource_type, id, resource, warnings } = change;
        let mut parts = Parts::default();
        let (body, index, content) = match resource {
            None => (vec![], vec![], Content::Gone),
            Some(resource) => {
                if resource_type == OBSERVATION {
                    parts = Parts::of(&resource);
                }
                let index = index::entries(params, resource_type, &resource);
                (body::encode(&resource)?, index, Content::of(resource_type, resource))
            }
        };
        let rtype = type_number(resource_type)?;
        let key = super::id::encode(&id);
        let (oddity, params) = (oddity::encode(&warnings), params.version());
        let mut prepared =
            Self { verb, resource_type, rtype, id, key, body, content, oddity, index, params, parts, rows: None };
        prepared.resolve(&mut dict.terms(Source::Cache))?;
        Ok(prepared)
    }

    /// Indexes it by another state of the search parameters.
    pub(super) fn index_by(&mut self, params: &Params, now: i64) -> Result<(), Error> {
        self.params = params.version();
        if matches!(self.verb, Verb::Delete { .. }) {
            return Ok(());
        }
        let head = Head { resource_type: self.resource_type, id: &self.id, version: 1, updated: now };
        let resource: Value = serde_json::from_slice(&body::render(&head, &self.body)?).map_err(Error::internal)?;
        self.index = index::entries(params, self.resource_type, &resource);
        Ok(())
    }

    /// Turns every term into its number; leaves `rows` empty when one is not known to the source.
    pub(super) fn resolve(&mut self, terms: &mut Terms<'_>) -> Result<(), Error> {
        self.rows = rows(self, terms)?;
        Ok(())
    }
}

/// None as soon as one term has no number.
fn rows(change: &Prepared, terms: &mut Terms<'_>) -> Result<Option<Rows>, Error> {
    let mut rows = Rows::default();
    if let Content::Reading(reading) = &change.content
        && !change.parts.fill(&mut rows, reading, terms)?
    {
        return Ok(None);
    }
    for (name, entry) in &change.index {
        let Some(param) = terms.get(Kind::Param, change.rtype.into(), name)? else { return Ok(None) };
        if rows.add(param, entry, terms)?.is_none() {
            return Ok(None);
        }
    }
    rows.tidy();
    Ok(Some(rows))
}

/// The value in the canonical unit of what it measures; as it is when the unit is not in the table.
pub(super) fn canonical(value: f64, unit: Option<&str>) -> f64 {
    unit.and_then(ucum::canonical).map_or(value, |c| c.of(value))
}

/// The term of a local reference `Type/id`.
pub(super) fn local(terms: &mut Terms<'_>, text: &str) -> Result<Option<i64>, Error> {
    match reference::local(text) {
        Some(local) => terms.get(Kind::Reference, type_number(local.resource_type)?.into(), local.id),
        None => Ok(None),
    }
}

/// As much of a text as is searched by: an index entry of PostgreSQL has a limit.
pub(super) fn short(text: &str) -> String {
    text.chars().take(256).collect()
}
