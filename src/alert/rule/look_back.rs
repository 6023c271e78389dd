//! What of the past a window is made of. Pure.

use std::time::Duration;

use super::{Condition, Gauge, Rule};
use crate::alert::score::Parameter;

/// A score that says the same is told once in this time, µs.
pub const STEADY: i64 = 60_000_000;

/// What of one signal's past a window needs: its last readings that count, and all of some time, µs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookBack {
    pub count: usize,
    pub back: i64,
    /// What is older than this counts for nothing, µs.
    pub reach: Option<i64>,
}

impl Rule {
    /// How many readings, and how long back (µs), matter to a window at most.
    pub fn look_back(&self) -> (usize, i64) {
        let counted = usize::from(self.timing.damping.m).max(self.signals.len());
        let fresh = self.signals.iter().filter_map(|signal| signal.fresh).max().unwrap_or(0);
        (counted, self.durations().max(self.memory()).max(fresh))
    }

    /// The same of one of its signals. Of several signals each counts by its last reading alone, except for signs of
    /// oxygen: one that says nothing new hides none before it.
    pub fn look_back_of(&self, place: usize) -> LookBack {
        let (count, back) = self.look_back();
        let signal = self.signals.get(place);
        let fresh = signal.and_then(|signal| signal.fresh);
        let plain = self.timing.damping.m <= 1 && self.durations() == 0;
        let parameter = signal.and_then(|signal| Parameter::from_code(&signal.name));
        match &self.condition {
            Condition::Score(_) if parameter.is_some_and(Parameter::tells_of_oxygen) => {
                LookBack { count: 1, back: fresh.unwrap_or(back), reach: fresh }
            }
            Condition::Score(_) if plain => LookBack { count: 1, back: STEADY, reach: fresh },
            Condition::Missing { .. } if plain => LookBack { count: 1, back: 0, reach: Some(back) },
            _ if plain && self.condition.is_joint() => LookBack { count: 1, back: 0, reach: fresh },
            _ => LookBack { count, back, reach: None },
        }
    }

    fn durations(&self) -> i64 {
        self.timing.hold + self.timing.clear_hold
    }

    /// How long its condition remembers a reading, µs, with some time to spare.
    fn memory(&self) -> i64 {
        3 * match &self.condition {
            Condition::Limits { gauge, .. } => match gauge {
                Gauge::Value | Gauge::Difference => 0,
                Gauge::Flat { .. } => self.longest_flat(),
                Gauge::Rate { window, .. } | Gauge::Change { window } => *window,
                Gauge::Slope { memory, .. } => *memory,
                Gauge::Deviation(baseline) => baseline.memory,
            },
            Condition::Missing { after, .. } => *after,
            Condition::Score(_) | Condition::Compound { .. } => 0,
        }
    }

    /// The longest time without movement that it asks about, µs.
    fn longest_flat(&self) -> i64 {
        let limits = self
            .sides()
            .into_iter()
            .flat_map(|sides| sides.high.iter().map(|(_, limit)| limit.value).collect::<Vec<_>>());
        let longest = limits.fold(0.0_f64, f64::max);
        Duration::try_from_secs_f64(longest).ok().and_then(|d| i64::try_from(d.as_micros()).ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{compile, default_plans};
    use super::*;

    #[test]
    fn a_window_asks_for_no_more_of_the_past_than_it_remembers() {
        const HOUR: i64 = 3_600_000_000;
        let table = [
            ("limits-8867-4", "", LookBack { count: 2, back: 0, reach: None }),
            ("score-news2", "heart-rate", LookBack { count: 1, back: STEADY, reach: Some(4 * HOUR) }),
            ("score-news2", "oxygen-flow", LookBack { count: 1, back: 8 * HOUR, reach: Some(8 * HOUR) }),
            ("missing-8867-4", "", LookBack { count: 1, back: 0, reach: Some(HOUR / 2) }),
            ("change-29463-7", "", LookBack { count: 1, back: 216 * HOUR, reach: None }),
        ];
        let plans = default_plans();
        for (id, signal, expected) in table {
            let rule = compile(plans.iter().find(|plan| plan["id"] == id).unwrap()).unwrap();
            let place = rule.signals.iter().position(|own| signal.is_empty() || own.name == signal).unwrap();
            assert_eq!(rule.look_back_of(place), expected, "{id} {signal}");
        }
    }
}
