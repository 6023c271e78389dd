use serde_json::{Value, json};

use super::super::{Inputs, Patient, score};
use super::*;

fn well() -> Inputs {
    Inputs::default()
        .with(Parameter::RespirationRate, 16.0)
        .with(Parameter::Spo2, 97.0)
        .with(Parameter::Oxygen, 0.0)
        .with(Parameter::SystolicPressure, 120.0)
        .with(Parameter::DiastolicPressure, 75.0)
        .with(Parameter::HeartRate, 75.0)
        .with(Parameter::Consciousness, 0.0)
        .with(Parameter::Temperature, 37.0)
}

fn tell(kind: Kind, inputs: &Inputs, patient: &Patient) -> Value {
    let readings = ["Observation/hr/_history/1".to_owned(), "Observation/bp/_history/2".to_owned()];
    let score = score(kind, inputs, patient);
    let told = observation(&score, "Patient/p1", 1_736_121_600_000_000, &readings, "s1", Some("Encounter/e1"));
    fhir_r4::check(told.clone()).unwrap_or_else(|issues| panic!("{kind:?}: {issues:?}\n{told}"));
    told
}

fn component<'a>(told: &'a Value, code: &str) -> &'a Value {
    let has = |part: &&Value| part["code"]["coding"].as_array().unwrap().iter().any(|c| c["code"] == code);
    told["component"].as_array().unwrap().iter().find(has).unwrap_or_else(|| panic!("{code} in {told}"))
}

#[test]
fn a_news2_says_what_it_is_made_of() {
    let inputs = well().with(Parameter::HeartRate, 112.0).with(Parameter::Temperature, 38.56);
    let told = tell(Kind::News2, &inputs, &Patient::default());
    let rest =
        ["id", "status", "subject", "encounter", "effectiveDateTime", "valueQuantity", "interpretation", "device"];
    let rest: Map<_, _> = rest.iter().map(|name| ((*name).to_owned(), told[name].clone())).collect();
    assert_eq!(
        Value::Object(rest),
        json!({
            "id": "s1",
            "status": "final",
            "subject": {"reference": "Patient/p1"},
            "encounter": {"reference": "Encounter/e1"},
            "effectiveDateTime": "2025-01-06T00:00:00.000Z",
            "valueQuantity": {"value": 3, "unit": "score", "system": "http://unitsofmeasure.org", "code": "{score}"},
            "interpretation": [{
                "coding": [{"system": "https://vigia.dev/fhir/CodeSystem/alert-band", "code": "low", "display": "Low"}],
                "text": "Low"
            }],
            "device": {"reference": "Device/vigia-rule-engine"}
        })
    );
    assert_eq!(told["code"]["coding"][0]["code"], "1104051000000101");
    assert_eq!(
        told["code"]["coding"][1],
        json!({"system": SYSTEM, "code": "news2", "display": "National Early Warning Score 2"})
    );
    assert_eq!(told["category"][0]["coding"][0]["code"], "survey");
    assert_eq!(told["derivedFrom"][1]["reference"], "Observation/bp/_history/2");
    assert_eq!(told["component"].as_array().unwrap().len(), 7);
    let temperature = component(&told, "1104371000000107");
    assert_eq!(temperature["code"]["coding"][1]["code"], "news2-temperature");
    assert_eq!(temperature["valueQuantity"]["value"], 1);
    let input = &temperature["extension"][0];
    assert_eq!(input["url"], "https://vigia.dev/fhir/StructureDefinition/score-input");
    assert_eq!(input["extension"][0]["valueCode"], "temperature");
    assert_eq!(
        input["extension"][1]["valueQuantity"],
        json!({"value": 38.56, "unit": "°C", "system": "http://unitsofmeasure.org", "code": "Cel"})
    );
    assert_eq!(component(&told, "1104361000000100")["extension"][0]["extension"][1]["valueCode"], "A");
    assert_eq!(component(&told, "1104331000000105")["extension"][0]["extension"][1]["valueBoolean"], false);
}

#[test]
fn the_saturation_says_which_scale_it_was_judged_by() {
    let inputs = well().with(Parameter::Oxygen, 1.0);
    for (spo2_scale_2, code, points) in [(false, "1104311000000102", 0), (true, "1104321000000108", 3)] {
        let told = tell(Kind::News2, &inputs, &Patient { spo2_scale_2, age_days: None });
        assert_eq!(component(&told, code)["valueQuantity"]["value"], points);
    }
}

