//! What all messages out have in common: the header and whom they are about, concepts and times. Pure.

use serde_json::Value;

use crate::config::destination::Destination;
use crate::fhir::{LOINC, UCUM, reading, time};
use crate::hl7::write::Writer;
use crate::normalize::codes::MDC;

const SNOMED: &str = "http://snomed.info/sct";

/// Where a message goes, how it is written, and whom it is about.
#[derive(Clone, Copy)]
pub(super) struct Head<'h> {
    pub to: &'h Destination,
    pub writer: Writer<'h>,
    pub control: &'h str,
    /// When that was committed which it tells, µs UTC.
    pub committed: i64,
    /// PID and PV1.
    pub who: &'h [String],
}

impl Head<'_> {
    /// The first lines of a message. MSH asks for an answer in enhanced mode: it is enough that the message is kept.
    pub(super) fn lines(&self, kind: [&str; 3], profile: &str) -> Vec<String> {
        let Self { to, writer, control, committed, who } = self;
        let parts = [&to.application, &to.facility, &to.receiving_application, &to.receiving_facility];
        let parts = parts.map(|part| writer.text(part)).join("|");
        let (kind, at) = (kind.join("^"), stamp(&time::instant(*committed)));
        let msh = format!("MSH|^~\\&|{parts}|{at}||{kind}|{control}|P|2.6|||AL|NE||UNICODE UTF-8|||{profile}");
        std::iter::once(msh).chain(who.iter().cloned()).collect()
    }
}

pub(super) fn joined(lines: &[String]) -> Vec<u8> {
    let mut text = lines.join("\r");
    text.push('\r');
    text.into_bytes()
}

/// A concept as CWE: its first two codings, or its text.
pub(super) fn coded(writer: Writer<'_>, concept: &Value) -> String {
    let coding = |coding: &Value| {
        let part = |member: &str| reading::str_of(coding, member).unwrap_or_default();
        let display = Some(part("display")).filter(|text| !text.is_empty());
        let display = display.or_else(|| reading::str_of(concept, "text")).unwrap_or_default();
        [part("code").to_owned(), display.to_owned(), system(part("system")).to_owned()]
    };
    let mut parts: Vec<String> = reading::list(concept.get("coding")).take(2).flat_map(coding).collect();
    if parts.is_empty() {
        parts = vec![String::new(), reading::str_of(concept, "text").unwrap_or_default().to_owned()];
    }
    writer.components(&parts)
}

/// A coding system as HL7 table 0396 names it; `L` is local.
pub(super) fn system(uri: &str) -> &str {
    const NAMES: [(&str, &str); 6] = [
        (LOINC, "LN"),
        (MDC, "MDC"),
        (SNOMED, "SCT"),
        (UCUM, "UCUM"),
        ("http://hl7.org/fhir/sid/icd-10", "I10"),
        ("http://www.nlm.nih.gov/research/umls/rxnorm", "RXNORM"),
    ];
    let known = NAMES.iter().find(|(own, _)| *own == uri).map(|(_, name)| *name);
    known.unwrap_or(if uri.is_empty() { "" } else { "L" })
}

/// A FHIR date or time as DTM: `20260102030405.250+0100`.
pub(super) fn stamp(fhir: &str) -> String {
    let (date, clock) = fhir.split_once('T').unwrap_or((fhir, ""));
    let (clock, zone) = match clock.find(['+', '-', 'Z']) {
        Some(at) => clock.split_at(at),
        None => (clock, ""),
    };
    let zone = if zone == "Z" { "+0000".to_owned() } else { zone.replace(':', "") };
    format!("{}{}{zone}", date.replace('-', ""), clock.replace(':', ""))
}
