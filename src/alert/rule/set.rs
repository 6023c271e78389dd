//! All rules in force, and which of them judge a reading. Immutable: a change of a rule makes a new set.

use std::collections::HashMap;
use std::sync::Arc;

use super::Rule;
use crate::fhir::reading::Code;

#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    by_code: HashMap<Code, Vec<usize>>,
}

impl RuleSet {
    /// Takes the active rules; the order given is the order in which they judge.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self::trial(rules.into_iter().filter(|rule| rule.active))
    }

    /// Takes them all, active or not: for trials.
    pub fn trial(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self::some(rules.into_iter().map(Arc::new))
    }

    /// The same after a change: a rule that was in force before is the same one.
    pub fn after(before: &Self, rules: impl IntoIterator<Item = Rule>) -> Self {
        let mut set = Self::new(rules);
        for rule in &mut set.rules {
            if let Some(known) = before.rules.iter().find(|known| **known == *rule) {
                *rule = known.clone();
            }
        }
        set
    }

    /// Those that are not over at this instant (µs UTC).
    #[must_use]
    pub fn in_force(&self, now: i64) -> Self {
        Self::some(self.rules.iter().filter(|rule| rule.effective.1 > now).cloned())
    }

    /// When the next of them ends, µs UTC.
    pub fn next_end(&self, now: i64) -> i64 {
        self.rules.iter().map(|rule| rule.effective.1).filter(|end| *end > now).min().unwrap_or(i64::MAX)
    }

    /// One rule by itself, active or not.
    pub fn of(rule: Arc<Rule>) -> Self {
        Self::some([rule])
    }

    /// These very rules, active or not.
    pub fn some(rules: impl IntoIterator<Item = Arc<Rule>>) -> Self {
        let mut set = Self::default();
        for rule in rules {
            for code in rule.codes() {
                set.by_code.entry(code.clone()).or_default().push(set.rules.len());
            }
            set.rules.push(rule);
        }
        set
    }

    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The rules of a reading with these codings, each once however many of its codings match, with the signal
    /// that takes it and the code that rule keys are made of.
    pub fn select<'a>(&'a self, codings: &[Code]) -> Vec<(&'a Arc<Rule>, usize, &'a str)> {
        let mut found: Vec<usize> =
            codings.iter().filter_map(|code| self.by_code.get(code)).flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        let rules = found.into_iter().filter_map(|at| self.rules.get(at));
        rules
            .filter_map(|rule| {
                let (signal, code) = rule.matches(codings)?;
                Some((rule, signal, code))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{compile, default_plans};
    use super::*;

    fn keys(codings: &[(&str, &str)]) -> Vec<String> {
        let limits = default_plans().into_iter().filter(|plan| plan["id"].as_str().unwrap().starts_with("limits-"));
        let set = RuleSet::new(limits.map(|plan| compile(&plan).unwrap()));
        let codings: Vec<Code> = codings.iter().map(|(s, c)| ((*s).to_owned(), (*c).to_owned())).collect();
        set.select(&codings).into_iter().map(|(rule, _, code)| format!("{} {code}", rule.id)).collect()
    }

    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

    #[test]
    fn one_reading_is_judged_once_per_measurement() {
        let (loinc, mdc) = ("http://loinc.org", "urn:iso:std:iso:11073:10101");
        let cases: [Case; 9] = [
            (&[(loinc, "2708-6")], &["limits-59408-5 2708-6"]),
            (&[(loinc, "59408-5")], &["limits-59408-5 59408-5"]),
            (&[(loinc, "2708-6"), (loinc, "59408-5")], &["limits-59408-5 59408-5"]),
            (&[(loinc, "2345-7"), (loinc, "2339-0")], &["limits-2339-0 2339-0"]),
            (&[(loinc, "8867-4"), (loinc, "8889-8"), (mdc, "149514")], &["limits-8889-8 8889-8"]),
            (&[(mdc, "147842")], &["limits-8867-4 8867-4"]),
            (&[("urn:other", "8867-4")], &[]),
            (&[(loinc, "8302-2")], &[]),
            (&[], &[]),
        ];
        for (codings, expected) in cases {
            assert_eq!(keys(codings), expected, "{codings:?}");
        }
    }

    #[test]
    fn only_active_rules_judge() {
        let mut rule = compile(&default_plans()[0]).unwrap();
        let codes: Vec<Code> = rule.codes().cloned().collect();
        rule.active = false;
        assert!(RuleSet::new([rule]).select(&codes).is_empty());
    }
}
