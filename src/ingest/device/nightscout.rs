//! Entries as uploaders of glucose sensors send them to Nightscout: `sgv` (a sensor's value) and `mbg` (a meter's), in
//! mg/dL, one or a list. What a server of theirs only keeps for itself (`cal`) is no reading and is said to be none.

use fhir_r4::Issue;
use serde_json::{Map, Value};

use super::part::{Origin, Part, coded, quantity, text};
use super::reading::Reader;
use super::{Item, Rejected, enough, envelope, plain_object};
use crate::fhir::time;
use crate::normalize::decimal;
use crate::normalize::draft::{Coding, Measured};

const FORM: &str = "entries";

/// The issue code of an entry that is none of anything measured.
pub const NO_READING: &str = "informational";

/// Uploaders send this for a value that is lower than the sensor can tell, and smaller ones for its faults.
const LOW: f64 = 38.0;
const LOWEST: &str = "39";
/// The last millisecond that four digits of a year can say.
const LAST: f64 = 253_402_300_799_999.0;

/// Reads what one device sends; who that is, is known from its credentials.
pub fn parse(body: &[u8], sender: &str) -> Result<Vec<Item>, Issue> {
    let (entries, _) = envelope(body, "", &[])?;
    enough(entries.len())?;
    Ok(entries.into_iter().enumerate().map(|(at, raw)| entry(raw, &format!("[{at}]"), sender)).collect())
}

fn entry(raw: &[u8], place: &str, sender: &str) -> Item {
    let object = plain_object(raw, place)?;
    let mut read = Reader::new(place);
    let (part, value) = match object.get("type").and_then(Value::as_str) {
        Some("sgv") | None => sensor(&mut read, &object),
        Some("mbg") => meter(&mut read, &object),
        Some("cal" | "etc" | "rawbg") => (read.refuse(NO_READING, "type", "this entry is no reading"), String::new()),
        Some(_) => (read.refuse("not-supported", "type", "only sgv and mbg are readings"), String::new()),
    };
    let effective = when(&mut read, &object);
    let id = ["identifier", "_id"].into_iter().find_map(|name| object.get(name).filter(|id| id.is_string()));
    let id = read.identifier("identifier", id);
    let (Some(part), true) = (part, read.issues.is_empty()) else {
        return Err(Rejected { place: place.to_owned(), issues: read.issues });
    };
    let content = effective.iter().cloned().chain([value]).collect();
    let place = place.to_owned();
    let origin = Origin { place, subject: None, device: None, effective, effective_end: None, id, content };
    Ok(origin.draft(part, FORM, sender))
}

/// The value of a sensor, with where it is going.
fn sensor(read: &mut Reader<'_>, object: &Map<String, Value>) -> (Option<Part>, String) {
    let Some(value) = number(read, object, "sgv") else { return (None, String::new()) };
    let mut part = Part::new("sgv", coded("99504-3", "160212", "MDC_CONC_GLU_ISF"), quantity(&value, "mg/dL"));
    let number: f64 = value.parse().unwrap_or_default();
    if number < LOW {
        part.value = Measured::Absent("error");
        part.notes.push(format!("Code of the sensor: {value}"));
    } else if number < LOW + 1.0 {
        part.value = below(LOWEST);
        part.notes.push(format!("Sent as {value} mg/dL"));
    }
    if let Some(direction) = object.get("direction").and_then(Value::as_str).filter(|text| !text.trim().is_empty()) {
        part.components.push((text("Trend"), Measured::Text(direction.to_owned())));
    }
    if let Some(noise) = object.get("noise").and_then(Value::as_u64) {
        part.notes.push(format!("Noise: {noise}"));
    }
    part.notes.extend(uploader(object));
    (Some(part), format!("sgv={value}"))
}

fn meter(read: &mut Reader<'_>, object: &Map<String, Value>) -> (Option<Part>, String) {
    let Some(value) = number(read, object, "mbg") else { return (None, String::new()) };
    let code = coded("41653-7", "160184", "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD");
    let mut part = Part::new("mbg", code, quantity(&value, "mg/dL"));
    part.notes.extend(uploader(object));
    (Some(part), format!("mbg={value}"))
}

/// What the uploader calls the device.
fn uploader(object: &Map<String, Value>) -> Option<String> {
    let name = object.get("device")?.as_str().filter(|name| !name.trim().is_empty())?;
    Some(format!("Device: {name}"))
}

fn below(value: &str) -> Measured {
    let unit = Some(Coding { system: crate::fhir::UCUM.to_owned(), code: "mg/dL".to_owned(), display: None });
    Measured::Quantity { value: value.to_owned(), comparator: Some("<"), unit }
}

/// A number, or a text that is one: some uploaders write it so.
fn number(read: &mut Reader<'_>, object: &Map<String, Value>, member: &str) -> Option<String> {
    let text = match object.get(member) {
        Some(Value::Number(number)) => decimal(&number.to_string()),
        Some(Value::String(text)) => decimal(text),
        _ => None,
    };
    text.or_else(|| read.refuse("value", member, "a number is needed, and one that can be measured"))
}

