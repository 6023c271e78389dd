//! One extension as the value of a key, and back. Whatever does not come back exactly as it was is left to
//! `[fhir]`, so nothing is lost.

use serde_json::{Map, Value, json};

use super::super::form::{COMPARE, Often, Part, Shape};
use crate::fhir::{LOINC, UCUM};

const SNOMED: &str = "http://snomed.info/sct";
const MDC: &str = "urn:iso:std:iso:11073:10101";
/// Systems with a word of their own.
const SYSTEMS: [(&str, &str); 3] = [("loinc", LOINC), ("snomed", SNOMED), ("mdc", MDC)];

/// A key below the one at hand, and what is wrong there.
pub(super) type Wrong = (String, String);

fn wrong<T>(text: impl Into<String>) -> Result<T, Wrong> {
    Err((String::new(), text.into()))
}

/// Puts a step before the key of what is wrong.
pub(super) fn below<T>(step: &str, found: Result<T, Wrong>) -> Result<T, Wrong> {
    found.map_err(|(key, text)| match key.as_str() {
        "" => (step.to_owned(), text),
        rest if rest.starts_with('[') => (format!("{step}{rest}"), text),
        rest => (format!("{step}.{rest}"), text),
    })
}

/// The extension with this url that says what the key says.
pub(super) fn extension(url: &str, shape: Shape, value: &Value) -> Result<Value, Wrong> {
    let simple = |member: &str, value: Value| Ok(json!({"url": url, member: value}));
    match shape {
        Shape::Code(known) => {
            let code = text(value)?;
            if !known.is_empty() && !known.contains(&code) {
                return wrong(format!("must be {}", known.join(", ")));
            }
            simple("valueCode", json!(code))
        }
        Shape::Text => simple("valueString", json!(text(value)?)),
        Shape::Time => simple("valueTime", json!(text(value)?)),
        Shape::DateTime => simple("valueDateTime", json!(text(value)?)),
        Shape::Decimal if value.is_number() => simple("valueDecimal", value.clone()),
        Shape::Count if value.as_u64().is_some_and(|n| n > 0) => simple("valuePositiveInt", value.clone()),
        Shape::Flag if value.is_boolean() => simple("valueBoolean", value.clone()),
        Shape::Decimal => wrong("a number is required"),
        Shape::Count => wrong("a whole number is required"),
        Shape::Flag => wrong("true or false is required"),
        Shape::Duration => simple("valueDuration", quantity(value)?),
        Shape::Coding => simple("valueCoding", coding(value)?),
        Shape::Ages => {
            let object = object(value, &["from", "to"])?;
            let mut range = Map::new();
            for (name, end) in [("from", "low"), ("to", "high")] {
                if let Some(value) = object.get(name) {
                    range.insert(end.to_owned(), below(name, quantity(value))?);
                }
            }
            simple("valueRange", Value::Object(range))
        }
        Shape::Parts(parts) => Ok(json!({"url": url, "extension": fields(parts, value)?})),
        Shape::Row(parts) => Ok(json!({"url": url, "extension": row(parts, value)?})),
        Shape::Test => {
            let object = object(value, &["level", "all", "any", "not", "compare"])?;
            let mut all = Vec::new();
            for (name, value) in object {
                let level = Shape::Code(&["advisory", "warning", "critical"]);
                all.push(below(name, if name == "level" { extension(name, level, value) } else { test(name, value) })?);
            }
            Ok(json!({"url": url, "extension": all}))
        }
    }
}

fn text(value: &Value) -> Result<&str, Wrong> {
    value.as_str().map_or_else(|| wrong("a text is required"), Ok)
}

pub(super) fn object<'v>(value: &'v Value, known: &[&str]) -> Result<&'v Map<String, Value>, Wrong> {
    let Some(object) = value.as_object() else { return wrong("a table is required") };
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err((name.clone(), format!("no such key here; known are {}", known.join(", ")))),
        None => Ok(object),
    }
}

fn fields(parts: &[Part], value: &Value) -> Result<Vec<Value>, Wrong> {
    let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
    let object = object(value, &names)?;
    let mut all = Vec::new();
    for part in parts {
        match (object.get(part.name), part.often) {
            (None, Often::Once) => return wrong(format!("the key {} is required", part.name)),
            (None, _) => {}
            (Some(value), Often::Many) => all.extend(below(part.name, each(part.name, part.shape, value))?),
            (Some(value), _) => all.push(below(part.name, extension(part.name, part.shape, value))?),
        }
    }
    Ok(all)
}

/// One extension for each item of a list.
pub(super) fn each(url: &str, shape: Shape, value: &Value) -> Result<Vec<Value>, Wrong> {
    let Some(items) = value.as_array() else { return wrong("a list is required") };
    items.iter().enumerate().map(|(at, item)| below(&format!("[{at}]"), extension(url, shape, item))).collect()
}

fn row(parts: &[Part], value: &Value) -> Result<Vec<Value>, Wrong> {
    let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
    let least = parts.iter().filter(|part| part.often == Often::Once).count();
    let items = value.as_array().filter(|items| (least..=parts.len()).contains(&items.len()));
    let Some(items) = items else { return wrong(format!("a list of {} is required", names.join(", "))) };
    let cell = |(at, (part, item)): (usize, (&Part, &Value))| {
        below(&format!("[{at}]"), extension(part.name, part.shape, item))
    };
    parts.iter().zip(items).enumerate().map(cell).collect()
}

