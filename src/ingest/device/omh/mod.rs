//! Data points of Open mHealth: a header that says which schema the body has, who it is and where it comes from; or a
//! body alone, of the schema that is named for it or that its member tells (the newest version then).
//!
//! ```json
//! {"patient": "Patient/p1", "items": [
//!   {"header": {"id": "123e4567-…", "creation_date_time": "2026-01-02T03:04:05Z",
//!               "schema_id": {"namespace": "omh", "name": "heart-rate", "version": "2.0"}},
//!    "body": {"heart_rate": {"value": 72, "unit": "beats/min"},
//!             "effective_time_frame": {"date_time": "2026-01-02T03:04:05Z"}}}
//! ]}
//! ```
//!
//! The id of a header is the identifier of its readings. Whom a point is about is said beside it or for the whole
//! request: the `user_id` of a header is a name of the app's, not of a patient here.

mod body;
mod frame;
mod schema;

use fhir_r4::Issue;
use serde_json::{Map, Value};

use self::frame::{Frame, Wanted};
use self::schema::{SCHEMAS, Schema};
use super::part::Origin;
use super::reading::Reader;
use super::{Item, Rejected, enough, envelope, plain_object};

const FORM: &str = "omh";
const COMMON: [&str; 3] = ["patient", "device", "schema"];

/// A schema in a version.
#[derive(Clone, Copy)]
struct Version {
    schema: &'static Schema,
    major: u32,
}

/// Reads a JSON body. `common`: what stands for all points beside the body (`patient`, `device`, `schema`); `sender`
/// as it is known from its credentials.
pub fn parse(body: &[u8], mut common: Map<String, Value>, sender: &str) -> Result<Vec<Item>, Issue> {
    let (points, own) = envelope(body, "items", &COMMON)?;
    enough(points.len())?;
    common.extend(own);
    let schema = match common.get("schema") {
        Some(name) => Some(name.as_str().and_then(version_of).ok_or_else(unknown_schema)?),
        None => None,
    };
    let read = |(at, raw)| point(raw, &format!("[{at}]"), &common, schema, sender);
    Ok(points.into_iter().enumerate().flat_map(read).collect())
}

fn unknown_schema() -> Issue {
    Issue::error("not-supported", "http.schema", "no schema that is read here, like heart-rate or omh:heart-rate:2.0")
}

/// `heart-rate`, `heart-rate:2.0` or `omh:heart-rate:2.0`.
fn version_of(text: &str) -> Option<Version> {
    let text = text.strip_prefix("omh:").unwrap_or(text);
    let (name, version) = text.split_once(':').unwrap_or((text, ""));
    let schema = schema::named(name)?;
    let major = if version.is_empty() { schema.newest } else { major(version)? };
    (1..=schema.newest).contains(&major).then_some(Version { schema, major })
}

fn major(version: &str) -> Option<u32> {
    version.split_once('.').map_or(version, |(major, _)| major).parse().ok()
}

fn point(raw: &[u8], place: &str, common: &Map<String, Value>, named: Option<Version>, sender: &str) -> Vec<Item> {
    match read_point(raw, place, common, named, sender) {
        Ok(items) => items,
        Err(rejected) => vec![Err(rejected)],
    }
}

