//! The one road in: a draft or a resource is normalised, checked, committed, and answered for. Nothing else
//! writes a clinical resource. What a door receives and how it words its answer is the door's business.

use std::time::Instant;

use fhir_r4::{Checked, Issue};
use serde_json::Value;

use crate::auth::access::{Access, Action, Reach};
use crate::binding::{Binding, Found};
use crate::clock::new_id;
use crate::error::Error;
use crate::fhir::query::Query;
use crate::normalize;
use crate::normalize::draft::Draft;
use crate::profiles::Profiles;
use crate::store::{CONDITION_CHANGED, Change, Commit, CursorMove, Guard, Outcome, Priority, Store, Verb, Written};
use crate::telemetry::Metrics;

/// What became of one draft.
#[derive(Debug)]
pub struct Receipt {
    /// Where it stood in what was sent.
    pub place: String,
    pub outcome: Result<Written, Vec<Issue>>,
}

/// What is asked for one resource. The resource has passed the check.
#[derive(Debug)]
pub enum Intent {
    /// `guard`: the condition under which it is created.
    Create {
        resource: Checked,
        id: String,
        guard: Option<Guard>,
    },
    Update {
        resource: Checked,
        id: String,
        expect: Option<i32>,
    },
    Delete {
        kind: &'static str,
        id: String,
        expect: Option<i32>,
    },
    /// A conditional create that finds this one: nothing is written as long as that holds.
    Keep {
        kind: &'static str,
        id: String,
        guard: Guard,
    },
}

/// How often a condition is looked at again when its answer changed on the way to the lane.
const ATTEMPTS: usize = 5;

#[derive(Clone)]
pub struct Pipeline {
    store: Store,
    binding: Binding,
    profiles: Profiles,
    metrics: Metrics,
}

impl Pipeline {
    pub fn new(store: Store, profiles: Profiles, metrics: Metrics) -> Self {
        Self { binding: Binding::new(store.clone()), store, profiles, metrics }
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
        let mut found = Found::default();
        for draft in drafts {
            let change = self.observation(&draft, received, &mut found).await?;
            places.push(draft.place);
            ready.push(change);
        }
        let outcomes =
            if together { self.commit_together(access, ready).await? } else { self.commit_each(access, ready).await? };
        let receipts: Vec<Receipt> =
            places.into_iter().zip(outcomes).map(|(place, outcome)| Receipt { place, outcome }).collect();
        self.metrics.ingest_to_commit_seconds.observe(started.elapsed().as_secs_f64());
        self.count(door, &receipts);
        Ok(receipts)
    }

    /// Draft to checked Observation, ready to be committed.
    async fn observation(
        &self,
        draft: &Draft,
        received: i64,
        found: &mut Found,
    ) -> Result<Result<Change, Vec<Issue>>, Error> {
        let bound = match self.binding.bind(draft, found).await? {
            Ok(bound) => bound,
            Err(issue) => return Ok(Err(vec![issue])),
        };
        let checked = match normalize::observation(draft, &bound, received) {
            Ok(observation) => self.profiles.check(observation).await,
            Err(issues) => Err(issues),
        };
        Ok(checked.map(|observation| {
            let id = observation.value().get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            change(Verb::Create { again: true }, observation, id)
        }))
    }

    async fn commit_each(
        &self,
        access: &Access,
        ready: Vec<Result<Change, Vec<Issue>>>,
    ) -> Result<Vec<Result<Written, Vec<Issue>>>, Error> {
        let mut commits = Vec::with_capacity(ready.len());
        let refused: Vec<Option<Vec<Issue>>> = ready
            .into_iter()
            .map(|item| item.map(|change| commits.push(Commit { changes: vec![change], ..Commit::default() })).err())
            .collect();
        let mut answers = self.commit_all(access, commits).await?.into_iter();
        let outcomes = refused.into_iter().map(|refused| match refused {
            Some(issues) => Err(issues),
            None => one(answers.next()).map_err(|error| error.issues()),
        });
        Ok(outcomes.collect())
    }

