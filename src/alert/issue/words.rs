//! An alert in plain words: what a clinician reads first. Short, with the value, the limit and the unit.

use super::super::rule::{Cause, Rule, Side};
use super::super::window::{Kind, Transition};
use crate::fhir::ucum;

/// `Heart rate high`.
pub(super) fn title(rule: &Rule, cause: Cause) -> String {
    let label = &rule.label;
    let (low_or_high, fast) = match cause.side() {
        Some(Side::Low) => ("low", "falling"),
        _ => ("high", "rising"),
    };
    match cause {
        Cause::Threshold(_) => format!("{label} {low_or_high}"),
        Cause::Rate(_) | Cause::Slope(_) => format!("{label} {fast} fast"),
        Cause::Change(Side::Low) => format!("{label} has fallen"),
        Cause::Change(Side::High) => format!("{label} has risen"),
        Cause::Deviation(_) => format!("{label} unusually {low_or_high} for this patient"),
        Cause::Difference(_) => format!("{label} disagree"),
        Cause::Score => format!("{label} raised"),
        Cause::Compound => label.clone(),
        Cause::Implausible => format!("{label} implausible"),
        Cause::Unit => format!("{label} in an unknown unit"),
        Cause::Flatline => format!("{label} does not move"),
        Cause::Missing => format!("{label} missing"),
    }
}

/// What happened, as one sentence.
pub(super) fn sentence(rule: &Rule, transition: &Transition, peak: Option<f64>) -> String {
    let value = amount(rule, transition.sample.value);
    let title = title(rule, transition.cause);
    match (transition.cause, transition.kind) {
        (Cause::Implausible, Kind::Resolve) => format!("{} plausible again: {value}.", rule.label),
        (Cause::Implausible, _) => match rule.plausible() {
            Some(range) => {
                format!("{title}: {value} is outside {} to {}.", number(range.low), amount(rule, range.high))
            }
            None => format!("{title}: {value}."),
        },
        (Cause::Unit, Kind::Resolve) => format!("{} in a known unit again: {value}.", rule.label),
        (Cause::Unit, _) => format!("{title}: not judged."),
        (Cause::Missing, Kind::Resolve) => format!("{} received again.", rule.label),
        (Cause::Missing, _) => format!("{title}: nothing received for {value}."),
        (Cause::Compound, Kind::Resolve) => format!("{title}: over."),
        (Cause::Compound, _) => format!("{title}."),
        (cause, Kind::Resolve) => {
            let peak = peak.map(|peak| format!(" (was {})", amount(rule, peak))).unwrap_or_default();
            match cause {
                Cause::Threshold(side) => format!("{} no longer {}: {value}{peak}.", rule.label, side.code()),
                _ => format!("{title}, over: {value}{peak}."),
            }
        }
        (_, kind) => {
            let Some(limit) = transition.limit else { return format!("{title}: {value}.") };
            let (level, bound) = (transition.to.code(), amount(rule, limit.value));
            if kind == Kind::Deescalate {
                return format!(
                    "{title}: {value}, no longer {}; the {level} limit is {bound}.",
                    transition.from.code()
                );
            }
            format!("{title}: {value}, {} the {level} limit of {bound}.", limit.comparator.words())
        }
    }
}

fn amount(rule: &Rule, value: f64) -> String {
    let unit = ucum::human(rule.unit());
    // A score is a number, not an amount.
    if unit.is_empty() || rule.unit().starts_with('{') { number(value) } else { format!("{} {unit}", number(value)) }
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
