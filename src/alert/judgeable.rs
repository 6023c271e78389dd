//! What a reading is for the rules: its values, each as a sample of every rule that judges it. Pure: live evaluation
//! and back-tests take the same from a reading.

use std::sync::Arc;

use serde_json::Value;

use super::rule::{Condition, Rule, RuleSet};
use super::window::Sample;
use crate::fhir::reading::{Amount, Code, Reading};

/// A reading from further in the future is judged by no rule, µs.
const AHEAD: i64 = 15 * 60 * 1_000_000;

/// One value of a reading for one rule.
#[derive(Clone, Debug)]
pub struct Judgeable {
    pub rule: Arc<Rule>,
    /// Which of all the rule's codes the reading carries.
    pub code: u16,
    pub sample: Sample,
}

/// A reading with when it was committed (µs UTC) and its place in the log.
#[derive(Clone, Copy, Debug)]
pub struct Committed<'r> {
    pub reading: &'r Reading,
    pub updated: i64,
    pub seq: i64,
}

/// The device whose silence a rule listens to; none when it does not.
pub fn device<'r>(rule: &Rule, reading: &'r Reading) -> Option<&'r str> {
    reading.device.as_deref().filter(|_| rule.is_per_device())
}

/// Demonstration data, and what is said to be wrong or not done, is never judged.
fn judged_at_all(reading: &Reading) -> bool {
    let of_patient = reading.subject.as_deref().is_some_and(|subject| subject.starts_with("Patient/"));
    reading.status.counts() && !reading.test && of_patient
}

/// Must the whole Observation be read for what the rules take of it?
pub fn is_read_whole(rules: &RuleSet, reading: &Reading) -> bool {
    let computed = |(rule, signal, _): (&Arc<Rule>, usize, &str)| is_computed(rule, signal);
    rules.select(&reading.codings).into_iter().any(computed)
}

/// All that the rules take of a reading. `whole`: the Observation, where it must be read whole.
pub fn of(rules: &RuleSet, committed: Committed<'_>, whole: Option<&Value>) -> Vec<Judgeable> {
    let reading = committed.reading;
    if !judged_at_all(reading) {
        return vec![];
    }
    let mut all = Vec::new();
    for (codings, amount) in reading.amounts() {
        for (rule, signal, _) in rules.select(codings).into_iter().filter(|(rule, at, _)| !is_computed(rule, *at)) {
            all.extend(value(rule, signal, amount).and_then(|value| take(rule, signal, codings, value, committed)));
        }
    }
    for (codings, answer) in &reading.answers {
        for (rule, signal, _) in rules.select(codings) {
            let number = rule.signals.get(signal).and_then(|signal| signal.answer(answer));
            all.extend(number.and_then(|number| take(rule, signal, codings, (number, true), committed)));
        }
    }
    if let Some(whole) = whole {
        for (rule, signal, _) in rules.select(&reading.codings) {
            let number = rule.signals.get(signal).and_then(|signal| signal.path.as_ref()?.of(whole));
            all.extend(number.and_then(|number| take(rule, signal, &reading.codings, (number, true), committed)));
        }
    }
    all
}

/// Is the number of this signal computed from the whole Observation?
fn is_computed(rule: &Rule, signal: usize) -> bool {
    rule.signals.get(signal).is_some_and(|signal| signal.path.is_some())
}

/// In the signal's unit, and whether it could be read. None: a rule that does not speak of units leaves it out.
fn value(rule: &Rule, signal: usize, amount: &Amount) -> Option<(f64, bool)> {
    let signal = rule.signals.get(signal)?;
    let value = signal.in_unit(amount.value, amount.unit.as_deref().unwrap_or_default());
    match (value, &rule.condition) {
        (Some(value), _) => Some((value, true)),
        // It is heard all the same.
        (None, Condition::Missing { .. }) => Some((amount.value, true)),
        (None, _) => rule.tells_of_bad_readings().then_some((amount.value, false)),
    }
}

fn take(
    rule: &Arc<Rule>,
    signal: usize,
    codings: &[Code],
    (value, readable): (f64, bool),
    committed: Committed<'_>,
) -> Option<Judgeable> {
    let Committed { reading, updated, seq } = committed;
    let at = reading.effective.map_or(updated, |(start, _)| start);
    // A clock that runs ahead must not make everything that follows come too late.
    if at > updated + AHEAD {
        return None;
    }
    // As precise as FHIR's instants are told, so that what was told is found again.
    let at = at - at.rem_euclid(1_000);
    if !rule.is_effective(at) {
        return None;
    }
    let code = rule.code_place(signal, codings)?;
    let sample = Sample { at, value, seq, signal: u8::try_from(signal).ok()?, readable };
    Some(Judgeable { rule: rule.clone(), code, sample })
}
