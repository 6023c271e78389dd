//! A record of a person and a stay: found among what is stored by its identifiers, changed by what a message says of
//! it, and stored with the message in one transaction. What others changed meanwhile is taken into account.

use std::sync::Arc;

use fhir_r4::Issue;
use serde_json::{Value, json};

use super::intent::{Intent, Planned};
use super::{Parcel, Pipeline, receive};
use crate::auth::access::{Access, Action};
use crate::binding::survivor;
use crate::clock::{derived_id, new_id};
use crate::error::Error;
use crate::fhir::params;
use crate::fhir::query::{Filter, Operand, Query};
use crate::fhir::reading::list;
use crate::normalize::record::{self, Deed, Record, Visit};
use crate::store::{Guard, Judge, Judged, Posted, Stored, Verdict, Written};

/// How often it is made again when somebody changes what it is about meanwhile.
const ATTEMPTS: usize = 5;
/// More records than these do not have one identifier.
const SEVERAL: usize = 3;

impl Pipeline {
    /// Takes a record in. The error is the server's: nothing was stored then.
    pub async fn admit(&self, access: &Access, record: &Record, parcel: Parcel) -> Result<Posted, Error> {
        for attempt in 1.. {
            let mut admission =
                Admission { pipeline: self, seen: self.store.log_head().await?, changes: vec![], kinds: vec![] };
            // Who may not change records learns nothing of them either.
            let planned = match may_write(access, &["Patient"]) {
                Ok(()) => admission.plan(record).await?,
                refused => refused,
            };
            let Admission { changes, kinds, .. } = admission;
            let refused = planned.and_then(|()| may_write(access, &kinds)).err();
            let mut commits = Vec::new();
            let mut own = parcel.clone();
            let is_taken = refused.is_none();
            own.issues.extend(refused);
            if is_taken && !changes.is_empty() {
                commits.push(Planned::of(changes).commit);
            }
            let (issues, last) = (own.issues.clone(), attempt == ATTEMPTS);
            let judge: Judge = Arc::new(move |groups| judged(&issues, &kinds, groups, last));
            match self.store.post(access, commits, own.message(judge)).await {
                Ok((posted, _)) => return Ok(posted),
                Err(error) if !last && is_overtaken(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::internal("a record without an end"))
    }
}

/// Records of persons are written by those alone who may write everybody's.
fn may_write(access: &Access, kinds: &[&str]) -> Result<(), Issue> {
    let may = |kind: &&str| {
        [Action::Create, Action::Update]
            .into_iter()
            .all(|action| access.check(action, kind).is_ok_and(|p| p.covers(None)))
    };
    match kinds.iter().find(|kind| !may(kind)) {
        Some(kind) => Err(Issue::error("forbidden", "MSH[1].9", format!("this sender may not write any {kind}"))),
        None => Ok(()),
    }
}

/// Has somebody else been quicker?
fn is_overtaken(error: &Error) -> bool {
    matches!(error, Error::VersionConflict { .. } | Error::MultipleMatches)
        || matches!(error, Error::Conflict(why) if *why != crate::store::CONTROL_ID_TAKEN)
}

fn judged(issues: &[Issue], kinds: &[&str], groups: &[Result<Vec<Written>, Error>], last: bool) -> Option<Judged> {
    if let Some(taken) = receive::taken(groups) {
        return Some(taken);
    }
    let mut issues = issues.to_vec();
    let mut made = Vec::new();
    for group in groups {
        match group {
            Ok(written) => made.extend(
                kinds.iter().zip(written).map(|(kind, own)| format!("{kind}/{}/_history/{}", own.id, own.version)),
            ),
            Err(error) if is_overtaken(error) && !last => return None,
            Err(error) => issues.extend(error.issues()),
        }
    }
    Some(Judged { verdict: Verdict::of(&issues), issues, made })
}

/// What is to be written, as it is found out.
struct Admission<'p> {
    pipeline: &'p Pipeline,
    /// Everything up to here was there when it was looked for.
    seen: i64,
    changes: Vec<Intent>,
    kinds: Vec<&'static str>,
}

impl Admission<'_> {
    /// The inner error is the sender's.
    async fn plan(&mut self, record: &Record) -> Result<Result<(), Issue>, Error> {
        let identifiers: Vec<Value> = list(record.patient.elements.get("identifier")).cloned().collect();
        let (found, old) = self.people(&identifiers).await?;
        let standing = match found.as_slice() {
            [] => None,
            [one] => Some(one),
            _ => return Ok(Err(several("PID[1].3"))),
        };
        let before = standing.map(Stored::value).transpose()?;
        let mut patient = record::merged(before.as_ref(), "Patient", &record.patient.without(&old));
        let id = standing.map_or_else(new_id, |found| found.id.clone());
        for old in self.found("Patient", &record.replaced).await? {
            if old.id != id
                && let Some((gone, kept)) = record::replaced(&old.value()?, &old.id, &patient, &id)
            {
                patient = kept;
                if let Err(issue) = self.update("Patient", Some(&old), &old.id, gone).await? {
                    return Ok(Err(issue));
                }
            }
        }
        if let Err(issue) = self.write("Patient", standing, &id, patient, &identifiers).await? {
            return Ok(Err(issue));
        }
        let stay = match &record.visit {
            Some(visit) => match self.visit(visit, &id).await? {
                Ok(stay) => Some(stay),
                Err(issue) => return Ok(Err(issue)),
            },
            None => None,
        };
        for other in &record.others {
            if let Err(issue) = self.other(other.clone(), &id, stay.as_deref()).await? {
                return Ok(Err(issue));
            }
        }
        Ok(Ok(()))
    }

