//! What of a patient matters to the rules, looked up: the Patient, its Flags, and the Flags of the ward where it lies.
//! Layer 5, beside the engine: it reads the store.

use serde_json::Value;

use super::context::Context;
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::reference;
use crate::store::Store;
use crate::ward;

/// `patient`: `Patient/…`. A patient that is not there has no context; its readings are judged all the same.
pub async fn context(store: &Store, access: &Access, patient: &str) -> Result<Context, Error> {
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
    for location in ward::locations(store, access, patient).await? {
        ward.extend(flags(store, access, &[("subject", &location)]).await?);
    }
    Ok(Context::of(resource.as_ref(), &own, &ward))
}

async fn flags(store: &Store, access: &Access, of: &[(&str, &str)]) -> Result<Vec<Value>, Error> {
    let found = store.search_all(access, Query::new("Flag", of, MAX_COUNT)?).await?;
    found.iter().map(crate::store::Stored::value).collect()
}
