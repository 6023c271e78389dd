//! The episodes that are open: one DetectedIssue each, held with the version that stands, so that the next
//! change of level makes its next version. Layer 5, beside the engine: it reads the store.

mod conclusion;
mod due;
mod ended;
mod live;
mod mute;
mod past;
mod telling;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use self::conclusion::severity;
pub(super) use self::conclusion::{Conclusion, Deed, Outcome};
use super::issue::{self, OpenEpisode, Standing};
use super::lifecycle::{self, Policy};
use super::patients::Key as Place;
use super::rule::{Cause, Level};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
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
    fn moment(&self) -> Moment {
        Moment { committed: self.entry.map(|entry| entry.updated), now: self.now }
    }
}

/// When something is concluded.
#[derive(Clone, Copy)]
struct Moment {
    /// When the entry that led to it was committed, µs UTC; none when time alone did.
    committed: Option<i64>,
    /// µs UTC
    now: i64,
}

impl Moment {
    /// What time alone leads to.
    fn of_time(now: i64) -> Self {
        Self { committed: None, now }
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
    /// Those that time will do something to, by when (µs UTC) and their ids.
    due: BTreeSet<(i64, String)>,
    /// Patients of whom a device fell silent, or is heard again, in what is not committed yet.
    unmuted: BTreeSet<String>,
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

impl Open {
    fn timer(&self) -> Option<(i64, String)> {
        Some((self.due?, self.episode.id.clone()))
    }
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
        self.due.extend(open.timer());
        self.heed(&open);
        self.open.entry(open.episode.patient.clone()).or_default().insert(key, open);
    }

    fn take(&mut self, patient: &str, key: &Key) -> Option<Open> {
        let own = self.open.get_mut(patient)?;
        let open = own.remove(key)?;
        if own.is_empty() {
            self.open.remove(patient);
        }
        self.places.remove(&open.episode.id);
        open.timer().into_iter().for_each(|timer| _ = self.due.remove(&timer));
        self.late -= usize::from(open.episode.late);
        self.heed(&open);
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

    /// Everything concluded so far is in the store.
    pub(super) fn committed(&mut self) {
        self.rested.clear();
    }

    /// What a deed makes of an episode that is open.
    fn done(&mut self, open: &Open, deed: Deed, event: &'static str, moment: Moment) -> Option<Conclusion> {
        self.next(&open.resource, Some(open.version), deed, event, moment)
    }

    /// What a deed makes where no episode is open.
    fn begun(&mut self, deed: Deed, event: &'static str, origin: &Origin<'_>) -> Option<Conclusion> {
        self.next(&Value::Null, None, deed, event, origin.moment())
    }

    /// A version to be committed. What follows in this batch follows on this version; should it not be committed,
    /// all of it is forgotten.
    fn next(
        &mut self,
        standing: &Value,
        version: Option<i32>,
        deed: Deed,
        event: &'static str,
        moment: Moment,
    ) -> Option<Conclusion> {
        let deed = self.muting(standing, deed, moment.now);
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
        Some(Conclusion { id, resource, expect, cause_committed: moment.committed, severity, event, deed })
    }
}

/// Where an episode that is over was held before.
fn resting_place(issue: &Value) -> Option<(String, Key)> {
    let patient = issue.pointer("/patient/reference")?.as_str()?.to_owned();
    let url = issue.get("reference")?.as_str()?.split('|').next()?.to_owned();
    let device = issue::listened_device(issue).map(str::to_owned);
    Some((patient, (url, issue::cause(issue)?, device, Standing::Firing)))
}
