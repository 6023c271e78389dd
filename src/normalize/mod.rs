//! From a draft to a FHIR Observation: codes and units brought to the house's own, time and identity made
//! sure of. Pure: the patient and the device are already found, the time of receipt is given; no store, no
//! clock, no format of a door may enter.

pub mod codes;
pub mod draft;
mod judged;
mod pressure;
mod quantity;

use fhir_r4::Issue;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::fhir::{LOINC, time};
use draft::{Coding, Draft, Judged, Measured};
pub use pressure::pair_blood_pressure;
pub use quantity::decimal;

/// A reading may be so much ahead of the server's clock, not more.
const AHEAD: i64 = 5 * 60 * time::SECOND;

/// Why such a reading is not taken as it is.
pub const AHEAD_OF_TIME: &str = "the time lies in the future";

const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";
const ABSENT: &str = "http://terminology.hl7.org/CodeSystem/data-absent-reason";
/// What of its device measured a reading: a channel of a monitor may have two sensors of one kind.
const METRIC: &str = "https://vigia.dev/fhir/StructureDefinition/observation-metric";
/// When it was by the clock of the device, which was wrong.
pub const TOLD: &str = "https://vigia.dev/fhir/StructureDefinition/device-time";
const REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

/// Whom the reading belongs to, found by whoever knows the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// `Patient/id`
    pub patient: String,
    pub device: Option<String>,
    /// `DeviceMetric/id`: what of the device measured it.
    pub metric: Option<String>,
    pub encounter: Option<String>,
}

/// The Observation that a draft means. All problems are reported at once, each at the draft's place.
pub fn observation(draft: &Draft, bound: &Bound, received_us: i64) -> Result<Value, Vec<Issue>> {
    let mut issues = Vec::new();
    let when = effective(draft, received_us, &mut issues);
    let mut main = Part::of(&draft.code, &draft.value, &draft.place, &mut issues);
    main.judge(&draft.judged);
    let mut components: Vec<Part> =
        draft.components.iter().map(|(code, value)| Part::of(code, value, &draft.place, &mut issues)).collect();
    for (part, judged) in components.iter_mut().zip(&draft.parts_judged) {
        part.judge(judged);
    }

    let mut map = Map::new();
    map.insert("resourceType".into(), "Observation".into());
    // What a wrong clock told is what makes it the same reading: how wrong it was is measured anew each time.
    let told = draft.told.as_deref().and_then(complete).map_or(when.start, |range| range.start);
    map.insert("id".into(), reading_id(draft, told).into());
    if draft.test {
        map.insert("meta".into(), json!({"tag": [{"system": REASON, "code": "HTEST"}]}));
    }
    if let Some(metric) = &bound.metric {
        map.insert("extension".into(), json!([{"url": METRIC, "valueReference": {"reference": metric}}]));
    }
    if let Some((system, value)) = &draft.identifier {
        let mut identifier = Map::new();
        identifier.extend(system.as_ref().map(|s| ("system".to_owned(), Value::from(s.as_str()))));
        identifier.insert("value".into(), value.as_str().into());
        map.insert("identifier".into(), json!([identifier]));
    }
    map.insert("status".into(), draft.status.into());
    let mut loinc = main.codings.iter().filter(|c| c.system == LOINC);
    if let Some(category) = loinc.find_map(|c| codes::category_of(&c.code)) {
        map.insert("category".into(), json!([{"coding": [{"system": CATEGORY, "code": category}]}]));
    }
    map.insert("code".into(), concept(&main.codings));
    map.insert("subject".into(), json!({"reference": bound.patient}));
    map.extend(bound.encounter.as_ref().map(|e| ("encounter".to_owned(), json!({"reference": e}))));
    match (&draft.told, when.value) {
        (Some(told), Value::Object(mut period)) => {
            period.insert("extension".into(), by_its_clock(told));
            map.insert(when.member.into(), period.into());
        }
        (Some(told), at) => {
            map.insert(when.member.into(), at);
            map.insert(format!("_{}", when.member), json!({"extension": by_its_clock(told)}));
        }
        (None, at) => {
            map.insert(when.member.into(), at);
        }
    }
    map.extend(main.members);
    let notes: Vec<&str> = draft.note.as_deref().into_iter().chain(main.notes.iter().map(String::as_str)).collect();
    let notes = notes.into_iter().chain(components.iter().flat_map(|c| c.notes.iter().map(String::as_str)));
    let notes: Vec<Value> = notes.map(|text| json!({"text": text})).collect();
    if !notes.is_empty() {
        map.insert("note".into(), notes.into());
    }
    map.extend(bound.device.as_ref().map(|d| ("device".to_owned(), json!({"reference": d}))));
    if !components.is_empty() {
        map.insert("component".into(), components.into_iter().map(Part::component).collect());
    }
    if issues.is_empty() { Ok(map.into()) } else { Err(issues) }
}

fn by_its_clock(told: &str) -> Value {
    json!([{"url": TOLD, "valueDateTime": told}])
}

/// The id of a reading: a UUID (version 8) of its time in milliseconds, so that ids follow time, and a hash of
/// what makes it the same reading. The same reading sent again has the same id.
///
/// A reading without a time of its own is told from the next one by when it came, unless its sender gave it an
/// identifier: then that alone is what makes it the same.
pub fn reading_id(draft: &Draft, start_us: i64) -> String {
    let named_only = draft.effective.is_none() && draft.identifier.is_some();
    let ms = if named_only { 0 } else { start_us.div_euclid(1000).max(0) };
    let mut bytes = [0; 16];
    let time = ms.to_be_bytes();
    let hash = Sha256::digest(draft.key.as_bytes());
    let sources = time.iter().skip(2).chain(hash.iter());
    for (to, from) in bytes.iter_mut().zip(sources) {
        *to = *from;
    }
    Uuid::new_v8(bytes).to_string()
}

