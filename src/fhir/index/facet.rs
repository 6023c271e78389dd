//! What is indexed beside a value, for the modifiers `:text`, `:identifier` and `:of-type`.

use fhir_r4::SearchKind;
use serde_json::Value;

use super::Entry;
use crate::fhir::params::{Facet, Param};
use crate::fhir::query::of_type_code;
use crate::fhir::reading::{codings, list, str_of};

/// What a code is called, as far as it is searched by.
const MAX_NAMES: usize = 8;

pub(super) fn read(param: &Param, value: &Value, found: &mut dyn FnMut(Facet, Entry)) {
    if !value.is_object() {
        return;
    }
    match param.kind {
        SearchKind::Token => {
            if param.column.is_none() {
                for name in names(value) {
                    found(Facet::Text, Entry::Text(name.to_owned()));
                }
            }
            if param.name == "identifier" {
                of_type(value, found);
            }
        }
        SearchKind::Reference => {
            // The display of what a column refers to would be a row for nearly every reading.
            if let (true, Some(display)) = (param.column.is_none(), str_of(value, "display")) {
                found(Facet::Text, Entry::Text(display.to_owned()));
            }
            if let Some((identifier, code)) = value.get("identifier").and_then(|i| Some((i, str_of(i, "value")?))) {
                let system = str_of(identifier, "system").unwrap_or_default().to_owned();
                found(Facet::Identifier, Entry::Token { system, code: code.to_owned() });
            }
        }
        _ => {}
    }
}

/// What a CodeableConcept, a Coding or the type of an Identifier is called.
pub fn names(value: &Value) -> Vec<&str> {
    let of_type = value.get("type").filter(|_| value.get("value").is_some());
    let concept = of_type.unwrap_or(value);
    let displays = list(concept.get("coding")).chain(std::iter::once(concept)).filter_map(|c| str_of(c, "display"));
    let mut names: Vec<&str> = str_of(concept, "text").into_iter().chain(displays).collect();
    names.dedup();
    names.truncate(MAX_NAMES);
    names
}

fn of_type(identifier: &Value, found: &mut dyn FnMut(Facet, Entry)) {
    let Some(value) = str_of(identifier, "value") else { return };
    for (system, code) in codings(identifier.get("type")) {
        found(Facet::OfType, Entry::Token { system, code: of_type_code(&code, value) });
    }
}
