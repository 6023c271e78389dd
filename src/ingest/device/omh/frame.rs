//! The time of a data point: a moment, or an interval by its ends, by one end and its length, or by a part of a day.
//! Texts stay as they were sent; one without a zone is UTC, as the schemas say.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::fhir::time;
use crate::ingest::device::reading::Reader;

/// When something was measured, as FHIR writes it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) start: Option<String>,
    pub(super) end: Option<String>,
    pub(super) note: Option<String>,
}

impl Frame {
    pub(super) fn moment(time: String) -> Self {
        Self { start: Some(time), ..Self::default() }
    }
}

/// Seconds of a unit. Months and years have no length of their own.
const LENGTHS: [(&str, f64); 9] = [
    ("ps", 1e-12),
    ("ns", 1e-9),
    ("us", 1e-6),
    ("ms", 1e-3),
    ("sec", 1.0),
    ("min", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
    ("wk", 604_800.0),
];
const PARTS: [&str; 4] = ["morning", "afternoon", "evening", "night"];

/// What a schema takes for a time.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// An interval only.
    pub(super) interval: bool,
    /// A part of a day is precise enough.
    pub(super) part_of_day: bool,
}

/// Reads `effective_time_frame`; `member` is where it stands.
pub(super) fn read(read: &mut Reader<'_>, member: &str, value: &Value, wanted: Wanted) -> Option<Frame> {
    let object = value.as_object();
    let both = object.map(|object| (object.get("date_time"), object.get("time_interval")));
    match both {
        Some((Some(_), None)) if wanted.interval => {
            read.refuse("value", member, "a time interval is needed, this is measured over time")
        }
        Some((Some(moment), None)) => date_time(read, &format!("{member}.date_time"), moment).map(Frame::moment),
        Some((None, Some(Value::Object(interval)))) => {
            self::interval(read, &format!("{member}.time_interval"), interval, wanted)
        }
        _ => read.refuse("value", member, "either `date_time` or `time_interval` is needed"),
    }
}

fn interval(read: &mut Reader<'_>, member: &str, interval: &Map<String, Value>, wanted: Wanted) -> Option<Frame> {
    let mut time = |name: &str| {
        let value = interval.get(name)?;
        Some(date_time(read, &format!("{member}.{name}"), value))
    };
    let (start, end) = (time("start_date_time"), time("end_date_time"));
    let duration = interval.get("duration").map(|value| length(read, &format!("{member}.duration"), value));
    let frame = |start: String, end: String| Frame { start: Some(start), end: Some(end), note: None };
    match (start, end, duration, interval.get("date"), interval.get("part_of_day")) {
        (Some(start), Some(end), None, None, None) => Some(frame(start?, end?)),
        (Some(start), None, Some(length), None, None) => {
            let (start, length) = (start?, length?);
            let end = time::instant(time::range(&start)?.start.saturating_add(length));
            Some(frame(start, end))
        }
        (None, Some(end), Some(length), None, None) => {
            let (end, length) = (end?, length?);
            let start = time::instant(time::range(&end)?.start.saturating_sub(length));
            Some(frame(start, end))
        }
        (None, None, None, Some(date), Some(part)) if wanted.part_of_day => day(read, member, date, part),
        _ => {
            read.refuse("value", member, "two of start, end and duration are needed, or a date with a part of the day")
        }
    }
}

fn day(read: &mut Reader<'_>, member: &str, date: &Value, part: &Value) -> Option<Frame> {
    let date = date.as_str().filter(|date| date.len() == 10 && time::range(date).is_some());
    let part = part.as_str().filter(|part| PARTS.contains(part));
    match (date, part) {
        (Some(date), Some(part)) => {
            let note = Some(format!("Part of the day: {part}"));
            Some(Frame { start: Some(date.to_owned()), end: None, note })
        }
        _ => read.refuse("value", member, "a date with `morning`, `afternoon`, `evening` or `night` is needed"),
    }
}

/// A moment of RFC 3339.
pub(super) fn date_time(read: &mut Reader<'_>, member: &str, value: &Value) -> Option<String> {
    let text = value.as_str().unwrap_or_default();
    let seconds = text.split_once('T').is_some_and(|(_, clock)| clock.matches(':').count() >= 2);
    if !seconds || time::range(text).is_none() {
        return read.refuse("value", member, "a date with a time of the day and seconds is needed");
    }
    let zoned = text.split_once('T').is_some_and(|(_, clock)| clock.contains(['Z', '+', '-']));
    Some(if zoned { text.to_owned() } else { format!("{text}Z") })
}

fn length(read: &mut Reader<'_>, member: &str, value: &Value) -> Option<i64> {
    let unit = value.get("unit").and_then(Value::as_str).unwrap_or_default();
    let factor = LENGTHS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let number = value.get("value").and_then(Value::as_number).and_then(serde_json::Number::as_f64);
    let length = factor.zip(number).and_then(|(factor, number)| {
        let length = Duration::try_from_secs_f64(factor * number).ok()?;
        i64::try_from(length.as_micros()).ok()
    });
    length.or_else(|| read.refuse("value", member, "a length of time with a known unit is needed"))
}
