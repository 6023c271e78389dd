//! What a bedside measured at one moment, and how it is written for the two doors that take JSON. No values are
//! made up here (see the simulator) and nothing is sent.

use serde_json::{Map, Value, json};

use super::ward::Bed;
use crate::fhir::{LOINC, UCUM, time, ucum};
use crate::normalize::codes::{self, DIASTOLIC, MEAN, PANEL, SYSTOLIC};
use crate::normalize::draft::Coding;

/// The system of measurements that LOINC has no code for: the device by which a patient gets oxygen.
pub(in crate::cli) const OWN_CODES: &str = "https://vigia.dev/fhir/CodeSystem/observation";

const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";

#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Reading {
    /// µs UTC
    pub(in crate::cli) at: i64,
    /// `Observation.status`
    pub(in crate::cli) status: &'static str,
    pub(in crate::cli) what: Measure,
}

/// Numbers are decimal texts, as they are sent.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) enum Measure {
    Number { code: String, value: String, unit: Option<String> },
    Pressure { systolic: String, diastolic: String, mean: Option<String> },
    Text { code: String, value: String },
}

impl Measure {
    pub(in crate::cli) fn number(code: &str, value: String, unit: &str) -> Self {
        Self::Number { code: code.to_owned(), value, unit: Some(unit.to_owned()) }
    }
}

/// The system of a code: LOINC by its form, else our own.
pub(in crate::cli) fn system_of(code: &str) -> &'static str {
    if codes::is_loinc(code) { LOINC } else { OWN_CODES }
}

/// The compact form of the device door.
pub(in crate::cli) fn compact(reading: &Reading, bed: &Bed) -> Value {
    let mut object = Map::new();
    object.insert("patient".into(), bed.person.mrn_token().into());
    object.insert("device".into(), bed.person.device_token().into());
    object.insert("time".into(), time::instant(reading.at).into());
    if reading.status != "final" {
        object.insert("status".into(), reading.status.into());
    }
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    match &reading.what {
        Measure::Number { code, value, unit } => {
            put("code", token(code));
            put("value", decimal(value));
            if let Some(unit) = unit {
                put("unit", unit.as_str().into());
            }
        }
        Measure::Pressure { systolic, diastolic, mean } => {
            put("code", "bp".into());
            put("systolic", decimal(systolic));
            put("diastolic", decimal(diastolic));
            if let Some(mean) = mean {
                put("mean", decimal(mean));
            }
            put("unit", "mm[Hg]".into());
        }
        Measure::Text { code, value } => {
            put("code", token(code));
            put("value", value.as_str().into());
        }
    }
    object.into()
}

/// The same as an Observation.
pub(in crate::cli) fn observation(reading: &Reading, bed: &Bed) -> Value {
    let code = match &reading.what {
        Measure::Number { code, .. } | Measure::Text { code, .. } => code.as_str(),
        Measure::Pressure { .. } => PANEL,
    };
    let mut map = Map::new();
    map.insert("resourceType".into(), "Observation".into());
    map.insert("status".into(), reading.status.into());
    if let Some(category) = codes::category_of(code) {
        map.insert("category".into(), json!([{"coding": [{"system": CATEGORY, "code": category}]}]));
    }
    map.insert("code".into(), concept(code));
    map.insert("subject".into(), json!({"reference": bed.patient}));
    map.insert("encounter".into(), json!({"reference": bed.encounter}));
    map.insert("effectiveDateTime".into(), time::instant(reading.at).into());
    match &reading.what {
        Measure::Number { value, unit, .. } => {
            map.insert("valueQuantity".into(), quantity(value, unit.as_deref()));
        }
        Measure::Text { value, .. } => {
            map.insert("valueString".into(), value.as_str().into());
        }
        Measure::Pressure { .. } => {}
    }
    map.insert("device".into(), json!({"reference": bed.device}));
    if let Measure::Pressure { systolic, diastolic, mean } = &reading.what {
        let parts = [(SYSTOLIC, Some(systolic)), (DIASTOLIC, Some(diastolic)), (MEAN, mean.as_ref())];
        let parts = parts.into_iter().filter_map(|(code, value)| Some((code, value?)));
        let component = |(code, value): (&str, &String)| json!({"code": concept(code), "valueQuantity": quantity(value, Some("mm[Hg]"))});
        map.insert("component".into(), parts.map(component).collect());
    }
    map.into()
}

