//! Raw values of Bluetooth characteristics, as a phone or a gateway receives them from a device, made into readings
//! here so that who forwards them needs to know nothing of their layout:
//!
//! ```json
//! {"patient": "Patient/p1", "device": "Device/cuff-7", "items": [
//!   {"char": "2A35", "hex": "00780050005D00", "receivedAt": "2026-01-02T03:04:05+01:00", "id": "1f0c…"}
//! ]}
//! ```
//!
//! Numbers keep the digits that the device gave them. A payload that is longer or shorter than its flags say, or has
//! flags that mean nothing yet, is refused whole; nothing of it is guessed.

pub mod blood_pressure;
pub mod cgm;
mod clock;
pub mod composition;
pub mod context;
pub mod glucose;
pub mod heart_rate;
pub mod number;
pub mod octets;
pub mod oximeter;
pub mod temperature;
pub mod weight;

use std::collections::HashMap;

use fhir_r4::Issue;
use serde_json::{Map, Value};

use self::clock::Received;
use self::octets::{Read, Stamp, wrong};
use super::part::{Origin, Part};
use super::reading::Reader;
use super::{Item, MAX_ITEMS, Rejected, enough, envelope, object};
use crate::fhir::time;
use crate::normalize::decimal;
use crate::normalize::draft::{Measured, Subject};

const MEMBERS: [&str; 8] = ["patient", "device", "char", "hex", "receivedAt", "deviceClock", "id", "test"];
const FORM: &str = "gatt";

/// The longest value that an attribute can have.
const LONGEST: usize = 512;

/// What a payload says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    HeartRate(heart_rate::HeartRate),
    BloodPressure(blood_pressure::BloodPressure),
    Cuff(blood_pressure::BloodPressure),
    Temperature(temperature::Temperature),
    Oximeter(oximeter::Oximeter),
    Glucose(glucose::Glucose),
    Context(context::Context),
    Weight(weight::Weight),
    Composition(composition::Composition),
    Cgm(Vec<cgm::Record>),
}

/// The value of a characteristic; `number` as it is written: `2A35`.
pub fn decode(number: &str, payload: &[u8]) -> Read<Decoded> {
    Ok(match number {
        "2A37" => Decoded::HeartRate(heart_rate::decode(payload)?),
        "2A35" => Decoded::BloodPressure(blood_pressure::decode(payload)?),
        "2A36" => Decoded::Cuff(blood_pressure::decode(payload)?),
        "2A1C" => Decoded::Temperature(temperature::decode(payload)?),
        "2A5E" => Decoded::Oximeter(oximeter::decode_spot(payload)?),
        "2A5F" => Decoded::Oximeter(oximeter::decode_continuous(payload)?),
        "2A18" => Decoded::Glucose(glucose::decode(payload)?),
        "2A34" => Decoded::Context(context::decode(payload)?),
        "2A9D" => Decoded::Weight(weight::decode(payload)?),
        "2A9C" => Decoded::Composition(composition::decode(payload)?),
        "2AA7" => Decoded::Cgm(cgm::decode(payload)?),
        _ => return wrong("not-supported", "this characteristic is not read"),
    })
}

impl Decoded {
    /// What the device says of the time, and that as µs since 1970 by its clock where that can be a time.
    fn stamp(&self) -> Option<(Stamp, Option<i64>)> {
        let own = |stamp: Option<Stamp>| stamp.map(|stamp| (stamp, stamp.local()));
        match self {
            Self::BloodPressure(read) | Self::Cuff(read) => own(read.stamp),
            Self::Temperature(read) => own(read.stamp),
            Self::Oximeter(read) => own(read.stamp).map(|(stamp, at)| (stamp, at.filter(|_| !read.clock_unset))),
            Self::Weight(read) => own(read.stamp),
            Self::Composition(read) => own(read.stamp),
            Self::Glucose(read) => Some((read.base, read.local())),
            Self::HeartRate(_) | Self::Context(_) | Self::Cgm(_) => None,
        }
    }

    fn parts(&self) -> Vec<Part> {
        match self {
            Self::HeartRate(read) => read.parts(),
            Self::BloodPressure(read) => read.parts(),
            Self::Cuff(read) => read.cuff_parts(),
            Self::Temperature(read) => read.parts(),
            Self::Oximeter(read) => read.parts(),
            Self::Glucose(read) => read.parts(),
            Self::Context(read) => read.parts(),
            Self::Weight(read) => read.parts(),
            Self::Composition(read) => read.parts(),
            Self::Cgm(records) => {
                records.iter().enumerate().map(|(at, record)| record.part(format!("glucose{at}"))).collect()
            }
        }
    }
}

