//! What a rule tests. Most rules derive one number from the readings (the gauge) and hold it against limits; the
//! others wait for readings that do not come, form a score, or join several tests.

use super::cause::Cause;
use super::level::{Level, Side};
use super::limit::{Comparator, Sides};
use crate::alert::pattern::Zone;
use crate::alert::score;

#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A number derived from the readings of the first signal (and, for a difference, the second).
    Limits { gauge: Gauge, limits: Sides },
    /// No reading for `after` µs.
    Missing { after: i64, per: Per, level: Level },
    /// A score of all signals; its bands are the levels.
    Score(score::Kind),
    /// Several tests joined.
    Compound { test: Test, level: Level },
}

impl Condition {
    /// Does it look at several signals? Then it is judged once all readings of an instant are there.
    pub fn is_joint(&self) -> bool {
        matches!(self, Self::Score(_) | Self::Compound { .. } | Self::Limits { gauge: Gauge::Difference, .. })
    }
}

/// The number that limits are held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gauge {
    /// The value itself.
    Value,
    /// Change in `per` µs, measured against the oldest reading of the last `window` µs.
    Rate { window: i64, per: i64 },
    /// Change against the oldest reading of the last `window` µs.
    Change { window: i64 },
    /// Trend in `per` µs, of readings that count less the older they are (a third after `memory` µs).
    Slope { memory: i64, per: i64 },
    /// How many standard deviations from the patient's own mean.
    Deviation(Baseline),
    /// For how many seconds the value has not moved by more than `tolerance`.
    Flat { tolerance: f64 },
    /// First signal minus the second, as long as both are fresh.
    Difference,
}

/// How the usual value of a patient is learnt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Baseline {
    pub method: Method,
    /// Older readings count less: a third after so many µs.
    pub memory: i64,
    /// Nothing is judged before so many readings.
    pub warm_up: u32,
    /// Of each day only this is judged; none: each reading.
    pub daily: Option<Daily>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Exponentially weighted mean and variance.
    Ewma,
    /// Two-sided cumulative sum of what lies beyond `slack` standard deviations.
    Cusum { slack: f64 },
    /// Median and median absolute deviation.
    Robust,
}

/// One number a day: of the readings from `from` to `to` (minutes after midnight, as clocks in `zone` show them),
/// judged when these hours are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Daily {
    pub from: u16,
    pub to: u16,
    pub zone: Zone,
    pub pick: Pick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    Lowest,
    Highest,
    Mean,
}

/// Whose silence a rule listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// Each signal of a patient by itself.
    Signal,
    /// All that one device sends about a patient. Such an alert mutes those of its signals.
    Device,
}

/// A test of the latest readings. What is not known is not true, and its negation is not true either.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    Compare { signal: usize, comparator: Comparator, value: f64 },
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
}

impl Gauge {
    pub fn cause(self, side: Side) -> Cause {
        match self {
            Self::Value => Cause::Threshold(side),
            Self::Rate { .. } => Cause::Rate(side),
            Self::Change { .. } => Cause::Change(side),
            Self::Slope { .. } => Cause::Slope(side),
            Self::Deviation(_) => Cause::Deviation(side),
            Self::Flat { .. } => Cause::Flatline,
            Self::Difference => Cause::Difference(side),
        }
    }
}
