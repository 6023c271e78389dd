//! `ValueSet/$expand`, `CodeSystem/$lookup` and the two `$validate-code`, over what is shipped and what is stored.

mod codes;

pub(super) use codes::{lookup, validate_in_set, validate_in_system};

use serde_json::{Map, Value, json};

use super::Call;
use super::input::{Input, required};
use crate::auth::access::Action;
use crate::clock::new_id;
use crate::error::Error;
use crate::fhir::index::fold;
use crate::fhir::reading::str_of;
use crate::fhir::terminology::{Concept, Kind, Library, Problem, expand as expanded};
use crate::fhir::time;

const PARAMETERS: [&str; 10] = [
    "url",
    "valueSet",
    "valueSetVersion",
    "filter",
    "offset",
    "count",
    "includeDesignations",
    "activeOnly",
    "excludeNested",
    "displayLanguage",
];

pub(super) async fn expand(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    call.access.check(Action::Search, "ValueSet")?;
    let input = Input::of(call, Some("valueSet"))?;
    input.only(&PARAMETERS)?;
    let (offset, count) = (input.number("offset", 0)?, input.number("count", 0)?);
    let (definition, library) = definition(call, &input, Kind::ValueSet).await?;
    let mut concepts = expanded(&library, &definition).map_err(|problem| told(&problem))?;
    if let Some(filter) = input.text("filter")? {
        concepts.retain(|concept| has_words(concept, filter));
    }
    if input.flag("activeOnly")? == Some(true) {
        concepts.retain(|concept| !concept.is_inactive);
    }
    let total = concepts.len();
    let with_designations = input.flag("includeDesignations")? == Some(true);
    let shown = concepts.iter().skip(offset.unwrap_or(0)).take(count.unwrap_or(usize::MAX));
    let contains: Vec<Value> = shown.map(|concept| contained(concept, with_designations)).collect();
    let mut expansion = object(json!({"identifier": format!("urn:uuid:{}", new_id()),
        "timestamp": time::instant(call.state.store.clock().now()), "total": total}));
    if let Some(offset) = offset {
        expansion.insert("offset".into(), offset.into());
    }
    let parameters = said(&input)?;
    for (name, list) in [("parameter", parameters), ("contains", contains)] {
        if !list.is_empty() {
            expansion.insert(name.into(), list.into());
        }
    }
    let mut answer = object(json!({"resourceType": "ValueSet"}));
    for name in ["url", "version", "name", "title", "status"] {
        answer.extend(definition.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    answer.entry("status").or_insert_with(|| "unknown".into());
    answer.insert("expansion".into(), expansion.into());
    Ok(Value::from(answer).to_string().into_bytes())
}

/// The parameters that shaped the expansion.
fn said(input: &Input) -> Result<Vec<Value>, Error> {
    let mut said = Vec::new();
    for (name, kind) in [("filter", "valueString"), ("displayLanguage", "valueCode")] {
        said.extend(input.text(name)?.map(|text| json!({"name": name, kind: text})));
    }
    for name in ["offset", "count"] {
        said.extend(input.number(name, 0)?.map(|number| json!({"name": name, "valueInteger": number})));
    }
    for name in ["includeDesignations", "activeOnly"] {
        said.extend(input.flag(name)?.map(|flag| json!({"name": name, "valueBoolean": flag})));
    }
    Ok(said)
}

/// Every word of the filter begins a word of the display, or the code.
fn has_words(concept: &Concept, filter: &str) -> bool {
    let text = fold(&format!("{} {}", concept.code, concept.display.as_deref().unwrap_or_default()));
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '-').collect();
    fold(filter).split_whitespace().all(|wanted| words.iter().any(|word| word.starts_with(wanted)))
}

fn contained(concept: &Concept, with_designations: bool) -> Value {
    let mut one = Map::new();
    if !concept.system.is_empty() {
        one.insert("system".into(), concept.system.clone().into());
    }
    for (name, is) in [("abstract", concept.is_abstract), ("inactive", concept.is_inactive)] {
        if is {
            one.insert(name.into(), true.into());
        }
    }
    one.insert("code".into(), concept.code.clone().into());
    one.extend(concept.display.clone().map(|display| ("display".to_owned(), display.into())));
    if with_designations {
        one.extend(concept.designation.clone().map(|all| ("designation".to_owned(), all)));
    }
    one.into()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// What the call is about (the resource it is called on, one that was sent, or one by its url), with all that
/// it is made of.
async fn definition(call: &Call<'_>, input: &Input, kind: Kind) -> Result<(Value, Library), Error> {
    let (sent, version) = match kind {
        Kind::ValueSet => ("valueSet", "valueSetVersion"),
        Kind::CodeSystem => ("codeSystem", "version"),
    };
    let store = &call.state.store;
    let known = match (&call.id, input.object(sent)?) {
        (Some(id), _) => Some(store.find(call.access, kind.name(), id).await?.value()?),
        (None, Some(given)) if str_of(given, "resourceType") == Some(kind.name()) => Some(given.clone()),
        (None, Some(_)) => {
            return Err(Error::invalid("value", format!("http.{sent}"), format!("this must be a {}", kind.name())));
        }
        (None, None) => None,
    };
    if let Some(known) = known {
        let library = store.library(call.access, vec![], std::slice::from_ref(&known)).await?;
        return Ok((known, library));
    }
    let url = input.text("url")?.ok_or_else(|| required("url"))?;
    let canonical = match input.text(version)? {
        Some(version) if !url.contains('|') => format!("{url}|{version}"),
        _ => url.to_owned(),
    };
    let library = store.library(call.access, vec![(kind, canonical.clone())], &[]).await?;
    let found = match kind {
        Kind::ValueSet => library.value_set(&canonical),
        Kind::CodeSystem => library.code_system(&canonical),
    };
    let found = found.cloned().ok_or_else(|| Error::not_found(kind.name(), canonical))?;
    Ok((found, library))
}

/// A problem of the definitions as an error of the catalogue.
fn told(problem: &Problem) -> Error {
    match problem {
        Problem::Unknown(kind, url) => {
            Error::unprocessable("not-found", "http.url", format!("the {} {url} is not known here", kind.name()))
        }
        Problem::TooCostly(why) => Error::unprocessable("too-costly", "http.url", why.clone()),
        Problem::NotSupported(why) => Error::unprocessable("not-supported", "http.url", why.clone()),
    }
}
