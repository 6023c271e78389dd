//! What the segments of HL7 v2 are in FHIR, as data: events, segments, data types and codes, read once from the files
//! beside this one and checked as a whole. A site's own rows (Z segments, local codes) are laid over them. What a row
//! does to a message is done elsewhere.

mod row;
mod text;

#[cfg(test)]
mod docs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use serde_json::{Map as Object, Value};

pub use row::{Condition, Index, Kind, Path, Row, Source, Step};
use text::Text;

static OURS: LazyLock<Arc<Tables>> = LazyLock::new(|| {
    let tables = Text::ours().and_then(Tables::compile);
    // A unit test holds that there is none; and a server without tables refuses messages, it does not fall.
    Arc::new(tables.inspect_err(|fault| tracing::error!(fault, "the tables of HL7 cannot be read")).unwrap_or_default())
});

/// The tables in force for a channel.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    maps: BTreeMap<String, Map>,
    types: BTreeMap<String, Type>,
    codes: BTreeMap<String, BTreeMap<String, Target>>,
    events: Vec<Event>,
    text: Text,
}

/// A segment and the resource that it becomes, or that it belongs to.
#[derive(Clone, Debug)]
pub struct Map {
    pub name: String,
    pub segment: String,
    pub resource: &'static str,
    pub start: Start,
    pub search: bool,
    /// Fields that say which one it is.
    pub key: Vec<Source>,
    /// What finds the one that is meant when nothing says it: conditions of a search.
    pub current: Vec<(String, String)>,
    pub refs: Vec<Reference>,
    /// The member that lists the readings that follow.
    pub results: Option<String>,
    /// What the segment must hold.
    pub when: Vec<Condition>,
    pub merge: String,
    pub optional: bool,
    /// What its value is besides: a part of a document, a component of an Observation.
    pub part: Option<Part>,
    pub base: Object<String, Value>,
    pub ignore: BTreeSet<usize>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Each,
    Join,
    Add,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Document,
    Component,
}

/// A member that refers to another resource of the message.
#[derive(Clone, Debug)]
pub struct Reference {
    pub path: Path,
    pub resource: &'static str,
    pub with: Object<String, Value>,
}

/// A data type: its components and the members that they become.
#[derive(Clone, Debug)]
pub struct Type {
    pub base: Object<String, Value>,
    pub ignore: BTreeSet<usize>,
    pub rows: Vec<Row>,
}

/// What a code is in FHIR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// None: a code of FHIR's own, where the member says which system.
    pub system: Option<String>,
    pub code: String,
    pub display: Option<String>,
}

/// A kind of message.
#[derive(Clone, Debug)]
pub struct Event {
    pub name: String,
    /// Its codes: `ADT^A01`.
    pub on: Vec<String>,
    pub maps: Vec<String>,
    /// Segments that are read besides; with the fields that are, where not all are.
    pub heard: BTreeMap<String, Option<BTreeSet<usize>>>,
    pub readings: bool,
    /// It says nothing where it names no patient.
    pub patient: bool,
    /// By trigger: how an Encounter changes.
    pub visit: BTreeMap<String, String>,
    /// By trigger: the status that it gives.
    pub status: BTreeMap<String, String>,
}

impl Tables {
    /// The tables that come with the server.
    pub fn ours() -> Arc<Self> {
        OURS.clone()
    }

    /// These tables with a site's own laid over them: rows of a field replace ours of that field, others are added;
    /// new maps, types, codes and events are added, and an event's own maps go before ours.
    pub fn with_overrides(&self, text: &str) -> Result<Self, String> {
        let own = Text::read(text)?;
        Self::compile(self.text.clone().under(own))
    }

    fn compile(text: Text) -> Result<Self, String> {
        let mut tables = Self::default();
        for (name, codes) in &text.codes {
            let all = codes.iter().map(|(code, target)| (code.clone(), Target::read(target)));
            tables.codes.insert(name.clone(), all.collect());
        }
        for (name, own) in &text.types {
            let at = |fault: String| format!("type.{name}: {fault}");
            tables.types.insert(name.clone(), own.compile().map_err(at)?);
        }
        for (name, own) in &text.maps {
            let at = |fault: String| format!("map.{name}: {fault}");
            tables.maps.insert(name.clone(), own.compile(name).map_err(at)?);
        }
        for (name, own) in &text.events {
            tables.events.push(own.compile(name).map_err(|fault| format!("event.{name}: {fault}"))?);
        }
        tables.text = text;
        tables.check()?;
        Ok(tables)
    }

    /// What one table says of another must be there.
    fn check(&self) -> Result<(), String> {
        for event in &self.events {
            for map in &event.maps {
                self.maps.get(map).ok_or_else(|| format!("event.{}: there is no map {map}", event.name))?;
            }
        }
        let of_maps = self.maps.values().map(|map| (&map.name, &map.rows));
        let of_types = self.types.iter().map(|(name, own)| (name, &own.rows));
        for (name, row) in of_maps.chain(of_types).flat_map(|(name, rows)| rows.iter().map(move |row| (name, row))) {
            let fault = |what: &str| Err(format!("{name}: `{}`: {what}", row.text));
            match &row.kind {
                Kind::Typed(kind) if !self.types.contains_key(kind) => return fault("there is no such type"),
                Kind::Coding if row.codes.is_none() => return fault("a table of codes is needed"),
                _ => {}
            }
            if row.codes.as_ref().is_some_and(|codes| !self.codes.contains_key(&codes.name)) {
                return fault("there is no such table of codes");
            }
        }
        Ok(())
    }

    /// The event of a message: `ADT`, `A01`.
    pub fn event(&self, kind: &str, trigger: &str) -> Option<&Event> {
        let code = format!("{kind}^{trigger}");
        self.events.iter().find(|event| event.on.contains(&code))
    }

    pub fn events(&self) -> &[Event] {
        &self.events
    }

    pub fn map(&self, name: &str) -> Option<&Map> {
        self.maps.get(name)
    }

    pub fn maps(&self) -> impl Iterator<Item = &Map> {
        self.maps.values()
    }

    pub fn typed(&self, name: &str) -> Option<&Type> {
        self.types.get(name)
    }

    pub fn target(&self, table: &str, code: &str) -> Option<&Target> {
        self.codes.get(table)?.get(code)
    }
}

impl Target {
    /// `code`, or `system#code display`.
    fn read(text: &str) -> Self {
        let Some((system, rest)) = text.split_once('#') else {
            return Self { system: None, code: text.to_owned(), display: None };
        };
        let (code, display) = rest.split_once(' ').map_or((rest, None), |(code, display)| (code, Some(display)));
        Self { system: Some(system.to_owned()), code: code.to_owned(), display: display.map(str::to_owned) }
    }
}
