//! Observations to spoil, and the places of what is then wrong.

use fhir_r4::{Format, Issue, check, parse};
use serde_json::{Value, json};

pub(crate) fn issues(text: &str) -> Vec<Issue> {
    parse(text.as_bytes(), Format::Json).and_then(check).err().unwrap_or_default()
}

/// The places of all problems, in order.
pub(crate) fn places(value: &Value) -> Vec<String> {
    issues(&value.to_string()).into_iter().map(|i| i.expression).collect()
}

pub(crate) fn heart_rate() -> Value {
    json!({
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2026-11-22T10:11:12.5+01:00",
        "valueQuantity": {"value": 72, "unit": "beats/minute", "system": "http://unitsofmeasure.org", "code": "/min"}
    })
}

pub(crate) fn pressure(code: &str, value: u32) -> Value {
    json!({"code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "valueQuantity": {"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}})
}

pub(crate) fn blood_pressure() -> Value {
    let mut bp = heart_rate();
    bp.as_object_mut().unwrap().remove("valueQuantity");
    bp["code"]["coding"][0]["code"] = json!("85354-9");
    bp["component"] = json!([pressure("8480-6", 120), pressure("8462-4", 80)]);
    bp
}

/// A change at a JSON pointer, and the places of the problems that it makes. `null` removes.
pub(crate) fn changes(base: &Value, cases: &[(&str, Value, &[&str])]) {
    assert_eq!(places(base), Vec::<String>::new());
    for (pointer, new, expected) in cases {
        let mut value = base.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match value.pointer_mut(parent).unwrap() {
            Value::Object(members) if new.is_null() => drop(members.shift_remove(name)),
            Value::Object(members) => drop(members.insert(name.into(), new.clone())),
            Value::Array(items) => items[name.parse::<usize>().unwrap()] = new.clone(),
            _ => unreachable!(),
        }
        assert_eq!(places(&value), *expected, "{pointer} = {new}");
    }
}
