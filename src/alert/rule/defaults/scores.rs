//! A rule for each score: its signals are the parameters that the score looks at, under their names, each for as
//! long as the score counts it. NEWS2 is on; the others are drafts that a ward turns on.

use serde_json::{Value, json};

use super::{MDC, plan_of, url};
use crate::alert::score::{Kind, Parameter};
use crate::fhir::{LOINC, UCUM};

const SNOMED: &str = "http://snomed.info/sct";

/// Parameter, its codings (the most specific first), its plausible range.
type Source = (Parameter, &'static [(&'static str, &'static str)], Option<(f64, f64)>);

#[rustfmt::skip]
const SOURCES: [Source; 13] = [
    (Parameter::RespirationRate, &[(LOINC, "9279-1"), (MDC, "151562")], Some((1.0, 100.0))),
    (Parameter::Spo2, &[(LOINC, "59408-5"), (LOINC, "2708-6")], Some((20.0, 100.0))),
    (Parameter::OxygenFlow, &[(LOINC, "3151-8")], Some((0.0, 80.0))),
    (Parameter::InspiredOxygen, &[(LOINC, "3150-0")], Some((21.0, 100.0))),
    (Parameter::OxygenDevice, &[("https://vigia.dev/fhir/CodeSystem/observation", "oxygen-device"), (SNOMED, "371825009")], None),
    (Parameter::SystolicPressure, &[(LOINC, "8480-6")], Some((20.0, 300.0))),
    (Parameter::DiastolicPressure, &[(LOINC, "8462-4")], Some((10.0, 220.0))),
    (Parameter::HeartRate, &[(LOINC, "8867-4"), (LOINC, "8889-8"), (MDC, "149514"), (MDC, "147842")], Some((10.0, 300.0))),
    (Parameter::Consciousness, &[(SNOMED, "1104441000000107"), (LOINC, "67775-7")], None),
    (Parameter::Gcs, &[(LOINC, "9269-2")], Some((3.0, 15.0))),
    (Parameter::Temperature, &[(LOINC, "8310-5")], Some((25.0, 45.0))),
    (Parameter::WhiteCells, &[(LOINC, "6690-2")], None),
    (Parameter::Bands, &[(LOINC, "26508-2"), (LOINC, "764-1")], None),
];

/// Coded answers. Of consciousness, by their place in the ACVPU scale: the findings of CareConnect-ACVPU, and LOINC's
/// answers to "level of responsiveness". Of oxygen: room air or patient on oxygen (the answers of `CareConnect` for NEWS2),
/// high concentration, by nasal cannula or by mask (DICOM CID 3531), yes, no.
#[rustfmt::skip]
const ANSWERS: [(Parameter, &str, &str, u8); 17] = [
    (Parameter::Consciousness, SNOMED, "248234008", 0),
    (Parameter::Consciousness, SNOMED, "130987000", 1),
    (Parameter::Consciousness, SNOMED, "300202002", 2),
    (Parameter::Consciousness, SNOMED, "450847001", 3),
    (Parameter::Consciousness, SNOMED, "422768004", 4),
    (Parameter::Consciousness, LOINC, "LA9340-6", 0),
    (Parameter::Consciousness, LOINC, "LA6560-2", 1),
    (Parameter::Consciousness, LOINC, "LA17108-4", 2),
    (Parameter::Consciousness, LOINC, "LA17107-6", 3),
    (Parameter::Consciousness, LOINC, "LA9343-0", 4),
    (Parameter::OxygenDevice, SNOMED, "722742002", 0),
    (Parameter::OxygenDevice, SNOMED, "371825009", 1),
    (Parameter::OxygenDevice, SNOMED, "315041000", 1),
    (Parameter::OxygenDevice, SNOMED, "371907003", 1),
    (Parameter::OxygenDevice, SNOMED, "371908008", 1),
    (Parameter::OxygenDevice, SNOMED, "373066001", 1),
    (Parameter::OxygenDevice, SNOMED, "373067005", 0),
];

pub(super) fn plans() -> impl Iterator<Item = Value> {
    Kind::ALL.into_iter().map(plan)
}

fn plan(kind: Kind) -> Value {
    let active = kind == Kind::News2;
    let mut own = vec![json!({"url": url("alert-score"), "valueCode": kind.code()})];
    if active {
        own.extend([("advisory", "medium"), ("warning", "medium"), ("critical", "high")].map(|(level, priority)| {
            json!({"url": url("alert-priority"), "extension": [
                {"url": "level", "valueCode": level}, {"url": "priority", "valueCode": priority}]})
        }));
    }
    let description = format!(
        "Forms the {} from the latest readings and raises an alert for its bands. {}",
        kind.title(),
        if active { "Adults who are not pregnant." } else { "Draft: a ward turns it on." }
    );
    let id = format!("score-{}", kind.code());
    let mut plan = plan_of(&id, kind.title(), if active { "active" } else { "draft" }, &description);
    if let Some(plan) = plan.as_object_mut() {
        if active {
            plan.insert("copyright".to_owned(), json!(super::NEWS2));
        }
        let trigger = json!([{"type": "data-added", "data": signals(kind)}]);
        plan.insert("action".to_owned(), json!([{"extension": own, "title": kind.title(), "trigger": trigger}]));
    }
    plan
}

fn signals(kind: Kind) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    for needed in kind.inputs() {
        for parameter in [needed.parameter].iter().chain(needed.alternatives) {
            let source = SOURCES.iter().find(|(known, ..)| known == parameter);
            found.extend(source.map(|source| signal(source, needed.max_age_s)));
        }
    }
    found
}

fn signal((parameter, codes, plausible): &Source, max_age_s: i64) -> Value {
    let mut own = vec![
        json!({"url": url("alert-signal"), "valueCode": parameter.code()}),
        json!({"url": url("alert-unit"), "valueCode": parameter.unit()}),
        json!({"url": url("alert-fresh"),
            "valueDuration": {"value": max_age_s / 60, "system": UCUM, "code": "min"}}),
    ];
    own.extend(plausible.map(|(low, high)| {
        json!({"url": url("alert-plausible"), "extension": [
            {"url": "low", "valueDecimal": low}, {"url": "high", "valueDecimal": high}]})
    }));
    own.extend(ANSWERS.iter().filter(|(of, ..)| of == parameter).map(|(_, system, answer, number)| {
        json!({"url": url("alert-answer"), "extension": [
            {"url": "answer", "valueCoding": {"system": system, "code": answer}},
            {"url": "number", "valueDecimal": number}]})
    }));
    let codes: Vec<Value> = codes.iter().map(|(system, code)| json!({"system": system, "code": code})).collect();
    json!({"extension": own, "type": "Observation", "codeFilter": [{"path": "code", "code": codes}]})
}

#[cfg(test)]
mod tests {
    use super::super::super::{Condition, compile};
    use super::*;
    use crate::fhir::OURS;

    #[test]
    fn every_score_has_a_rule_and_only_news2_is_on() {
        for kind in Kind::ALL {
            let rule = compile(&plan(kind)).unwrap();
            assert_eq!((rule.condition, rule.active), (Condition::Score(kind), kind == Kind::News2));
            assert!(rule.signals.iter().all(|signal| signal.fresh.is_some()), "{kind:?}");
        }
        let news2 = compile(&plan(Kind::News2)).unwrap();
        assert_eq!(news2.url, format!("{OURS}/PlanDefinition/score-news2"));
        assert_eq!(news2.signals.len(), 10);
    }
}
