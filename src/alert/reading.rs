//! What a committed reading is for the rules: the entry of the log with each of its values that a rule judges. It knows
//! the entries of the log and does no IO. Layer 5, beside the engine.

use std::sync::Arc;

use serde_json::Value;

use super::judgeable::{self, Committed, Judgeable};
use super::rule::{Rule, RuleSet};
use super::window::Sample;
use crate::fhir::reading::Reading;
use crate::store::{Content, Entry};

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
        judgeable::device(&self.rule, self.reading()?)
    }
}

pub(super) fn reading(entry: &Entry) -> Option<&Reading> {
    match &entry.content {
        Content::Reading(reading) => Some(reading),
        _ => None,
    }
}

/// Must the whole Observation be read for what the rules take of it?
pub(super) fn is_read_whole(rules: &RuleSet, entry: &Entry) -> bool {
    reading(entry).is_some_and(|reading| judgeable::is_read_whole(rules, reading))
}

/// All that the rules take of an entry of the log. `whole`: the Observation, where it must be read whole.
pub(super) fn taken(rules: &RuleSet, entry: &Arc<Entry>, whole: Option<&Value>) -> Vec<Taken> {
    let Some(reading) = reading(entry) else { return vec![] };
    let committed = Committed { reading, updated: entry.updated, seq: entry.seq };
    let all = judgeable::of(rules, committed, whole).into_iter();
    all.map(|Judgeable { rule, code, sample }| Taken { rule, code, sample, entry: entry.clone() }).collect()
}
