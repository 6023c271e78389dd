//! A transaction: all entries or none, in R4's order, with the links between them resolved. What its conditions find
//! is looked at again where the commit is made; when it changed, the whole is planned anew.

use std::collections::{HashMap, HashSet};

use fhir_r4::Issue;
use serde_json::Value;

use super::answer::{self, Done};
use super::entry::{Entry, Write, located, place, read};
use super::limits;
use super::look::Look;
use super::wrong::Wrong;
use crate::api::State;
use crate::api::fhir::write::answer::Asked;
use crate::api::fhir::write::criterion::condition;
use crate::auth::access::Access;
use crate::clock::new_id;
use crate::error::Error;
use crate::fhir::bundle::links::{self, Targets};
use crate::fhir::bundle::{Method, Request, Writer};
use crate::fhir::query::Query;
use crate::pipeline::Intent;
use crate::store::{CONDITION_CHANGED, Guard, Outcome};

/// How often a transaction is planned again when what a condition finds changed on the way.
const ATTEMPTS: usize = 8;

/// One resource may be changed by one entry only.
const OVERLAP: Error = Error::Conflict("One resource is changed twice in one transaction.");

pub(super) async fn run(
    state: &State,
    access: &Access,
    entries: Vec<Option<Request>>,
    asked: Asked,
) -> Result<Vec<u8>, Error> {
    let (mut writes, mut looks, base) = (Vec::with_capacity(entries.len()), Vec::new(), state.fhir_base());
    let params = state.store.params();
    let (mut counted, mut conditions) = (limits::Asked::default(), Conditions::default());
    let mut wrong = Wrong::default();
    for (at, request) in entries.into_iter().enumerate() {
        let entry = match read(&params, request, at, &base) {
            Ok(entry) => entry,
            Err(error) => {
                wrong.take(error)?;
                continue;
            }
        };
        counted.take(&entry, at)?;
        match entry {
            Entry::Look(look) => looks.push((at, look)),
            Entry::Write(write) => {
                conditions.take(&write, &mut counted)?;
                writes.push(*write);
            }
        }
    }
    wrong.none()?;
    let conditions = conditions.found;
    // Without conditions there is nothing that could change on the way.
    if conditions.is_empty() && !writes.iter().any(Write::depends) {
        return attempt(state, access, writes, &looks, &conditions, asked).await;
    }
    for _ in 0..ATTEMPTS {
        match attempt(state, access, writes.clone(), &looks, &conditions, asked).await {
            Err(Error::Conflict(CONDITION_CHANGED)) => {}
            done => return done,
        }
    }
    Err(Error::Conflict(CONDITION_CHANGED))
}

/// The conditional references of all entries, each with the first entry that has it.
#[derive(Default)]
struct Conditions {
    found: Vec<(usize, String)>,
    known: HashSet<String>,
}

impl Conditions {
    fn take(&mut self, write: &Write, counted: &mut limits::Asked) -> Result<(), Error> {
        for text in write.resource.as_ref().map(links::conditional).unwrap_or_default() {
            if self.known.insert(text.clone()) {
                counted.condition(write.at)?;
                self.found.push((write.at, text));
            }
        }
        Ok(())
    }
}

/// An entry whose condition has been resolved.
struct Named {
    write: Write,
    guard: Option<Guard>,
    /// What the resource is or will be called, where that is known.
    name: Option<String>,
    /// The entry before that creates the same.
    same_as: Option<usize>,
    /// What its condition finds is deleted before it, so that it is created all the same.
    anew: bool,
}

impl Named {
    fn deletes(&self, kind: &str, id: &str) -> bool {
        self.write.method == Method::Delete && self.write.kind == kind && self.name.as_deref() == Some(id)
    }
}

