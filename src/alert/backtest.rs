//! Rules tried on readings that are known already: the same windows that judge live, driven by the times of the
//! readings, and the same grouping of changes into episodes. Pure: readings and what matters of a patient in, episodes
//! and scores out; nothing is stored and nobody is told. `report` counts what they come to.
//!
//! What a back-test cannot know is told by live evaluation alone: when a reading arrived, and what people did.

mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

pub use report::{Compared, Counts, Report};

use super::amend::{Amendment, amendments};
use super::context::Context;
use super::issue;
use super::judgeable::{self, Committed, Judgeable};
use super::rule::{Cause, Level, Rule, RuleSet};
use super::window::{Kind, Sample, Scored, Terms, Transition, Window};
use crate::fhir::reading::Reading;

/// One reading of a patient, with the whole Observation where a rule reads it whole.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub reading: Reading,
    pub whole: Option<Value>,
    /// When it was committed; it stands for the time of a reading that has none, µs UTC.
    pub updated: i64,
    /// Tells readings of one instant apart, and names the Observation again.
    pub seq: i64,
}

/// All that is known of one patient.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// `Patient/…`
    pub patient: String,
    pub context: Context,
    pub readings: Vec<Recorded>,
}

/// An episode, as one DetectedIssue would tell it.
#[derive(Clone, Debug)]
pub struct Episode {
    pub patient: Arc<str>,
    pub rule: Arc<Rule>,
    /// The device whose silence it is about.
    pub device: Option<String>,
    /// Which of the rule's codes its first reading carried.
    pub code: u16,
    /// Its changes of level; at least one.
    pub changes: Vec<Transition>,
}

/// What rules conclude about one patient.
#[derive(Clone, Debug, Default)]
pub struct Concluded {
    /// `Patient/…`
    pub patient: Arc<str>,
    /// In the order of their beginnings.
    pub episodes: Vec<Episode>,
    pub scores: Vec<(Arc<Rule>, Scored)>,
    /// UTC days with a reading that a rule judged, since 1970.
    pub days: std::collections::BTreeSet<i64>,
    pub readings: usize,
}

const DAY: i64 = 86_400_000_000;

impl Episode {
    pub fn cause(&self) -> Option<Cause> {
        self.changes.first().map(|change| change.cause)
    }

    /// The worst level that it reached.
    pub fn level(&self) -> Level {
        self.changes.iter().map(|change| change.to).max().unwrap_or_default()
    }

    /// When it was raised, and when it was over for good (µs UTC).
    pub fn span(&self) -> (i64, Option<i64>) {
        let raised = self.changes.first().map_or(0, |change| change.at);
        (raised, self.changes.last().filter(|change| change.kind == Kind::Resolve).map(|change| change.at))
    }

    /// The DetectedIssue that tells it. `reference`: the versioned reference of the Observation of a sample.
    pub fn told(&self, author: &str, reference: impl Fn(&Sample) -> String) -> Option<Value> {
        let mut alert: Option<Value> = None;
        for change in &self.changes {
            let (observation, onset) = (reference(&change.sample), reference(&change.onset));
            let peak = change.peak.as_ref().map(&reference);
            let told = issue::Change {
                rule: &self.rule,
                transition: change,
                observation: &observation,
                peak: peak.as_deref(),
                late: false,
            };
            alert = Some(match alert {
                Some(alert) => issue::changed(&alert, &told),
                None => issue::raised(&issue::Episode {
                    change: told,
                    onset: &onset,
                    subject: self.rule.subject(self.code),
                    patient: &self.patient,
                    author,
                    implicated: self.device.as_deref(),
                    encounter: None,
                }),
            });
        }
        alert
    }
}

impl Concluded {
    /// Only what began in a period, and was judged in it; µs UTC.
    pub fn within(&mut self, (start, end): (i64, i64)) {
        self.episodes.retain(|episode| (start..end).contains(&episode.span().0));
        self.scores.retain(|(_, scored)| (start..end).contains(&scored.at));
        self.days.retain(|day| (start.div_euclid(DAY)..=(end - 1).div_euclid(DAY)).contains(day));
    }
}

/// What these rules conclude about a patient by the end (µs UTC) of what is known.
pub fn run(rules: &RuleSet, record: &Record, end: i64) -> Concluded {
    let patient: Arc<str> = record.patient.as_str().into();
    let readings = record.readings.len();
    let mut concluded = Concluded { patient: patient.clone(), readings, ..Concluded::default() };
    for (key, series) in series(rules, record) {
        concluded.days.extend(series.iter().map(|one| one.sample.at.div_euclid(DAY)));
        let Some(rule) = series.first().map(|one| one.rule.clone()) else { continue };
        let terms = Terms { rule: &rule, context: &record.context };
        let (episodes, scores) = judged(&terms, series.iter().map(|one| one.sample), end);
        concluded.scores.extend(scores.into_iter().map(|scored| (rule.clone(), scored)));
        for changes in episodes {
            let of_first =
                changes.first().and_then(|first| series.iter().find(|one| one.sample.seq == first.sample.seq));
            let code = of_first.or(series.last()).map_or(0, |one| one.code);
            let (patient, rule, device) = (patient.clone(), rule.clone(), key.1.clone());
            concluded.episodes.push(Episode { patient, rule, device, code, changes });
        }
    }
    concluded.episodes.sort_by_key(|episode| (episode.span().0, episode.rule.id.clone(), episode.cause()));
    concluded
}

/// The samples of each rule (and device, where a rule listens to devices), in the order of their times.
fn series(rules: &RuleSet, record: &Record) -> BTreeMap<(String, Option<String>), Vec<Judgeable>> {
    let mut all: BTreeMap<(String, Option<String>), Vec<Judgeable>> = BTreeMap::new();
    for Recorded { reading, whole, updated, seq } in &record.readings {
        let committed = Committed { reading, updated: *updated, seq: *seq };
        for one in judgeable::of(rules, committed, whole.as_ref()) {
            let device = judgeable::device(&one.rule, reading).map(str::to_owned);
            all.entry((one.rule.url.clone(), device)).or_default().push(one);
        }
    }
    for series in all.values_mut() {
        series.sort_by_key(|one| (one.sample.at, one.sample.seq));
    }
    all
}

/// The episodes of a series in the order of its times, as their changes of level, and its scores.
pub(super) fn judged(
    terms: &Terms,
    series: impl IntoIterator<Item = Sample>,
    end: i64,
) -> (Vec<Vec<Transition>>, Vec<Scored>) {
    let (mut window, mut changes, mut scores) = (Window::default(), Vec::new(), Vec::new());
    for sample in series {
        changes.extend(window.step(terms, &sample));
        scores.extend(window.take_scores());
    }
    let last = window.now().map_or(end, |now| now.max(end));
    changes.extend(window.advance(terms, last));
    scores.extend(window.take_scores());
    (episodes(terms.rule, &changes), scores)
}

/// Changes of level as episodes: what comes back within the rule's `regroup` is the same one.
fn episodes(rule: &Rule, changes: &[Transition]) -> Vec<Vec<Transition>> {
    let told = amendments(&[], i64::MIN, changes, rule.timing.regroup);
    let raised = told.into_iter().filter_map(|amendment| match amendment {
        Amendment::Raise(changes) => Some(changes),
        Amendment::Retract(_) | Amendment::Revise(..) => None,
    });
    raised.collect()
}
