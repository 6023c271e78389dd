//! The state of one patient under one rule: the last few readings, and the level that each side stands at. Pure
//! and driven by the times of the readings alone, so that live evaluation, replay after a restart and back-tests
//! cannot differ. Nothing is stored here and nobody is notified.
//!
//! How levels move, on each side by itself, with n of m:
//! - **up** to the highest level that n of the last m readings reach;
//! - **down** to the highest level that one of the last n readings keeps up, measured by the limits moved towards
//!   normal by the hysteresis, but never below what the rule for going up still holds;
//! - fewer than n readings move nothing.
//!
//! One of one without hysteresis is the plain comparison of each reading. Implausible values raise a technical
//! alert until the next plausible one and are otherwise as if they had not been sent.

use std::collections::VecDeque;

use super::rule::{Cause, Level, Limit, Limits, Rule, Side};

/// One reading as a rule sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When it was measured, µs UTC.
    pub at: i64,
    /// In the unit of the rule.
    pub value: f64,
    /// Place in the log of the version that it came from: how its Observation is found again.
    pub seq: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Raise,
    Escalate,
    Deescalate,
    Resolve,
}

impl Kind {
    pub fn code(self) -> &'static str {
        match self {
            Self::Raise => "raise",
            Self::Escalate => "escalate",
            Self::Deescalate => "deescalate",
            Self::Resolve => "resolve",
        }
    }

    fn of(from: Level, to: Level) -> Self {
        match (from, to) {
            (Level::None, _) => Self::Raise,
            (_, Level::None) => Self::Resolve,
            (from, to) if to > from => Self::Escalate,
            _ => Self::Deescalate,
        }
    }
}

/// A change of level. An implausible value changes from none to warning and back; its level has no clinical meaning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transition {
    pub cause: Cause,
    pub from: Level,
    pub to: Level,
    pub kind: Kind,
    /// The reading that caused the change.
    pub sample: Sample,
    /// The limit of the new level; when resolved, the one that had been broken. None for a technical alert.
    pub limit: Option<Limit>,
    /// The reading with which it began: at a raise the first of those that broke a limit, else `sample`.
    pub onset: Sample,
    /// The value furthest out since the raise, as far as this window has seen it.
    pub peak: Option<Sample>,
}

impl Transition {
    /// The level that a log of events names: the new one, or the one that is over.
    pub fn level(&self) -> Level {
        if self.to == Level::None { self.from } else { self.to }
    }

    /// `warning`, `critical` or `technical`.
    pub fn level_code(&self) -> &'static str {
        if self.cause.is_technical() { "technical" } else { self.level().code() }
    }
}

/// What is firing, as every open DetectedIssue tells it after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Firing {
    pub low: Level,
    pub high: Level,
    pub implausible: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct State {
    level: Level,
    peak: Option<Sample>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// The last plausible readings, at most m, the latest at the end.
    recent: VecDeque<Sample>,
    low: State,
    high: State,
    implausible: bool,
    /// Time of the last accepted reading; older ones come too late.
    latest: i64,
    ignored: u32,
}

impl Window {
    pub fn new(rule: &Rule) -> Self {
        Self {
            recent: VecDeque::with_capacity(rule.damping.m),
            low: State::default(),
            high: State::default(),
            implausible: false,
            latest: i64::MIN,
            ignored: 0,
        }
    }

    /// The window as it was after these readings (in the order of time; the last m accepted ones suffice) when
    /// this was firing. Says nothing about changes: they were told when they happened.
    pub fn resume(rule: &Rule, firing: Firing, recent: &[Sample]) -> Self {
        let mut window = Self::new(rule);
        window.low.level = firing.low;
        window.high.level = firing.high;
        window.implausible = firing.implausible;
        for sample in recent {
            if sample.at < window.latest {
                continue;
            }
            window.latest = sample.at;
            if rule.is_plausible(sample.value) {
                window.remember(rule, sample);
                window.track(rule);
            }
        }
        window
    }

    pub fn firing(&self) -> Firing {
        Firing { low: self.low.level, high: self.high.level, implausible: self.implausible }
    }

    /// How many readings came too late to be judged.
    pub fn ignored(&self) -> u32 {
        self.ignored
    }

