//! A rule: what a PlanDefinition says about readings, compiled once into the few numbers that a reading is
//! compared with. `compile` reads a PlanDefinition, `defaults` writes those that the house starts with, `set`
//! finds the rules of a reading. Pure: no store, no clock, and no state of any patient (that is `window`).
//!
//! Values are compared as f64. A limit is a short decimal, a reading may have gone through a conversion
//! (96.8 °F is 35.99…°C or 36 °C, depending on the order of the operations), so each comparison allows a
//! billionth of the limit: a value that close to a limit *is* the limit. No device resolves that finely.

mod compile;
mod defaults;
mod set;

pub use compile::compile;
pub use defaults::default_plans;
pub use set::RuleSet;

use crate::fhir::reading::Code;
use crate::fhir::{LOINC, ucum};

/// How far from normal. The order is that of urgency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    #[default]
    None,
    Warning,
    Critical,
}

impl Level {
    /// The code in our extensions.
    pub fn code(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Which end of the normal range was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    Low,
    High,
}

impl Side {
    pub fn code(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::High => "high",
        }
    }

    /// Is `a` further out than `b`?
    pub fn worse(self, a: f64, b: f64) -> bool {
        match self {
            Self::Low => a < b,
            Self::High => a > b,
        }
    }
}

/// Why an alert is raised. Each cause of a rule has an episode of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Limits are broken: a physiological alert.
    Threshold(Side),
    /// The value cannot be true: a technical alert, which says nothing about the patient.
    Implausible,
}

impl Cause {
    /// The code of <https://vigia.dev/fhir/CodeSystem/alert>.
    pub fn code(self) -> &'static str {
        match self {
            Self::Threshold(Side::Low) => "threshold-low",
            Self::Threshold(Side::High) => "threshold-high",
            Self::Implausible => "technical-implausible",
        }
    }

    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Threshold(Side::Low), Self::Threshold(Side::High), Self::Implausible]
            .into_iter()
            .find(|cause| cause.code() == code)
    }

    /// The rule key of an episode: `threshold:8867-4:low`, `technical:implausible:8867-4`.
    pub fn key(self, code: &str) -> String {
        match self {
            Self::Threshold(side) => format!("threshold:{code}:{}", side.code()),
            Self::Implausible => format!("technical:implausible:{code}"),
        }
    }

    pub fn is_technical(self) -> bool {
        matches!(self, Self::Implausible)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparator {
    Below,
    AtOrBelow,
    Above,
    AtOrAbove,
}

impl Comparator {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Below, "<", "below"),
        (Self::AtOrBelow, "<=", "at or below"),
        (Self::Above, ">", "above"),
        (Self::AtOrAbove, ">=", "at or above"),
    ];

    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, text, _)| *text == code).map(|(comparator, ..)| *comparator)
    }

    /// How a sentence says it.
    pub fn words(self) -> &'static str {
        Self::ALL.iter().find(|(comparator, ..)| *comparator == self).map_or("", |(_, _, words)| *words)
    }

    pub fn side(self) -> Side {
        match self {
            Self::Below | Self::AtOrBelow => Side::Low,
            Self::Above | Self::AtOrAbove => Side::High,
        }
    }

    fn holds(self, value: f64, limit: f64) -> bool {
        let slack = slack(limit);
        match self {
            Self::Below => value < limit - slack,
            Self::AtOrBelow => value <= limit + slack,
            Self::Above => value > limit + slack,
            Self::AtOrAbove => value >= limit - slack,
        }
    }
}

/// What a comparison with this limit forgives (see the head of this file).
fn slack(limit: f64) -> f64 {
    1e-9 * limit.abs().max(1.0)
}

/// One limit: broken by a value, and no longer broken by one that is clear of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    pub comparator: Comparator,
    pub value: f64,
    /// The limit moved towards normal by the hysteresis: only beyond it is a broken limit left.
    pub clear: f64,
}

impl Limit {
    pub fn new(comparator: Comparator, value: f64, hysteresis: f64) -> Self {
        let clear = match comparator.side() {
            Side::Low => value + hysteresis,
            Side::High => value - hysteresis,
        };
        Self { comparator, value, clear }
    }

    fn broken(&self, value: f64) -> bool {
        self.comparator.holds(value, self.value)
    }

    fn not_clear(&self, value: f64) -> bool {
        self.comparator.holds(value, self.clear)
    }
}

/// The limits of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    pub warning: Option<Limit>,
    pub critical: Option<Limit>,
}

impl Limits {
    pub fn get(&self, level: Level) -> Option<Limit> {
        match level {
            Level::None => None,
            Level::Warning => self.warning,
            Level::Critical => self.critical,
        }
    }

    /// The level that this value alone reaches.
    pub fn reached(&self, value: f64) -> Level {
        self.highest(|limit| limit.broken(value))
    }

    /// The level that this value alone keeps up, once it was reached. Never below `reached`.
    pub fn kept(&self, value: f64) -> Level {
        self.highest(|limit| limit.not_clear(value))
    }

