//! Who lay in a bed at some times, as far as stays tell: one patient for all of them and nobody else for any, or nobody.
//! A time before the stay is told to have begun belongs to whoever lay there before.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::{reading, time};
use crate::store::Store;

/// A beginning that is told less exactly than this counts from its end.
pub(super) const EXACT: i64 = 60 * time::SECOND;

/// A patient somewhere: in a bed, or with a device.
#[derive(Clone, Debug)]
pub(super) struct Stay {
    pub(super) patient: String,
    /// µs UTC
    pub(super) from: i64,
    pub(super) to: i64,
}

/// The patient (`Patient/…`) who lay in the bed (`Location/…`) at all of these times.
pub(crate) async fn occupant(
    store: &Store,
    access: &Access,
    location: &str,
    times: &[time::Range],
) -> Result<Option<String>, Error> {
    let stays = stays(store, access, location).await?;
    let Some(patient) = alone(&stays, times) else { return Ok(None) };
    super::standing(store, access, patient).await
}

/// Who lay in a bed, and when.
pub(super) async fn stays(store: &Store, access: &Access, location: &str) -> Result<Vec<Stay>, Error> {
    let query = Query::new("Encounter", &[("location", location)], MAX_COUNT)?;
    let mut stays = Vec::new();
    for encounter in store.search_all(access, query).await? {
        stays.extend(of(&encounter.value()?, location));
    }
    Ok(stays)
}

/// When the patient of an Encounter was in the bed.
fn of(encounter: &Value, location: &str) -> Vec<Stay> {
    let text = |pointer: &str| encounter.pointer(pointer).and_then(Value::as_str);
    let was = matches!(text("/status"), Some("arrived" | "triaged" | "in-progress" | "onleave" | "finished"));
    let Some(patient) = text("/subject/reference").filter(|_| was) else { return vec![] };
    let over = text("/period/end").and_then(time::range).map(|end| end.start);
    let here = |place: &&Value| place.pointer("/location/reference").is_some_and(|own| own == location);
    let places = reading::list(encounter.get("location")).filter(here);
    places.filter_map(|place| stay(place, patient, over)).collect()
}

/// `over`: when the patient left for good.
fn stay(place: &Value, patient: &str, over: Option<i64>) -> Option<Stay> {
    let time = |pointer: &str| place.pointer(pointer).and_then(Value::as_str).and_then(time::range);
    let begun = time("/period/start")?;
    let from = if begun.end - begun.start > EXACT { begun.end } else { begun.start };
    let end = time("/period/end").map(|end| end.start);
    let to = match place.get("status").and_then(Value::as_str) {
        Some("active") => end.into_iter().chain(over).min().unwrap_or(time::AFTER_ALL),
        Some("completed") => end?,
        _ => return None,
    };
    Some(Stay { patient: patient.to_owned(), from, to })
}

/// Who was there at all of the times, when nobody else was at any.
pub(super) fn alone<'s>(stays: &'s [Stay], times: &[time::Range]) -> Option<&'s str> {
    let mut who: BTreeSet<&str> = BTreeSet::new();
    for at in times {
        let there = stays.iter().filter(|stay| (stay.from..stay.to).contains(&at.start));
        let there: BTreeSet<&str> = there.map(|stay| stay.patient.as_str()).collect();
        if there.len() != 1 {
            return None;
        }
        who.extend(there);
    }
    who.pop_first().filter(|_| who.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn encounter(patient: &str, status: &str, places: &[(&str, &str, &str)]) -> Value {
        let places = places.iter().map(|(status, start, end)| {
            let mut period = json!({});
            for (member, text) in [("start", start), ("end", end)] {
                if !text.is_empty() {
                    period[member] = json!(text);
                }
            }
            json!({"location": {"reference": "Location/bed"}, "status": status, "period": period})
        });
        let places: Vec<Value> = places.collect();
        json!({"status": status, "subject": {"reference": patient}, "location": places})
    }

    #[test]
    fn who_lay_there() {
        let ana = |places: &[(&str, &str, &str)]| encounter("Patient/ana", "in-progress", places);
        let until_ten = ("completed", "2026-01-02T08:00:00Z", "2026-01-02T10:00:00Z");
        let since_ten = ("active", "2026-01-02T10:00:00Z", "");
        let eva = encounter("Patient/eva", "in-progress", &[since_ten]);
        #[rustfmt::skip]
        let table: [(&[Value], &[&str], Option<&str>); 14] = [
            (&[ana(&[since_ten])], &["2026-01-02T10:00:00Z", "2026-01-02T11:00:00Z"], Some("Patient/ana")),
            (&[ana(&[since_ten])], &["2026-01-02T09:59:59Z", "2026-01-02T11:00:00Z"], None),
            (&[ana(&[since_ten])], &[], None),
            (&[ana(&[until_ten]), eva.clone()], &["2026-01-02T09:00:00Z"], Some("Patient/ana")),
            (&[ana(&[until_ten]), eva.clone()], &["2026-01-02T10:00:00Z"], Some("Patient/eva")),
            (&[ana(&[until_ten]), eva.clone()], &["2026-01-02T09:00:00Z", "2026-01-02T11:00:00Z"], None),
            (&[ana(&[since_ten]), eva], &["2026-01-02T11:00:00Z"], None),
            (&[ana(&[until_ten, since_ten])], &["2026-01-02T09:00:00Z", "2026-01-02T11:00:00Z"], Some("Patient/ana")),
            (&[ana(&[("active", "", "")])], &["2026-01-02T11:00:00Z"], None),
            (&[ana(&[("active", "2026-01-02", "")])], &["2026-01-02T11:00:00Z"], None),
            (&[ana(&[("active", "2026-01-02", "")])], &["2026-01-03T11:00:00Z"], Some("Patient/ana")),
            (&[ana(&[("completed", "2026-01-02T08:00:00Z", "")])], &["2026-01-02T09:00:00Z"], None),
            (&[ana(&[("planned", "2026-01-02T08:00:00Z", "")])], &["2026-01-02T09:00:00Z"], None),
            (&[encounter("Patient/ana", "cancelled", &[until_ten])], &["2026-01-02T09:00:00Z"], None),
        ];
        for (encounters, times, who) in table {
            let stays: Vec<Stay> = encounters.iter().flat_map(|encounter| of(encounter, "Location/bed")).collect();
            let times: Vec<time::Range> = times.iter().map(|text| time::range(text).unwrap()).collect();
            assert_eq!(alone(&stays, &times), who, "{stays:?} {times:?}");
        }
        let stays = of(&ana(&[since_ten]), "Location/other");
        assert!(stays.is_empty());
    }
}
