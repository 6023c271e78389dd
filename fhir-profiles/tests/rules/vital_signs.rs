//! What the vital-signs profiles refuse.

use serde_json::{Value, json};

use crate::support::{blood_pressure, changes, heart_rate, places, pressure};

#[test]
fn vital_signs() {
    let none: &[&str] = &[];
    changes(
        &heart_rate(),
        &[
            ("/subject", Value::Null, &["Observation.subject"]),
            ("/subject/reference", json!("Group/1"), &["Observation.subject"]),
            ("/subject/reference", json!("Patient 1"), &["Observation.subject.reference"]),
            ("/effectiveInstant", json!("2026-11-22T10:11:12Z"), &["Observation.effectiveInstant"]),
            ("/effectiveDateTime", Value::Null, &["Observation.effective"]),
            ("/effectiveDateTime", json!("2026-11"), &["Observation.effectiveDateTime"]),
            ("/valueQuantity", Value::Null, &["Observation"]),
            ("/valueQuantity/unit", Value::Null, &["Observation.valueQuantity.unit"]),
            ("/valueQuantity/code", json!("bpm"), &["Observation.valueQuantity.code"]),
            ("/valueQuantity/value", Value::Null, &["Observation.valueQuantity.value"]),
            ("/valueQuantity/system", json!("urn:x"), &["Observation.valueQuantity.system"]),
            ("/code/coding/0/system", json!("http://other.example"), none),
            ("/meta", json!({"profile": ["http://hl7.org/fhir/StructureDefinition/heartrate"]}), none),
            ("/meta", json!({"profile": ["http://hl7.org/fhir/StructureDefinition/heartrate|9"]}), none),
            ("/meta", json!({"profile": ["https://a.example/unknown"]}), none),
            (
                "/meta",
                json!({"profile": ["http://hl7.org/fhir/StructureDefinition/bodyweight"]}),
                &["Observation.code.coding", "Observation.valueQuantity.code"],
            ),
        ],
    );
    let mut absent = heart_rate();
    absent.as_object_mut().unwrap().shift_remove("valueQuantity");
    absent["dataAbsentReason"] = json!({"text": "probe off"});
    assert_eq!(places(&absent), none);
    absent["valueString"] = json!("72");
    absent.as_object_mut().unwrap().shift_remove("dataAbsentReason");
    assert_eq!(places(&absent), ["Observation.valueString"]);
}

#[test]
fn the_code_of_a_vital_sign_calls_for_its_profile() {
    let codes =
        ["8867-4", "9279-1", "2708-6", "8310-5", "85354-9", "8302-2", "9843-4", "29463-7", "39156-5", "85353-1"];
    for code in codes {
        let other = json!({"system": "http://other.example", "code": "x"});
        let code = json!({"coding": [other, {"system": "http://loinc.org", "code": code}]});
        let told = places(&json!({"resourceType": "Observation", "status": "final", "code": code}));
        for place in ["Observation.category", "Observation.subject", "Observation.effective"] {
            assert!(told.iter().any(|own| own == place), "{code}: {told:?}");
        }
    }
    let mut other = heart_rate();
    other["category"] = json!([{"coding": [{"code": "laboratory"}]}]);
    assert_eq!(places(&other), ["Observation.category"]);
    other["code"]["coding"][0]["code"] = json!("8889-8");
    assert_eq!(places(&other), Vec::<String>::new(), "what is measured is no vital sign of R4");
}

#[test]
fn a_claimed_profile_needs_its_category() {
    let mut value = heart_rate();
    value["meta"] = json!({"profile": ["http://hl7.org/fhir/StructureDefinition/heartrate|4.0.1"]});
    value["category"] = json!([{"text": "none of it"}]);
    assert_eq!(places(&value), ["Observation.category"]);
}

#[test]
fn blood_pressure_components() {
    changes(
        &blood_pressure(),
        &[
            ("/component/1/valueQuantity/code", json!("mmHg"), &["Observation.component[1].valueQuantity.code"; 2]),
            ("/component/1/valueQuantity", Value::Null, &["Observation.component[1]"]),
            (
                "/component/0/valueQuantity/system",
                json!("x"),
                &["Observation.component[0].valueQuantity.code", "Observation.component[0].valueQuantity.system"],
            ),
            ("/component", json!([pressure("8480-6", 120)]), &["Observation.component", "Observation.component"]),
            ("/component", json!([pressure("8480-6", 120), pressure("8478-0", 90)]), &["Observation.component"]),
            ("/valueQuantity", json!({"value": 1}), &["Observation.value"]),
        ],
    );
}