/// `date` in milliseconds since 1970, else `dateString` with a zone; without both it is now.
fn when(read: &mut Reader<'_>, object: &Map<String, Value>) -> Option<String> {
    let given = |name: &str| object.get(name).filter(|value| !value.is_null());
    if let Some(date) = given("date") {
        let ms = date.as_f64().filter(|ms| (0.0..=LAST).contains(ms));
        // A fraction of a millisecond is none that a sensor tells.
        let ms = ms.and_then(|ms| format!("{:.0}", ms.floor()).parse::<i64>().ok());
        let Some(ms) = ms else { return read.refuse("value", "date", "milliseconds since 1970 are needed") };
        return Some(time::instant(ms.saturating_mul(1000)));
    }
    let text = read.text("dateString", given("dateString")?)?;
    let zoned = text.split_once('T').is_some_and(|(_, clock)| clock.contains(['Z', '+', '-']));
    if zoned && time::range(&text).is_some() {
        return Some(text);
    }
    read.refuse("value", "dateString", "a date with a time of the day, seconds and zone is needed")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(body: &str) -> Vec<String> {
        let line = |item: &Item| match item {
            Ok(draft) => {
                let value = match &draft.value {
                    Measured::Quantity { value, comparator, .. } => {
                        format!("{}{value}", comparator.unwrap_or_default())
                    }
                    Measured::Absent(reason) => (*reason).to_owned(),
                    other => format!("{other:?}"),
                };
                format!("{} {value} {}", draft.code[0].code, draft.effective.as_deref().unwrap_or("now"))
            }
            Err(rejected) => format!("{} {}", rejected.issues[0].code, rejected.issues[0].expression),
        };
        parse(body.as_bytes(), "s").unwrap().iter().map(line).collect()
    }

    #[test]
    fn entries_become_readings() {
        let table = [
            (
                r#"{"type":"sgv","sgv":142,"date":1764662400000,"direction":"Flat"}"#,
                "99504-3 142 2025-12-02T08:00:00.000Z",
            ),
            (r#"{"type":"sgv","sgv":"142","date":1764662400000.7}"#, "99504-3 142 2025-12-02T08:00:00.000Z"),
            (
                r#"{"sgv":55,"date":null,"dateString":"2025-12-02T08:05:00.000Z"}"#,
                "99504-3 55 2025-12-02T08:05:00.000Z",
            ),
            (r#"{"type":"mbg","mbg":61,"date":1764662760000}"#, "41653-7 61 2025-12-02T08:06:00.000Z"),
            (r#"{"type":"sgv","sgv":90}"#, "99504-3 90 now"),
            (r#"{"type":"sgv","sgv":38}"#, "99504-3 <39 now"),
            (r#"{"type":"sgv","sgv":5}"#, "99504-3 error now"),
            (r#"{"type":"cal","slope":1}"#, "informational [0].type"),
            (r#"{"type":"mood","sgv":1}"#, "not-supported [0].type"),
            (r#"{"type":"sgv","sgv":"high"}"#, "value [0].sgv"),
            (r#"{"type":"sgv","sgv":90,"date":"x"}"#, "value [0].date"),
            (r#"{"type":"sgv","sgv":90,"dateString":"2025-12-02T08:05:00"}"#, "value [0].dateString"),
        ];
        for (body, want) in table {
            assert_eq!(told(body), [want], "{body}");
        }
        assert_eq!(told("[7,{\"sgv\":90}]"), ["structure [0]", "99504-3 90 now"]);
        let draft =
            parse(br#"{"sgv":142,"direction":"Flat","device":"xDrip","noise":1}"#, "s").unwrap().remove(0).unwrap();
        assert_eq!(draft.components[0].1, Measured::Text("Flat".to_owned()));
        assert_eq!(draft.note.as_deref(), Some("Noise: 1\nDevice: xDrip"));
    }

    #[test]
    fn an_entry_sent_again_is_the_same() {
        let key = |body: &str| parse(body.as_bytes(), "s").unwrap().remove(0).unwrap().key;
        let (one, other) = (r#"{"sgv":142,"date":1764662400000}"#, r#"{"sgv":143,"date":1764662400000}"#);
        assert_eq!(key(one), key(r#"{"date":1764662400000,"type":"sgv","sgv":142,"device":"xDrip"}"#));
        assert_ne!(key(one), key(other));
        assert_eq!(key(r#"{"sgv":1,"_id":"a"}"#), key(r#"{"sgv":2,"_id":"a"}"#), "the id decides");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..60), text in "[{}\\[\\]\",:a-z0-9.-]{0,60}") {
            for body in [body.as_slice(), text.as_bytes()] {
                let _ = parse(body, "s");
            }
        }
    }
}
