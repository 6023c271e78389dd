//! The rings: for each patient and kind the newest readings without a gap, as far down as they go. No IO: what
//! is missing is asked for by whoever holds them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::Error;
use crate::fhir::lastn::{Kind, Plain, cut, groups};
use crate::fhir::reading::{Code, Reading};
use crate::store::{Content, Entry, Placed, Series, Stored};

/// Readings of one kind that are kept.
pub(super) const DEPTH: usize = 8;
/// Readings in all; some 50 MB. Beyond it the patients that nobody asked about for longest go. Each patient has
/// at least one, so this bounds their number too.
const MOST_HELD: usize = 100_000;
/// The place of a reading without a time.
const NO_TIME: i64 = i64::MIN;

/// What the rings say to a question.
pub(super) enum Found {
    Ready(Vec<Arc<Stored>>),
    /// These readings are known, but not yet what they say.
    Bodies(Vec<i64>),
    /// Of this kind more must be known: which categories it has further down.
    Categories(Kind),
    /// Nothing is known about the patient.
    Unknown,
    /// The rings do not reach far enough.
    NotHere,
}

#[derive(Default)]
pub(super) struct Rings {
    patients: HashMap<Arc<str>, Patient>,
    /// Whose rings hold a reading.
    places: HashMap<Arc<str>, Arc<str>>,
    seen: i64,
    asked: u64,
}

#[derive(Default)]
struct Patient {
    rings: HashMap<Kind, Ring>,
    last_asked: u64,
}

/// The newest readings of one kind, newest first.
#[derive(Default)]
struct Ring {
    held: Vec<Held>,
    /// There are no older ones than those that are held.
    complete: bool,
    /// Every category that was met since the ring was loaded.
    met: Vec<Arc<[Code]>>,
    /// All that the kind has, as far down as it goes, once somebody had to know.
    categories: Option<Vec<Arc<[Code]>>>,
}

struct Held {
    seq: i64,
    starts: i64,
    id: Arc<str>,
    category: Arc<[Code]>,
    stored: Option<Arc<Stored>>,
}

impl Held {
    fn place(&self) -> (i64, i64) {
        (self.starts, self.seq)
    }
}

impl Rings {
    /// One patient's, as they were read.
    pub(super) fn of(subject: &str, seen: i64, series: Vec<Series>) -> Result<Self, Error> {
        let mut rings = Self { seen, ..Self::default() };
        let subject: Arc<str> = subject.into();
        let mut patient = Patient::default();
        for one in series {
            for placed in one.readings {
                let reading = Reading::of(&placed.stored.value()?);
                let ring = patient.rings.entry(Kind::of(&reading.codings, reading.text.as_deref())).or_default();
                ring.complete = one.complete;
                let id: Arc<str> = placed.stored.id.as_str().into();
                let category = ring.shared_category(&reading.category);
                let (seq, starts, stored) = (placed.seq, placed.starts, Some(Arc::new(placed.stored)));
                ring.held.push(Held { seq, starts, id: id.clone(), category, stored });
                rings.places.insert(id, subject.clone());
            }
        }
        if !patient.rings.is_empty() {
            rings.patients.insert(subject, patient);
        }
        Ok(rings)
    }

    /// Whether they hold nothing of anybody: nobody is kept without readings.
    pub(super) fn is_empty(&self) -> bool {
        self.patients.is_empty()
    }

    /// Entries up to this one are taken in.
    pub(super) fn seen(&self) -> i64 {
        self.seen
    }

    /// Forgets everything and goes on from here.
    pub(super) fn begin(&mut self, seen: i64) {
        *self = Self { seen: seen.max(self.seen), asked: self.asked, ..Self::default() };
    }

