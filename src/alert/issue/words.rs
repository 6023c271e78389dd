//! An alert in plain words: what a clinician reads first. Short, with the value, the limit and the unit.

use super::super::rule::{Cause, Level, Rule, Side};
use super::super::window::{Kind, Transition};
use crate::fhir::ucum;

/// `Heart rate high`.
pub(super) fn title(rule: &Rule, cause: Cause) -> String {
    let state = match cause {
        Cause::Threshold(Side::Low) => "low",
        Cause::Threshold(Side::High) => "high",
        Cause::Implausible => "implausible",
    };
    format!("{} {state}", rule.label)
}

/// What happened, as one sentence.
pub(super) fn sentence(rule: &Rule, transition: &Transition, peak: Option<f64>) -> String {
    let value = amount(rule, transition.sample.value);
    let title = title(rule, transition.cause);
    match (transition.cause, transition.kind) {
        (Cause::Implausible, Kind::Resolve) => format!("{} plausible again: {value}.", rule.label),
        (Cause::Implausible, _) => match rule.plausible {
            Some(range) => {
                format!("{title}: {value} is outside {} to {}.", number(range.low), amount(rule, range.high))
            }
            None => format!("{title}: {value}."),
        },
        (Cause::Threshold(side), Kind::Resolve) => {
            let peak = peak.map(|peak| format!(" (was {})", amount(rule, peak))).unwrap_or_default();
            format!("{} no longer {}: {value}{peak}.", rule.label, side.code())
        }
        (Cause::Threshold(_), kind) => {
            let Some(limit) = transition.limit else { return format!("{title}: {value}.") };
            let bound = amount(rule, limit.value);
            if kind == Kind::Deescalate {
                return format!("{title}: {value}, no longer critical; the warning limit is {bound}.");
            }
            let level = if transition.to == Level::Critical { "critical" } else { "warning" };
            format!("{title}: {value}, {} the {level} limit of {bound}.", limit.comparator.words())
        }
    }
}

fn amount(rule: &Rule, value: f64) -> String {
    let unit = ucum::human(&rule.unit);
    // A score is a number, not an amount.
    if unit.is_empty() || rule.unit.starts_with('{') { number(value) } else { format!("{} {unit}", number(value)) }
}

/// At most two decimals: a converted value has digits that nobody measured.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return "no number".to_owned();
    }
    if value.abs() >= 1e9 {
        return format!("{value:e}");
    }
    let text = format!("{value:.2}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".to_owned(),
        short => short.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [
            (134.0, "134"),
            (36.0, "36"),
            (35.944_444, "35.94"),
            (100.0, "100"),
            (0.5, "0.5"),
            (-0.001, "0"),
            (1e300, "1e300"),
            (f64::NAN, "no number"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
