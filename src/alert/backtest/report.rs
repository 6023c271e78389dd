//! What a back-test comes to: how often the rules would have raised an alert, for how long, and what another version
//! of them would have done.

use std::collections::{BTreeMap, BTreeSet};

use super::{Concluded, Episode};

/// So many episodes are shown of each rule.
const SAMPLES: usize = 3;

/// What one rule, or all together, came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Episodes by the worst level that they reached: `technical`, or the levels of the rule.
    pub raises: BTreeMap<&'static str, usize>,
    /// Time in which one of them was firing; those that never ended count to the end. µs
    pub alarmed: i64,
    /// Patients with at least one.
    pub patients: BTreeSet<String>,
    /// On trial: recorded, and nobody is told.
    pub shadow: bool,
}

impl Counts {
    pub fn total(&self) -> usize {
        self.raises.values().sum()
    }

    fn add(&mut self, episode: &Episode, end: i64) {
        let Some(cause) = episode.cause() else { return };
        *self.raises.entry(episode.rule.level_code(cause, episode.level())).or_default() += 1;
        let (from, to) = episode.span();
        self.alarmed += (to.unwrap_or(end.max(from)) - from).max(0);
        self.patients.insert(episode.patient.as_ref().to_owned());
        self.shadow = episode.rule.shadow;
    }
}

/// The same patients under other rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// Episodes that both have: the same patient, rule and cause, at a time in common.
    pub both: usize,
    /// Those that only the rules under test have, and those that only the others have.
    pub only_here: usize,
    pub only_there: usize,
}

#[derive(Clone, Debug, Default)]
pub struct Report {
    pub patients: usize,
    pub readings: usize,
    /// UTC days on which a patient had a reading that was judged.
    pub patient_days: usize,
    /// By the id of the rule.
    pub rules: BTreeMap<String, Counts>,
    pub all: Counts,
    pub samples: Vec<Episode>,
    pub compared: Option<Compared>,
}

impl Report {
    /// One more patient. `others`: what the other rules conclude, where there are others; `end`: µs UTC.
    pub fn add(&mut self, concluded: &Concluded, others: Option<&Concluded>, end: i64) {
        self.patients += 1;
        self.readings += concluded.readings;
        self.patient_days += concluded.days.len();
        for episode in &concluded.episodes {
            let counts = self.rules.entry(episode.rule.id.clone()).or_default();
            if counts.total() < SAMPLES {
                self.samples.push(episode.clone());
            }
            counts.add(episode, end);
            self.all.add(episode, end);
        }
        if let Some(others) = others {
            self.compared.get_or_insert_default().add(&concluded.episodes, &others.episodes);
        }
    }

    /// Of a count, how many a patient-day.
    pub fn per_day(&self, count: usize) -> Option<f64> {
        (self.patient_days > 0).then(|| float(count) / float(self.patient_days))
    }
}

impl Compared {
    fn add(&mut self, here: &[Episode], there: &[Episode]) {
        let mut left: Vec<&Episode> = there.iter().collect();
        for episode in here {
            match left.iter().position(|other| same(episode, other)) {
                Some(at) => {
                    left.swap_remove(at);
                    self.both += 1;
                }
                None => self.only_here += 1,
            }
        }
        self.only_there += left.len();
    }
}

fn same(a: &Episode, b: &Episode) -> bool {
    let ((from, to), (others_from, others_to)) = (a.span(), b.span());
    let common = from <= others_to.unwrap_or(i64::MAX) && others_from <= to.unwrap_or(i64::MAX);
    a.rule.url == b.rule.url && a.cause() == b.cause() && a.device == b.device && common
}

fn float(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::from(u32::MAX), f64::from)
}
