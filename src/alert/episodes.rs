//! The episodes that are open: one DetectedIssue each, held with the version that stands, so that the next
//! change of level makes its next version. Layer 5, beside the engine: it reads the store.

mod conclusion;
mod ended;
mod telling;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use self::conclusion::severity;
pub(super) use self::conclusion::{Conclusion, Deed, Outcome};
use self::telling::Telling;
use super::amend::{self, Told};
use super::issue::{self, OpenEpisode, Standing};
use super::lifecycle::{self, Policy, Superseded};
use super::patients::Key as Place;
use super::rule::{Cause, Level};
use super::window::{Kind, Transition};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::time;
use crate::store::{Content, Entry, Store};

/// Where a change comes from.
pub(super) struct Origin<'a> {
    pub place: &'a Place,
    pub code: u16,
    /// The entry of the log that led to it; none when time did.
    pub entry: Option<&'a Arc<Entry>>,
    /// When it is concluded, µs UTC.
    pub now: i64,
}

impl Origin<'_> {
    /// When the entry that led to it was committed, µs UTC.
    fn committed(&self) -> Option<i64> {
        self.entry.map(|entry| entry.updated)
    }
}

#[derive(Default)]
pub(super) struct Episodes {
    /// By patient; then by rule, what is wrong, whose silence it is, and how it stands.
    /// Not by rule key: that follows the coding of the reading that raised it.
    open: HashMap<String, HashMap<Key, Open>>,
    /// Where each of them stands, by its id.
    places: HashMap<String, (String, Key)>,
    /// Those that were over in what is not committed yet.
    rested: HashMap<(String, Key), (Value, i32)>,
    /// How many of them were known too late to sound.
    late: usize,
    policy: Arc<Policy>,
}

type Key = (String, Cause, Option<String>, Standing);

struct Open {
    episode: OpenEpisode,
    version: i32,
    /// When time will do something to it, µs UTC.
    due: Option<i64>,
    resource: Value,
}

fn key(place: &Place, cause: Cause) -> Key {
    (place.rule.url.clone(), cause, place.device.as_deref().map(str::to_owned), Standing::Firing)
}

/// The place of an episode that somebody closed.
fn closed(place: &Place, cause: Cause) -> Key {
    let (url, cause, device, _) = key(place, cause);
    (url, cause, device, Standing::Closed)
}

impl Episodes {
    /// All that are open in the store.
    pub(super) async fn open(store: &Store, access: &Access, policy: Policy) -> Result<Self, Error> {
        let mut episodes = Self { policy: Arc::new(policy), ..Self::default() };
        let query = Query::new("DetectedIssue", &[("status", "preliminary,amended")], MAX_COUNT)?;
        for issue in store.search_all(access, query).await? {
            episodes.hold(issue.value()?, issue.version);
        }
        Ok(episodes)
    }

    fn hold(&mut self, resource: Value, version: i32) {
        let Some(episode) = issue::held_episode(&resource) else { return };
        let key = (episode.rule_url.clone(), episode.cause, episode.device.clone(), episode.standing);
        self.take(&episode.patient, &key);
        self.late += usize::from(episode.late);
        self.places.insert(episode.id.clone(), (episode.patient.clone(), key.clone()));
        let open = Open { episode, version, due: lifecycle::due(&resource), resource };
        self.open.entry(open.episode.patient.clone()).or_default().insert(key, open);
    }

    fn take(&mut self, patient: &str, key: &Key) -> Option<Open> {
        let own = self.open.get_mut(patient)?;
        let open = own.remove(key)?;
        if own.is_empty() {
            self.open.remove(patient);
        }
        self.places.remove(&open.episode.id);
        self.late -= usize::from(open.episode.late);
        Some(open)
    }

    fn by_id(&self, id: &str) -> Option<&Open> {
        let (patient, key) = self.places.get(id)?;
        self.open.get(patient)?.get(key)
    }

    fn take_by_id(&mut self, id: &str) -> Option<Open> {
        let (patient, key) = self.places.get(id)?.clone();
        self.take(&patient, &key)
    }

    fn get(&self, place: &Place, cause: Cause) -> Option<&Open> {
        self.open.get(place.patient.as_ref())?.get(&key(place, cause))
    }

    /// A version of a DetectedIssue came by on the log: somebody may have acknowledged or closed it.
    pub(super) fn observe(&mut self, entry: &Entry) {
        if self.by_id(&entry.id).is_none_or(|open| open.version >= entry.version) {
            return;
        }
        self.take_by_id(&entry.id);
        if let Content::Resource(resource) = &entry.content {
            self.hold((**resource).clone(), entry.version);
        }
    }

