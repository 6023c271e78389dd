//! Files with one JSON object a line: readings of the compact form go on as they are, resources to those who name them.
//! A line that cannot be read harms no other line.

use std::io::Read;

use anyhow::Result;
use fhir_r4::Format;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::entry::{Door, Entry, What, told};
use super::input::Source;
use super::resources::{Found, Resources};
use super::sink::Sink;

/// What a line of the file of rejected rows says beside what was rejected.
const OURS: [&str; 4] = ["file", "line", "reason", "rejected"];

pub(super) fn readings(source: &mut Source<'_>, patient: Option<&str>, sink: &mut Sink<'_>) -> Result<()> {
    each(source, |line, raw| {
        let entry = match serde_json::from_slice::<Map<String, Value>>(raw) {
            Err(_) => Entry { line, kind: String::new(), original: raw.to_vec(), what: wrong() },
            Ok(object) => {
                let original = original(raw, &object);
                let mut object = unwrapped(object);
                let kind = object.get("code").map(code).unwrap_or_default();
                if !object.contains_key("time") && !object.contains_key("id") {
                    object.insert("id".to_owned(), id_of(line, &original, patient).into());
                }
                with_patient(&mut object, patient);
                Entry { line, kind, original, what: What::Row(row(object)) }
            }
        };
        sink.put(&Door::Compact, entry)
    })?;
    sink.flush()
}

pub(super) fn resources(source: &mut Source<'_>, resources: &mut Resources<'_, '_>) -> Result<()> {
    each(source, |line, raw| {
        let found = match serde_json::from_slice::<Map<String, Value>>(raw) {
            Err(_) => Err("this line is no JSON object".to_owned()),
            Ok(object) if is_rejected(&object) => Ok(Value::Object(unwrapped(object))),
            // Strictly: no member twice.
            Ok(_) => fhir_r4::parse(raw, Format::Json).map_err(|issues| told(&issues)),
        };
        resources.take(Found { line, original: raw.to_vec(), full_url: None, request: None, value: found })
    })?;
    resources.end()
}

/// A file that is one resource.
pub(super) fn resource(source: &mut Source<'_>, resources: &mut Resources<'_, '_>) -> Result<()> {
    let mut raw = Vec::new();
    source.fresh();
    source.read_to_end(&mut raw)?;
    let format = if raw.trim_ascii_start().starts_with(b"<") { Format::Xml } else { Format::Json };
    let value = fhir_r4::parse(&raw, format).map_err(|issues| told(&issues));
    let original = value.as_ref().map_or(raw, |value| value.to_string().into_bytes());
    resources.take(Found { line: 1, original, full_url: None, request: None, value })?;
    resources.end()
}

/// Every line that is not empty.
fn each(source: &mut Source<'_>, mut work: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
    let mut raw = Vec::new();
    loop {
        let line = source.line();
        if !source.next_line(&mut raw)? {
            return Ok(());
        }
        match raw.trim_ascii() {
            b"" => {}
            text => work(line, text)?,
        }
    }
}

fn wrong() -> What {
    What::Wrong("this line is no JSON object".to_owned())
}

/// A reading as a line.
pub(super) fn row(reading: Map<String, Value>) -> Vec<u8> {
    let mut row = Value::Object(reading).to_string().into_bytes();
    row.push(b'\n');
    row
}

/// Whom a reading is about that does not say so.
pub(super) fn with_patient(reading: &mut Map<String, Value>, patient: Option<&str>) {
    if let Some(patient) = patient.filter(|_| !reading.contains_key("patient")) {
        reading.insert("patient".to_owned(), patient.into());
    }
}

fn is_rejected(object: &Map<String, Value>) -> bool {
    object.get("rejected").is_some_and(Value::is_object) && object.keys().all(|name| OURS.contains(&name.as_str()))
}

/// What was rejected before and is sent again, put right.
fn unwrapped(mut object: Map<String, Value>) -> Map<String, Value> {
    if !is_rejected(&object) {
        return object;
    }
    match object.remove("rejected") {
        Some(Value::Object(inner)) => inner,
        _ => object,
    }
}

fn original(raw: &[u8], object: &Map<String, Value>) -> Vec<u8> {
    match object.get("rejected").filter(|_| is_rejected(object)) {
        Some(inner) => inner.to_string().into_bytes(),
        None => raw.to_vec(),
    }
}

/// What a reading is counted under.
fn code(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.first().map(code).unwrap_or_default(),
        value => value.get("code").and_then(Value::as_str).unwrap_or_default().to_owned(),
    }
}

/// The id of a reading that has neither an id nor a time: the same line of the same file is the same reading.
pub(super) fn id_of(line: u64, raw: &[u8], patient: Option<&str>) -> String {
    let mut hash = Sha256::new();
    hash.update(line.to_be_bytes());
    hash.update(raw.trim_ascii_end());
    hash.update(patient.unwrap_or_default().as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash.finalize()).for_each(|(byte, from)| *byte = from);
    format!("import-{}", Uuid::new_v8(bytes).simple())
}
