//! The episodes that are open: one DetectedIssue each, held with the version that stands, so that the next
//! change of level makes its next version. Layer 5, beside the engine: it reads the store.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::amend::Told;
use super::issue::{self, Change, Episode, OpenEpisode};
use super::lifecycle::{self, Policy};
use super::patients::Key as Place;
use super::reading::reading;
use super::rule::{Cause, Level};
use super::scores;
use super::seed::AUTHOR;
use super::window::{Kind, Transition};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::time;
use crate::store::{Content, Entry, Store};

/// What the rules concluded: the version of a DetectedIssue, or of the Observation of a score, to be committed.
pub(super) struct Conclusion {
    pub id: String,
    pub resource: Value,
    /// The version that it follows; none for a new episode.
    pub expect: Option<i32>,
    /// When the reading was committed that led to it, µs UTC; none when time alone did.
    pub cause_committed: Option<i64>,
    /// Of an alert.
    pub severity: Option<&'static str>,
    pub event: &'static str,
}

/// Where a change comes from.
pub(super) struct Origin<'a> {
    pub place: &'a Place,
    pub code: u16,
    /// The entry of the log that led to it; none when time did.
    pub entry: Option<&'a Arc<Entry>>,
    /// When it is concluded, µs UTC.
    pub now: i64,
}

#[derive(Default)]
pub(super) struct Episodes {
    /// By patient; then by rule, what is wrong, whose silence it is, and whether only an answer is awaited (latched).
    /// Not by rule key: that follows the coding of the reading that raised it.
    open: HashMap<String, HashMap<Key, Open>>,
    /// How many of them were known too late to sound.
    late: usize,
    policy: Policy,
}

type Key = (String, Cause, Option<String>, bool);

struct Open {
    episode: OpenEpisode,
    version: i32,
    /// When time will do something to it, µs UTC.
    due: Option<i64>,
    resource: Value,
}

fn key(place: &Place, cause: Cause) -> Key {
    (place.rule.url.clone(), cause, place.device.as_deref().map(str::to_owned), false)
}

impl Episodes {
    /// All that are open in the store.
    pub(super) async fn open(store: &Store, access: &Access, policy: Policy) -> Result<Self, Error> {
        let mut episodes = Self { policy, ..Self::default() };
        let query = Query::new("DetectedIssue", &[("status", "preliminary")], MAX_COUNT)?;
        for issue in store.search_all(access, query).await? {
            episodes.hold(issue.value()?, issue.version);
        }
        Ok(episodes)
    }

    fn hold(&mut self, resource: Value, version: i32) {
        let Some(episode) = issue::open_episode(&resource) else { return };
        let key = (episode.rule_url.clone(), episode.cause, episode.device.clone(), episode.latched);
        self.late += usize::from(episode.late);
        let open = Open { episode, version, due: lifecycle::due(&resource), resource };
        self.open.entry(open.episode.patient.clone()).or_default().insert(key, open);
    }

    fn take(&mut self, patient: &str, key: &Key) -> Option<Open> {
        let own = self.open.get_mut(patient)?;
        let open = own.remove(key)?;
        if own.is_empty() {
            self.open.remove(patient);
        }
        self.late -= usize::from(open.episode.late);
        Some(open)
    }

    fn get(&self, place: &Place, cause: Cause) -> Option<&Open> {
        self.open.get(place.patient.as_ref())?.get(&key(place, cause))
    }

    /// A version of a DetectedIssue came by on the log: somebody may have acknowledged or closed it.
    pub(super) fn observe(&mut self, entry: &Entry) {
        let mut all =
            self.open.iter().flat_map(|(patient, own)| own.iter().map(move |(key, open)| (patient, key, open)));
        let held = all.find(|(.., open)| open.episode.id == entry.id && open.version < entry.version);
        let Some((patient, key)) = held.map(|(patient, key, _)| (patient.clone(), key.clone())) else { return };
        self.take(&patient, &key);
        if let Content::Resource(resource) = &entry.content {
            self.hold((**resource).clone(), entry.version);
        }
    }

    /// What fires here.
    pub(super) fn firing(&self, place: &Place) -> Vec<(Cause, Level)> {
        let of_patient = self.open.get(place.patient.as_ref()).into_iter().flatten();
        let own = of_patient
            .filter(|((url, _, device, _), _)| *url == place.rule.url && device.as_deref() == place.device.as_deref());
        own.filter(|((.., latched), _)| !latched).map(|((_, cause, ..), open)| (*cause, open.episode.level)).collect()
    }

