//! Profiles that were loaded: what each kind of rule finds, and where.

use fhir_r4::{Definitions, Policies, Severity};
use serde_json::{Value, json};

const URL: &str = "urn:test:profile";

/// A profile of a type from its elements; paths are below the type, a slice is `path:name`.
fn profile(of: &str, elements: &[(&str, Value)]) -> Value {
    let root = json!({"id": of, "path": of, "min": 0, "max": "*", "base": {"path": of, "min": 0, "max": "*"}});
    let mut all = vec![root];
    for (id, more) in elements {
        let path: Vec<&str> = id.split('.').map(|part| part.split(':').next().unwrap()).collect();
        let mut element =
            json!({"id": format!("{of}.{id}"), "path": format!("{of}.{}", path.join(".")), "min": 0, "max": "*"});
        if let Some((_, slice)) = id.rsplit('.').next().unwrap().split_once(':') {
            element["sliceName"] = json!(slice);
        }
        for (name, value) in more.as_object().unwrap() {
            element[name] = value.clone();
        }
        all.push(element);
    }
    json!({"resourceType": "StructureDefinition", "url": URL, "version": "1.0", "type": of, "kind": "resource",
        "derivation": "constraint", "snapshot": {"element": all}})
}

fn patient(more: &Value) -> Value {
    let mut patient = json!({"resourceType": "Patient", "meta": {"profile": [URL]}});
    for (name, value) in more.as_object().unwrap() {
        patient[name] = value.clone();
    }
    patient
}

/// `E`, `W` or `I` and the place, of each issue.
fn told(definitions: &Definitions, resource: &Value) -> Vec<String> {
    let letter = |severity| match severity {
        Severity::Error => 'E',
        Severity::Warning => 'W',
        Severity::Information => 'I',
    };
    definitions.validate(resource, &[]).iter().map(|i| format!("{} {}", letter(i.severity), i.expression)).collect()
}

fn holds(elements: &[(&str, Value)], cases: &[(Value, &[&str])]) {
    let set = json!({"resourceType": "ValueSet", "url": "urn:test:set", "compose": {"include": [
        {"system": "urn:a", "concept": [{"code": "1"}, {"code": "2"}]}, {"system": "urn:tree", "filter": [{"property": "concept", "op": "is-a", "value": "b"}]}],
        "exclude": [{"system": "urn:a", "concept": [{"code": "2"}]}]}});
    let system = json!({"resourceType": "CodeSystem", "url": "urn:tree", "content": "complete",
        "concept": [{"code": "a", "concept": [{"code": "b", "concept": [{"code": "c"}]}]}]});
    let (definitions, problems) =
        Definitions::compile([&profile("Patient", elements), &set, &system], Policies::default());
    assert!(problems.is_empty(), "{problems:?}");
    for (more, expected) in cases {
        assert_eq!(told(&definitions, &patient(more)), *expected, "{elements:?} {more}");
    }
}

