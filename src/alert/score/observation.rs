//! A score as FHIR tells it: one Observation of the category `survey`, with a component for each parameter. The
//! total is a Quantity in `{score}`, as the guide of NHS Digital has it, so that it can be searched by value and
//! drawn like any other reading. It says of itself:
//!
//! - `code`, and `component.code`: official codes where they are known (`Kind::codings`), then ours of
//!   <https://vigia.dev/fhir/CodeSystem/score>: `news2`, `news2-respiration-rate`;
//! - `interpretation`: the band, of <https://vigia.dev/fhir/CodeSystem/alert-band>;
//! - `dataAbsentReason` instead of a total or of a component's points where something is missing, in words; such
//!   an Observation is preliminary;
//! - `score-input` extensions: what was measured, as the score took it. The readings themselves are `derivedFrom`.
//!
//! MEOWS has no total in its publication, so its value is its band, with the counts of red and yellow parameters
//! as components. The estimate of the mean pressure does not claim the LOINC code of a measured one (8478-0), so
//! that no limit of a measurement judges it.

use serde_json::{Map, Number, Value, json};

use super::parameter::SNOMED;
use super::{Acvpu, Band, Column, Kind, Parameter, Part, Score};
use crate::fhir::{OURS, UCUM, time, ucum};

/// Our code system of scores and their parts.
pub const SYSTEM: &str = "https://vigia.dev/fhir/CodeSystem/score";
/// Our code system of bands.
pub const BAND_SYSTEM: &str = "https://vigia.dev/fhir/CodeSystem/alert-band";
/// The Device that calculates.
pub const DEVICE: &str = "Device/vigia-rule-engine";

const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";
const ABSENT: &str = "http://terminology.hl7.org/CodeSystem/data-absent-reason";

/// The Observation of a score at an instant (µs UTC); `derived_from` are references of the readings.
pub fn observation(
    score: &Score,
    subject: &str,
    effective: i64,
    derived_from: &[String],
    id: &str,
    encounter: Option<&str>,
) -> Value {
    let kind = score.kind;
    let status = if score.total.is_some() { "final" } else { "preliminary" };
    let mut told = Map::new();
    let mut put = |name: &str, value: Value| _ = told.insert(name.to_owned(), value);
    put("resourceType", "Observation".into());
    put("id", id.into());
    if let Some(inputs) = list(score.parts.iter().filter(|_| kind.is_formula()).filter_map(input)) {
        put("extension", inputs);
    }
    put("status", status.into());
    put("category", json!([{"coding": [{"system": CATEGORY, "code": "survey", "display": "Survey"}]}]));
    put("code", concept(kind.codings(), kind.code(), kind.title()));
    put("subject", reference(subject));
    if let Some(encounter) = encounter {
        put("encounter", reference(encounter));
    }
    put("effectiveDateTime", time::instant(effective).into());
    match value(score) {
        Some((name, value)) => put(name, value),
        None => put("dataAbsentReason", absent(score)),
    }
    if let Some(band) = score.band.filter(|_| kind != Kind::Meows) {
        put("interpretation", json!([band_concept(band)]));
    }
    put("device", reference(DEVICE));
    if let Some(readings) = list(derived_from.iter().map(|reading| reference(reading))) {
        put("derivedFrom", readings);
    }
    let parts = score.parts.iter().filter_map(|part| component(score, part));
    if let Some(components) = list(counts(score).into_iter().chain(parts).chain(age(score))) {
        put("component", components);
    }
    Value::Object(told)
}

fn reference(to: &str) -> Value {
    json!({"reference": to})
}

/// FHIR has no empty lists.
fn list(values: impl Iterator<Item = Value>) -> Option<Value> {
    let values: Vec<Value> = values.collect();
    (!values.is_empty()).then(|| values.into())
}

fn concept(official: &[(&str, &str, &str)], code: &str, text: &str) -> Value {
    let ours = (SYSTEM, code, text);
    let codings = official.iter().chain(std::iter::once(&ours));
    let codings: Vec<Value> =
        codings.map(|(system, code, display)| json!({"system": system, "code": code, "display": display})).collect();
    json!({"coding": codings, "text": text})
}

fn band_concept(band: Band) -> Value {
    json!({"coding": [{"system": BAND_SYSTEM, "code": band.code, "display": band.title}], "text": band.title})
}

fn value(score: &Score) -> Option<(&'static str, Value)> {
    let total = score.total?;
    if score.kind == Kind::Meows {
        return score.band.map(|band| ("valueCodeableConcept", band_concept(band)));
    }
    quantity(total, score.kind.unit()).map(|quantity| ("valueQuantity", quantity))
}

/// Why there is no total, in words.
fn absent(score: &Score) -> Value {
    let missing: Vec<&str> = score.missing.iter().map(Parameter::words).collect();
    unknown(&format!("Not calculated without: {}", missing.join(", ")))
}

fn unknown(text: &str) -> Value {
    json!({"coding": [{"system": ABSENT, "code": "unknown", "display": "Unknown"}], "text": text})
}