fn read_point(
    raw: &[u8],
    place: &str,
    common: &Map<String, Value>,
    named: Option<Version>,
    sender: &str,
) -> Result<Vec<Item>, Rejected> {
    let mut point = plain_object(raw, place)?;
    let mut read = Reader::new(place);
    let rejected = |issues: Vec<Issue>| Rejected { place: place.to_owned(), issues };
    let (subject, device) = read.whose(&point, common);
    let headed = point.contains_key("header");
    let header = point.remove("header").map(|header| header_of(&mut read, &header));
    let (before, body) = match (headed, point.remove("body")) {
        (true, Some(Value::Object(body))) => ("body.", body),
        (true, _) => {
            read.refuse::<()>("required", "body", "the body is missing");
            ("body.", Map::new())
        }
        (false, _) => ("", point),
    };
    let header = header.unwrap_or_default();
    let told = header.version.or(named).or_else(|| if headed { None } else { told_by(&body) });
    let Some(version) = told else {
        if read.issues.is_empty() {
            read.refuse::<()>(
                "not-supported",
                "header.schema_id",
                "this is no data point of a schema that is read here",
            );
        }
        return Err(rejected(read.issues));
    };
    let frame = frame_of(&mut read, before, &body, version, header.created);
    let parts = body::parts(&mut read, before, &body, version.schema);
    let (Some(frame), true) = (frame, read.issues.is_empty()) else {
        return Err(rejected(read.issues));
    };
    let content = vec![version.schema.name.to_owned(), Value::Object(body).to_string()];
    let origin = Origin {
        place: place.to_owned(),
        subject,
        device,
        effective: frame.start,
        effective_end: frame.end,
        id: header.id,
        content,
    };
    let notes: Vec<String> = header.notes.into_iter().chain(frame.note).collect();
    Ok(parts
        .into_iter()
        .map(|mut part| {
            part.notes.extend(notes.clone());
            Ok(origin.draft(part, FORM, sender))
        })
        .collect())
}

/// What a header says that matters here.
#[derive(Default)]
struct Header {
    id: Option<String>,
    version: Option<Version>,
    /// When the value came to be, for bodies that do not say when it was measured.
    created: Option<String>,
    notes: Vec<String>,
}

fn header_of(read: &mut Reader<'_>, value: &Value) -> Header {
    let Some(header) = value.as_object() else {
        read.refuse::<()>("value", "header", "an object is needed");
        return Header::default();
    };
    let id = read.identifier("header.id", header.get("id"));
    if !header.contains_key("id") {
        read.refuse::<()>("required", "header.id", "the id is missing");
    }
    let created = header.get("creation_date_time");
    let created = created.and_then(|time| frame::date_time(read, "header.creation_date_time", time));
    let schema = header.get("schema_id");
    let text = |name: &str| schema.and_then(|schema| schema.get(name)).and_then(Value::as_str);
    let version = match (text("namespace"), text("name"), text("version")) {
        (Some("omh"), Some(name), Some(version)) => version_of(&format!("{name}:{version}")),
        _ => None,
    };
    if version.is_none() {
        read.refuse::<()>("not-supported", "header.schema_id", "this schema is not read, or not in this version");
    }
    let provenance = header.get("acquisition_provenance");
    let from = |name: &str| provenance.and_then(|provenance| provenance.get(name));
    let taken = from("source_creation_date_time");
    let taken =
        taken.and_then(|time| frame::date_time(read, "header.acquisition_provenance.source_creation_date_time", time));
    let mut notes = Vec::new();
    notes.extend(from("source_name").and_then(Value::as_str).map(|name| format!("Source: {name}")));
    notes.extend(from("modality").and_then(Value::as_str).map(|modality| format!("Modality: {modality}")));
    Header { id, version, created: taken.or(created), notes }
}

/// The schema whose member the body has, in its newest version.
fn told_by(body: &Map<String, Value>) -> Option<Version> {
    let episode = ["latency_to_sleep_onset", "latency_to_arising", "number_of_awakenings", "wake_after_sleep_onset"];
    let schema = if episode.iter().any(|member| body.contains_key(*member)) {
        schema::named("sleep-episode")
    } else {
        SCHEMAS.iter().find(|schema| body.contains_key(schema.member))
    };
    schema.map(|schema| Version { schema, major: schema.newest })
}

fn frame_of(
    read: &mut Reader<'_>,
    before: &str,
    body: &Map<String, Value>,
    Version { schema, major }: Version,
    created: Option<String>,
) -> Option<Frame> {
    let member = format!("{before}effective_time_frame");
    match body.get("effective_time_frame") {
        Some(value) => {
            let wanted = Wanted { interval: major >= schema.interval, part_of_day: major < schema.precise };
            frame::read(read, &member, value, wanted)
        }
        None if major >= schema.timed => read.refuse("required", &member, "the time frame is missing"),
        None => Some(created.map_or_else(Frame::default, Frame::moment)),
    }
}

#[cfg(test)]
mod tests;
