//! What several signals say of one instant. Readings of an instant come one by one and in any order, so nothing is
//! judged before the instant is over: a later reading has come, or its time to settle has passed. Pure.

use super::super::rule::{Rule, Test};
use super::Sample;

/// The latest reading of each signal, and the instant that is not judged yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Latest {
    samples: Vec<Option<Sample>>,
    open: Option<i64>,
    /// The last that was judged.
    closed: Option<i64>,
}

impl Latest {
    pub(super) fn take(&mut self, sample: &Sample) {
        let at = usize::from(sample.signal);
        if self.samples.len() <= at {
            self.samples.resize(at + 1, None);
        }
        if let Some(place) = self.samples.get_mut(at) {
            *place = Some(*sample);
        }
        self.open = Some(sample.at);
    }

    /// Remembers a reading that by itself calls for nothing.
    pub(super) fn keep(&mut self, sample: &Sample) {
        let open = self.open;
        self.take(sample);
        self.open = open;
    }

    /// The instant that waits to be judged.
    pub(super) fn open(&self) -> Option<i64> {
        self.open
    }

    /// The instant is judged now.
    pub(super) fn close(&mut self) {
        self.closed = self.open.take().or(self.closed);
    }

    /// The last instant that was judged.
    pub(super) fn closed(&self) -> Option<i64> {
        self.closed
    }

    /// The latest reading of a signal that still stands for the present at `now`.
    pub(super) fn fresh(&self, rule: &Rule, signal: usize, now: i64) -> Option<Sample> {
        let sample = (*self.samples.get(signal)?)?;
        let fresh = rule.signals.get(signal)?.fresh;
        fresh.is_none_or(|fresh| now - sample.at <= fresh).then_some(sample)
    }

    /// The newest reading of the instant that was open.
    pub(super) fn newest(&self) -> Option<Sample> {
        self.samples.iter().flatten().max_by_key(|sample| (sample.at, sample.seq)).copied()
    }

    /// First signal minus the second.
    pub(super) fn difference(&self, rule: &Rule, now: i64) -> Option<f64> {
        Some(self.fresh(rule, 0, now)?.value - self.fresh(rule, 1, now)?.value)
    }

    /// Does the test hold? None: too little is known to say.
    pub(super) fn holds(&self, rule: &Rule, test: &Test, now: i64) -> Option<bool> {
        match test {
            Test::Compare { signal, comparator, value } => {
                Some(comparator.holds(self.fresh(rule, *signal, now)?.value, *value))
            }
            Test::All(tests) => self.joined(rule, tests, now, false),
            Test::Any(tests) => self.joined(rule, tests, now, true),
            Test::Not(test) => self.holds(rule, test, now).map(|holds| !holds),
        }
    }

    /// One test that is `decisive` decides, otherwise one that is not known leaves all unknown.
    fn joined(&self, rule: &Rule, tests: &[Test], now: i64, decisive: bool) -> Option<bool> {
        let found: Vec<Option<bool>> = tests.iter().map(|test| self.holds(rule, test, now)).collect();
        if found.contains(&Some(decisive)) {
            return Some(decisive);
        }
        if found.contains(&None) { None } else { Some(!decisive) }
    }
}