/// The points of one parameter, or why it has none. An input of a formula has no points to tell.
fn component(score: &Score, part: &Part) -> Option<Value> {
    let is_missing = score.missing.contains(part.parameter);
    if score.kind.is_formula() && !is_missing {
        return None;
    }
    let code = format!("{}-{}", score.kind.code(), part.parameter.code());
    let text = format!("{}: {}", score.kind.title(), part.parameter.words());
    let official = if score.kind == Kind::News2 { news2_coding(part) } else { None };
    let (name, value) = match (part.points, score.kind) {
        (Some(points), Kind::Meows) => ("valueCodeableConcept", colour(points)),
        (Some(points), _) => ("valueQuantity", quantity(points, "{score}")?),
        (None, _) => ("dataAbsentReason", unknown(&why(score, part))),
    };
    let mut component = Map::new();
    if let Some(input) = input(part).filter(|_| !score.kind.is_formula()) {
        component.insert("extension".to_owned(), json!([input]));
    }
    component.insert("code".to_owned(), concept(official.as_slice(), &code, &text));
    component.insert(name.to_owned(), value);
    Some(Value::Object(component))
}

/// A value that is there and yet of no use, says so.
fn why(score: &Score, part: &Part) -> String {
    match part.value {
        None => format!("No current {}", part.parameter.words()),
        Some(_) if score.missing.contains(part.parameter) => format!("No usable {}", part.parameter.words()),
        Some(_) => "Not to be judged without what is missing".to_owned(),
    }
}

fn colour(points: f64) -> Value {
    let (code, display) = match points {
        points if points >= 2.0 => ("meows-red", "Red"),
        points if points >= 1.0 => ("meows-yellow", "Yellow"),
        _ => ("meows-white", "White"),
    };
    json!({"coding": [{"system": SYSTEM, "code": code, "display": display}], "text": display})
}

/// How many parameters of MEOWS are red, how many are yellow.
fn counts(score: &Score) -> Vec<Value> {
    if score.kind != Kind::Meows || score.total.is_none() {
        return Vec::new();
    }
    let count = |from: f64, to: f64| {
        score.parts.iter().filter(|part| part.points.is_some_and(|points| points >= from && points < to)).count()
    };
    let component =
        |code: &str, text: &str, count: usize| json!({"code": concept(&[], code, text), "valueInteger": count});
    vec![
        component("meows-red-count", "MEOWS: red parameters", count(2.0, f64::INFINITY)),
        component("meows-yellow-count", "MEOWS: yellow parameters", count(1.0, 2.0)),
    ]
}

/// The age is nobody's part, so where it is missing it says so by itself.
fn age(score: &Score) -> Option<Value> {
    let code = format!("{}-age", score.kind.code());
    let text = format!("{}: {}", score.kind.title(), Parameter::Age.words());
    let component =
        || json!({"code": concept(&[], &code, &text), "dataAbsentReason": unknown("No age of the patient")});
    score.missing.contains(Parameter::Age).then(component)
}

/// SNOMED CT's term of a part of NEWS2.
macro_rules! term {
    ($part:literal) => {
        concat!("Royal College of Physicians NEWS2 (National Early Warning Score 2) - ", $part, " score")
    };
}

fn news2_coding(part: &Part) -> Option<(&'static str, &'static str, &'static str)> {
    let (code, display) = match (part.parameter, part.column) {
        (Parameter::RespirationRate, _) => ("1104301000000104", term!("respiration rate")),
        (Parameter::Spo2, Some(Column::Spo2Scale1)) => ("1104311000000102", term!("oxygen saturation scale 1")),
        (Parameter::Spo2, _) => ("1104321000000108", term!("oxygen saturation scale 2")),
        (Parameter::Oxygen, _) => ("1104331000000105", term!("air or oxygen")),
        (Parameter::SystolicPressure, _) => ("1104341000000101", term!("systolic blood pressure")),
        (Parameter::HeartRate, _) => ("1104351000000103", term!("pulse")),
        (Parameter::Consciousness, _) => ("1104361000000100", term!("consciousness")),
        (Parameter::Temperature, _) => ("1104371000000107", term!("temperature")),
        _ => return None,
    };
    Some((SNOMED, code, display))
}

/// What was measured, as an extension.
fn input(part: &Part) -> Option<Value> {
    let value = part.value?;
    let (name, value) = match part.source {
        Parameter::Consciousness => ("valueCode", Acvpu::from_number(value)?.letter().into()),
        Parameter::Oxygen | Parameter::OxygenDevice => ("valueBoolean", (value > 0.0).into()),
        source => ("valueQuantity", quantity(value, source.unit())?),
    };
    let url = format!("{OURS}/StructureDefinition/score-input");
    Some(
        json!({"url": url, "extension": [{"url": "parameter", "valueCode": part.source.code()}, {"url": "value", (name): value}]}),
    )
}

fn quantity(value: f64, unit: &str) -> Option<Value> {
    let value = decimal(value)?;
    let name = match unit {
        "{ratio}" => "ratio",
        unit => ucum::human(unit),
    };
    Some(json!({"value": value, "unit": if name.is_empty() { unit } else { name }, "system": UCUM, "code": unit}))
}

/// A number without the `.0` that would claim a digit more than was measured.
fn decimal(value: f64) -> Option<Value> {
    let whole = value.fract() == 0.0 && value.abs() < 1e15;
    if whole { serde_json::from_str(&format!("{value:.0}")).ok() } else { Number::from_f64(value).map(Value::Number) }
}

#[cfg(test)]
mod tests;
