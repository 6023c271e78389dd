//! What is usual for one patient, learnt from the patient's own readings, and how far a reading is from it: in
//! standard deviations of what was learnt *before* it. Pure. A reading that is far out teaches nothing, so that a
//! patient who gets worse does not become the new normal.

use super::super::rule::{Baseline, Daily, Method, Pick};
use super::Sample;
use super::gauge::seconds;

/// What is this far out (standard deviations) is judged, and not learnt from.
const OUTLYING: f64 = 3.0;
/// A median absolute deviation times this is the standard deviation of a normal distribution.
const MAD: f64 = 1.4826;
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
    /// Since when everything has been far out.
    out: Option<i64>,
    today: Option<Box<Today>>,
    /// The last day that was judged; clocks that are put back show its hours twice.
    closed: i64,
}

/// What is collected of a day whose hours are not over.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Today {
    day: i64,
    count: u32,
    /// When its hours are over, µs UTC.
    over: i64,
    /// The number of the day so far, and the reading that made it.
    value: f64,
    sample: Sample,
}

impl Usual {
    pub(super) fn new() -> Self {
        let (centre, spread, up, down) = (0.0, 0.0, 0.0, 0.0);
        Self { at: 0, count: 0, centre, spread, up, down, out: None, today: None, closed: i64::MIN }
    }

    /// How far out this reading is; none while learning, and where a whole day is judged when it is over (`close`).
    pub(super) fn step(&mut self, baseline: &Baseline, sample: &Sample) -> Option<f64> {
        match baseline.daily {
            None => self.judge(baseline, sample.at, sample.value),
            Some(daily) => {
                self.collect(daily, sample);
                None
            }
        }
    }

    /// When the hours that are being collected are over, µs UTC.
    pub(super) fn open(&self) -> Option<i64> {
        self.today.as_ref().map(|today| today.over)
    }

    /// The hours are over: how far out the number of the day is, told by the reading that made it.
    pub(super) fn close(&mut self, baseline: &Baseline) -> Option<Sample> {
        let today = self.today.take()?;
        self.closed = today.day;
        let value = self.judge(baseline, today.over, today.value)?;
        Some(Sample { at: today.over, value, ..today.sample })
    }

    /// Adds a reading to its day. The day before must have been closed.
    fn collect(&mut self, daily: Daily, sample: &Sample) {
        let local = daily.zone.local(sample.at);
        let (day, minute) = (local.div_euclid(DAY), local.rem_euclid(DAY) / MINUTE);
        let (from, to) = (i64::from(daily.from), i64::from(daily.to));
        let night = from > to;
        let inside = if night { minute >= from || minute < to } else { (from..to).contains(&minute) };
        // The hours after midnight of a night belong to the evening before.
        let day = if night && minute < to { day - 1 } else { day };
        if !inside || day <= self.closed {
            return;
        }
        if let Some(today) = self.today.as_deref_mut() {
            return today.take(daily.pick, sample);
        }
        let over = daily.zone.utc((day + i64::from(night)) * DAY + to * MINUTE);
        // Clocks that are put back come by the end twice: the first time counts.
        if over > sample.at {
            self.today = Some(Box::new(Today { day, count: 1, over, value: sample.value, sample: *sample }));
        }
    }

    fn judge(&mut self, baseline: &Baseline, at: i64, value: f64) -> Option<f64> {
        let mut deviation = self.deviation(baseline, value);
        if deviation.is_some_and(|d| d.abs() >= OUTLYING) {
            let since = *self.out.get_or_insert(at);
            // What has been so for as long as is looked back has become the usual: it is learnt from the beginning.
            if at - since >= baseline.memory {
                let (today, closed) = (self.today.take(), self.closed);
                *self = Self { today, closed, ..Self::new() };
                deviation = None;
            }
        } else {
            self.out = None;
        }
        if self.out.is_none() {
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
    fn take(&mut self, pick: Pick, sample: &Sample) {
        self.count = self.count.saturating_add(1);
        let (value, taken) = match pick {
            Pick::Lowest => (sample.value, sample.value < self.value),
            Pick::Highest => (sample.value, sample.value > self.value),
            Pick::Mean => (self.value + (sample.value - self.value) / f64::from(self.count), true),
        };
        if taken {
            self.value = value;
            self.sample = *sample;
        }
    }
}

#[cfg(test)]
mod tests;