    /// The records of these identifiers, each as the one that stands for it by now; and the identifiers of those that
    /// another stands for, which stay theirs.
    async fn people(&self, identifiers: &[Value]) -> Result<(Vec<Stored>, Vec<Value>), Error> {
        let (mut all, mut old): (Vec<Stored>, Vec<Value>) = (Vec::new(), Vec::new());
        for found in self.found("Patient", identifiers).await? {
            let (id, value) = (found.id.clone(), found.value()?);
            let found = survivor(&self.pipeline.store, &Access::system("admission"), found).await?;
            if found.id != id {
                old.extend(list(value.get("identifier")).cloned());
            }
            if all.iter().all(|known| known.id != found.id) {
                all.push(found);
            }
        }
        Ok((all, old))
    }

    /// The id of the Encounter.
    async fn visit(&mut self, visit: &Visit, patient: &str) -> Result<Result<String, Issue>, Error> {
        let subject = format!("Patient/{patient}");
        let identifiers: Vec<Value> = list(visit.part.elements.get("identifier")).cloned().collect();
        let standing = self.stay(visit.deed, &identifiers, &subject).await?;
        let mut place = None;
        for location in &visit.place {
            match self.place(location, place.as_deref()).await? {
                Ok(id) => place = Some(format!("Location/{id}")),
                Err(issue) => return Ok(Err(issue)),
            }
        }
        let mut staff = Vec::new();
        for (role, person) in &visit.staff {
            match self.person(person).await? {
                Ok(reference) => staff.push(record::participant(role, reference.as_deref(), name(person).as_deref())),
                Err(issue) => return Ok(Err(issue)),
            }
        }
        let before = standing.as_ref().map(Stored::value).transpose()?;
        let resource = record::stay(before.as_ref(), visit, &subject, place.as_deref(), &staff);
        let id = standing.as_ref().map_or_else(new_id, |found| found.id.clone());
        let done = self.write("Encounter", standing.as_ref(), &id, resource, &identifiers).await?;
        Ok(done.map(|()| id))
    }