#[test]
fn rules_of_one_element() {
    let binding = |strength: &str, set: &str| json!({"binding": {"strength": strength, "valueSet": set}});
    holds(
        &[("birthDate", json!({"min": 1, "max": "1"}))],
        &[(json!({"birthDate": "1970"}), &[]), (json!({"active": true}), &["E Patient.birthDate"])],
    );
    holds(
        &[("name", json!({"max": "1"})), ("photo", json!({"max": "0"}))],
        &[(
            json!({"name": [{"text": "a"}, {"text": "b"}], "photo": [{"url": "urn:x"}]}),
            &["E Patient.name", "E Patient.photo"],
        )],
    );
    holds(
        &[("gender", json!({"max": "1", "fixedCode": "female"}))],
        &[
            (json!({"gender": "female"}), &[]),
            (json!({"gender": "male"}), &["E Patient.gender"]),
            (json!({"_gender": {"extension": [{"url": "urn:x", "valueCode": "x"}]}}), &["E Patient.gender"]),
        ],
    );
    holds(
        &[(
            "maritalStatus",
            json!({"max": "1", "patternCodeableConcept": {"coding": [{"system": "urn:a", "code": "1"}]}}),
        )],
        &[
            (
                json!({"maritalStatus": {"text": "x", "coding": [{"system": "urn:b", "code": "2"}, {"system": "urn:a", "code": "1", "display": "y"}]}}),
                &[],
            ),
            (json!({"maritalStatus": {"coding": [{"system": "urn:a", "code": "2"}]}}), &["E Patient.maritalStatus"]),
        ],
    );
    holds(
        &[("deceased[x]", json!({"max": "1", "type": [{"code": "boolean"}]}))],
        &[
            (json!({"deceasedBoolean": false}), &[]),
            (json!({"deceasedDateTime": "2026"}), &["E Patient.deceasedDateTime"]),
        ],
    );
    holds(
        &[("communication", json!({})), ("communication.language", binding("required", "urn:test:set"))],
        &[
            (json!({"communication": [{"language": {"coding": [{"system": "urn:a", "code": "1"}]}}]}), &[]),
            (json!({"communication": [{"language": {"coding": [{"system": "urn:tree", "code": "c"}]}}]}), &[]),
            (
                json!({"communication": [{"language": {"coding": [{"system": "urn:tree", "code": "a"}]}}]}),
                &["E Patient.communication[0].language"],
            ),
            (
                json!({"communication": [{"language": {"coding": [{"system": "urn:a", "code": "2"}]}}]}),
                &["E Patient.communication[0].language"],
            ),
            (json!({"communication": [{"language": {"text": "x"}}]}), &["E Patient.communication[0].language"]),
        ],
    );
    holds(
        &[("maritalStatus", binding("extensible", "urn:test:set"))],
        &[(json!({"maritalStatus": {"coding": [{"system": "urn:z", "code": "1"}]}}), &["W Patient.maritalStatus"])],
    );
    holds(
        &[("maritalStatus", binding("required", "urn:test:unheard"))],
        &[(json!({"maritalStatus": {"coding": [{"system": "urn:z", "code": "1"}]}}), &["W Patient.maritalStatus"])],
    );
    holds(
        &[("multipleBirth[x]", json!({"minValueInteger": 1, "maxValueInteger": 3}))],
        &[
            (json!({"multipleBirthInteger": 3}), &[]),
            (json!({"multipleBirthInteger": 4}), &["E Patient.multipleBirthInteger"]),
            (json!({"multipleBirthInteger": 0}), &["E Patient.multipleBirthInteger"]),
        ],
    );
    holds(
        &[("name", json!({})), ("name.family", json!({"maxLength": 3}))],
        &[(json!({"name": [{"family": "Zoë"}, {"family": "Vega"}]}), &["E Patient.name[1].family"])],
    );
    holds(
        &[(
            "managingOrganization",
            json!({"type": [{"code": "Reference", "targetProfile": ["urn:test:org", "http://hl7.org/fhir/StructureDefinition/Practitioner"]}]}),
        )],
        &[(json!({"managingOrganization": {"reference": "Organization/1"}}), &[])],
    );
}

#[test]
fn invariants() {
    let rule = |severity: &str, expression: &str| json!({"constraint": [{"key": "x-1", "severity": severity, "human": "so it is", "expression": expression}]});
    holds(
        &[("name", rule("error", "family.exists() xor text.exists()"))],
        &[(json!({"name": [{"family": "a"}, {"family": "a", "text": "b"}]}), &["E Patient.name[1]"])],
    );
    holds(
        &[("birthDate", rule("warning", "$this >= @1900"))],
        &[(json!({"birthDate": "1899"}), &["W Patient.birthDate"]), (json!({"birthDate": "1901"}), &[])],
    );
    holds(
        &[("link", rule("error", "other.resolve().active"))],
        &[(json!({"link": [{"other": {"reference": "Patient/2"}, "type": "refer"}]}), &["I Patient.link[0]"])],
    );
    holds(
        &[("link", rule("error", "unheardOf()"))],
        &[(json!({"link": [{"other": {"reference": "Patient/2"}, "type": "refer"}]}), &["I Patient.link[0]"])],
    );
}