/// The effective member and where it starts.
struct When {
    member: &'static str,
    value: Value,
    start: i64,
}

fn effective(draft: &Draft, received_us: i64, issues: &mut Vec<Issue>) -> When {
    let mut refuse = |why: &str| issues.push(Issue::error("value", draft.place.clone(), why));
    let Some(text) = &draft.effective else {
        let value = time::instant(received_us).into();
        return When { member: "effectiveDateTime", value, start: received_us };
    };
    let start = complete(text).map_or_else(
        || {
            refuse("the time is no date, or no time of a day with seconds and zone");
            received_us
        },
        |range| range.start,
    );
    if is_ahead(start, received_us) {
        refuse(AHEAD_OF_TIME);
    }
    let Some(end_text) = &draft.effective_end else {
        return When { member: "effectiveDateTime", value: text.as_str().into(), start };
    };
    match complete(end_text) {
        None => refuse("the end is no date, or no time of a day with seconds and zone"),
        Some(range) if range.end <= start => refuse("the end lies before the start"),
        Some(range) if is_ahead(range.start, received_us) => refuse("the end lies in the future"),
        Some(_) => {}
    }
    When { member: "effectivePeriod", value: json!({"start": text, "end": end_text}), start }
}

/// Whether a time cannot be that of a reading that came at this one (both µs UTC).
pub fn is_ahead(start: i64, received_us: i64) -> bool {
    start > received_us.saturating_add(AHEAD)
}

/// What a FHIR dateTime covers; a time of a day must have seconds and a zone.
fn complete(text: &str) -> Option<time::Range> {
    if let Some((_, clock)) = text.split_once('T') {
        let zoned = clock.contains(['Z', '+', '-']);
        let seconds = clock.split(['Z', '+', '-']).next().unwrap_or_default().matches(':').count() == 2;
        if !(zoned && seconds) {
            return None;
        }
    }
    time::range(text)
}

/// A code with its value: the Observation itself or one of its components.
struct Part {
    codings: Vec<Coding>,
    members: Map<String, Value>,
    notes: Vec<String>,
}

impl Part {
    fn of(sent: &[Coding], value: &Measured, place: &str, issues: &mut Vec<Issue>) -> Self {
        let unit = quantity::unit_of(value);
        // A number without a unit is no evidence for any kind but a rate.
        let codings = codes::codings(sent, |kind| match (&unit, value) {
            (Some(unit), _) => unit.fits(kind),
            (None, Measured::Quantity { .. }) => kind == "/min",
            (None, _) => true,
        });
        let mut members = Map::new();
        let mut notes = Vec::new();
        match value {
            Measured::Quantity { value, comparator, .. } => {
                match quantity::quantity(value, *comparator, unit, &codings) {
                    Ok(made) => {
                        members.insert("valueQuantity".into(), made.quantity);
                        notes.extend(made.note);
                    }
                    Err((code, why)) => issues.push(Issue::error(code, place, why)),
                }
            }
            Measured::Text(text) if text.trim().is_empty() => {
                members.insert("dataAbsentReason".into(), absent("unknown"));
            }
            Measured::Text(text) => {
                members.insert("valueString".into(), text.as_str().into());
            }
            Measured::DateTime(text) => {
                members.insert("valueDateTime".into(), text.as_str().into());
            }
            Measured::Time(text) => {
                members.insert("valueTime".into(), text.as_str().into());
            }
            Measured::Coded(values) => {
                members.insert("valueCodeableConcept".into(), concept(values));
            }
            Measured::Sampled(sampled) => match quantity::sampled(sampled, unit) {
                Ok(made) => {
                    members.insert("valueSampledData".into(), made);
                }
                Err((code, why)) => issues.push(Issue::error(code, place, why)),
            },
            Measured::Absent(reason) => {
                members.insert("dataAbsentReason".into(), absent(reason));
            }
            Measured::Panel => {}
        }
        Self { codings, members, notes }
    }

    fn judge(&mut self, judged: &Judged) {
        let more = judged::members(judged, self.members.get("valueQuantity"), !self.notes.is_empty());
        self.members.extend(more);
    }

    fn component(self) -> Value {
        let mut map = Map::new();
        map.insert("code".into(), concept(&self.codings));
        map.extend(self.members);
        map.into()
    }
}

fn absent(reason: &str) -> Value {
    json!({"coding": [{"system": ABSENT, "code": reason}]})
}

/// A CodeableConcept; a coding that is nothing but a name becomes its text.
fn concept(codings: &[Coding]) -> Value {
    let mut map = Map::new();
    let coded: Vec<Value> = codings.iter().filter(|c| !c.code.is_empty()).map(coding).collect();
    if !coded.is_empty() {
        map.insert("coding".into(), coded.into());
    }
    if let Some(text) = codings.iter().find(|c| c.code.is_empty()).and_then(|c| c.display.as_deref()) {
        map.insert("text".into(), text.into());
    }
    map.into()
}

fn coding(coding: &Coding) -> Value {
    let mut map = Map::new();
    if !coding.system.is_empty() {
        map.insert("system".into(), coding.system.as_str().into());
    }
    map.insert("code".into(), coding.code.as_str().into());
    map.extend(coding.display.as_ref().map(|d| ("display".to_owned(), Value::from(d.as_str()))));
    map.into()
}

#[cfg(test)]
mod tests;
