//! What a resource is found by: the values of every declared search parameter, taken out of it by the
//! parameter's selectors. The shape of a value decides how it is read, as R4's search page describes per type.

use fhir_r4::SearchKind;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::params::{self, Param};
use super::reading::{amount, list, period, str_of};
use super::{reference, time};

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
        unit: Option<(String, String)>,
    },
}

/// Every index value of the resource, with its parameter; columns are left out.
pub fn entries(resource_type: &str, resource: &Value) -> Vec<(&'static Param, Entry)> {
    let mut found = Vec::new();
    for param in params::of(resource_type).iter().filter(|p| p.column.is_none()) {
        let from = found.len();
        for selector in &param.selectors {
            selector.walk(resource, &mut |value| {
                read(param.kind, value, &mut |entry| {
                    let pair = (param, entry);
                    if !found.get(from..).is_some_and(|seen| seen.iter().any(|s: &(_, Entry)| s.1 == pair.1)) {
                        found.push(pair);
                    }
                });
            });
        }
    }
    found
}

fn read(kind: SearchKind, value: &Value, found: &mut dyn FnMut(Entry)) {
    match kind {
        SearchKind::Token => token(value, found),
        SearchKind::Reference => reference_entry(value, found),
        SearchKind::String => strings(value, found),
        SearchKind::Date => dates(value, found),
        SearchKind::Quantity | SearchKind::Number => quantity(value, found),
        SearchKind::Uri => uri(value, found),
        SearchKind::Composite | SearchKind::Special => {}
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
        found(Entry::Uri(text.to_owned()));
    }
}

fn uri(value: &Value, found: &mut dyn FnMut(Entry)) {
    if let Some(text) = value.as_str() {
        found(Entry::Uri(text.to_owned()));
    }
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
        // Timing: each of its events
        for range in list(value.get("event")).filter_map(Value::as_str).filter_map(time::range) {
            found(Entry::Date(range.start, range.end));
        }
    }
}

fn quantity(value: &Value, found: &mut dyn FnMut(Entry)) {
    if let Some(number) = value.as_number() {
        if let Some(value) = number.as_f64().filter(|v| v.is_finite()) {
            found(Entry::Quantity { value, unit: None });
        }
    } else if let Some(amount) = amount(value) {
        let unit = amount.unit.map(|unit| (amount.system.unwrap_or_default(), unit));
        found(Entry::Quantity { value: amount.value, unit });
    }
}

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
        let found = entries("Patient", &patient);
        let has = |name: &str, entry: &Entry| found.iter().any(|(p, e)| p.name == name && e == entry);
        assert!(has("identifier", &Entry::Token { system: "urn:mrn".into(), code: "7".into() }));
        assert!(has("family", &Entry::Text("Núñez".into())) && has("name", &Entry::Text("Ana".into())));
        assert!(has("active", &Entry::Token { system: String::new(), code: "true".into() }));
        assert_eq!(found.iter().filter(|(p, _)| p.name == "birthdate").count(), 1);
        assert_eq!(fold("NÚÑEZ"), "nunez");
    }

    #[test]
    fn an_ordinary_vital_sign_needs_no_index_rows() {
        let observation = json!({"resourceType": "Observation", "status": "final", "subject": {"reference": "Patient/1"},
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}, "effectiveDateTime": "2026-01-01T00:00:00Z",
            "category": [{"coding": [{"code": "vital-signs"}]}], "device": {"reference": "Device/1"},
            "valueQuantity": {"value": 72, "code": "/min"}});
        assert!(entries("Observation", &observation).is_empty());
    }
}