    /// A fresh reading finds alerts standing that were known too late to sound: now they do.
    pub(super) fn confirm(&mut self, origin: &Origin<'_>, at: i64) -> Vec<Conclusion> {
        if self.late == 0 || origin.now - at > origin.place.rule.timing.late_after {
            return vec![];
        }
        let firing = self.firing(origin.place);
        let late =
            firing.into_iter().filter(|(cause, _)| self.get(origin.place, *cause).is_some_and(|o| o.episode.late));
        let causes: Vec<Cause> = late.map(|(cause, _)| cause).collect();
        let confirmed = causes.into_iter().filter_map(|cause| {
            let open = self.take(&origin.place.patient, &key(origin.place, cause))?;
            let confirmed = lifecycle::sounds_now(&self.policy, issue::confirmed(&open.resource), origin.now);
            self.concluded(confirmed, Some(open.version), "confirm", origin)
        });
        confirmed.collect()
    }

    /// The versions that a change of level makes: of the episode, and of one that waited for an answer when this one
    /// takes its place. None when the episode was closed by somebody else.
    pub(super) async fn conclude(
        &mut self,
        store: &Store,
        origin: &Origin<'_>,
        transition: &Transition,
    ) -> Result<Vec<Conclusion>, Error> {
        let told = Telling::of(store, origin, transition).await?;
        let standing = self.get(origin.place, transition.cause);
        let (resource, expect) = match (standing, transition.kind) {
            (Some(open), _) => (issue::changed(&open.resource, &told.change(origin)), Some(open.version)),
            // Closed by somebody, and worse since: that is a new episode.
            (None, Kind::Raise | Kind::Escalate) => (told.raised(origin), None),
            (None, _) => return Ok(vec![]),
        };
        let previous = standing.map(|open| &open.resource);
        let (rule, now) = (&origin.place.rule, origin.now);
        let resource = lifecycle::after_change(&self.policy, previous, resource, rule, transition, now);
        let mut conclusions: Vec<Conclusion> = self.supersede(origin, transition).into_iter().collect();
        self.take(&origin.place.patient, &key(origin.place, transition.cause));
        conclusions.extend(self.concluded(resource, expect, transition.kind.code(), origin));
        Ok(conclusions)
    }

    /// What is raised anew takes the place of what only waited for an answer.
    fn supersede(&mut self, origin: &Origin<'_>, transition: &Transition) -> Option<Conclusion> {
        if transition.kind != Kind::Raise {
            return None;
        }
        let (url, cause, device, _) = key(origin.place, transition.cause);
        let latched = self.take(&origin.place.patient, &(url, cause, device, true))?;
        self.concluded(lifecycle::superseded(&latched.resource), Some(latched.version), "supersede", origin)
    }

    /// A version to be committed. What follows in this batch follows on this version; should it not be committed,
    /// all of it is forgotten.
    fn concluded(
        &mut self,
        resource: Value,
        expect: Option<i32>,
        event: &'static str,
        origin: &Origin<'_>,
    ) -> Option<Conclusion> {
        self.next_version(resource, expect, event, origin.entry.map(|entry| entry.updated))
    }

    fn next_version(
        &mut self,
        resource: Value,
        expect: Option<i32>,
        event: &'static str,
        cause_committed: Option<i64>,
    ) -> Option<Conclusion> {
        let id = resource.get("id").and_then(Value::as_str).map(str::to_owned)?;
        self.hold(resource.clone(), expect.map_or(1, |version| version + 1));
        let severity = Some(severity(&resource));
        Some(Conclusion { id, resource, expect, cause_committed, severity, event })
    }

