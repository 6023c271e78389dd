use proptest::prelude::*;
use serde_json::Value;

use super::*;

const NEWS2: &str = include_str!("../../../tests/data/score/news2-vectors.csv");
const OTHERS: &str = include_str!("../../../tests/data/score/other-scores-vectors.csv");

fn adult() -> Patient {
    Patient::default()
}

fn rows(text: &str) -> Vec<Vec<String>> {
    let records = csv::Reader::from_reader(text.as_bytes()).into_records();
    records.map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn level(letter: &str) -> f64 {
    Acvpu::from_letter(letter).unwrap().number()
}

/// A reassuring value for everything.
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

#[test]
fn every_vector_of_news2_is_met() {
    let rows = rows(NEWS2);
    assert_eq!(rows.len(), 57);
    for row in rows {
        let number = |at: usize| row[at].parse::<f64>().unwrap();
        let inputs = Inputs::default()
            .with(Parameter::RespirationRate, number(1))
            .with(Parameter::Spo2, number(2))
            .with(Parameter::Oxygen, number(4))
            .with(Parameter::SystolicPressure, number(5))
            .with(Parameter::HeartRate, number(6))
            .with(Parameter::Consciousness, level(&row[7]))
            .with(Parameter::Temperature, number(8));
        let score = score(Kind::News2, &inputs, &Patient { spo2_scale_2: row[3] == "2", age_days: None });
        let points: Vec<f64> = score.parts.iter().map(|part| part.points.unwrap()).collect();
        assert_eq!(points, (9..16).map(number).collect::<Vec<_>>(), "{row:?}");
        assert_eq!((score.total, score.band.unwrap().code), (Some(number(16)), row[17].as_str()), "{row:?}");
    }
}

#[test]
fn every_vector_of_the_other_scores_is_met() {
    let rows = rows(OTHERS);
    assert_eq!(rows.len(), 34);
    for row in rows {
        let kind = match row[1].as_str() {
            "shock_index" => Kind::ShockIndex,
            "MAP_estimate" => Kind::MeanPressure,
            "BedsidePEWS_hr_sbp_rr" => Kind::BedsidePews,
            name => Kind::from_code(&name.to_lowercase()).unwrap(),
        };
        let (inputs, patient) = read(&serde_json::from_str(&row[2]).unwrap());
        let score = score(kind, &inputs, &patient);
        let count = |points: f64| score.parts.iter().filter(|part| part.points == Some(points)).count();
        let told = match kind {
            Kind::Meows => {
                let trigger = if score.band.unwrap().rank > 0 { "yes" } else { "no" };
                format!("red={};yellow={};trigger={trigger}", count(2.0), count(1.0))
            }
            _ => score.total.unwrap().to_string(),
        };
        assert_eq!(told, row[3], "{row:?}");
    }
}

fn read(json: &Value) -> (Inputs, Patient) {
    let (mut inputs, mut patient) = (Inputs::default(), adult());
    for (name, value) in json.as_object().unwrap() {
        let parameter = match name.as_str() {
            "sbp" => Parameter::SystolicPressure,
            "dbp" => Parameter::DiastolicPressure,
            "hr" => Parameter::HeartRate,
            "rr" => Parameter::RespirationRate,
            "temp" => Parameter::Temperature,
            "spo2" => Parameter::Spo2,
            "gcs" => Parameter::Gcs,
            "wbc" => Parameter::WhiteCells,
            "bands_pct" => Parameter::Bands,
            "avpu" => {
                inputs.set(Parameter::Consciousness, Some(level(value.as_str().unwrap())));
                continue;
            }
            "age" => {
                let days = [("0-3m", 30), ("3-12m", 200), ("1-4y", 900), ("4-12y", 3_000), (">12y", 5_000)];
                patient.age_days = days.iter().find(|(band, _)| value == band).map(|(_, days)| *days);
                continue;
            }
            other => panic!("{other}"),
        };
        inputs.set(parameter, value.as_f64());
        assert!(inputs.get(parameter).is_some(), "{name}");
    }
    (inputs, patient)
}

/// The points on both sides of a cut: what lies between two numbers of the table is rounded, half up.
#[test]
fn a_value_between_two_numbers_of_a_table_is_rounded() {
    for (kind, parameter, below, at, points) in [
        (Kind::News2, Parameter::RespirationRate, 20.49, 20.5, (0.0, 2.0)),
        (Kind::News2, Parameter::Spo2, 91.4, 91.5, (3.0, 2.0)),
        (Kind::News2, Parameter::HeartRate, 40.4, 40.5, (3.0, 1.0)),
        (Kind::News2, Parameter::Temperature, 35.04, 35.05, (3.0, 1.0)),
        (Kind::News2, Parameter::SystolicPressure, 219.4, 219.5, (0.0, 3.0)),
        (Kind::Mews, Parameter::SystolicPressure, 70.4, 70.5, (3.0, 2.0)),
        (Kind::Mews, Parameter::Temperature, 38.44, 38.45, (0.0, 2.0)),
        (Kind::Qsofa, Parameter::SystolicPressure, 100.4, 100.5, (1.0, 0.0)),
        (Kind::Sirs, Parameter::Temperature, 38.04, 38.05, (0.0, 1.0)),
        (Kind::Sirs, Parameter::WhiteCells, 12.004, 12.01, (0.0, 1.0)),
        (Kind::Meows, Parameter::DiastolicPressure, 100.4, 100.5, (1.0, 2.0)),
        (Kind::BedsidePews, Parameter::HeartRate, 109.4, 109.5, (0.0, 1.0)),
    ] {
        let patient = Patient { age_days: Some(3_000), ..adult() };
        let of = |value| score(kind, &well().with(parameter, value), &patient).parts.of(parameter).unwrap().points;
        assert_eq!((of(below), of(at)), (Some(points.0), Some(points.1)), "{kind:?} {parameter:?}");
    }
}

#[test]
fn bands_begin_where_they_are_published() {
    let bands = |kind: Kind| {
        let row = |total| band::of(kind, total, &[]).map_or("-", |band| band.code);
        [0.0, 0.89, 0.9, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 64.9, 65.0].map(row).join(" ")
    };
    for (kind, expected) in [
        (Kind::News2, "low low low low low low medium medium high high high"),
        (
            Kind::Mews,
            "no-trigger no-trigger no-trigger no-trigger no-trigger no-trigger trigger trigger trigger trigger trigger",
        ),
        (
            Kind::Qsofa,
            "negative negative negative negative positive positive positive positive positive positive positive",
        ),
        (Kind::ShockIndex, "normal normal raised raised raised raised raised raised raised raised raised"),
        (Kind::MeanPressure, "reduced reduced reduced reduced reduced reduced reduced reduced reduced reduced normal"),
        (Kind::BedsidePews, "- - - - - - - - - - -"),
    ] {
        assert_eq!(bands(kind), expected, "{kind:?}");
    }
    let codes: Vec<_> = Kind::News2.bands().iter().map(|band| band.code).collect();
    assert_eq!(codes, ["low", "low-medium", "medium", "high"]);
}

#[test]
fn what_is_missing_is_named_and_never_normal() {
    for kind in Kind::ALL {
        let patient = Patient { age_days: Some(3_000), ..adult() };
        assert!(score(kind, &well(), &patient).total.is_some(), "{kind:?}");
        for needed in kind.inputs().iter().filter(|needed| needed.required) {
            let mut inputs = well();
            inputs.set(needed.parameter, None);
            needed.alternatives.iter().for_each(|other| inputs.set(*other, None));
            let score = score(kind, &inputs, &patient);
            assert_eq!((score.total, score.band), (None, None), "{kind:?}");
            assert_eq!(score.missing.iter().collect::<Vec<_>>(), [needed.parameter], "{kind:?}");
        }
    }
    let none = score(Kind::News2, &Inputs::default(), &adult());
    assert_eq!(none.missing.iter().count(), 7);
}

#[test]
fn consciousness_is_acvpu_or_the_glasgow_coma_score() {
    type Case<'a> = (Kind, Option<&'a str>, Option<f64>, Option<f64>);
    let table: [Case; 12] = [
        (Kind::News2, None, Some(15.0), Some(0.0)),
        (Kind::News2, None, Some(14.0), Some(3.0)),
        (Kind::News2, Some("A"), Some(14.0), Some(0.0)),
        (Kind::News2, Some("C"), Some(15.0), Some(3.0)),
        (Kind::News2, None, Some(14.5), None),
        (Kind::News2, None, Some(16.0), None),
        (Kind::Mews, None, Some(15.0), Some(1.0)),
        (Kind::Mews, None, Some(13.0), None),
        (Kind::Mews, Some("P"), Some(13.0), Some(3.0)),
        (Kind::Qsofa, Some("C"), None, Some(1.0)),
        (Kind::Qsofa, Some("C"), Some(15.0), Some(0.0)),
        (Kind::Meows, None, Some(9.0), None),
    ];
    for (kind, letter, gcs, total) in table {
        let mut inputs = well();
        inputs.set(Parameter::Consciousness, letter.map(level));
        inputs.set(Parameter::Gcs, gcs);
        let score = score(kind, &inputs, &adult());
        assert_eq!(score.total, total, "{kind:?} {letter:?} {gcs:?}");
        let named: Vec<Parameter> = score.missing.iter().collect();
        assert_eq!(named == [Parameter::Consciousness], total.is_none(), "{named:?}");
    }
}