    /// Takes a committed version in; one that was taken in before changes nothing.
    pub(super) fn take(&mut self, entry: &Entry) {
        self.seen = self.seen.max(entry.seq);
        if entry.resource_type != "Observation" || !self.forget(&entry.id, entry.seq) {
            return;
        }
        let Content::Reading(reading) = &entry.content else { return };
        let Some(subject) = reading.subject.as_deref() else { return };
        let Some((subject, patient)) = self.patients.get_key_value(subject).map(|(s, _)| s.clone()).and_then(|s| {
            let patient = self.patients.get_mut(&s)?;
            Some((s, patient))
        }) else {
            return;
        };
        let id: Arc<str> = entry.id.as_str().into();
        let kind = Kind::of(&reading.codings, reading.text.as_deref());
        // A kind that was never seen has no older readings: else it would have been loaded.
        let ring = patient.rings.entry(kind).or_insert_with(|| Ring { complete: true, ..Ring::default() });
        let category = ring.shared_category(&reading.category);
        ring.meet(&category);
        let starts = reading.effective.map_or(NO_TIME, |e| e.0);
        let held = Held { seq: entry.seq, starts, id: id.clone(), category, stored: None };
        let (placed, dropped) = ring.put(held);
        if placed {
            self.places.insert(id, subject);
        }
        if let Some(dropped) = dropped {
            self.places.remove(&dropped);
        }
    }

    /// Takes a reading out before its next version; false when that version, or a later one, is held already.
    fn forget(&mut self, id: &str, seq: i64) -> bool {
        let Some(subject) = self.places.get(id).cloned() else { return true };
        let Some(patient) = self.patients.get_mut(&subject) else { return true };
        let found = patient.rings.iter_mut().find_map(|(kind, ring)| {
            let at = ring.held.iter().position(|held| *held.id == *id)?;
            Some((kind.clone(), ring, at))
        });
        let Some((kind, ring, at)) = found else { return true };
        if ring.held.get(at).is_some_and(|held| held.seq >= seq) {
            return false;
        }
        ring.held.remove(at);
        self.places.remove(id);
        match (ring.held.is_empty(), ring.complete) {
            (true, true) => {
                patient.rings.remove(&kind);
                if patient.rings.is_empty() {
                    self.drop_patient(&subject);
                }
            }
            // What comes below is not known: the patient is loaded again when asked for.
            (true, false) => self.drop_patient(&subject),
            _ => {}
        }
        true
    }

    fn drop_patient(&mut self, subject: &str) {
        let Some(patient) = self.patients.remove(subject) else { return };
        for held in patient.rings.values().flat_map(|ring| &ring.held) {
            self.places.remove(&held.id);
        }
    }

    /// Takes over a patient that was loaded and brought up to where these are, or further.
    pub(super) fn adopt(&mut self, subject: &str, mut loaded: Self) {
        self.drop_patient(subject);
        // Held twice: it was moved from one patient to another, and the older place is wrong.
        let twice: Vec<Arc<str>> = loaded.places.keys().filter(|id| self.places.contains_key(*id)).cloned().collect();
        for id in twice {
            let seq = loaded.seq_of(&id).unwrap_or(0);
            if !self.forget(&id, seq) {
                loaded.forget(&id, i64::MAX);
            }
        }
        self.places.extend(loaded.places);
        self.patients.extend(loaded.patients);
        self.make_room(subject, MOST_HELD);
    }

    fn seq_of(&self, id: &str) -> Option<i64> {
        let patient = self.patients.get(self.places.get(id)?)?;
        patient.rings.values().flat_map(|ring| &ring.held).find(|held| *held.id == *id).map(|held| held.seq)
    }

    fn make_room(&mut self, newest: &str, most: usize) {
        while self.places.len() > most {
            let others = self.patients.iter().filter(|(subject, _)| ***subject != *newest);
            let Some(oldest) = others.min_by_key(|(_, p)| p.last_asked).map(|(subject, _)| subject.clone()) else {
                return;
            };
            self.drop_patient(&oldest);
        }
    }

    pub(super) fn fill(&mut self, subject: &str, readings: Vec<Placed>) {
        let Some(patient) = self.patients.get_mut(subject) else { return };
        for Placed { seq, stored, .. } in readings {
            let stored = Arc::new(stored);
            let held = patient.rings.values_mut().flat_map(|ring| &mut ring.held).find(|held| held.seq == seq);
            if let Some(held) = held {
                held.stored = Some(stored);
            }
        }
    }