/// Two conditions that are the same condition.
type Key = (&'static str, String);

fn key(query: &Query) -> Key {
    (query.resource_type, format!("{:?}", query.filters))
}

async fn attempt(
    state: &State,
    access: &Access,
    writes: Vec<Write>,
    looks: &[(usize, Look)],
    conditions: &[(usize, String)],
    asked: Asked,
) -> Result<Vec<u8>, Error> {
    let mut known: HashMap<Key, (usize, String)> = HashMap::new();
    let (mut named, mut writes): (Vec<Named>, _) = (Vec::with_capacity(writes.len()), writes);
    writes.sort_by_key(|write| write.method);
    for write in writes {
        let at = write.at;
        let found = name(state, access, write, &mut known, &named).await;
        named.push(found.map_err(|error| located(error, at))?);
    }
    let mut targets = targets(&named)?;
    let guards = references(state, access, conditions, &known, &mut targets).await?;
    let planned = plan(state, access, named, &targets, asked).await?;
    for (at, look) in looks {
        planned.try_out(state, access, look).await.map_err(|error| located(error, *at))?;
    }
    let Planned { intents, parts, repeated, changed } = planned;
    let written = if intents.is_empty() && guards.is_empty() {
        vec![]
    } else {
        state.pipeline.transaction_if(access, intents, guards).await.map_err(|error| whose(error, &changed))?
    };
    let mut answers: HashMap<usize, Done> = parts
        .into_iter()
        .zip(written)
        .map(|(part, written)| {
            let Part { at, kind, deletes, content, warnings } = part;
            (at, Done { kind, deleted: deletes, written, content, warnings })
        })
        .collect();
    for (at, first) in repeated {
        if let Some(Done { kind, written, content, warnings, .. }) = answers.get(&first) {
            let mut written = written.clone();
            written.outcome = Outcome::Known;
            let (content, warnings) = (content.clone(), warnings.clone());
            answers.insert(at, Done { kind, deleted: false, written, content, warnings });
        }
    }
    write_all(state, access, answers, looks, asked).await
}

/// In the order of the entries, whatever the order in which they were carried out.
async fn write_all(
    state: &State,
    access: &Access,
    mut answers: HashMap<usize, Done>,
    looks: &[(usize, Look)],
    asked: Asked,
) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::new("transaction-response", None, &[]);
    for at in 0..answers.len() + looks.len() {
        if let Some(done) = answers.remove(&at) {
            answer::done(state, access, &mut writer, done, asked).await?;
        } else if let Some((_, look)) = looks.iter().find(|(own, _)| *own == at) {
            look.answer(state, access, &mut writer).await;
        }
    }
    Ok(writer.finish())
}

/// Resolves an entry's condition, and says what its resource will be called.
async fn name(
    state: &State,
    access: &Access,
    write: Write,
    known: &mut HashMap<Key, (usize, String)>,
    before: &[Named],
) -> Result<Named, Error> {
    let Some(query) = &write.criterion else {
        let name = if write.method == Method::Post { Some(new_id()) } else { write.id.clone() };
        return Ok(Named { write, guard: None, name, same_as: None, anew: false });
    };
    let key = key(query);
    if let Some((first, id)) = known.get(&key) {
        // Two creations under one condition are one; anything else would change one resource twice.
        if write.method == Method::Post && *first != usize::MAX {
            return Ok(Named { same_as: Some(*first), name: Some(id.clone()), guard: None, write, anew: false });
        }
        return Err(OVERLAP);
    }
    let guard = state.pipeline.resolve(access, query).await?;
    let own = || write.resource.as_ref()?.get("id")?.as_str().map(str::to_owned);
    let anew = write.method == Method::Post
        && guard.expects.as_ref().is_some_and(|found| before.iter().any(|other| other.deletes(write.kind, found)));
    let name = match (write.method, &guard.expects) {
        (Method::Post, Some(_)) if anew => Some(new_id()),
        (_, Some(found)) => Some(found.clone()),
        (Method::Post, None) => Some(new_id()),
        (Method::Put, None) => Some(own().unwrap_or_else(new_id)),
        _ => None,
    };
    // What is deleted is nobody's to refer to; that one resource is not changed twice is seen by its id.
    if let Some(id) = name.as_ref().filter(|_| write.method != Method::Delete) {
        let first = if write.method == Method::Post { write.at } else { usize::MAX };
        known.insert(key, (first, id.clone()));
    }
    Ok(Named { guard: Some(guard), name, same_as: None, write, anew })
}

/// What each entry's `fullUrl` means in the others.
fn targets(named: &[Named]) -> Result<Targets, Error> {
    let mut targets = Targets::default();
    for Named { write, name, .. } in named {
        if write.method == Method::Delete {
            continue;
        }
        if let (Some(url), Some(id)) = (&write.full_url, name)
            && !targets.name(url, format!("{}/{id}", write.kind))
        {
            let place = format!("{}.fullUrl", place(write.at));
            return Err(Error::invalid("value", place, "two entries have this fullUrl"));
        }
    }
    Ok(targets)
}

