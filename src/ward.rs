//! Where a patient is now, as far as the Encounters in progress tell. What follows from it is said elsewhere.

use serde_json::Value;

use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::reading;
use crate::store::Store;

/// Bed, room, ward (`Location/…`) of a patient (`Patient/…`), as far as its Encounters in progress name them.
pub async fn locations(store: &Store, access: &Access, patient: &str) -> Result<Vec<String>, Error> {
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