    /// All categories that a kind of the patient has, as the store told.
    pub(super) fn learn(&mut self, subject: &str, kind: &Kind, categories: Vec<Vec<Code>>) {
        let ring = self.patients.get_mut(subject).and_then(|patient| patient.rings.get_mut(kind));
        let Some(ring) = ring else { return };
        // What was met while the store was asked may not be in its answer.
        let told = categories.into_iter().map(Arc::from);
        ring.categories = Some(told.chain(ring.met.iter().cloned()).collect());
    }

    /// The newest `max` of each group, newest first.
    pub(super) fn answer(&mut self, question: &Plain, max: usize) -> Found {
        self.asked += 1;
        let Some(patient) = self.patients.get_mut(question.subject.as_str()) else { return Found::Unknown };
        patient.last_asked = self.asked;
        if let Some(kind) = unclear(patient, question) {
            return Found::Categories(kind.clone());
        }
        let mut taken: Vec<&Held> = Vec::new();
        for group in grouped(patient, question) {
            match newest(&group, question, max) {
                Some(held) => taken.extend(held),
                None => return Found::NotHere,
            }
        }
        taken.sort_unstable_by_key(|held| std::cmp::Reverse(held.place()));
        let missing: Vec<i64> = taken.iter().filter(|held| held.stored.is_none()).map(|held| held.seq).collect();
        if missing.is_empty() {
            Found::Ready(taken.into_iter().filter_map(|held| held.stored.clone()).collect())
        } else {
            Found::Bodies(missing)
        }
    }
}

/// A kind of which nothing that is held has the category, and nobody knows whether something below has.
fn unclear<'a>(patient: &'a Patient, question: &Plain) -> Option<&'a Kind> {
    let is_unclear = |ring: &Ring| !ring.holds(question) && ring.may_hold_below(question).is_none();
    patient.rings.iter().find(|(kind, ring)| question.wants_kind(kind) && is_unclear(ring)).map(|(kind, _)| kind)
}

/// The rings that a question may find something in, by groups. A kind without a reading of the category joins
/// nothing, unless there may be one further down.
fn grouped<'a>(patient: &'a Patient, question: &Plain) -> Vec<Vec<&'a Ring>> {
    let meant = |ring: &Ring| ring.holds(question) || ring.may_hold_below(question) == Some(true);
    let (kinds, rings): (Vec<&Kind>, Vec<&Ring>) =
        patient.rings.iter().filter(|(kind, ring)| question.wants_kind(kind) && meant(ring)).unzip();
    let mut by_group: HashMap<usize, Vec<&Ring>> = HashMap::new();
    for (group, ring) in groups(&kinds).into_iter().zip(rings) {
        by_group.entry(group).or_default().push(ring);
    }
    by_group.into_values().collect()
}

/// What one group answers; none when that is not sure.
fn newest<'a>(group: &[&'a Ring], question: &Plain, max: usize) -> Option<Vec<&'a Held>> {
    let held = group.iter().flat_map(|ring| &ring.held);
    let mut held: Vec<&Held> = held.filter(|held| question.wants_category(&held.category)).collect();
    held.sort_unstable_by_key(|held| std::cmp::Reverse(held.place()));
    let times: Vec<i64> = held.iter().map(|held| held.starts).collect();
    held.truncate(cut(&times, max));
    let last = held.last().map_or(NO_TIME, |held| held.starts);
    // Below an incomplete ring there may be more: only what is newer than its end is sure, and of every ring
    // of the group something must be, or it might not belong to it.
    let sure = |ring: &&Ring| {
        ring.complete
            || (held.len() >= max && ring.held.last().is_some_and(|end| end.starts < last) && ring.holds(question))
    };
    group.iter().all(sure).then_some(held)
}

impl Ring {
    /// Is something that is held of the categories?
    fn holds(&self, question: &Plain) -> bool {
        self.held.iter().any(|held| question.wants_category(&held.category))
    }

