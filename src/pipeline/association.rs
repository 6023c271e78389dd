//! A device comes to a patient and leaves again: `DeviceUseStatement`s, each with its period. At one time it is at one
//! patient: what says otherwise is refused here, and makes readings wait when it comes in as FHIR.

use serde_json::{Value, json};

use super::Pipeline;
use super::intent::Intent;
use crate::auth::access::{Access, Action};
use crate::clock::new_id;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::{reading, time};
use crate::store::{NOTHING, Stored};

const USE: &str = "DeviceUseStatement";
const ELSEWHERE: Error = Error::Conflict("The device is at another patient at that time; end that, or take it over.");
const UNCLEAR: Error = Error::Conflict("Several statements say whom the device is at; end them first.");

/// What somebody says of a device. Both are references to what stands.
#[derive(Debug)]
pub struct Association {
    /// `Device/…`
    pub device: String,
    /// `Patient/…`
    pub patient: String,
    /// µs UTC
    pub from: i64,
    pub until: Option<i64>,
    /// It leaves whomever it was at when it comes.
    pub take_over: bool,
}

/// One statement as it stands.
struct Use {
    stored: Stored,
    value: Value,
    patient: String,
    from: i64,
    until: i64,
}

impl Use {
    /// It ended then.
    fn ended(mut self, at: i64) -> (Value, String, i32) {
        if let Some(Value::Object(period)) = self.value.get_mut("timingPeriod") {
            period.insert("end".into(), time::instant(at).into());
        }
        if let Value::Object(members) = &mut self.value {
            members.insert("status".into(), "completed".into());
        }
        (self.value, self.stored.id, self.stored.version)
    }
}

impl Pipeline {
    /// A device comes to a patient: the statement's id.
    pub async fn associate(&self, access: &Access, said: Association) -> Result<String, Error> {
        access.check(Action::Create, USE)?;
        let until = said.until.unwrap_or(time::AFTER_ALL);
        if until <= said.from {
            return Err(Error::invalid("value", "end", "the end lies before the start"));
        }
        let mut intents = Vec::new();
        for other in self.uses(access, &said.device).await? {
            let overlaps = other.from < until && said.from < other.until;
            if !overlaps {
                continue;
            }
            if other.patient == said.patient && other.from <= said.from && other.until >= until {
                return Ok(other.stored.id);
            }
            if !said.take_over || other.from >= said.from {
                return Err(ELSEWHERE);
            }
            let (value, id, read) = other.ended(said.from);
            intents.push(self.revised(value, id, read).await?);
        }
        let mut period = json!({"start": time::instant(said.from)});
        if let (Some(until), Value::Object(members)) = (said.until, &mut period) {
            members.insert("end".into(), time::instant(until).into());
        }
        let statement = json!({"resourceType": USE, "status": if said.until.is_some() { "completed" } else { "active" },
            "subject": {"reference": said.patient}, "device": {"reference": said.device}, "timingPeriod": period,
            "recordedOn": time::instant(self.store.clock().now())});
        let id = new_id();
        intents.push(self.revised(statement, id.clone(), NOTHING).await?);
        self.transaction(access, intents).await?;
        Ok(id)
    }

    /// A device leaves the patient whom it is at. False: it is at nobody.
    pub async fn dissociate(&self, access: &Access, device: &str, at: i64) -> Result<bool, Error> {
        access.check(Action::Update, USE)?;
        let mut open: Vec<Use> = self.uses(access, device).await?;
        open.retain(|one| one.from < at && at < one.until);
        let Some(last) = open.pop() else { return Ok(false) };
        if !open.is_empty() {
            return Err(UNCLEAR);
        }
        let (value, id, read) = last.ended(at);
        let intent = self.revised(value, id, read).await?;
        self.write(access, intent).await?;
        Ok(true)
    }

    async fn revised(&self, value: Value, id: String, read: i32) -> Result<Intent, Error> {
        let resource = self.profiles.check(value).await?;
        Ok(Intent::Revise { resource, id, read })
    }

    async fn uses(&self, access: &Access, device: &str) -> Result<Vec<Use>, Error> {
        let query = Query::new(USE, &[("device", device)], MAX_COUNT)?;
        let mut all = Vec::new();
        for stored in self.store.search_all(access, query).await? {
            all.extend(read(stored)?);
        }
        Ok(all)
    }
}

fn read(stored: Stored) -> Result<Option<Use>, Error> {
    let value = stored.value()?;
    let happened = matches!(reading::str_of(&value, "status"), Some("active" | "completed" | "stopped"));
    let patient = value.get("subject").and_then(|subject| reading::str_of(subject, "reference")).map(str::to_owned);
    let told =
        |member: &str| value.pointer(&format!("/timingPeriod/{member}")).and_then(Value::as_str).and_then(time::range);
    let (from, until) = (told("start").map(|range| range.start), told("end").map(|range| range.start));
    Ok(match (patient, from) {
        (Some(patient), Some(from)) if happened => {
            Some(Use { patient, from, until: until.unwrap_or(time::AFTER_ALL), value, stored })
        }
        _ => None,
    })
}