    /// The stay of this number; without a number the one that is going on, or has just ended.
    async fn stay(&self, deed: Deed, identifiers: &[Value], subject: &str) -> Result<Option<Stored>, Error> {
        let of_subject = |found: &Stored| -> Result<bool, Error> {
            Ok(found.value()?.pointer("/subject/reference").is_some_and(|own| own == subject))
        };
        if !identifiers.is_empty() {
            for found in self.found("Encounter", identifiers).await? {
                if of_subject(&found)? {
                    return Ok(Some(found));
                }
            }
            return Ok(None);
        }
        let status = if deed == Deed::Reopen { "finished" } else { "planned,arrived,triaged,in-progress,onleave" };
        let query =
            Query::new("Encounter", &[("patient", subject), ("status", status), ("_sort", "-_lastUpdated")], 1)?;
        Ok(self.pipeline.store.search(&Access::system("admission"), query).await?.hits.into_iter().next())
    }

    async fn place(&mut self, location: &Value, inside: Option<&str>) -> Result<Result<String, Issue>, Error> {
        let identifiers: Vec<Value> = list(location.get("identifier")).cloned().collect();
        if let Some(known) = self.found("Location", &identifiers).await?.into_iter().next() {
            return Ok(Ok(known.id));
        }
        let (id, mut resource) = (new_id(), location.clone());
        if let (Some(parent), Some(members)) = (inside, resource.as_object_mut()) {
            members.insert("partOf".to_owned(), json!({"reference": parent}));
        }
        Ok(self.write("Location", None, &id, resource, &identifiers).await?.map(|()| id))
    }

    /// The reference of somebody who has an id.
    async fn person(&mut self, person: &Value) -> Result<Result<Option<String>, Issue>, Error> {
        let identifiers: Vec<Value> = list(person.get("identifier")).cloned().collect();
        if identifiers.is_empty() {
            return Ok(Ok(None));
        }
        if let Some(known) = self.found("Practitioner", &identifiers).await?.into_iter().next() {
            return Ok(Ok(Some(format!("Practitioner/{}", known.id))));
        }
        let own = self.planned("Practitioner", &identifiers);
        if own.is_some() {
            return Ok(Ok(own));
        }
        let id = new_id();
        let done = self.write("Practitioner", None, &id, person.clone(), &identifiers).await?;
        Ok(done.map(|()| Some(format!("Practitioner/{id}"))))
    }

    /// Somebody who is to be created already: one doctor may have several parts.
    fn planned(&self, kind: &str, identifiers: &[Value]) -> Option<String> {
        self.changes.iter().find_map(|change| match change {
            Intent::Create { resource, id, .. } if resource.resource_type() == kind => {
                let own = resource.value().get("identifier");
                list(own).any(|own| identifiers.contains(own)).then(|| format!("{kind}/{id}"))
            }
            _ => None,
        })
    }

    /// What a message says besides: the same again is the same resource.
    async fn other(&mut self, mut other: Value, patient: &str, stay: Option<&str>) -> Result<Result<(), Issue>, Error> {
        let kind = other.get("resourceType").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(kind) = OTHERS.iter().find(|(known, ..)| *known == kind) else { return Ok(Ok(())) };
        let (kind, of_patient, key) = *kind;
        let key = other.get(key).map(Value::to_string).unwrap_or_default();
        let of_stay = if kind == "Condition" { stay.unwrap_or_default() } else { "" };
        let id = derived_id(&[kind, patient, of_stay, &key], 0);
        if let Some(members) = other.as_object_mut() {
            members.insert(of_patient.to_owned(), json!({"reference": format!("Patient/{patient}")}));
            if let Some(stay) = stay.filter(|_| kind == "Condition") {
                members.insert("encounter".to_owned(), json!({"reference": format!("Encounter/{stay}")}));
            }
        }
        let standing = match self.pipeline.store.find(&Access::system("admission"), kind, &id).await {
            Ok(found) => Some(found),
            Err(Error::NotFound { .. } | Error::Gone { .. }) => None,
            Err(error) => return Err(error),
        };
        let merged = match (standing.as_ref().map(Stored::value).transpose()?, other) {
            (Some(before), Value::Object(elements)) => {
                record::merged(Some(&before), kind, &record::Part { elements, cleared: vec![] })
            }
            (_, other) => other,
        };
        self.update(kind, standing.as_ref(), &id, merged).await
    }