fn token(code: &str) -> Value {
    if codes::is_loinc(code) { code.into() } else { format!("{}|{code}", system_of(code)).into() }
}

/// With the general code that the vital-signs profiles want beside a special one.
fn concept(code: &str) -> Value {
    let display = (code == "o2-device").then(|| "Oxygen delivery device".to_owned());
    let sent = [Coding { system: system_of(code).to_owned(), code: code.to_owned(), display }];
    let coding = |coding: Coding| {
        let mut map = Map::new();
        map.insert("system".into(), coding.system.into());
        map.insert("code".into(), coding.code.into());
        map.extend(coding.display.map(|display| ("display".to_owned(), display.into())));
        Value::from(map)
    };
    json!({"coding": codes::codings(&sent, |_| true).into_iter().map(coding).collect::<Vec<_>>()})
}

fn quantity(value: &str, unit: Option<&str>) -> Value {
    let mut map = Map::new();
    map.insert("value".into(), decimal(value));
    match unit.map(|unit| (unit, ucum::from_common(unit))) {
        Some((_, Some(code))) => {
            map.insert("unit".into(), ucum::human(code).into());
            map.insert("system".into(), UCUM.into());
            map.insert("code".into(), code.into());
        }
        Some((text, None)) => _ = map.insert("unit".into(), text.into()),
        None => {}
    }
    map.into()
}

/// The number with its digits as they are.
fn decimal(text: &str) -> Value {
    serde_json::from_str(text).ok().filter(Value::is_number).unwrap_or_else(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::super::ward::Person;
    use super::*;
    use crate::fhir::OURS;

    fn bed() -> Bed {
        Bed {
            person: Person::invented(0),
            patient: "Patient/p".into(),
            encounter: "Encounter/e".into(),
            device: "Device/d".into(),
        }
    }

    fn all() -> Vec<Reading> {
        let number = |code: &str, value: &str, unit: Option<&str>| Measure::Number {
            code: code.into(),
            value: value.into(),
            unit: unit.map(str::to_owned),
        };
        let measures = [
            number("8867-4", "72", Some("/min")),
            number("59408-5", "97.50", Some("%")),
            number("8310-5", "98.6", Some("[degF]")),
            number("9269-2", "15", Some("{score}")),
            Measure::Pressure { systolic: "120".into(), diastolic: "80".into(), mean: Some("93".into()) },
            Measure::Text { code: "o2-device".into(), value: "Nasal cannula".into() },
        ];
        measures.map(|what| Reading { at: 1_767_323_045_000_000, status: "final", what }).into()
    }

    #[test]
    fn observations_pass_the_check() {
        assert!(OWN_CODES.starts_with(OURS));
        for reading in all() {
            let made = observation(&reading, &bed());
            fhir_r4::check(made.clone()).unwrap_or_else(|issues| panic!("{issues:?}\n{made}"));
        }
    }

    #[test]
    fn compact_readings_are_read_by_the_device_door() {
        let list: Vec<Value> = all().iter().map(|reading| compact(reading, &bed())).collect();
        let body = serde_json::to_vec(&list).unwrap();
        let items = crate::ingest::device::parse_json(&body, "test", 0).unwrap();
        assert_eq!(items.len(), all().len());
        assert!(items.iter().all(Result::is_ok), "{items:?}");
        assert!(String::from_utf8(body).unwrap().contains("97.50"), "digits stay");
    }
}
