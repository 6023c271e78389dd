//! Figures that were worked out by hand, a made-up glucose sensor with known statistics, and every digest against a
//! computation that keeps all values.

use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const UTC: Zone = Zone::UTC;

fn glucose() -> &'static Bands {
    &Signal::of("99504-3").unwrap().bands
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

/// Days of samples, digested one by one.
fn digest(samples: &[(i64, f64)], zone: Zone, bands: &Bands) -> Vec<(i64, Digest)> {
    let days = samples.chunk_by(|a, b| zone.day(a.0) == zone.day(b.0));
    days.map(|day| (zone.day(day[0].0), Digest::of(day.iter().copied(), zone, bands))).collect()
}

fn summary(samples: &[(i64, f64)], bands: &Bands) -> Summary {
    let days = digest(samples, UTC, bands);
    let (first, last) = (days[0].0, days.last().unwrap().0);
    let days: Vec<(i64, &Digest)> = days.iter().map(|(day, digest)| (*day, digest)).collect();
    Summary::of(&days, bands, 4, Night::default(), first..last + 1)
}

#[test]
fn zones_are_read_and_days_are_local() {
    for (text, shown) in
        [("Z", "+00:00"), ("+02:00", "+02:00"), (" 02:00", "+02:00"), ("-05:30", "-05:30"), ("+14:00", "+14:00")]
    {
        assert_eq!(Zone::parse(text).unwrap().text(), shown);
    }
    for text in ["", "+", "2:00", "+2:00", "+02", "+02:60", "+15:00", "+14:15", "Europe/Madrid", "+-2:00", "é2:00"] {
        assert_eq!(Zone::parse(text), None, "{text}");
    }
    let zone = Zone::parse("+02:00").unwrap();
    // 1970-01-01T23:10Z is 01:10 of the next day there.
    let us = 23 * HOUR + 10 * MINUTE;
    assert_eq!((zone.day(us), zone.quarter(us), zone.midnight(1)), (1, 4, 22 * HOUR));
    assert_eq!(
        (UTC.day(-1), UTC.quarter(-1), Zone::date(0), Zone::date(-1)),
        (-1, 95, "1970-01-01".into(), "1969-12-31".into())
    );
}

#[test]
fn named_zones_have_their_summer_time() {
    let at = |text: &str| crate::fhir::time::range(text).unwrap().start;
    let madrid = Zone::named("Europe/Madrid").unwrap();
    // Clocks went from 02:00 to 03:00 on 2026-03-29, and go back on 2026-10-25.
    for (text, quarter) in [
        ("2026-03-29T00:59:00Z", 7),
        ("2026-03-29T01:00:00Z", 12),
        ("2026-10-25T00:30:00Z", 10),
        ("2026-10-25T01:30:00Z", 10),
    ] {
        assert_eq!(madrid.quarter(at(text)), quarter, "{text}");
    }
    let length = |day: i64| (madrid.midnight(day + 1) - madrid.midnight(day)) / HOUR;
    let day = |text: &str| UTC.day(at(text));
    assert_eq!(["2026-03-28", "2026-03-29", "2026-10-25"].map(|text| length(day(text))), [24, 23, 25]);
    assert_eq!((Zone::named("Mars/Olympus"), madrid.text()), (None, "Europe/Madrid".into()));
    for name in
        ["Europe/Madrid", "America/Santiago", "Asia/Beirut", "America/Havana", "Australia/Lord_Howe", "Asia/Kathmandu"]
    {
        let zone = Zone::named(name).unwrap();
        for day in 19_000..21_000 {
            let begins = zone.midnight(day);
            assert_eq!((zone.day(begins), zone.day(begins - 1)), (day, day - 1), "{name} {}", Zone::date(day));
        }
    }
}

#[test]
fn nights_are_read() {
    for (text, shown, within, without) in [
        ("22-06", "22:00-06:00", [88, 95, 0, 23], [24, 87]),
        ("0-6", "00:00-06:00", [0, 1, 22, 23], [24, 95]),
        ("22:30-06:15", "22:30-06:15", [90, 95, 0, 24], [25, 89]),
        ("21-24", "21:00-00:00", [84, 85, 94, 95], [0, 83]),
    ] {
        let night = Night::parse(text).unwrap();
        assert_eq!(night.text(), shown);
        assert!(within.iter().all(|q| night.has(*q)) && !without.iter().any(|q| night.has(*q)), "{text}");
    }
    for text in ["", "22", "22-22", "22-25", "22:10-06", "24:15-06", "-", "22-06-07", "x-y", "+2-06"] {
        assert_eq!(Night::parse(text), None, "{text}");
    }
}

