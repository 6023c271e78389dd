//! What a message says of resources that may stand already: who each is, what the two come to, and that as intents.
//! Nothing is written over what somebody else has changed meanwhile. What a member means has no place here.

use std::collections::HashMap;

use fhir_r4::Issue;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Pipeline;
use super::intent::Intent;
use crate::auth::access::Access;
use crate::binding::{self, Found};
use crate::clock::new_id;
use crate::error::Error;
use crate::fhir::params;
use crate::fhir::query::{Filter, Operand, Query};
use crate::fhir::{reading, time};
use crate::normalize::draft::Subject;
use crate::store::{Guard, NOTHING, Stored};

/// References inside a message begin so.
const NAME: &str = "said:";

/// What is said of one resource.
#[derive(Clone, Debug)]
pub struct Said {
    /// What the others of the message call it; stands in their references (`said:…`) until it is known who it is.
    pub name: String,
    /// Where it stood in the message.
    pub place: String,
    pub kind: &'static str,
    pub identity: Identity,
    pub content: Value,
    pub merge: Merge,
    /// When it happened, a FHIR dateTime.
    pub at: Option<String>,
    /// The rest is taken without it when it is not valid.
    pub optional: bool,
}

/// What says which resource is meant.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Identifiers; the first that one resource bears says which.
    pub tokens: Vec<(Option<String>, String)>,
    /// Whose it is, a name: then only that patient's are looked at.
    pub patient: Option<String>,
    /// Conditions that find the one that is meant when it bears no identifier; the first, where they sort.
    pub current: Vec<(String, String)>,
    /// What its id is made of when there is none.
    pub key: Vec<String>,
    /// Whether the one that a merged patient was merged with is meant.
    pub follow: bool,
}

/// What is said and what stands, to what shall stand; and when it happened.
pub type Merge = fn(said: &Value, standing: Option<&Value>, at: Option<&str>) -> Merged;

#[derive(Clone, Debug, PartialEq)]
pub enum Merged {
    Write(Value),
    /// What stands stays; where nothing does, nothing will.
    Leave,
    /// The sender's fault: an issue's code and text.
    Refuse(&'static str, &'static str),
}

impl Said {
    /// A Provenance tells of these versions too.
    pub(super) fn also(&mut self, versions: &[String]) {
        if self.kind == "Provenance"
            && let Some(Value::Array(targets)) = self.content.get_mut("target")
        {
            targets.extend(versions.iter().map(|version| json!({"reference": version})));
        }
    }
}

/// Intents, and what is odd about them.
#[derive(Default)]
pub(super) struct Settled {
    pub(super) intents: Vec<Intent>,
    pub(super) warnings: Vec<Issue>,
    /// The versions that they make.
    pub(super) versions: Vec<String>,
}

/// Who a resource is.
struct Who {
    id: String,
    standing: Option<Stored>,
    guard: Option<Guard>,
    /// Identifiers that led to it by a record that was merged with it: they stay with that one.
    left: Vec<Value>,
}

/// What the lot of a message comes to, on the way.
struct Work {
    /// `Kind/id` by name.
    names: HashMap<String, String>,
    /// What was made of each resource so far, and from which version.
    made: Vec<Made>,
}

struct Made {
    kind: &'static str,
    id: String,
    place: String,
    read: i32,
    before: Option<Value>,
    value: Value,
    guard: Option<Guard>,
    optional: bool,
}

