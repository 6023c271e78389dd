//! One round of the engine: the readings that came since the last, in the order of their times, each judged by the
//! rules that take it. What came late, was corrected or was retracted is gone through again from its instant, once
//! the round has judged the rest. Layer 5, beside the engine: it reads the store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::correction::Correction;
use super::departure;
use super::episodes::{Conclusion, Origin};
use super::lookup;
use super::past;
use super::patients::{self, Judged, Key};
use super::reading::Taken;
use super::rule::Condition;
use super::scores;
use super::watch::Watch;
use super::window::{Terms, Window};
use serde_json::Value;

use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::reading::Reading;
use crate::store::{Content, Entry, Store, Stored};

/// So many are looked up at a time.
const AT_ONCE: usize = 8;
/// Patients whose windows are made of one look at the store.
const PATIENTS: usize = 16;

pub(super) struct Round {
    /// In the order of their times.
    taken: Vec<Taken>,
    corrections: Vec<Correction>,
}

impl Round {
    /// What the rules take of these entries.
    pub(super) async fn gather(store: &Store, watch: &mut Watch, entries: &[Arc<Entry>]) -> Result<Self, Error> {
        let mut round = Self { taken: vec![], corrections: vec![] };
        for entry in entries {
            match entry.resource_type {
                "Observation" if entry.version > 1 => round.corrected(store, watch, entry).await?,
                "Observation" => round.taken.extend(patients::taken(store, &watch.rules, entry).await?),
                "DetectedIssue" => watch.episodes.observe(entry),
                "Patient" => watch.patients.forget_context(Some(&format!("Patient/{}", entry.id))),
                // A ward's limits, and where a patient lies.
                "Flag" | "Encounter" => forget(store, watch, entry).await?,
                _ => {}
            }
        }
        round.taken.sort_by_key(|taken| (taken.sample.at, taken.sample.seq));
        Ok(round)
    }

    /// Both what was said before and what is said now change the past.
    async fn corrected(&mut self, store: &Store, watch: &Watch, entry: &Arc<Entry>) -> Result<(), Error> {
        let access = Access::system("alert engine");
        let mut versions = vec![entry.clone()];
        if let Some(before) = before(store, &access, entry).await? {
            let reading = Reading::of(&before.value()?);
            versions.push(Arc::new(Entry {
                version: before.version,
                updated: before.updated,
                content: Content::Reading(Arc::new(reading)),
                ..(**entry).clone()
            }));
        }
        for version in &versions {
            for taken in patients::taken(store, &watch.rules, version).await? {
                self.late(Key::of(&taken), taken);
            }
        }
        Ok(())
    }

    fn late(&mut self, key: Key, cause: Taken) {
        let from = cause.sample.at;
        match self.corrections.iter_mut().find(|known| known.key.same(&key)) {
            Some(known) => {
                known.from = known.from.min(from);
                known.to = known.to.max(from);
            }
            None => self.corrections.push(Correction { key, from, to: from, cause }),
        }
    }

    /// Lets the windows take the readings.
    pub(super) async fn judge(
        &mut self,
        store: &Store,
        access: &Access,
        watch: &mut Watch,
    ) -> Result<Vec<Conclusion>, Error> {
        let mut conclusions = Vec::new();
        let now = store.clock().now();
        let all = std::mem::take(&mut self.taken);
        let corrected = |taken: &Taken| {
            let key = Key::of(taken);
            self.corrections.iter().any(|correction| correction.key.same(&key))
        };
        let (late, taken): (Vec<Taken>, Vec<Taken>) = all.into_iter().partition(corrected);
        for taken in late {
            self.late(Key::of(&taken), taken);
        }
        slots(store, access, watch, &taken, false).await?;
        for taken in taken {
            let key = Key::of(&taken);
            // What is gone through again takes all readings of the round: from the earliest of them on.
            if self.corrections.iter().any(|correction| correction.key.same(&key)) {
                self.late(key, taken);
                continue;
            }
            match watch.patients.judge(&key, &taken) {
                Judged::Past => self.late(key, taken),
                Judged::Changes(changes) => {
                    let origin = Origin { place: &key, code: taken.code, entry: Some(&taken.entry), now };
                    for change in &changes {
                        conclusions.extend(watch.episodes.conclude(store, &origin, change).await?);
                    }
                    conclusions.extend(watch.episodes.confirm(&origin, taken.sample.at));
                    let scored = watch.patients.take_scores(&key);
                    conclusions.extend(scores::told(store, access, &origin, scored).await?);
                }
            }
        }
        Ok(conclusions)
    }

    /// Goes through the past again where it has changed.
    pub(super) async fn correct(
        self,
        store: &Store,
        access: &Access,
        watch: &mut Watch,
    ) -> Result<Vec<Conclusion>, Error> {
        let mut conclusions = Vec::new();
        for correction in &self.corrections {
            know(store, access, watch, &correction.key.patient).await?;
            conclusions.extend(correction.conclude(store, access, watch).await?);
        }
        Ok(conclusions)
    }
}