#[test]
fn time_in_range_weighs_by_time_and_leaves_gaps_out() {
    // Limits 54, 70, 180, 250; a value lasts half an hour at most.
    let minutes = [(0, 50.0), (10, 60.0), (30, 100.0), (60, 200.0), (90, 300.0), (121, 100.0), (130, 100.0)];
    let samples: Vec<(i64, f64)> = minutes.iter().map(|(at, value)| (at * MINUTE, *value)).collect();
    let summary = summary(&samples, glucose());
    let got: Vec<(usize, i64)> = summary.bands.iter().map(|s| (s.readings, s.time_us / MINUTE)).collect();
    // The 31 minutes after 300 are a gap, and nothing is known after the last.
    assert_eq!(got, [(1, 10), (1, 20), (3, 39), (1, 30), (1, 0)]);
    assert_eq!((summary.known_us, summary.longest_gap), (99 * MINUTE, Some((90 * MINUTE, 121 * MINUTE))));
    for (value, band) in [(53.9, 0), (54.0, 1), (69.9, 1), (70.0, 2), (180.0, 2), (180.1, 3), (250.0, 3), (250.1, 4)] {
        assert_eq!(glucose().of(value), band, "{value}");
    }
    let rate = &Signal::of("8867-4").unwrap().bands;
    for (value, band) in [(40.0, 0), (41.0, 1), (50.0, 1), (51.0, 2), (110.0, 2), (111.0, 3), (131.0, 4)] {
        assert_eq!(rate.of(value), band, "{value}");
    }
}

#[test]
fn time_across_midnight_is_known_to_the_merge() {
    let samples = [(DAY - 5 * MINUTE, 100.0), (DAY + 5 * MINUTE, 200.0), (DAY + 10 * MINUTE, 100.0)];
    let got = summary(&samples, glucose());
    assert_eq!((got.bands[2].time_us, got.bands[3].time_us), (10 * MINUTE, 5 * MINUTE));
    assert_eq!(got.days.iter().map(|day| day.in_range).collect::<Vec<_>>(), [None, Some(0.0)]);
}

/// A sensor every five minutes for fourteen days: 100 by night, 100 to 200 in steps by day.
#[test]
fn a_glucose_sensor_has_the_figures_it_was_made_with() {
    let value = |at: i64| match at % DAY / HOUR {
        0..12 => 100.0,
        hour => 100.0 + f64::from(i32::try_from(hour - 11).unwrap()) * 10.0,
    };
    let samples: Vec<(i64, f64)> = (0..14 * 288).map(|n| n * 5 * MINUTE).map(|at| (at, value(at))).collect();
    let got = summary(&samples, glucose());
    // Twelve hours of 100 and one each of 110 … 220: the mean is 100 + 780/24.
    assert!(near(got.moments.mean, 132.5), "{got:?}");
    assert!(near(gmi(132.5, "mg/dL").unwrap(), 3.31 + 0.02392 * 132.5));
    assert!(near(gmi(10.0, "mmol/L").unwrap(), 3.31 + 0.02392 * 180.156) && gmi(1.0, "Cel").is_none());
    // Sum of squares about it, an hour each: 12 · 32.5² + Σ(10k - 32.5)².
    let squares = 12.0 * 32.5_f64.powi(2) + (1..=12).map(|k| (10.0 * f64::from(k) - 32.5).powi(2)).sum::<f64>();
    let n = 14.0 * 288.0;
    let sd = (squares * 12.0 * 14.0 / (n - 1.0)).sqrt();
    assert!(near(got.moments.sd().unwrap(), sd) && near(got.cv_percent().unwrap(), sd / 132.5 * 100.0));
    // In range up to 180: 20 of 24 hours; the last reading lasts no time.
    assert_eq!((got.bands[2].readings, got.bands[3].readings), (14 * 240, 14 * 48));
    assert_eq!(got.known_us, 14 * DAY - 5 * MINUTE);
    assert_eq!((got.error, got.profile.len()), (0.0, 24));
    assert!(got.profile.iter().all(|slot| slot.count == 14 * 12
        && slot.percentiles.iter().all(|p| near(*p, value(i64::from(slot.from) / 4 * HOUR)))));
    assert_eq!((got.trend.unwrap().slope_per_day, got.trend.unwrap().p), (0.0, 1.0));
    assert_eq!((got.changes.len(), got.habits.usual_per_day, got.habits.windows.len()), (0, Some(288.0), 12));
}