impl Pipeline {
    /// What is said, as intents. `readings`: what the message's readings are called. The inner error is the sender's.
    pub(super) async fn settle_said(
        &self,
        said: Vec<Said>,
        readings: &HashMap<String, String>,
        received: i64,
        found: &mut Found,
    ) -> Result<Result<Settled, Vec<Issue>>, Error> {
        let mut work = Work { names: readings.clone(), made: vec![] };
        let mut known = Vec::with_capacity(said.len());
        let (provenance, said): (Vec<Said>, Vec<Said>) = said.into_iter().partition(|one| one.kind == "Provenance");
        for one in said {
            let who = match self.who(&one, &work.names).await? {
                Ok(who) => who,
                Err(issue) => return Ok(Err(vec![issue])),
            };
            work.names.insert(one.name.clone(), format!("{}/{}", one.kind, who.id));
            known.push((one, who));
        }
        for (one, who) in known {
            remember(&one, &work.names, found);
            if let Err(issue) = work.merge(one, who)? {
                return Ok(Err(vec![issue]));
            }
        }
        let mut settled = match self.intents(work).await? {
            Ok(settled) => settled,
            Err(issues) => return Ok(Err(issues)),
        };
        for one in provenance {
            self.tell(one, received, &mut settled).await;
        }
        Ok(Ok(settled))
    }

    /// One Provenance for all that is changed, each with the version that it becomes; what it names already was
    /// changed too.
    async fn tell(&self, said: Said, received: i64, settled: &mut Settled) {
        let Said { place, mut content, .. } = said;
        if let Value::Object(members) = &mut content {
            let before = reading::list(members.get("target")).cloned();
            let now = settled.versions.iter().map(|version| json!({"reference": version}));
            let targets: Vec<Value> = before.chain(now).collect();
            if targets.is_empty() {
                return;
            }
            members.insert("target".into(), targets.into());
            members.insert("recorded".into(), time::instant(received).into());
        }
        match self.profiles.check(content).await {
            Ok(resource) => settled.intents.push(Intent::Revise { resource, id: new_id(), read: NOTHING }),
            Err(issues) => settled.warnings.extend(left_out("Provenance", &place, issues)),
        }
    }

    async fn intents(&self, work: Work) -> Result<Result<Settled, Vec<Issue>>, Error> {
        let mut settled = Settled::default();
        for made in work.made {
            let Made { kind, id, place, read, before, value, guard, optional } = made;
            if before.is_some_and(|before| same(&before, &value)) {
                continue;
            }
            match self.profiles.check(value).await {
                Ok(resource) => {
                    settled.versions.push(version(kind, &id, read));
                    settled.intents.push(Intent::Revise { resource, id, read }.under(guard));
                }
                Err(issues) if optional => settled.warnings.extend(left_out(kind, &place, issues)),
                Err(issues) => return Ok(Err(issues.into_iter().map(|issue| at(&place, issue)).collect())),
            }
        }
        Ok(Ok(settled))
    }

