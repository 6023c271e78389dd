//! Patients who are no longer here: discharged, dead, or another record now. What stands about them is put an end to,
//! and nobody waits for their next reading. Who is heard again is judged again: a discharge may be a slip of the pen.
//! Layer 5, beside the engine: it reads the store.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::lifecycle::Superseded;
use super::reading::Taken;
use super::round;
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::Query;
use crate::fhir::reading;
use crate::store::{Content, Entry, Store};

/// An Encounter with one of these keeps its patient here.
const PRESENT: [&str; 4] = ["arrived", "triaged", "in-progress", "onleave"];

/// May this entry say that somebody is no longer here?
pub(super) fn may_tell(entry: &Entry) -> bool {
    match (entry.resource_type, resource(entry)) {
        ("Encounter", Some(encounter)) => entry.version > 1 && !is_present(encounter),
        ("Patient", Some(patient)) => why_gone(patient).is_some(),
        ("Encounter" | "Patient", None) => true,
        _ => false,
    }
}

/// Who is no longer here by this entry (`Patient/…`), and why.
pub(super) async fn told(store: &Store, access: &Access, entry: &Entry) -> Result<Option<(String, Superseded)>, Error> {
    let before = round::before(store, access, entry).await?.map(|stored| stored.value()).transpose()?;
    if entry.resource_type == "Patient" {
        let now = resource(entry).map_or(Some(Superseded::PatientLeft), why_gone);
        let known = before.as_ref().and_then(why_gone);
        return Ok(now.filter(|_| now != known).map(|why| (format!("Patient/{}", entry.id), why)));
    }
    let Some(was) = before.as_ref().filter(|was| is_present(was)) else { return Ok(None) };
    let Some(patient) = round::patient_of(was) else { return Ok(None) };
    let left = !has_encounter(store, access, patient).await?;
    Ok(left.then(|| (patient.to_owned(), Superseded::PatientLeft)))
}

/// Who of the patients of these readings has left since the last of them: nobody waits for theirs. What is judged an
/// instant at a time waits for no reading, and is not asked about.
pub(super) async fn left(store: &Store, access: &Access, taken: &[Taken]) -> Result<HashSet<String>, Error> {
    let mut last: HashMap<&str, i64> = HashMap::new();
    for taken in taken.iter().filter(|taken| !taken.rule.condition.is_joint()) {
        let known = last.entry(taken.patient()).or_insert(i64::MIN);
        *known = taken.entry.updated.max(*known);
    }
    let mut left = HashSet::new();
    for (patient, committed) in last {
        if since(store, access, patient, committed).await? {
            left.insert(patient.to_owned());
        }
    }
    Ok(left)
}

/// Has somebody (`Patient/…`) left since this was committed (µs UTC)?
pub(super) async fn since(store: &Store, access: &Access, patient: &str, committed: i64) -> Result<bool, Error> {
    let newest = [("patient", patient), ("_sort", "-_lastUpdated")];
    let last = store.search(access, Query::new("Encounter", &newest, 1)?).await?.hits.into_iter().next();
    let left = last.is_some_and(|encounter| encounter.updated >= committed);
    if left && !has_encounter(store, access, patient).await? {
        return Ok(true);
    }
    let Some(id) = patient.strip_prefix("Patient/") else { return Ok(false) };
    match store.find(access, "Patient", id).await {
        Ok(stored) => Ok(stored.updated >= committed && why_gone(&stored.value()?).is_some()),
        Err(Error::NotFound { .. } | Error::Gone { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn has_encounter(store: &Store, access: &Access, patient: &str) -> Result<bool, Error> {
    let query = Query::new("Encounter", &[("patient", patient), ("status", &PRESENT.join(","))], 1)?;
    Ok(!store.search(access, query).await?.hits.is_empty())
}

/// None: the entry is a deletion.
fn resource(entry: &Entry) -> Option<&Value> {
    match &entry.content {
        Content::Resource(resource) => Some(resource),
        _ => None,
    }
}

fn is_present(encounter: &Value) -> bool {
    encounter.get("status").and_then(Value::as_str).is_some_and(|status| PRESENT.contains(&status))
}

/// Why the record of a patient says that nobody is to be watched under it.
fn why_gone(patient: &Value) -> Option<Superseded> {
    let died = patient.get("deceasedBoolean") == Some(&Value::Bool(true)) || patient.get("deceasedDateTime").is_some();
    let mut links = reading::list(patient.get("link"));
    if links.any(|link| link.get("type").is_some_and(|kind| kind == "replaced-by")) {
        Some(Superseded::PatientMerged)
    } else {
        died.then_some(Superseded::PatientDied)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_say_that_nobody_is_there() {
        let table = [
            (json!({"active": false}), None),
            (json!({"deceasedBoolean": false}), None),
            (json!({"deceasedBoolean": true}), Some(Superseded::PatientDied)),
            (json!({"deceasedDateTime": "2026-03-01"}), Some(Superseded::PatientDied)),
            (json!({"link": [{"type": "replaces"}]}), None),
            (json!({"link": [{"type": "seealso"}, {"type": "replaced-by"}]}), Some(Superseded::PatientMerged)),
        ];
        for (patient, expected) in table {
            assert_eq!(why_gone(&patient), expected, "{patient}");
        }
    }
}
