//! The body of a data point: checked against its schema, and made into readings.

use serde_json::{Map, Value};

use super::schema::{EPISODE, GLUCOSE, Measure, STATISTICS, Schema, TEMPERATURES, Units};
use crate::fhir::stats;
use crate::ingest::device::part::{Part, coded, quantity, text};
use crate::ingest::device::reading::Reader;
use crate::normalize::codes::{PANEL, loinc};
use crate::normalize::decimal;
use crate::normalize::draft::{Coding, Measured};

type Body = Map<String, Value>;

/// A number with its unit of UCUM.
type Amount = (String, &'static str);

/// All readings of a body. What is wrong is told to the reader.
pub(super) fn parts(read: &mut Reader<'_>, before: &str, body: &Body, schema: &Schema) -> Vec<Part> {
    let notes = notes(read, before, body, schema);
    let statistic = statistic(read, before, body);
    let amounts: Vec<(&Measure, Option<Amount>)> =
        schema.measures.iter().map(|measure| (measure, measure_of(read, before, body, measure))).collect();
    if !read.issues.is_empty() {
        return Vec::new();
    }
    let mut parts = match schema.name {
        "sleep-episode" => vec![episode(read, before, body)],
        "blood-pressure" if statistic.is_none() => vec![pressure(amounts)],
        _ => amounts.into_iter().filter_map(|(measure, amount)| Some(single(measure, amount?, body))).collect(),
    };
    if let Some(statistic) = statistic {
        for part in &mut parts {
            as_statistic(part, statistic);
        }
    }
    for part in &mut parts {
        part.notes.extend(notes.clone());
    }
    parts
}

fn measure_of(read: &mut Reader<'_>, before: &str, body: &Body, measure: &Measure) -> Option<Amount> {
    match body.get(measure.member) {
        Some(value) => amount(read, &format!("{before}{}", measure.member), value, measure.units),
        None if measure.required => read.refuse("required", &format!("{before}{}", measure.member), "it is missing"),
        None => None,
    }
}

fn amount(read: &mut Reader<'_>, member: &str, value: &Value, units: Units) -> Option<Amount> {
    let Some(object) = value.as_object() else {
        return read.refuse("value", member, "an object of value and unit is needed");
    };
    let number = object.get("value").and_then(Value::as_number).and_then(|number| decimal(&number.to_string()));
    let unit = object.get("unit").and_then(Value::as_str);
    let unit = unit.and_then(|unit| units.iter().find(|(name, _)| *name == unit)).map(|(_, ucum)| *ucum);
    if number.is_none() {
        read.refuse::<()>("value", &format!("{member}.value"), "a number is needed, and one that can be measured");
    }
    if unit.is_none() {
        read.refuse::<()>("code-invalid", &format!("{member}.unit"), "this is no unit of the schema");
    }
    number.zip(unit)
}

fn single(measure: &Measure, (value, unit): Amount, body: &Body) -> Part {
    let said = |member: &str| body.get(member).and_then(Value::as_str);
    let code = match measure.member {
        "blood_glucose" => glucose(said("specimen_source").or(said("blood_specimen_type")), unit),
        "body_temperature" => {
            let site = TEMPERATURES.iter().find(|(site, _)| Some(*site) == said("measurement_location"));
            site.map_or_else(|| measure.code(), |(_, code)| vec![loinc(code)])
        }
        _ => measure.code(),
    };
    Part::new(measure.member, code, quantity(value, unit))
}

fn glucose(source: Option<&str>, unit: &str) -> Vec<Coding> {
    let source = source.unwrap_or("whole blood");
    match GLUCOSE.iter().find(|(name, ..)| *name == source) {
        Some((_, mass, amount)) => vec![loinc(if unit == "mmol/L" { amount } else { mass })],
        None => text(&format!("Glucose in {source}")),
    }
}

fn pressure(amounts: Vec<(&Measure, Option<Amount>)>) -> Part {
    let mut panel = Part::new("pressure", coded(PANEL, "", ""), Measured::Panel);
    let components = amounts.into_iter().filter_map(|(measure, amount)| {
        let (value, unit) = amount?;
        Some((measure.code(), quantity(value, unit)))
    });
    panel.components = components.collect();
    panel
}

/// The value of a statistic is none that was measured: it stands under the code of the statistic, as the answers of
/// FHIR's own statistics do.
fn as_statistic(part: &mut Part, statistic: &'static str) {
    let value = std::mem::replace(&mut part.value, Measured::Panel);
    let code = Coding { system: stats::SYSTEM.to_owned(), code: statistic.to_owned(), display: None };
    part.components.insert(0, (vec![code], value));
}

fn statistic(read: &mut Reader<'_>, before: &str, body: &Body) -> Option<&'static str> {
    let said = body.get("descriptive_statistic")?;
    let known = STATISTICS.iter().find(|(name, _)| said.as_str() == Some(*name)).map(|(_, code)| *code);
    known.or_else(|| {
        read.refuse("code-invalid", &format!("{before}descriptive_statistic"), "this is no statistic of the schema")
    })
}

fn notes(read: &mut Reader<'_>, before: &str, body: &Body, schema: &Schema) -> Vec<String> {
    let mut notes = Vec::new();
    for (member, known) in schema.texts {
        let Some(value) = body.get(*member) else { continue };
        if let Some(text) = known.iter().find(|text| value.as_str() == Some(**text)) {
            notes.push(format!("{}: {text}", member.replace('_', " ")));
        } else {
            let why = "this is none of the texts of the schema";
            read.refuse::<()>("code-invalid", &format!("{before}{member}"), why);
        }
    }
    for member in ["activity_name", "user_notes", "descriptive_statistic_denominator"] {
        let Some(value) = body.get(member) else { continue };
        if let Some(text) = read.text(&format!("{before}{member}"), value) {
            notes.push(format!("{}: {text}", member.replace('_', " ")));
        }
    }
    notes
}

/// A night is one reading with what is known of it.
fn episode(read: &mut Reader<'_>, before: &str, body: &Body) -> Part {
    let mut part = Part::new("episode", text("Sleep episode"), Measured::Panel);
    for (member, name, units) in EPISODE {
        let Some(value) = body.get(*member) else { continue };
        let code = if *member == "total_sleep_time" { vec![loinc("93832-4")] } else { text(name) };
        let amount = amount(read, &format!("{before}{member}"), value, units);
        part.components.extend(amount.map(|(value, unit)| (code, quantity(value, unit))));
    }
    if let Some(value) = body.get("number_of_awakenings") {
        let number = value.as_u64().map(|number| (text("Number of awakenings"), quantity(number.to_string(), "1")));
        let member = format!("{before}number_of_awakenings");
        part.components.extend(number.or_else(|| read.refuse("value", &member, "a whole number is needed")));
    }
    if let Some(value) = body.get("is_main_sleep") {
        let main = value.as_bool().map(|main| (text("Main sleep"), Measured::Text(main.to_string())));
        let member = format!("{before}is_main_sleep");
        part.components.extend(main.or_else(|| read.refuse("value", &member, "true or false is needed")));
    }
    if part.components.is_empty() {
        part.value = Measured::Absent("unknown");
    }
    part
}
