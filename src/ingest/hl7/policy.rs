//! What becomes of a resource that stands when a message speaks of it: pure functions of both, by their names in the
//! tables. A member that is not said stays; one that is said to be nothing (`""`) goes.

use serde_json::{Map as Object, Value};

use super::{merge, visit};
use crate::fhir::{reading, time};
use crate::pipeline::{Merge, Merged};

/// `said`, what stands, and when it happened.
const POLICIES: [(&str, Merge); 11] = [
    ("update", update),
    ("known", known),
    ("visit", visit::update),
    ("order", order),
    ("appointment", appointment),
    ("survivor", merge::survivor),
    ("replaced", merge::replaced),
    ("unlink", merge::unlink),
    ("once", once),
    ("person", visit::person),
    ("patient", update),
];

pub(super) fn is_known(name: &str) -> bool {
    POLICIES.iter().any(|(known, _)| *known == name)
}

pub(super) fn of(name: &str) -> Merge {
    POLICIES.iter().find(|(known, _)| *known == name).map_or(update, |(_, merge)| *merge)
}

/// What is said, over what stands.
pub(super) fn update(said: &Value, standing: Option<&Value>, _at: Option<&str>) -> Merged {
    Merged::Write(laid(said, standing))
}

/// Only who is known already.
fn known(_said: &Value, standing: Option<&Value>, _at: Option<&str>) -> Merged {
    match standing {
        Some(_) => Merged::Leave,
        None => Merged::Refuse("not-found", "the patient is not known here, or not by one record only"),
    }
}

/// Said once, for ever.
fn once(said: &Value, standing: Option<&Value>, _at: Option<&str>) -> Merged {
    if standing.is_some() { Merged::Leave } else { Merged::Write(laid(said, None)) }
}

/// An order without a status is a new one.
fn order(said: &Value, standing: Option<&Value>, _at: Option<&str>) -> Merged {
    let mut made = laid(said, standing);
    if let Value::Object(members) = &mut made {
        members.entry("status").or_insert_with(|| "active".into());
    }
    Merged::Write(made)
}

/// An appointment has both ends or none.
fn appointment(said: &Value, standing: Option<&Value>, _at: Option<&str>) -> Merged {
    let mut made = laid(said, standing);
    let Value::Object(members) = &mut made else { return Merged::Leave };
    let start = members.get("start").and_then(Value::as_str).and_then(time::range).map(|range| range.start);
    let minutes = members.get("minutesDuration").and_then(Value::as_i64);
    if !members.contains_key("end")
        && let (Some(start), Some(minutes)) = (start, minutes)
    {
        members.insert("end".into(), time::instant(start + minutes * 60 * time::SECOND).into());
    }
    if !(members.contains_key("start") && members.contains_key("end")) {
        members.remove("start");
        members.remove("end");
        let status = members.get("status").and_then(Value::as_str).unwrap_or_default();
        if !matches!(status, "cancelled" | "waitlist" | "proposed") {
            members.insert("status".into(), "proposed".into());
        }
    }
    Merged::Write(made)
}

/// Members said over members that stand; some are joined instead of replaced.
pub(super) fn laid(said: &Value, standing: Option<&Value>) -> Value {
    let mut made = match standing {
        Some(Value::Object(members)) => members.clone(),
        _ => Object::new(),
    };
    let Value::Object(said) = said else { return Value::Object(made) };
    for (name, value) in said {
        if !value.is_null() {
            // Of a choice there is one: what is said now.
            let own = CHOICES.iter().find(|choice| is_choice(name, choice));
            made.retain(|other, _| other == name || own.is_none_or(|choice| !is_choice(other, choice)));
        }
        match (name.as_str(), value) {
            (_, Value::Null) => {
                made.remove(name);
            }
            (joined, Value::Object(_)) if JOINED.contains(&joined) => {
                let joined = laid(value, made.get(name));
                if joined.as_object().is_some_and(Object::is_empty) {
                    made.remove(name);
                } else {
                    made.insert(name.clone(), joined);
                }
            }
            ("identifier", Value::Array(more)) => joined(&mut made, name, more, same_identifier),
            ("extension", Value::Array(more)) => joined(&mut made, name, more, same_url),
            ("link", Value::Array(more)) => joined(&mut made, name, more, |one, other| one == other),
            (_, value) => {
                made.insert(name.clone(), value.clone());
            }
        }
    }
    made.into()
}

/// Members whose parts are said one by one.
pub(super) const JOINED: [&str; 2] = ["period", "hospitalization"];

const CHOICES: [&str; 5] = ["deceased", "multipleBirth", "onset", "effective", "occurrence"];

/// `deceasedBoolean` is one of `deceased[x]`.
fn is_choice(member: &str, choice: &str) -> bool {
    member.strip_prefix(choice).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
}

fn joined(made: &mut Object<String, Value>, name: &str, more: &[Value], same: fn(&Value, &Value) -> bool) {
    let list = made.entry(name).or_insert_with(|| Value::Array(vec![]));
    let Value::Array(list) = list else { return };
    for element in more {
        match list.iter_mut().find(|own| same(own, element)) {
            Some(own) => element.clone_into(own),
            None => list.push(element.clone()),
        }
    }
}

fn same_identifier(one: &Value, other: &Value) -> bool {
    let token = |it: &Value| {
        (reading::str_of(it, "system").map(str::to_owned), reading::str_of(it, "value").map(str::to_owned))
    };
    token(one) == token(other)
}

fn same_url(one: &Value, other: &Value) -> bool {
    one.get("url") == other.get("url")
}