#[test]
fn pressure_falls_at_night() {
    for (day, night, fall, class) in [
        (100.0, 101.0, -1.0, "reverse-dipper"),
        (100.0, 100.0, 0.0, "non-dipper"),
        (100.0, 91.0, 9.0, "non-dipper"),
        (100.0, 90.0, 10.0, "dipper"),
        (100.0, 80.0, 20.0, "dipper"),
        (100.0, 79.0, 21.0, "extreme-dipper"),
    ] {
        // Hours 22 to 5 are night.
        let hour = |h: i64| if (6..22).contains(&h) { day } else { night };
        let samples: Vec<(i64, f64)> = (0..24).map(|h| (h * HOUR, hour(h))).collect();
        let got = summary(&samples, &Bands::default()).dipping.unwrap();
        assert!(near(got.fall_percent, fall), "{got:?}");
        assert_eq!((got.class.code(), got.day_count, got.night_count, got.enough), (class, 16, 8, false));
    }
    let by_day = summary(&[(12 * HOUR, 100.0)], &Bands::default());
    assert_eq!(by_day.dipping, None);
}

#[test]
fn trends_are_robust_and_tested() {
    let line = |slope: f64, n: i64| {
        (0..n).map(|d| (d, 60.0 + slope * f64::from(i32::try_from(d).unwrap()))).collect::<Vec<_>>()
    };
    let mut wild = line(0.5, 14);
    (wild[3].1, wild[9].1) = (200.0, 10.0);
    let got = trend(&wild).unwrap();
    assert!(near(got.slope_per_day, 0.5) && got.p < 0.05 && got.low > 0.0 && got.high < 2.0, "{got:?}");
    // S = 10 of 10 for five rising days: z = 9/√(5·4·15/18), p = 0.0275.
    let five = trend(&line(1.0, 5)).unwrap();
    assert!((five.p - 0.027_486).abs() < 1e-5 && near(five.slope_per_day, 1.0), "{five:?}");
    // Days that are missing count as days.
    assert!(near(trend(&[(0, 1.0), (10, 2.0), (20, 3.0), (30, 4.0)]).unwrap().slope_per_day, 0.1));
    let flat = trend(&line(0.0, 10)).unwrap();
    assert_eq!((flat.slope_per_day, flat.p, flat.low, flat.high), (0.0, 1.0, 0.0, 0.0));
    assert_eq!(trend(&line(1.0, 3)), None);
    assert_eq!(trend(&line(1.0, 1000)).unwrap().days, MOST_DAYS);
}

#[test]
fn levels_are_told_apart() {
    let days = |values: &[f64]| (100..).zip(values.iter().copied()).collect::<Vec<(i64, f64)>>();
    let wave = |level: f64, n: usize| (0..n).map(move |d| level + [0.0, 1.0, -1.0, 0.5][d % 4]);
    let two: Vec<f64> = wave(70.0, 10).chain(wave(85.0, 8)).collect();
    let got = changes(&days(&two));
    assert_eq!(got.len(), 1, "{got:?}");
    assert_eq!((got[0].day, near(got[0].after, (85.0 * 8.0 + 1.0) / 8.0)), (110, true));
    let three: Vec<f64> = wave(70.0, 10).chain(wave(85.0, 8)).chain(wave(60.0, 12)).collect();
    assert_eq!(changes(&days(&three)).iter().map(|c| c.day).collect::<Vec<_>>(), [110, 118]);
    let step: Vec<f64> = [vec![70.0; 7], vec![80.0; 7]].concat();
    assert_eq!(changes(&days(&step)), [Change { day: 107, before: 70.0, after: 80.0 }]);
    // One odd day, noise and nothing are no changes of level.
    let mut odd = vec![70.0; 12];
    odd[5] = 71.0;
    for none in [odd, wave(70.0, 40).collect(), vec![70.0; 20], vec![], vec![1.0, 90.0, 1.0]] {
        assert_eq!(changes(&days(&none)), [], "{none:?}");
    }
}

#[test]
fn what_is_usual_and_was_missed_is_found() {
    // At about eight and at about twenty, for ten days; the evening of days 3 and 4 and all of day 6 are missing.
    let jitter = [-20, 0, 15, 5, -10, 25, 0, 10, -5, 20];
    let mut samples = vec![];
    for day in (0..10).filter(|day| *day != 6) {
        samples.push((day * DAY + 8 * HOUR + jitter[usize::try_from(day).unwrap()] * MINUTE, 80.0));
        if ![3, 4].contains(&day) {
            samples.push((day * DAY + 20 * HOUR - jitter[usize::try_from(day).unwrap()] * MINUTE, 80.0));
        }
    }
    let got = summary(&samples, &Bands::default()).habits;
    assert_eq!(
        (got.days, got.usual_per_day, got.days_without, &got.days_without_list[..]),
        (10, Some(2.0), 1, &[6][..])
    );
    let windows: Vec<_> = got.windows.iter().map(|w| (w.days, w.missed, w.missed_days.clone())).collect();
    assert_eq!(windows, [(9, 1, vec![6]), (7, 3, vec![6, 4, 3])]);
    for (window, usual) in got.windows.iter().zip([32, 80]) {
        assert!(window.from < usual && usual < window.to, "{window:?}");
    }
    assert_eq!(habits(&[], 0..10), Habits::default());
    assert_eq!(habits(&[(5, 1, 1)], 3..5).days, 0);
}

