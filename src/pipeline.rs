//! The one road in: a draft or a resource is normalised, checked, committed, and answered for. Nothing else
//! writes a clinical resource. What a door receives and how it words its answer is the door's business.

mod association;
mod clock;
mod correction;
mod equipment;
mod held;
mod intent;
mod interaction;
mod receive;
mod said;
mod who;

use std::time::Instant;

use fhir_r4::Issue;
use serde_json::Value;

pub use self::association::Association;
pub use self::clock::SetRight;
pub use self::intent::Intent;
pub use self::interaction::{Done, Interaction, Match, Work};
pub use self::receive::{Letter, Parcel};
pub use self::said::{Identity, Merge, Merged, Said};

use self::equipment::Equipment;
use self::intent::{Planned, Unwritten, change};
use crate::auth::access::Access;
use crate::binding::{Binding, Found, Whose};
use crate::error::Error;
use crate::normalize::draft::Draft;
use crate::normalize::{self, Bound};
use crate::profiles::Profiles;
use crate::store::{Change, Commit, CursorMove, Guard, HeldReading, Outcome, Priority, Repeat, Store, Verb, Written};
use crate::telemetry::Metrics;

/// What became of one draft.
#[derive(Debug)]
pub struct Receipt {
    /// Where it stood in what was sent.
    pub place: String,
    pub outcome: Result<Taken, Vec<Issue>>,
}

/// What a draft has become; it is on disk.
#[derive(Debug)]
pub enum Taken {
    Written(Written),
    /// It waits, and what for: `unbound` (nobody says whom its device was at) or `future` (its time cannot be).
    Held(&'static str),
}

impl Taken {
    /// `created`, `duplicate` or `quarantined`.
    pub fn name(&self) -> &'static str {
        held::outcome(self)
    }

    /// `Observation/…`, once it is one.
    pub fn reference(&self) -> Option<String> {
        match self {
            Self::Written(written) => Some(format!("Observation/{}", written.id)),
            Self::Held(_) => None,
        }
    }

    /// What it waits for.
    pub fn waits_for(&self) -> Option<&'static str> {
        match self {
            Self::Written(_) => None,
            Self::Held(why) => Some(why),
        }
    }
}

/// A draft, before anything of it is written.
enum Ready {
    Change(Change),
    Waits(HeldReading, &'static str),
    Refused(Vec<Issue>),
}

/// The readings that were stored, of those whose times were moved.
fn moved_by_its_clock(moved: &[bool], outcomes: &[Result<Taken, Vec<Issue>>]) -> Vec<String> {
    let stored =
        moved.iter().zip(outcomes).filter(|(moved, _)| **moved).filter_map(|(_, outcome)| outcome.as_ref().ok());
    stored.filter(|taken| taken.name() == "created").filter_map(Taken::reference).collect()
}

#[derive(Clone)]
pub struct Pipeline {
    store: Store,
    binding: Binding,
    equipment: Equipment,
    profiles: Profiles,
    metrics: Metrics,
}

impl Pipeline {
    pub fn new(store: Store, profiles: Profiles, metrics: Metrics) -> Self {
        Self { binding: Binding::new(store.clone()), equipment: Equipment::default(), store, profiles, metrics }
    }