#[test]
fn slices() {
    let by = |sort: &str, path: &str, rules: &str, ordered: bool| json!({"slicing": {"discriminator": [{"type": sort, "path": path}], "rules": rules, "ordered": ordered}});
    let own = json!({"min": 1, "max": "1"});
    let identifiers = |rules: &str, ordered: bool| {
        [
            ("identifier", by("value", "system", rules, ordered)),
            ("identifier:a", own.clone()),
            ("identifier:a.system", json!({"fixedUri": "urn:a"})),
            ("identifier:a.value", json!({"min": 1})),
            ("identifier:b", json!({"max": "1"})),
            ("identifier:b.system", json!({"patternUri": "urn:b"})),
        ]
    };
    let id = |system: &str| json!({"system": system, "value": "1"});
    holds(
        &identifiers("open", false),
        &[
            (json!({"identifier": [id("urn:b"), id("urn:z"), id("urn:a")]}), &[]),
            (json!({"identifier": [id("urn:b"), id("urn:b")]}), &["E Patient.identifier", "E Patient.identifier"]),
            (json!({"identifier": [{"system": "urn:a"}]}), &["E Patient.identifier[0].value"]),
            (json!({"active": true}), &["E Patient.identifier"]),
        ],
    );
    holds(
        &identifiers("closed", true),
        &[
            (json!({"identifier": [id("urn:a"), id("urn:b")]}), &[]),
            (json!({"identifier": [id("urn:b"), id("urn:a")]}), &["E Patient.identifier[1]"]),
            (json!({"identifier": [id("urn:a"), id("urn:z")]}), &["E Patient.identifier[1]"]),
        ],
    );
    holds(
        &identifiers("openAtEnd", false),
        &[
            (json!({"identifier": [id("urn:b"), id("urn:a"), id("urn:z")]}), &[]),
            (json!({"identifier": [id("urn:z"), id("urn:a")]}), &["E Patient.identifier[1]"]),
        ],
    );
    holds(
        &[
            ("telecom", by("exists", "rank", "open", false)),
            ("telecom:ranked", json!({"max": "1"})),
            ("telecom:ranked.rank", json!({"min": 1})),
        ],
        &[(json!({"telecom": [{"rank": 1}, {"use": "home"}, {"rank": 2}]}), &["E Patient.telecom"])],
    );
    holds(
        &[
            ("deceased[x]", by("type", "$this", "closed", false)),
            ("deceased[x]:deceasedDateTime", json!({"max": "1", "type": [{"code": "dateTime"}]})),
        ],
        &[
            (json!({"deceasedDateTime": "2026"}), &[]),
            (json!({"deceasedBoolean": true}), &["E Patient.deceasedBoolean"]),
        ],
    );
    holds(
        &[
            ("contained", by("type", "$this", "open", false)),
            ("contained:org", json!({"min": 1, "max": "1", "type": [{"code": "Organization"}]})),
        ],
        &[(
            json!({"contained": [{"resourceType": "Practitioner", "id": "p", "active": true}], "generalPractitioner": [{"reference": "#p"}]}),
            &["E Patient.contained"],
        )],
    );
}

#[test]
fn parts_have_profiles_of_their_own() {
    let extension = json!({"resourceType": "StructureDefinition", "url": "urn:test:ext", "type": "Extension", "kind": "complex-type", "derivation": "constraint",
        "snapshot": {"element": [{"id": "Extension", "path": "Extension", "min": 0, "max": "*"},
            {"id": "Extension.url", "path": "Extension.url", "min": 1, "max": "1", "fixedUri": "urn:test:ext"},
            {"id": "Extension.value[x]", "path": "Extension.value[x]", "min": 1, "max": "1", "type": [{"code": "code"}]}]}});
    let named = profile(
        "Patient",
        &[
            ("extension", json!({"slicing": {"discriminator": [{"type": "value", "path": "url"}], "rules": "open"}})),
            (
                "extension:own",
                json!({"min": 1, "max": "1", "type": [{"code": "Extension", "profile": ["urn:test:ext"]}]}),
            ),
        ],
    );
    let (definitions, problems) = Definitions::compile([&extension, &named], Policies::default());
    assert!(problems.is_empty());
    for (extensions, expected) in [
        (json!([{"url": "urn:test:ext", "valueCode": "x"}, {"url": "urn:other", "valueString": "x"}]), vec![]),
        (json!([{"url": "urn:test:ext", "valueString": "x"}]), vec!["E Patient.extension[0].valueString"]),
        (json!([{"url": "urn:other", "valueString": "x"}]), vec!["E Patient.extension"]),
    ] {
        assert_eq!(told(&definitions, &patient(&json!({"extension": extensions}))), expected, "{extensions}");
    }
    let divided = profile(
        "Patient",
        &[
            (
                "contained",
                json!({"slicing": {"discriminator": [{"type": "profile", "path": "$this"}], "rules": "closed"}}),
            ),
            ("contained:one", json!({"type": [{"code": "Basic", "profile": ["urn:test:basic"]}]})),
        ],
    );
    let mut basic = profile("Basic", &[("created", json!({"min": 1, "max": "1"}))]);
    basic["url"] = json!("urn:test:basic");
    let (definitions, _) = Definitions::compile([&basic, &divided], Policies::default());
    for (created, expected) in [(json!("2026"), vec![]), (Value::Null, vec!["E Patient.contained[0]"])] {
        let mut inner = json!({"resourceType": "Basic", "id": "b", "code": {"text": "x"}});
        if !created.is_null() {
            inner["created"] = created;
        }
        let whole = json!({"contained": [inner], "generalPractitioner": [{"reference": "#b", "type": "Organization"}]});
        let mut lines = told(&definitions, &patient(&whole));
        lines.retain(|line| line.contains("contained"));
        assert_eq!(lines, expected, "{whole}");
    }
}

