//! Whom a device was at, at some time: the patient whom somebody bound it to (`DeviceUseStatement`), else who lay in the bed
//! that it stands at (`Device.location`, Encounters). One patient, or none: nothing is attached by guess.

use serde_json::Value;

use super::stay::{self, Stay, alone};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::time;
use crate::store::Store;

/// Where a device was.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Whom it was bound to.
    uses: Vec<Stay>,
    /// Who lay where it stands.
    stays: Vec<Stay>,
}

impl Places {
    pub(super) async fn of(store: &Store, device: &str) -> Result<Self, Error> {
        let access = Access::system("binding");
        let mut uses = Vec::new();
        let query = Query::new("DeviceUseStatement", &[("device", device)], MAX_COUNT)?;
        for statement in store.search_all(&access, query).await? {
            uses.extend(use_of(&statement.value()?));
        }
        let id = device.strip_prefix("Device/").unwrap_or(device);
        let standing = store.find(&access, "Device", id).await?.value()?;
        let location = standing.pointer("/location/reference").and_then(Value::as_str);
        let stays = match location {
            Some(location) => stay::stays(store, &access, location).await?,
            None => vec![],
        };
        Ok(Self { uses, stays })
    }

    /// The patient whom it was at, at this time (µs UTC). Whom it was bound to goes before who lay there.
    pub(super) fn at(&self, time: i64) -> Option<&str> {
        let at = [time::Range { start: time, end: time }];
        let bound = self.uses.iter().any(|one| (one.from..one.to).contains(&time));
        alone(if bound { &self.uses } else { &self.stays }, &at)
    }
}

impl Places {
    /// Whether it was at anybody between these times (µs UTC).
    pub(super) fn anybody(&self, first: i64, last: i64) -> bool {
        self.uses.iter().chain(&self.stays).any(|stay| stay.from <= last && first < stay.to)
    }
}

/// When a device was with a patient, as a `DeviceUseStatement` has it. One without a beginning says nothing of when.
fn use_of(statement: &Value) -> Option<Stay> {
    let text = |pointer: &str| statement.pointer(pointer).and_then(Value::as_str);
    if !matches!(text("/status"), Some("active" | "completed" | "stopped")) {
        return None;
    }
    let patient = text("/subject/reference")?.to_owned();
    let time = |pointer: &str| text(pointer).and_then(time::range);
    let from = time("/timingPeriod/start")?.start;
    let to = time("/timingPeriod/end").map_or(time::AFTER_ALL, end);
    Some(Stay { patient, from, to })
}

/// A day is over at its end; a second is where the next one begins.
fn end(told: time::Range) -> i64 {
    if told.end - told.start > stay::EXACT { told.end } else { told.start }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn statement(patient: &str, status: &str, start: &str, end: &str) -> Value {
        let mut period = json!({});
        for (member, text) in [("start", start), ("end", end)] {
            if !text.is_empty() {
                period[member] = json!(text);
            }
        }
        json!({"status": status, "subject": {"reference": patient}, "timingPeriod": period})
    }

    #[test]
    fn whom_a_device_was_at() {
        let (eight, ten) = ("2026-01-02T08:00:00Z", "2026-01-02T10:00:00Z");
        let of = |statements: &[Value], time: &str| {
            let places = Places { uses: statements.iter().filter_map(use_of).collect(), stays: vec![] };
            places.at(time::range(time).unwrap().start).map(str::to_owned)
        };
        let ana = |status: &str| statement("Patient/ana", status, eight, ten);
        let eva = statement("Patient/eva", "active", ten, "");
        #[rustfmt::skip]
        let table: [(&[Value], &str, Option<&str>); 10] = [
            (&[ana("completed")], "2026-01-02T09:00:00Z", Some("Patient/ana")),
            (&[ana("completed")], "2026-01-02T07:59:59Z", None),
            (&[ana("completed")], "2026-01-02T10:30:00Z", None),
            (&[ana("completed"), eva.clone()], "2026-01-02T09:59:59Z", Some("Patient/ana")),
            (&[ana("completed"), eva.clone()], "2026-01-03T00:00:00Z", Some("Patient/eva")),
            (&[ana("entered-in-error")], "2026-01-02T09:00:00Z", None),
            (&[ana("intended")], "2026-01-02T09:00:00Z", None),
            (&[statement("Patient/ana", "active", "", "")], "2026-01-02T09:00:00Z", None),
            (&[ana("active"), statement("Patient/eva", "active", eight, "")], "2026-01-02T09:00:00Z", None),
            (&[ana("active"), ana("active")], "2026-01-02T09:00:00Z", Some("Patient/ana")),
        ];
        for (statements, time, who) in table {
            assert_eq!(of(statements, time).as_deref(), who, "{statements:?} {time}");
        }
    }
}
