//! One OBX segment: what was measured, whether it counts, and when. All that is wrong with it is said at once,
//! each with its field; no value is repeated.

use fhir_r4::Issue;

use super::coded::{self, Coded};
use super::message::{Repetition, Segment};
use super::time::{self, Zone};
use crate::normalize::decimal;
use crate::normalize::draft::{Coding, Judged, Measured};

/// Numbers that devices send for "no value": the not-a-numbers of the 24 and 16 bit formats.
const SENTINELS: [&str; 2] = ["8388607", "32767"];

const INTERPRETATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation";
/// Table 0078 as HL7's concept map has it (HL7/v2-to-fhir, Apache-2.0).
#[rustfmt::skip]
const INTERPRETATIONS: [(&str, &str); 35] = [
    ("<", "Off scale low"), (">", "Off scale high"), ("A", "Abnormal"), ("AA", "Critical abnormal"), ("B", "Better"),
    ("CAR", "Carrier"), ("D", "Significant change down"), ("DET", "Detected"), ("E", "Equivocal"),
    ("EX", "outside threshold"), ("EXP", "Expected"), ("H", "High"), ("HH", "Critical high"),
    ("HU", "Significantly high"), ("I", "Intermediate"), ("IE", "Insufficient evidence"), ("IND", "Indeterminate"),
    ("L", "Low"), ("LL", "Critical low"), ("LU", "Significantly low"), ("N", "Normal"),
    ("NCL", "No CLSI defined breakpoint"), ("ND", "Not detected"), ("NEG", "Negative"), ("NR", "Non-reactive"),
    ("NS", "Non-susceptible"), ("POS", "Positive"), ("R", "Resistant"), ("RR", "Reactive"), ("S", "Susceptible"),
    ("SDD", "Susceptible-dose dependent"), ("U", "Significant change up"), ("UNE", "Unexpected"), ("W", "Worse"),
    ("WR", "Weakly reactive"),
];

/// What one OBX says, before it is known whom it is about.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) code: Coded,
    pub(super) value: Measured,
    pub(super) status: &'static str,
    pub(super) effective: Option<String>,
    pub(super) test: bool,
    pub(super) note: Option<&'static str>,
    pub(super) judged: Judged,
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
            let judged = Judged { range: range(obx), interpretation: flags.interpretation };
            Ok(Some(Reading { code, value, status, effective, test: flags.test, note: flags.note, judged }))
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

/// OBX-7, as one text. What stands there in a row of a device (OBX-4 `1.2.3.4`) are its alarm limits, which say nothing
/// of what is usual.
fn range(obx: &Segment<'_>) -> Option<String> {
    let text = obx.repetitions(7).map(|part| part.whole()).collect::<Vec<_>>().join(" ");
    (obx.has(7) && !of_device(obx)).then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn of_device(obx: &Segment<'_>) -> bool {
    obx.text(4, 1).contains('.')
}

/// Fields of a result that hold something which is only kept.
pub(super) fn untaken(obx: &Segment<'_>) -> impl Iterator<Item = usize> {
    let limits = obx.has(7) && of_device(obx);
    let odd = obx.repetitions(8).any(|flag| !is_flag(&flag.text(1)) && interpretation(&flag.text(1)).is_none());
    [(7, limits), (8, odd)].into_iter().filter(|(_, is)| *is).map(|(field, _)| field)
}

fn is_flag(code: &str) -> bool {
    ["", "DEMO", "TEST", "INV", "NAV", "CAL", "QUES"].contains(&code)
}

/// A code of table 0078 that FHIR's value set has too.
fn interpretation(code: &str) -> Option<Coding> {
    let (code, display) = INTERPRETATIONS.iter().find(|(known, _)| *known == code)?;
    Some(Coding { system: INTERPRETATION.to_owned(), code: (*code).to_owned(), display: Some((*display).to_owned()) })
}

/// What OBX-8 says about the value.
#[derive(Default)]
struct Flags {
    test: bool,
    absent: Option<&'static str>,
    note: Option<&'static str>,
    interpretation: Vec<Coding>,
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
                code => flags.interpretation.extend(interpretation(code)),
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