/// A payload with where it came from.
struct Payload {
    decoded: Decoded,
    received: Received,
    origin: Origin,
    test: bool,
}

/// Whose measurement it is, by which device, with its sequence number.
type Numbered = (Option<Subject>, Option<Subject>, u16);

/// When the measurements of a batch were taken that contexts may belong to.
type Times = HashMap<Numbered, Option<String>>;

/// Reads a JSON body. `sender`: who sends, as it is known from its credentials; `now` in µs UTC.
pub fn parse(body: &[u8], sender: &str, now: i64) -> Result<Vec<Item>, Issue> {
    let (items, defaults) = envelope(body, "items", &["patient", "device", "receivedAt", "deviceClock"])?;
    enough(items.len())?;
    let numbered = items.into_iter().enumerate();
    let payloads: Vec<Result<Payload, Rejected>> =
        numbered.map(|(at, raw)| payload(raw, &format!("[{at}]"), &defaults, now)).collect();
    let times: Times = payloads.iter().flatten().filter_map(time_of_glucose).collect();
    let mut all = Vec::new();
    for read in payloads {
        match read {
            Ok(payload) => all.extend(readings(payload, &times, sender)),
            Err(rejected) => all.push(Err(rejected)),
        }
        if all.len() > 2 * MAX_ITEMS {
            return Err(Issue::error("too-long", "items", "more readings than one request may hold"));
        }
    }
    Ok(all)
}

/// One payload that stands by itself at this place. `number`: the characteristic; `received`: µs UTC.
pub fn single(
    (number, bytes): (&str, &[u8]),
    (subject, device): (Option<Subject>, Option<Subject>),
    place: &str,
    sender: &str,
    received: i64,
) -> Vec<Item> {
    let place = place.to_owned();
    let decoded = match decode(number, bytes) {
        Ok(decoded) => decoded,
        Err(wrong) => {
            let issues = vec![Issue::error(wrong.code, place.clone(), wrong.why)];
            return vec![Err(Rejected { place, issues })];
        }
    };
    let content = vec![number.to_owned(), hexadecimal(bytes)];
    let origin = Origin { place, subject, device, effective: None, effective_end: None, id: None, content };
    let received = Received { text: Some(time::instant(received)), at: received, ..Received::default() };
    readings(Payload { decoded, received, origin, test: false }, &Times::new(), sender)
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

fn payload(raw: &[u8], place: &str, defaults: &Map<String, Value>, now: i64) -> Result<Payload, Rejected> {
    let object = object(raw, place)?;
    let mut read = Reader::new(place);
    read.only(&object, &MEMBERS);
    let (subject, device) = read.whose(&object, defaults);
    let received = received(&mut read, &object, defaults, now);
    let id = read.identifier("id", object.get("id"));
    let test = read.flag("test", object.get("test"));
    let number = characteristic(&mut read, object.get("char"));
    let bytes = bytes(&mut read, object.get("hex"));
    let decoded = number.as_ref().zip(bytes.as_ref()).and_then(|(number, bytes)| {
        let decoded = decode(number, bytes);
        decoded.map_err(|wrong| read.refuse::<()>(wrong.code, "hex", &wrong.why)).ok()
    });
    let (Some(number), Some(bytes), Some(decoded)) = (number, bytes, decoded) else {
        return Err(Rejected { place: place.to_owned(), issues: read.issues });
    };
    if !read.issues.is_empty() {
        return Err(Rejected { place: place.to_owned(), issues: read.issues });
    }
    let content = vec![number, hexadecimal(&bytes)];
    let place = place.to_owned();
    let origin = Origin { place, subject, device, effective: None, effective_end: None, id, content };
    Ok(Payload { decoded, received, origin, test })
}

fn received(read: &mut Reader<'_>, object: &Map<String, Value>, defaults: &Map<String, Value>, now: i64) -> Received {
    let mut text = |name: &str| {
        let value = object.get(name).or_else(|| defaults.get(name));
        value.and_then(|value| read.text(name, value))
    };
    let (at, clock) = (text("receivedAt"), text("deviceClock"));
    let device_clock = clock.and_then(|clock| {
        let local = clock::local(&clock);
        local.or_else(|| read.refuse("value", "deviceClock", "a date with a time of the day and seconds is needed"))
    });
    let Some(at) = at else { return Received { text: None, at: now, offset: 0, device_clock } };
    let Some((utc, offset)) = clock::zoned(&at) else {
        read.refuse::<()>("value", "receivedAt", "a date with a time of the day, seconds and zone is needed");
        return Received::default();
    };
    Received { text: Some(at), at: utc, offset, device_clock }
}

/// `2A35`, `0x2A35`, or the whole UUID.
fn characteristic(read: &mut Reader<'_>, value: Option<&Value>) -> Option<String> {
    let Some(value) = value else { return read.refuse("required", "char", "the characteristic is missing") };
    let text = read.text("char", value)?.to_ascii_uppercase();
    let long = text.strip_prefix("0000").and_then(|rest| rest.strip_suffix("-0000-1000-8000-00805F9B34FB"));
    let number = long.or_else(|| text.strip_prefix("0X")).unwrap_or(&text);
    if number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(number.to_owned());
    }
    read.refuse("value", "char", "four hexadecimal digits or the UUID of a characteristic are needed")
}