#[test]
fn an_incomplete_score_says_what_is_missing() {
    let mut inputs = well();
    inputs.set(Parameter::Temperature, None);
    inputs.set(Parameter::Consciousness, None);
    let told = tell(Kind::News2, &inputs, &Patient::default());
    assert_eq!((&told["valueQuantity"], &told["interpretation"]), (&Value::Null, &Value::Null));
    assert_eq!(told["status"], "preliminary");
    assert_eq!(told["dataAbsentReason"]["coding"][0]["code"], "unknown");
    assert_eq!(told["dataAbsentReason"]["text"], "Not calculated without: level of consciousness, temperature");
    let part = component(&told, "1104371000000107");
    assert_eq!((&part["valueQuantity"], &part["extension"]), (&Value::Null, &Value::Null));
    assert_eq!(part["dataAbsentReason"]["text"], "No current temperature");
    assert_eq!(component(&told, "1104351000000103")["valueQuantity"]["value"], 0);

    inputs = well().with(Parameter::Gcs, 13.0);
    inputs.set(Parameter::Consciousness, None);
    let told = tell(Kind::Mews, &inputs, &Patient::default());
    let part = component(&told, "mews-consciousness");
    assert_eq!(part["dataAbsentReason"]["text"], "No usable level of consciousness");
    assert_eq!(part["extension"][0]["extension"][0]["valueCode"], "gcs");

    let told = tell(Kind::BedsidePews, &well(), &Patient::default());
    assert_eq!(component(&told, "bedside-pews-age")["dataAbsentReason"]["text"], "No age of the patient");

    let told = tell(Kind::ShockIndex, &Inputs::default().with(Parameter::HeartRate, 80.0), &Patient::default());
    assert_eq!(told["component"].as_array().unwrap().len(), 1);
    let part = component(&told, "shock-index-systolic-pressure");
    assert_eq!(part["dataAbsentReason"]["text"], "No current systolic blood pressure");
}

#[test]
fn every_score_is_valid_and_told_in_its_own_unit() {
    let patient = Patient { spo2_scale_2: false, age_days: Some(3_000) };
    let table = [
        (Kind::News2, "1104051000000101", "{score}", json!(0), "low"),
        (Kind::Mews, "mews", "{score}", json!(1), "no-trigger"),
        (Kind::Qsofa, "96791-9", "{score}", json!(0), "negative"),
        (Kind::Sirs, "sirs", "{score}", json!(0), "negative"),
        (Kind::BedsidePews, "bedside-pews", "{score}", json!(2), ""),
        (Kind::ShockIndex, "98909-5", "{ratio}", json!(0.63), "normal"),
        (Kind::MeanPressure, "mean-pressure", "mm[Hg]", json!(90), "normal"),
    ];
    for (kind, code, unit, value, band) in table {
        let told = tell(kind, &well(), &patient);
        assert_eq!(told["code"]["coding"][0]["code"], code);
        assert_eq!(told["valueQuantity"]["code"], unit, "{kind:?}");
        assert_eq!(told["valueQuantity"]["value"], value, "{kind:?}");
        assert_eq!(told["interpretation"][0]["coding"][0]["code"].as_str().unwrap_or(""), band, "{kind:?}");
    }
}

#[test]
fn meows_has_colours_and_no_total() {
    let inputs = well().with(Parameter::HeartRate, 121.0).with(Parameter::RespirationRate, 22.0);
    let told = tell(Kind::Meows, &inputs, &Patient::default());
    assert_eq!(told["valueQuantity"], Value::Null);
    assert_eq!(
        told["valueCodeableConcept"]["coding"][0],
        json!({"system": BAND_SYSTEM, "code": "trigger", "display": "Trigger"})
    );
    assert_eq!(component(&told, "meows-red-count")["valueInteger"], 1);
    assert_eq!(component(&told, "meows-yellow-count")["valueInteger"], 1);
    assert_eq!(component(&told, "meows-heart-rate")["valueCodeableConcept"]["text"], "Red");
    assert_eq!(component(&told, "meows-spo2")["valueCodeableConcept"]["text"], "White");
}

#[test]
fn what_a_formula_took_stands_beside_the_number() {
    let told = tell(Kind::MeanPressure, &well(), &Patient::default());
    assert_eq!(told["component"], Value::Null);
    let inputs: Vec<&Value> =
        told["extension"].as_array().unwrap().iter().map(|e| &e["extension"][1]["valueQuantity"]["value"]).collect();
    assert_eq!(inputs, [&json!(120), &json!(75)]);
    assert!(told["code"]["coding"].as_array().unwrap().iter().all(|coding| coding["code"] != "8478-0"));
}

#[test]
fn without_readings_and_encounter_there_are_no_empty_lists() {
    let told = observation(&score(Kind::News2, &well(), &Patient::default()), "Patient/p1", 0, &[], "s1", None);
    assert_eq!((&told["derivedFrom"], &told["encounter"]), (&Value::Null, &Value::Null));
    assert!(fhir_r4::check(told).is_ok());
}