    async fn commit_together(
        &self,
        access: &Access,
        ready: Vec<Result<Change, Vec<Issue>>>,
    ) -> Result<Vec<Result<Written, Vec<Issue>>>, Error> {
        if ready.iter().any(Result::is_err) {
            let neighbour = || vec![Issue::error("processing", "", "not stored, because another part was rejected")];
            return Ok(ready.into_iter().map(|item| Err(item.err().unwrap_or_else(neighbour))).collect());
        }
        let count = ready.len();
        let changes = ready.into_iter().flatten().collect();
        match self.store.commit_one(access, Priority::Interactive, Commit { changes, ..Commit::default() }).await {
            Ok(written) => Ok(written.into_iter().map(Ok).collect()),
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
            let outcome = match &receipt.outcome {
                Ok(Written { outcome: Outcome::Known, .. }) => "duplicate",
                Ok(_) => "created",
                Err(_) => "rejected",
            };
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
        let readings: Vec<bool> = intents.iter().map(is_reading).collect();
        let defines = intents.iter().any(is_definition);
        let planned = intents.into_iter().map(|intent| commit_of(vec![intent]));
        let (commits, kept): (Vec<Commit>, Vec<_>) = planned.unzip();
        let answers = self.store.commit(access, Priority::Interactive, commits).await?;
        self.apply(defines).await;
        let mut all = Vec::with_capacity(answers.len());
        for ((answer, kept), reading) in answers.into_iter().zip(kept).zip(readings) {
            if reading {
                self.metrics.readings("fhir", if answer.is_ok() { "created" } else { "rejected" }, 1);
            }
            all.push(match answer {
                Ok(written) => one(Some(self.with_kept(written, kept).await)),
                Err(error) => Err(error),
            });
        }
        Ok(all)
    }

    /// All or nothing; one answer an intent.
    pub async fn transaction(&self, access: &Access, intents: Vec<Intent>) -> Result<Vec<Written>, Error> {
        let readings = intents.iter().filter(|intent| is_reading(intent)).count();
        let defines = intents.iter().any(is_definition);
        let (commit, kept) = commit_of(intents);
        let answer = self.store.commit_one(access, Priority::Interactive, commit).await;
        let outcome = if answer.is_ok() { "created" } else { "rejected" };
        self.metrics.readings("fhir", outcome, u64::try_from(readings).unwrap_or_default());
        let written = answer?;
        self.apply(defines).await;
        self.with_kept(written, kept).await
    }

    /// Changed definitions are in force before whoever changed them is answered. They are stored by then, so
    /// trouble here is no reason to say otherwise; they are looked for again.
    async fn apply(&self, defines: bool) {
        if defines && let Err(error) = self.profiles.reload().await {
            tracing::error!(%error, "changed definitions are not in force yet");
        }
    }

    /// Puts what was found instead of created where its intent stood.
    async fn with_kept(&self, mut written: Vec<Written>, kept: Vec<Kept>) -> Result<Vec<Written>, Error> {
        for (at, kind, id) in kept {
            let found = self.store.find(&Access::system("pipeline"), kind, &id).await?;
            let known = Written { id, version: found.version, updated: found.updated, seq: 0, outcome: Outcome::Known };
            written.insert(at, known);
        }
        Ok(written)
    }

    /// Creates the resource unless the query finds one already.
    pub async fn create_unless(&self, access: &Access, resource: &Checked, query: &Query) -> Result<Written, Error> {
        for _ in 0..ATTEMPTS {
            let intent = self.plan_create(access, resource.clone(), Some(query)).await?;
            match self.write(access, intent).await {
                Err(Error::Conflict(CONDITION_CHANGED)) => {}
                done => return done,
            }
        }
        Err(Error::Conflict(CONDITION_CHANGED))
    }

    /// What a create comes to as things stand: a new resource, or the one that its condition finds.
    pub async fn plan_create(
        &self,
        access: &Access,
        resource: Checked,
        unless: Option<&Query>,
    ) -> Result<Intent, Error> {
        let Some(query) = unless else { return Ok(Intent::Create { resource, id: new_id(), guard: None }) };
        // The guard looks at everything; who may see one patient only would learn of others by it.
        if *access.check(Action::Search, query.resource_type)?.reach() != Reach::All {
            return Err(Error::Forbidden(
                "A conditional create needs the right to search all of this type.".to_owned(),
            ));
        }
        let mut query = query.clone();
        query.count = 2;
        let found = self.store.search(access, query.clone()).await?.hits;
        match found.as_slice() {
            [] => Ok(Intent::Create { resource, id: new_id(), guard: Some(Guard { query, expects: None }) }),
            [hit] => {
                let guard = Guard { query, expects: Some(hit.id.clone()) };
                Ok(Intent::Keep { kind: hit.resource_type, id: hit.id.clone(), guard })
            }
            _ => Err(Error::MultipleMatches),
        }
    }

    /// What a reader of the log concluded, with its step; never stored under an epoch that is over.
    pub async fn conclude(
        &self,
        access: &Access,
        intents: Vec<Intent>,
        cursor: CursorMove,
    ) -> Result<Vec<Written>, Error> {
        let (mut commit, _) = commit_of(intents);
        commit.cursor = Some(cursor);
        self.store.commit_one(access, Priority::Alarm, commit).await
    }
}

/// What a conditional create found: its place among the intents, type and id.
type Kept = (usize, &'static str, String);

/// A reading that comes in as FHIR.
fn is_reading(intent: &Intent) -> bool {
    matches!(intent, Intent::Create { resource, .. } if resource.resource_type() == "Observation")
}

/// A definition that others are held to.
fn is_definition(intent: &Intent) -> bool {
    match intent {
        Intent::Create { resource, .. } | Intent::Update { resource, .. } => {
            Profiles::is_definition(resource.resource_type())
        }
        Intent::Delete { kind, .. } => Profiles::is_definition(kind),
        Intent::Keep { .. } => false,
    }
}

/// Intents as one commit, and those that write nothing with their places.
fn commit_of(intents: Vec<Intent>) -> (Commit, Vec<Kept>) {
    let (mut commit, mut kept) = (Commit::default(), Vec::new());
    for (at, intent) in intents.into_iter().enumerate() {
        match intent {
            Intent::Create { resource, id, guard } => {
                commit.guards.extend(guard);
                commit.changes.push(change(Verb::Create { again: false }, resource, id));
            }
            Intent::Update { resource, id, expect } => {
                commit.changes.push(change(Verb::Update { expect, or_create: true }, resource, id));
            }
            Intent::Delete { kind, id, expect } => {
                commit.changes.push(Change { verb: Verb::Delete { expect }, resource_type: kind, id, resource: None });
            }
            Intent::Keep { kind, id, guard } => {
                commit.guards.push(guard);
                kept.push((at, kind, id));
            }
        }
    }
    (commit, kept)
}

fn one(answer: Option<Result<Vec<Written>, Error>>) -> Result<Written, Error> {
    answer.transpose()?.and_then(|written| written.into_iter().next()).ok_or_else(|| Error::internal("no answer"))
}

fn change(verb: Verb, resource: Checked, id: String) -> Change {
    let resource_type = resource.resource_type();
    let mut resource = resource.into_value();
    if let Some(members) = resource.as_object_mut() {
        members.insert("id".to_owned(), Value::String(id.clone()));
    }
    Change { verb, resource_type, id, resource: Some(resource) }
}
