//! One segment through one map: each row takes its part and puts what it is in FHIR where the row says. What no row
//! takes is named. Which resource it belongs to is decided by whoever calls.

use std::collections::BTreeSet;

use serde_json::{Map as Object, Value};

use super::datatype::{Outcome, Reader};
use super::message::{Repetition, Segment};
use super::policy::JOINED;
use super::table::{Condition, Index, Kind, Map, Row, Source, Step};

/// Makes resources of what a row refers to (a place, a person): what stands in the member, as far as there is any.
pub(super) trait Refer {
    fn place(&mut self, pl: Repetition<'_, '_>) -> Option<Value>;
    fn person(&mut self, xcn: Repetition<'_, '_>) -> Option<Value>;
}

/// What is left of a segment.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Fields with something in them that no row takes, each with the component where it is one: `22`, `5.9`.
    pub(super) parts: BTreeSet<String>,
    /// Parts that a row takes, but not this value: the field and why.
    pub(super) refused: Vec<(usize, &'static str)>,
}

/// Puts what the segment says into the resource.
pub(super) fn apply(
    map: &Map,
    segment: &Segment<'_>,
    reader: Reader<'_>,
    refer: &mut dyn Refer,
    into: &mut Value,
) -> Left {
    let mut left = Left::default();
    for row in &map.rows {
        if !row.conditions.iter().all(|condition| holds(condition, segment)) {
            continue;
        }
        if segment.raw(row.source.field).trim() == "\"\"" {
            // There is none, says the sender: what stands is taken away. Of several fields that make one list, the first
            // speaks for all of it.
            let speaks =
                map.rows.iter().find(|other| other.path == row.path).is_some_and(|first| first.source == row.source);
            if speaks {
                clear(into, &row.path.0);
            }
        } else {
            take(row, segment, reader, refer, into, &mut left);
        }
    }
    for field in 1..=segment.len() {
        let told = map.ignore.contains(&field) || map.rows.iter().any(|row| row.source.field == field);
        if !told && segment.has(field) {
            left.parts.insert(field.to_string());
        }
    }
    left
}

pub(super) fn holds(condition: &Condition, segment: &Segment<'_>) -> bool {
    let is = match &condition.value {
        Some(values) => values.split('|').any(|value| part(condition.source, segment) == value),
        None => segment.has(condition.source.field),
    };
    is == condition.holds
}

/// What a part of a segment says, in its first repetition.
pub(super) fn part(source: Source, segment: &Segment<'_>) -> String {
    let first = segment.repetitions(source.field).next();
    first.map(|it| it.part(source.component.unwrap_or(1), source.subcomponent.unwrap_or(1))).unwrap_or_default()
}

fn take(
    row: &Row,
    segment: &Segment<'_>,
    reader: Reader<'_>,
    refer: &mut dyn Refer,
    into: &mut Value,
    left: &mut Left,
) {
    let field = row.source.field;
    let each = row.path.0.iter().any(|step| step.index == Index::Each);
    for (at, repetition) in segment.repetitions(field).enumerate() {
        if at > 0 && !each {
            left.parts.insert(format!("{field}[{}]", at + 1));
            continue;
        }
        let mut parts = Vec::new();
        let outcome = match row.kind {
            Kind::Place => refer.place(repetition).map_or(Outcome::Nothing, Outcome::Value),
            Kind::Person => refer.person(repetition).map_or(Outcome::Nothing, Outcome::Value),
            _ => reader.value(row, row.source, repetition, &mut parts),
        };
        left.parts.extend(parts.into_iter().map(|part| format!("{field}{part}")));
        match outcome {
            Outcome::Value(value) => put(into, &row.path.0, value, &row.with),
            Outcome::Nothing => {}
            Outcome::Refused(why) => left.refused.push((field, why)),
        }
    }
}

/// Says that there is nothing where a path leads. By its identifiers a resource is known, and when it began stays true:
/// they are never taken away. Of a member that is replaced as a whole no part goes alone.
fn clear(node: &mut Value, path: &[Step]) {
    let (Some((step, rest)), Value::Object(members)) = (path.split_first(), node) else { return };
    let name = step.member.as_str();
    match rest {
        [] if name == "identifier" => {}
        [last] if name == "period" && last.member == "start" => {}
        [_, ..] if JOINED.contains(&name) => {
            clear(members.entry(name).or_insert_with(|| Value::Object(Object::new())), rest);
        }
        [_, ..] if step.index == Index::One => {}
        _ => {
            members.entry(name).or_insert(Value::Null);
        }
    }
}

/// Puts a value where a path leads. What stands there already stays.
pub(super) fn put(node: &mut Value, path: &[Step], value: Value, with: &Object<String, Value>) {
    let Some((step, rest)) = path.split_first() else { return };
    if !node.is_object() {
        *node = Value::Object(Object::new());
    }
    let Value::Object(members) = node else { return };
    if members.get(&step.member).is_some_and(Value::is_null) {
        members.remove(&step.member);
    }
    match step.index {
        Index::One if rest.is_empty() => {
            members.entry(step.member.clone()).or_insert(value);
        }
        Index::One => {
            let below = members.entry(step.member.clone()).or_insert_with(|| Value::Object(Object::new()));
            put(below, rest, value, with);
        }
        Index::First => {
            let list = members.entry(step.member.clone()).or_insert_with(|| Value::Array(vec![]));
            let Value::Array(elements) = list else { return };
            if elements.is_empty() {
                elements.push(Value::Object(Object::new()));
            }
            if let Some(first) = elements.first_mut() {
                put(first, rest, value, with);
            }
        }
        Index::Each => {
            let mut element = Value::Object(with.clone());
            if rest.is_empty() {
                match (&mut element, value) {
                    (Value::Object(own), Value::Object(more)) => own.extend(more),
                    (element, value) => *element = value,
                }
            } else {
                put(&mut element, rest, value, with);
            }
            let list = members.entry(step.member.clone()).or_insert_with(|| Value::Array(vec![]));
            if let Value::Array(elements) = list
                && !elements.contains(&element)
            {
                elements.push(element);
            }
        }
    }
}
