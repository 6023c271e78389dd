use serde_json::json;

use super::*;

const S: i64 = 1_000_000;

fn alarm(patient: &str, rule: &str, over: Option<i64>, answered: Option<i64>) -> Alarm {
    Alarm {
        patient: patient.to_owned(),
        rule: rule.to_owned(),
        level: "warning".to_owned(),
        priority: "medium".to_owned(),
        technical: false,
        raised: 1_000 * S,
        over: over.map(|after| (1_000 + after) * S),
        answered: answered.map(|after| (1_000 + after) * S),
        standing: Standing::Counted,
        late: false,
    }
}

fn report(alarms: Vec<Alarm>) -> Report {
    let days = ["Patient/a", "Patient/a", "Patient/b"].map(|patient| (patient.to_owned(), "w".to_owned()));
    let alarms = alarms.into_iter().map(|alarm| (alarm, "w".to_owned())).collect();
    Report::of(&Counted { alarms, days: days.to_vec(), nuisance: 60 * S })
}

#[test]
fn what_is_a_nuisance() {
    for (over, answered, technical, expected) in [
        (Some(60), None, false, (1, 0)),
        (Some(61), None, false, (0, 0)),
        (Some(60), Some(10), false, (0, 0)),
        (None, None, false, (0, 0)),
        (Some(0), None, true, (0, 1)),
    ] {
        let total = report(vec![Alarm { technical, ..alarm("Patient/a", "r", over, answered) }]).total;
        assert_eq!((total.nuisance, total.technical_nuisance), expected, "{over:?} {answered:?} {technical}");
    }
}

#[test]
fn retracted_and_shadow_ones_are_apart() {
    let one = alarm("Patient/a", "r", None, None);
    let found = report(vec![
        Alarm { standing: Standing::Retracted, ..one.clone() },
        Alarm { standing: Standing::Shadow, ..one.clone() },
        one,
    ]);
    assert_eq!((found.total.alarms, found.retracted, found.shadow), (1, 1, 1));
}

#[test]
fn times_to_answer_are_ranks() {
    let none: [usize; 0] = [];
    for (waits, median, ninetieth) in [
        (none.to_vec(), None, None),
        (vec![30], Some(30.0), Some(30.0)),
        (vec![50, 10, 20, 40, 30, 60, 70, 80, 90, 100], Some(50.0), Some(90.0)),
    ] {
        let one = |wait: &usize| alarm("Patient/a", "r", None, Some(i64::try_from(*wait).unwrap()));
        let total = report(waits.iter().map(one).collect()).total;
        assert_eq!((total.answered_within(50), total.answered_within(90)), (median, ninetieth), "{waits:?}");
    }
    let late = Alarm { late: true, ..alarm("Patient/a", "r", None, None) };
    let total = report(vec![late, alarm("Patient/a", "r", None, None)]).total;
    assert_eq!((total.late, total.never_answered), (1, 1));
}

#[test]
fn shares_and_days() {
    let mut alarms = vec![alarm("Patient/a", "often", None, None); 3];
    alarms.push(alarm("Patient/b", "seldom", None, None));
    let found = report(alarms);
    assert_eq!(found.total.per_patient_day(), Some(4.0 / 3.0));
    assert_eq!(found.by_rule["seldom"].per_patient_day(), Some(1.0 / 3.0));
    assert_eq!(found.by_ward["w"].patient_days, 3);
    assert_eq!((found.rules[0].name.as_str(), found.rules[0].share), ("often", 0.75));
    assert_eq!(found.tenth, (1, Some(0.75)));
    assert_eq!(Report::of(&Counted { alarms: vec![], days: vec![], nuisance: 0 }).total.per_patient_day(), None);
}

#[test]
fn what_no_rule_raised_is_no_alarm() {
    let foreign = json!({"resourceType": "DetectedIssue", "status": "final", "patient": {"reference": "Patient/a"},
        "identifiedPeriod": {"start": "2026-01-01T00:00:00Z"}, "reference": "urn:x"});
    assert_eq!(Alarm::of(&foreign), None);
}
