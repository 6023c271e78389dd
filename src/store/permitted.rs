//! What of resources a caller may write and see: asked before every commit and of everything that is read.

use serde_json::Value;

use super::prepare::OBSERVATION;
use super::{Change, Commit, Stored, Verb};
use crate::auth::access::scope::Condition;
use crate::auth::access::{Access, Action, Permit, Reach};
use crate::error::Error;
use crate::fhir::reading::Reading;
use crate::fhir::{compartment, constraint};

/// May the caller make these changes?
pub(super) fn authorise(access: &Access, commit: &Commit) -> Result<(), Error> {
    for change in &commit.changes {
        let action = match change.verb {
            Verb::Create(_) => Action::Create,
            Verb::Update { .. } => Action::Update,
            Verb::Delete { .. } => Action::Delete,
        };
        let permit = access.check(action, change.resource_type)?;
        if let Some(device) = access.device() {
            own_reading(device, change)?;
        }
        if *permit.reach() == Reach::All {
            continue;
        }
        // Bound to one patient: what is written must say that it is that patient's, and what it replaces
        // cannot be seen from here.
        let patients = change.resource.as_ref().map(|r| compartment::patients(change.resource_type, &change.id, r));
        let patients = patients.unwrap_or_default();
        let covered = !patients.is_empty() && patients.iter().all(|patient| permit.covers(Some(patient)));
        if !matches!(change.verb, Verb::Create(_)) || !covered {
            return Err(Error::Forbidden("This is outside the one patient that the caller may write for.".to_owned()));
        }
    }
    Ok(())
}

/// Does the permit reach this resource? What it does not reach is not known to the caller.
pub(super) fn visible(permit: &Permit, stored: &Stored) -> Result<(), Error> {
    within(permit.reach(), stored)
}

pub(super) fn within(reach: &Reach, stored: &Stored) -> Result<(), Error> {
    if *reach == Reach::All {
        return Ok(());
    }
    let hidden = || Error::not_found(stored.resource_type, &*stored.id);
    if stored.deleted {
        return Err(hidden());
    }
    let resource = stored.value()?;
    let (kind, id) = (stored.resource_type, &*stored.id);
    let about = |own: &String| compartment::patients(kind, id, &resource).contains(own);
    let seen = match reach {
        Reach::All => true,
        Reach::Patient(own) => about(own),
        Reach::Fitting { patient, conditions } => {
            let holds = |Condition { param, values }: &Condition| constraint::holds(kind, &resource, param, values);
            patient.as_ref().is_none_or(about) && conditions.iter().all(holds)
        }
        Reach::Only(own) => own.split_once('/') == Some((kind, id)),
    };
    if seen { Ok(()) } else { Err(hidden()) }
}

/// The patient that a resource is about: its own id, its subject, or its `patient`.
pub fn patient_of(kind: &str, id: &str, resource: &Value) -> Option<String> {
    if kind == "Patient" {
        return Some(format!("Patient/{id}"));
    }
    if kind == OBSERVATION {
        return Reading::of(resource).subject;
    }
    let reference = ["subject", "patient"].iter().find_map(|m| resource.get(m)?.get("reference")?.as_str())?;
    Some(crate::fhir::reference::unversioned(reference).to_owned())
}

/// A device says what it measured itself, and nothing else.
fn own_reading(device: &str, change: &Change) -> Result<(), Error> {
    let measured_by = change.resource.as_ref().and_then(|resource| Reading::of(resource).device);
    if change.resource_type == OBSERVATION
        && matches!(change.verb, Verb::Create(_))
        && measured_by.as_deref() == Some(device)
    {
        return Ok(());
    }
    Err(Error::Forbidden("A device writes its own readings only.".to_owned()))
}
