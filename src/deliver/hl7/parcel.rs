//! From entries of the log to the messages that a destination wants of them: which, about whom, and in which order. How a
//! message is written is said in `result` and `alarm`; sending it is not done here.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::head::Head;
use super::{alarm, parked, result};
use crate::alert::issue::ours;
use crate::auth::access::Access;
use crate::config::destination::{Destination, Sent};
use crate::config::notify::AtLeast;
use crate::error::Error;
use crate::fhir::{reading, reference};
use crate::hl7::Separators;
use crate::hl7::write::Writer;
use crate::store::{Entry, Store, Verdict, WantedMessages};
use crate::ward;

/// Readings of one message at most.
const MOST: usize = 100;

/// A message, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub bytes: Vec<u8>,
    /// MSH-10: what is sent again has it again.
    pub control: String,
    /// The first and the last entry of the log that it is about.
    pub first: i64,
    pub last: i64,
    /// When the first was committed, µs UTC.
    pub committed: i64,
    pub patient: Option<String>,
    /// Versions that it is about.
    pub about: Vec<String>,
    /// It was refused before: the Communication that asks for it, and its version.
    pub again: Option<(Value, i32)>,
}

/// What is known of a patient while a page is read.
struct Known {
    lines: Vec<String>,
    wards: Vec<String>,
}

/// Entries that are read together.
pub(super) struct Page<'p> {
    store: &'p Store,
    access: &'p Access,
    to: &'p Destination,
    authorities: Vec<(String, String)>,
    known: HashMap<String, Arc<Known>>,
}

/// Readings of one patient that were committed together.
struct Together {
    patient: String,
    committed: i64,
    first: i64,
    last: i64,
    readings: Vec<Value>,
    about: Vec<String>,
}

/// A version of a resource, and where it stands in the log.
#[derive(Clone)]
struct Version {
    kind: &'static str,
    id: String,
    number: i32,
    seq: i64,
    committed: i64,
}

impl Version {
    fn of(entry: &Entry) -> Self {
        let Entry { seq, resource_type: kind, version, updated, .. } = *entry;
        Self { kind, id: entry.id.clone(), number: version, seq, committed: updated }
    }

    fn reference(&self) -> String {
        format!("{}/{}/_history/{}", self.kind, self.id, self.number)
    }
}

impl<'p> Page<'p> {
    pub(super) fn new(store: &'p Store, access: &'p Access, to: &'p Destination) -> Self {
        let authorities = to.assigning_authorities.clone().into_iter().collect();
        Self { store, access, to, authorities, known: HashMap::new() }
    }

    /// The messages, in the order of the log.
    pub(super) async fn parcels(&mut self, entries: &[Arc<Entry>]) -> Result<Vec<Parcel>, Error> {
        let mut all = Vec::new();
        let mut open: Option<Together> = None;
        for entry in entries {
            let version = Version::of(entry);
            match entry.resource_type {
                "Observation" if self.wants(Sent::Observations) => {
                    let Some((patient, reading)) = self.reading(&version).await? else { continue };
                    let fits = |open: &mut Together| {
                        open.patient == patient && open.committed == entry.updated && open.readings.len() < MOST
                    };
                    if !open.as_mut().is_some_and(fits) {
                        all.extend(self.written(open.take()).await?);
                    }
                    let own = open.get_or_insert_with(|| Together::of(patient, &version));
                    own.last = entry.seq;
                    own.readings.push(reading);
                    own.about.push(version.reference());
                }
                "DetectedIssue" | "Provenance" | "Communication" => {
                    let next = self.other(&version).await?;
                    if !next.is_empty() {
                        all.extend(self.written(open.take()).await?);
                        all.extend(next);
                    }
                }
                _ => {}
            }
        }
        all.extend(self.written(open).await?);
        Ok(all)
    }

    fn wants(&self, kind: Sent) -> bool {
        self.to.send.contains(&kind)
    }

    async fn other(&mut self, version: &Version) -> Result<Vec<Parcel>, Error> {
        match version.kind {
            "DetectedIssue" if self.wants(Sent::Alerts) => Ok(self.alert(version).await?.into_iter().collect()),
            "Provenance" if self.wants(Sent::Admissions) => Ok(self.admission(version).await?.into_iter().collect()),
            "Communication" => self.again(version).await,
            _ => Ok(vec![]),
        }
    }