#[test]
fn what_cannot_be_used_is_told_and_never_panics() {
    let mut differential = profile("Patient", &[]);
    differential["differential"] = differential["snapshot"].take();
    differential.as_object_mut().unwrap().shift_remove("snapshot");
    let logical = json!({"resourceType": "StructureDefinition", "url": "urn:l", "kind": "logical", "derivation": "constraint", "type": "urn:x"});
    let odd = [
        profile("Patient", &[("name.family", json!({}))]),
        differential.clone(),
        profile("Banana", &[]),
        json!({"resourceType": "StructureDefinition", "type": "Patient", "derivation": "constraint", "snapshot": {"element": []}}),
        json!({"resourceType": "StructureDefinition", "type": "Patient", "derivation": "constraint", "snapshot": {"element": [{}]}}),
        json!({"resourceType": "StructureDefinition", "type": "Patient", "derivation": "constraint", "snapshot": {"element": [{"path": "a.b.c"}, {"path": "a"}, {"path": "x"}]}}),
        profile("Patient", &[("name", json!({"max": "many"}))]),
        profile("Patient", &[("name", json!({"slicing": {"discriminator": [{"type": "value", "path": "(("}]}}))]),
    ];
    for definition in &odd {
        assert!(Definitions::problem(definition, []).is_some(), "{definition}");
    }
    assert!(Definitions::problem(&logical, []).is_none());
    let (definitions, problems) = Definitions::compile(&odd, Policies::default());
    assert_eq!((definitions.profiles().len(), problems.len()), (0, odd.len()));
    assert!(problems[1].diagnostics.contains("snapshot"));
}

#[test]
fn what_cannot_be_checked_is_told_by_a_warning() {
    let bound = |strength: &str| json!({"binding": {"strength": strength, "valueSet": "urn:test:unheard-of"}});
    let married = json!({"maritalStatus": {"coding": [{"system": "urn:a", "code": "1"}]}});
    for strength in ["required", "extensible"] {
        holds(&[("maritalStatus", bound(strength))], &[(married.clone(), &["W Patient.maritalStatus"])]);
    }
    holds(&[("maritalStatus", bound("preferred"))], &[(married, &[])]);
    // Targets of references tell slices apart as far as they are contained; of others nothing but the type is known.
    let sliced = |path: &str, kind: &str| json!({"slicing": {"discriminator": [{"type": kind, "path": path}], "rules": "closed"}});
    let to = |of: &str| json!({"type": [{"code": "Reference", "targetProfile": [of]}]});
    let doctor = json!({"contained": [{"resourceType": "Practitioner", "id": "d"}], "generalPractitioner": [{"reference": "#d"}]});
    let other = json!({"contained": [{"resourceType": "Organization", "id": "d", "name": "x"}], "generalPractitioner": [{"reference": "#d"}]});
    let elsewhere = json!({"generalPractitioner": [{"reference": "Practitioner/1"}]});
    let mut practitioner = profile("Practitioner", &[]);
    practitioner["url"] = json!("urn:test:doctor");
    let elements = [
        ("generalPractitioner", sliced("$this.resolve()", "profile")),
        ("generalPractitioner:a", to("urn:test:doctor")),
    ];
    let (definitions, problems) =
        Definitions::compile([&profile("Patient", &elements), &practitioner], Policies::default());
    assert!(problems.is_empty(), "{problems:?}");
    for (resource, expected) in [
        (doctor, vec![]),
        (other, vec!["E Patient.generalPractitioner[0]"]),
        (elsewhere, vec!["W Patient.generalPractitioner"]),
    ] {
        assert_eq!(told(&definitions, &patient(&resource)), expected, "{resource}");
    }
}
