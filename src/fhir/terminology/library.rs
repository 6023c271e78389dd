//! The definitions at hand: those that somebody put in from the store before those that are shipped.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde_json::Value;

use crate::fhir::reading::{list, str_of};

/// R4's own value sets and code systems (see `data/SOURCES.md`).
const SHIPPED: &str = include_str!("../data/terminology.ndjson");

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    ValueSet,
    CodeSystem,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::ValueSet => "ValueSet",
            Self::CodeSystem => "CodeSystem",
        }
    }
}

static TABLE: LazyLock<HashMap<(Kind, &'static str), &'static str>> = LazyLock::new(|| {
    SHIPPED
        .lines()
        .filter_map(|line| Some((kind_of_line(line)?, url_of_line(line)?, line)))
        .map(|(k, u, l)| ((k, u), l))
        .collect()
});

fn kind_of_line(line: &str) -> Option<Kind> {
    let rest = line.strip_prefix("{\"resourceType\":\"")?;
    Some(if rest.starts_with("ValueSet") { Kind::ValueSet } else { Kind::CodeSystem })
}

fn url_of_line(line: &'static str) -> Option<&'static str> {
    line.split_once("\"url\":\"")?.1.split('"').next()
}

/// Definitions by kind and canonical. What is absent is remembered too, so that it is looked for once.
#[derive(Clone, Debug, Default)]
pub struct Library {
    held: BTreeMap<(Kind, String), Option<Value>>,
}

impl Library {
    /// Puts in what the store has, or has not.
    pub fn add(&mut self, kind: Kind, canonical: &str, definition: Option<Value>) {
        let definition = definition.or_else(|| shipped(kind, canonical));
        self.held.insert((kind, canonical.to_owned()), definition);
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn get(&self, kind: Kind, canonical: &str) -> Option<&Value> {
        self.held.get(&(kind, canonical.to_owned()))?.as_ref()
    }

    pub fn value_set(&self, canonical: &str) -> Option<&Value> {
        self.get(Kind::ValueSet, canonical)
    }

    pub fn code_system(&self, canonical: &str) -> Option<&Value> {
        self.get(Kind::CodeSystem, canonical)
    }

    /// What the definitions at hand refer to and nobody has looked for yet.
    pub fn missing(&self) -> Vec<(Kind, String)> {
        let named = self.held.values().flatten().flat_map(needs);
        let mut missing: Vec<_> = named.filter(|want| !self.held.contains_key(want)).collect();
        missing.sort();
        missing.dedup();
        missing
    }
}

/// The definitions that a value set is made of.
pub(super) fn needs(definition: &Value) -> Vec<(Kind, String)> {
    let mut needs = Vec::new();
    let compose = definition.get("compose");
    for part in ["include", "exclude"].iter().flat_map(|part| list(compose.and_then(|c| c.get(part)))) {
        if let Some(system) = system_of(part) {
            needs.push((Kind::CodeSystem, system));
        }
        needs.extend(list(part.get("valueSet")).filter_map(Value::as_str).map(|url| (Kind::ValueSet, url.to_owned())));
    }
    needs
}

/// The system of an include as a canonical.
pub(super) fn system_of(include: &Value) -> Option<String> {
    let system = str_of(include, "system")?;
    Some(str_of(include, "version").map_or_else(|| system.to_owned(), |version| format!("{system}|{version}")))
}

/// A shipped definition; a version that is named must be its own.
fn shipped(kind: Kind, canonical: &str) -> Option<Value> {
    let (url, version) = canonical.split_once('|').map_or((canonical, None), |(url, version)| (url, Some(version)));
    let definition: Value = serde_json::from_str(TABLE.get(&(kind, url))?).ok()?;
    version.is_none_or(|version| str_of(&definition, "version") == Some(version)).then_some(definition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_definition_is_found_by_its_url() {
        assert_eq!(TABLE.len(), SHIPPED.lines().count());
        for (kind, url) in TABLE.keys() {
            let definition = shipped(*kind, url).unwrap();
            assert_eq!(
                (str_of(&definition, "url"), str_of(&definition, "resourceType")),
                (Some(*url), Some(kind.name()))
            );
        }
        let url = "http://hl7.org/fhir/ValueSet/observation-status";
        assert!(shipped(Kind::ValueSet, &format!("{url}|4.0.1")).is_some());
        assert!(shipped(Kind::ValueSet, &format!("{url}|5.0.0")).is_none());
    }
}
