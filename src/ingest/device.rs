//! The device door's own compact form of readings, JSON or one JSON object a line. It makes drafts and judges
//! each reading by itself: a bad one never harms its neighbours. No FHIR shape, no store, no HTTP in here.
//!
//! A body is one reading, an array of readings, or an envelope whose `patient`, `device` and `time` stand for
//! the readings that have none of their own:
//!
//! ```json
//! {"patient": "Patient/p1", "readings": [
//!   {"code": "8867-4", "value": 72, "unit": "/min", "time": "2026-01-02T03:04:05Z", "id": "a1"},
//!   {"code": "bp", "systolic": 120, "diastolic": 80, "unit": "mm[Hg]"},
//!   {"code": "mdc:150364", "value": "36.60", "unit": "Cel"}
//! ]}
//! ```
//!
//! | member | what |
//! |---|---|
//! | `patient` | `"Patient/p1"`, `"system\|value"`, `"\|value"` or `{"system", "value"}`; needed here or in the envelope |
//! | `device` | the same with `Device/x` |
//! | `code` | `"8867-4"` (LOINC), `"loinc:…"`, `"mdc:…"`, `"system\|code"`, `{"system", "code", "display"}`, a list of these, or `"bp"` |
//! | `value` | a number; a decimal as text together with `unit`; a text; `{"system", "code", "display"}` |
//! | `unit` | UCUM, or what devices usually write for it |
//! | `systolic`, `diastolic`, `mean` | numbers, with the code `"bp"` only |
//! | `components` | a list of `{"code", "value", "unit", "absent"}` instead of `value` |
//! | `absent` | a code of data-absent-reason instead of `value` |
//! | `time`, `end` | FHIR dateTime with zone; without `time` it is the time of receipt |
//! | `id` | the sender's own identifier: the same id is the same reading, whatever else it says |
//! | `status`, `note`, `test` | as in FHIR (`final` when not given), a text, `true` for test data |
//!
//! Decimals keep their text: `72.50` stays `72.50`.

pub mod apple;
pub mod csv;
pub mod gatt;
pub mod metric;
pub mod nightscout;
pub mod omh;
mod part;
mod reading;
mod skew;
mod split;
pub mod thingsboard;
pub mod wave;

use fhir_r4::{Format, Issue};
use serde_json::{Map, Value};

use crate::normalize::draft::{Draft, Subject};

/// More readings in one request are refused.
pub const MAX_ITEMS: usize = 10_000;

/// What became of one reading of a request. Readings of one payload stand at one place.
pub type Item = Result<Draft, Rejected>;

/// What cannot be taken, where it stood, and all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub place: String,
    pub issues: Vec<Issue>,
}

/// Reads a JSON body. `sender` names who sends, as it is known from its credentials; `now`: µs UTC.
pub fn parse_json(body: &[u8], sender: &str, now: i64) -> Result<Vec<Item>, Issue> {
    let (readings, mut defaults) = envelope(body, "readings", &["patient", "device", "time", "sentAt"])?;
    let sent_at = defaults.remove("sentAt");
    enough(readings.len())?;
    let numbered = readings.into_iter().enumerate();
    let mut items: Vec<Item> = numbered.map(|(at, raw)| one(raw, format!("[{at}]"), &defaults, sender)).collect();
    if let Some(sent_at) = sent_at {
        skew::correct(&mut items, &sent_at, now)?;
    }
    Ok(items)
}

/// What a body lists, and the members that stand for all of it.
type Cut<'b> = (Vec<&'b [u8]>, Map<String, Value>);

