use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::rule::{Condition, Damping, Limits, Timing, compile, default_plans};
use super::*;

/// The default heart rate rule (low 50/40, high 111/131, hysteresis 3, plausible 10 to 300) with another n of m.
static PLAIN: std::sync::LazyLock<Context> = std::sync::LazyLock::new(Context::default);

fn terms(rule: &Rule) -> Terms<'_> {
    Terms { rule, context: &PLAIN }
}

fn rule(n: u8, m: u8) -> Rule {
    let plans = default_plans();
    let plan = plans.iter().find(|plan| plan["id"] == "limits-8867-4").unwrap();
    Rule { timing: Timing { damping: Damping { n, m }, ..Timing::PLAIN }, ..compile(plan).unwrap() }
}

fn limits(rule: &Rule, side: Side) -> &Limits {
    let Condition::Limits { limits, .. } = &rule.condition else { panic!("{rule:?}") };
    limits.get(side)
}

fn sample(at: i64, value: f64, seq: i64) -> Sample {
    Sample { at, value, seq, signal: 0, readable: true }
}

/// Policy P0: every reading counts, and a limit is left as soon as it is not broken.
fn plain() -> Rule {
    let mut rule = rule(1, 1);
    let Condition::Limits { limits, .. } = &mut rule.condition else { panic!("{rule:?}") };
    for side in Side::BOTH {
        for (level, limit) in limits.get(side).iter().collect::<Vec<_>>() {
            limits.get_mut(side).set(level, Limit { clear: limit.value, ..limit });
        }
    }
    rule
}

fn samples(values: &[f64]) -> Vec<Sample> {
    (0_i64..).zip(values).map(|(i, value)| sample(i * 60_000_000, *value, i)).collect()
}

/// `index:kind:cause:level` of each change.
fn run(rule: &Rule, values: &[f64]) -> Vec<String> {
    let mut window = Window::default();
    let changes = samples(values).into_iter().flat_map(|s| window.step(&terms(rule), &s)).collect::<Vec<_>>();
    let text = |t: &Transition| {
        format!("{}:{}:{}:{}", t.sample.seq, t.kind.code(), t.cause.code(), rule.level_code(t.cause, t.level()))
    };
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
    let mut window = Window::default();
    let changes: Vec<_> = samples(&[125.0, 80.0, 120.0, 129.0, 80.0, 80.0, 80.0])
        .iter()
        .flat_map(|s| window.step(&terms(&rule), s))
        .collect();
    let [raise, resolve] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((raise.onset.seq, raise.sample.seq, raise.peak.map(|p| p.value)), (0, 2, Some(125.0)));
    assert_eq!(resolve.peak.map(|p| (p.seq, p.value)), Some((3, 129.0)));
    assert_eq!((raise.limit.map(|l| l.value), resolve.limit.map(|l| l.value)), (Some(111.0), Some(111.0)));
}

#[test]
fn late_readings_are_left_out() {
    let rule = plain();
    let mut window = Window::default();
    let mut step = |at: i64, value: f64| window.step(&terms(&rule), &sample(at, value, at)).len();
    assert_eq!([step(10, 80.0), step(9, 140.0), step(10, 140.0)], [0, 0, 1]);
    assert!(window.is_past(9) && !window.is_past(10));
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
    fn n_of_n_is_the_policy_by_the_book(values in readings(), n in 1_u8..4) {
        let rule = if n == 1 { plain() } else { rule(n, n) };
        let mut window = Window::default();
        let (mut seen, mut low, mut high) = (Vec::new(), Level::None, Level::None);
        for sample in samples(&values) {
            window.step(&terms(&rule), &sample);
            let plausible = rule.signals[0].is_plausible(sample.value);
            if plausible {
                seen.push(sample.value);
                low = level_by_the_book(limits(&rule, Side::Low), &seen, n.into(), low);
                high = level_by_the_book(limits(&rule, Side::High), &seen, n.into(), high);
            }
            let bad = if plausible { Level::None } else { Level::Warning };
            let all =
                [(Cause::Implausible, bad), (Cause::Threshold(Side::Low), low), (Cause::Threshold(Side::High), high)];
            let firing: Vec<_> = all.into_iter().filter(|(_, level)| *level > Level::None).collect();
            prop_assert_eq!(window.firing(&rule), firing);
        }
    }

    #[test]
    fn changes_follow_from_each_other(values in readings(), n in 1_u8..4, more in 0_u8..3) {
        let rule = rule(n, n + more);
        let mut window = Window::default();
        let mut firing: BTreeMap<Cause, Level> = BTreeMap::new();
        for sample in samples(&values) {
            for change in window.step(&terms(&rule), &sample) {
                let before = firing.insert(change.cause, change.to).unwrap_or_default();
                prop_assert_eq!(before, change.from);
                prop_assert_ne!(change.from, change.to);
            }
            firing.retain(|_, level| *level > Level::None);
            let found: BTreeMap<_, _> = window.firing(&rule).into_iter().collect();
            prop_assert_eq!(&firing, &found);
        }
    }

    #[test]
    fn a_resumed_window_goes_on_as_if_nothing_had_happened(values in readings(), cut in 0_usize..60, n in 1_u8..4) {
        let rule = rule(n, n + 1);
        let all = samples(&values);
        let (before, after) = all.split_at(cut.min(all.len()));
        let mut live = Window::default();
        for sample in before {
            live.step(&terms(&rule), sample);
        }
        // The last m plausible readings are all that it takes.
        let mut tail: Vec<Sample> = before.iter().rev().filter(|s| rule.signals[0].is_plausible(s.value)).take((n + 1).into()).copied().collect();
        tail.reverse();
        let mut resumed = Window::resume(&terms(&rule), &live.firing(&rule), &tail);
        for sample in after {
            let kinds = |changes: Vec<Transition>| changes.iter().map(|t| (t.cause, t.from, t.to)).collect::<Vec<_>>();
            prop_assert_eq!(kinds(resumed.step(&terms(&rule), sample)), kinds(live.step(&terms(&rule), sample)));
        }
    }
}