    /// A reading that is wanted, and whose it is.
    async fn reading(&mut self, version: &Version) -> Result<Option<(String, Value)>, Error> {
        let Some(reading) = self.version(version.kind, &version.id, version.number).await? else { return Ok(None) };
        let patient = reading.pointer("/subject/reference").and_then(Value::as_str).map(str::to_owned);
        let Some(patient) = patient.filter(|patient| patient.starts_with("Patient/")) else { return Ok(None) };
        let wanted = is_wanted(&self.to.codes, &reading) && result::says_something(&reading);
        if !wanted || !self.is_here(&patient).await? {
            return Ok(None);
        }
        Ok(Some((patient, reading)))
    }

    async fn written(&mut self, together: Option<Together>) -> Result<Option<Parcel>, Error> {
        let Some(Together { patient, committed, first, last, readings, about }) = together else { return Ok(None) };
        let control = if first == last { format!("V{first}") } else { format!("V{first}-{last}") };
        let who = self.patient(&patient).await?;
        let bytes = result::message(self.head(&control, committed, &who), &readings);
        Ok(Some(Parcel { bytes, control, first, last, committed, patient: Some(patient), about, again: None }))
    }

    async fn alert(&mut self, version: &Version) -> Result<Option<Parcel>, Error> {
        let Some(next) = self.version(version.kind, &version.id, version.number).await? else { return Ok(None) };
        let previous = match version.number {
            1 => None,
            later => self.version(version.kind, &version.id, later - 1).await?,
        };
        let Some(phase) = alarm::phase(previous.as_ref(), &next) else { return Ok(None) };
        let patient = next.pointer("/patient/reference").and_then(Value::as_str).map(str::to_owned);
        let Some(patient) = patient.filter(|_| severity(&next) >= self.to.at_least) else { return Ok(None) };
        if !self.is_here(&patient).await? {
            return Ok(None);
        }
        let control = format!("V{}", version.seq);
        let who = self.patient(&patient).await?;
        let bytes = alarm::message(self.head(&control, version.committed, &who), &next, phase);
        Ok(Some(Parcel::of(version, bytes, control, Some(patient))))
    }

    /// The message that a Provenance tells of, when it is an admission, as it came.
    async fn admission(&mut self, version: &Version) -> Result<Option<Parcel>, Error> {
        let Some(told) = self.version(version.kind, &version.id, version.number).await? else { return Ok(None) };
        // Sender and control id of the message.
        let source = told.pointer("/entity/0/what/identifier/value").and_then(Value::as_str);
        let control = source.and_then(|source| source.rsplit_once('|')).map(|(_, control)| control.to_owned());
        let Some(control) = control.filter(|control| !control.is_empty()) else { return Ok(None) };
        let verdict = Some(Verdict::Accepted);
        let wanted = WantedMessages { control: Some(control.clone()), verdict, count: 10, ..WantedMessages::default() };
        let own = version.reference();
        let found = self.store.messages(self.access, wanted).await?.into_iter().find(|kept| kept.made.contains(&own));
        let sent_on =
            found.filter(|kept| kept.kind.starts_with("ADT^") && !self.to.except_channels.contains(&kept.channel));
        let Some(kept) = sent_on else { return Ok(None) };
        let bytes = self.store.message(self.access, kept.id).await?.bytes;
        Ok(Some(Parcel::of(version, bytes, control, None)))
    }

