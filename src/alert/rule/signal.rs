//! A signal: one kind of reading as a rule takes it, with the unit that its numbers are in.

use fhir_r4::NumberPath;

use super::limit::slack;
use crate::fhir::reading::Code;
use crate::fhir::{LOINC, ucum};

/// The values that a sensor can deliver and a body can have; both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plausible {
    pub low: f64,
    pub high: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signal {
    /// What it is to the rule: for a score the name of a parameter, for a compound the name that its tests use.
    /// Empty where a rule has only one.
    pub name: String,
    /// The codes of its readings, the most specific first.
    pub codes: Vec<Code>,
    /// Readings that also carry one of these are left to another rule.
    pub except: Vec<Code>,
    /// The UCUM unit of its numbers.
    pub unit: String,
    pub plausible: Option<Plausible>,
    /// Coded answers, and the number that each stands for.
    pub answers: Vec<(Code, f64)>,
    /// How long a reading stands for the present, µs; none: until the next.
    pub fresh: Option<i64>,
    /// Computes its number from the whole Observation instead of taking the measured value. Slow.
    pub path: Option<NumberPath>,
}

impl Signal {
    /// Does it take a reading with these codings? Then the code that rule keys are made of: of its own codes the
    /// first that the reading carries, or its own LOINC code if that one is of another system.
    pub fn matches(&self, codings: &[Code]) -> Option<&str> {
        if self.except.iter().any(|code| codings.contains(code)) {
            return None;
        }
        let own = self.codes.iter().find(|code| codings.contains(code))?;
        let loinc = self.codes.iter().find(|(system, _)| system == LOINC);
        let (_, code) = if own.0 == LOINC { own } else { loinc.unwrap_or(own) };
        Some(code)
    }

    /// A measured value in the unit of this signal; none when the unit cannot be converted.
    pub fn in_unit(&self, value: f64, unit: &str) -> Option<f64> {
        if unit == self.unit { Some(value) } else { ucum::convert(value, unit, &self.unit) }
    }

    /// The number that a coded answer stands for.
    pub fn answer(&self, codings: &[Code]) -> Option<f64> {
        self.answers.iter().find(|(code, _)| codings.contains(code)).map(|(_, number)| *number)
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

    #[test]
    fn a_plausible_range_includes_its_ends_and_no_nonsense() {
        let signal = Signal { plausible: Some(Plausible { low: 25.0, high: 45.0 }), ..Signal::default() };
        for (value, plausible) in [(25.0, true), (45.0, true), (24.9, false), (45.1, false), (f64::NAN, false)] {
            assert_eq!(signal.is_plausible(value), plausible, "{value}");
        }
    }
}
