//! What is refused, and the place each refusal names.

use fhir_r4::{Format, Issue, Severity, check, check_bundle_shell, parse};
use serde_json::{Value, json};

fn issues(text: &str) -> Vec<Issue> {
    parse(text.as_bytes(), Format::Json).and_then(check).err().unwrap_or_default()
}

/// The places of all problems, in order.
fn places(value: &Value) -> Vec<String> {
    issues(&value.to_string()).into_iter().map(|i| i.expression).collect()
}

fn heart_rate() -> Value {
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

fn pressure(code: &str, value: u32) -> Value {
    json!({"code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "valueQuantity": {"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}})
}

fn blood_pressure() -> Value {
    let mut bp = heart_rate();
    bp.as_object_mut().unwrap().remove("valueQuantity");
    bp["code"]["coding"][0]["code"] = json!("85354-9");
    bp["component"] = json!([pressure("8480-6", 120), pressure("8462-4", 80)]);
    bp
}

/// A change at a JSON pointer, and the places of the problems that it makes. `null` removes.
fn changes(base: &Value, cases: &[(&str, Value, &[&str])]) {
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

#[test]
fn elements_of_an_observation() {
    let mut base = heart_rate();
    base["category"] = json!([{"text": "any"}]);
    changes(
        &base,
        &[
            ("/status", json!("banana"), &["Observation.status"]),
            ("/status", Value::Null, &["Observation.status"]),
            ("/status", json!(7), &["Observation.status"]),
            ("/status", json!(["final"]), &["Observation.status"]),
            ("/effectiveDateTime", json!("yesterday"), &["Observation.effectiveDateTime"]),
            ("/effectivePeriod", json!({"start": "2026"}), &["Observation.effectivePeriod"]),
            ("/id", json!("a b/c"), &["Observation.id"]),
            ("/banana", json!(1), &["Observation.banana"]),
            ("/category", json!({"text": "a"}), &["Observation.category"]),
            ("/category", json!([{"text": "a"}, 7]), &["Observation.category[1]"]),
            ("/code", json!([{"text": "a"}]), &["Observation.code"]),
            ("/code", json!("a"), &["Observation.code"]),
            ("/code", json!({"id": "a"}), &["Observation.code"]),
            ("/valueString", json!("a"), &["Observation.valueString"]),
            ("/valueMoney", json!({"value": 1}), &["Observation.valueMoney"]),
            ("/valueQuantity/value", json!("72.50"), &["Observation.valueQuantity.value"]),
            ("/valueQuantity/system", Value::Null, &["Observation.valueQuantity"]),
            ("/valueQuantity/comparator", json!("~"), &["Observation.valueQuantity.comparator"]),
            ("/dataAbsentReason", json!({"text": "a"}), &["Observation"]),
            ("/component", json!([{"code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}}]), &["Observation"]),
            ("/component", json!([{}, {"valueQuantity": {"code": "a  b", "system": "x"}}]), &["Observation.component[0]"]),
            (
                "/component",
                json!([{"code": {"text": "a"}}, {"valueQuantity": {"code": "a  b", "system": "x"}}]),
                &["Observation.component[1].valueQuantity.code", "Observation.component[1].code"],
            ),
            ("/referenceRange", json!([{"appliesTo": [{"text": "a"}]}]), &["Observation.referenceRange[0]"]),
            (
                "/referenceRange",
                json!([{"low": {"value": 1}, "age": {"low": {"value": 9.5}, "high": {"value": 9}}}]),
                &["Observation.referenceRange[0].age"],
            ),
            ("/subject/reference", json!("Practitioner/1"), &["Observation.subject"]),
            ("/subject/reference", json!("https://a.example/fhir/Practitioner/1"), &["Observation.subject"]),
            ("/subject/reference", json!("Patient 1"), &["Observation.subject.reference"]),
            ("/subject/reference", json!("#p"), &["Observation.subject.reference"]),
            ("/subject/reference", json!("urn:uuid:c757873d-ec9a-4326-a141-556f43239520"), &[]),
            ("/subject/type", json!("Group"), &["Observation.subject"]),
            ("/specimen", json!({"display": "only words"}), &[]),
        ],
    );
}

#[test]
fn extensions_and_primitives() {
    let extension = json!({"extension": [{"url": "https://a.example/x", "valueCode": "y"}]});
    changes(
        &json!({"resourceType": "Patient", "birthDate": "1970-01-01", "name": [{"given": ["A", "B"]}]}),
        &[
            ("/_birthDate", extension.clone(), &[]),
            ("/_deceasedBoolean", extension.clone(), &[]),
            ("/_birthDate", json!({"extension": [{"valueCode": "y"}]}), &["Patient.birthDate.extension[0].url"]),
            ("/_birthDate", json!({"extension": [{"url": "x"}]}), &["Patient.birthDate.extension[0]"]),
            ("/_birthDate", json!("x"), &["Patient.birthDate"]),
            ("/_birthDate", json!([extension]), &["Patient.birthDate"]),
            ("/_name", json!([extension]), &["Patient.name"]),
            ("/_banana", extension.clone(), &["Patient._banana"]),
            (
                "/extension",
                json!([{"url": "x", "valueCode": "y", "extension": [{"url": "y", "valueCode": "z"}]}]),
                &["Patient.extension[0]"],
            ),
            ("/extension", json!([{"url": "x", "valueBanana": "y"}]), &["Patient.extension[0].valueBanana", "Patient.extension[0]"]),
            ("/name/0/_given", json!([null, extension]), &[]),
            ("/name/0/_given", json!([extension]), &["Patient.name[0].given"]),
            ("/name/0/given", json!(["A", null]), &["Patient.name[0].given[1]"]),
            ("/name/0/given", json!("A"), &["Patient.name[0].given"]),
            ("/name", json!([null]), &["Patient.name[0]"]),
            ("/birthDate", json!("1970-02-30"), &["Patient.birthDate"]),
            ("/gender", json!("f"), &["Patient.gender"]),
            ("/active", json!("true"), &["Patient.active"]),
            ("/multipleBirthInteger", json!(1.5), &["Patient.multipleBirthInteger"]),
            ("/contact", json!([{"gender": "female"}]), &["Patient.contact[0]"]),
            ("/telecom", json!([{"value": "1", "rank": 0}]), &["Patient.telecom[0].rank", "Patient.telecom[0]"]),
            ("/identifier", json!([{"period": {"start": "2026-02", "end": "2026-01"}}]), &["Patient.identifier[0].period"]),
            ("/text", json!({"status": "generated", "div": "<div>a<script/></div>"}), &["Patient.text.div"]),
            ("/photo", json!([{"data": "AAA="}]), &["Patient.photo[0]"]),
            ("/link", json!([{"other": {"reference": "Patient/2"}, "type": "banana"}]), &["Patient.link[0].type"]),
        ],
    );
}

#[test]
fn contained_resources() {
    let base = json!({"resourceType": "Observation", "status": "final", "code": {"text": "a"},
        "contained": [{"resourceType": "Patient", "id": "p"}], "subject": {"reference": "#p"}});
    changes(
        &base,
        &[
            ("/subject/reference", json!("#q"), &["Observation.subject.reference", "Observation.contained[0]"]),
            ("/subject", Value::Null, &["Observation.contained[0]"]),
            ("/contained/0/resourceType", json!("Specimen"), &["Observation.subject"]),
            ("/contained/0/resourceType", json!("Banana"), &["Observation.contained[0].resourceType"]),
            ("/contained/0/resourceType", Value::Null, &["Observation.contained[0].resourceType"]),
            ("/contained/0/banana", json!(1), &["Observation.contained[0].banana"]),
            ("/contained/0/meta", json!({"versionId": "1", "security": [{"code": "R"}]}), &["Observation.contained[0]"; 2]),
            ("/contained/0/contained", json!([{"resourceType": "Basic", "code": {"text": "a"}}]), &["Observation.contained[0]"]),
            ("/contained/0/managingOrganization", json!({"reference": "#o"}), &["Observation.contained[0].managingOrganization.reference"]),
        ],
    );
}

#[test]
fn vital_signs() {
    let none: &[&str] = &[];
    changes(
        &heart_rate(),
        &[
            ("/subject", Value::Null, &["Observation.subject"]),
            ("/subject/reference", json!("Group/1"), &["Observation.subject"]),
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
            ("/component/0/valueQuantity/system", json!("x"), &["Observation.component[0].valueQuantity"; 2]),
            ("/component", json!([pressure("8480-6", 120)]), &["Observation.component", "Observation.component"]),
            ("/component", json!([pressure("8480-6", 120), pressure("8478-0", 90)]), &["Observation.component"]),
            ("/valueQuantity", json!({"value": 1}), &["Observation.value"]),
        ],
    );
}

#[test]
fn bundles() {
    let entry = json!({"fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "resource": heart_rate(),
        "request": {"method": "POST", "url": "Observation"}});
    let base = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
    changes(
        &base,
        &[
            ("/type", json!("banana"), &["Bundle.type", "Bundle.entry[0].request"]),
            ("/total", json!(1), &["Bundle.total"]),
            ("/entry/0/request", Value::Null, &["Bundle.entry[0].request"]),
            ("/entry/0/request/method", json!("FETCH"), &["Bundle.entry[0].request.method"]),
            ("/entry/0/response", json!({"status": "200"}), &["Bundle.entry[0].response"]),
            ("/entry/0/search", json!({"mode": "match"}), &["Bundle.entry[0].search"]),
            ("/entry/0/resource/status", json!("x"), &["Bundle.entry[0].resource.status"]),
            ("/entry/0/resource/valueQuantity/code", json!("x"), &["Bundle.entry[0].resource.valueQuantity.code"]),
            ("/entry", json!([entry, entry]), &["Bundle.entry[1].fullUrl"]),
            ("/type", json!("document"), &[
                "Bundle.identifier",
                "Bundle.timestamp",
                "Bundle.entry[0].request",
                "Bundle.entry[0]",
            ]),
        ],
    );
}

#[test]
fn the_shell_of_a_bundle_leaves_its_resources_alone() {
    let mut bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"resource": {"resourceType": "Banana", "x": [1]}, "request": {"method": "PUT", "url": "Banana/1"}}]});
    assert_eq!(check_bundle_shell(&bundle), []);
    assert!(!places(&bundle).is_empty());
    bundle["entry"][0]["banana"] = json!(1);
    let found: Vec<String> = check_bundle_shell(&bundle).into_iter().map(|i| i.expression).collect();
    assert_eq!(found, ["Bundle.entry[0].banana"]);
    assert!(!check_bundle_shell(&heart_rate()).is_empty());
    assert!(!check_bundle_shell(&json!(7)).is_empty());
}

#[test]
fn nested_items_follow_their_content_reference() {
    let item = json!({"linkId": "1", "type": "group", "item": [{"linkId": "1.1", "type": "banana", "item": [{"type": "group"}]}]});
    let value = json!({"resourceType": "Questionnaire", "status": "draft", "item": [item]});
    assert_eq!(
        places(&value),
        ["Questionnaire.item[0].item[0].type", "Questionnaire.item[0].item[0].item[0].linkId"]
    );
}

#[test]
fn broken_json() {
    for (text, place, code) in [
        ("", "Resource", "structure"),
        ("[1]", "Resource", "structure"),
        ("{\"resourceType\": \"Patient\", \"name\": [{\"family\": }]}", "Patient.name[0].family", "structure"),
        ("{\"resourceType\": \"Patient\"} x", "Patient", "structure"),
        ("{\"resourceType\": \"Patient\", \"id\": \"a\", \"id\": \"b\"}", "Patient.id", "structure"),
        ("{\"resourceType\": \"Patient\", \"active\": null}", "Patient.active", "structure"),
        ("{\"active\": null, \"resourceType\": \"Patient\"}", "Resource.active", "structure"),
        ("{\"resourceType\": \"Patient\", \"identifier\": []}", "Patient.identifier", "structure"),
        ("{\"resourceType\": \"Patient\", \"contained\": []}", "Patient.contained", "structure"),
        ("{\"resourceType\": \"Bundle\", \"type\": \"batch\", \"entry\": []}", "Bundle.entry", "structure"),
        ("{\"resourceType\": \"Patient\", \"name\": [{}]}", "Patient.name[0]", "structure"),
        ("{\"resourceType\": \"Patient\", \"name\": [{\"_given\": [null, {}]}]}", "Patient.name[0].given[1]", "structure"),
        ("{\"resourceType\": \"Patient\", \"id\": \"\"}", "Patient.id", "structure"),
        ("{\"resourceType\": \"Observation\", \"valueInteger\": 1e999}", "Observation.valueInteger", "value"),
        ("{\"resourceType\": \"Observation\", \"a\": {\"$serde_json::private::Number\": \"1\"}}", "Observation.a", "structure"),
        ("{\"resourceType\": \"Observation\", \"a\": {\"b\": 1, \"\\u0024serde_json::private::RawValue\": \"1\"}}", "Observation.a", "structure"),
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
        let open = "{\"resourceType\":\"Patient\",\"extension\":[{\"url\":\"a\",\"x\":".to_owned() + &"{\"x\":".repeat(depth);
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
    for number in ["72.50", "0.10000000000000000000000000010", "1.0e2", "-0.0", "100", "1E-7", "-0"] {
        let text = format!("{{\"resourceType\":\"Observation\",\"status\":\"final\",\"code\":{{\"text\":\"a\"}},\"valueQuantity\":{{\"value\":{number}}}}}");
        let checked = parse(text.as_bytes(), Format::Json).and_then(check).unwrap();
        assert_eq!(checked.resource_type(), "Observation");
        assert_eq!(checked.into_value().to_string(), text.replace("1.0e2", "1.0e2"));
    }
}

#[test]
fn what_is_told_repeats_nothing_that_was_sent() {
    let secret = "Zebedee";
    let value = json!({"resourceType": "Patient", "id": format!("{secret} x"), "gender": secret, "birthDate": secret,
        "active": secret, "name": secret, "maritalStatus": {"coding": [{"code": format!(" {secret}")}]},
        "generalPractitioner": [{"reference": format!("{secret}/1")}, {"reference": format!("Patient/{secret}")}],
        "text": {"status": secret, "div": format!("<div>{secret}")}, format!("{secret} {secret}"): 1});
    let found = issues(&value.to_string());
    assert!(found.len() >= 10 && found.iter().all(|i| i.severity == Severity::Error));
    assert!(!format!("{found:?}").contains(secret), "{found:?}");
}

#[test]
fn problems_are_bounded_in_number() {
    let many: Vec<Value> = (0..10_000).map(|_| json!(7)).collect();
    assert!(places(&json!({"resourceType": "Patient", "name": many})).len() <= 200);
    let empty = format!("{{\"resourceType\":\"Patient\",\"name\":[{}{{}}]}}", "{},".repeat(10_000));
    assert!(issues(&empty).len() <= 200);
}
