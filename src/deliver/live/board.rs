//! The board: every patient of the ward as the page shows it, kept from the log. A cache: it is loaded from the
//! store at the start and can be thrown away at any time.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::patient::{Patient, alert_json};
use crate::alert::rule::{Condition, Gauge, Level, RuleSet, Side, compile};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::reading::Reading;
use crate::fhir::{reference, time};
use crate::store::{Content, Entry, Store, Stored};

/// Readings of a patient that are looked at when the board is loaded.
const LOADED_READINGS: usize = 200;

#[derive(Default)]
pub struct Board {
    patients: HashMap<String, Patient>,
    rules: HashMap<String, Arc<Value>>,
    compiled: RuleSet,
    /// Commit times of the values that wait for the next tick.
    waiting: Vec<i64>,
}

/// What an entry of the log changed on the board.
#[derive(Default)]
pub(super) struct Changes {
    /// Events to be sent at once.
    pub events: Vec<(&'static str, Value)>,
    /// Somebody the board has not met.
    pub unknown_patient: Option<String>,
}

impl Board {
    /// Everybody with an encounter in progress, with their latest values and open alerts, and the rules.
    pub(super) async fn load(store: &Store, access: &Access) -> Result<Self, Error> {
        let mut board = Self::default();
        for plan in all(store, access, "PlanDefinition", ("status", "active")).await? {
            board.take_rule(&plan);
        }
        for encounter in all(store, access, "Encounter", ("status", "in-progress")).await? {
            board.take_encounter(&encounter);
        }
        for issue in all(store, access, "DetectedIssue", ("status", "preliminary")).await? {
            board.take_issue(&issue);
        }
        let ids: Vec<String> = board.patients.keys().cloned().collect();
        for id in ids {
            board.load_patient(store, access, &id).await?;
        }
        Ok(board)
    }

    async fn load_patient(&mut self, store: &Store, access: &Access, id: &str) -> Result<(), Error> {
        if let Some(entry) = patient_entry(store, id).await? {
            self.take(&entry);
        }
        let latest = Query::new("Observation", &[("patient", id)], LOADED_READINGS)?;
        for observation in store.search(access, latest).await?.hits {
            self.take_reading(&Reading::of(&observation.value()?), None);
        }
        if let Some(patient) = self.patients.get_mut(id) {
            patient.changed.clear();
        }
        Ok(())
    }

    /// Takes a committed version in.
    pub(super) fn take(&mut self, entry: &Entry) -> Changes {
        match (&entry.content, entry.resource_type) {
            (Content::Reading(reading), _) => {
                let unknown_patient = self.take_reading(reading, Some(entry.updated));
                Changes { unknown_patient, ..Changes::default() }
            }
            (Content::Resource(resource), "Patient") if self.patients.contains_key(&entry.id) => {
                self.take_patient(&entry.id, resource)
            }
            (Content::Resource(resource), "Encounter") => self.take_bed(resource),
            (Content::Resource(resource), "DetectedIssue") => self.take_issue(resource),
            (Content::Resource(resource), "PlanDefinition") => {
                self.take_rule(resource);
                Changes::default()
            }
            (Content::Gone, "Patient") => self.gone(&entry.id),
            (Content::Gone, "PlanDefinition") => {
                self.rules.remove(&entry.id);
                self.compile_rules();
                Changes::default()
            }
            _ => Changes::default(),
        }
    }

    fn take_patient(&mut self, id: &str, resource: &Value) -> Changes {
        let patient = self.patients.entry(id.to_owned()).or_default();
        patient.known = true;
        patient.name = display_name(resource);
        patient.identifier = resource.pointer("/identifier/0/value").and_then(Value::as_str).unwrap_or_default().into();
        patient.birth_date = resource.get("birthDate").and_then(Value::as_str).map(str::to_owned);
        patient.gender = resource.get("gender").and_then(Value::as_str).map(str::to_owned);
        self.shown(Some(id.to_owned()))
    }

    /// The event that shows a patient as it is now; a patient nobody watches is not shown.
    fn shown(&self, id: Option<String>) -> Changes {
        let Some((id, patient)) = id.and_then(|id| self.patients.get(&id).map(|p| (id, p))) else {
            return Changes::default();
        };
        Changes { events: vec![("patient", patient.json(&id))], unknown_patient: None }
    }

    fn gone(&mut self, id: &str) -> Changes {
        match self.patients.remove(id) {
            Some(_) => Changes { events: vec![("patient", json!({"id": id, "gone": true}))], unknown_patient: None },
            None => Changes::default(),
        }
    }

    /// An Encounter changes where its patient is before the patient is shown.
    fn take_bed(&mut self, encounter: &Value) -> Changes {
        match self.take_encounter(encounter) {
            Some((id, true)) if self.patients.get(&id).is_some_and(|p| !p.known) => {
                Changes { events: vec![], unknown_patient: Some(id) }
            }
            Some((id, true)) => self.shown(Some(id)),
            Some((id, false)) => {
                Changes { events: vec![("patient", json!({"id": id, "gone": true}))], unknown_patient: None }
            }
            None => Changes::default(),
        }
    }

    fn encounter_patient(encounter: &Value) -> Option<String> {
        patient_id(encounter.pointer("/subject/reference")?.as_str()?)
    }

