//! A patient's own baseline, as a rule holds it: one value a day against mean and spread of the days before. What is
//! judged is never part of what it is judged by. In single precision, so that a state stays below 128 bytes; the values
//! compared are small numbers with few digits.

use super::digest::Digest;

/// Days that a baseline can look back.
const MOST: usize = 14;

/// How one day lies to the days before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deviation {
    pub value: f64,
    pub mean: f64,
    pub sd: f64,
    /// Standard deviations above (below, when negative) the mean; none when the days before were all alike.
    pub z: Option<f64>,
}

/// The days before, a ring of the newest fourteen at most. A day without a value takes its place as such: fourteen
/// days are days of the calendar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Baseline {
    days: [f32; MOST],
    span: u8,
    least: u8,
    next: u8,
}

impl Baseline {
    /// Looks back `span` days (14 at most), of which `least` must have a value (2 at least).
    pub fn new(span: u8, least: u8) -> Self {
        let most = u8::try_from(MOST).unwrap_or(u8::MAX);
        let span = span.clamp(2, most);
        Self { days: [f32::NAN; MOST], span, least: least.clamp(2, span), next: 0 }
    }

    /// Judges the next day, then takes it in. None for a day without a value, and while too few days are known.
    pub fn step(&mut self, day_value: Option<f64>) -> Option<Deviation> {
        let value = day_value.filter(|value| value.is_finite());
        let deviation = value.and_then(|value| self.judge(value));
        if let Some(place) = self.days.get_mut(usize::from(self.next)) {
            *place = value.map_or(f32::NAN, single);
        }
        self.next = (self.next + 1) % self.span;
        deviation
    }

    /// How a value would lie, without taking it in.
    pub fn judge(&self, value: f64) -> Option<Deviation> {
        let known = || self.days.iter().filter(|day| day.is_finite()).map(|day| f64::from(*day));
        let count = known().count();
        if count < usize::from(self.least) {
            return None;
        }
        let mean = known().sum::<f64>() / super::float(count);
        let squares: f64 = known().map(|day| (day - mean).powi(2)).sum();
        let sd = (squares / super::float(count - 1)).sqrt();
        let z = (sd > 0.0).then(|| (value - mean) / sd);
        Some(Deviation { value, mean, sd, z })
    }
}

/// The nearest number of single precision.
fn single(value: f64) -> f32 {
    // There is no conversion that rounds but the one by text; once a day that costs nothing.
    value.to_string().parse().unwrap_or(f32::NAN)
}

/// Which value stands for a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daily {
    Median,
    Lowest,
    Highest,
    Mean,
}

impl Daily {
    /// The value of a digested day, of its quarters `from..to`.
    pub fn of(self, day: &Digest, from: u8, to: u8) -> Option<f64> {
        let values = day.between(from, to);
        match self {
            Self::Median => values.quantile(0.5),
            Self::Lowest => values.lowest(),
            Self::Highest => values.highest(),
            Self::Mean => (values.count() > 0).then(|| values.sum() / super::float(values.count())),
        }
    }
}

/// The lowest value of each day (a resting heart rate, of a window such as the early morning), judged when the next
/// day begins. Readings come in the order of time, each with its local day; one of a day that is over is passed over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lowest {
    baseline: Baseline,
    day: i64,
    so_far: Option<f64>,
}

impl Lowest {
    pub fn new(span: u8, least: u8) -> Self {
        Self { baseline: Baseline::new(span, least), day: i64::MIN, so_far: None }
    }

    /// Takes in one reading. What comes back is about the last day that had readings and is over now.
    pub fn push(&mut self, day: i64, value: f64) -> Option<Deviation> {
        if day < self.day || !value.is_finite() {
            return None;
        }
        let judged = if day > self.day { self.close(day) } else { None };
        self.so_far = Some(self.so_far.map_or(value, |lowest| lowest.min(value)));
        judged
    }

    /// A day has begun: the one before is judged, also when no reading came yet.
    pub fn close(&mut self, day: i64) -> Option<Deviation> {
        if day <= self.day {
            return None;
        }
        let judged = self.so_far.take().and_then(|lowest| self.baseline.step(Some(lowest)));
        // Whole days between were without a reading; of more than can be looked back nothing is left.
        let between = if self.day == i64::MIN { 0 } else { day.saturating_sub(self.day).saturating_sub(1) };
        for _ in 0..between.min(i64::from(self.baseline.span)) {
            self.baseline.step(None);
        }
        self.day = day;
        judged
    }
}
