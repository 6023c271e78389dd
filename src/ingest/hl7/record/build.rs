//! A segment to a part of a resource, by its rows.

use fhir_r4::Issue;
use serde_json::{Map, Value};

use super::datatype;
use super::table::{Row, Tables};
use crate::ingest::hl7::Channel;
use crate::ingest::hl7::message::Segment;

/// What a segment says of its resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Part {
    pub elements: Map<String, Value>,
    /// Elements that shall be there no more (HL7's `""`).
    pub cleared: Vec<Vec<String>>,
    /// What could not be read, with the place: it is left out and told.
    pub issues: Vec<Issue>,
}

/// `place`: of the segment, as `PID[1]`.
pub(super) fn part(segment: &Segment<'_>, tables: &Tables, channel: &Channel, place: &str) -> Part {
    let mut part = Part::default();
    let rows = tables.segment(segment.name).map(|known| known.rows.as_slice()).unwrap_or_default();
    for row in rows {
        part.add(row, segment, tables, channel, place);
        // Of several fields that make one list, the first speaks for all of it.
        let speaks = rows.iter().find(|other| other.path == row.path) == Some(row);
        if speaks && segment.clears(row.field) {
            part.cleared.push(row.path.clone());
        }
    }
    part
}

impl Part {
    fn add(&mut self, row: &Row, segment: &Segment<'_>, tables: &Tables, channel: &Channel, place: &str) {
        let most = if row.list { usize::MAX } else { 1 };
        for own in segment.repetitions(row.field).take(most) {
            match datatype::value(&row.datatype, own, tables, channel) {
                Ok(Some(value)) => put(&mut self.elements, &row.path, value, row.list),
                Ok(None) => {}
                Err(why) => {
                    let mut issue = Issue::error("value", format!("{place}.{}", row.field), why);
                    issue.severity = fhir_r4::Severity::Warning;
                    self.issues.push(issue);
                }
            }
        }
    }
}

/// Puts a value in its place; what stands there already stays, a list gets longer.
fn put(object: &mut Map<String, Value>, path: &[String], value: Value, list: bool) {
    match path {
        [] => {}
        [last] if list => match object.entry(last).or_insert_with(|| Value::Array(vec![])) {
            Value::Array(all) if !all.contains(&value) => all.push(value),
            _ => {}
        },
        [last] => _ = object.entry(last).or_insert(value),
        [first, rest @ ..] => {
            // What stands in a list has one item here: `communication.language`.
            let inner = object.entry(first).or_insert_with(|| {
                if LISTS.contains(&first.as_str()) {
                    Value::Array(vec![Value::Object(Map::new())])
                } else {
                    Value::Object(Map::new())
                }
            });
            let inner = match inner {
                Value::Array(all) => all.first_mut(),
                other => Some(other),
            };
            if let Some(inner) = inner.and_then(Value::as_object_mut) {
                put(inner, rest, value, list);
            }
        }
    }
}

/// Elements that repeat and that a path goes through.
const LISTS: [&str; 2] = ["communication", "reaction"];
