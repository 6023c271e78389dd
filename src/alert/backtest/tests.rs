use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::alert::rule::{compile, default_plans};
use crate::fhir::time;

const MINUTE: i64 = 60_000_000;

fn heart_rate(minute: i64, value: f64, seq: i64) -> Recorded {
    let observation = json!({
        "resourceType": "Observation", "status": "final", "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "effectiveDateTime": time::instant(minute * MINUTE),
        "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "/min"}
    });
    Recorded { reading: Reading::of(&observation), whole: None, updated: i64::MAX / 2, seq }
}

fn record(values: &[f64]) -> Record {
    let readings = (1_i64..).zip(values).map(|(minute, value)| heart_rate(minute, *value, minute));
    Record { patient: "Patient/p".to_owned(), readings: readings.collect(), ..Record::default() }
}

fn rules(id: &str) -> RuleSet {
    let plans = default_plans();
    RuleSet::trial(plans.iter().filter(|plan| plan["id"] == id).map(|plan| compile(plan).unwrap()))
}

#[test]
fn episodes_are_what_would_have_been_told() {
    let record = record(&[80.0, 115.0, 116.0, 135.0, 136.0, 80.0, 80.0, 80.0, 30.0, 30.0]);
    let concluded = run(&rules("limits-8867-4"), &record, 100 * MINUTE);
    let spans: Vec<_> = concluded
        .episodes
        .iter()
        .map(|episode| (episode.span().0 / MINUTE, episode.span().1.map(|over| over / MINUTE), episode.level()))
        .collect();
    assert_eq!(spans, [(3, Some(7), Level::Critical), (10, None, Level::Critical)]);
    let reference = |sample: &Sample| format!("Observation/{}/_history/1", sample.seq);
    let told = concluded.episodes[0].told("Device/x", reference).unwrap();
    fhir_r4::check(told.clone()).unwrap();
    assert_eq!((&told["status"], &told["patient"]["reference"]), (&json!("final"), &json!("Patient/p")));
    let kinds: Vec<_> = issue::steps(&told).iter().map(|step| (step.at / MINUTE, step.kind)).collect();
    assert_eq!(kinds, [(3, Kind::Raise), (5, Kind::Escalate), (7, Kind::Resolve)]);
}

#[test]
fn a_report_counts_and_compares() {
    let (new, old) = (rules("limits-8867-4"), rules("limits-8867-4"));
    let mut report = Report::default();
    let end = 1440 * MINUTE;
    for values in [&[120.0, 120.0, 80.0, 80.0][..], &[80.0, 80.0], &[140.0, 140.0, 5.0]] {
        let record = record(values);
        let concluded = run(&new, &record, end);
        let others = if values.len() == 4 { Concluded::default() } else { run(&old, &record, end) };
        report.add(&concluded, Some(&others), end);
    }
    assert_eq!((report.patients, report.patient_days, report.readings), (3, 3, 9));
    let counts = &report.rules["limits-8867-4"];
    assert_eq!(counts.raises, BTreeMap::from([("critical", 1), ("technical", 1), ("warning", 1)]));
    assert_eq!(report.compared, Some(Compared { both: 2, only_here: 1, only_there: 0 }));
    assert_eq!((report.samples.len(), report.per_day(3)), (3, Some(1.0)));
    // 2 minutes of the first, and from the second reading of the last to the end twice.
    assert_eq!(counts.alarmed / MINUTE, 2 + 1438 + 1437);
    assert_eq!(Report::default().per_day(1), None);
}

proptest! {
    /// The order in which readings arrive says nothing about what they mean.
    #[test]
    fn arrival_does_not_matter(values in prop::collection::vec(20.0_f64..180.0, 1..40), order in any::<u64>()) {
        let straight = record(&values);
        let mut shuffled = straight.clone();
        shuffled.readings.sort_by_key(|recorded| recorded.seq.unsigned_abs().wrapping_mul(order | 1));
        let steps = |record: &Record| -> Vec<_> {
            let concluded = run(&rules("limits-8867-4"), record, 100 * MINUTE);
            concluded.episodes.iter().map(|episode| (episode.rule.id.clone(), episode.changes.clone())).collect()
        };
        prop_assert_eq!(steps(&straight), steps(&shuffled));
    }
}