    /// When time will do something to one of them, µs UTC.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.open.values().flat_map(HashMap::values).filter_map(|open| open.due).min()
    }

    /// What time has done to them: silences that are over, steps of an escalation.
    pub(super) fn ripen(&mut self, now: i64) -> Vec<Conclusion> {
        let all = self.open.iter().flat_map(|(patient, own)| own.iter().map(move |(key, open)| (patient, key, open)));
        let due = all.filter(|(.., open)| open.due.is_some_and(|due| due <= now));
        let due: Vec<(String, Key)> = due.map(|(patient, key, _)| (patient.clone(), key.clone())).collect();
        let mut conclusions = Vec::new();
        for (patient, key) in due {
            let Some(open) = self.take(&patient, &key) else { continue };
            match lifecycle::on_due(&open.resource, &self.policy, now) {
                Some(next) => {
                    conclusions.extend(self.next_version(next.issue, Some(open.version), next.event.code(), None));
                }
                None => self.hold(open.resource, open.version),
            }
        }
        conclusions
    }

    /// Lets go what is held of this very episode, firing or waiting for an answer.
    fn forget(&mut self, origin: &Origin<'_>, told: &Told) {
        let id = told.resource.get("id").and_then(Value::as_str);
        let (url, cause, device, _) = key(origin.place, told.cause);
        for latched in [false, true] {
            let key = (url.clone(), cause, device.clone(), latched);
            let held = self.open.get(origin.place.patient.as_ref()).and_then(|own| own.get(&key));
            if held.is_some_and(|open| Some(open.episode.id.as_str()) == id) {
                self.take(&origin.place.patient, &key);
            }
        }
    }

    /// An episode that was told and never was.
    pub(super) fn retract(&mut self, origin: &Origin<'_>, told: &Told) -> Option<Conclusion> {
        self.forget(origin, told);
        self.concluded(issue::retracted(&told.resource), Some(told.version), "retract", origin)
    }

    /// An episode that went otherwise from an instant on; `told`: as it was told, where it was.
    pub(super) async fn tell_again(
        &mut self,
        store: &Store,
        origin: &Origin<'_>,
        told: Option<&Told>,
        from: i64,
        changes: &[Transition],
    ) -> Result<Option<Conclusion>, Error> {
        let before = told.map(|told| issue::as_before(&told.resource, &origin.place.rule, from));
        let mut resource = before.filter(|issue| !issue::steps(issue).is_empty());
        for change in changes {
            let telling = Telling::of(store, origin, change).await?;
            resource = Some(match resource {
                Some(issue) => issue::changed(&issue, &telling.change(origin)),
                None => telling.raised(origin),
            });
        }
        let Some(mut resource) = resource else { return Ok(None) };
        if let Some(told) = told {
            self.forget(origin, told);
            resource = issue::told_anew(&told.resource, resource);
            resource = lifecycle::retold(&self.policy, &told.resource, resource, origin.now);
        } else if issue::open_episode(&resource).is_some_and(|episode| !episode.late) {
            resource = lifecycle::sounds_now(&self.policy, resource, origin.now);
        }
        Ok(self.concluded(resource, told.map(|told| told.version), "amend", origin))
    }

    /// Every episode of this rule and patient that was not over at an instant.
    pub(super) async fn told(store: &Store, access: &Access, place: &Place, from: i64) -> Result<Vec<Told>, Error> {
        let since = format!("ge{}", time::instant(from));
        let query = Query::new("DetectedIssue", &[("patient", &place.patient), ("identified", &since)], MAX_COUNT)?;
        let mut all = Vec::new();
        for stored in store.search_all(access, query).await? {
            let resource = stored.value()?;
            if issue::is_of(&resource, &place.rule.url, place.device.as_deref()) {
                all.extend(Told::of(resource, stored.version));
            }
        }
        all.sort_by_key(|told| told.steps.first().map(|step| step.at));
        Ok(all)
    }
}

/// A change with the references that a DetectedIssue gives for it.
struct Telling<'t> {
    transition: &'t Transition,
    observation: String,
    onset: Option<String>,
    peak: Option<String>,
    device: Option<String>,
    encounter: Option<String>,
    /// The score that the alert is about.
    score: Option<String>,
}

impl<'t> Telling<'t> {
    async fn of(store: &Store, origin: &Origin<'_>, transition: &'t Transition) -> Result<Self, Error> {
        let trigger = entry_at(store, transition.sample.seq, origin.entry).await?;
        let reference = |entry: &Arc<Entry>| entry.versioned_reference();
        let onset = entry_at(store, transition.onset.seq, trigger.as_ref()).await?;
        let peak = match transition.peak {
            Some(peak) => entry_at(store, peak.seq, trigger.as_ref()).await?,
            None => None,
        };
        let source = trigger.as_ref().and_then(|entry| reading(entry));
        Ok(Self {
            transition,
            observation: trigger.as_ref().map(reference).unwrap_or_default(),
            onset: onset.as_ref().map(reference),
            peak: peak.as_ref().map(reference),
            device: source.and_then(|reading| reading.device.clone()),
            encounter: source.and_then(|reading| reading.encounter.clone()),
            score: (transition.cause == Cause::Score).then(|| scores::reference(origin.place, transition.at)),
        })
    }

    fn change<'a>(&'a self, origin: &Origin<'a>) -> Change<'a> {
        let rule = &origin.place.rule;
        Change {
            rule,
            transition: self.transition,
            observation: &self.observation,
            peak: self.peak.as_deref(),
            // What time alone has changed is known in time.
            late: origin.entry.is_some() && origin.now - self.transition.at > rule.timing.late_after,
        }
    }

    fn raised(&self, origin: &Origin<'_>) -> Value {
        let place = origin.place;
        issue::raised(&Episode {
            change: self.change(origin),
            onset: self.onset.as_deref().unwrap_or(&self.observation),
            subject: place.rule.subject(origin.code),
            patient: &place.patient,
            author: AUTHOR,
            implicated: self.score.as_deref().or(self.device.as_deref()),
            encounter: self.encounter.as_deref(),
        })
    }
}

fn severity(resource: &Value) -> &'static str {
    match resource.get("severity").and_then(Value::as_str) {
        Some("high") => "high",
        Some("moderate") => "moderate",
        _ => "low",
    }
}

/// The entry that was committed at a place in the log.
async fn entry_at(store: &Store, seq: i64, likely: Option<&Arc<Entry>>) -> Result<Option<Arc<Entry>>, Error> {
    if let Some(entry) = likely.filter(|entry| entry.seq == seq) {
        return Ok(Some(entry.clone()));
    }
    Ok(store.log_after(seq - 1, 1).await?.into_iter().next().filter(|entry| entry.seq == seq))
}
