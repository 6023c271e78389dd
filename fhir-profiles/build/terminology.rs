//! Expands the value sets that required bindings name. A value set that cannot be listed in full
//! (UCUM, media types, currencies, LOINC) is left out, and codes bound to it are not checked.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::record;

#[derive(Deserialize)]
pub(crate) struct Resource {
    url: String,
    /// Of a `ValueSet`: what it takes from which system.
    #[serde(default)]
    include: Option<Vec<Include>>,
    /// Of a `CodeSystem`: all its codes, children too.
    #[serde(default)]
    codes: Vec<String>,
}

#[derive(Deserialize)]
struct Include {
    system: String,
    /// Absent: the whole system.
    codes: Option<Vec<String>>,
}

type Expansion = BTreeMap<String, BTreeSet<String>>;

pub(crate) struct ValueSets(BTreeMap<String, Expansion>);

pub(crate) fn expand(resources: &[Resource]) -> ValueSets {
    let systems: BTreeMap<&str, &[String]> =
        resources.iter().filter(|r| r.include.is_none()).map(|r| (r.url.as_str(), r.codes.as_slice())).collect();
    let whole = |include: &Include| -> Option<(String, BTreeSet<String>)> {
        let codes = match &include.codes {
            Some(codes) => codes.as_slice(),
            None => systems.get(include.system.as_str())?,
        };
        Some((include.system.clone(), codes.iter().cloned().collect()))
    };
    let mut sets = BTreeMap::new();
    for resource in resources {
        let Some(includes) = &resource.include else { continue };
        let Some(parts) = includes.iter().map(whole).collect::<Option<Vec<_>>>() else { continue };
        let mut expansion = Expansion::new();
        for (system, codes) in parts {
            expansion.entry(system).or_default().extend(codes);
        }
        sets.insert(resource.url.clone(), expansion);
    }
    ValueSets(sets)
}

impl ValueSets {
    /// The number that stands for a value set in the other records.
    pub(crate) fn number(&self, canonical: &str) -> Option<usize> {
        let url = canonical.split('|').next()?;
        self.0.keys().position(|k| k == url)
    }

    /// `V url` opens a value set, `S system code code …` follows for each of its systems.
    pub(crate) fn write(&self, text: &mut String) {
        for (url, expansion) in &self.0 {
            record(text, &["V", url]);
            for (system, codes) in expansion {
                // A code may hold spaces; no code of these sets holds a bar.
                let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
                record(text, &["S", system, &codes.join("|")]);
            }
        }
    }
}
