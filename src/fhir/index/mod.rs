//! What a resource is found by: the values of every declared search parameter, taken out of it by the
//! parameter's selectors. The shape of a value decides how it is read, as R4's search page describes per type.

mod component;
mod facet;

use fhir_r4::SearchKind;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

pub use self::component::{Component, components};
pub use self::facet::names;
use super::params::{self, Facet, Param};
use super::reading::{Code, amount, list, period, str_of};
use super::registry::Params;
use super::{globe, reference, time};

/// One value that a resource is found by.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// `system` is empty when the value has none.
    Token {
        system: String,
        code: String,
    },
    /// A local reference, without version.
    Reference(String),
    /// A reference elsewhere, or a uri.
    Uri(String),
    Text(String),
    /// [start, end) in µs.
    Date(i64, i64),
    Quantity {
        value: f64,
        unit: Option<Code>,
    },
    /// A place on the globe, in degrees of WGS84.
    Position {
        latitude: f64,
        longitude: f64,
    },
    /// Values of one element that belong together.
    Pair {
        first: Code,
        second: Box<Second>,
    },
}

/// What stands beside the code in a pair.
#[derive(Clone, Debug, PartialEq)]
pub enum Second {
    Value(Entry),
    /// From, to.
    Numbers(f64, f64),
}

/// A value with the name that it is indexed under.
pub type Named = (&'static str, Entry);

/// Every index value of the resource, with the name it is found under; columns are left out.
pub fn entries(params: &Params, resource_type: &str, resource: &Value) -> Vec<Named> {
    let mut found = Vec::new();
    for param in params.indexed(resource_type) {
        let from = found.len();
        let mut push = |name: &'static str, entry: Entry| {
            let pair = (name, entry);
            if !found.get(from..).is_some_and(|seen: &[Named]| seen.contains(&pair)) {
                found.push(pair);
            }
        };
        if param.kind == SearchKind::Composite {
            if param.column.is_none() {
                pairs(param, resource_type, resource, &mut |entry| push(param.name, entry));
            }
            continue;
        }
        for selector in &param.selectors {
            selector.walk(resource, &mut |value| {
                if param.column.is_none() {
                    read(param.kind, value, &mut |entry| push(param.index_name(Facet::Value), entry));
                }
                facet::read(param, value, &mut |facet, entry| push(param.index_name(facet), entry));
            });
        }
    }
    found
}

/// The values of one parameter, also of those that have columns; none of a composite one.
pub fn values(param: &Param, resource: &Value) -> Vec<Entry> {
    let mut found = Vec::new();
    for selector in &param.selectors {
        selector.walk(resource, &mut |value| read(param.kind, value, &mut |entry| found.push(entry)));
    }
    found
}

fn pairs(param: &Param, kind: &str, resource: &Value, found: &mut dyn FnMut(Entry)) {
    let values = |element: &Value, at: usize| {
        let mut values = Vec::new();
        let Some(part) = param.parts.get(at) else { return values };
        let Some(of) = params::find(kind, part.param) else { return values };
        let from = if part.from_resource { resource } else { element };
        for selector in &part.selectors {
            selector.walk(from, &mut |value| read(of.kind, value, &mut |entry| values.push(entry)));
        }
        values
    };
    let number = |entry: &Entry| if let Entry::Quantity { value, .. } = entry { Some(*value) } else { None };
    for selector in &param.selectors {
        selector.walk(resource, &mut |element| {
            let seconds: Vec<Second> = if param.parts.len() == 3 {
                let (from, to) = (values(element, 1), values(element, 2));
                from.iter().zip(&to).filter_map(|(a, b)| Some(Second::Numbers(number(a)?, number(b)?))).collect()
            } else {
                values(element, 1).into_iter().map(Second::Value).collect()
            };
            for first in values(element, 0) {
                let Entry::Token { system, code } = first else { continue };
                for second in &seconds {
                    found(Entry::Pair { first: (system.clone(), code.clone()), second: Box::new(second.clone()) });
                }
            }
        });
    }
}

