//! The cases of a rule: readings in, events out, run by the evaluator that also judges live.

use serde_json::Value;

use crate::alert::context::Context;
use crate::alert::rule::Rule;
use crate::alert::window::{Sample, Terms, Transition, Window};
use crate::fhir::OURS;

const MINUTE: f64 = 60_000_000.0;

/// One `alert-case`.
#[derive(Debug, Default)]
pub(super) struct Case {
    name: String,
    /// Minute, value, name of the signal.
    readings: Vec<(f64, f64, String)>,
    /// `1 raise threshold-high critical`
    events: Vec<String>,
    until: Option<f64>,
}

/// Those that a plan carries.
pub(super) fn cases(plan: &Value) -> Vec<Case> {
    let url = format!("{OURS}/StructureDefinition/alert-case");
    let action = plan.get("action").and_then(|all| all.get(0));
    parts(action).filter(|part| part.get("url").and_then(Value::as_str) == Some(&url)).map(case).collect()
}

fn parts(node: Option<&Value>) -> impl Iterator<Item = &Value> {
    node.and_then(|node| node.get("extension")).and_then(Value::as_array).into_iter().flatten()
}

fn case(extension: &Value) -> Case {
    let mut case = Case::default();
    for part in parts(Some(extension)) {
        match part.get("url").and_then(Value::as_str) {
            Some("name") => case.name = text(part),
            Some("until") => case.until = number(part),
            Some("reading") => {
                let part = |name: &str| parts(Some(part)).find(|inner| inner.get("url").is_some_and(|url| url == name));
                let number = |name: &str| part(name).and_then(number).unwrap_or(f64::NAN);
                case.readings.push((number("at"), number("value"), part("signal").map(text).unwrap_or_default()));
            }
            Some("event") => {
                let part = |name: &str| parts(Some(part)).find(|inner| inner.get("url").is_some_and(|url| url == name));
                let at = part("at").and_then(number).unwrap_or(f64::NAN);
                let words: Vec<String> = ["kind", "cause", "level"].into_iter().filter_map(part).map(text).collect();
                case.events.push(format!("{at} {}", words.join(" ")));
            }
            _ => {}
        }
    }
    case
}

fn text(part: &Value) -> String {
    let value = part.get("valueString").or_else(|| part.get("valueCode"));
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn number(part: &Value) -> Option<f64> {
    part.get("valueDecimal").and_then(Value::as_f64)
}

/// A minute of a case, in µs.
fn micros(minutes: f64) -> Option<i64> {
    let duration = std::time::Duration::try_from_secs_f64(minutes * MINUTE / 1e6).ok()?;
    i64::try_from(duration.as_micros()).ok().filter(|us| *us < i64::MAX / 8)
}

impl Case {
    /// How it ends differently from what it says; none when it does not.
    pub(super) fn difference(&self, rule: &Rule) -> Option<String> {
        let found = match self.run(rule) {
            Ok(found) => found,
            Err(why) => return Some(format!("case \"{}\": {why}", self.name)),
        };
        if found == self.events {
            return None;
        }
        let mut lines = vec![format!("case \"{}\" ends differently:", self.name)];
        lines.extend(self.events.iter().filter(|event| !found.contains(event)).map(|event| format!("  - {event}")));
        lines.extend(
            found.iter().map(|event| format!("  {} {event}", if self.events.contains(event) { ' ' } else { '+' })),
        );
        Some(lines.join("\n"))
    }

    fn run(&self, rule: &Rule) -> Result<Vec<String>, String> {
        let context = Context::default();
        let terms = Terms { rule, context: &context };
        let (mut window, mut changes, mut end) = (Window::default(), Vec::new(), 0);
        for (seq, (minute, value, name)) in (1_i64..).zip(&self.readings) {
            let place = rule.signals.iter().position(|signal| signal.name == *name);
            let signal = place.and_then(|at| u8::try_from(at).ok()).ok_or_else(|| format!("no signal \"{name}\""))?;
            let at = micros(*minute).ok_or_else(|| format!("{minute} is no minute"))?;
            if at < end {
                return Err(format!("the reading at {minute} comes after later ones"));
            }
            end = at;
            changes.extend(window.step(&terms, &Sample { at, value: *value, seq, signal, readable: true }));
        }
        if let Some(until) = self.until {
            changes.extend(window.advance(&terms, micros(until).ok_or("until is no minute")?.max(end)));
        }
        Ok(changes.iter().map(|change| event(rule, change)).collect())
    }
}

fn event(rule: &Rule, change: &Transition) -> String {
    let at = std::time::Duration::from_micros(change.at.unsigned_abs()).as_secs_f64() / 60.0;
    let level = rule.level_code(change.cause, change.level());
    format!("{at} {} {} {level}", change.kind.code(), change.cause.code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::rule::{Condition, compile, default_plans, toml};

    #[test]
    fn the_cases_of_every_default_rule_end_as_they_say() {
        let mut count = 0;
        for plan in default_plans() {
            let rule = compile(&plan).unwrap();
            let plan = toml::import(&toml::export(&plan)).unwrap();
            for case in cases(&plan) {
                assert_eq!(case.difference(&rule), None, "{}", rule.id);
                count += 1;
            }
            let late = matches!(rule.condition, Condition::Score(_)) || rule.id == "usual-8867-4";
            assert!(late || !cases(&plan).is_empty(), "{} has no case", rule.id);
        }
        assert!(count > 30, "{count}");
    }

    #[test]
    fn a_difference_names_what_is_missing_and_what_is_new() {
        let rule = compile(&default_plans()[0]).unwrap();
        let mut case = Case {
            name: "a".to_owned(),
            readings: vec![(0.0, 120.0, String::new()), (1.5, 120.0, String::new())],
            events: vec!["1 raise threshold-high warning".to_owned()],
            until: None,
        };
        let said = case.difference(&rule).unwrap();
        assert_eq!(
            said,
            "case \"a\" ends differently:\n  - 1 raise threshold-high warning\n  + 1.5 raise threshold-high warning"
        );
        case.events = vec!["1.5 raise threshold-high warning".to_owned()];
        assert_eq!(case.difference(&rule), None);
        case.readings.push((2.0, 1.0, "spo2".to_owned()));
        assert!(case.difference(&rule).unwrap().contains("no signal \"spo2\""));
    }
}
