//! One OBX segment: what was measured, whether it counts, and when. All that is wrong with it is said at once,
//! each with its field; no value is repeated.

use fhir_r4::Issue;

use super::coded::{self, Coded};
use super::message::{Repetition, Segment};
use super::time::{self, Zone};
use crate::normalize::decimal;
use crate::normalize::draft::{Coding, Measured};

/// Numbers that devices send for "no value": the not-a-numbers of the 24 and 16 bit formats.
const SENTINELS: [&str; 2] = ["8388607", "32767"];

/// What one OBX says, before it is known whom it is about.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) code: Coded,
    pub(super) value: Measured,
    pub(super) status: &'static str,
    pub(super) effective: Option<String>,
    pub(super) test: bool,
    pub(super) note: Option<&'static str>,
}

/// Reads an OBX. None when it holds no measurement: a row that only describes the device, or an empty value.
/// `order` is the code of the order (OBR-4), for results that have none of their own.
pub(super) fn read(
    obx: &Segment<'_>,
    order: &[Coding],
    place: &str,
    zone: Zone,
) -> Result<Option<Reading>, Vec<Issue>> {
    let kind = obx.text(2, 1);
    if matches!(kind.as_str(), "ED" | "RP") {
        // A document, no measurement.
        return Ok(None);
    }
    let flags = Flags::of(obx);
    let status = status(&obx.text(11, 1));
    let gone = status.is_some_and(|s| s == "cancelled" || s == "entered-in-error");
    if !obx.has(5) && (kind.is_empty() || (flags.absent.is_none() && !gone)) {
        return Ok(None);
    }
    if let Some((field, why)) = not_taken(obx, &kind) {
        // No fault of the sender, who would only send it again and again.
        return Err(vec![Issue::warning("not-supported", format!("{place}.{field}"), why)]);
    }
    let mut issues = Vec::new();
    let mut refuse = |(code, field, why): Wrong| issues.push(Issue::error(code, format!("{place}.{field}"), why));
    if status.is_none() {
        refuse(("code-invalid", 11, "this result status is not known"));
    }
    let mut code = obx.repetitions(3).next().map(coded::codings).unwrap_or_default();
    if code.codings.is_empty() {
        code.codings = order.to_vec();
    }
    if code.codings.is_empty() {
        refuse(("required", 3, "the code of the measurement is missing"));
    }
    let effective = if obx.has(14) { time::date_time(&obx.text(14, 1), zone) } else { None };
    if effective.is_none() && obx.has(14) {
        refuse(("value", 14, "this is no time"));
    }
    let absent = flags.absent.or((status == Some("cancelled") || !obx.has(5)).then_some("unknown"));
    let value = absent.map_or_else(|| value(obx, &kind, zone), |reason| Ok(Measured::Absent(reason)));
    let value = value.map_err(refuse).ok();
    match (value, status) {
        (Some(value), Some(status)) if issues.is_empty() => {
            Ok(Some(Reading { code, value, status, effective, test: flags.test, note: flags.note }))
        }
        _ => Err(issues),
    }
}

/// A field that holds what this server does not take.
fn not_taken(obx: &Segment<'_>, kind: &str) -> Option<(u8, &'static str)> {
    let single = matches!(kind, "NM" | "SN" | "CE" | "CWE" | "CNE" | "DT" | "DTM" | "TS" | "TM");
    let text = matches!(kind, "" | "ST" | "TX" | "FT" | "IS" | "ID" | "NA" | "SI");
    if !(single || text) {
        return Some((2, "values of this type are not taken"));
    }
    (single && obx.repetitions(5).nth(1).is_some()).then_some((5, "only one value in one segment is taken"))
}

/// OBX-11 to `Observation.status`. Monitors send `R` (not verified) for all that they measure.
fn status(letter: &str) -> Option<&'static str> {
    Some(match letter {
        "F" | "U" | "V" => "final",
        "" | "P" | "R" | "S" => "preliminary",
        "C" => "corrected",
        "A" | "B" => "amended",
        "I" | "O" => "registered",
        "D" | "W" => "entered-in-error",
        "X" | "N" => "cancelled",
        _ => return None,
    })
}

/// What OBX-8 says about the value beside high and low.
#[derive(Default)]
struct Flags {
    test: bool,
    absent: Option<&'static str>,
    note: Option<&'static str>,
}