    /// Somebody changed a resource while these were on their way: what they say of it follows on what stands now.
    pub(super) async fn follow(
        &mut self,
        store: &Store,
        access: &Access,
        conclusions: Vec<Conclusion>,
        (kind, id): (&str, &str),
    ) -> Result<Vec<Conclusion>, Error> {
        let kind = if kind == "Observation" { "Observation" } else { "DetectedIssue" };
        let standing = match store.find(access, kind, id).await {
            Ok(stored) if !stored.deleted => Some((stored.value()?, stored.version)),
            Ok(_) | Err(Error::NotFound { .. } | Error::Gone { .. }) => None,
            Err(error) => return Err(error),
        };
        self.take_by_id(id);
        let (all, last) = conclusion::follow(conclusions, id, standing);
        if let Some((resource, version)) = last {
            self.hold(resource, version);
        }
        Ok(all)
    }

    /// What fires here, told or closed by somebody.
    pub(super) fn firing(&self, place: &Place) -> Vec<(Cause, Level)> {
        let of_patient = self.open.get(place.patient.as_ref()).into_iter().flatten();
        let own = of_patient
            .filter(|((url, _, device, _), _)| *url == place.rule.url && device.as_deref() == place.device.as_deref());
        let mut levels = BTreeMap::new();
        for ((_, cause, _, standing), open) in own {
            match standing {
                Standing::Firing => _ = levels.insert(*cause, open.episode.level),
                Standing::Closed => _ = levels.entry(*cause).or_insert(open.episode.level),
                Standing::Latched => {}
            }
        }
        levels.into_iter().collect()
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
            let (policy, now) = (self.policy.clone(), origin.now);
            let deed: Deed = Arc::new(move |standing: &Value| match issue::open_episode(standing) {
                Some(_) => Outcome::Next(lifecycle::sounds_now(&policy, issue::confirmed(standing), now)),
                None => Outcome::Nothing,
            });
            self.done(&open, deed, "confirm", origin)
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
        let telling = Telling::of(store, origin, transition).await?;
        let again = self.over_just_now(store, origin, transition).await?;
        let (policy, now) = (self.policy.clone(), origin.now);
        let deed: Deed = Arc::new(move |standing: &Value| telling.after(standing, &policy, now));
        let superseded = if again.is_none() { self.supersede(origin, transition) } else { None };
        let mut conclusions: Vec<Conclusion> = superseded.into_iter().collect();
        let event = transition.kind.code();
        let firing = self.take(&origin.place.patient, &key(origin.place, transition.cause));
        let closed = self.take_closed(origin, transition);
        let (over, released) = match (&firing, closed) {
            (None, Some(closed)) if transition.to == Level::None => (Some(closed), None),
            (_, closed) => (None, closed),
        };
        conclusions.extend(released.and_then(|closed| self.done(&closed, ended::released(), "release", origin)));
        conclusions.extend(match (firing, over) {
            (Some(open), _) | (None, Some(open)) => self.done(&open, deed, event, origin),
            (None, None) => match again {
                Some((resource, version)) => self.next(&resource, Some(version), deed, event, origin.committed()),
                None => self.begun(deed, event, origin),
            },
        });
        Ok(conclusions)
    }

    /// The episode that a raise goes on with: one that was over just now, as the rule counts it.
    async fn over_just_now(
        &mut self,
        store: &Store,
        origin: &Origin<'_>,
        transition: &Transition,
    ) -> Result<Option<(Value, i32)>, Error> {
        let regroup = origin.place.rule.timing.regroup;
        let firing = key(origin.place, transition.cause);
        let held = self.get(origin.place, transition.cause).is_some() || self.is_closed(origin, transition);
        if transition.kind != Kind::Raise || regroup == 0 || held {
            return Ok(None);
        }
        let goes_on = |resource: &Value| {
            let last = issue::steps(resource).last().copied().filter(|step| step.kind == Kind::Resolve);
            last.is_some_and(|last| amend::rejoins(transition.at, last.at, regroup))
        };
        let (url, cause, device, _) = firing.clone();
        let latched = (url, cause, device, Standing::Latched);
        let own = self.open.get(origin.place.patient.as_ref());
        if own.and_then(|own| own.get(&latched)).is_some_and(|open| goes_on(&open.resource)) {
            return Ok(self.take(&origin.place.patient, &latched).map(|open| (open.resource, open.version)));
        }
        // What this round has resolved is not in the store yet.
        let rested = self.rested.remove(&(origin.place.patient.to_string(), firing));
        if let Some(rested) = rested.filter(|(resource, _)| goes_on(resource)) {
            return Ok(Some(rested));
        }
        let access = Access::system("alert engine");
        let told = Self::told(store, &access, origin.place, transition.at.saturating_sub(regroup)).await?;
        let mut own = told.into_iter().filter(|told| told.cause == transition.cause && goes_on(&told.resource));
        Ok(own.next_back().map(|told| (told.resource, told.version)))
    }

    /// Everything concluded so far is in the store.
    pub(super) fn committed(&mut self) {
        self.rested.clear();
    }

