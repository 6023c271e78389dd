//! The number that a rule derives from the readings of one patient, and what it must remember for that. Pure.
//! Every memory is bounded, whatever the rate of the readings.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::rule::Gauge;
use super::Sample;
use super::baseline::Usual;
use super::joint::Latest;
use super::scoring::Scoring;

/// How many readings of a window are remembered at most: one for each sixteenth of it.
const KEPT: i64 = 16;

/// What a gauge remembers; a plain value needs nothing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Memory {
    /// The oldest readings of the window first, at least a sixteenth of it apart.
    Ring(VecDeque<(i64, f64)>),
    Trend(Trend),
    Usual(Usual),
    /// The value that has not moved, and since when.
    Flat(f64, i64),
    Latest(Latest),
    Scoring(Box<Scoring>),
    /// What came last.
    Heard(Sample),
}

/// The number that is judged now; none when there is not enough to derive it from.
pub(super) fn derive(gauge: Gauge, memory: &mut Option<Box<Memory>>, sample: &Sample) -> Option<f64> {
    let Sample { at, value, .. } = *sample;
    match gauge {
        Gauge::Value => Some(value),
        Gauge::Change { window } => Some(value - oldest(memory, window, at, value)?.1),
        Gauge::Rate { window, per } => {
            let (then, before) = oldest(memory, window, at, value)?;
            Some((value - before) * ratio(per, at - then)?)
        }
        Gauge::Slope { memory: forget, per } => trend(memory)?.step(forget, per, at, value),
        Gauge::Deviation(baseline) => usual(memory)?.step(&baseline, sample),
        Gauge::Flat { tolerance } => flat(memory, tolerance, at, value),
        // Judged when the instant is over (`joint`).
        Gauge::Difference => None,
    }
}

/// A reading that is left out breaks what must be without a break.
pub(super) fn interrupt(memory: &mut Option<Box<Memory>>) {
    if matches!(memory.as_deref(), Some(Memory::Flat(..))) {
        *memory = None;
    }
}

/// The oldest reading in the window; then remembers this one.
fn oldest(memory: &mut Option<Box<Memory>>, window: i64, at: i64, value: f64) -> Option<(i64, f64)> {
    let memory = memory.get_or_insert_with(|| Box::new(Memory::Ring(VecDeque::new())));
    let Memory::Ring(ring) = memory.as_mut() else { return None };
    while ring.front().is_some_and(|(then, _)| *then < at - window) {
        ring.pop_front();
    }
    let oldest = ring.front().copied();
    if ring.back().is_none_or(|(then, _)| at - then >= window / KEPT) {
        ring.push_back((at, value));
    }
    oldest.filter(|(then, _)| *then < at)
}

fn trend(memory: &mut Option<Box<Memory>>) -> Option<&mut Trend> {
    match memory.get_or_insert_with(|| Box::new(Memory::Trend(Trend::default()))).as_mut() {
        Memory::Trend(trend) => Some(trend),
        _ => None,
    }
}

fn usual(memory: &mut Option<Box<Memory>>) -> Option<&mut Usual> {
    match memory.get_or_insert_with(|| Box::new(Memory::Usual(Usual::new()))).as_mut() {
        Memory::Usual(usual) => Some(usual),
        _ => None,
    }
}

/// Seconds for which the value has not moved.
fn flat(memory: &mut Option<Box<Memory>>, tolerance: f64, at: i64, value: f64) -> Option<f64> {
    match memory.as_deref() {
        Some(Memory::Flat(held, since)) if (value - held).abs() <= tolerance => {
            ratio(at - since, 1_000_000).or(Some(0.0))
        }
        _ => {
            *memory = Some(Box::new(Memory::Flat(value, at)));
            Some(0.0)
        }
    }
}

/// `a / b` of two durations; none when one of them is nothing.
pub(super) fn ratio(a: i64, b: i64) -> Option<f64> {
    (a > 0 && b > 0).then(|| seconds(a) / seconds(b))
}

pub(super) fn seconds(duration: i64) -> f64 {
    let size = Duration::from_micros(duration.unsigned_abs()).as_secs_f64();
    if duration < 0 { -size } else { size }
}

