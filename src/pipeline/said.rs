//! What a message says of resources that may stand already (`who`): what the two come to, and that as intents.
//! Nothing is written over what somebody else has changed meanwhile. What a member means has no place here.

use std::collections::HashMap;

use fhir_r4::Issue;
use serde_json::{Value, json};

use super::Pipeline;
use super::intent::Intent;
use super::who::Who;
use crate::binding::Found;
use crate::clock::new_id;
use crate::error::Error;
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
    let who = names.get(&said.name).cloned();
    if said.kind == "DeviceMetric" {
        found.insert((said.kind, Subject::Reference(said.name.clone())), who);
        return;
    }
    if !matches!(said.kind, "Patient" | "Device") || !said.identity.follow {
        return;
    }
    for (system, value) in &said.identity.tokens {
        let subject = Subject::Identifier { system: system.clone(), value: value.clone() };
        found.insert((said.kind, subject), who.clone());
    }
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
