//! What a differential says of one element, put over what its base says. It may only narrow; anything else is told.

use serde_json::{Value, json};

use super::tree::Branch;
use crate::tables::TABLES;

/// Words of the element itself, not of what it allows.
const OWN: [&str; 4] = ["id", "path", "base", "sliceName"];

pub(super) fn apply(branch: &mut Branch, change: &Value) -> Result<(), String> {
    let Some(changes) = change.as_object() else { return Err("it is no element".to_owned()) };
    for (name, value) in changes.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        let before = branch.element.get(name);
        let after = match name.as_str() {
            "min" => min(before, value)?,
            "max" => max(before, value)?,
            "type" => types(branch, value)?,
            "binding" => binding(before, value),
            "constraint" => both(before, value),
            _ if name.starts_with("fixed") && before.is_some_and(|before| before != value) => {
                return Err("the base fixes another value".to_owned());
            }
            _ if name.starts_with("pattern") && before.is_some_and(|before| !holds(value, before)) => {
                return Err("its pattern lacks something that the pattern of the base has".to_owned());
            }
            _ => value.clone(),
        };
        branch.element.insert(name.clone(), after);
    }
    let number = |name: &str| branch.element.get(name).and_then(limit);
    match (number("min"), number("max")) {
        (Some(min), Some(max)) if min > max => Err("its minimum is greater than its maximum".to_owned()),
        _ => Ok(()),
    }
}

/// A bound of a cardinality; none where there is no bound.
fn limit(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn min(before: Option<&Value>, value: &Value) -> Result<Value, String> {
    let least = before.and_then(limit).unwrap_or(0);
    match value.as_u64() {
        Some(own) if own >= least => Ok(value.clone()),
        Some(_) => Err("its minimum is less than that of the base".to_owned()),
        None => Err("its minimum is no number".to_owned()),
    }
}

fn max(before: Option<&Value>, value: &Value) -> Result<Value, String> {
    let most = before.and_then(limit);
    match (value.as_str(), limit(value)) {
        (Some("*"), _) if most.is_none() => Ok(value.clone()),
        (Some(_), Some(own)) if most.is_none_or(|most| own <= most) => Ok(value.clone()),
        (Some("*"), _) | (_, Some(_)) => Err("its maximum is greater than that of the base".to_owned()),
        _ => Err("its maximum is no number".to_owned()),
    }
}

/// Fewer types, or the same with more said of them. What is not said again of a type stays.
fn types(branch: &Branch, value: &Value) -> Result<Value, String> {
    let Some(own) = value.as_array() else { return Err("its types are no list".to_owned()) };
    let allowed = branch.types();
    let before = branch.element.get("type").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut found = Vec::with_capacity(own.len());
    for of in own {
        let code = of.get("code").and_then(Value::as_str).ok_or("a type has no code")?;
        if !branch.is_root() && !allowed.is_empty() && !allowed.iter().any(|base| narrows(base, code)) {
            return Err(format!("{code} is none of the types of the base"));
        }
        let mut of = of.clone();
        let base = before.iter().find(|base| base.get("code").and_then(Value::as_str) == Some(code));
        for name in ["profile", "targetProfile"] {
            if let (Some(members), Some(list)) = (of.as_object_mut(), base.and_then(|base| base.get(name))) {
                members.entry(name).or_insert_with(|| list.clone());
            }
        }
        found.push(of);
    }
    Ok(found.into())
}

/// Whether a type is another one, or derived from it.
fn narrows(base: &str, code: &str) -> bool {
    let system = "http://hl7.org/fhirpath/";
    base == code
        || base.starts_with(system)
        || code.starts_with(system)
        || match base {
            "Resource" | "DomainResource" => TABLES.resource(code).is_some() || code == "DomainResource",
            "Element" | "BackboneElement" => TABLES.resource(code).is_none(),
            "Quantity" => {
                matches!(code, "Age" | "Count" | "Distance" | "Duration" | "MoneyQuantity" | "SimpleQuantity")
            }
            "uri" => matches!(code, "url" | "canonical" | "oid" | "uuid"),
            "string" => matches!(code, "code" | "id" | "markdown"),
            "integer" => matches!(code, "positiveInt" | "unsignedInt"),
            _ => false,
        }
}

/// A binding cannot be loosened: the stronger one of the base stays. Guides in use write the weaker one down
/// nevertheless (US Core for the components of vital signs), so that is no reason to refuse them.
fn binding(before: Option<&Value>, value: &Value) -> Value {
    let strength = |of: &Value| {
        let own = of.get("strength").and_then(Value::as_str);
        ["example", "preferred", "extensible", "required"].iter().position(|known| own == Some(*known))
    };
    if let Some(base) = before.filter(|base| strength(value).is_some_and(|own| Some(own) < strength(base))) {
        return base.clone();
    }
    let mut all = before.cloned().unwrap_or_else(|| json!({}));
    if let (Some(all), Some(own)) = (all.as_object_mut(), value.as_object()) {
        all.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    all
}

/// The invariants of both, each key once.
fn both(before: Option<&Value>, value: &Value) -> Value {
    let list = |of: Option<&Value>| of.and_then(Value::as_array).cloned().unwrap_or_default();
    let own = list(Some(value));
    let mut all = list(before);
    all.retain(|base| !own.iter().any(|own| own.get("key") == base.get("key")));
    all.extend(own);
    all.into()
}

/// Whether a pattern asks for everything that another one asks for.
fn holds(value: &Value, pattern: &Value) -> bool {
    match (value, pattern) {
        (Value::Object(own), Value::Object(wanted)) => {
            wanted.iter().all(|(name, part)| own.get(name).is_some_and(|value| holds(value, part)))
        }
        (Value::Array(own), Value::Array(wanted)) => {
            wanted.iter().all(|part| own.iter().any(|value| holds(value, part)))
        }
        _ => value == pattern,
    }
}
