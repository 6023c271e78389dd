//! What the base definitions refuse.

use fhir_r4::Severity;
use serde_json::{Value, json};

use crate::support::{changes, heart_rate, issues, places};

#[test]
fn elements_of_an_observation() {
    let mut base = heart_rate();
    base["category"] = json!([{"text": "any"}]);
    // No vital sign, neither by its category nor by its code.
    base["code"]["coding"][0]["code"] = json!("8889-8");
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
            (
                "/component",
                json!([{"code": {"coding": [{"system": "http://loinc.org", "code": "8889-8"}]}}]),
                &["Observation"],
            ),
            (
                "/component",
                json!([{}, {"valueQuantity": {"code": "a  b", "system": "x"}}]),
                &["Observation.component[0]"],
            ),
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
            ("/extension", json!([{"url": "x", "valueBanana": "y"}]), &["Patient.extension[0].valueBanana"]),
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
            (
                "/identifier",
                json!([{"period": {"start": "2026-02", "end": "2026-01"}}]),
                &["Patient.identifier[0].period"],
            ),
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
            (
                "/contained/0/resourceType",
                json!("Banana"),
                &["Observation.contained[0].resourceType", "Observation.subject"],
            ),
            ("/contained/0/resourceType", Value::Null, &["Observation.contained[0].resourceType"]),
            ("/contained/0/banana", json!(1), &["Observation.contained[0].banana"]),
            (
                "/contained/0/meta",
                json!({"versionId": "1", "security": [{"code": "R"}]}),
                &["Observation.contained[0]"; 2],
            ),
            (
                "/contained/0/contained",
                json!([{"resourceType": "Basic", "code": {"text": "a"}}]),
                &["Observation.contained[0]"],
            ),
            (
                "/contained/0/managingOrganization",
                json!({"reference": "#o"}),
                &["Observation.contained[0].managingOrganization.reference"],
            ),
        ],
    );
}

#[test]
fn nested_items_follow_their_content_reference() {
    let item = json!({"linkId": "1", "type": "group", "item": [{"linkId": "1.1", "type": "banana", "item": [{"type": "group"}]}]});
    let value = json!({"resourceType": "Questionnaire", "status": "draft", "item": [item]});
    assert_eq!(
        places(&value),
        [
            "Questionnaire.item[0].item[0].type",
            "Questionnaire.item[0].item[0].item[0].linkId",
            "Questionnaire.item[0].item[0].item[0]"
        ]
    );
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
    assert!(places(&json!({"resourceType": "Patient", "name": many})).len() == 201);
    let empty = format!("{{\"resourceType\":\"Patient\",\"name\":[{}{{}}]}}", "{},".repeat(10_000));
    assert_eq!(issues(&empty).len(), 201);
}
