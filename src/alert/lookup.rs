//! What of a patient matters to the rules, looked up: the Patient, its Flags, and the Flags of the ward where it lies.
//! Layer 5, beside the engine: it reads the store.

use serde_json::Value;

use super::context::Context;
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::reading;
use crate::fhir::reference;
use crate::store::Store;

/// `patient`: `Patient/…`. A patient that is not there has no context; its readings are judged all the same.
pub(super) async fn context(store: &Store, access: &Access, patient: &str) -> Result<Context, Error> {
    let found = match reference::local(patient) {
        Some(local) => store.find(access, "Patient", local.id).await,
        None => return Ok(Context::default()),
    };
    let resource = match found {
        Ok(stored) if !stored.deleted => Some(stored.value()?),
        Ok(_) | Err(Error::NotFound { .. } | Error::Gone { .. }) => None,
        Err(error) => return Err(error),
    };
    let own = flags(store, access, &[("patient", patient)]).await?;
    let mut ward = Vec::new();
    for location in locations(store, access, patient).await? {
        ward.extend(flags(store, access, &[("subject", &location)]).await?);
    }
    Ok(Context::of(resource.as_ref(), &own, &ward))
}

async fn flags(store: &Store, access: &Access, of: &[(&str, &str)]) -> Result<Vec<Value>, Error> {
    let found = store.search_all(access, Query::new("Flag", of, MAX_COUNT)?).await?;
    found.iter().map(crate::store::Stored::value).collect()
}

/// Where the patient is now: bed, room, ward, as far as the Encounter in progress names them.
async fn locations(store: &Store, access: &Access, patient: &str) -> Result<Vec<String>, Error> {
    let query = Query::new("Encounter", &[("patient", patient), ("status", "in-progress")], MAX_COUNT)?;
    let mut all = Vec::new();
    for encounter in store.search_all(access, query).await? {
        let encounter = encounter.value()?;
        let now = store.clock().now();
        let places = reading::list(encounter.get("location")).filter(|place| is_here(place, now));
        let references = places.filter_map(|place| place.pointer("/location/reference")?.as_str().map(str::to_owned));
        all.extend(references.filter(|reference| reference.starts_with("Location/")));
    }
    Ok(all)
}

/// A place that the patient has left, or was only meant for, is none of its places.
fn is_here(place: &Value, now: i64) -> bool {
    let stays = place.get("status").and_then(Value::as_str).is_none_or(|status| status == "active");
    let period = place.get("period").and_then(reading::period);
    stays && period.is_none_or(|(start, end)| (start..end).contains(&now))
}
