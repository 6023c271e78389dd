//! Entries of what a transaction wrote: one for what a caller created, one for what was updated, one for what was
//! deleted.

use std::collections::{BTreeSet, HashMap};

use super::Line;
use crate::audit::{Act, Entry, Stamp, trail};
use crate::error::Error;
use crate::store::lane::Group;
use crate::store::prepare::{Content, Prepared, Verb};
use crate::store::{self, Written};

/// What a caller's groups came to: an entry for what was created, one for what was updated, one for what was deleted.
/// `lost`: whose it was that is deleted, by `seq`.
pub(in crate::store) fn entries(
    stamp: &Stamp,
    groups: &[Group],
    answers: &[Result<Vec<Written>, Error>],
    lost: &HashMap<i64, String>,
    now: i64,
) -> Result<Vec<Line>, Error> {
    let mut told: Vec<Told> = Vec::new();
    for (group, written) in groups.iter().zip(answers) {
        let Ok(written) = written else { continue };
        for (change, written) in group.changes.iter().zip(written).filter(|(_, written)| written.is_news()) {
            let act = act(change, written);
            let at = told.iter().position(|told| told.act == act).unwrap_or_else(|| {
                told.push(Told::new(act));
                told.len() - 1
            });
            if let Some(told) = told.get_mut(at) {
                told.add(change, written, lost);
            }
        }
    }
    told.into_iter().map(|told| Line::new(told.entry(stamp, now))).collect()
}

fn act(change: &Prepared, written: &Written) -> Act {
    match (&change.verb, written.outcome) {
        (Verb::Delete { .. }, _) => Act::D,
        (_, store::Outcome::Created) => Act::C,
        _ => Act::U,
    }
}

/// Changes of one kind.
struct Told {
    act: Act,
    noted: trail::Noted,
    kinds: BTreeSet<&'static str>,
}

impl Told {
    fn new(act: Act) -> Self {
        Self { act, noted: trail::Noted::default(), kinds: BTreeSet::new() }
    }

    fn add(&mut self, change: &Prepared, written: &Written, lost: &HashMap<i64, String>) {
        let kind = change.resource_type;
        self.kinds.insert(kind);
        self.noted.resource(|| format!("{kind}/{}/_history/{}", written.id, written.version));
        let patient = match &change.content {
            Content::Reading(reading) => reading.subject.clone(),
            Content::Resource(resource) => store::patient_of(kind, &change.id, resource),
            Content::Gone => lost.get(&written.seq).cloned(),
        };
        patient.filter(|patient| patient.starts_with("Patient/")).into_iter().for_each(|p| self.noted.patient(p));
    }

    fn entry(self, stamp: &Stamp, now: i64) -> Entry {
        let what = match self.act {
            Act::C => "create",
            Act::D => "delete",
            _ => "update",
        };
        let mut entry = stamp.entry(now, self.act, what);
        if let (1, Some(kind)) = (self.kinds.len(), self.kinds.first()) {
            entry.kind = Some((*kind).to_owned());
        }
        entry.count = self.noted.count;
        entry.resources = self.noted.resources;
        entry.patients = self.noted.patients.into_iter().collect();
        entry.more = self.noted.more;
        entry
    }
}

impl Written {
    /// Whether anything was written.
    fn is_news(&self) -> bool {
        matches!(self.outcome, store::Outcome::Created | store::Outcome::Updated)
    }
}