    /// An encounter in progress puts its patient in a bed, an ended one takes it out.
    fn take_encounter(&mut self, encounter: &Value) -> Option<(String, bool)> {
        let id = Self::encounter_patient(encounter)?;
        let own = encounter.get("id").and_then(Value::as_str).map(str::to_owned);
        if encounter.get("status").and_then(Value::as_str) == Some("in-progress") {
            let patient = self.patients.entry(id.clone()).or_default();
            let bed = encounter.pointer("/location/0/location/display").and_then(Value::as_str);
            patient.bed = bed.map(str::to_owned);
            patient.ward = encounter.pointer("/serviceProvider/display").and_then(Value::as_str).map(str::to_owned);
            patient.encounter = own;
            return Some((id, true));
        }
        if self.patients.get(&id).is_some_and(|p| p.encounter == own) {
            self.patients.remove(&id);
            return Some((id, false));
        }
        None
    }

    fn take_issue(&mut self, issue: &Value) -> Changes {
        let patient = issue.pointer("/patient/reference").and_then(Value::as_str).and_then(patient_id);
        let (Some(patient), Some((id, alert))) = (patient, alert_json(issue)) else { return Changes::default() };
        let shown = self.patients.entry(patient.clone()).or_default();
        if alert.get("state").and_then(Value::as_str) == Some("raised") {
            shown.alerts.insert(id, alert.clone());
        } else {
            shown.alerts.remove(&id);
        }
        let unknown_patient = (!shown.known).then(|| patient.clone());
        Changes { events: vec![("alarm", json!({"patient": patient, "alert": alert}))], unknown_patient }
    }

    fn take_rule(&mut self, plan: &Value) {
        let Some(id) = plan.get("id").and_then(Value::as_str) else { return };
        self.rules.insert(id.to_owned(), Arc::new(plan.clone()));
        self.compile_rules();
    }

    fn compile_rules(&mut self) {
        self.compiled = RuleSet::new(self.rules.values().filter_map(|plan| compile(plan).ok()));
    }

    /// The id of the patient, when the board has not met it.
    fn take_reading(&mut self, reading: &Reading, committed: Option<i64>) -> Option<String> {
        if !reading.status.counts() {
            return None;
        }
        let id = patient_id(reading.subject.as_deref()?)?;
        let at = reading.effective.map(|e| e.0).or(committed)?;
        let interpretation = interpretation(&self.compiled, reading);
        let patient = self.patients.entry(id.clone()).or_default();
        patient.take(reading, at, interpretation);
        self.waiting.extend(committed);
        (!patient.known).then_some(id)
    }

    /// The values that have changed since the last tick, and when they were committed.
    pub(super) fn changed_values(&mut self, now: i64) -> Option<(Value, Vec<i64>)> {
        let known = self.patients.iter_mut().filter(|(_, patient)| patient.known);
        let changed: serde_json::Map<String, Value> =
            known.filter_map(|(id, patient)| Some((id.clone(), patient.changed_json()?))).collect();
        let committed = std::mem::take(&mut self.waiting);
        (!changed.is_empty()).then(|| (json!({"time": time::instant(now), "patients": changed}), committed))
    }

    pub(super) fn snapshot(&self, now: i64) -> Value {
        let known = self.patients.iter().filter(|(_, patient)| patient.known);
        let patients: Vec<Value> = known.map(|(id, patient)| patient.json(id)).collect();
        let ward = self.patients.values().find_map(|patient| patient.ward.clone());
        json!({"time": time::instant(now), "ward": ward, "patients": patients})
    }
}

/// How far out the worst of a reading's values is, by the limits of the rules: "", L, LL, H, HH.
fn interpretation(rules: &RuleSet, reading: &Reading) -> &'static str {
    let mut worst = (Level::None, "");
    for (codings, amount) in reading.amounts() {
        for (rule, signal, _) in rules.select(codings) {
            let Condition::Limits { gauge: Gauge::Value, limits } = &rule.condition else { continue };
            let Some(signal) = rule.signals.get(signal) else { continue };
            let value = amount.unit.as_deref().and_then(|unit| signal.in_unit(amount.value, unit));
            let Some(value) = value.filter(|value| signal.is_plausible(*value)) else { continue };
            for (side, warning, critical) in [(Side::Low, "L", "LL"), (Side::High, "H", "HH")] {
                let level = limits.get(side).reached(value);
                if level > worst.0 {
                    worst = (level, if level == Level::Critical { critical } else { warning });
                }
            }
        }
    }
    worst.1
}

fn patient_id(text: &str) -> Option<String> {
    reference::local(text).filter(|l| l.resource_type == "Patient").map(|l| l.id.to_owned())
}

/// `Ana López`, from the first name that is there.
fn display_name(patient: &Value) -> String {
    let name = patient.pointer("/name/0");
    let part = |member: &str| name.and_then(|n| n.get(member));
    if let Some(text) = part("text").and_then(Value::as_str) {
        return text.to_owned();
    }
    let given = part("given").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    given.chain(part("family").and_then(Value::as_str)).collect::<Vec<_>>().join(" ")
}

/// The patient as an entry, to be taken in like one from the log.
pub(super) async fn patient_entry(store: &Store, id: &str) -> Result<Option<Entry>, Error> {
    let stored = match store.find(&Access::system("live"), "Patient", id).await {
        Ok(stored) => stored,
        Err(Error::NotFound { .. } | Error::Gone { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let content = Content::Resource(Arc::new(stored.value()?));
    let (version, updated) = (stored.version, stored.updated);
    Ok(Some(Entry { seq: 0, resource_type: "Patient", id: stored.id, version, updated, content }))
}

/// All resources that meet a condition.
async fn all(store: &Store, access: &Access, kind: &str, condition: (&str, &str)) -> Result<Vec<Value>, Error> {
    let found = store.search_all(access, Query::new(kind, &[condition], MAX_COUNT)?).await?;
    found.iter().map(Stored::value).collect()
}
