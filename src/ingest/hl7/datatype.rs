//! The values of HL7 v2 data types as FHIR values: leaves by code, the others by their tables. What resource a value
//! belongs to has no place here.

use serde_json::{Map as Object, Value, json};

use super::Channel;
use super::message::Repetition;
use super::segment::put;
use super::table::{Kind, Row, Source, Tables, Target, Type};
use super::{coded, party, time};
use crate::normalize::decimal;
use crate::normalize::draft::Subject;

const TYPES: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";

/// What became of a part.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Value(Value),
    /// There is nothing in it.
    Nothing,
    /// There is something, and it is not taken for this reason.
    Refused(&'static str),
}

/// What values are read with.
#[derive(Clone, Copy)]
pub(super) struct Reader<'t> {
    pub(super) tables: &'t Tables,
    pub(super) channel: &'t Channel,
}

impl Reader<'_> {
    /// The value of a part of a repetition; what a table leaves out of it is told with its component.
    pub(super) fn value(
        &self,
        row: &Row,
        part: Source,
        repetition: Repetition<'_, '_>,
        left: &mut Vec<String>,
    ) -> Outcome {
        let text = repetition.part(part.component.unwrap_or(1), part.subcomponent.unwrap_or(1));
        let zone = self.channel.default_zone;
        match &row.kind {
            Kind::Text => plain(text),
            Kind::Lines => plain(repetition.whole().trim().to_owned()),
            Kind::Name => plain(name(repetition)),
            Kind::Code => self.code(row, &text),
            Kind::Date => read(&text, "this is no date", |t| {
                time::date_time(t, zone).map(|made| made.split('T').next().unwrap_or_default().into())
            }),
            Kind::DateTime => read(&text, "this is no time", |t| time::date_time(t, zone).map(Value::from)),
            Kind::Instant => read(&text, "this is no time with seconds", |t| {
                time::date_time(t, zone).filter(|made| made.contains('T')).map(Value::from)
            }),
            Kind::Number => {
                read(&text, "this is no number", |t| serde_json::from_str(&decimal(t)?).ok().filter(Value::is_number))
            }
            Kind::Integer => read(&text, "this is no number", |t| t.parse::<u32>().ok().map(Value::from)),
            Kind::Boolean => read(&text, "this is neither Y nor N", |t| match t {
                "Y" => Some(true.into()),
                "N" => Some(false.into()),
                _ => None,
            }),
            Kind::Concept => self.concept(row, repetition),
            Kind::Coding => self.coding(row, &text, repetition),
            Kind::Authority => party::authority(repetition, self.channel).map_or(Outcome::Nothing, to_value),
            Kind::Namespace => party::namespace(repetition, self.channel).map_or(Outcome::Nothing, to_value),
            Kind::Device => party::device(repetition).map_or(Outcome::Nothing, identifier),
            Kind::TypeCode if text.is_empty() => Outcome::Nothing,
            Kind::TypeCode => Outcome::Value(json!({"coding": [{"system": TYPES, "code": one_line(&text)}]})),
            Kind::Phone => plain(phone(repetition)),
            Kind::Typed(name) => match self.tables.typed(name) {
                Some(own) => self.typed(own, repetition, left),
                None => Outcome::Nothing,
            },
            // They are resources of their own, and made where resources are.
            Kind::Place | Kind::Person => Outcome::Nothing,
        }
    }

    fn code(&self, row: &Row, text: &str) -> Outcome {
        if text.is_empty() {
            return Outcome::Nothing;
        }
        let Some(codes) = &row.codes else { return Outcome::Value(one_line(text).into()) };
        match self.tables.target(&codes.name, text) {
            Some(target) => Outcome::Value(target.code.as_str().into()),
            None if codes.lenient => Outcome::Nothing,
            None => Outcome::Refused("the table of codes does not hold this code"),
        }
    }

    fn target(&self, row: &Row, code: &str) -> Option<&Target> {
        self.tables.target(&row.codes.as_ref()?.name, code)
    }

    /// The codings as they were sent, and before them what the table makes of the code.
    fn concept(&self, row: &Row, cwe: Repetition<'_, '_>) -> Outcome {
        let found = coded::codings(cwe).codings;
        let mut codings: Vec<Value> = self.target(row, &cwe.text(1)).map(coding_of).into_iter().collect();
        for coding in found.iter().filter(|coding| !coding.code.is_empty()) {
            let mut made = Object::new();
            if !coding.system.is_empty() {
                made.insert("system".into(), coding.system.as_str().into());
            }
            made.insert("code".into(), one_line(&coding.code).into());
            if let Some(display) = &coding.display {
                made.insert("display".into(), display.as_str().into());
            }
            let made = Value::Object(made);
            if !codings.contains(&made) {
                codings.push(made);
            }
        }
        let own = found.iter().find(|coding| coding.code.is_empty()).and_then(|coding| coding.display.clone());
        let text = Some(cwe.text(9)).filter(|text| !text.is_empty()).or(own);
        let mut concept = Object::new();
        if !codings.is_empty() {
            concept.insert("coding".into(), codings.into());
        }
        concept.extend(text.map(|text| ("text".to_owned(), Value::from(text))));
        if concept.is_empty() { Outcome::Nothing } else { Outcome::Value(concept.into()) }
    }

    fn coding(&self, row: &Row, text: &str, cwe: Repetition<'_, '_>) -> Outcome {
        if text.is_empty() {
            return Outcome::Nothing;
        }
        if let Some(target) = self.target(row, text) {
            return Outcome::Value(coding_of(target));
        }
        // A code of nobody's system says nothing for sure.
        let system = coded::system_of(&cwe.text(3));
        if system.is_empty() {
            return Outcome::Refused("the table of codes does not hold this code");
        }
        Outcome::Value(json!({"system": system, "code": one_line(text)}))
    }

    fn typed(&self, own: &Type, repetition: Repetition<'_, '_>, left: &mut Vec<String>) -> Outcome {
        let mut made = Value::Object(Object::new());
        for row in &own.rows {
            let part = Source { field: 0, component: Some(row.source.field), subcomponent: row.source.component };
            match self.value(row, part, repetition, left) {
                Outcome::Value(value) => put(&mut made, &row.path.0, value, &row.with),
                Outcome::Nothing => {}
                Outcome::Refused(why) => left.push(format!(".{}: {why}", row.source.field)),
            }
        }
        for component in 1..=repetition.components() {
            let told = own.ignore.contains(&component) || own.rows.iter().any(|row| row.source.field == component);
            if !told && !repetition.text(component).is_empty() {
                left.push(format!(".{component}"));
            }
        }
        match made {
            Value::Object(members) if members.is_empty() => Outcome::Nothing,
            Value::Object(members) => {
                let mut all = own.base.clone();
                all.extend(members);
                Outcome::Value(all.into())
            }
            _ => Outcome::Nothing,
        }
    }
}