#[test]
fn oxygen_is_told_by_flow_fraction_or_device() {
    for (signs, points) in [
        (vec![(Parameter::OxygenFlow, 0.0)], Some(0.0)),
        (vec![(Parameter::OxygenFlow, 0.5)], Some(2.0)),
        (vec![(Parameter::InspiredOxygen, 21.0)], Some(0.0)),
        (vec![(Parameter::InspiredOxygen, 24.0), (Parameter::OxygenDevice, 0.0)], Some(2.0)),
        (vec![(Parameter::OxygenDevice, 1.0)], Some(2.0)),
        (vec![], None),
    ] {
        let mut inputs = well();
        inputs.set(Parameter::Oxygen, None);
        for (parameter, value) in &signs {
            inputs.set(*parameter, Some(*value));
        }
        let score = score(Kind::News2, &inputs, &adult());
        assert_eq!(score.total, points, "{signs:?}");
    }
}

#[test]
fn on_scale_2_the_saturation_waits_for_the_oxygen() {
    let mut inputs = well();
    inputs.set(Parameter::Oxygen, None);
    let score = score(Kind::News2, &inputs, &Patient { spo2_scale_2: true, age_days: None });
    assert_eq!(score.missing.iter().collect::<Vec<_>>(), [Parameter::Oxygen]);
    let part = score.parts.of(Parameter::Spo2).unwrap();
    assert_eq!((part.value, part.points), (Some(97.0), None));
}