fn bytes(read: &mut Reader<'_>, value: Option<&Value>) -> Option<Vec<u8>> {
    let Some(value) = value else { return read.refuse("required", "hex", "the payload is missing") };
    let text = read.text("hex", value)?;
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 && digits.len() <= 2 * LONGEST => {
            let (pairs, _) = digits.as_chunks::<2>();
            Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
        }
        _ => read.refuse("value", "hex", "pairs of hexadecimal digits are needed, and no more than 512 of them"),
    }
}

fn time_of_glucose(payload: &Payload) -> Option<(Numbered, Option<String>)> {
    let Decoded::Glucose(glucose) = &payload.decoded else { return None };
    let measured = payload.received.measured(payload.decoded.stamp(), true);
    let Origin { subject, device, .. } = &payload.origin;
    Some(((subject.clone(), device.clone(), glucose.sequence), measured.time))
}

fn readings(payload: Payload, times: &Times, sender: &str) -> Vec<Item> {
    let Payload { decoded, received, mut origin, test } = payload;
    let stamp = decoded.stamp();
    let mut measured = received.measured(stamp, matches!(decoded, Decoded::Glucose(_)));
    if let Decoded::Context(context) = &decoded {
        let of = (origin.subject.clone(), origin.device.clone(), context.sequence);
        measured.time = times.get(&of).cloned().unwrap_or(measured.time);
    }
    // With a time of the device's own the payload is itself whenever it comes; else when it came is part of it.
    if stamp.is_none() {
        origin.content.extend(received.text.clone());
    }
    let last = if let Decoded::Cgm(records) = &decoded { records.last().map(|record| record.offset_min) } else { None };
    let mut items = Vec::new();
    for (at, mut part) in decoded.parts().into_iter().enumerate() {
        part.notes.extend(measured.note.clone());
        part.test |= test;
        let mut origin = Origin { effective: measured.time.clone(), ..origin.clone() };
        // Records of one notification lie apart by their offsets; the last of them is the newest.
        if let (Decoded::Cgm(records), Some(last)) = (&decoded, last) {
            let before = last.saturating_sub(records.get(at).map_or(last, |record| record.offset_min));
            if before > 0 {
                origin.effective = Some(received.before(before));
            }
        }
        if let Some(unmeasurable) = unmeasurable(&part) {
            return vec![Err(Rejected {
                issues: vec![Issue::error("value", format!("{}.hex", origin.place), unmeasurable)],
                place: origin.place,
            })];
        }
        items.push(Ok(origin.draft(part, FORM, sender)));
    }
    if items.is_empty() {
        let issue = Issue::error("required", format!("{}.hex", origin.place), "there is no value in the payload");
        items.push(Err(Rejected { place: origin.place, issues: vec![issue] }));
    }
    items
}

/// A number can be so large or so small that nothing measures it.
fn unmeasurable(part: &Part) -> Option<&'static str> {
    let values = std::iter::once(&part.value).chain(part.components.iter().map(|(_, value)| value));
    let far = |value: &Measured| matches!(value, Measured::Quantity { value, .. } if decimal(value).is_none());
    values.into_iter().any(far).then_some("a number that nothing can measure")
}

#[cfg(test)]
mod tests;
