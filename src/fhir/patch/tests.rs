//! The operations of `FHIRPath` Patch as a table: what stood, what is asked, what stands then.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Patch;
use crate::error::Error;

fn operation(kind: &str, path: &str, more: &[Value]) -> Value {
    let mut parts = vec![json!({"name": "type", "valueCode": kind}), json!({"name": "path", "valueString": path})];
    parts.extend_from_slice(more);
    json!({"name": "operation", "part": parts})
}

fn apply(operations: &[Value], resource: &Value) -> Result<Value, Error> {
    Patch::parameters(json!({"resourceType": "Parameters", "parameter": operations}))?.apply(resource.clone())
}

fn name(name: &str) -> Value {
    json!({"name": "name", "valueString": name})
}

fn value(kind: &str, value: impl Into<Value>) -> Value {
    json!({"name": "value", format!("value{kind}"): value.into()})
}

fn number(name: &str, value: usize) -> Value {
    json!({"name": name, "valueInteger": value})
}

/// A Patient of these members.
fn of(members: &Value) -> Value {
    let mut patient = json!({"resourceType": "Patient"});
    for (name, member) in members.as_object().unwrap() {
        patient[name] = member.clone();
    }
    patient
}

/// The cases that R4 publishes for its patch, and those between them.
#[test]
fn what_an_operation_makes_of_a_patient() {
    let system = |n: usize| json!({"system": "http://example.org", "value": format!("value {n}")});
    let list = |numbers: &[usize]| json!({"identifier": numbers.iter().map(|n| system(*n)).collect::<Vec<_>>()});
    let table: Vec<(&str, Value, Vec<Value>, Value)> = vec![
        (
            "no difference",
            json!({"birthDate": "1920-01-01"}),
            vec![operation("delete", "Patient.contact", &[])],
            json!({"birthDate": "1920-01-01"}),
        ),
        (
            "add a primitive",
            json!({}),
            vec![operation("add", "Patient", &[name("birthDate"), value("Date", json!("1930-01-01"))])],
            json!({"birthDate": "1930-01-01"}),
        ),
        (
            "delete a primitive",
            json!({"active": true, "birthDate": "1920-01-01"}),
            vec![operation("delete", "Patient.birthDate", &[])],
            json!({"active": true}),
        ),
        (
            "replace a primitive",
            json!({"birthDate": "1920-01-01"}),
            vec![operation("replace", "Patient.birthDate", &[value("Date", json!("1930-01-01"))])],
            json!({"birthDate": "1930-01-01"}),
        ),
        (
            "add a nested primitive",
            json!({"contact": [{"name": {"text": "a name"}}]}),
            vec![operation("add", "Patient.contact[0]", &[name("gender"), value("Code", json!("male"))])],
            json!({"contact": [{"name": {"text": "a name"}, "gender": "male"}]}),
        ),
        (
            "delete a nested primitive",
            json!({"contact": [{"name": {"text": "a name"}, "gender": "male"}]}),
            vec![operation("delete", "Patient.contact[0].gender", &[])],
            json!({"contact": [{"name": {"text": "a name"}}]}),
        ),
        (
            "replace a nested primitive",
            json!({"contact": [{"gender": "male"}]}),
            vec![operation("replace", "Patient.contact[0].gender", &[value("Code", json!("female"))])],
            json!({"contact": [{"gender": "female"}]}),
        ),
        (
            "add a complex value",
            json!({}),
            vec![operation(
                "add",
                "Patient",
                &[name("maritalStatus"), value("CodeableConcept", json!({"text": "married"}))],
            )],
            json!({"maritalStatus": {"text": "married"}}),
        ),
        (
            "replace a complex value",
            json!({"maritalStatus": {"id": "1", "text": "married"}}),
            vec![operation(
                "replace",
                "Patient.maritalStatus",
                &[value("CodeableConcept", json!({"text": "not married"}))],
            )],
            json!({"maritalStatus": {"text": "not married"}}),
        ),
        (
            "delete a complex value",
            json!({"active": true, "maritalStatus": {"text": "married"}}),
            vec![operation("delete", "Patient.maritalStatus", &[])],
            json!({"active": true}),
        ),
        (
            "add an anonymous type",
            json!({}),
            vec![operation(
                "add",
                "Patient",
                &[
                    name("contact"),
                    json!({"name": "value", "part": [{"name": "name", "valueHumanName": {"text": "a name"}}]}),
                ],
            )],
            json!({"contact": [{"name": {"text": "a name"}}]}),
        ),
        (
            "delete an anonymous type",
            json!({"active": true, "contact": [{"name": {"text": "a name"}}]}),
            vec![operation("delete", "Patient.contact[0]", &[])],
            json!({"active": true}),
        ),
        (
            "add a list with choices in it",
            json!({}),
            vec![operation(
                "add",
                "Patient",
                &[
                    name("communication"),
                    json!({"name": "value", "part": [{"name": "language", "valueCodeableConcept": {"text": "es"}}, {"name": "preferred", "valueBoolean": true}]}),
                ],
            )],
            json!({"communication": [{"language": {"text": "es"}, "preferred": true}]}),
        ),
        (
            "insert in the middle",
            list(&[1, 2]),
            vec![operation("insert", "Patient.identifier", &[number("index", 1), value("Identifier", system(3))])],
            list(&[1, 3, 2]),
        ),
        (
            "insert first",
            list(&[1, 2]),
            vec![operation("insert", "Patient.identifier", &[number("index", 0), value("Identifier", system(3))])],
            list(&[3, 1, 2]),
        ),
        (
            "insert last",
            list(&[1, 2]),
            vec![operation("insert", "Patient.identifier", &[number("index", 2), value("Identifier", system(3))])],
            list(&[1, 2, 3]),
        ),
        (
            "insert into nothing",
            json!({}),
            vec![operation("insert", "Patient.identifier", &[number("index", 0), value("Identifier", system(3))])],
            list(&[3]),
        ),
        (
            "delete one of a list",
            list(&[1, 2, 3]),
            vec![operation("delete", "Patient.identifier[0]", &[])],
            list(&[2, 3]),
        ),
        (
            "delete the last",
            list(&[1, 2, 3]),
            vec![operation("delete", "Patient.identifier.last()", &[])],
            list(&[1, 2]),
        ),
        (
            "move down",
            list(&[1, 2, 3, 4]),
            vec![operation("move", "Patient.identifier", &[number("source", 3), number("destination", 1)])],
            list(&[1, 4, 2, 3]),
        ),
        (
            "move up",
            list(&[1, 2, 3, 4]),
            vec![operation("move", "Patient.identifier", &[number("source", 0), number("destination", 3)])],
            list(&[2, 3, 4, 1]),
        ),
        (
            "several in order",
            list(&[1, 2]),
            vec![
                operation("add", "Patient", &[name("identifier"), value("Identifier", system(3))]),
                operation("delete", "Patient.identifier.first()", &[]),
                operation("replace", "Patient.identifier[0].value", &[value("String", json!("value 9"))]),
            ],
            list(&[9, 3]),
        ),
        (
            "a condition",
            json!({"name": [{"use": "official", "given": ["A"]}, {"use": "usual"}]}),
            vec![operation(
                "add",
                "Patient.name.where(use = 'official')",
                &[name("given"), value("String", json!("B"))],
            )],
            json!({"name": [{"use": "official", "given": ["A", "B"]}, {"use": "usual"}]}),
        ),
        (
            "several conditions",
            json!({"telecom": [{"system": "phone", "rank": 1}, {"system": "phone", "rank": 2}, {"system": "email"}]}),
            vec![
                operation("delete", "Patient.telecom.where(system = 'phone' and rank = 2)", &[]),
                operation("delete", "Patient.telecom.where(rank.exists().not())", &[]),
            ],
            json!({"telecom": [{"system": "phone", "rank": 1}]}),
        ),
        (
            "a choice gets another type",
            json!({"deceasedBoolean": false}),
            vec![operation("replace", "Patient.deceased", &[value("DateTime", json!("2020-01-01"))])],
            json!({"deceasedDateTime": "2020-01-01"}),
        ),
        (
            "a choice by its type",
            json!({"deceasedBoolean": false}),
            vec![
                operation("delete", "Patient.deceased.ofType(dateTime)", &[]),
                operation("replace", "(Patient.deceased as boolean)", &[value("Boolean", json!(true))]),
            ],
            json!({"deceasedBoolean": true}),
        ),
        (
            "add a choice",
            json!({}),
            vec![operation("add", "Patient", &[name("deceased"), value("Boolean", json!(true))])],
            json!({"deceasedBoolean": true}),
        ),
        (
            "an extension of a primitive",
            json!({"birthDate": "1920-01-01"}),
            vec![
                operation(
                    "add",
                    "Patient.birthDate",
                    &[
                        name("extension"),
                        json!({"name": "value", "part": [{"name": "url", "valueUri": "http://x"}, {"name": "value", "valueString": "a"}]}),
                    ],
                ),
                operation("replace", "Patient.birthDate.extension('http://x').value", &[value("String", json!("b"))]),
            ],
            json!({"birthDate": "1920-01-01", "_birthDate": {"extension": [{"url": "http://x", "valueString": "b"}]}}),
        ),
        (
            "a list of primitives keeps step",
            json!({"name": [{"given": ["A", "B"], "_given": [null, {"id": "b"}]}]}),
            vec![
                operation("delete", "Patient.name.given[0]", &[]),
                operation("add", "Patient.name", &[name("given"), value("String", json!("C"))]),
            ],
            json!({"name": [{"given": ["B", "C"], "_given": [{"id": "b"}, null]}]}),
        ),
        (
            "in a contained resource",
            json!({"contained": [{"resourceType": "Practitioner", "id": "p", "active": true}]}),
            vec![
                operation("replace", "Patient.contained[0].active", &[value("Boolean", json!(false))]),
                operation("add", "Patient.contained[0]", &[name("name"), value("HumanName", json!({"text": "x"}))]),
            ],
            json!({"contained": [{"resourceType": "Practitioner", "id": "p", "active": false, "name": [{"text": "x"}]}]}),
        ),
        (
            "without the type in front",
            json!({"active": true}),
            vec![operation("replace", "active", &[value("Boolean", json!(false))])],
            json!({"active": false}),
        ),
    ];
    for (what, before, operations, after) in table {
        let done = apply(&operations, &of(&before)).unwrap_or_else(|error| panic!("{what}: {}", error.outcome()));
        assert_eq!(done, of(&after), "{what}");
    }
}