fn test(name: &str, value: &Value) -> Result<Value, Wrong> {
    let one = |value: &Value| {
        let object = object(value, &["all", "any", "not", "compare"])?;
        let mut members = object.iter();
        match (members.next(), members.next()) {
            (Some((name, value)), None) => below(name, test(name, value)),
            _ => wrong("exactly one of all, any, not and compare is required"),
        }
    };
    let inner = match (name, value) {
        ("compare", _) => fields(&COMPARE, value)?,
        ("not", _) => vec![one(value)?],
        (_, Value::Array(items)) => {
            let item = |(at, item)| below(&format!("[{at}]"), one(item));
            items.iter().enumerate().map(item).collect::<Result<_, _>>()?
        }
        _ => return wrong("a list is required"),
    };
    Ok(json!({"url": name, "extension": inner}))
}

/// `15 min`
fn quantity(value: &Value) -> Result<Value, Wrong> {
    let (number, unit) = text(value)?.split_once(' ').unwrap_or_default();
    match serde_json::from_str::<Value>(number) {
        Ok(number) if number.is_number() && !unit.is_empty() => {
            Ok(json!({"value": number, "system": UCUM, "code": unit}))
        }
        _ => wrong("a number, a space and a unit of time are required, as \"15 min\""),
    }
}

/// `{ loinc = "8867-4", display = "Heart rate" }`
pub(super) fn coding(value: &Value) -> Result<Value, Wrong> {
    let object = object(value, &["system", "code", "loinc", "snomed", "mdc", "display"])?;
    let mut all = Map::new();
    for (name, value) in object {
        let value = Value::String(below(name, text(value))?.to_owned());
        if let Some((_, system)) = SYSTEMS.iter().find(|(word, _)| word == name) {
            all.insert("system".to_owned(), json!(system));
            all.insert("code".to_owned(), value);
        } else {
            all.insert(name.clone(), value);
        }
    }
    let good = all.contains_key("system") && all.contains_key("code");
    if good { Ok(Value::Object(all)) } else { wrong("loinc, snomed, mdc, or system and code are required") }
}

/// What a key would say for this extension; none where that would not come back as it is.
pub(super) fn word(shape: Shape, extension: &Value) -> Option<Value> {
    let word = guess(shape, extension)?;
    let url = extension.get("url")?.as_str()?;
    (self::extension(url, shape, &word).ok()? == *extension).then_some(word)
}

fn guess(shape: Shape, extension: &Value) -> Option<Value> {
    let member = |name: &str| extension.get(name).cloned();
    match shape {
        Shape::Code(_) => member("valueCode"),
        Shape::Text => member("valueString"),
        Shape::Time => member("valueTime"),
        Shape::DateTime => member("valueDateTime"),
        Shape::Decimal => member("valueDecimal"),
        Shape::Count => member("valuePositiveInt"),
        Shape::Flag => member("valueBoolean"),
        Shape::Duration => duration(extension.get("valueDuration")?),
        Shape::Coding => coding_word(extension.get("valueCoding")?),
        Shape::Ages => {
            let range = extension.get("valueRange")?;
            let ends = [("from", "low"), ("to", "high")];
            let ends = ends.iter().filter_map(|(name, end)| Some(((*name).to_owned(), duration(range.get(end)?)?)));
            Some(Value::Object(ends.collect()))
        }
        Shape::Parts(parts) => {
            let inner = extension.get("extension")?.as_array()?;
            let mut object = Map::new();
            for part in parts {
                let mut same = inner.iter().filter(|one| one.get("url").and_then(Value::as_str) == Some(part.name));
                if part.often == Often::Many {
                    let all = same.map(|one| word(part.shape, one)).collect::<Option<Vec<_>>>()?;
                    if !all.is_empty() {
                        object.insert(part.name.to_owned(), Value::Array(all));
                    }
                } else if let Some(one) = same.next() {
                    object.insert(part.name.to_owned(), word(part.shape, one)?);
                }
            }
            Some(Value::Object(object))
        }
        Shape::Row(parts) => {
            let inner = extension.get("extension")?.as_array()?;
            let cells = parts.iter().zip(inner).map(|(part, one)| word(part.shape, one));
            cells.collect::<Option<Vec<_>>>().map(Value::Array)
        }
        Shape::Test => {
            let inner = extension.get("extension")?.as_array()?;
            let mut object = Map::new();
            for one in inner {
                let name = one.get("url")?.as_str()?;
                let value = if name == "level" { one.get("valueCode")?.clone() } else { test_word(name, one)? };
                object.insert(name.to_owned(), value);
            }
            Some(Value::Object(object))
        }
    }
}

fn test_word(name: &str, node: &Value) -> Option<Value> {
    let one = |node: &Value| {
        let name = node.get("url")?.as_str()?;
        Some(json!({name: test_word(name, node)?}))
    };
    let inner = node.get("extension")?.as_array()?;
    match (name, inner.as_slice()) {
        ("compare", _) => word(Shape::Parts(&COMPARE), node),
        ("not", [only]) => one(only),
        ("all" | "any", items) => items.iter().map(one).collect::<Option<Vec<_>>>().map(Value::Array),
        _ => None,
    }
}

fn duration(quantity: &Value) -> Option<Value> {
    Some(json!(format!("{} {}", quantity.get("value")?.as_number()?, quantity.get("code")?.as_str()?)))
}

/// The short word of a coding; none where it would not come back as it is.
pub(super) fn coding_word(coding: &Value) -> Option<Value> {
    let mut word = coding.as_object()?.clone();
    let system = coding.get("system")?.as_str()?;
    if let Some((name, _)) = SYSTEMS.iter().find(|(_, known)| *known == system) {
        word.shift_remove("system");
        let code = word.shift_remove("code")?;
        word.shift_insert(0, (*name).to_owned(), code);
    }
    let word = Value::Object(word);
    (self::coding(&word).ok()? == *coding).then_some(word)
}