    async fn who(&self, said: &Said, names: &HashMap<String, String>) -> Result<Result<Who, Issue>, Error> {
        let access = Access::system("messages");
        let identity = &said.identity;
        let patient = identity.patient.as_ref().map(|name| names.get(name).cloned().unwrap_or_else(|| name.clone()));
        let several = || Issue::error("conflict", said.place.clone(), "more than one record fits what identifies it");
        let (mut guard, mut one): (_, Option<Who>) = (None, None);
        for (system, value) in identity.tokens.iter().filter(|(_, value)| !value.contains('\0')) {
            let Some(query) = by_token(said.kind, system.as_ref(), value, patient.as_deref())? else { continue };
            let seen = self.store.seen();
            let hits = self.store.search(&access, query.clone()).await?.hits;
            match self.chosen(&access, hits, identity.follow).await? {
                Ok(Some((standing, left))) => {
                    let id = standing.id.clone();
                    if one.as_ref().is_some_and(|one| one.id != id) {
                        return Ok(Err(several()));
                    }
                    let who = Who { id, standing: Some(standing), guard: None, left };
                    // Of a person all numbers must mean the same one.
                    if said.kind != "Patient" || !identity.follow {
                        return Ok(Ok(who));
                    }
                    one = one.or(Some(who));
                }
                Ok(None) => guard = guard.or(Some(Guard { query, expects: None, seen })),
                Err(()) => return Ok(Err(several())),
            }
        }
        if let Some(one) = one {
            return Ok(Ok(one));
        }
        if !identity.current.is_empty() {
            let named = |text: &String| names.get(text).cloned().unwrap_or_else(|| text.clone());
            let pairs: Vec<(&str, String)> =
                identity.current.iter().map(|(name, value)| (name.as_str(), named(value))).collect();
            let sorted = pairs.iter().any(|(name, _)| *name == "_sort");
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let query = Query::new(said.kind, &pairs, 2)?;
            let seen = self.store.seen();
            let hits = self.store.search(&access, query.clone()).await?.hits;
            if hits.len() > 1 && !sorted {
                return Ok(Err(several()));
            }
            match hits.into_iter().next() {
                Some(standing) => {
                    let (id, left) = (standing.id.clone(), vec![]);
                    return Ok(Ok(Who { id, standing: Some(standing), guard: None, left }));
                }
                None => guard = guard.or(Some(Guard { query, expects: None, seen })),
            }
        }
        let id = derived(said, names);
        let standing = match self.store.find(&access, said.kind, &id).await {
            Ok(standing) => Some(standing),
            Err(Error::NotFound { .. } | Error::Gone { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Ok(Who { id, standing, guard, left: vec![] }))
    }

    /// The one that is meant among those that bear an identifier, with the identifiers of those that were merged with it
    /// and led to it. The inner error: there are several.
    async fn chosen(
        &self,
        access: &Access,
        hits: Vec<Stored>,
        follow: bool,
    ) -> Result<Result<Option<(Stored, Vec<Value>)>, ()>, Error> {
        if !follow {
            // One that was merged is meant itself, before the one that has taken its identifier over.
            let several = hits.len() > 1;
            let mut left = Vec::new();
            for hit in hits {
                let gone = hit.value()?.get("active") == Some(&Value::Bool(false));
                if !several || gone {
                    left.push(hit);
                }
            }
            return Ok(match (left.pop(), left.pop()) {
                (one, None) if one.is_some() || !several => Ok(one.map(|one| (one, vec![]))),
                _ => Err(()),
            });
        }
        let (mut all, mut left): (Vec<Stored>, Vec<Value>) = (vec![], vec![]);
        for hit in hits {
            let met = hit.clone();
            let hit = binding::survivor(&self.store, access, hit).await?;
            if hit.id != met.id {
                left.extend(reading::list(met.value()?.get("identifier")).cloned());
            }
            if all.iter().all(|own| own.id != hit.id) {
                all.push(hit);
            }
        }
        Ok(match (all.pop(), all.pop()) {
            (one, None) => Ok(one.map(|one| (one, left))),
            _ => Err(()),
        })
    }
}

impl Work {
    fn merge(&mut self, said: Said, who: Who) -> Result<Result<(), Issue>, Error> {
        let Said { name, place, kind, content, merge, at, optional, .. } = said;
        let mut content = content;
        refer(&mut content, &self.names);
        if let Some(Value::Array(identifiers)) = content.get_mut("identifier") {
            identifiers.retain(|own| !who.left.iter().any(|other| token(own) == token(other)));
        }
        let earlier = self.made.iter().position(|made| made.kind == kind && made.id == who.id);
        let read = who.standing.as_ref().map_or(NOTHING, |standing| standing.version);
        let before = who.standing.as_ref().map(Stored::value).transpose()?;
        let standing = match earlier.and_then(|at| self.made.get(at)) {
            Some(made) => Some(made.value.clone()),
            None => before.clone(),
        };
        match merge(&content, standing.as_ref(), at.as_deref()) {
            Merged::Refuse(code, why) => return Ok(Err(Issue::error(code, place, why))),
            Merged::Leave if standing.is_none() => {
                self.names.remove(&name);
            }
            Merged::Leave => {}
            Merged::Write(mut value) => {
                if let Value::Object(members) = &mut value {
                    members.insert("id".to_owned(), who.id.as_str().into());
                }
                if let Some(made) = earlier.and_then(|at| self.made.get_mut(at)) {
                    made.value = value;
                } else {
                    let guard = who.guard;
                    self.made.push(Made { kind, id: who.id, place, read, before, value, guard, optional });
                }
            }
        }
        Ok(Ok(()))
    }
}

fn left_out(kind: &str, place: &str, issues: Vec<Issue>) -> impl Iterator<Item = Issue> {
    issues.into_iter().map(move |issue| {
        let why = format!("left out: {kind}: {}", issue.diagnostics);
        Issue::warning(issue.code, place, why)
    })
}

/// What becomes of the version that was read.
fn version(kind: &str, id: &str, read: i32) -> String {
    format!("{kind}/{id}/_history/{}", read + 1)
}

fn token(identifier: &Value) -> (Option<&str>, Option<&str>) {
    (reading::str_of(identifier, "system"), reading::str_of(identifier, "value"))
}

/// Names in references become who they are; a reference to nobody goes.
fn refer(node: &mut Value, names: &HashMap<String, String>) {
    match node {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("reference")
                && reference.starts_with(NAME)
            {
                match names.get(reference.as_str()) {
                    Some(known) => known.clone_into(reference),
                    None => {
                        members.remove("reference");
                    }
                }
            }
            for value in members.values_mut() {
                refer(value, names);
            }
            members.retain(|_, value| !is_empty(value));
        }
        Value::Array(elements) => {
            for element in elements.iter_mut() {
                refer(element, names);
            }
            elements.retain(|element| !is_empty(element));
        }
        _ => {}
    }
}

/// `null` says that there is none, and is something.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        _ => false,
    }
}