fn read(kind: SearchKind, value: &Value, found: &mut dyn FnMut(Entry)) {
    match kind {
        SearchKind::Token => token(value, found),
        SearchKind::Reference => reference_entry(value, found),
        SearchKind::String => strings(value, found),
        SearchKind::Date => dates(value, found),
        SearchKind::Quantity | SearchKind::Number => quantity(value, found),
        SearchKind::Uri => uri(value, found),
        SearchKind::Special => position(value, found),
        SearchKind::Composite => {}
    }
}

fn token(value: &Value, found: &mut dyn FnMut(Entry)) {
    let mut push = |system: Option<&str>, code: &str| {
        found(Entry::Token { system: system.unwrap_or_default().to_owned(), code: code.to_owned() });
    };
    match value {
        Value::String(code) => push(None, code),
        Value::Bool(yes) => push(None, if *yes { "true" } else { "false" }),
        Value::Number(number) => push(None, &number.to_string()),
        Value::Object(_) if value.get("coding").is_some() => {
            for coding in list(value.get("coding")) {
                if let Some(code) = str_of(coding, "code") {
                    push(str_of(coding, "system"), code);
                }
            }
        }
        // Coding, else Identifier or ContactPoint
        Value::Object(_) => match (str_of(value, "code"), str_of(value, "value")) {
            (Some(code), _) => push(str_of(value, "system"), code),
            (None, Some(text)) => push(str_of(value, "system").filter(|s| s.contains(':')), text),
            _ => {}
        },
        _ => {}
    }
}

fn reference_entry(value: &Value, found: &mut dyn FnMut(Entry)) {
    // A canonical or a uri is the text itself.
    let Some(text) = value.as_str().or_else(|| str_of(value, "reference")) else { return };
    if reference::local(text).is_some() {
        found(Entry::Reference(reference::unversioned(text).to_owned()));
    } else if !text.starts_with('#') {
        uri_entry(text, found);
    }
}

fn uri(value: &Value, found: &mut dyn FnMut(Entry)) {
    if let Some(text) = value.as_str() {
        uri_entry(text, found);
    }
}

/// A canonical with a version is found by it, and without it. The address alone is then kept as `url|`, so that it is
/// not taken for one that names no version.
fn uri_entry(text: &str, found: &mut dyn FnMut(Entry)) {
    if let Some((url, _)) = text.split_once('|') {
        found(Entry::Uri(format!("{url}|")));
    }
    found(Entry::Uri(text.to_owned()));
}

