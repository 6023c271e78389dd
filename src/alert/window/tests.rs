use proptest::prelude::*;

use super::super::rule::{Condition, Damping, compile, default_plans};
use super::*;

/// The default heart rate rule (low 50/40, high 111/131, hysteresis 3, plausible 10 to 300) with another n of m.
fn rule(n: usize, m: usize) -> Rule {
    let plans = default_plans();
    let plan = plans.iter().find(|plan| plan["id"] == "limits-8867-4").unwrap();
    Rule { damping: Damping { n, m }, ..compile(plan).unwrap() }
}

/// Policy P0: every reading counts, and a limit is left as soon as it is not broken.
fn plain() -> Rule {
    let mut rule = rule(1, 1);
    let Condition::Threshold { low, high } = &mut rule.condition;
    for limits in [low, high] {
        for limit in [&mut limits.warning, &mut limits.critical].into_iter().flatten() {
            limit.clear = limit.value;
        }
    }
    rule
}

fn samples(values: &[f64]) -> Vec<Sample> {
    (0_i64..).zip(values).map(|(i, value)| Sample { at: i * 60_000_000, value: *value, seq: i }).collect()
}

/// `index:kind:cause:level` of each change.
fn run(rule: &Rule, values: &[f64]) -> Vec<String> {
    let mut window = Window::new(rule);
    let changes = samples(values).into_iter().flat_map(|s| window.step(rule, &s)).collect::<Vec<_>>();
    let text = |t: &Transition| format!("{}:{}:{}:{}", t.sample.seq, t.kind.code(), t.cause.code(), t.level_code());
    changes.iter().map(text).collect()
}

#[test]
fn one_of_one_follows_each_reading() {
    let cases: [(&[f64], &[&str]); 6] = [
        (&[80.0, 111.0, 110.0], &["1:raise:threshold-high:warning", "2:resolve:threshold-high:warning"]),
        (&[131.0, 130.0], &["0:raise:threshold-high:critical", "1:deescalate:threshold-high:warning"]),
        (&[120.0, 140.0], &["0:raise:threshold-high:warning", "1:escalate:threshold-high:critical"]),
        (&[50.0, 50.0, 51.0], &["0:raise:threshold-low:warning", "2:resolve:threshold-low:warning"]),
        (
            &[40.0, 131.0],
            &["0:raise:threshold-low:critical", "1:resolve:threshold-low:critical", "1:raise:threshold-high:critical"],
        ),
        (&[80.0, 110.0, 51.0], &[]),
    ];
    for (values, expected) in cases {
        assert_eq!(run(&plain(), values), expected, "{values:?}");
    }
}

#[test]
fn two_of_two_with_hysteresis_waits_in_both_directions() {
    let cases: [(&[f64], &[&str]); 8] = [
        (&[120.0], &[]),
        (&[120.0, 80.0, 120.0, 80.0], &[]),
        (&[120.0, 140.0], &["1:raise:threshold-high:warning"]),
        (&[120.0, 140.0, 140.0], &["1:raise:threshold-high:warning", "2:escalate:threshold-high:critical"]),
        (&[140.0, 140.0, 80.0], &["1:raise:threshold-high:critical"]),
        (&[140.0, 140.0, 80.0, 109.0], &["1:raise:threshold-high:critical", "3:deescalate:threshold-high:warning"]),
        (&[120.0, 120.0, 108.0, 109.0], &["1:raise:threshold-high:warning"]),
        (&[120.0, 120.0, 107.0, 107.9], &["1:raise:threshold-high:warning", "3:resolve:threshold-high:warning"]),
    ];
    for (values, expected) in cases {
        assert_eq!(run(&rule(2, 2), values), expected, "{values:?}");
    }
}

#[test]
fn two_of_three_bridges_a_gap_and_does_not_flap() {
    let expected = ["2:raise:threshold-high:warning", "4:resolve:threshold-high:warning"];
    assert_eq!(run(&rule(2, 3), &[120.0, 80.0, 120.0, 80.0, 80.0]), expected);
    // Two of five still hold after two normal readings: the alert stays until they have passed.
    let expected = ["1:raise:threshold-high:warning", "5:resolve:threshold-high:warning"];
    assert_eq!(run(&rule(2, 5), &[120.0, 120.0, 80.0, 80.0, 80.0, 80.0]), expected);
}

#[test]
fn implausible_values_are_technical_and_never_clinical() {
    let expected = ["1:raise:technical-implausible:technical", "3:resolve:technical-implausible:technical"];
    assert_eq!(run(&rule(2, 2), &[45.0, 0.0, f64::NAN, 80.0]), expected);
    // The two low readings are in a row, whatever the sensor said between them.
    let found = run(&rule(2, 2), &[45.0, 0.0, 45.0]);
    assert_eq!(found.last().unwrap(), "2:raise:threshold-low:warning");
}

