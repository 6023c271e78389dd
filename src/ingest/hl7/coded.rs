//! Coded values (CE, CWE, CNE) to codings: names of coding systems become their URIs, and both halves of an
//! MDC code, the number and the reference id, are heard.

use super::message::Repetition;
use crate::fhir::{LOINC, OURS, UCUM, ucum};
use crate::normalize::codes::{self, MDC};
use crate::normalize::draft::Coding;

/// Coding systems of HL7 table 0396 that devices use, and our own.
const SYSTEMS: [(&str, &str); 10] = [
    ("LN", LOINC),
    ("LOINC", LOINC),
    ("MDC", MDC),
    ("UCUM", UCUM),
    ("SCT", "http://snomed.info/sct"),
    ("SNOMED-CT", "http://snomed.info/sct"),
    ("I10", "http://hl7.org/fhir/sid/icd-10"),
    ("I10C", "http://hl7.org/fhir/sid/icd-10-cm"),
    ("VIGIA", "https://vigia.dev/fhir/CodeSystem/observation"),
    ("L", ""),
];

/// A coded value, and what is to be said about it.
#[derive(Debug, Default)]
pub(super) struct Coded {
    pub(super) codings: Vec<Coding>,
    pub(super) note: Option<&'static str>,
}

/// The codings of one repetition: components 1 to 3 and, as the alternative, 4 to 6.
pub(super) fn codings(value: Repetition<'_, '_>) -> Coded {
    let mut coded = Coded::default();
    for first in [1, 4] {
        triple(&value.text(first), &value.text(first + 1), &value.text(first + 2), &mut coded);
    }
    if coded.codings.is_empty() {
        let text = [1, 2, 9].into_iter().map(|at| value.text(at)).find(|text| !text.is_empty());
        coded.codings.extend(text.map(named));
    }
    coded
}

fn named(text: String) -> Coding {
    Coding { system: String::new(), code: String::new(), display: Some(text) }
}

fn triple(code: &str, text: &str, system: &str, coded: &mut Coded) {
    let display = (!text.is_empty()).then(|| text.to_owned());
    let is_mdc = system == "MDC" || code.starts_with("MDC_") || (text.starts_with("MDC_") && is_number(code));
    if is_mdc {
        return mdc(code, text, coded);
    }
    if code.is_empty() || (system.is_empty() && text.is_empty()) {
        // A text without a code, or a code of nobody: it is heard when there is nothing better.
        return;
    }
    coded.codings.push(Coding { system: system_of(system), code: code.to_owned(), display });
}

/// Devices disagree with themselves: the number may be of one measurement and the reference id of another.
/// Neither is believed more; both are kept and it is said so.
fn mdc(code: &str, refid: &str, coded: &mut Coded) {
    let coding = |code: &str, display: &str| Coding {
        system: MDC.to_owned(),
        code: code.to_owned(),
        display: (!display.is_empty()).then(|| display.to_owned()),
    };
    if code.starts_with("MDC_") || code.is_empty() {
        let refid = if code.is_empty() { refid } else { code };
        let number = codes::mdc_refid(refid).next().map_or(refid, |row| row.code.as_str());
        if !number.is_empty() {
            coded.codings.push(coding(number, refid));
        }
        return;
    }
    let rows: Vec<_> = codes::mdc_refid(refid).collect();
    match rows.first().filter(|_| rows.iter().all(|row| row.code != code)) {
        None => coded.codings.push(coding(code, refid)),
        Some(other) => {
            let own = codes::mdc(code).map_or("", |row| row.refid.as_str());
            coded.codings.push(coding(code, own));
            coded.codings.push(coding(&other.code, refid));
            coded.note = Some("The sender's code and its reference id name different measurements; both are kept.");
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The URI of a coding system. Names that are not known get one below ours, so that they stay apart.
pub(super) fn system_of(name: &str) -> String {
    if let Some((_, uri)) = SYSTEMS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        return (*uri).to_owned();
    }
    if name.is_empty() {
        return String::new();
    }
    if let Some(table) = name.strip_prefix("HL7").filter(|table| table.len() == 4 && is_number(table)) {
        return format!("http://terminology.hl7.org/CodeSystem/v2-{table}");
    }
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(60).collect();
    format!("{OURS}/CodeSystem/hl7v2-{plain}")
}

/// The unit of OBX-6: UCUM wherever it stands, else what the code and its text agree on.
pub(super) fn unit(value: Repetition<'_, '_>) -> Option<Coding> {
    let triples = [1, 4].map(|first| (value.text(first), value.text(first + 1), value.text(first + 2)));
    if let Some((code, ..)) = triples.iter().find(|(code, _, system)| system == "UCUM" && !code.is_empty()) {
        return Some(Coding { system: UCUM.to_owned(), code: code.clone(), display: None });
    }
    let (code, text, _) = triples.into_iter().find(|(code, text, _)| !code.is_empty() || !text.is_empty())?;
    let known =
        |text: &str| ucum::from_common(text).and_then(|code| ucum::canonical(code).map(|unit| (code, unit.unit)));
    match (known(&code), known(&text)) {
        // A number of one kind with a name of another: no unit that could be trusted, but both are shown.
        (Some((_, one)), Some((_, other))) if one != other => Some(named(format!("{code} ({text})"))),
        (Some(_), _) | (None, None) => {
            Some(Coding { system: String::new(), code, display: (!text.is_empty()).then_some(text) })
        }
        (None, Some(_)) => Some(Coding { system: String::new(), code: text, display: None }),
    }
}
