//! A rule: what a PlanDefinition says about readings, compiled once into the few numbers that a reading is
//! compared with. `compile` reads a PlanDefinition, `defaults` writes those that the house starts with, `set`
//! finds the rules of a reading, `form` is the table of our extensions, `toml` the short form; the other files are the parts of a rule. Pure: no store, no clock, and no state
//! of any patient (that is `window`).

mod cause;
mod compile;
mod condition;
mod defaults;
pub mod form;
mod level;
mod limit;
mod look_back;
mod set;
mod signal;
mod timing;
pub mod toml;

pub use cause::Cause;
pub use compile::{compile, limits_of};
pub use condition::{Baseline, Condition, Daily, Gauge, Method, Per, Pick, Test};
pub use defaults::default_plans;
pub use level::{Level, Nature, Priority, Side};
pub use limit::{Comparator, Limit, Limits, Sides};
pub use look_back::{LookBack, STEADY};
pub use set::RuleSet;
pub use signal::{Plausible, Signal};
pub use timing::{Damping, Timing};

use super::window::level_of;
use crate::fhir::reading::Code;

/// One version of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub id: String,
    /// The canonical url, without the version.
    pub url: String,
    pub version: String,
    /// Only an active rule is applied; drafts and retired rules compile all the same.
    pub active: bool,
    /// Its alerts are recorded, and nobody is told.
    pub shadow: bool,
    /// What is measured, as a sentence names it: `Heart rate`.
    pub label: String,
    /// At least one.
    pub signals: Vec<Signal>,
    pub condition: Condition,
    /// Limits that stand in for those of the condition at some ages.
    pub ages: Vec<AgeBand>,
    pub timing: Timing,
    /// From this level on an alert stays until somebody acknowledged it.
    pub latch: Option<Level>,
    /// The urgency of each of [`Level::RAISED`].
    pub priorities: [Priority; 3],
    /// What its alerts are about.
    pub nature: Nature,
    /// When it is in force, µs UTC: from the first up to, and without, the second.
    pub effective: (i64, i64),
}

/// Limits for patients from `from` days of age up to, and without, `to`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AgeBand {
    pub from: i64,
    pub to: i64,
    pub limits: Sides,
}

impl Rule {
    /// `url|version`, as a DetectedIssue refers to the rule that raised it.
    pub fn canonical(&self) -> String {
        format!("{}|{}", self.url, self.version)
    }

    /// The same rule without what damps it: each reading counts by itself, and a limit is left as soon as it is not
    /// broken. What the damping is worth is seen beside it.
    #[must_use]
    pub fn undamped(mut self) -> Self {
        self.timing = Timing { late_after: self.timing.late_after, ..Timing::PLAIN };
        let own = match &mut self.condition {
            Condition::Limits { limits, .. } => Some(limits),
            _ => None,
        };
        for sides in own.into_iter().chain(self.ages.iter_mut().map(|band| &mut band.limits)) {
            for side in Side::BOTH {
                for (level, limit) in sides.get(side).iter().collect::<Vec<_>>() {
                    sides.get_mut(side).set(level, Limit { clear: limit.value, ..limit });
                }
            }
        }
        self
    }

    /// Which of its signals takes a reading with these codings, and the code of rule keys.
    pub fn matches(&self, codings: &[Code]) -> Option<(usize, &str)> {
        self.signals.iter().enumerate().find_map(|(at, signal)| Some((at, signal.matches(codings)?)))
    }

    /// Where among all codes of the rule the code of rule keys stands, for a reading that this signal takes.
    pub fn code_place(&self, signal: usize, codings: &[Code]) -> Option<u16> {
        let key = self.signals.get(signal)?.matches(codings)?;
        let before: usize = self.signals.iter().take(signal).map(|signal| signal.codes.len()).sum();
        let place = self.signals.get(signal)?.codes.iter().position(|(_, code)| code == key)?;
        u16::try_from(before + place).ok()
    }

    /// What its rule keys are about: of a score its name, of several signals the rule, else the code.
    pub fn subject(&self, code: u16) -> &str {
        match &self.condition {
            Condition::Score(kind) => kind.code(),
            Condition::Compound { .. } | Condition::Missing { per: Per::Device, .. } => &self.id,
            _ => self.codes().nth(code.into()).map_or("", |(_, code)| code),
        }
    }

    /// Is it in force at this instant (µs UTC)?
    pub fn is_effective(&self, at: i64) -> bool {
        (self.effective.0..self.effective.1).contains(&at)
    }

    /// All codes of all signals.
    pub fn codes(&self) -> impl Iterator<Item = &Code> {
        self.signals.iter().flat_map(|signal| &signal.codes)
    }

    /// The limits that hold unless something else is set for a patient.
    pub fn sides(&self) -> Option<Sides> {
        match &self.condition {
            Condition::Limits { limits, .. } => Some(*limits),
            _ => None,
        }
    }

    /// What limits are held against; none where there are none.
    pub fn gauge(&self) -> Option<Gauge> {
        match self.condition {
            Condition::Limits { gauge, .. } => Some(gauge),
            _ => None,
        }
    }

    /// The unit of the number that is judged, and that an alert tells.
    pub fn unit(&self) -> &str {
        match &self.condition {
            Condition::Limits { gauge: Gauge::Deviation(_), .. } => "1",
            Condition::Limits { gauge: Gauge::Flat { .. }, .. } | Condition::Missing { .. } => "s",
            Condition::Score(kind) => kind.unit(),
            _ => self.signals.first().map_or("1", |signal| signal.unit.as_str()),
        }
    }

    pub fn priority(&self, level: Level) -> Priority {
        level.place().and_then(|at| self.priorities.get(at)).copied().unwrap_or(Priority::Low)
    }

    /// What our extension calls the level of an alert: of a score its band.
    pub fn level_code(&self, cause: Cause, level: Level) -> &'static str {
        match &self.condition {
            _ if cause.is_technical() || self.nature == Nature::Technical => "technical",
            Condition::Score(kind) => {
                let band = kind.bands().into_iter().find(|band| level_of(*kind, Some(*band)) == level);
                band.map_or(level.code(), |band| band.code)
            }
            _ => level.code(),
        }
    }

    /// The plausible range of a rule with one signal.
    pub fn plausible(&self) -> Option<Plausible> {
        self.signals.first().and_then(|signal| signal.plausible)
    }

    /// Do its windows change without a reading?
    pub fn has_clock(&self) -> bool {
        let timing = &self.timing;
        let silent = matches!(self.condition, Condition::Missing { .. });
        silent || self.condition.is_joint() || self.is_daily() || timing.hold > 0 || timing.clear_hold > 0
    }

    /// Does it listen to each device by itself?
    pub fn is_per_device(&self) -> bool {
        matches!(self.condition, Condition::Missing { per: Per::Device, .. })
    }

    /// Is one number a day judged, when its hours are over?
    fn is_daily(&self) -> bool {
        matches!(self.gauge(), Some(Gauge::Deviation(baseline)) if baseline.daily.is_some())
    }

    /// Only the plain limits of a measurement speak of readings that cannot be true or cannot be read; every other
    /// rule leaves such readings out.
    pub fn tells_of_bad_readings(&self) -> bool {
        self.gauge() == Some(Gauge::Value)
    }
}