    /// What was refused and shall be sent once more.
    async fn again(&mut self, version: &Version) -> Result<Vec<Parcel>, Error> {
        let Some(asked) = self.version(version.kind, &version.id, version.number).await? else { return Ok(vec![]) };
        let Some(about) = parked::asked(&asked, &self.to.name) else { return Ok(vec![]) };
        let mut together: Option<Together> = None;
        let mut all = Vec::new();
        for reference in &about {
            let Some(local) = reference::local(reference) else { continue };
            let number = reference.rsplit('/').next().and_then(|text| text.parse().ok());
            let kind =
                ["Observation", "DetectedIssue", "Provenance"].into_iter().find(|own| *own == local.resource_type);
            let (Some(kind), Some(number)) = (kind, number) else { continue };
            let meant = Version { kind, id: local.id.to_owned(), number, ..version.clone() };
            match kind {
                "Observation" => {
                    if let Some((patient, reading)) = self.reading(&meant).await? {
                        let own = together.get_or_insert_with(|| Together::of(patient, &meant));
                        own.readings.push(reading);
                        own.about.push(meant.reference());
                    }
                }
                "DetectedIssue" => all.extend(self.alert(&meant).await?),
                _ => all.extend(self.admission(&meant).await?),
            }
        }
        all.extend(self.written(together).await?);
        // The Communication stands for one message.
        all.truncate(1);
        for parcel in &mut all {
            parcel.again = Some((asked.clone(), version.number));
        }
        Ok(all)
    }

    fn head<'h>(&'h self, control: &'h str, committed: i64, who: &'h Known) -> Head<'h> {
        Head { to: self.to, writer: self.writer(), control, committed, who: &who.lines }
    }

    fn writer(&self) -> Writer<'_> {
        Writer { separators: Separators::default(), authorities: &self.authorities }
    }

    /// Is the patient in one of the places that are asked for?
    async fn is_here(&mut self, patient: &str) -> Result<bool, Error> {
        if self.to.wards.is_empty() {
            return Ok(true);
        }
        let known = self.patient(patient).await?;
        Ok(known.wards.iter().any(|place| self.to.wards.contains(place)))
    }

    async fn patient(&mut self, patient: &str) -> Result<Arc<Known>, Error> {
        if let Some(known) = self.known.get(patient) {
            return Ok(known.clone());
        }
        let found = match reference::local(patient) {
            Some(local) => self.current("Patient", local.id).await?,
            None => None,
        };
        let mut lines = Vec::new();
        if let Some(found) = found {
            lines.push(self.writer().pid(1, &found));
            lines.extend(self.writer().pv1(1, self.store, self.access, patient).await?);
        }
        let wards =
            if self.to.wards.is_empty() { vec![] } else { ward::locations(self.store, self.access, patient).await? };
        let known = Arc::new(Known { lines, wards });
        self.known.insert(patient.to_owned(), known.clone());
        Ok(known)
    }

    async fn current(&self, kind: &'static str, id: &str) -> Result<Option<Value>, Error> {
        match self.store.find(self.access, kind, id).await {
            Ok(stored) => Ok(Some(stored.value()?)),
            Err(Error::NotFound { .. } | Error::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn version(&self, kind: &'static str, id: &str, version: i32) -> Result<Option<Value>, Error> {
        match self.store.find_version(self.access, kind, id, version).await {
            Ok(stored) if !stored.deleted => Ok(Some(stored.value()?)),
            Ok(_) | Err(Error::NotFound { .. } | Error::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Together {
    fn of(patient: String, version: &Version) -> Self {
        let Version { seq, committed, .. } = *version;
        Self { patient, committed, first: seq, last: seq, readings: vec![], about: vec![] }
    }
}

impl Parcel {
    fn of(version: &Version, bytes: Vec<u8>, control: String, patient: Option<String>) -> Self {
        let Version { seq, committed, .. } = *version;
        Self {
            bytes,
            control,
            first: seq,
            last: seq,
            committed,
            patient,
            about: vec![version.reference()],
            again: None,
        }
    }
}

fn severity(alert: &Value) -> AtLeast {
    match alert.get("severity").and_then(Value::as_str) {
        Some("high") => AtLeast::Critical,
        Some("moderate") => AtLeast::Warning,
        _ => AtLeast::All,
    }
}

/// Does it, or one of its components, carry one of the codes?
fn is_wanted(codes: &[String], reading: &Value) -> bool {
    let components = reading::list(reading.get("component")).map(|component| component.get("code"));
    let mut all = std::iter::once(reading.get("code")).chain(components).flat_map(reading::codings);
    codes.is_empty()
        || all.any(|(system, code)| codes.iter().any(|own| *own == code || *own == format!("{system}|{code}")))
}

/// Is this an alert that calls nobody: known too late, or of a rule on trial?
pub(super) fn is_mute(alert: &Value) -> bool {
    ["alert-late", "alert-shadow"].into_iter().any(|name| ours(alert, name).is_some())
}