impl Flags {
    fn of(obx: &Segment<'_>) -> Self {
        let mut flags = Self::default();
        for flag in obx.repetitions(8) {
            match flag.text(1).as_str() {
                "DEMO" | "TEST" => flags.test = true,
                "INV" => flags.absent = Some("error"),
                "NAV" | "CAL" => flags.absent = Some("temp-unknown"),
                "QUES" => flags.note = Some("The device marks this value as questionable."),
                _ => {}
            }
        }
        flags
    }
}

type Wrong = (&'static str, u8, &'static str);

fn value(obx: &Segment<'_>, kind: &str, zone: Zone) -> Result<Measured, Wrong> {
    let first = obx.repetitions(5).next().ok_or(("required", 5, "the value is missing"))?;
    match kind {
        "NM" => number(&first.text(1), None, obx),
        "SN" => structured(first, obx),
        "DT" | "DTM" | "TS" => {
            let made = time::date_time(&first.text(1), zone);
            made.map(Measured::DateTime).ok_or(("value", 5, "this is no time"))
        }
        "TM" => clock(&first.text(1)).map(Measured::Time).ok_or(("value", 5, "this is no time of a day")),
        "NA" => Ok(Measured::Text(numbers(obx))),
        "CE" | "CWE" | "CNE" => match coded::codings(first).codings {
            codings if codings.is_empty() => Err(("required", 5, "the value is missing")),
            codings => Ok(Measured::Coded(codings)),
        },
        _ => {
            let lines: Vec<String> = obx.repetitions(5).map(|line| line.whole()).collect();
            Ok(Measured::Text(lines.join("\n").trim().to_owned()))
        }
    }
}

fn number(text: &str, comparator: Option<&'static str>, obx: &Segment<'_>) -> Result<Measured, Wrong> {
    let value = decimal(text).ok_or(("value", 5, "this is no number"))?;
    if SENTINELS.contains(&value.as_str()) {
        return Ok(Measured::Absent("not-a-number"));
    }
    let unit = obx.repetitions(6).next().and_then(coded::unit);
    Ok(Measured::Quantity { value, comparator, unit })
}

/// NA: numbers without the time between them, which no waveform of FHIR can do without, are kept as a text.
fn numbers(obx: &Segment<'_>) -> String {
    let row = |na: Repetition<'_, '_>| (1..=na.components()).map(|at| na.text(at)).collect::<Vec<_>>().join(" ");
    obx.repetitions(5).map(row).collect::<Vec<_>>().join("\n")
}

/// TM: `HHMM[SS[.S]]`; a zone has no place in a time of FHIR.
fn clock(text: &str) -> Option<String> {
    let (digits, fraction) = text.split_once('.').map_or((text, None), |(digits, rest)| (digits, Some(rest)));
    let digits_only = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let part = |from: usize, most: u32| {
        let two = digits.get(from..from + 2)?;
        two.parse::<u32>().ok().filter(|n| *n <= most).map(|_| two)
    };
    if !digits_only(digits) || !fraction.is_none_or(digits_only) || !matches!(digits.len(), 4 | 6) {
        return None;
    }
    let seconds = if digits.len() == 6 { part(4, 59)? } else { "00" };
    let fraction = fraction.filter(|_| digits.len() == 6).map(|f| format!(".{f}")).unwrap_or_default();
    Some(format!("{}:{}:{seconds}{fraction}", part(0, 23)?, part(2, 59)?))
}

/// SN: comparator ^ number ^ separator ^ number. Ranges and ratios are no quantities and stay text.
fn structured(sn: Repetition<'_, '_>, obx: &Segment<'_>) -> Result<Measured, Wrong> {
    let (comparator, first, separator, second) = (sn.text(1), sn.text(2), sn.text(3), sn.text(4));
    let known = match comparator.as_str() {
        "" | "=" => Some(None),
        "<" => Some(Some("<")),
        "<=" => Some(Some("<=")),
        ">" => Some(Some(">")),
        ">=" => Some(Some(">=")),
        _ => None,
    };
    match known {
        Some(comparator) if separator.is_empty() && second.is_empty() => number(&first, comparator, obx),
        _ => Ok(Measured::Text(format!("{comparator}{first}{separator}{second}"))),
    }
}
