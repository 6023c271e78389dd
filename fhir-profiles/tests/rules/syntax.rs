//! What the reader refuses before any definition is asked, and what it keeps.

use fhir_r4::{Format, check, parse};
use serde_json::{Value, json};

use crate::support::issues;

#[test]
fn broken_json() {
    for (text, place, code) in [
        ("", "Resource", "structure"),
        ("[1]", "Resource", "structure"),
        ("{\"resourceType\": \"Patient\", \"name\": [{\"family\": }]}", "Patient.name[0].family", "structure"),
        ("{\"resourceType\": \"Patient\"} x", "Patient", "structure"),
        ("{\"resourceType\": \"Patient\", \"id\": \"a\", \"id\": \"b\"}", "Patient.id", "structure"),
        ("{\"resourceType\": \"Patient\", \"active\": null}", "Patient.active", "structure"),
        ("{\"active\": null, \"resourceType\": \"Patient\"}", "Patient.active", "structure"),
        ("{\"resourceType\": \"Patient\", \"identifier\": []}", "Patient.identifier", "structure"),
        ("{\"resourceType\": \"Patient\", \"contained\": []}", "Patient.contained", "structure"),
        ("{\"resourceType\": \"Bundle\", \"type\": \"batch\", \"entry\": []}", "Bundle.entry", "structure"),
        ("{\"resourceType\": \"Patient\", \"name\": [{}]}", "Patient.name[0]", "structure"),
        (
            "{\"resourceType\": \"Patient\", \"name\": [{\"_given\": [null, {}]}]}",
            "Patient.name[0].given[1]",
            "structure",
        ),
        ("{\"resourceType\": \"Patient\", \"id\": \"\"}", "Patient.id", "structure"),
        ("{\"resourceType\": \"Observation\", \"valueInteger\": 1e999}", "Observation.valueInteger", "value"),
        (
            "{\"resourceType\": \"Observation\", \"a\": {\"$serde_json::private::Number\": \"1\"}}",
            "Observation.a",
            "structure",
        ),
        (
            "{\"resourceType\": \"Observation\", \"a\": {\"b\": 1, \"\\u0024serde_json::private::RawValue\": \"1\"}}",
            "Observation.a",
            "structure",
        ),
        ("{\"$serde_json::private::Number\": \"1\"}", "Resource", "structure"),
    ] {
        let found = issues(text);
        assert_eq!(found.len(), 1, "{text} {found:?}");
        assert_eq!((found[0].expression.as_str(), found[0].code), (place, code), "{text}");
    }
    let found = issues("{\"resourceType\": \"Patient\",\n\"id\": \"a\" \"b\"}");
    assert!(found[0].diagnostics.contains("line 2 column"), "{found:?}");
    assert!(parse(b"{\"resourceType\": \"Patient\", \"id\": \"\xff\"}", Format::Json).is_err());
    let digits = format!("{{\"resourceType\": \"Observation\", \"a\": {}}}", "9".repeat(41));
    assert_eq!(issues(&digits)[0].code, "value");
}

#[test]
fn all_problems_at_once() {
    let text = "{\"resourceType\": \"Patient\", \"active\": null, \"id\": \"\", \"name\": [{\"given\": []}, {\"given\": [\"a\", {}]}]}";
    let found: Vec<String> = issues(text).into_iter().map(|i| i.expression).collect();
    assert_eq!(found, ["Patient.active", "Patient.id", "Patient.name[0].given", "Patient.name[1].given[1]"]);
}

#[test]
fn nesting_is_bounded() {
    for depth in [65, 1_000, 100_000] {
        let open =
            "{\"resourceType\":\"Patient\",\"extension\":[{\"url\":\"a\",\"x\":".to_owned() + &"{\"x\":".repeat(depth);
        assert_eq!(issues(&open).len(), 1);
        assert_eq!(issues(&"[".repeat(depth * 2)).len(), 1);
    }
    // Values built in memory do not pass the parser.
    let mut value = json!({"url": "a", "valueCode": "b"});
    for _ in 0..2_000 {
        let mut outer = json!({"url": "a"});
        outer["extension"] = Value::Array(vec![value]);
        value = outer;
    }
    let mut patient = json!({"resourceType": "Patient"});
    patient["extension"] = Value::Array(vec![value]);
    assert!(check(patient).is_err());
}

#[test]
fn decimals_stay_digit_for_digit() {
    for number in ["72.50", "0.10000000000000000000000000010", "1.0e2", "-0.0", "100", "1e-7", "1E-7", "-0"] {
        let text = format!(
            "{{\"resourceType\":\"Observation\",\"status\":\"final\",\"code\":{{\"text\":\"a\"}},\"valueQuantity\":{{\"value\":{number}}}}}"
        );
        let checked = parse(text.as_bytes(), Format::Json).and_then(check).unwrap();
        assert_eq!(checked.resource_type(), "Observation");
        // An exponent may get a small letter and a sign; no digit changes.
        assert_eq!(checked.into_value().to_string(), text.replace("1.0e2", "1.0e+2").replace("1E", "1e"));
    }
}
