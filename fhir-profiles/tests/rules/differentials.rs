//! Profiles that carry only a differential: what they hold resources to, and which are refused.

use fhir_r4::{Definitions, Policies, Severity};
use serde_json::{Value, json};

const BASE: &str = "http://hl7.org/fhir/StructureDefinition";

fn profile(url: &str, of: &str, base: &str, elements: &Value) -> Value {
    json!({"resourceType": "StructureDefinition", "url": url, "version": "1", "type": of, "kind": "resource",
        "derivation": "constraint", "baseDefinition": base, "differential": {"element": elements}})
}

/// Places of the errors.
fn errors(all: &[Value], resource: &Value, profile: &str) -> Vec<String> {
    let (definitions, problems) = Definitions::compile(all, Policies::default());
    assert!(problems.is_empty(), "{problems:?}");
    let issues = definitions.validate(resource, &[profile]);
    issues.into_iter().filter(|i| i.severity == Severity::Error).map(|i| i.expression).collect()
}

fn reading(more: &Value) -> Value {
    let mut reading = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}});
    for (name, value) in more.as_object().unwrap() {
        reading[name] = value.clone();
    }
    reading
}

#[test]
fn differentials_are_applied() {
    let part = |code: &str, value: Value| {
        let mut part = json!({"code": {"coding": [{"system": "urn:s", "code": code}]}});
        part.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        part
    };
    let quantity =
        |unit: &str| json!({"valueQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": unit}});
    let sliced = json!([
        {"id": "Observation.component", "path": "Observation.component", "min": 1,
            "slicing": {"discriminator": [{"type": "pattern", "path": "code"}], "rules": "open"}},
        {"id": "Observation.component:a", "path": "Observation.component", "sliceName": "a", "min": 1, "max": "1"},
        {"id": "Observation.component:a.code", "path": "Observation.component.code",
            "patternCodeableConcept": {"coding": [{"system": "urn:s", "code": "a"}]}},
        {"id": "Observation.component:a.valueQuantity.code", "path": "Observation.component.valueQuantity.code",
            "min": 1, "fixedCode": "mm"}]);
    // The same by order, without ids.
    let mut by_order = sliced.clone();
    by_order.as_array_mut().unwrap().iter_mut().for_each(|e| drop(e.as_object_mut().unwrap().shift_remove("id")));
    let short = json!([
        {"path": "Observation.valueQuantity", "min": 1},
        {"path": "Observation.valueQuantity.unit", "min": 1}]);
    let narrow =
        json!([{"path": "Observation.value[x]", "min": 1, "type": [{"code": "Quantity"}, {"code": "string"}]}]);
    let extended = json!([
        {"id": "Observation.extension:x", "path": "Observation.extension", "sliceName": "x", "min": 1,
            "type": [{"code": "Extension", "profile": ["urn:ext"]}]}]);
    let components = |all: Value| reading(&json!({"component": all}));
    for (elements, resource, expected) in [
        (&sliced, components(json!([part("a", quantity("mm"))])), vec![]),
        (&by_order, components(json!([part("a", quantity("mm"))])), vec![]),
        (&sliced, components(json!([part("b", quantity("mm"))])), vec!["Observation.component"]),
        (&sliced, components(json!([part("a", quantity("cm"))])), vec!["Observation.component[0].valueQuantity.code"]),
        (
            &by_order,
            components(json!([part("a", quantity("cm"))])),
            vec!["Observation.component[0].valueQuantity.code"],
        ),
        (
            &sliced,
            components(json!([part("a", json!({"valueString": "x"}))])),
            vec!["Observation.component[0].valueString", "Observation.component[0].valueString.code"],
        ),
        (
            &sliced,
            components(json!([part("a", quantity("mm")), part("a", quantity("mm"))])),
            vec!["Observation.component"],
        ),
        (&short, reading(&json!({"valueQuantity": {"value": 1, "unit": "m"}})), vec![]),
        (&short, reading(&json!({"valueQuantity": {"value": 1}})), vec!["Observation.valueQuantity.unit"]),
        (&short, reading(&json!({"valueString": "x"})), vec!["Observation.value"]),
        (&narrow, reading(&json!({"valueBoolean": true})), vec!["Observation.valueBoolean"]),
        (&narrow, reading(&json!({"valueString": "x"})), vec![]),
        (&narrow, reading(&json!({})), vec!["Observation.value"]),
        (&extended, reading(&json!({"extension": [{"url": "urn:ext", "valueCode": "x"}]})), vec![]),
        (
            &extended,
            reading(&json!({"extension": [{"url": "urn:other", "valueCode": "x"}]})),
            vec!["Observation.extension"],
        ),
    ] {
        let own = profile("urn:p", "Observation", &format!("{BASE}/Observation"), elements);
        assert_eq!(errors(&[own], &resource, "urn:p"), expected, "{elements} {resource}");
    }
}

