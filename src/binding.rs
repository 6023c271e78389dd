//! Whose reading is it: the patient and the device that a draft names, found among what is registered. Found
//! once, kept until any patient or device changes. Nothing is attached by guess: who is not known, or known
//! twice, is refused with the place named.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fhir_r4::Issue;
use serde_json::Value;

use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::params;
use crate::fhir::query::{Filter, Operand, Query};
use crate::fhir::reading::list;
use crate::fhir::reference;
use crate::normalize::Bound;
use crate::normalize::draft::{Draft, Subject};
use crate::store::{Store, Stored};

/// More than the patients and devices of a large hospital; then it starts afresh.
const MAX_KEPT: usize = 100_000;
/// Merges of merges are followed so far.
const MAX_MERGES: usize = 8;
/// A sender's name for something is kept when it is no longer than this.
const MAX_NAME: usize = 200;

#[derive(Clone)]
pub(crate) struct Binding {
    store: Store,
    kept: Arc<Mutex<Kept>>,
}

/// What was found, by kind and name. None: nobody, or not one only. A monitor that nobody registered is looked up
/// once, not for every reading.
pub(crate) type Found = HashMap<(&'static str, Subject), Option<String>>;

#[derive(Default)]
struct Kept {
    /// The store's count of changes to patients and devices when these were found.
    generation: u64,
    found: Found,
}

impl Binding {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, kept: Arc::default() }
    }

    /// The inner error is the sender's. `here`: what was found for the drafts that came with this one; on a database
    /// that other nodes write to nothing else is kept.
    pub(crate) async fn bind(&self, draft: &Draft, here: &mut Found) -> Result<Result<Bound, Issue>, Error> {
        let Some(patient) = self.find("Patient", &draft.subject, here).await? else {
            return Ok(Err(unknown(draft, "patient")));
        };
        let device = match &draft.device {
            None => None,
            Some(device) => match self.find("Device", device, here).await? {
                Some(device) => Some(device),
                // A reference must hold; a name that nobody registered is left out, the reading is not.
                None if matches!(device, Subject::Reference(_)) => return Ok(Err(unknown(draft, "device"))),
                None => None,
            },
        };
        let metric =
            draft.metric.as_ref().and_then(|name| here.get(&("DeviceMetric", Subject::Reference(name.clone()))));
        Ok(Ok(Bound { patient, device: metric.cloned().flatten().or(device), encounter: None }))
    }

    async fn find(&self, kind: &'static str, subject: &Subject, here: &mut Found) -> Result<Option<String>, Error> {
        let key = (kind, subject.clone());
        if let Some(found) = here.get(&key) {
            return Ok(found.clone());
        }
        let generation = self.store.registry_generation();
        if let Some(found) = self.kept(generation, |kept| kept.get(&key).cloned()) {
            return Ok(found);
        }
        let found = self.look_up(kind, subject).await?;
        if self.store.is_shared() {
            here.insert(key, found.clone());
        } else if length(subject) <= MAX_NAME {
            self.kept(generation, |kept| {
                if kept.len() >= MAX_KEPT {
                    kept.clear();
                }
                kept.insert(key, found.clone());
            });
        }
        Ok(found)
    }

    fn kept<T>(&self, generation: u64, work: impl FnOnce(&mut Found) -> T) -> T {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.generation != generation {
            *kept = Kept { generation, found: HashMap::new() };
        }
        work(&mut kept.found)
    }

    async fn look_up(&self, kind: &'static str, subject: &Subject) -> Result<Option<String>, Error> {
        let access = Access::system("binding");
        match subject {
            Subject::Reference(text) => {
                let Some(local) = reference::local(text).filter(|l| l.resource_type == kind) else { return Ok(None) };
                match self.store.find(&access, kind, local.id).await {
                    Ok(found) => Ok(Some(format!("{kind}/{}", found.id))),
                    Err(Error::NotFound { .. } | Error::Gone { .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            // No identifier holds it, and PostgreSQL cannot be asked for it.
            Subject::Identifier { value, .. } if value.contains('\0') => Ok(None),
            Subject::Identifier { system, value } => {
                let operand = Operand::Token { system: system.clone(), code: Some(value.clone()) };
                let Some(param) = params::find(kind, "identifier") else { return Ok(None) };
                let query = Query::of(kind, vec![Filter::new(param, vec![operand])], 2);
                let mut all: Vec<String> = Vec::new();
                for hit in self.store.search(&access, query).await?.hits {
                    let id = if kind == "Patient" { survivor(&self.store, &access, hit).await?.id } else { hit.id };
                    if !all.contains(&id) {
                        all.push(id);
                    }
                }
                // Two that fit are as good as none.
                let one = all.pop().filter(|_| all.is_empty());
                Ok(one.map(|id| format!("{kind}/{id}")))
            }
        }
    }
}

/// The Patient that stands for this one by now: the end of its `replaced-by` links.
pub(crate) async fn survivor(store: &Store, access: &Access, mut patient: Stored) -> Result<Stored, Error> {
    for _ in 0..MAX_MERGES {
        let Some(next) = replaced_by(&patient.value()?) else { break };
        match store.find(access, "Patient", &next).await {
            Ok(found) => patient = found,
            Err(Error::NotFound { .. } | Error::Gone { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(patient)
}

fn replaced_by(patient: &Value) -> Option<String> {
    let mut links = list(patient.get("link")).filter(|link| link.get("type").is_some_and(|kind| kind == "replaced-by"));
    let other = links.next()?.pointer("/other/reference")?.as_str()?;
    reference::local(other).filter(|local| local.resource_type == "Patient").map(|local| local.id.to_owned())
}

fn length(subject: &Subject) -> usize {
    match subject {
        Subject::Reference(text) => text.len(),
        Subject::Identifier { system, value } => system.as_ref().map_or(0, String::len) + value.len(),
    }
}

fn unknown(draft: &Draft, what: &str) -> Issue {
    Issue::error(
        "not-found",
        draft.place.clone(),
        format!("the {what} of this reading is not known here, or not by one record only"),
    )
}