/// A straight line through readings that count less the older they are: running moments about the newest reading,
/// so that nothing large is subtracted from something large.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Trend {
    at: i64,
    weight: f64,
    /// Mean time before `at` (s, not positive) and mean value.
    time: f64,
    value: f64,
    /// Sums of squares and products about the means.
    spread: f64,
    product: f64,
}

impl Trend {
    /// The slope in `per` µs; none before there are readings of two times.
    fn step(&mut self, forget: i64, per: i64, at: i64, value: f64) -> Option<f64> {
        let passed = seconds(at - self.at);
        if self.weight > 0.0 {
            let fade = (-passed / seconds(forget)).exp();
            self.weight *= fade;
            self.spread *= fade;
            self.product *= fade;
            self.time -= passed;
        }
        self.at = at;
        let weight = self.weight + 1.0;
        let (time, rise) = (-self.time, value - self.value);
        let share = self.weight / weight;
        self.spread += share * time * time;
        self.product += share * time * rise;
        self.time += time / weight;
        self.value += rise / weight;
        self.weight = weight;
        (self.spread > 0.0).then(|| self.product / self.spread * seconds(per)).filter(|slope| slope.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn sample(at: i64, value: f64) -> Sample {
        Sample { at, value, seq: 0, signal: 0, readable: true }
    }

    fn numbers(gauge: Gauge, readings: &[(i64, f64)]) -> Vec<Option<f64>> {
        let mut memory = None;
        let number = |(minute, value): &(i64, f64)| derive(gauge, &mut memory, &sample(minute * MINUTE, *value));
        readings.iter().map(number).collect()
    }

    #[test]
    fn a_rate_is_the_change_since_the_oldest_reading_of_the_window() {
        let gauge = Gauge::Rate { window: 10 * MINUTE, per: MINUTE };
        let found = numbers(gauge, &[(0, 100.0), (5, 110.0), (10, 130.0), (15, 130.0), (40, 10.0)]);
        assert_eq!(found, [None, Some(2.0), Some(3.0), Some(2.0), None]);
        let gauge = Gauge::Change { window: 10 * MINUTE };
        assert_eq!(numbers(gauge, &[(0, 100.0), (5, 110.0), (10, 90.0)]), [None, Some(10.0), Some(-10.0)]);
    }

    #[test]
    fn a_straight_line_has_its_slope_and_readings_of_one_instant_have_none() {
        let gauge = Gauge::Slope { memory: 30 * MINUTE, per: 60 * MINUTE };
        let line: Vec<(i64, f64)> = (0_i32..50).map(|i| (i64::from(i) * 7 % 90 + i64::from(i) * 3, 0.0)).collect();
        let mut line: Vec<(i64, f64)> =
            line.iter().map(|(at, _)| (*at, 5.0 + 0.5 * f64::from(i32::try_from(*at).unwrap()))).collect();
        line.sort_by_key(|(at, _)| *at);
        for slope in numbers(gauge, &line).into_iter().skip(5).flatten() {
            assert!((slope - 30.0).abs() < 1e-6, "{slope}");
        }
        assert_eq!(numbers(gauge, &[(1, 3.0), (1, 9.0)]), [None, None]);
    }

    #[test]
    fn a_flat_line_is_timed_until_it_moves() {
        let gauge = Gauge::Flat { tolerance: 0.1 };
        let found = numbers(gauge, &[(0, 80.0), (1, 80.05), (2, 80.0), (3, 81.0), (4, 81.0)]);
        assert_eq!(found, [Some(0.0), Some(60.0), Some(120.0), Some(0.0), Some(60.0)]);
    }

    #[test]
    fn a_window_remembers_no_more_than_its_share_however_fast_readings_come() {
        let gauge = Gauge::Rate { window: 10 * MINUTE, per: MINUTE };
        let mut memory = None;
        for i in 0..100_000 {
            derive(gauge, &mut memory, &sample(i * 10_000, 1.0));
        }
        assert!(matches!(memory.as_deref(), Some(Memory::Ring(ring)) if ring.len() <= 17));
    }
}