/// Resolves the conditional references: to an entry with the same condition, or to the one resource that stands.
async fn references(
    state: &State,
    access: &Access,
    conditions: &[(usize, String)],
    known: &HashMap<Key, (usize, String)>,
    targets: &mut Targets,
) -> Result<Vec<Guard>, Error> {
    let mut guards = Vec::with_capacity(conditions.len());
    for (at, text) in conditions {
        let under = |error: Error| located(error, *at);
        let kind = text.split_once('?').map_or("", |(kind, _)| kind);
        let query = condition(&state.store.params(), kind, text, "reference").map_err(under)?;
        let id = if let Some((_, id)) = known.get(&key(&query)) {
            id.clone()
        } else {
            let guard = state.pipeline.resolve(access, &query).await.map_err(under)?;
            let found = guard.expects.clone().ok_or_else(|| under(unresolved()))?;
            guards.push(guard);
            found
        };
        targets.condition(text.clone(), format!("{kind}/{id}"));
    }
    Ok(guards)
}

fn unresolved() -> Error {
    Error::unprocessable("not-found", "", "a conditional reference finds nothing")
}

struct Part {
    at: usize,
    kind: &'static str,
    deletes: bool,
    content: Option<Value>,
    warnings: Vec<Issue>,
}

/// A transaction that is ready for the lane.
#[derive(Default)]
struct Planned {
    intents: Vec<Intent>,
    /// One for each intent.
    parts: Vec<Part>,
    /// Entries that create what another one creates, with that one.
    repeated: Vec<(usize, usize)>,
    /// Every resource that is changed, with its entry and whether it is deleted.
    changed: HashMap<(&'static str, String), (usize, bool)>,
}

async fn plan(
    state: &State,
    access: &Access,
    named: Vec<Named>,
    targets: &Targets,
    asked: Asked,
) -> Result<Planned, Error> {
    let (mut planned, mut wrong) = (Planned::default(), Wrong::default());
    for Named { mut write, guard, name, same_as, anew } in named {
        let at = write.at;
        if let Some(first) = same_as {
            planned.repeated.push((at, first));
            continue;
        }
        if let Some(resource) = &mut write.resource {
            targets.rewrite(resource, write.full_url.as_deref());
        }
        let interaction = match write.interaction(state.pipeline.profiles(), name).await {
            Ok(interaction) => interaction,
            Err(error) => {
                wrong.take(error)?;
                continue;
            }
        };
        access.check(interaction.action(), interaction.kind).map_err(|denied| located(denied.into(), at))?;
        // One that is created anew is held to what its condition found, too.
        let (guard, held) = if anew { (None, guard) } else { (guard, None) };
        let intent = state.pipeline.plan(access, interaction, guard).await.map_err(|error| located(error, at))?;
        let intent = intent.under(held);
        if let Some(id) = intent.id() {
            let key = (intent.kind(), id.to_owned());
            let before = planned.changed.get(&key).copied();
            // One that is found and kept may be changed by another entry, but not be deleted.
            let kept = matches!(intent, Intent::Keep { .. });
            if before.is_some_and(|(_, deleted)| deleted || !kept) {
                return Err(located(OVERLAP, at));
            }
            if !kept {
                planned.changed.insert(key, (at, intent.is_delete()));
            }
        }
        let content = if asked == Asked::Representation { intent.content().cloned() } else { None };
        let warnings = if asked == Asked::Outcome { intent.warnings().to_vec() } else { vec![] };
        planned.parts.push(Part { at, kind: intent.kind(), deletes: intent.is_delete(), content, warnings });
        planned.intents.push(intent);
    }
    wrong.none()?;
    Ok(planned)
}

impl Planned {
    /// A look that cannot succeed refuses the whole; what is written here is there when it is looked at.
    async fn try_out(&self, state: &State, access: &Access, look: &Look) -> Result<(), Error> {
        let here = look.reads().and_then(|(kind, id)| {
            self.changed
                .iter()
                .find(|((own, name), _)| *own == kind && name == id)
                .map(|(key, (_, gone))| (key.0, *gone))
        });
        match here {
            Some((kind, true)) => Err(Error::gone(kind, look.reads().map_or("", |(_, id)| id))),
            Some((_, false)) => Ok(()),
            None => look.try_out(state, access).await,
        }
    }
}

/// The lane names the resource that stood against the transaction: the entry that asked for it is told.
fn whose(error: Error, changed: &HashMap<(&'static str, String), (usize, bool)>) -> Error {
    let (Error::VersionConflict { resource_type, id }
    | Error::NotFound { resource_type, id }
    | Error::Gone { resource_type, id }) = &error
    else {
        return error;
    };
    match changed.iter().find(|((kind, own), _)| kind == resource_type && own == id).map(|(_, (at, _))| *at) {
        Some(at) => located(error, at),
        None => error,
    }
}