#[test]
fn bases_of_bases_hold_too() {
    let all = [
        profile("urn:c", "Patient", "urn:b|1", &json!([{"path": "Patient.name", "max": "1"}])),
        profile("urn:a", "Patient", &format!("{BASE}/Patient"), &json!([{"path": "Patient.birthDate", "min": 1}])),
        profile(
            "urn:b",
            "Patient",
            "urn:a",
            &json!([{"path": "Patient.name", "min": 1},
            {"path": "Patient", "constraint": [{"key": "x-1", "severity": "error", "human": "x", "expression": "active"}]}]),
        ),
    ];
    for (resource, expected) in [
        (json!({"name": [{"text": "x"}], "birthDate": "1970", "active": true}), vec![]),
        (json!({"name": [{"text": "x"}, {"text": "y"}], "active": true}), vec!["Patient.birthDate", "Patient.name"]),
        (json!({"birthDate": "1970"}), vec!["Patient", "Patient.name"]),
    ] {
        let mut patient = resource.clone();
        patient["resourceType"] = json!("Patient");
        let mut found = errors(&all, &patient, "urn:c");
        found.sort();
        assert_eq!(found, expected, "{resource}");
    }
    // What is embedded can be a base as well.
    let own = profile(
        "urn:v",
        "Observation",
        &format!("{BASE}/heartrate"),
        &json!([{"path": "Observation.device", "min": 1}]),
    );
    let found = errors(&[own], &reading(&json!({"effectiveDateTime": "2026"})), "urn:v");
    for place in ["Observation.category", "Observation.subject", "Observation.effectiveDateTime", "Observation.device"]
    {
        assert!(found.iter().any(|own| own == place), "{place}: {found:?}");
    }
}

#[test]
fn what_cannot_be_applied_names_its_element() {
    let base = format!("{BASE}/Patient");
    let strict = profile(
        "urn:strict",
        "Patient",
        &base,
        &json!([
        {"path": "Patient.name", "min": 1, "max": "1"}, {"path": "Patient.gender", "fixedCode": "other"},
        {"path": "Patient.maritalStatus", "patternCodeableConcept": {"text": "x"}}]),
    );
    for (of, element, word) in [
        (&*base, json!({"path": "Patient.banana"}), "no element"),
        (&*base, json!({"path": "Patient.name.banana"}), "no element"),
        (&*base, json!({"path": "Observation.code"}), "begin"),
        (&*base, json!({}), "path"),
        (&*base, json!({"path": "Patient.name", "sliceName": "a"}), "not sliced"),
        (&*base, json!({"path": "Patient.active", "max": "2"}), "maximum"),
        (&*base, json!({"path": "Patient.active", "max": "many"}), "maximum"),
        (&*base, json!({"path": "Patient.active", "min": -1}), "minimum"),
        (&*base, json!({"path": "Patient.active", "min": 2}), "minimum"),
        (&*base, json!({"path": "Patient.deceased[x]", "type": [{"code": "Quantity"}]}), "types"),
        (&*base, json!({"path": "Patient.deceasedQuantity"}), "no element"),
        ("urn:strict", json!({"path": "Patient.name", "min": 0}), "minimum"),
        ("urn:strict", json!({"path": "Patient.name", "max": "*"}), "maximum"),
        ("urn:strict", json!({"path": "Patient.gender", "fixedCode": "male"}), "fixes"),
        ("urn:strict", json!({"path": "Patient.maritalStatus", "patternCodeableConcept": {"coding": []}}), "pattern"),
    ] {
        let own = profile("urn:p", "Patient", of, &json!([{"path": "Patient"}, element]));
        let issue = Definitions::problem(&own, [&strict]).expect("a problem");
        assert_eq!(issue.severity, Severity::Error, "{element}: {issue:?}");
        assert_eq!(issue.expression, "StructureDefinition.differential.element[1]", "{issue:?}");
        assert!(issue.diagnostics.contains(word), "{element}: {issue:?}");
    }
}

#[test]
fn a_base_must_be_there_and_not_be_the_profile_itself() {
    let of = |url: &str, base: &str| profile(url, "Patient", base, &json!([{"path": "Patient"}]));
    let (one, two, lost, late) =
        (of("urn:1", "urn:2"), of("urn:2", "urn:1"), of("urn:3", "urn:3"), of("urn:4", "urn:0"));
    for (own, severity) in [(&one, Severity::Error), (&lost, Severity::Error), (&late, Severity::Warning)] {
        let issue = Definitions::problem(own, [&one, &two]).expect("a problem");
        assert_eq!(issue.severity, severity, "{issue:?}");
    }
    let chain: Vec<Value> = (0..100).map(|i| of(&format!("urn:c{i}"), &format!("urn:c{}", i + 1))).collect();
    assert!(Definitions::problem(&chain[0], &chain).is_some());
    let (definitions, problems) = Definitions::compile([&one, &two, &lost, &late], Policies::default());
    assert_eq!((definitions.profiles().len(), problems.len()), (0, 4));
}