#[test]
fn what_cannot_be_done_says_why() {
    let patient = of(&json!({"id": "p", "active": true, "identifier": [{"value": "1"}, {"value": "2"}]}));
    let identifier = || value("Identifier", json!({"value": "3"}));
    let table = [
        ("several targets", operation("delete", "Patient.identifier", &[]), 422),
        ("no target", operation("replace", "Patient.name[0].family", &[value("String", json!("x"))]), 422),
        ("no target", operation("add", "Patient.name[0]", &[name("family"), value("String", json!("x"))]), 422),
        ("is there already", operation("add", "Patient", &[name("active"), value("Boolean", json!(false))]), 422),
        ("no such element", operation("add", "Patient", &[name("banana"), value("Boolean", json!(false))]), 422),
        ("beyond the end", operation("insert", "Patient.identifier", &[number("index", 3), identifier()]), 422),
        (
            "beyond the end",
            operation("move", "Patient.identifier", &[number("source", 2), number("destination", 0)]),
            422,
        ),
        ("no list", operation("insert", "Patient.active", &[number("index", 0), value("Boolean", json!(true))]), 422),
        ("the whole", operation("delete", "Patient", &[]), 422),
        ("the id", operation("replace", "Patient.id", &[value("Id", json!("q"))]), 422),
        ("no index", operation("insert", "Patient.identifier", &[identifier()]), 400),
        (
            "no list's path",
            operation("move", "Patient.identifier[0]", &[number("source", 1), number("destination", 0)]),
            400,
        ),
        ("no value", operation("replace", "Patient.active", &[]), 400),
        ("no such type", operation("shuffle", "Patient.active", &[]), 400),
        ("no path", operation("delete", "Patient.identifier[", &[]), 400),
        ("another resource", operation("delete", "Patient.managingOrganization.resolve().name", &[]), 400),
        ("no operation", json!({"name": "banana", "valueString": "x"}), 400),
    ];
    for (what, operation, status) in table {
        let error = apply(std::slice::from_ref(&operation), &patient).unwrap_err();
        assert_eq!(error.view().status, status, "{what}: {operation}");
        assert!(!error.outcome()["issue"][0]["diagnostics"].as_str().unwrap().is_empty());
    }
}