#[test]
fn a_raise_knows_its_onset_and_each_change_the_peak() {
    let rule = rule(2, 3);
    let mut window = Window::new(&rule);
    let changes: Vec<_> =
        samples(&[125.0, 80.0, 120.0, 129.0, 80.0, 80.0, 80.0]).iter().flat_map(|s| window.step(&rule, s)).collect();
    let [raise, resolve] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((raise.onset.seq, raise.sample.seq, raise.peak.map(|p| p.value)), (0, 2, Some(125.0)));
    assert_eq!(resolve.peak.map(|p| (p.seq, p.value)), Some((3, 129.0)));
    assert_eq!((raise.limit.map(|l| l.value), resolve.limit.map(|l| l.value)), (Some(111.0), Some(111.0)));
}

#[test]
fn late_readings_are_counted_and_left_out() {
    let rule = plain();
    let mut window = Window::new(&rule);
    assert!(window.step(&rule, &Sample { at: 10, value: 80.0, seq: 1 }).is_empty());
    assert!(window.step(&rule, &Sample { at: 9, value: 140.0, seq: 2 }).is_empty());
    assert_eq!((window.ignored(), window.firing()), (1, Firing::default()));
    assert_eq!(window.step(&rule, &Sample { at: 10, value: 140.0, seq: 3 }).len(), 1);
}

/// The policies in the shortest words, to compare with: the level after each reading, by the last readings only.
fn level_by_the_book(limits: &Limits, values: &[f64], n: usize, level: Level) -> Level {
    let Some(last) = values.len().checked_sub(n).map(|start| &values[start..]) else { return level };
    let up = last.iter().map(|v| limits.reached(*v)).min().unwrap();
    let down = last.iter().map(|v| limits.kept(*v)).max().unwrap();
    if up > level { up } else { level.min(down) }
}

fn readings() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(
        prop_oneof![6 => 35.0..140.0_f64, 1 => Just(0.0), 1 => Just(111.0), 1 => Just(f64::NAN)],
        0..60,
    )
}

proptest! {
    #[test]
    fn n_of_n_is_the_policy_by_the_book(values in readings(), n in 1_usize..4) {
        let rule = if n == 1 { plain() } else { rule(n, n) };
        let mut window = Window::new(&rule);
        let (mut seen, mut low, mut high) = (Vec::new(), Level::None, Level::None);
        for sample in samples(&values) {
            window.step(&rule, &sample);
            if rule.is_plausible(sample.value) {
                seen.push(sample.value);
                low = level_by_the_book(rule.condition.limits(Side::Low), &seen, n, low);
                high = level_by_the_book(rule.condition.limits(Side::High), &seen, n, high);
            }
            prop_assert_eq!(window.firing(), Firing { low, high, implausible: !rule.is_plausible(sample.value) });
        }
    }

    #[test]
    fn changes_follow_from_each_other(values in readings(), n in 1_usize..4, more in 0_usize..3) {
        let rule = rule(n, n + more);
        let mut window = Window::new(&rule);
        let mut firing = Firing::default();
        for sample in samples(&values) {
            for change in window.step(&rule, &sample) {
                let before = match change.cause {
                    Cause::Threshold(Side::Low) => std::mem::replace(&mut firing.low, change.to),
                    Cause::Threshold(Side::High) => std::mem::replace(&mut firing.high, change.to),
                    Cause::Implausible => {
                        let was = std::mem::replace(&mut firing.implausible, change.to > Level::None);
                        if was { Level::Warning } else { Level::None }
                    }
                };
                prop_assert_eq!(before, change.from);
                prop_assert_ne!(change.from, change.to);
            }
            prop_assert_eq!(firing, window.firing());
        }
    }

    #[test]
    fn a_resumed_window_goes_on_as_if_nothing_had_happened(values in readings(), cut in 0_usize..60, n in 1_usize..4) {
        let rule = rule(n, n + 1);
        let all = samples(&values);
        let (before, after) = all.split_at(cut.min(all.len()));
        let mut live = Window::new(&rule);
        for sample in before {
            live.step(&rule, sample);
        }
        // The last m plausible readings are all that it takes.
        let mut tail: Vec<Sample> = before.iter().rev().filter(|s| rule.is_plausible(s.value)).take(n + 1).copied().collect();
        tail.reverse();
        let mut resumed = Window::resume(&rule, live.firing(), &tail);
        for sample in after {
            let kinds = |changes: Vec<Transition>| changes.iter().map(|t| (t.cause, t.from, t.to)).collect::<Vec<_>>();
            prop_assert_eq!(kinds(resumed.step(&rule, sample)), kinds(live.step(&rule, sample)));
        }
    }
}
