//! What a committed reading is for the rules: its values, each as a sample of every rule that judges it. It knows the
//! entries of the log and does no IO. Layer 5, beside the engine.

use std::sync::Arc;

use serde_json::Value;

use super::rule::{Condition, Per, Rule, RuleSet};
use super::window::Sample;
use crate::fhir::reading::{Amount, Code, Reading};
use crate::store::{Content, Entry};

/// A reading from further in the future is judged by no rule, µs.
const AHEAD: i64 = 15 * 60 * 1_000_000;

/// One value of a reading for one rule.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub rule: Arc<Rule>,
    /// Which of all the rule's codes the reading carries.
    pub code: u16,
    pub sample: Sample,
    pub entry: Arc<Entry>,
}

impl Taken {
    pub(super) fn reading(&self) -> Option<&Reading> {
        reading(&self.entry)
    }

    /// Can it be read, and may it be true?
    pub(super) fn is_useful(&self) -> bool {
        let signal = self.rule.signals.get(usize::from(self.sample.signal));
        self.sample.readable && signal.is_some_and(|signal| signal.is_plausible(self.sample.value))
    }

    /// `Patient/…`
    pub(super) fn patient(&self) -> &str {
        self.reading().and_then(|reading| reading.subject.as_deref()).unwrap_or_default()
    }

    /// The device whose silence the rule listens to; none when it does not.
    pub(super) fn device(&self) -> Option<&str> {
        let per_device = matches!(self.rule.condition, Condition::Missing { per: Per::Device, .. });
        self.reading().and_then(|reading| reading.device.as_deref()).filter(|_| per_device)
    }
}

pub(super) fn reading(entry: &Entry) -> Option<&Reading> {
    match &entry.content {
        Content::Reading(reading) => Some(reading),
        _ => None,
    }
}

/// Demonstration data, and what is said to be wrong or not done, is never judged.
fn judged_at_all(reading: &Reading) -> bool {
    let of_patient = reading.subject.as_deref().is_some_and(|subject| subject.starts_with("Patient/"));
    reading.status.counts() && !reading.test && of_patient
}

/// Must the whole Observation be read for what the rules take of it?
pub(super) fn is_read_whole(rules: &RuleSet, entry: &Entry) -> bool {
    let computed = |(rule, signal, _): (&Arc<Rule>, usize, &str)| is_computed(rule, signal);
    reading(entry).is_some_and(|reading| rules.select(&reading.codings).into_iter().any(computed))
}

/// All that the rules take of an entry of the log. `whole`: the Observation, where it must be read whole.
pub(super) fn taken(rules: &RuleSet, entry: &Arc<Entry>, whole: Option<&Value>) -> Vec<Taken> {
    let Some(reading) = reading(entry).filter(|reading| judged_at_all(reading)) else { return vec![] };
    let mut all = Vec::new();
    for (codings, amount) in reading.amounts() {
        for (rule, signal, _) in rules.select(codings).into_iter().filter(|(rule, at, _)| !is_computed(rule, *at)) {
            all.extend(value(rule, signal, amount).and_then(|value| take(rule, signal, codings, value, entry)));
        }
    }
    for (codings, answer) in &reading.answers {
        for (rule, signal, _) in rules.select(codings) {
            let number = rule.signals.get(signal).and_then(|signal| signal.answer(answer));
            all.extend(number.and_then(|number| take(rule, signal, codings, (number, true), entry)));
        }
    }
    if let Some(whole) = whole {
        for (rule, signal, _) in rules.select(&reading.codings) {
            let number = rule.signals.get(signal).and_then(|signal| signal.path.as_ref()?.of(whole));
            all.extend(number.and_then(|number| take(rule, signal, &reading.codings, (number, true), entry)));
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
    entry: &Arc<Entry>,
) -> Option<Taken> {
    let at = reading(entry)?.effective.map_or(entry.updated, |(start, _)| start);
    // A clock that runs ahead must not make everything that follows come too late.
    if at > entry.updated + AHEAD {
        return None;
    }
    // As precise as FHIR's instants are told, so that what was told is found again.
    let at = at - at.rem_euclid(1_000);
    if !rule.is_effective(at) {
        return None;
    }
    let code = rule.code_place(signal, codings)?;
    let sample = Sample { at, value, seq: entry.seq, signal: u8::try_from(signal).ok()?, readable };
    Some(Taken { rule: rule.clone(), code, sample, entry: entry.clone() })
}