#[test]
fn white_cells_may_be_absent_and_the_worse_of_cells_and_bands_counts() {
    for (cells, bands, total, partial) in [
        (None, None, 0.0, true),
        (Some(12.0), None, 0.0, false),
        (Some(12.1), None, 1.0, false),
        (Some(8.0), Some(12.0), 1.0, false),
        (Some(3.9), Some(12.0), 1.0, false),
        (None, Some(10.0), 0.0, false),
    ] {
        let mut inputs = well();
        inputs.set(Parameter::WhiteCells, cells);
        inputs.set(Parameter::Bands, bands);
        let score = score(Kind::Sirs, &inputs, &adult());
        assert_eq!((score.total, score.partial), (Some(total), partial), "{cells:?} {bands:?}");
    }
}

#[test]
fn an_unknown_age_is_missing() {
    let score = score(Kind::BedsidePews, &well(), &adult());
    assert_eq!(score.total, None);
    assert_eq!(score.missing.iter().collect::<Vec<_>>(), [Parameter::Age]);
}

#[test]
fn only_points_make_a_score_another_one() {
    let of = |rate, spo2_scale_2| {
        score(Kind::News2, &well().with(Parameter::HeartRate, rate), &Patient { spo2_scale_2, age_days: None })
    };
    assert!(of(75.0, false).says_the_same(&of(80.0, false)));
    assert!(!of(75.0, false).says_the_same(&of(91.0, false)));
    assert!(!of(75.0, false).says_the_same(&of(75.0, true)), "another scale");
}

#[test]
fn a_formula_needs_sense() {
    for (kind, systolic, diastolic, missing) in [
        (Kind::ShockIndex, 0.0, 0.0, Parameter::SystolicPressure),
        (Kind::MeanPressure, 80.0, 81.0, Parameter::DiastolicPressure),
    ] {
        let inputs = well().with(Parameter::SystolicPressure, systolic).with(Parameter::DiastolicPressure, diastolic);
        let score = score(kind, &inputs, &adult());
        assert_eq!((score.total, score.missing.iter().collect::<Vec<_>>()), (None, vec![missing]));
    }
}

