//! What is usual for one patient, learnt from the patient's own readings, and how far a reading is from it: in
//! standard deviations of what was learnt *before* it. Pure. A reading that is far out teaches nothing, so that a
//! patient who gets worse does not become the new normal.

use super::super::rule::{Baseline, Daily, Method, Pick};
use super::gauge::seconds;

/// What is this far out (standard deviations) is judged, and not learnt from.
const OUTLYING: f64 = 3.0;
/// A median absolute deviation times this is the standard deviation of a normal distribution.
const MAD: f64 = 1.4826;
/// A microsecond day.
const DAY: i64 = 86_400_000_000;
const MINUTE: i64 = 60_000_000;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Usual {
    at: i64,
    count: u32,
    /// Mean, or for the robust method the median.
    centre: f64,
    /// Variance, or for the robust method the median absolute deviation.
    spread: f64,
    /// The two cumulative sums.
    up: f64,
    down: f64,
    today: Option<Today>,
}

/// What is collected of a day that is not over.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Today {
    day: i64,
    count: u32,
    value: f64,
}

impl Usual {
    pub(super) fn new(_: &Baseline) -> Self {
        Self { at: 0, count: 0, centre: 0.0, spread: 0.0, up: 0.0, down: 0.0, today: None }
    }

    /// How far out this reading is, or the day that it shows to be over. None while learning.
    pub(super) fn step(&mut self, baseline: &Baseline, at: i64, value: f64) -> Option<f64> {
        match baseline.daily {
            None => self.judge(baseline, at, value),
            Some(daily) => {
                let (day, value) = self.collect(daily, at, value)?;
                self.judge(baseline, day, value)
            }
        }
    }

    /// Adds a reading to its day; gives the number of the day before when that is over.
    fn collect(&mut self, daily: Daily, at: i64, value: f64) -> Option<(i64, f64)> {
        let local = at + i64::from(daily.offset) * MINUTE;
        let (day, minute) = (local.div_euclid(DAY), local.rem_euclid(DAY) / MINUTE);
        let (from, to) = (i64::from(daily.from), i64::from(daily.to));
        let inside = if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to };
        // The hours after midnight of a night belong to the evening before.
        let day = if from > to && minute < to { day - 1 } else { day };
        let over = self.today.filter(|today| day > today.day || (day == today.day && !inside));
        if over.is_some() {
            self.today = None;
        }
        if inside {
            self.today = Some(match self.today {
                Some(today) if today.day == day => today.with(daily.pick, value),
                _ => Today { day, count: 1, value },
            });
        }
        over.map(|today| (today.day * DAY, today.value))
    }

    fn judge(&mut self, baseline: &Baseline, at: i64, value: f64) -> Option<f64> {
        let deviation = self.deviation(baseline, value);
        if deviation.is_none_or(|d| d.abs() < OUTLYING) {
            self.learn(baseline, at, value);
        }
        let deviation = deviation?;
        match baseline.method {
            Method::Ewma | Method::Robust => Some(deviation),
            Method::Cusum { slack } => {
                self.up = (self.up + deviation - slack).max(0.0);
                self.down = (self.down - deviation - slack).max(0.0);
                Some(if self.up >= self.down { self.up } else { -self.down })
            }
        }
    }

    fn deviation(&self, baseline: &Baseline, value: f64) -> Option<f64> {
        if self.count < baseline.warm_up {
            return None;
        }
        let sd = match baseline.method {
            Method::Robust => self.spread * MAD,
            Method::Ewma | Method::Cusum { .. } => self.spread.sqrt(),
        };
        // What never moved has no scale to measure by.
        (sd > 1e-9 * self.centre.abs().max(1.0)).then(|| (value - self.centre) / sd)
    }

    fn learn(&mut self, baseline: &Baseline, at: i64, value: f64) {
        let passed = seconds((at - self.at).max(0));
        self.at = at;
        self.count = self.count.saturating_add(1);
        // At first the plain mean: each reading counts as much as those before it.
        let share = (1.0 / f64::from(self.count)).max(1.0 - (-passed / seconds(baseline.memory)).exp());
        let off = value - self.centre;
        match baseline.method {
            Method::Ewma | Method::Cusum { .. } => {
                self.centre += share * off;
                self.spread = (1.0 - share) * (self.spread + share * off * off);
            }
            Method::Robust if self.count == 1 => self.centre = value,
            // Steps towards the reading, of a size that depends on the scale and not on the reading: an estimate of
            // the median that one wild value cannot pull away.
            Method::Robust => {
                let scale = if self.spread > 0.0 { self.spread } else { off.abs() };
                self.centre += share.min(0.5) * scale * 2.0 * off.signum();
                let further = (value - self.centre).abs() - self.spread;
                self.spread = (self.spread + share.min(0.5) * scale * 2.0 * further.signum()).max(0.0);
            }
        }
    }
}

impl Today {
    fn with(self, pick: Pick, value: f64) -> Self {
        let count = self.count.saturating_add(1);
        let value = match pick {
            Pick::Lowest => self.value.min(value),
            Pick::Highest => self.value.max(value),
            Pick::Mean => self.value + (value - self.value) / f64::from(count),
        };
        Self { count, value, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(method: Method) -> Baseline {
        Baseline { method, memory: 14 * DAY, warm_up: 10, daily: None }
    }

    /// 70, 71, 70, 69 in turn, one an hour, then the given value.
    fn after_quiet(method: Method, value: f64) -> Option<f64> {
        let baseline = baseline(method);
        let mut usual = Usual::new(&baseline);
        for i in 0..400 {
            usual.step(&baseline, i * 3_600_000_000, [70.0, 71.0, 70.0, 69.0][usize::try_from(i % 4).unwrap()]);
        }
        usual.step(&baseline, 400 * 3_600_000_000, value)
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
        let mut usual = Usual::new(&baseline);
        let found: Vec<_> = (0..20).map(|i| usual.step(&baseline, i, 70.0)).collect();
        assert!(found.iter().all(Option::is_none));
    }

    #[test]
    fn what_is_far_out_is_not_learnt() {
        let baseline = baseline(Method::Ewma);
        let mut usual = Usual::new(&baseline);
        for i in 0..100 {
            usual.step(&baseline, i, [69.0, 71.0][usize::try_from(i % 2).unwrap()]);
        }
        let deviations: Vec<f64> = (100..200).filter_map(|i| usual.step(&baseline, i, 90.0)).collect();
        assert!(deviations.len() == 100 && deviations.iter().all(|z| *z > 10.0));
    }

    #[test]
    fn a_day_is_one_number_when_its_hours_are_over() {
        let daily = Daily { from: 300, to: 540, offset: 60, pick: Pick::Lowest };
        let mut usual = Usual::new(&baseline(Method::Ewma));
        let hour = 60 * MINUTE;
        // Local time is an hour ahead: 04:00 UTC is 05:00.
        let readings = [(3, 50.0), (4, 62.0), (6, 60.0), (8, 40.0), (28, 61.0), (56, 99.0)];
        let found: Vec<_> = readings.iter().map(|(at, v)| usual.collect(daily, at * hour, *v)).collect();
        assert_eq!(found, [None, None, None, Some((0, 60.0)), None, Some((DAY, 61.0))]);
        let night = Daily { from: 1320, to: 360, offset: 0, pick: Pick::Mean };
        let found: Vec<_> =
            [(23, 60.0), (25, 70.0), (31, 0.0)].iter().map(|(at, v)| usual.collect(night, at * hour, *v)).collect();
        assert_eq!(found, [None, None, Some((0, 65.0))]);
    }
}
