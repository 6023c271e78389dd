//! Scores as Observations: one for each instant at which a score was formed, under an id that follows from patient,
//! rule and instant, so that the same instant formed again is the next version of the same Observation. Layer 5,
//! beside the engine: it reads the store.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::episodes::{Conclusion, Origin, Outcome};
use super::patients::Key;
use super::rule::Condition;
use super::score::{self, DEVICE};
use super::window::Scored;
use crate::auth::access::Access;
use crate::clock::derived_id;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::{reading, time};
use crate::store::{Store, Stored};

/// `Observation/…` of the score of an instant.
pub(super) fn reference(place: &Key, at: i64) -> String {
    format!("Observation/{}", id(place, at))
}

fn id(place: &Key, at: i64) -> String {
    derived_id(&[&place.patient, &place.rule.url, "score", &at.to_string()], at)
}

/// The versions that these scores make.
pub(super) async fn told(
    store: &Store,
    access: &Access,
    origin: &Origin<'_>,
    scored: Vec<Scored>,
) -> Result<Vec<Conclusion>, Error> {
    let mut conclusions = Vec::with_capacity(scored.len());
    for scored in scored {
        let id = id(origin.place, scored.at);
        let standing = standing(store, access, &id).await?;
        let resource = observation(store, origin, &scored, &id).await?;
        if standing.as_ref().is_some_and(|(_, old)| says_the_same(old, &resource)) {
            continue;
        }
        conclusions.push(conclusion(origin, id, resource, standing.map(|(version, _)| version)));
    }
    Ok(conclusions)
}

/// The same for the scores of a span (µs UTC), formed again: those that were never formed are in error.
pub(super) async fn told_again(
    store: &Store,
    access: &Access,
    origin: &Origin<'_>,
    span: Range<i64>,
    scored: Vec<Scored>,
) -> Result<Vec<Conclusion>, Error> {
    let Condition::Score(kind) = origin.place.rule.condition else { return Ok(vec![]) };
    let formed: HashSet<String> = scored.iter().map(|scored| id(origin.place, scored.at)).collect();
    let mut conclusions = told(store, access, origin, scored).await?;
    let code = format!("{}|{}", score::SYSTEM, kind.code());
    let (since, until) = (format!("ge{}", time::instant(span.start)), format!("lt{}", time::instant(span.end)));
    let mut own = vec![("patient", origin.place.patient.as_ref()), ("code", code.as_str()), ("date", since.as_str())];
    own.extend((span.end < i64::MAX).then_some(("date", until.as_str())));
    for stored in store.search_all(access, Query::new("Observation", &own, MAX_COUNT)?).await? {
        let mut resource = stored.value()?;
        let ours = resource.pointer("/device/reference").and_then(Value::as_str) == Some(DEVICE);
        let at = resource.get("effectiveDateTime").and_then(Value::as_str).and_then(time::range).map(|r| r.start);
        let of_rule = at.is_some_and(|at| id(origin.place, at) == stored.id);
        let stands = resource.get("status").and_then(Value::as_str) != Some("entered-in-error");
        if ours && of_rule && stands && !formed.contains(&stored.id) {
            if let Some(members) = resource.as_object_mut() {
                members.insert("status".to_owned(), "entered-in-error".into());
                members.shift_remove("meta");
            }
            conclusions.push(conclusion(origin, stored.id.clone(), resource, Some(stored.version)));
        }
    }
    Ok(conclusions)
}

fn conclusion(origin: &Origin<'_>, id: String, resource: Value, expect: Option<i32>) -> Conclusion {
    let cause_committed = origin.entry.map(|entry| entry.updated);
    // What the readings say counts, whatever somebody wrote into it.
    let said = resource.clone();
    let deed = Arc::new(move |_: &Value| Outcome::Next(said.clone()));
    Conclusion { id, resource, expect, cause_committed, severity: None, event: "score", deed }
}

async fn standing(store: &Store, access: &Access, id: &str) -> Result<Option<(i32, Value)>, Error> {
    match store.find(access, "Observation", id).await {
        Ok(stored) => Ok(Some((stored.version, stored.value()?))),
        Err(Error::NotFound { .. } | Error::Gone { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn says_the_same(old: &Value, new: &Value) -> bool {
    ["status", "valueQuantity", "valueCodeableConcept", "component", "derivedFrom", "dataAbsentReason"]
        .iter()
        .all(|member| old.get(*member) == new.get(*member))
}

async fn observation(store: &Store, origin: &Origin<'_>, scored: &Scored, id: &str) -> Result<Value, Error> {
    let access = Access::system("alert engine");
    let patient = origin.place.patient.as_ref();
    let found = store.readings_at(&access, patient, scored.from.clone()).await?;
    let mut from: Vec<String> = found.iter().map(|placed| reference_of(&placed.stored)).collect();
    from.sort_unstable();
    let encounter = match found.iter().max_by_key(|placed| placed.starts) {
        Some(newest) => encounter(&newest.stored)?,
        None => None,
    };
    Ok(score::observation(&scored.score, patient, scored.at, &from, id, encounter.as_deref()))
}

fn reference_of(stored: &Stored) -> String {
    format!("{}/{}/_history/{}", stored.resource_type, stored.id, stored.version)
}

fn encounter(stored: &Stored) -> Result<Option<String>, Error> {
    let value = stored.value()?;
    Ok(value.get("encounter").and_then(|encounter| reading::str_of(encounter, "reference")).map(str::to_owned))
}