/// The version before this one, unless there is none or it was deleted.
pub(super) async fn before(store: &Store, access: &Access, entry: &Entry) -> Result<Option<Stored>, Error> {
    if entry.version < 2 {
        return Ok(None);
    }
    match store.find_version(access, entry.resource_type, &entry.id, entry.version - 1).await {
        Ok(stored) => Ok(Some(stored).filter(|stored| !stored.deleted)),
        Err(Error::NotFound { .. } | Error::Gone { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A Flag or an Encounter matters to whom it is about now and to whom it was about before; one about a ward to all.
async fn forget(store: &Store, watch: &mut Watch, entry: &Entry) -> Result<(), Error> {
    let access = Access::system("alert engine");
    let old = before(store, &access, entry).await?.map(|stored| stored.value()).transpose()?;
    let new = match &entry.content {
        Content::Resource(resource) => Some(resource.as_ref()),
        _ => None,
    };
    for resource in old.as_ref().into_iter().chain(new) {
        watch.patients.forget_context(patient_of(resource));
    }
    Ok(())
}

/// The patient that a Flag or an Encounter is about; none when it is a ward.
pub(super) fn patient_of(resource: &Value) -> Option<&str> {
    let subject = resource.pointer("/subject/reference").and_then(Value::as_str)?;
    subject.starts_with("Patient/").then_some(subject)
}

/// Looks up what matters of a patient, if it has to be.
async fn know(store: &Store, access: &Access, watch: &mut Watch, patient: &Arc<str>) -> Result<(), Error> {
    if watch.patients.is_unknown(patient) {
        watch.patients.know(patient, lookup::context(store, access, patient).await?);
    }
    Ok(())
}

/// Makes the windows of these readings that are not there yet, several at a time: as they stood before this round.
/// `open`: the last instant of one may not be judged yet.
pub(super) async fn slots(
    store: &Store,
    access: &Access,
    watch: &mut Watch,
    taken: &[Taken],
    open: bool,
) -> Result<(), Error> {
    let new = firsts(watch, taken);
    let unknown: HashSet<Arc<str>> = new.iter().map(|(key, _)| key.patient.clone()).collect();
    let unknown = unknown.into_iter().filter(|patient| watch.patients.is_unknown(patient));
    let looked_up = stream::iter(unknown.collect::<Vec<_>>())
        .map(
            |patient| async move { Ok::<_, Error>((patient.clone(), lookup::context(store, access, &patient).await?)) },
        )
        .buffer_unordered(AT_ONCE);
    for (patient, context) in looked_up.try_collect::<Vec<_>>().await? {
        watch.patients.know(&patient, context);
    }
    let standing = &*watch;
    let all: Vec<Vec<(Key, Taken)>> = by_patient(new).chunks(PATIENTS).map(<[_]>::concat).collect();
    let made = stream::iter(all)
        .map(|some| async move { made(store, access, standing, &some, open).await })
        .buffer_unordered(AT_ONCE);
    for Made { key, window, code, heard } in made.try_collect::<Vec<_>>().await?.into_iter().flatten() {
        watch.patients.put(&key, window, code, heard);
    }
    Ok(())
}

/// The first reading of each window that is not there.
fn firsts(watch: &Watch, taken: &[Taken]) -> Vec<(Key, Taken)> {
    let mut named = HashSet::new();
    let mut new = Vec::new();
    for taken in taken {
        let key = Key::of(taken);
        let name = (key.patient.clone(), Arc::as_ptr(&key.rule), key.device.clone());
        if !watch.patients.has(&key) && named.insert(name) {
            new.push((key, taken.clone()));
        }
    }
    new
}

fn by_patient(new: Vec<(Key, Taken)>) -> Vec<Vec<(Key, Taken)>> {
    let mut all: HashMap<Arc<str>, Vec<(Key, Taken)>> = HashMap::new();
    for (key, taken) in new {
        all.entry(key.patient.clone()).or_default().push((key, taken));
    }
    all.into_values().collect()
}

/// A window as it stands before a reading.
struct Made {
    key: Key,
    window: Window,
    code: u16,
    heard: i64,
}

/// The windows of some patients.
async fn made(
    store: &Store,
    access: &Access,
    watch: &Watch,
    windows: &[(Key, Taken)],
    open: bool,
) -> Result<Vec<Made>, Error> {
    let mut all = Vec::with_capacity(windows.len());
    for ((key, taken), mut past) in windows.iter().zip(past::of_all(store, windows, watch.judged).await?) {
        if let (Condition::Missing { after, .. }, Some(last)) = (&key.rule.condition, past.last())
            && taken.sample.at - last.sample.at > *after
            && departure::since(store, access, &key.patient, last.entry.updated).await?
        {
            // Nobody has waited for it.
            past.clear();
        }
        let last = past.last().map_or(taken, |last| last);
        let (code, heard) = (last.code, last.entry.updated);
        let context = watch.patients.context(&key.patient);
        let terms = Terms { rule: &key.rule, context: &context };
        let window = patients::resumed(&terms, &watch.episodes.firing(key), &past);
        let window = if open { window } else { window.settled(&terms) };
        all.push(Made { key: key.clone(), window, code, heard });
    }
    Ok(all)
}
