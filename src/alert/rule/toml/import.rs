//! TOML -> PlanDefinition.

use serde_json::{Map, Value, json};

use super::super::form::{FORMS, Form, Often, Place};
use super::shape::{Wrong, below, coding, each, extension, object};
use super::{Fault, text};
use crate::fhir::OURS;

/// Keys that are elements of the same name.
pub(super) const WORDS: [&str; 7] = ["id", "url", "version", "name", "title", "status", "description"];
/// Keys that are neither such elements nor extensions.
pub(super) const OTHERS: [&str; 6] = ["label", "codes", "effective", "fhirpath", "fhir", "fhir-json"];

/// The type that every rule has.
pub(super) fn eca_rule() -> Value {
    json!({"coding": [{
        "system": "http://terminology.hl7.org/CodeSystem/plan-definition-type",
        "code": "eca-rule",
        "display": "ECA Rule"
    }]})
}

/// Reads the short form. Whether the rule can be obeyed is not looked at: `compile` tells.
pub fn import(source: &str) -> Result<Value, Fault> {
    let parsed = text::read(source)?;
    let fault = |(key, text): Wrong| Fault { line: parsed.line(&key), key, text };
    plan(&parsed.value).map_err(fault)
}

fn plan(rule: &Value) -> Result<Value, Wrong> {
    let Some(rule) = rule.as_object() else { return Ok(Value::Null) };
    if let Some(name) = rule.keys().find(|name| !is_known(name)) {
        return Err((name.clone(), "no such key here".to_owned()));
    }
    let mut plan = Map::new();
    plan.insert("resourceType".to_owned(), json!("PlanDefinition"));
    for name in WORDS {
        if let Some(value) = rule.get(name) {
            let Some(value) = value.as_str() else { return Err((name.to_owned(), "a text is required".to_owned())) };
            plan.insert(name.to_owned(), json!(value));
        }
    }
    plan.insert("type".to_owned(), eca_rule());
    if let Some(effective) = rule.get("effective") {
        below("effective", object(effective, &["start", "end"]))?;
        plan.insert("effectivePeriod".to_owned(), effective.clone());
    }
    let own = extensions(rule, |form| form.place == Place::Plan)?;
    add(&mut plan, "extension", own);
    plan.insert("action".to_owned(), json!([action(rule)?]));
    further(rule, &mut plan)?;
    Ok(Value::Object(plan))
}

fn is_known(name: &str) -> bool {
    WORDS.contains(&name) || OTHERS.contains(&name) || name == "signal" || FORMS.iter().any(|form| form.key == name)
}

fn action(rule: &Map<String, Value>) -> Result<Value, Wrong> {
    let mut action = Map::new();
    let own = extensions(rule, |form| form.place != Place::Plan && form.key != "signal")?;
    add(&mut action, "extension", own);
    if let Some(label) = rule.get("label") {
        action.insert("title".to_owned(), label.clone());
    }
    let mut data = Vec::new();
    match (rule.get("codes"), rule.get("signal")) {
        (Some(_), Some(_)) => return Err(("codes".to_owned(), "each signal has its own codes".to_owned())),
        (Some(codes), None) => data.push(requirement(&below("codes", codings(codes))?, vec![])),
        (None, Some(Value::Array(signals))) => {
            for (at, one) in signals.iter().enumerate() {
                data.push(below(&format!("signal[{at}]"), signal(one))?);
            }
        }
        (None, Some(_)) => return Err(("signal".to_owned(), "each signal is a [[signal]]".to_owned())),
        (None, None) => {}
    }
    if !data.is_empty() {
        action.insert("trigger".to_owned(), json!([{"type": "data-added", "data": data}]));
    }
    if let Some(path) = rule.get("fhirpath") {
        action.insert(
            "condition".to_owned(),
            json!([{"kind": "applicability", "expression": {"language": "text/fhirpath", "expression": path}}]),
        );
    }
    Ok(Value::Object(action))
}

fn signal(value: &Value) -> Result<Value, Wrong> {
    let forms = FORMS.iter().filter(|form| form.place == Place::Signal).map(|form| word(form));
    let known: Vec<&str> = forms.chain(["codes"]).collect();
    let object = object(value, &known)?;
    let Some(codes) = object.get("codes") else { return Err((String::new(), "the key codes is required".to_owned())) };
    let mut own = Vec::new();
    for form in FORMS.iter().filter(|form| form.place == Place::Signal) {
        if let Some(value) = object.get(word(form)) {
            own.extend(below(word(form), said(form, value))?);
        }
    }
    Ok(requirement(&below("codes", codings(codes))?, own))
}

/// Within a signal its name is called so.
pub(super) fn word(form: &Form) -> &'static str {
    if form.key == "signal" { "name" } else { form.key }
}

fn requirement(codes: &[Value], extensions: Vec<Value>) -> Value {
    let mut data = Map::new();
    add(&mut data, "extension", extensions);
    data.insert("type".to_owned(), json!("Observation"));
    data.insert("codeFilter".to_owned(), json!([{"path": "code", "code": codes}]));
    Value::Object(data)
}

fn codings(value: &Value) -> Result<Vec<Value>, Wrong> {
    let Some(items) = value.as_array() else { return Err((String::new(), "a list is required".to_owned())) };
    items.iter().enumerate().map(|(at, item)| below(&format!("[{at}]"), coding(item))).collect()
}

fn extensions(rule: &Map<String, Value>, of: impl Fn(&Form) -> bool) -> Result<Vec<Value>, Wrong> {
    let mut all = Vec::new();
    for form in FORMS.iter().filter(|form| of(form)) {
        if let Some(value) = rule.get(form.key) {
            all.extend(below(form.key, said(form, value))?);
        }
    }
    Ok(all)
}

fn said(form: &Form, value: &Value) -> Result<Vec<Value>, Wrong> {
    let url = format!("{OURS}/StructureDefinition/alert-{}", form.key);
    match form.often {
        Often::Many => each(&url, form.shape, value),
        _ => Ok(vec![extension(&url, form.shape, value)?]),
    }
}

fn add(object: &mut Map<String, Value>, name: &str, more: Vec<Value>) {
    if more.is_empty() {
        return;
    }
    match object.get_mut(name) {
        Some(Value::Array(all)) => all.extend(more),
        _ => _ = object.insert(name.to_owned(), Value::Array(more)),
    }
}

/// Elements without a word: those of the plan, and below `action` those of its action. Extensions are added to
/// those that have a key, all else stands in their place.
fn further(rule: &Map<String, Value>, plan: &mut Map<String, Value>) -> Result<(), Wrong> {
    let table = |key: &str, value: &Value| match value {
        Value::Object(object) => Ok(object.clone()),
        _ => Err((key.to_owned(), "a table is required".to_owned())),
    };
    let mut more = rule.get("fhir").map(|value| table("fhir", value)).transpose()?.unwrap_or_default();
    if let Some(Value::Object(action)) = more.get("action") {
        let action = action.clone();
        more.shift_remove("action");
        if let Some(own) = plan.get_mut("action").and_then(|all| all.get_mut(0)).and_then(Value::as_object_mut) {
            merge(own, action);
        }
    }
    merge(plan, more);
    if let Some(json) = rule.get("fhir-json") {
        let value = json.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let more =
            table("fhir-json", &value).map_err(|(key, _)| (key, "a JSON object as text is required".to_owned()))?;
        merge(plan, more);
    }
    Ok(())
}

fn merge(object: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, value) in more {
        match value {
            Value::Array(items) if name == "extension" => add(object, &name, items),
            value => _ = object.insert(name, value),
        }
    }
}