/// The readings of the same message find a patient or a device that is only now made.
fn remember(said: &Said, names: &HashMap<String, String>, found: &mut Found) {
    if !matches!(said.kind, "Patient" | "Device") || !said.identity.follow {
        return;
    }
    let who = names.get(&said.name).cloned();
    for (system, value) in &said.identity.tokens {
        let subject = Subject::Identifier { system: system.clone(), value: value.clone() };
        found.insert((said.kind, subject), who.clone());
    }
}

fn by_token(
    kind: &'static str,
    system: Option<&String>,
    value: &str,
    patient: Option<&str>,
) -> Result<Option<Query>, Error> {
    let Some(param) = params::find(kind, "identifier") else { return Ok(None) };
    let operand = Operand::Token { system: system.cloned(), code: Some(value.to_owned()) };
    let mut query = Query::of(kind, vec![Filter::new(param, vec![operand])], 3);
    if let Some(patient) = patient
        && params::find(kind, "patient").is_some()
    {
        query.filters.extend(Query::new(kind, &[("patient", patient)], 3)?.filters);
    }
    Ok(Some(query))
}

/// The id of what nobody bears an identifier of: the same whenever the same is said of the same patient.
fn derived(said: &Said, names: &HashMap<String, String>) -> String {
    let Identity { tokens, key, .. } = &said.identity;
    if tokens.is_empty() && key.is_empty() {
        return new_id();
    }
    let mut hash = Sha256::new();
    hash.update(said.kind);
    let first = tokens.first().map(|(system, value)| format!("{}|{value}", system.as_deref().unwrap_or_default()));
    let rest = if first.is_some() { said.identity.patient.iter().collect() } else { key.iter().collect::<Vec<_>>() };
    let rest = rest.into_iter().map(|part| names.get(part).unwrap_or(part).clone());
    for part in first.into_iter().chain(rest) {
        hash.update("\u{1f}");
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(digest) {
        *to = from;
    }
    Uuid::new_v8(bytes).to_string()
}

/// The same but for what the store gives.
pub(super) fn same(before: &Value, now: &Value) -> bool {
    let plain = |value: &Value| {
        let mut value = value.clone();
        if let Value::Object(members) = &mut value {
            members.remove("id");
            if let Some(Value::Object(meta)) = members.get_mut("meta") {
                meta.remove("versionId");
                meta.remove("lastUpdated");
            }
            if members.get("meta") == Some(&json!({})) {
                members.remove("meta");
            }
        }
        value
    };
    plain(before) == plain(now)
}

fn at(place: &str, mut issue: Issue) -> Issue {
    issue.diagnostics = format!("{}: {}", issue.expression, issue.diagnostics);
    place.clone_into(&mut issue.expression);
    issue
}
