//! The elements of a profile that carries only a differential: those of its base, changed by what the differential
//! says. The elements of a base definition of R4 are taken from the tables as they are needed, so the result holds
//! only what profiles touch. Nothing here knows how a resource is held to it.

mod base;
mod merge;
mod route;
mod tree;

use serde_json::Value;

use super::numbers;
use crate::{Issue, Severity, tables::TABLES};
use tree::Branch;

/// Bases of bases: more than any guide has.
const MAX_BASES: usize = 32;
/// More elements than any guide has.
const MAX_ELEMENTS: usize = 20_000;

/// Why a definition cannot be applied.
#[derive(Debug)]
pub(super) struct Fault {
    /// The place of the element of the differential that is at fault.
    place: Option<usize>,
    why: String,
    /// It will not be better when more is loaded.
    is_final: bool,
}

impl Fault {
    /// Something may be missing that comes later.
    pub(super) fn open(why: impl Into<String>) -> Self {
        Self { place: None, why: why.into(), is_final: false }
    }

    fn at(place: usize, why: String) -> Self {
        Self { place: Some(place), why, is_final: true }
    }

    /// What a differential came to cannot be used.
    pub(super) fn made(why: String) -> Self {
        Self { place: None, why, is_final: true }
    }

    pub(super) fn why(self) -> String {
        self.why
    }

    /// As it is told to who sends the definition.
    pub(super) fn issue(self) -> Issue {
        let expression = match self.place {
            Some(at) => format!("StructureDefinition.differential.element[{at}]"),
            None => "StructureDefinition".to_owned(),
        };
        if self.is_final {
            return Issue::error("invalid", expression, format!("the differential cannot be applied: {}", self.why));
        }
        let text = format!("nothing will be held to this profile: {}", self.why);
        Issue { severity: Severity::Warning, code: "not-supported", expression, diagnostics: text }
    }
}

/// The elements of a profile: its snapshot, or one made from its differential and its bases, which are looked for
/// among `all`.
pub(super) fn elements(definition: &Value, all: &[&Value]) -> Result<Vec<Value>, Fault> {
    of(definition, all, &mut Vec::new())
}

fn of<'a>(definition: &'a Value, all: &[&'a Value], open: &mut Vec<&'a str>) -> Result<Vec<Value>, Fault> {
    if let Some(own) = list(definition, "snapshot") {
        return Ok(own.to_vec());
    }
    let text = |name: &str| definition.get(name).and_then(Value::as_str);
    let (Some(differential), Some(base), Some(kind)) =
        (list(definition, "differential"), text("baseDefinition"), text("type"))
    else {
        return Err(Fault::open("a profile needs its snapshot, or a differential and the base that this changes"));
    };
    if differential.len() > MAX_ELEMENTS {
        return Err(Fault::open("more elements than are compiled"));
    }
    let url = text("url").unwrap_or_default();
    if open.len() >= MAX_BASES {
        return Err(Fault {
            place: None,
            why: "it has too many bases, one above the other".to_owned(),
            is_final: true,
        });
    }
    open.push(url);
    let mut root = base_of(base, kind, all, open)?;
    open.pop();
    route::apply(&mut root, differential)?;
    let mut found = Vec::new();
    root.write("", "", &mut found);
    Ok(found)
}

fn base_of<'a>(canonical: &'a str, kind: &str, all: &[&'a Value], open: &mut Vec<&'a str>) -> Result<Branch, Fault> {
    let (url, version) = canonical.split_once('|').map_or((canonical, None), |(url, v)| (url, Some(v)));
    let node = TABLES.node_of(kind).ok_or_else(|| Fault::open("the type that is profiled is not one of FHIR R4"))?;
    if open.contains(&url) {
        return Err(Fault {
            place: None,
            why: "it is, by way of its bases, made of itself".to_owned(),
            is_final: true,
        });
    }
    let text = |of: &'a Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default();
    let same = |of: &&&'a Value| {
        text(of, "resourceType") == "StructureDefinition"
            && text(of, "url") == url
            && version.is_none_or(|version| text(of, "version") == version)
    };
    if let Some(base) = all.iter().filter(same).max_by_key(|of| numbers(text(of, "version"))) {
        if text(base, "type") != kind {
            return Err(Fault::open("its base is a profile of another type"));
        }
        let elements = of(base, all, open).map_err(|fault| Fault {
            place: None,
            why: format!("its base {url}: {}", fault.why),
            is_final: fault.is_final,
        })?;
        return Branch::read(&elements, node).map_err(|why| Fault::open(format!("its base {url}: {why}")));
    }
    if let Some(profile) = TABLES.profiles.iter().find(|own| own.url == url) {
        return Ok(base::of_embedded(profile, node));
    }
    if url.strip_prefix("http://hl7.org/fhir/StructureDefinition/") == Some(kind) {
        return Ok(Branch::root(kind, node));
    }
    Err(Fault::open(format!("its base {url} is not loaded here")))
}

fn list<'a>(definition: &'a Value, name: &str) -> Option<&'a [Value]> {
    definition.get(name)?.get("element")?.as_array().map(Vec::as_slice)
}

#[cfg(test)]
mod tests;