    /// May something further down be? None when that is not known.
    fn may_hold_below(&self, question: &Plain) -> Option<bool> {
        if self.complete {
            return Some(false);
        }
        let all = self.categories.as_ref()?;
        Some(all.iter().any(|category| question.wants_category(category)))
    }

    fn meet(&mut self, category: &Arc<[Code]>) {
        for all in [Some(&mut self.met), self.categories.as_mut()].into_iter().flatten() {
            if !all.contains(category) {
                all.push(category.clone());
            }
        }
    }

    /// Puts a reading at its place; whether it is held now, and the id of one that fell out below.
    fn put(&mut self, held: Held) -> (bool, Option<Arc<str>>) {
        let at = self.held.partition_point(|other| other.place() > held.place());
        if at == self.held.len() && !self.complete {
            return (false, None);
        }
        self.held.insert(at, held);
        if self.held.len() <= DEPTH {
            return (true, None);
        }
        self.complete = false;
        let dropped = self.held.pop().map(|held| held.id);
        (at < DEPTH, dropped)
    }

    /// Nearly always that of its neighbours.
    fn shared_category(&self, category: &[Code]) -> Arc<[Code]> {
        let same = self.held.iter().find(|held| *held.category == *category);
        same.map_or_else(|| category.into(), |held| held.category.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(subject: &str, minute: i64) -> Held {
        let id = format!("{subject}-{minute}").into();
        Held { seq: minute, starts: minute, id, category: [].into(), stored: None }
    }

    /// A patient with so many readings of one kind.
    fn loaded(subject: &str, readings: i64) -> Rings {
        let held: Vec<Held> = (0..readings).rev().map(|minute| held(subject, minute)).collect();
        let places = held.iter().map(|held| (held.id.clone(), subject.into())).collect();
        let ring = Ring { held, complete: true, ..Ring::default() };
        let patient = Patient { rings: [(Kind::of(&[], Some("pulse")), ring)].into(), last_asked: 0 };
        Rings { patients: [(subject.into(), patient)].into(), places, ..Rings::default() }
    }

    fn ask(rings: &mut Rings, subject: &str) -> bool {
        let question = Plain { subject: subject.into(), ..Plain::default() };
        !matches!(rings.answer(&question, 1), Found::Unknown)
    }

    #[test]
    fn who_was_not_asked_about_for_longest_makes_room() {
        let mut rings = Rings::default();
        for (subject, readings) in [("p", 3), ("q", 2), ("r", 4)] {
            rings.adopt(subject, loaded(subject, readings));
            assert!(ask(&mut rings, subject));
        }
        assert!(ask(&mut rings, "p"));
        rings.adopt("s", loaded("s", 1));
        for (most, kept) in [(10, "prsq"), (9, "prs"), (8, "prs"), (7, "ps"), (4, "ps"), (3, "s"), (0, "s")] {
            rings.make_room("s", most);
            let mut subjects: Vec<&str> = rings.patients.keys().map(|subject| &**subject).collect();
            subjects.sort_by_key(|subject| kept.find(subject));
            assert_eq!(subjects.concat(), kept, "{most}");
            let readings = rings.patients.values().flat_map(|patient| patient.rings.values());
            assert_eq!(rings.places.len(), readings.map(|ring| ring.held.len()).sum::<usize>(), "{most}");
        }
    }

    #[test]
    fn nobody_is_kept_without_readings() {
        let mut rings = Rings::default();
        rings.adopt("nobody", Rings::of("nobody", 0, vec![]).unwrap());
        assert!(rings.is_empty());
        rings.adopt("p", loaded("p", 2));
        for (reading, nobody) in [(0, false), (1, true)] {
            let (id, content) = (format!("p-{reading}"), Content::Gone);
            rings.take(&Entry { seq: 10, resource_type: "Observation", id, version: 2, updated: 0, content });
            assert_eq!(rings.is_empty(), nobody, "{reading}");
        }
        assert!(!ask(&mut rings, "p"));
    }
}