fn quantile(values: &[f64], p: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = p * f64::from(u32::try_from(sorted.len() - 1).unwrap());
    let mut at = 0;
    while f64::from(u32::try_from(at + 1).unwrap()) <= rank {
        at += 1;
    }
    let next = sorted[(at + 1).min(sorted.len() - 1)];
    sorted[at] + (next - sorted[at]) * (rank - f64::from(u32::try_from(at).unwrap()))
}

proptest! {
    #[test]
    fn digests_are_what_all_values_say(
        steps in prop::collection::vec((0..3 * HOUR, 300..4000_i32), 1..400),
        minutes in -840..840_i64,
    ) {
        let sign = if minutes < 0 { '-' } else { '+' };
        let zone = Zone::parse(&format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)).unwrap();
        let mut at = 0;
        let samples: Vec<(i64, f64)> = steps.iter().map(|(step, value)| { at += step; (at, f64::from(*value) / 10.0) }).collect();
        let values: Vec<f64> = samples.iter().map(|s| s.1).collect();
        let bands = glucose();
        let days = digest(&samples, zone, bands);
        let lent: Vec<(i64, &Digest)> = days.iter().map(|(day, digest)| (*day, digest)).collect();
        let got = Summary::of(&lent, bands, 4, Night::default(), 0..100);
        let n = f64::from(u32::try_from(values.len()).unwrap());
        let mean = values.iter().sum::<f64>() / n;
        prop_assert!(near(got.moments.mean, mean));
        if values.len() > 1 {
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
            prop_assert!((got.moments.sd().unwrap() - variance.sqrt()).abs() < 1e-6);
        }
        prop_assert!(near(got.error, 0.0));
        prop_assert!(near(got.median.unwrap(), quantile(&values, 0.5)));
        for slot in &got.profile {
            let own: Vec<f64> = samples.iter().filter(|s| (slot.from..slot.to).contains(&zone.quarter(s.0))).map(|s| s.1).collect();
            prop_assert_eq!(slot.count, own.len());
            for (p, got) in [0.05, 0.25, 0.5, 0.75, 0.95].into_iter().zip(slot.percentiles) {
                prop_assert!(near(got, quantile(&own, p)));
            }
        }
        let mut time = [0; 5];
        for two in samples.windows(2) {
            if two[1].0 - two[0].0 <= bands.gap_us {
                time[bands.of(two[0].1)] += two[1].0 - two[0].0;
            }
        }
        prop_assert_eq!(got.bands.map(|share| share.time_us), time);
        prop_assert_eq!(got.bands.iter().map(|share| share.readings).sum::<usize>(), values.len());
        // One digest of everything is the merge of its days, wherever it is cut.
        let whole = Digest::of(samples.iter().copied(), zone, bands);
        let mut merged = Digest::default();
        for (_, day) in &days {
            merged.merge(day, bands);
        }
        prop_assert_eq!((whole.bands, whole.mask(), whole.first, whole.last), (merged.bands, merged.mask(), merged.first, merged.last));
        prop_assert_eq!(whole.values(), merged.values());
        prop_assert_eq!(whole.longest_gap, merged.longest_gap);
    }

    #[test]
    fn a_sketch_of_too_many_values_says_how_far_off_it_is(values in prop::collection::vec(-1e9..1e9_f64, 2100..2400), cut in 1..2000_usize) {
        let (mut one, mut other) = (Sketch::default(), Sketch::default());
        for (at, value) in values.iter().enumerate() {
            if at < cut { one.push(*value) } else { other.push(*value) }
        }
        one.merge(&other);
        prop_assert_eq!(one.count(), values.len());
        prop_assert!(one.size() <= 2048 && one.error() > 0.0 && one.error() < 4e6);
        for p in [0.0, 0.05, 0.5, 0.95, 1.0] {
            prop_assert!((one.quantile(p).unwrap() - quantile(&values, p)).abs() <= one.error());
        }
    }

    #[test]
    fn no_numbers_are_too_odd(values in prop::collection::vec((any::<i64>(), any::<f64>()), 0..60), texts in "\\PC{0,12}") {
        let _ = (Zone::parse(&texts), Night::parse(&texts));
        let mut digest = Digest::default();
        for (us, value) in &values {
            digest.push(*us, *value, UTC, glucose());
        }
        let own = [(1, &digest), (2, &digest)];
        let got = Summary::of(&own, glucose(), 1, Night::default(), 0..MOST_DAYS.try_into().unwrap());
        prop_assert_eq!(got.moments.count, 2 * digest.moments.count);
        let points: Vec<(i64, f64)> = (0..).zip(values.iter().map(|v| v.1)).collect();
        let _ = (trend(&points), changes(&points));
    }
}
