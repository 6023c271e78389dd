//! The search parameters in force: the built-in table, and over it those that somebody stored. One state of them
//! is read by everything that indexes, searches, includes or tells what can be searched. How a stored definition
//! is read and judged is the business of `custom`; who reads it from the database is the store.

use std::collections::HashMap;
use std::sync::OnceLock;

use fhir_r4::SearchParameter;
use serde_json::Value;

use super::custom;
use super::params::{self, Param};

/// So many definitions are in force at most: each costs every write of its types.
pub const MAX_CUSTOM: usize = 500;

/// What can be searched by. The default is the built-in table.
#[derive(Default)]
pub struct Params {
    version: i64,
    custom: Vec<Custom>,
    by_type: HashMap<&'static str, Vec<Place>>,
    told: OnceLock<String>,
}

/// A stored definition in force. It lives as long as the process does, as the built-in ones do; the same version of it
/// is compiled once.
#[derive(Clone)]
struct Custom {
    id: String,
    /// The version of the definition.
    seq: i64,
    ready: bool,
    params: Vec<(&'static str, &'static Param)>,
}

#[derive(Clone, Copy)]
struct Place {
    param: &'static Param,
    ready: bool,
}

/// A definition as it is stored.
pub struct Definition {
    pub id: String,
    pub seq: i64,
    pub resource: Value,
}

impl Params {
    /// The next state: what is compiled already is kept. What cannot be in force is told, by id.
    pub fn next(&self, version: i64, definitions: &[Definition], ready: &[i64]) -> (Self, Vec<(String, String)>) {
        let (mut next, mut problems) = (Self { version, ..Self::default() }, Vec::new());
        for definition in definitions {
            let known = self.custom.iter().find(|custom| custom.seq == definition.seq).cloned();
            let found = known.map_or_else(|| compile(definition, &next), |known| Ok(Some(known)));
            match found {
                Ok(Some(custom)) if next.custom.len() < MAX_CUSTOM => {
                    next.add(Custom { ready: ready.contains(&custom.seq), ..custom });
                }
                Ok(Some(_)) => problems.push((definition.id.clone(), format!("only {MAX_CUSTOM} can be in force"))),
                Ok(None) => {}
                Err(why) => problems.push((definition.id.clone(), why)),
            }
        }
        (next, problems)
    }

    fn add(&mut self, custom: Custom) {
        for (kind, param) in &custom.params {
            self.by_type.entry(kind).or_default().push(Place { param, ready: custom.ready });
        }
        self.custom.push(custom);
    }

    /// Which state this is: it counts on whenever a definition is changed or becomes ready.
    pub fn version(&self) -> i64 {
        self.version
    }

    fn custom_of(&self, kind: &str) -> &[Place] {
        self.by_type.get(kind).map_or(&[], Vec::as_slice)
    }

    /// What a type can be searched by.
    pub fn of(&self, kind: &str) -> impl Iterator<Item = &'static Param> {
        params::of(kind).iter().chain(self.custom_of(kind).iter().filter(|place| place.ready).map(|place| place.param))
    }

    /// What a resource of a type is indexed by: also what cannot be searched yet.
    pub fn indexed(&self, kind: &str) -> impl Iterator<Item = &'static Param> {
        params::of(kind).iter().chain(self.custom_of(kind).iter().map(|place| place.param))
    }

    pub fn find(&self, kind: &str, name: &str) -> Option<&'static Param> {
        let own = || self.custom_of(kind).iter().find(|place| place.ready && place.param.name == name);
        params::find(kind, name).or_else(|| own().map(|place| place.param))
    }

    /// Whether it is indexed from now on, but not everywhere yet.
    pub fn is_waiting(&self, kind: &str, name: &str) -> bool {
        self.custom_of(kind).iter().any(|place| !place.ready && place.param.name == name)
    }

    /// Whether the type has it, be it ready or not.
    pub fn is_declared(&self, kind: &str, name: &str) -> bool {
        params::find(kind, name).is_some() || self.custom_of(kind).iter().any(|place| place.param.name == name)
    }

    /// Whether another definition than that of this id has the name at this type.
    pub fn is_taken(&self, kind: &str, name: &str, id: Option<&str>) -> bool {
        let another = |custom: &Custom| {
            Some(custom.id.as_str()) != id && custom.params.iter().any(|(k, p)| *k == kind && p.name == name)
        };
        params::find(kind, name).is_some() || self.custom.iter().any(another)
    }

    /// What is told of it, written when it is first asked for.
    pub fn told(&self, write: impl FnOnce() -> String) -> &str {
        self.told.get_or_init(write)
    }

    /// The versions that are about this type alone and not ready yet.
    pub fn waiting_of(&self, kind: &str) -> Vec<i64> {
        let own = |custom: &&Custom| !custom.ready && custom.params.iter().all(|(of, _)| *of == kind);
        self.custom.iter().filter(own).map(|custom| custom.seq).collect()
    }

    /// The versions that are ready once everything of these types (none: of all) up to a place of the log is indexed.
    pub fn ready_after(&self, kinds: &[&str], until: i64) -> Vec<i64> {
        let whole = |custom: &&Custom| kinds.is_empty() || custom.params.iter().all(|(kind, _)| kinds.contains(kind));
        let known = self.custom.iter().filter(|custom| custom.seq <= until);
        known.filter(whole).map(|custom| custom.seq).collect()
    }
}

fn compile(stored: &Definition, others: &Params) -> Result<Option<Custom>, String> {
    let wrong = |issues: Vec<fhir_r4::Issue>| {
        issues.into_iter().map(|issue| issue.diagnostics).next().unwrap_or_else(|| "it is not usable".to_owned())
    };
    let Some(declared) = custom::read(&stored.resource, others).map_err(wrong)? else { return Ok(None) };
    let kinds = declared.kinds.clone();
    let definition: &'static SearchParameter = Box::leak(Box::new(declared.into_definition()));
    let params = kinds.into_iter().filter_map(|kind| {
        let param: &'static Param = Box::leak(Box::new(params::custom(kind, definition, &stored.id)?));
        Some((kind, param))
    });
    Ok(Some(Custom { id: stored.id.clone(), seq: stored.seq, ready: false, params: params.collect() }))
}
