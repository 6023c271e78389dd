//! Expressions over small resources.

use serde_json::{Value, json};

use super::*;
use crate::Definitions;

fn holds(text: &str, resource: &Value) -> Result<bool, Stop> {
    let expression = Expression::read(text).unwrap_or_else(|what| panic!("{text}: {what}"));
    let object = resource.as_object().unwrap();
    let definitions = Definitions::default();
    let context = Context { resource: object, root: object, definitions: Some(&definitions) };
    expression.holds(&Item::resource(object).unwrap(), &context, &Fuel::new(10_000)).map(|is| is == Some(true))
}

#[test]
fn expressions() {
    let resource = json!({"resourceType": "Observation", "id": "o", "status": "final", "_status": {"id": "s"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}, {"system": "urn:x", "code": "1"}]},
        "subject": {"reference": "Patient/1"}, "performer": [{"reference": "#p"}],
        "contained": [{"resourceType": "Practitioner", "id": "p"}],
        "valueQuantity": {"value": 72.50, "code": "/min", "system": "http://unitsofmeasure.org"},
        "effectiveDateTime": "2026-11-22T10:00:00Z",
        "component": [{"code": {"text": "a"}, "valueInteger": 3}, {"code": {"text": "b"}, "valueBoolean": false}]});
    for (text, expected) in [
        ("status = 'final'", Ok(true)),
        ("Observation.status = 'final'", Ok(true)),
        ("status in ('draft' | 'final')", Ok(true)),
        ("('draft' | 'final') contains status", Ok(true)),
        ("value.exists() and value is Quantity", Ok(true)),
        ("value.is(Quantity) and (value as Quantity).value = 72.5", Ok(true)),
        ("value.ofType(string).exists()", Ok(false)),
        ("(value as Quantity).value > 72 and value.value <= 72.500", Ok(true)),
        ("code.coding.where(system = 'urn:x' and code = '1').exists()", Ok(true)),
        ("code.coding.exists(code = '2')", Ok(false)),
        ("code.coding.all(system.startsWith('http'))", Ok(false)),
        ("code.coding.select(code).isDistinct()", Ok(true)),
        ("code.coding[1].code = '1' and code.coding[9].empty()", Ok(true)),
        ("code.coding.count() + 1 = 3", Ok(true)),
        ("code.coding.code = '1'", Ok(false)),
        ("component.value.ofType(integer) = 3", Ok(true)),
        ("component.last().value.not()", Ok(true)),
        ("component.first().value is Integer", Ok(true)),
        ("effective is dateTime implies effective.toString().length() >= 10", Ok(true)),
        ("effective is DateTime", Ok(true)),
        ("($this.effective as dateTime).toString().matches('^2026')", Ok(true)),
        ("effective > @2026-11-20", Ok(true)),
        ("effective > @2026", Err(Stop::Unknown)),
        ("issued.empty() or issued > @2026", Ok(true)),
        ("effective > @2026 or true", Ok(true)),
        ("status.id = 's' and status.hasValue() and code.hasValue().not()", Ok(true)),
        ("dataAbsentReason = 'x'", Ok(false)),
        ("dataAbsentReason ~ {}", Ok(true)),
        ("dataAbsentReason.exists() xor value.exists()", Ok(true)),
        ("iif(status = 'final', true, false)", Ok(true)),
        ("performer.resolve().ofType(Practitioner).exists()", Ok(true)),
        ("subject.resolve() is Patient", Ok(true)),
        ("subject.resolve().active", Err(Stop::Unknown)),
        ("descendants().where($this is code).count() >= 1", Ok(true)),
        ("descendants().count() > 20 and children().count() = 10", Ok(true)),
        ("(code | component.code).count() = 3", Ok(true)),
        ("code.coding.intersect(%resource.code.coding).count() = 2", Ok(true)),
        ("%resource.id & '-' & 1 = 'o-1'", Ok(true)),
        ("'abc'.substring(1, 1) = 'b' and 'abc'.replaceMatches('b.*', '') = 'a'", Ok(true)),
        ("status.memberOf('http://hl7.org/fhir/ValueSet/observation-status')", Ok(true)),
        ("value.system = %ucum and %`ucum` = value.system", Ok(true)),
        ("code.coding.code.trace('x').tail() = '1'", Ok(true)),
        ("7 mod 2 = 1 and 7 div 2 = 3 and -3 < 2 and 2 * 3 = 6 and 3 - 2 = 1", Ok(true)),
        ("`status` = 'final' // a note", Ok(true)),
        ("code.coding", Err(Stop::Wrong)),
        ("{}", Ok(false)),
        ("component.select($index) contains 1", Ok(true)),
        ("%unheard.exists()", Err(Stop::Unknown)),
    ] {
        assert_eq!(holds(text, &resource), expected, "{text}");
    }
}

#[test]
fn what_is_not_understood_is_told() {
    let deep = format!("{}true{}", "(".repeat(500), ")".repeat(500));
    let long = "true".to_owned() + &" and true".repeat(500);
    for text in ["", "a.", "a b", "f(", "unheardOf()", "where()", "'a", "a[", "(a", "{1}", "#", "a is", &deep, &long] {
        assert!(Expression::read(text).is_err(), "{text}");
    }
}

#[test]
fn work_is_bounded() {
    let codings: Vec<Value> = (0..3000).map(|i| json!({"code": i.to_string()})).collect();
    let resource = json!({"resourceType": "Observation", "code": {"coding": codings}});
    assert_eq!(holds("code.coding.all(%resource.code.coding.code contains code)", &resource), Err(Stop::Spent));
}
