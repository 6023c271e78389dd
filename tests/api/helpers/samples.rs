//! Resources and readings that the stories are made of. Nobody in them is real.

use serde_json::{Value, json};

/// Identifier system of the ward's record numbers; HL7 messages call it `WARD`.
pub(crate) const RECORDS: &str = "urn:test:records";
pub(crate) const LOINC: &str = "http://loinc.org";
pub(crate) const UCUM: &str = "http://unitsofmeasure.org";
const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";

pub(crate) fn patient(id: &str, record: &str, family: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "id": id,
        "identifier": [{"system": RECORDS, "value": record}],
        "active": true,
        "name": [{"family": family, "given": ["Ana", "María"]}],
        "gender": "female",
        "birthDate": "1956-03-01"
    })
}

pub(crate) fn encounter(patient: &str) -> Value {
    json!({
        "resourceType": "Encounter",
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": format!("Patient/{patient}")}
    })
}

/// A vital sign as FHIR has it. `value` keeps its digits.
pub(crate) fn observation(patient: &str, code: &str, value: &str, unit: &str, time: &str) -> Value {
    let value: Value = serde_json::from_str(value).unwrap();
    json!({
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": "vital-signs"}]}],
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": format!("Patient/{patient}")},
        "effectiveDateTime": time,
        "valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit}
    })
}

/// An Observation that claims no profile: a code, a status and what is put on top.
pub(crate) fn plain_observation(code: &str, more: &Value) -> Value {
    let mut observation = json!({"resourceType": "Observation", "status": "final", "code": {"coding": [{"system": "urn:test", "code": code}]}});
    for (name, value) in more.as_object().unwrap() {
        observation[name] = value.clone();
    }
    observation
}

/// A heart rate in the form of the device door.
pub(crate) fn heart_rate(patient: &str, value: u32, time: &str) -> Value {
    json!({"patient": format!("Patient/{patient}"), "code": "8867-4", "value": value, "unit": "/min", "time": time})
}

pub(crate) fn entry(method: &str, url: &str, resource: &Value) -> Value {
    let mut entry = json!({"request": {"method": method, "url": url}});
    if !resource.is_null() {
        entry["resource"] = resource.clone();
    }
    entry
}

pub(crate) fn bundle(kind: &str, entries: &[Value]) -> Value {
    match entries {
        [] => json!({"resourceType": "Bundle", "type": kind}),
        entries => json!({"resourceType": "Bundle", "type": kind, "entry": entries}),
    }
}