    fn highest(&self, holds: impl Fn(&Limit) -> bool) -> Level {
        if self.critical.as_ref().is_some_and(&holds) {
            Level::Critical
        } else if self.warning.as_ref().is_some_and(&holds) {
            Level::Warning
        } else {
            Level::None
        }
    }

    fn is_empty(&self) -> bool {
        self.warning.is_none() && self.critical.is_none()
    }
}

/// What a rule looks at. Each kind of rule is one variant.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    Threshold { low: Limits, high: Limits },
}

impl Condition {
    /// The limits of one side.
    pub fn limits(&self, side: Side) -> &Limits {
        match (self, side) {
            (Self::Threshold { low, .. }, Side::Low) => low,
            (Self::Threshold { high, .. }, Side::High) => high,
        }
    }
}

/// How many of the last readings must agree before a level is reached: `n` of `m`, 1 ≤ n ≤ m ≤ [`Damping::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damping {
    pub n: usize,
    pub m: usize,
}

impl Damping {
    /// The longest look back; what needs more is a rule over time, not over counts.
    pub const MAX: usize = 32;
    /// Every reading counts by itself.
    pub const SINGLE: Self = Self { n: 1, m: 1 };
}

/// The values that a sensor can deliver and a body can have; both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plausible {
    pub low: f64,
    pub high: f64,
}

/// One version of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub id: String,
    /// The canonical url, without the version.
    pub url: String,
    pub version: String,
    /// Only an active rule is applied; drafts and retired rules compile all the same.
    pub active: bool,
    /// What is measured, as a sentence names it: `Heart rate`.
    pub label: String,
    /// The codes of the readings that it judges, the most specific first.
    pub codes: Vec<Code>,
    /// Readings that also carry one of these are left to another rule.
    pub except: Vec<Code>,
    /// The UCUM unit of every number in this rule.
    pub unit: String,
    pub plausible: Option<Plausible>,
    pub condition: Condition,
    pub damping: Damping,
}

impl Rule {
    /// `url|version`, as a DetectedIssue refers to the rule that raised it.
    pub fn canonical(&self) -> String {
        format!("{}|{}", self.url, self.version)
    }

    /// Does it judge a reading with these codings? Then the code that its rule keys are made of: of the rule's
    /// codes the first that the reading carries, or the rule's own LOINC code if that one is of another system.
    pub fn matches(&self, codings: &[Code]) -> Option<&str> {
        if self.except.iter().any(|code| codings.contains(code)) {
            return None;
        }
        let own = self.codes.iter().find(|code| codings.contains(code))?;
        let loinc = self.codes.iter().find(|(system, _)| system == LOINC);
        let (_, code) = if own.0 == LOINC { own } else { loinc.unwrap_or(own) };
        Some(code)
    }

    /// A measured value in the unit of this rule; none when the unit cannot be converted.
    pub fn in_unit(&self, value: f64, unit: &str) -> Option<f64> {
        if unit == self.unit { Some(value) } else { ucum::convert(value, unit, &self.unit) }
    }

    /// May this value be true? What is no number never is.
    pub fn is_plausible(&self, value: f64) -> bool {
        value.is_finite()
            && self
                .plausible
                .is_none_or(|range| value >= range.low - slack(range.low) && value <= range.high + slack(range.high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(hysteresis: f64) -> Limits {
        Limits {
            warning: Some(Limit::new(Comparator::AtOrAbove, 38.1, hysteresis)),
            critical: Some(Limit::new(Comparator::Above, 39.1, hysteresis)),
        }
    }

    #[test]
    fn a_value_at_the_limit_is_judged_by_the_comparator() {
        for (value, level) in [
            (38.0, Level::None),
            (38.1, Level::Warning),
            (38.099_999_999_999_994, Level::Warning),
            (39.1, Level::Warning),
            (39.2, Level::Critical),
            (f64::NAN, Level::None),
            (f64::INFINITY, Level::Critical),
        ] {
            assert_eq!(limits(0.2).reached(value), level, "{value}");
        }
    }

    #[test]
    fn a_level_is_kept_until_the_value_is_clear() {
        for (value, level) in
            [(37.8, Level::None), (37.9, Level::Warning), (38.9, Level::Warning), (39.0, Level::Critical)]
        {
            assert_eq!(limits(0.2).kept(value), level, "{value}");
        }
    }

    #[test]
    fn a_plausible_range_includes_its_ends_and_no_nonsense() {
        let plans = default_plans();
        let rule = plans.iter().find(|p| p["id"] == "limits-8310-5").map(|p| compile(p).unwrap()).unwrap();
        for (value, plausible) in [(25.0, true), (45.0, true), (24.9, false), (45.1, false), (f64::NAN, false)] {
            assert_eq!(rule.is_plausible(value), plausible, "{value}");
        }
    }

    #[test]
    fn codes_of_causes_read_back() {
        for cause in [Cause::Threshold(Side::Low), Cause::Threshold(Side::High), Cause::Implausible] {
            assert_eq!(Cause::from_code(cause.code()), Some(cause));
        }
        assert_eq!(Cause::from_code("news2"), None);
    }
}