    /// An episode that somebody closed, when it stays closed no longer: its condition is over, or worse.
    fn take_closed(&mut self, origin: &Origin<'_>, transition: &Transition) -> Option<Open> {
        let key = closed(origin.place, transition.cause);
        let level = self.open.get(origin.place.patient.as_ref())?.get(&key)?.episode.level;
        let stays = transition.to > Level::None && transition.to <= level;
        if stays { None } else { self.take(&origin.place.patient, &key) }
    }

    fn is_closed(&self, origin: &Origin<'_>, transition: &Transition) -> bool {
        let own = self.open.get(origin.place.patient.as_ref());
        own.is_some_and(|own| own.contains_key(&closed(origin.place, transition.cause)))
    }

    /// What is raised anew takes the place of what only waited for an answer.
    fn supersede(&mut self, origin: &Origin<'_>, transition: &Transition) -> Option<Conclusion> {
        if transition.kind != Kind::Raise {
            return None;
        }
        let (url, cause, device, _) = key(origin.place, transition.cause);
        let latched = self.take(&origin.place.patient, &(url, cause, device, Standing::Latched))?;
        self.done(&latched, ended::superseded(Superseded::RaisedAnew, origin.now), "supersede", origin)
    }

    /// What a deed makes of an episode that is open.
    fn done(&mut self, open: &Open, deed: Deed, event: &'static str, origin: &Origin<'_>) -> Option<Conclusion> {
        self.next(&open.resource, Some(open.version), deed, event, origin.committed())
    }

    /// What a deed makes where no episode is open.
    fn begun(&mut self, deed: Deed, event: &'static str, origin: &Origin<'_>) -> Option<Conclusion> {
        self.next(&Value::Null, None, deed, event, origin.committed())
    }

    /// A version to be committed. What follows in this batch follows on this version; should it not be committed,
    /// all of it is forgotten.
    fn next(
        &mut self,
        standing: &Value,
        version: Option<i32>,
        deed: Deed,
        event: &'static str,
        cause_committed: Option<i64>,
    ) -> Option<Conclusion> {
        let (resource, expect) = match deed(standing) {
            Outcome::Next(resource) => (resource, version),
            Outcome::New(resource) => (resource, None),
            Outcome::Nothing => return None,
        };
        let id = resource.get("id").and_then(Value::as_str).map(str::to_owned)?;
        let follows = expect.map_or(1, |version| version + 1);
        self.hold(resource.clone(), follows);
        if !self.places.contains_key(&id)
            && let Some(place) = resting_place(&resource)
        {
            self.rested.insert(place, (resource.clone(), follows));
        }
        let severity = Some(severity(&resource));
        Some(Conclusion { id, resource, expect, cause_committed, severity, event, deed })
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
            let Some(event) = lifecycle::on_due(&open.resource, &self.policy, now).map(|next| next.event.code()) else {
                self.hold(open.resource, open.version);
                continue;
            };
            let policy = self.policy.clone();
            let deed: Deed = Arc::new(move |standing: &Value| {
                lifecycle::on_due(standing, &policy, now).map_or(Outcome::Nothing, |next| Outcome::Next(next.issue))
            });
            conclusions.extend(self.next(&open.resource, Some(open.version), deed, event, None));
        }
        conclusions
    }

    /// An episode that was told and never was.
    pub(super) fn retract(&mut self, origin: &Origin<'_>, told: &Told) -> Option<Conclusion> {
        let deed: Deed = Arc::new(|standing: &Value| Outcome::Next(issue::retracted(standing)));
        self.amended(told, deed, "retract", origin)
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
        let mut tellings = Vec::with_capacity(changes.len());
        for change in changes {
            tellings.push(Telling::of(store, origin, change).await?);
        }
        let (policy, now, rule) = (self.policy.clone(), origin.now, origin.place.rule.clone());
        let deed: Deed =
            Arc::new(move |standing: &Value| telling::again(standing, &rule, from, &tellings, &policy, now));
        Ok(match told {
            Some(told) => self.amended(told, deed, "amend", origin),
            None => self.begun(deed, "amend", origin),
        })
    }

    fn amended(&mut self, told: &Told, deed: Deed, event: &'static str, origin: &Origin<'_>) -> Option<Conclusion> {
        if let Some(id) = told.resource.get("id").and_then(Value::as_str) {
            self.take_by_id(id);
        }
        self.next(&told.resource, Some(told.version), deed, event, origin.committed())
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

/// Where an episode that is over was held before.
fn resting_place(issue: &Value) -> Option<(String, Key)> {
    let patient = issue.pointer("/patient/reference")?.as_str()?.to_owned();
    let url = issue.get("reference")?.as_str()?.split('|').next()?.to_owned();
    let device = issue::listened_device(issue).map(str::to_owned);
    Some((patient, (url, issue::cause(issue)?, device, Standing::Firing)))
}
