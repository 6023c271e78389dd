//! The rows of a device alarm (PCD-04): each becomes a component of the one Observation that the alarm is. What the
//! device says of itself is kept as it says it; no rule of this server judges it.

use serde_json::{Map as Object, Value};

use super::coded;
use super::message::Segment;
use crate::normalize::decimal;
use crate::normalize::draft::Coding;

/// Adds what an OBX says of the alarm.
pub(super) fn part(obx: &Segment<'_>, alarm: &mut Value) {
    let code = obx.repetitions(3).next().map(|code| concept(&coded::codings(code).codings)).unwrap_or_default();
    let (Some(value), false) = (value(obx), code.is_empty()) else { return };
    let Value::Object(members) = alarm else { return };
    let components = members.entry("component").or_insert_with(|| Value::Array(vec![]));
    let Value::Array(components) = components else { return };
    let mut component = Object::new();
    component.insert("code".into(), code.into());
    component.extend([value]);
    components.push(component.into());
}

fn value(obx: &Segment<'_>) -> Option<(String, Value)> {
    let first = obx.repetitions(5).next()?;
    match obx.text(2, 1).as_str() {
        "NM" => {
            let number = decimal(&first.text(1)).and_then(|text| serde_json::from_str::<Value>(&text).ok())?;
            let mut quantity = Object::new();
            quantity.insert("value".into(), number);
            let unit = obx.repetitions(6).next().map(|unit| unit.text(2)).filter(|unit| !unit.is_empty());
            let unit = unit.or_else(|| Some(obx.text(6, 1)).filter(|unit| !unit.is_empty()));
            quantity.extend(unit.map(|unit| ("unit".to_owned(), Value::from(unit))));
            Some(("valueQuantity".to_owned(), quantity.into()))
        }
        "CE" | "CWE" | "CNE" => {
            let concept = concept(&coded::codings(first).codings);
            (!concept.is_empty()).then(|| ("valueCodeableConcept".to_owned(), concept.into()))
        }
        _ => {
            let text = obx.repetitions(5).map(|line| line.whole()).collect::<Vec<_>>().join("\n");
            (!text.trim().is_empty()).then(|| ("valueString".to_owned(), text.trim().into()))
        }
    }
}

fn concept(codings: &[Coding]) -> Object<String, Value> {
    let mut made = Object::new();
    let coded = codings.iter().filter(|coding| !coding.code.is_empty()).map(|coding| {
        let mut one = Object::new();
        if !coding.system.is_empty() {
            one.insert("system".into(), coding.system.as_str().into());
        }
        let code = coding.code.split_whitespace().collect::<Vec<_>>().join(" ");
        one.insert("code".into(), code.into());
        one.extend(coding.display.as_ref().map(|display| ("display".to_owned(), Value::from(display.as_str()))));
        Value::from(one)
    });
    let coded: Vec<Value> = coded.collect();
    if !coded.is_empty() {
        made.insert("coding".into(), coded.into());
    }
    let text = codings.iter().find(|coding| coding.code.is_empty()).and_then(|coding| coding.display.clone());
    made.extend(text.map(|text| ("text".to_owned(), text.into())));
    made
}
