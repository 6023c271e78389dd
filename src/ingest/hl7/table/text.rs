//! The tables as they are written in TOML, and a site's laid over ours. What a row means is read in [`super::row`].

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map as Object, Value};

use super::row::{Condition, Path, Row, Source};
use super::{Event, Map, Part, Reference, Start, Type};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    #[serde(default, rename = "map")]
    pub(super) maps: BTreeMap<String, MapText>,
    #[serde(default, rename = "type")]
    pub(super) types: BTreeMap<String, TypeText>,
    #[serde(default)]
    pub(super) codes: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default, rename = "event")]
    pub(super) events: BTreeMap<String, EventText>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MapText {
    segment: Option<String>,
    resource: Option<String>,
    start: Option<String>,
    search: Option<bool>,
    key: Option<String>,
    current: Option<String>,
    refs: Option<Vec<String>>,
    results: Option<String>,
    when: Option<String>,
    merge: Option<String>,
    optional: Option<bool>,
    part: Option<String>,
    base: Option<String>,
    ignore: Option<String>,
    #[serde(default)]
    rows: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypeText {
    base: Option<String>,
    ignore: Option<String>,
    #[serde(default)]
    rows: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventText {
    #[serde(default)]
    on: String,
    #[serde(default)]
    maps: Vec<String>,
    #[serde(default)]
    heard: String,
    readings: Option<bool>,
    patient: Option<bool>,
    #[serde(default)]
    visit: BTreeMap<String, String>,
    #[serde(default)]
    status: BTreeMap<String, String>,
}

impl Text {
    pub(super) fn ours() -> Result<Self, String> {
        let files = [
            ("codes.toml", include_str!("data/codes.toml")),
            ("datatypes.toml", include_str!("data/datatypes.toml")),
            ("segments.toml", include_str!("data/segments.toml")),
            ("events.toml", include_str!("data/events.toml")),
        ];
        files.into_iter().try_fold(Self::default(), |all, (name, text)| {
            let own = Self::read(text).map_err(|fault| format!("{name}: {fault}"))?;
            Ok(all.under(own))
        })
    }

    pub(super) fn read(text: &str) -> Result<Self, String> {
        toml_edit::de::from_str(text).map_err(|error| error.to_string())
    }

    /// The other laid over this one.
    pub(super) fn under(mut self, over: Self) -> Self {
        for (name, own) in over.maps {
            let below = self.maps.remove(&name).unwrap_or_default();
            self.maps.insert(name, below.under(own));
        }
        for (name, own) in over.types {
            let below = self.types.remove(&name).unwrap_or_default();
            let rows = laid(below.rows, own.rows);
            let (base, ignore) = (own.base.or(below.base), own.ignore.or(below.ignore));
            self.types.insert(name, TypeText { base, ignore, rows });
        }
        for (name, own) in over.codes {
            self.codes.entry(name).or_default().extend(own);
        }
        for (name, own) in over.events {
            let below = self.events.remove(&name).unwrap_or_default();
            self.events.insert(name, below.under(own));
        }
        self
    }
}

/// Rows of a field replace those below of the same field.
fn laid(below: Vec<String>, own: Vec<String>) -> Vec<String> {
    let field = |row: &str| row.trim().split([' ', '.']).next().unwrap_or_default().to_owned();
    let told: BTreeSet<String> = own.iter().map(|row| field(row)).collect();
    let kept = below.into_iter().filter(|row| !told.contains(&field(row)));
    kept.chain(own).collect()
}

impl MapText {
    fn under(self, own: Self) -> Self {
        Self {
            segment: own.segment.or(self.segment),
            resource: own.resource.or(self.resource),
            start: own.start.or(self.start),
            search: own.search.or(self.search),
            key: own.key.or(self.key),
            current: own.current.or(self.current),
            refs: own.refs.or(self.refs),
            results: own.results.or(self.results),
            when: own.when.or(self.when),
            merge: own.merge.or(self.merge),
            optional: own.optional.or(self.optional),
            part: own.part.or(self.part),
            base: own.base.or(self.base),
            ignore: own.ignore.or(self.ignore),
            rows: laid(self.rows, own.rows),
        }
    }

    pub(super) fn compile(&self, name: &str) -> Result<Map, String> {
        let resource = kind(self.resource.as_deref().ok_or("`resource` is missing")?)?;
        let start = match self.start.as_deref() {
            None | Some("each") => Start::Each,
            Some("join") => Start::Join,
            Some("add") => Start::Add,
            Some(other) => return Err(format!("`start`: {other} is not known")),
        };
        let part = match self.part.as_deref() {
            None => None,
            Some("document") => Some(Part::Document),
            Some("component") => Some(Part::Component),
            Some(other) => return Err(format!("`part`: {other} is not known")),
        };
        let key = self.key.iter().flat_map(|key| key.split_whitespace()).map(Source::read).collect::<Result<_, _>>()?;
        let current = self.current.iter().flat_map(|text| text.split_whitespace()).map(|pair| {
            let (name, value) = pair.split_once('=').ok_or("`current` is a list of name=value")?;
            Ok((name.to_owned(), value.to_owned()))
        });
        let merge = self.merge.clone().unwrap_or_else(|| "update".to_owned());
        Ok(Map {
            name: name.to_owned(),
            segment: self.segment.clone().ok_or("`segment` is missing")?,
            resource,
            start,
            search: self.search.unwrap_or(false),
            key,
            current: current.collect::<Result<_, String>>()?,
            refs: self.refs.iter().flatten().map(|text| reference(text)).collect::<Result<_, _>>()?,
            results: self.results.clone(),
            when: self.when.iter().flat_map(|when| when.split_whitespace()).map(condition).collect::<Result<_, _>>()?,
            merge: if super::super::policy::is_known(&merge) {
                merge
            } else {
                return Err(format!("`merge`: {merge}"));
            },
            optional: self.optional.unwrap_or(false),
            part,
            base: object(self.base.as_deref())?,
            ignore: numbers(self.ignore.as_deref())?,
            rows: self.rows.iter().map(|row| Row::read(row)).collect::<Result<_, _>>()?,
        })
    }
}

impl TypeText {
    pub(super) fn compile(&self) -> Result<Type, String> {
        let rows: Vec<Row> = self.rows.iter().map(|row| Row::read(row)).collect::<Result<_, _>>()?;
        Ok(Type { base: object(self.base.as_deref())?, ignore: numbers(self.ignore.as_deref())?, rows })
    }
}

impl EventText {
    fn under(self, own: Self) -> Self {
        let joined = |below: String, own: String| format!("{below} {own}").trim().to_owned();
        let (mut visit, mut status) = (self.visit, self.status);
        visit.extend(own.visit);
        status.extend(own.status);
        Self {
            on: joined(self.on, own.on),
            maps: own.maps.into_iter().chain(self.maps).collect(),
            heard: joined(self.heard, own.heard),
            readings: own.readings.or(self.readings),
            patient: own.patient.or(self.patient),
            visit,
            status,
        }
    }

    pub(super) fn compile(&self, name: &str) -> Result<Event, String> {
        Ok(Event {
            name: name.to_owned(),
            on: self.on.split_whitespace().map(str::to_owned).collect(),
            maps: self.maps.clone(),
            heard: self.heard.split_whitespace().map(heard).collect::<Result<_, _>>()?,
            readings: self.readings.unwrap_or(false),
            patient: self.patient.unwrap_or(false),
            visit: self.visit.clone(),
            status: self.status.clone(),
        })
    }
}

/// `NTE`, or `OBX:1,2,3`.
fn heard(text: &str) -> Result<(String, Option<BTreeSet<usize>>), String> {
    let Some((name, fields)) = text.split_once(':') else { return Ok((text.to_owned(), None)) };
    let fields = fields.split(',').map(number).collect::<Result<_, _>>()?;
    Ok((name.to_owned(), Some(fields)))
}

/// `18`, `2=ED|RP`, or `!2`: it is empty.
fn condition(text: &str) -> Result<Condition, String> {
    match text.strip_prefix('!') {
        Some(text) => Condition::read(text, false),
        None => Condition::read(text, true),
    }
}

/// `member=Type`, perhaps `with {json}`.
fn reference(text: &str) -> Result<Reference, String> {
    let (head, with) = text.split_once(" with ").map_or((text, None), |(head, with)| (head, Some(with)));
    let (path, resource) = head.split_once('=').ok_or("`refs` are written member=Type")?;
    Ok(Reference { path: Path::read(path)?, resource: kind(resource)?, with: object(with)? })
}

fn kind(name: &str) -> Result<&'static str, String> {
    let known = fhir_r4::resource_type_index(name).and_then(|index| fhir_r4::resource_types().get(index)).copied();
    known.ok_or_else(|| format!("{name} is no type of R4"))
}

pub(super) fn object(text: Option<&str>) -> Result<Object<String, Value>, String> {
    let Some(text) = text else { return Ok(Object::new()) };
    serde_json::from_str(text).map_err(|_| format!("`{text}` is no JSON object"))
}

pub(super) fn number(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("`{text}` is no number of a field"))
}

fn numbers(text: Option<&str>) -> Result<BTreeSet<usize>, String> {
    text.unwrap_or_default().split_whitespace().map(number).collect()
}