/// A text, or the texts of a `HumanName` or an `Address`.
fn strings(value: &Value, found: &mut dyn FnMut(Entry)) {
    match value {
        Value::String(text) => found(Entry::Text(text.clone())),
        Value::Object(parts) => {
            for name in [
                "text",
                "family",
                "given",
                "prefix",
                "suffix",
                "line",
                "city",
                "district",
                "state",
                "country",
                "postalCode",
            ] {
                match parts.get(name) {
                    Some(Value::String(text)) => found(Entry::Text(text.clone())),
                    Some(Value::Array(texts)) => {
                        texts.iter().filter_map(Value::as_str).for_each(|text| found(Entry::Text(text.to_owned())));
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn dates(value: &Value, found: &mut dyn FnMut(Entry)) {
    if let Some(range) = value.as_str().and_then(time::range) {
        found(Entry::Date(range.start, range.end));
    } else if let Some((start, end)) = period(value) {
        found(Entry::Date(start, end));
    } else {
        // Timing: each of its events, and what bounds its repetition.
        for range in list(value.get("event")).filter_map(Value::as_str).filter_map(time::range) {
            found(Entry::Date(range.start, range.end));
        }
        if let Some((start, end)) = value.get("repeat").and_then(|r| r.get("boundsPeriod")).and_then(period) {
            found(Entry::Date(start, end));
        }
    }
}

/// A number, a Quantity, a Money, or both ends of a Range.
fn quantity(value: &Value, found: &mut dyn FnMut(Entry)) {
    if let Some(number) = value.as_number() {
        if let Some(value) = number.as_f64().filter(|v| v.is_finite()) {
            found(Entry::Quantity { value, unit: None });
        }
    } else if let Some(amount) = amount(value) {
        let currency = || str_of(value, "currency").map(|code| (CURRENCIES.to_owned(), code.to_owned()));
        let unit = amount.unit.map(|unit| (amount.system.unwrap_or_default(), unit));
        found(Entry::Quantity { value: amount.value, unit: unit.or_else(currency) });
    } else {
        for end in ["low", "high"].iter().filter_map(|end| value.get(end)) {
            quantity(end, found);
        }
    }
}

/// A position with both of its degrees, if there is such a place.
fn position(value: &Value, found: &mut dyn FnMut(Entry)) {
    let degrees = |name: &str| value.get(name).and_then(Value::as_number).and_then(serde_json::Number::as_f64);
    if let (Some(latitude), Some(longitude)) = (degrees("latitude"), degrees("longitude"))
        && globe::is_place(latitude, longitude)
    {
        found(Entry::Position { latitude, longitude });
    }
}

const CURRENCIES: &str = "urn:iso:std:iso:4217";

/// A text as string search compares it: lower case, without accents (R4 search, "string").
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patient_is_found_by_all_its_names_and_identifiers() {
        let patient = json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "7"}], "active": true,
            "name": [{"family": "Núñez", "given": ["Ana"]}], "birthDate": "1950-02", "gender": "female"});
        let found = entries(&Params::default(), "Patient", &patient);
        let has = |name: &str, entry: &Entry| found.iter().any(|(n, e)| *n == name && e == entry);
        assert!(has("identifier", &Entry::Token { system: "urn:mrn".into(), code: "7".into() }));
        assert!(has("family", &Entry::Text("Núñez".into())) && has("name", &Entry::Text("Ana".into())));
        assert!(has("active", &Entry::Token { system: String::new(), code: "true".into() }));
        assert_eq!(found.iter().filter(|(n, _)| *n == "birthdate").count(), 1);
        assert_eq!(fold("NÚÑEZ"), "nunez");
    }

    #[test]
    fn an_ordinary_vital_sign_needs_no_index_rows() {
        let observation = json!({"resourceType": "Observation", "status": "final", "subject": {"reference": "Patient/1"},
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}, "effectiveDateTime": "2026-01-01T00:00:00Z",
            "category": [{"coding": [{"code": "vital-signs"}]}], "device": {"reference": "Device/1"},
            "valueQuantity": {"value": 72, "code": "/min"}, "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/heartrate"]}});
        assert!(
            entries(&Params::default(), "Observation", &observation).is_empty() && components(&observation).is_empty()
        );
    }

    #[test]
    fn a_blood_pressure_is_two_components_and_no_index_rows() {
        let part = |code: &str, value: i32| json!({"code": {"coding": [{"system": "http://loinc.org", "code": code}]}, "valueQuantity": {"value": value, "code": "mm[Hg]"}});
        let pressure = json!({"resourceType": "Observation", "status": "final", "subject": {"reference": "Patient/1"},
            "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]}, "effectiveDateTime": "2026-01-01T00:00:00Z",
            "component": [part("8480-6", 120), part("8462-4", 80)]});
        assert!(entries(&Params::default(), "Observation", &pressure).is_empty());
        let found: Vec<_> =
            components(&pressure).into_iter().map(|c| (c.codings[0].1.clone(), c.amount.unwrap().value)).collect();
        assert_eq!(found, [("8480-6".to_owned(), 120.0), ("8462-4".to_owned(), 80.0)]);
    }
}