/// Any number for any parameter, wild ones among them.
fn wild() -> impl Strategy<Value = Inputs> {
    let one = prop_oneof![
        2 => Just(None),
        4 => (0.0..300.0_f64).prop_map(Some),
        2 => (0..20_u8).prop_map(|n| Some(f64::from(n))),
        1 => any::<f64>().prop_map(Some),
        1 => Just(Some(f64::NAN)),
    ];
    proptest::collection::vec(one, Parameter::COUNT).prop_map(|values| {
        let mut inputs = Inputs::default();
        Parameter::all().zip(values).for_each(|(parameter, value)| inputs.set(parameter, value));
        inputs
    })
}

fn patients() -> impl Strategy<Value = Patient> {
    (any::<bool>(), proptest::option::of(prop_oneof![any::<i64>(), 0..8_000_i64]))
        .prop_map(|(spo2_scale_2, age_days)| Patient { spo2_scale_2, age_days })
}

fn kinds() -> impl Strategy<Value = Kind> {
    (0..Kind::ALL.len()).prop_map(|at| Kind::ALL[at])
}

/// What a bedside can send, in the resolution of the parameter and finer.
fn readings() -> impl Strategy<Value = Inputs> {
    let values = (0.0..80.0, 50.0..=100.0, 0..2_u8, 30.0..280.0, 0..30_u8, 10.0..240.0, 0..5_u8, 30.0..43.0);
    values.prop_map(
        |(rate, spo2, oxygen, systolic, diastolic, heart, level, temperature): (f64, f64, _, f64, _, f64, _, f64)| {
            Inputs::default()
                .with(Parameter::RespirationRate, rate)
                .with(Parameter::Spo2, spo2)
                .with(Parameter::Oxygen, f64::from(oxygen))
                .with(Parameter::SystolicPressure, systolic)
                .with(Parameter::DiastolicPressure, f64::from(diastolic))
                .with(Parameter::HeartRate, heart)
                .with(Parameter::Consciousness, f64::from(level))
                .with(Parameter::Temperature, temperature)
        },
    )
}

proptest! {
    #[test]
    fn a_total_is_there_exactly_if_nothing_is_missing(kind in kinds(), inputs in wild(), patient in patients()) {
        let score = score(kind, &inputs, &patient);
        prop_assert_eq!(score.total.is_some(), score.missing.is_empty());
        prop_assert!(score.total.is_none_or(|total| total.is_finite() && total >= 0.0));
        for needed in kind.inputs().iter().filter(|needed| needed.required) {
            let known = std::iter::once(&needed.parameter).chain(needed.alternatives).any(|p| inputs.get(*p).is_some());
            prop_assert!(known || score.missing.contains(needed.parameter));
        }
        let told = observation(&score, "Patient/p1", 0, &[], "s1", None);
        prop_assert!(fhir_r4::check(told).is_ok());
    }

    #[test]
    fn every_value_has_its_points(kind in kinds(), inputs in readings(), age_days in 0..8_000_i64, spo2_scale_2: bool) {
        let score = score(kind, &inputs, &Patient { spo2_scale_2, age_days: Some(age_days) });
        prop_assert!(score.total.is_some(), "{:?}", score);
        if !kind.is_formula() {
            let sum: f64 = score.parts.iter().filter_map(|part| part.points).sum();
            prop_assert_eq!(score.total, Some(sum));
        }
    }

    #[test]
    fn a_higher_total_has_no_lower_band(kind in kinds(), a in 0.0..30.0_f64, b in 0.0..30.0_f64) {
        let rank = |total| band::of(kind, total, &[]).map(|band| band.rank);
        let (low, high) = (rank(a.min(b)), rank(a.max(b)));
        // Only of a pressure is less worse.
        prop_assert!(low <= high || kind == Kind::MeanPressure);
    }

    #[test]
    fn further_from_normal_is_never_better(kind in kinds(), inputs in readings(), more in 0.0..60.0_f64, age_days in 0..8_000_i64) {
        let patient = Patient { spo2_scale_2: false, age_days: Some(age_days) };
        for (parameter, normal) in [(Parameter::HeartRate, 75.0), (Parameter::RespirationRate, 16.0), (Parameter::Temperature, 37.0)] {
            if matches!(kind, Kind::BedsidePews | Kind::ShockIndex | Kind::Mews) {
                continue;
            }
            let value = inputs.get(parameter).unwrap();
            let mut further = inputs;
            further.set(parameter, Some(if value < normal { (value - more).max(0.0) } else { value + more }).filter(|v| parameter.is_possible(*v)));
            let (near, far) = (score(kind, &inputs, &patient), score(kind, &further, &patient));
            prop_assert!(far.total.is_none() || near.total <= far.total, "{near:?} {far:?}");
        }
    }
}
