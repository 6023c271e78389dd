use super::*;
use crate::alert::pattern::Zone;

const HOUR: i64 = 60 * MINUTE;

fn baseline(method: Method) -> Baseline {
    Baseline { method, memory: 14 * DAY, warm_up: 10, daily: None }
}

fn sample(at: i64, value: f64) -> Sample {
    Sample { at, value, seq: at, signal: 0, readable: true }
}

/// 70, 71, 70, 69 in turn, one an hour, then the given value.
fn after_quiet(method: Method, value: f64) -> Option<f64> {
    let baseline = baseline(method);
    let mut usual = Usual::new();
    for i in 0..400 {
        usual.step(&baseline, &sample(i * HOUR, [70.0, 71.0, 70.0, 69.0][usize::try_from(i % 4).unwrap()]));
    }
    usual.step(&baseline, &sample(400 * HOUR, value))
}

#[test]
fn every_method_knows_the_usual_from_the_unusual() {
    for method in [Method::Ewma, Method::Cusum { slack: 0.5 }, Method::Robust] {
        let usual = after_quiet(method, 70.0).unwrap();
        assert!(usual.abs() < 2.0, "{method:?}: {usual}");
        assert!(after_quiet(method, 80.0).unwrap() > 5.0, "{method:?}");
        assert!(after_quiet(method, 60.0).unwrap() < -5.0, "{method:?}");
    }
    let z = after_quiet(Method::Ewma, 72.0).unwrap();
    assert!((z - 2.83).abs() < 0.1, "{z}");
}

#[test]
fn nothing_is_judged_while_learning_or_without_a_scale() {
    let baseline = baseline(Method::Ewma);
    let mut usual = Usual::new();
    let found: Vec<_> = (0..20).map(|i| usual.step(&baseline, &sample(i, 70.0))).collect();
    assert!(found.iter().all(Option::is_none));
}

#[test]
fn what_is_far_out_is_not_learnt_until_it_has_become_the_usual() {
    let baseline = baseline(Method::Ewma);
    let mut usual = Usual::new();
    for i in 0..100 {
        usual.step(&baseline, &sample(i, [69.0, 71.0][usize::try_from(i % 2).unwrap()]));
    }
    let far_out: Vec<f64> = (100..200).filter_map(|i| usual.step(&baseline, &sample(i, 90.0))).collect();
    assert!(far_out.len() == 100 && far_out.iter().all(|z| *z > 10.0));
    let mut after =
        (0..20).map(|i| usual.step(&baseline, &sample(100 + 14 * DAY + i, 90.0 + f64::from(i32::from(i % 2 == 0)))));
    assert_eq!(after.by_ref().take(10).flatten().count(), 0, "it learns again");
    assert!(after.all(|z| z.unwrap().abs() < 3.0), "and that is the usual now");
}

/// The days that are closed: when, the number, and the reading that made it.
fn days(daily: Daily, readings: &[(i64, f64)]) -> Vec<(i64, f64, i64)> {
    let mut usual = Usual::new();
    let mut closed = Vec::new();
    for (at, value) in readings {
        while let Some(over) = usual.open().filter(|over| over <= at) {
            let today = usual.today.take().unwrap();
            usual.closed = today.day;
            closed.push((over, today.value, today.sample.at));
        }
        usual.collect(daily, &sample(*at, *value));
    }
    closed
}

#[test]
fn a_day_is_one_number_when_its_hours_are_over() {
    // Local time is an hour ahead: 04:00 UTC is 05:00.
    let daily = Daily { from: 300, to: 540, zone: Zone::Fixed(60), pick: Pick::Lowest };
    let readings = [(3, 50.0), (4, 62.0), (6, 60.0), (8, 40.0), (28, 61.0), (56, 99.0)].map(|(at, v)| (at * HOUR, v));
    let expected = [(8, 60.0, 6), (32, 61.0, 28)].map(|(over, value, of)| (over * HOUR, value, of * HOUR));
    assert_eq!(days(daily, &readings), expected);
    let night = Daily { from: 1320, to: 360, zone: Zone::UTC, pick: Pick::Mean };
    let readings = [(23, 60.0), (25, 70.0), (31, 0.0)].map(|(at, v)| (at * HOUR, v));
    assert_eq!(days(night, &readings), [(30 * HOUR, 65.0, 25 * HOUR)]);
}

#[test]
fn a_night_in_which_clocks_are_put_back_is_judged_once() {
    // 2026-10-25: at 01:00 UTC clocks in Madrid go from 03:00 back to 02:00.
    let midnight = 20_751 * DAY - 2 * HOUR;
    let daily = Daily { from: 60, to: 150, zone: Zone::named("Europe/Madrid").unwrap(), pick: Pick::Highest };
    let minutes = [70, 130, 140, 190, 205, 400].map(|minute| (midnight + minute * MINUTE, 1.0));
    assert_eq!(days(daily, &minutes), [(midnight + 150 * MINUTE, 1.0, midnight + 70 * MINUTE)]);
}