/// Cuts a body into what it lists: an array, an object with this list and members that stand for all of it, or one
/// thing by itself.
fn envelope<'b>(body: &'b [u8], list: &str, common: &[&str]) -> Result<Cut<'b>, Issue> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if let Some(listed) = split::elements(body) {
        return Ok((listed, Map::new()));
    }
    let members = split::members(body).ok_or_else(|| broken(body))?;
    if members.iter().all(|(name, _)| *name != list.as_bytes()) {
        return Ok((vec![body], Map::new()));
    }
    let (mut defaults, mut listed) = (Map::new(), None);
    for (name, raw) in members {
        let name = std::str::from_utf8(name).unwrap_or_default();
        if name == list && listed.is_none() {
            let cut = split::elements(raw).ok_or_else(|| Issue::error("structure", name, "a list is needed"))?;
            listed = Some(cut);
        } else if common.contains(&name) && !defaults.contains_key(name) {
            let value = serde_json::from_slice(raw).map_err(|_| Issue::error("structure", name, "this is no JSON"))?;
            defaults.insert(name.to_owned(), value);
        } else if name == list || common.contains(&name) {
            return Err(Issue::error("structure", name, "the member stands twice"));
        } else {
            return Err(unknown("", name));
        }
    }
    Ok((listed.unwrap_or_default(), defaults))
}

/// What a body is that cannot be cut into readings. Nothing of it is repeated.
fn broken(body: &[u8]) -> Issue {
    let text = match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        Err(error) if !body.trim_ascii().is_empty() => {
            let what = if error.is_eof() { "is cut short" } else { "is no JSON" };
            format!("the body {what} at line {} column {}", error.line(), error.column())
        }
        _ => "the body is neither a JSON object nor a JSON array of readings".to_owned(),
    };
    Issue::error("structure", "http.body", text)
}

/// What names no device was measured by this one (`Device/…`).
pub fn own(items: &mut [Item], device: &str) {
    for draft in items.iter_mut().flatten() {
        draft.device.get_or_insert_with(|| Subject::Reference(device.to_owned()));
    }
}

/// Reads a body of one JSON object a line; empty lines do not count.
pub fn parse_ndjson(body: &[u8], sender: &str) -> Result<Vec<Item>, Issue> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let lines = body.split(|b| *b == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    let lines: Vec<(usize, &[u8])> = lines.take(MAX_ITEMS + 1).collect();
    enough(lines.len())?;
    Ok(lines.into_iter().map(|(at, line)| one(line, format!("line {}", at + 1), &Map::new(), sender)).collect())
}

fn enough(items: usize) -> Result<(), Issue> {
    match items {
        0 => Err(Issue::error("required", "", "there is no reading in the body")),
        1..=MAX_ITEMS => Ok(()),
        _ => Err(Issue::error("too-long", "", format!("more than {MAX_ITEMS} readings in one request"))),
    }
}

fn one(raw: &[u8], place: String, defaults: &Map<String, Value>, sender: &str) -> Item {
    let object = object(raw, &place)?;
    reading::draft(&object, defaults, &place, sender).map_err(|issues| Rejected { place, issues })
}

/// The object that stands at a place; what is none has no members.
fn object(raw: &[u8], place: &str) -> Result<Map<String, Value>, Rejected> {
    match fhir_r4::parse(raw, Format::Json) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Ok(Map::new()),
        Err(issues) => {
            let issues = issues.into_iter().map(|issue| issue.under(place)).collect();
            Err(Rejected { place: place.to_owned(), issues })
        }
    }
}

/// The same of what need not be as strict as FHIR: members may be null or empty.
fn plain_object(raw: &[u8], place: &str) -> Result<Map<String, Value>, Rejected> {
    serde_json::from_slice(raw).map_err(|_| {
        let issue = Issue::error("structure", place, "this is no JSON object");
        Rejected { place: place.to_owned(), issues: vec![issue] }
    })
}

/// A member that means nothing here. Only what can be a member's name is repeated.
fn unknown(place: &str, name: &str) -> Issue {
    let plain = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    let name = if plain { name } else { "…" };
    Issue::error("structure", place, format!("the member `{name}` is not known"))
}

#[cfg(test)]
mod tests;