    /// An update of what stands, or a creation as long as nobody has created it meanwhile.
    async fn write(
        &mut self,
        kind: &'static str,
        standing: Option<&Stored>,
        id: &str,
        resource: Value,
        identifiers: &[Value],
    ) -> Result<Result<(), Issue>, Error> {
        if standing.is_some() {
            return self.update(kind, standing, id, resource).await;
        }
        let resource = match self.checked(resource, id).await {
            Ok(checked) => checked,
            Err(issue) => return Ok(Err(issue)),
        };
        let query = identifiers.iter().find_map(|own| by_identifier(kind, own));
        let guard = query.map(|query| Guard { query, expects: None, seen: self.seen });
        self.kinds.push(kind);
        self.changes.push(Intent::Create { resource, id: id.to_owned(), guard });
        Ok(Ok(()))
    }

    async fn update(
        &mut self,
        kind: &'static str,
        standing: Option<&Stored>,
        id: &str,
        resource: Value,
    ) -> Result<Result<(), Issue>, Error> {
        if let Some(standing) = standing
            && standing.value()? == resource
        {
            return Ok(Ok(()));
        }
        let resource = match self.checked(resource, id).await {
            Ok(checked) => checked,
            Err(issue) => return Ok(Err(issue)),
        };
        self.kinds.push(kind);
        self.changes.push(Intent::Update { resource, id: id.to_owned(), expect: standing.map(|found| found.version) });
        Ok(Ok(()))
    }

    async fn checked(&self, mut resource: Value, id: &str) -> Result<fhir_r4::Checked, Issue> {
        if let Some(members) = resource.as_object_mut() {
            members.insert("id".to_owned(), id.into());
        }
        let worst = |issues: Vec<Issue>| {
            issues.into_iter().next().unwrap_or_else(|| Issue::error("invalid", "MSH[1]", "nothing can be made of it"))
        };
        self.pipeline.profiles.check(resource).await.map_err(worst)
    }

    /// The records that hold one of these identifiers, each once.
    async fn found(&self, kind: &'static str, identifiers: &[Value]) -> Result<Vec<Stored>, Error> {
        let access = Access::system("admission");
        let mut all: Vec<Stored> = Vec::new();
        for query in identifiers.iter().filter_map(|own| by_identifier(kind, own)) {
            for found in self.pipeline.store.search(&access, query).await?.hits {
                if all.iter().all(|known| known.id != found.id) {
                    all.push(found);
                }
            }
        }
        Ok(all)
    }
}

/// Resources about a patient: their element for the patient, and the one that tells them apart.
const OTHERS: [(&str, &str, &str); 4] = [
    ("RelatedPerson", "patient", "name"),
    ("AllergyIntolerance", "patient", "code"),
    ("Condition", "subject", "code"),
    ("Coverage", "beneficiary", "payor"),
];

/// None: an identifier without a value, or one that no database can be asked for.
fn by_identifier(kind: &'static str, identifier: &Value) -> Option<Query> {
    let text = |name: &str| identifier.get(name).and_then(Value::as_str).map(str::to_owned);
    let code = text("value").filter(|value| !value.contains('\0'))?;
    let operand = Operand::Token { system: text("system"), code: Some(code) };
    Some(Query::of(kind, vec![Filter::new(params::find(kind, "identifier")?, vec![operand])], SEVERAL))
}

fn name(person: &Value) -> Option<String> {
    let name = list(person.get("name")).next()?;
    let texts = |element: &str| list(name.get(element)).filter_map(Value::as_str).collect::<Vec<_>>();
    let family = name.get("family").and_then(Value::as_str);
    let all: Vec<&str> = [texts("prefix"), texts("given"), family.into_iter().collect()].concat();
    (!all.is_empty()).then(|| all.join(" "))
}

fn several(place: &str) -> Issue {
    Issue::error("conflict", place.to_owned(), "several records hold these identifiers; they must be merged first")
}