    /// Judges one reading. Allocates only when something changes. Readings of the same instant are judged in the
    /// order in which they come; one that is older than the last accepted is counted and left out.
    pub fn step(&mut self, rule: &Rule, sample: &Sample) -> Vec<Transition> {
        let mut changes = Vec::new();
        if sample.at < self.latest {
            self.ignored = self.ignored.saturating_add(1);
            return changes;
        }
        self.latest = sample.at;
        let plausible = rule.is_plausible(sample.value);
        if plausible == self.implausible {
            self.implausible = !plausible;
            changes.push(technical(sample, plausible));
        }
        if plausible {
            self.remember(rule, sample);
            changes.extend(self.judge(rule, sample, Side::Low));
            changes.extend(self.judge(rule, sample, Side::High));
            self.track(rule);
        }
        changes
    }

    fn remember(&mut self, rule: &Rule, sample: &Sample) {
        while self.recent.len() >= rule.damping.m.max(1) {
            self.recent.pop_front();
        }
        self.recent.push_back(*sample);
    }

    fn state(&self, side: Side) -> &State {
        match side {
            Side::Low => &self.low,
            Side::High => &self.high,
        }
    }

    fn state_mut(&mut self, side: Side) -> &mut State {
        match side {
            Side::Low => &mut self.low,
            Side::High => &mut self.high,
        }
    }

    fn judge(&mut self, rule: &Rule, sample: &Sample, side: Side) -> Option<Transition> {
        let limits = rule.condition.limits(side);
        let State { level: from, peak } = *self.state(side);
        let reached = self.reached(limits, rule.damping.n);
        let to = if reached > from { reached } else { from.min(reached.max(self.kept(limits, rule.damping.n, from))) };
        if to == from {
            return None;
        }
        let kind = Kind::of(from, to);
        let broken = || self.recent.iter().filter(|s| limits.reached(s.value) > Level::None);
        let (onset, peak) = if kind == Kind::Raise {
            let worst = broken().copied().reduce(|a, b| if side.worse(b.value, a.value) { b } else { a });
            (broken().next().copied().unwrap_or(*sample), worst)
        } else {
            (*sample, peak.map(|p| if side.worse(sample.value, p.value) { *sample } else { p }))
        };
        let state = self.state_mut(side);
        state.level = to;
        state.peak = if to == Level::None { None } else { peak };
        let limit = limits.get(if to == Level::None { from } else { to });
        Some(Transition { cause: Cause::Threshold(side), from, to, kind, sample: *sample, limit, onset, peak })
    }

    /// The highest level that n of the remembered readings reach.
    fn reached(&self, limits: &Limits, n: usize) -> Level {
        let (mut warning, mut critical) = (0, 0);
        for sample in &self.recent {
            let level = limits.reached(sample.value);
            warning += usize::from(level >= Level::Warning);
            critical += usize::from(level == Level::Critical);
        }
        if critical >= n {
            Level::Critical
        } else if warning >= n {
            Level::Warning
        } else {
            Level::None
        }
    }

    /// The highest level that one of the last n readings keeps up; with fewer readings nothing is given up.
    fn kept(&self, limits: &Limits, n: usize, current: Level) -> Level {
        if self.recent.len() < n {
            return current;
        }
        self.recent.iter().rev().take(n).map(|s| limits.kept(s.value)).max().unwrap_or(current)
    }

    /// Keeps the value furthest out of each side that is firing.
    fn track(&mut self, rule: &Rule) {
        let Some(sample) = self.recent.back().copied() else { return };
        for side in [Side::Low, Side::High] {
            let broken = rule.condition.limits(side).reached(sample.value) > Level::None;
            let state = self.state_mut(side);
            let further = state.peak.is_none_or(|peak| side.worse(sample.value, peak.value));
            if state.level > Level::None && broken && further {
                state.peak = Some(sample);
            }
        }
    }
}

fn technical(sample: &Sample, over: bool) -> Transition {
    let (from, to) = if over { (Level::Warning, Level::None) } else { (Level::None, Level::Warning) };
    Transition {
        cause: Cause::Implausible,
        from,
        to,
        kind: Kind::of(from, to),
        sample: *sample,
        limit: None,
        onset: *sample,
        peak: None,
    }
}

#[cfg(test)]
mod tests;
