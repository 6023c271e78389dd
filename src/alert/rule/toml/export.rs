//! PlanDefinition -> TOML. What has a word is said with it, all else is kept below `[fhir]`; a plan that this cannot
//! hold is kept as JSON in one text. The order of extensions, which has no meaning, becomes that of the table.

use serde_json::{Map, Value, json};

use super::super::form::{FORMS, Form, Often, Place, form_of};
use super::import::{WORDS, eca_rule, import, word};
use super::{shape, text};
use crate::fhir::OURS;

/// The short form of a plan; it imports as this plan.
pub fn export(plan: &Value) -> String {
    let short = plan.as_object().and_then(|plan| text::write(&rule(plan)));
    if let Some(short) = short
        && import(&short).is_ok_and(|again| same(&again, plan))
    {
        return short;
    }
    let words = Map::from_iter([("fhir-json".to_owned(), json!(plan.to_string()))]);
    text::write(&words).unwrap_or_default()
}

/// The same but for the order of extensions.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    sorted(a) == sorted(b)
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let members = object.iter().map(|(name, value)| {
                let mut value = sorted(value);
                if let (true, Value::Array(items)) = (name == "extension", &mut value) {
                    items.sort_by_key(|item| item.get("url").and_then(Value::as_str).unwrap_or_default().to_owned());
                }
                (name.clone(), value)
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

fn rule(plan: &Map<String, Value>) -> Map<String, Value> {
    let mut rest = plan.clone();
    let mut rule = Map::new();
    rest.shift_remove("resourceType");
    for name in WORDS {
        if plan.get(name).is_some_and(Value::is_string) {
            rule.extend(rest.shift_remove(name).map(|value| (name.to_owned(), value)));
        }
    }
    if plan.get("type") == Some(&eca_rule()) {
        rest.shift_remove("type");
    }
    let period = plan.get("effectivePeriod").and_then(Value::as_object);
    if period.is_some_and(|p| p.iter().all(|(name, v)| ["start", "end"].contains(&name.as_str()) && v.is_string())) {
        rule.extend(rest.shift_remove("effectivePeriod").map(|value| ("effective".to_owned(), value)));
    }
    words(&mut rest, &mut rule, |form| form.place == Place::Plan);
    if let Some(Value::Array(actions)) = plan.get("action")
        && let [Value::Object(action)] = actions.as_slice()
    {
        let action = self::action(action, &mut rule);
        rest.shift_remove("action");
        if !action.is_empty() {
            rest.insert("action".to_owned(), Value::Object(action));
        }
    }
    if !rest.is_empty() {
        rule.insert("fhir".to_owned(), Value::Object(rest));
    }
    rule
}

/// Says the action in words; gives back what has none.
fn action(action: &Map<String, Value>, rule: &mut Map<String, Value>) -> Map<String, Value> {
    let mut rest = action.clone();
    if action.get("title").is_some_and(Value::is_string) {
        rule.extend(rest.shift_remove("title").map(|value| ("label".to_owned(), value)));
    }
    let mut trigger = Map::new();
    if let Some((name, value)) = action.get("trigger").and_then(signals) {
        trigger.insert(name.to_owned(), value);
        rest.shift_remove("trigger");
    }
    if trigger.contains_key("codes") {
        rule.append(&mut trigger);
    }
    if let Some(path) = action.get("condition").and_then(path) {
        rule.insert("fhirpath".to_owned(), path);
        rest.shift_remove("condition");
    }
    words(&mut rest, rule, |form| form.place != Place::Plan && form.key != "signal");
    rule.append(&mut trigger);
    rest
}

/// Takes out the extensions that can be said with keys.
fn words(rest: &mut Map<String, Value>, rule: &mut Map<String, Value>, of: impl Fn(&Form) -> bool) {
    let Some(Value::Array(all)) = rest.get("extension").cloned() else { return };
    let mut left = Vec::new();
    for form in FORMS.iter().filter(|form| of(form)) {
        let own: Vec<&Value> = all.iter().filter(|one| form_of_url(one).is_some_and(|f| f.key == form.key)).collect();
        let said: Option<Vec<Value>> = own.iter().map(|one| shape::word(form.shape, one)).collect();
        match (said, form.often) {
            (Some(said), _) if said.is_empty() => {}
            (Some(said), Often::Many) => _ = rule.insert(form.key.to_owned(), Value::Array(said)),
            (Some(said), _) if said.len() == 1 => rule.extend(said.into_iter().map(|one| (form.key.to_owned(), one))),
            _ => left.extend(own.into_iter().cloned()),
        }
    }
    left.extend(all.iter().filter(|one| !form_of_url(one).is_some_and(&of)).cloned());
    rest.shift_remove("extension");
    if !left.is_empty() {
        rest.insert("extension".to_owned(), Value::Array(left));
    }
}

fn form_of_url(extension: &Value) -> Option<&'static Form> {
    form_of(extension.get("url")?.as_str()?.strip_prefix(OURS)?.strip_prefix("/StructureDefinition/")?)
}

/// A trigger as `codes` or `signal`.
fn signals(trigger: &Value) -> Option<(&'static str, Value)> {
    let [one] = trigger.as_array()?.as_slice() else { return None };
    let data = one.get("data")?.as_array()?;
    let plain = |data: &Value| {
        let codes = data.get("codeFilter")?.get(0)?.get("code")?.as_array()?;
        codes.iter().map(shape::coding_word).collect::<Option<Vec<_>>>().map(Value::Array)
    };
    if let [only] = data.as_slice()
        && only.get("extension").is_none()
    {
        return Some(("codes", plain(only)?));
    }
    let mut all = Vec::new();
    for data in data {
        let mut rest = data.as_object()?.clone();
        let mut said = Map::new();
        words(&mut rest, &mut said, |form| form.place == Place::Signal);
        if rest.contains_key("extension") {
            return None;
        }
        let named = said.into_iter().map(|(key, value)| {
            let form = FORMS.iter().find(|form| form.key == key);
            (form.map_or(key.clone(), |form| word(form).to_owned()), value)
        });
        let mut signal: Map<String, Value> = named.collect();
        signal.insert("codes".to_owned(), plain(data)?);
        all.push(Value::Object(signal));
    }
    Some(("signal", Value::Array(all)))
}

fn path(condition: &Value) -> Option<Value> {
    let path = condition.get(0)?.get("expression")?.get("expression")?.as_str()?;
    let plain = json!([{"kind": "applicability", "expression": {"language": "text/fhirpath", "expression": path}}]);
    (plain == *condition).then(|| json!(path))
}