    /// What resources are checked against.
    pub fn profiles(&self) -> &Profiles {
        &self.profiles
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Takes drafts in: each stands for itself, or (`together`) none is stored unless all can be.
    /// The outer error is the server's (full, shutting down): nothing was stored then.
    pub async fn accept(
        &self,
        access: &Access,
        door: &'static str,
        drafts: Vec<Draft>,
        together: bool,
    ) -> Result<Vec<Receipt>, Error> {
        let started = Instant::now();
        let received = self.store.clock().now();
        let mut places = Vec::with_capacity(drafts.len());
        let mut ready = Vec::with_capacity(drafts.len());
        let mut moved = Vec::with_capacity(drafts.len());
        let mut found = Found::default();
        for draft in drafts {
            ready.push(self.ready(access, &draft, received, &mut found).await?);
            moved.push(draft.told.is_some());
            places.push(draft.place);
        }
        let outcomes =
            if together { self.commit_together(access, ready).await? } else { self.commit_each(access, ready).await? };
        self.say_corrected(moved_by_its_clock(&moved, &outcomes), None).await;
        let receipts: Vec<Receipt> =
            places.into_iter().zip(outcomes).map(|(place, outcome)| Receipt { place, outcome }).collect();
        self.metrics.ingest_to_commit_seconds.observe(started.elapsed().as_secs_f64());
        self.count(door, &receipts);
        Ok(receipts)
    }

    /// Draft to checked Observation, ready to be committed or to be kept.
    async fn ready(&self, caller: &Access, draft: &Draft, received: i64, found: &mut Found) -> Result<Ready, Error> {
        let at = held::start(draft.effective.as_deref(), received);
        let is_ahead = normalize::is_ahead(at, received);
        let (bound, waits) = match self.binding.bind(caller, draft, at, found).await? {
            Whose::Refused(issue) => return Ok(Ready::Refused(vec![issue])),
            Whose::Known(bound) => match bound.device.clone().filter(|_| is_ahead) {
                Some(device) => (clock::unsaid(caller, bound), Some((device, clock::FUTURE))),
                None => (bound, None),
            },
            Whose::Waits { device, why } => {
                let patient = held::NOBODY.to_owned();
                let bound = Bound { patient, device: Some(device.clone()), ..Bound::default() };
                (bound, Some((device, if is_ahead { clock::FUTURE } else { why })))
            }
        };
        // What waits for its clock to be set right is checked for all but that.
        let latest = if waits.is_some() { clock::latest(draft, received) } else { received };
        let checked = match normalize::observation(draft, &bound, latest) {
            Ok(observation) => self.profiles.check(observation).await,
            Err(issues) => Err(issues),
        };
        Ok(match (checked, waits) {
            (Err(issues), _) => Ready::Refused(issues),
            (Ok(observation), Some((device, why))) => {
                Ready::Waits(held::waiting(observation.value(), device, why, at, received), why)
            }
            (Ok(observation), None) => {
                let id = observation.value().get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                let timed = draft.effective.is_some() && draft.told.is_none();
                let repeat = if timed { Repeat::SameContent } else { Repeat::SameButTime };
                Ready::Change(change(Verb::Create(repeat), observation, id))
            }
        })
    }

    /// The same of a draft that names its patient.
    async fn observation(
        &self,
        caller: &Access,
        draft: &Draft,
        received: i64,
        found: &mut Found,
    ) -> Result<Result<Change, Vec<Issue>>, Error> {
        Ok(match self.ready(caller, draft, received, found).await? {
            Ready::Change(change) => Ok(change),
            Ready::Refused(issues) => Err(issues),
            Ready::Waits(_, why) => Err(vec![held::refusal(why, &draft.place)]),
        })
    }

    async fn commit_each(&self, access: &Access, ready: Vec<Ready>) -> Result<Vec<Result<Taken, Vec<Issue>>>, Error> {
        let (mut commits, mut waiting) = (Vec::with_capacity(ready.len()), Vec::new());
        let settled: Vec<Option<Result<Taken, Vec<Issue>>>> = ready
            .into_iter()
            .map(|item| match item {
                Ready::Change(change) => {
                    commits.push(Commit { changes: vec![change], ..Commit::default() });
                    None
                }
                Ready::Waits(reading, why) => {
                    waiting.push(reading);
                    Some(Ok(Taken::Held(why)))
                }
                Ready::Refused(issues) => Some(Err(issues)),
            })
            .collect();
        if !waiting.is_empty() {
            self.store.hold(access, waiting).await?;
        }
        let mut answers = self.commit_all(access, commits).await?.into_iter();
        let outcomes = settled.into_iter().map(|settled| match settled {
            Some(settled) => settled,
            None => one(answers.next()).map(Taken::Written).map_err(|error| error.issues()),
        });
        Ok(outcomes.collect())
    }

    async fn commit_together(
        &self,
        access: &Access,
        ready: Vec<Ready>,
    ) -> Result<Vec<Result<Taken, Vec<Issue>>>, Error> {
        let count = ready.len();
        let (mut changes, mut refused) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for item in ready {
            refused.push(match item {
                Ready::Change(change) => {
                    changes.push(change);
                    None
                }
                Ready::Waits(_, why) => Some(vec![held::refusal(why, "")]),
                Ready::Refused(issues) => Some(issues),
            });
        }
        if changes.len() < count {
            let neighbour = || vec![Issue::error("processing", "", "not stored, because another part was rejected")];
            return Ok(refused.into_iter().map(|issues| Err(issues.unwrap_or_else(neighbour))).collect());
        }
        match self.store.commit_one(access, Priority::Interactive, Commit { changes, ..Commit::default() }).await {
            Ok(written) => Ok(written.into_iter().map(|written| Ok(Taken::Written(written))).collect()),
            Err(error @ (Error::TooMany { .. } | Error::Unavailable(_) | Error::Internal(_))) => Err(error),
            Err(error) => Ok((0..count).map(|_| Err(error.issues())).collect()),
        }
    }

    async fn commit_all(
        &self,
        access: &Access,
        commits: Vec<Commit>,
    ) -> Result<Vec<Result<Vec<Written>, Error>>, Error> {
        if commits.is_empty() {
            return Ok(vec![]);
        }
        let mut answers = self.store.commit(access, Priority::Interactive, commits).await?;
        // Who may write nothing of it is told so, not item by item.
        if answers.iter().all(|answer| matches!(answer, Err(Error::Forbidden(_)))) {
            return Err(answers.swap_remove(0).err().unwrap_or_else(|| Error::internal("no answer")));
        }
        // Trouble of the server's own stands for the whole batch: the sender shall send it again.
        match answers.iter().find_map(|answer| answer.as_ref().err().filter(|e| e.view().status >= 500)) {
            Some(Error::Unavailable(what)) => Err(Error::Unavailable(what)),
            Some(error) => Err(Error::internal(error)),
            None => Ok(answers),
        }
    }

    fn count(&self, door: &'static str, receipts: &[Receipt]) {
        for receipt in receipts {
            let outcome = receipt.outcome.as_ref().map_or("rejected", Taken::name);
            self.metrics.readings(door, outcome, 1);
        }
    }

    /// One resource, asked for by itself.
    pub async fn write(&self, access: &Access, intent: Intent) -> Result<Written, Error> {
        let started = Instant::now();
        let written = one(Some(self.transaction(access, vec![intent]).await));
        self.metrics.ingest_to_commit_seconds.observe(started.elapsed().as_secs_f64());
        written
    }

    /// Each by itself, in one trip to the lane.
    pub async fn each(&self, access: &Access, intents: Vec<Intent>) -> Result<Vec<Result<Written, Error>>, Error> {
        self.own_patient(access, &intents).await?;
        let readings: Vec<bool> = intents.iter().map(Intent::is_reading).collect();
        let defines = intents.iter().any(Intent::is_definition);
        let (mut commits, mut rest) = (Vec::with_capacity(intents.len()), Vec::with_capacity(intents.len()));
        for intent in intents {
            let mut planned = Planned::of(vec![intent]);
            rest.push((planned.take_revised(), planned.unwritten));
            commits.push(planned.commit);
        }
        let answers = self.store.commit(access, Priority::Interactive, commits).await?;
        self.apply(defines).await;
        let mut all = Vec::with_capacity(answers.len());
        for ((answer, (revised, unwritten)), reading) in answers.into_iter().zip(rest).zip(readings) {
            if reading {
                self.metrics.readings("fhir", if answer.is_ok() { "created" } else { "rejected" }, 1);
            }
            all.push(match answer {
                Ok(written) => one(Some(self.with_unwritten(written, unwritten).await)),
                Err(error) => Err(Planned::refusal(error, &revised)),
            });
        }
        Ok(all)
    }

    /// All or nothing; one answer an intent.
    pub async fn transaction(&self, access: &Access, intents: Vec<Intent>) -> Result<Vec<Written>, Error> {
        self.transaction_if(access, intents, vec![]).await
    }

    /// The same, as long as these conditions hold too.
    pub async fn transaction_if(
        &self,
        access: &Access,
        intents: Vec<Intent>,
        guards: Vec<Guard>,
    ) -> Result<Vec<Written>, Error> {
        self.own_patient(access, &intents).await?;
        let readings = intents.iter().filter(|intent| intent.is_reading()).count();
        let defines = intents.iter().any(Intent::is_definition);
        let mut planned = Planned::of(intents);
        let revised = planned.take_revised();
        planned.commit.guards.extend(guards);
        let answer = self.store.commit_one(access, Priority::Interactive, planned.commit).await;
        let outcome = if answer.is_ok() { "created" } else { "rejected" };
        self.metrics.readings("fhir", outcome, u64::try_from(readings).unwrap_or_default());
        let written = answer.map_err(|error| Planned::refusal(error, &revised))?;
        self.apply(defines).await;
        self.with_unwritten(written, planned.unwritten).await
    }

    /// Changed definitions are in force before whoever changed them is answered. They are stored by then, so
    /// trouble here is no reason to say otherwise; they are looked for again.
    async fn apply(&self, defines: bool) {
        if defines && let Err(error) = self.profiles.reload().await {
            tracing::error!(%error, "changed definitions are not in force yet");
        }
    }

    /// Puts the answers of what wrote nothing where their intents stood.
    async fn with_unwritten(
        &self,
        mut written: Vec<Written>,
        unwritten: Vec<(usize, Unwritten)>,
    ) -> Result<Vec<Written>, Error> {
        for (at, what) in unwritten {
            let answer = match what {
                Unwritten::Absent => Written::absent(""),
                Unwritten::Kept(kind, id) => {
                    let found = self.store.find(&Access::system("pipeline"), kind, &id).await?;
                    Written { id, version: found.version, updated: found.updated, seq: 0, outcome: Outcome::Known }
                }
            };
            written.insert(at, answer);
        }
        Ok(written)
    }

    /// What a reader of the log concluded, with its step; never stored under an epoch that is over.
    pub async fn conclude(
        &self,
        access: &Access,
        intents: Vec<Intent>,
        cursor: CursorMove,
    ) -> Result<Vec<Written>, Error> {
        let mut commit = Planned::of(intents).commit;
        commit.cursor = Some(cursor);
        self.store.commit_one(access, Priority::Alarm, commit).await
    }
}

fn one(answer: Option<Result<Vec<Written>, Error>>) -> Result<Written, Error> {
    answer.transpose()?.and_then(|written| written.into_iter().next()).ok_or_else(|| Error::internal("no answer"))
}
