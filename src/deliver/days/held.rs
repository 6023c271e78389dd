//! The digested days that are held. No IO: what is missing is asked for by whoever holds them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Digested;
use crate::alert::pattern::{Bands, Digest, Signal, Zone};
use crate::fhir::ucum;
use crate::store::{Sampled, Wanted};

/// Different values of a quarter of an hour in all, of 16 bytes; some 100 MB with what holds them. Beyond it the
/// patients that nobody asked about for longest go.
const MOST_HELD: usize = 4_000_000;
/// What a day and a quarter cost besides, in the same measure.
const DAY_COST: usize = 16;
const QUARTER_COST: usize = 6;

/// What days are held of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub code: Wanted,
    pub zone: Zone,
}

/// One day of one code in one unit.
#[derive(Debug)]
pub struct UnitDay {
    /// The canonical unit of its kind; none was sent when it is empty.
    pub unit: String,
    pub digest: Digest,
    /// Values that cannot be true; they are in no figure.
    pub implausible: usize,
}

impl UnitDay {
    /// What the house knows of this code in this unit.
    pub fn signal<'a>(code: &str, unit: &str) -> Option<&'a Signal> {
        let own = |signal: &&Signal| ucum::canonical(&signal.unit).is_some_and(|canonical| canonical.unit == unit);
        Signal::of(code).filter(own)
    }
}

/// What an entry of the log changes.
pub(super) enum Touch {
    Nothing,
    /// Subjects and times.
    Readings(Vec<(String, i64)>),
    Everything,
}

#[derive(Default)]
pub(super) struct Held {
    patients: HashMap<String, Patient>,
    seen: i64,
    asked: u64,
    cost: usize,
}

#[derive(Default)]
struct Patient {
    series: HashMap<Key, BTreeMap<i64, Arc<[UnitDay]>>>,
    last_asked: u64,
    cost: usize,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.patients.is_empty()
    }

    pub(super) fn seen(&self) -> i64 {
        self.seen
    }

    pub(super) fn begin(&mut self, seen: i64) {
        *self = Self { seen: seen.max(self.seen), asked: self.asked, ..Self::default() };
    }

    /// The days that are here, and those that are not.
    pub(super) fn find(&mut self, subject: &str, key: &Key, days: std::ops::Range<i64>) -> (Digested, Vec<i64>) {
        self.asked += 1;
        let Some(patient) = self.patients.get_mut(subject) else { return (vec![], days.collect()) };
        patient.last_asked = self.asked;
        let own = patient.series.get(key);
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for day in days {
            match own.and_then(|own| own.get(&day)) {
                Some(held) => found.push((day, held.clone())),
                None => missing.push(day),
            }
        }
        (found, missing)
    }

    /// Takes in an entry of the log.
    pub(super) fn take(&mut self, seq: i64, touch: &Touch) {
        match touch {
            Touch::Nothing => {}
            Touch::Everything => self.begin(seq),
            Touch::Readings(touched) => {
                for (subject, starts) in touched {
                    self.forget(subject, *starts);
                }
            }
        }
        self.seen = self.seen.max(seq);
    }

    fn forget(&mut self, subject: &str, starts: i64) {
        let Some(patient) = self.patients.get_mut(subject) else { return };
        for (key, days) in &mut patient.series {
            if let Some(day) = days.remove(&key.zone.day(starts)) {
                let cost = cost(&day);
                patient.cost = patient.cost.saturating_sub(cost);
                self.cost = self.cost.saturating_sub(cost);
            }
        }
    }

    pub(super) fn adopt(&mut self, subject: &str, key: &Key, loaded: Digested) {
        let patient = self.patients.entry(subject.to_owned()).or_default();
        patient.last_asked = self.asked;
        let days = patient.series.entry(key.clone()).or_default();
        for (day, digest) in loaded {
            let (new, old) = (cost(&digest), days.insert(day, digest).map_or(0, |old| cost(&old)));
            patient.cost = (patient.cost + new).saturating_sub(old);
            self.cost = (self.cost + new).saturating_sub(old);
        }
        while self.cost > MOST_HELD {
            let Some(idle) = self.patients.iter().min_by_key(|(_, p)| p.last_asked).map(|(s, _)| s.clone()) else {
                return;
            };
            let gone = self.patients.remove(&idle).map_or(0, |patient| patient.cost);
            self.cost = self.cost.saturating_sub(gone);
        }
    }
}

fn cost(day: &[UnitDay]) -> usize {
    let quarters = day.iter().flat_map(|unit| unit.digest.quarters.values());
    DAY_COST + quarters.map(|sketch| sketch.size() + QUARTER_COST).sum::<usize>()
}

/// How many readings these days were made of.
pub(super) fn readings(days: &Digested) -> usize {
    let units = days.iter().flat_map(|(_, units)| units.iter());
    units.map(|unit| unit.digest.moments.count + unit.implausible).sum()
}

/// The digests of these days; a day without samples has none of any unit, and is known to have none.
pub(super) fn digested(key: &Key, days: &[i64], samples: Vec<Sampled>) -> Digested {
    let mut all: BTreeMap<i64, BTreeMap<String, UnitDay>> = days.iter().map(|day| (*day, BTreeMap::new())).collect();
    let nothing = Bands::default();
    for sample in samples {
        let Some(day) = all.get_mut(&key.zone.day(sample.starts)) else { continue };
        let own = sample.unit.as_deref().unwrap_or_default();
        let (unit, value) =
            ucum::canonical(own).map_or((own, sample.value), |canonical| (canonical.unit, canonical.of(sample.value)));
        let signal = UnitDay::signal(&key.code.1, unit);
        if !day.contains_key(unit) {
            let new = UnitDay { unit: unit.to_owned(), digest: Digest::default(), implausible: 0 };
            day.insert(unit.to_owned(), new);
        }
        let Some(place) = day.get_mut(unit) else { continue };
        if signal.is_some_and(|signal| !signal.is_plausible(value)) {
            place.implausible += 1;
        } else {
            let bands = signal.map_or(&nothing, |signal| &signal.bands);
            place.digest.push(sample.starts, value, key.zone, bands);
        }
    }
    all.into_iter().map(|(day, units)| (day, units.into_values().collect())).collect()
}