fn plain(text: String) -> Outcome {
    if text.trim().is_empty() { Outcome::Nothing } else { Outcome::Value(text.into()) }
}

fn identifier(subject: Subject) -> Outcome {
    let Subject::Identifier { system, value } = subject else { return Outcome::Nothing };
    let mut made = Object::new();
    made.extend(system.map(|system| ("system".to_owned(), Value::from(system))));
    made.insert("value".into(), value.into());
    Outcome::Value(made.into())
}

fn to_value(text: String) -> Outcome {
    Outcome::Value(text.into())
}

fn read(text: &str, why: &'static str, make: impl FnOnce(&str) -> Option<Value>) -> Outcome {
    if text.is_empty() { Outcome::Nothing } else { make(text).map_or(Outcome::Refused(why), Outcome::Value) }
}

pub(super) fn coding_of(target: &Target) -> Value {
    let mut made = Object::new();
    made.extend(target.system.as_ref().map(|system| ("system".to_owned(), Value::from(system.as_str()))));
    made.insert("code".into(), target.code.as_str().into());
    made.extend(target.display.as_ref().map(|display| ("display".to_owned(), Value::from(display.as_str()))));
    made.into()
}

/// A code of FHIR has single spaces only.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Prefix, given names and family as one text; or what is written as a whole.
pub(super) fn name(xpn: Repetition<'_, '_>) -> String {
    let parts = [xpn.text(5), xpn.text(2), xpn.text(3), xpn.text(1), xpn.text(4)];
    one_line(&parts.join(" "))
}

/// Country, area, number and extension of an XTN.
fn phone(xtn: Repetition<'_, '_>) -> String {
    let [country, area, number, extension] = [5, 6, 7, 8].map(|at| xtn.text(at));
    if number.is_empty() {
        return String::new();
    }
    let country = if country.is_empty() { country } else { format!("+{}", country.trim_start_matches('+')) };
    let extension = if extension.is_empty() { extension } else { format!("x{extension}") };
    one_line(&[country, area, number, extension].join(" "))
}
