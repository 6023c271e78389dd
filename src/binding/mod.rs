//! Whose reading is it: the patient and the device that a draft names, found among what is registered; else the patient
//! whom the device was at. Found once, kept until any patient or device changes or moves. Nothing is attached by guess:
//! who is not known, or known twice, is refused with the place named, and the reading of a device that was at nobody
//! waits until it is known at whom.

mod holder;
pub(crate) mod stay;

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fhir_r4::Issue;
use serde_json::Value;

use self::holder::Places;
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
type Names = HashMap<(&'static str, Subject), Option<String>>;

/// What was found for what came together.
#[derive(Default)]
pub(crate) struct Found {
    names: Names,
    places: HashMap<String, Arc<Places>>,
}

impl Deref for Found {
    type Target = Names;

    fn deref(&self) -> &Names {
        &self.names
    }
}

impl DerefMut for Found {
    fn deref_mut(&mut self) -> &mut Names {
        &mut self.names
    }
}

#[derive(Default)]
struct Kept {
    /// The store's count of changes to patients and devices when these were found.
    generation: u64,
    found: Names,
    /// Where devices were, and the store's count of movements when that was so.
    moved: u64,
    places: HashMap<String, Arc<Places>>,
}

/// Whose a reading is.
#[derive(Debug)]
pub(crate) enum Whose {
    Known(Bound),
    /// The device was at nobody whom this server knows of.
    Waits {
        device: String,
        why: &'static str,
    },
    /// The sender's fault.
    Refused(Issue),
}

/// Nobody says whom the device was at.
pub(crate) const UNBOUND: &str = "unbound";

impl Binding {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, kept: Arc::default() }
    }

    /// `at`: when it was measured, µs UTC. `here`: what was found for the drafts that came with this one; on a database
    /// that other nodes write to nothing else is kept.
    pub(crate) async fn bind(&self, caller: &Access, draft: &Draft, at: i64, here: &mut Found) -> Result<Whose, Error> {
        let named = match &draft.subject {
            Some(subject) => match self.find("Patient", subject, here).await? {
                Some(patient) => Some(patient),
                None => return Ok(Whose::Refused(unknown(draft, "patient"))),
            },
            None => None,
        };
        let device = match &draft.device {
            None => None,
            Some(device) => match self.find("Device", device, here).await? {
                Some(device) => Some(device),
                // A reference must hold; a name that nobody registered is left out, the reading is not.
                None if named.is_none() || matches!(device, Subject::Reference(_)) => {
                    return Ok(Whose::Refused(unknown(draft, "device")));
                }
                None => None,
            },
        };
        if let (Some(own), Some(other)) = (caller.device(), &device)
            && own != other
        {
            return Ok(Whose::Refused(not_own(draft)));
        }
        let patient = match (named, &device) {
            (None, None) => return Ok(Whose::Refused(nobody(draft))),
            (Some(patient), _) if caller.device().is_none() => patient,
            // A device does not choose whose its readings are.
            (named, Some(device)) => match self.holder(device, at, here).await? {
                None => return Ok(Whose::Waits { device: device.clone(), why: UNBOUND }),
                Some(holder) if named.is_some_and(|named| named != holder) => {
                    return Ok(Whose::Refused(of_another(draft)));
                }
                Some(holder) => holder,
            },
            (Some(_), None) => return Ok(Whose::Refused(unknown(draft, "device"))),
        };
        let metric =
            draft.metric.as_ref().and_then(|name| here.get(&("DeviceMetric", Subject::Reference(name.clone()))));
        let metric = metric.cloned().flatten();
        Ok(Whose::Known(Bound { patient, device, metric, encounter: None }))
    }

    /// The patient whom a device (`Device/…`) was at, as the records stand now.
    pub(crate) async fn holder(&self, device: &str, at: i64, here: &mut Found) -> Result<Option<String>, Error> {
        let places = if let Some(places) = here.places.get(device) {
            places.clone()
        } else {
            let places = self.places(device).await?;
            here.places.insert(device.to_owned(), places.clone());
            places
        };
        match places.at(at) {
            Some(patient) => standing(&self.store, &Access::system("binding"), patient).await,
            None => Ok(None),
        }
    }

    /// Whether a device was at anybody between these times (µs UTC).
    pub(crate) async fn anybody(&self, device: &str, first: i64, last: i64) -> Result<bool, Error> {
        Ok(self.places(device).await?.anybody(first, last))
    }

    async fn places(&self, device: &str) -> Result<Arc<Places>, Error> {
        let moved = self.store.placement_generation();
        if let Some(places) = self.moved(moved).places.get(device) {
            return Ok(places.clone());
        }
        let places = Arc::new(Places::of(&self.store, device).await?);
        if !self.store.is_shared() {
            let mut kept = self.moved(moved);
            if kept.places.len() >= MAX_KEPT {
                kept.places.clear();
            }
            kept.places.insert(device.to_owned(), places.clone());
        }
        Ok(places)
    }

    fn moved(&self, generation: u64) -> MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.moved != generation {
            kept.moved = generation;
            kept.places.clear();
        }
        kept
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

    fn kept<T>(&self, generation: u64, work: impl FnOnce(&mut Names) -> T) -> T {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.generation != generation {
            kept.generation = generation;
            kept.found.clear();
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

/// The patient (`Patient/…`) who stands for this one by now, if any does.
async fn standing(store: &Store, access: &Access, patient: &str) -> Result<Option<String>, Error> {
    let Some(local) = reference::local(patient).filter(|local| local.resource_type == "Patient") else {
        return Ok(None);
    };
    let found = match store.find(access, "Patient", local.id).await {
        Ok(found) => survivor(store, access, found).await?,
        Err(Error::NotFound { .. } | Error::Gone { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(format!("Patient/{}", found.id)))
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

fn nobody(draft: &Draft) -> Issue {
    Issue::error("required", format!("{}.patient", draft.place), "neither the patient nor the device is named")
}

fn not_own(draft: &Draft) -> Issue {
    Issue::error("forbidden", format!("{}.device", draft.place), "a device writes its own readings only")
}

fn of_another(draft: &Draft) -> Issue {
    let why = "the device was at another patient at that time, or at nobody";
    Issue::error("forbidden", format!("{}.patient", draft.place), why)
}

fn unknown(draft: &Draft, what: &str) -> Issue {
    Issue::error(
        "not-found",
        draft.place.clone(),
        format!("the {what} of this reading is not known here, or not by one record only"),
    )
}