#[test]
fn a_patch_without_end_is_stopped() {
    let given: Vec<String> = (0..3000).map(|n| n.to_string()).collect();
    let patient = of(&json!({"name": [{"given": given}]}));
    let all = vec![operation("delete", "Patient.name.given.where($this = 'x')", &[]); 1000];
    assert_eq!(apply(&all, &patient).unwrap_err().view().status, 422);
    let operations = format!("[{}]", vec![r#"{"op":"copy","from":"/name","path":"/name/0/x"}"#; 60].join(","));
    assert_eq!(Patch::json(operations.as_bytes()).unwrap().apply(patient).unwrap_err().view().status, 422);
}

proptest! {
    /// Whatever path is given, a patch is done or refused, and what it leaves has the same identity.
    #[test]
    fn no_operation_panics(
        steps in prop::collection::vec(prop::sample::select(vec!["name", "given", "birthDate", "extension", "value", "deceased",
            "contained", "id", "first()", "last()", "where(use = 'usual')", "ofType(boolean)", "name[1]", "given[7]"]), 0..5),
        kind in prop::sample::select(vec!["add", "insert", "delete", "replace", "move"]),
        at in 0_usize..3,
    ) {
        let patient = of(&json!({"id": "p", "birthDate": "1920", "_birthDate": {"id": "b"}, "deceasedBoolean": true,
            "name": [{"use": "usual", "given": ["A", "B"], "_given": [null, {"extension": [{"url": "x", "valueString": "y"}]}]}, {"text": "z"}],
            "contained": [{"resourceType": "Patient", "id": "q", "name": [{"text": "w"}]}]}));
        let path = ["Patient"].into_iter().chain(steps).collect::<Vec<_>>().join(".");
        let more = [name("given"), value("String", "x"), number("index", at), number("source", at), number("destination", at)];
        if let Ok(patched) = apply(&[operation(kind, &path, &more)], &patient) {
            prop_assert_eq!((&patched["resourceType"], &patched["id"]), (&json!("Patient"), &json!("p")));
        }
    }
}
