//! What a message says of a person and a stay, before anybody knows which records these are: parts of resources, what
//! is to be taken away, and what has happened. Pure, as all of this house: who it is, is found by the pipeline.

use fhir_r4::Issue;
use serde_json::{Map, Value, json};

const NULL_FLAVOR: &str = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor";
const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";

/// A part of a resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    pub elements: Map<String, Value>,
    /// Elements that shall be there no more, each with those above it.
    pub cleared: Vec<Vec<String>>,
}

impl Part {
    /// The same without these identifiers.
    #[must_use]
    pub fn without(&self, identifiers: &[Value]) -> Self {
        let mut part = self.clone();
        if let Some(Value::Array(all)) = part.elements.get_mut("identifier") {
            all.retain(|own| !identifiers.iter().any(|known| same(known, own)));
            if all.is_empty() {
                part.elements.shift_remove("identifier");
            }
        }
        part
    }
}

/// All that a message says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    pub patient: Part,
    /// Identifiers of the record that this one replaces from now on.
    pub replaced: Vec<Value>,
    pub visit: Option<Visit>,
    /// Resources about the patient, whole but for the references to patient and stay.
    pub others: Vec<Value>,
}

/// A stay, and what happened to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    pub part: Part,
    pub deed: Deed,
    /// FHIR dateTime of what happened.
    pub at: Option<String>,
    /// Where the patient is: Locations, each inside the one before it.
    pub place: Vec<Value>,
    /// Codes of the v3 `ParticipationType`, and Practitioners.
    pub staff: Vec<(&'static str, Value)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Plan,
    /// Somebody is here.
    Begin,
    /// Nothing new has happened.
    Update,
    End,
    /// The end was a mistake.
    Reopen,
    /// It never was.
    Cancel,
}

impl Deed {
    /// What becomes of the status that stands.
    pub fn status(self, standing: Option<&str>) -> &str {
        match (self, standing) {
            (Self::Plan, _) => "planned",
            (Self::Begin | Self::Reopen, _) => "in-progress",
            (Self::End, _) => "finished",
            (Self::Cancel, _) => "cancelled",
            (Self::Update, standing) => standing.unwrap_or("in-progress"),
        }
    }
}

/// The resource with what the part says: what it says takes the place of what stood, identifiers are added.
pub fn merged(standing: Option<&Value>, kind: &str, part: &Part) -> Value {
    let mut resource = standing.and_then(Value::as_object).cloned().unwrap_or_default();
    resource.insert("resourceType".to_owned(), kind.into());
    for path in &part.cleared {
        clear(&mut resource, path);
    }
    for (name, value) in &part.elements {
        match (name.as_str(), resource.get_mut(name)) {
            ("identifier", Some(Value::Array(all))) => {
                let new: Vec<Value> = value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(|own| !all.iter().any(|known| same(known, own)))
                    .cloned()
                    .collect();
                all.extend(new);
            }
            ("period", Some(Value::Object(known))) => {
                known.extend(value.as_object().cloned().unwrap_or_default());
            }
            _ => _ = resource.insert(name.clone(), value.clone()),
        }
    }
    // Who has a day of death is not said to be alive or dead besides.
    if resource.contains_key("deceasedDateTime") {
        resource.shift_remove("deceasedBoolean");
    }
    Value::Object(resource)
}

fn clear(object: &mut Map<String, Value>, path: &[String]) {
    match path {
        // By these it is known.
        [] => {}
        [only] if only == "identifier" => {}
        [last] => _ = object.shift_remove(last),
        [first, rest @ ..] => {
            let inner = match object.get_mut(first) {
                Some(Value::Array(all)) => all.first_mut(),
                other => other,
            };
            if let Some(inner) = inner.and_then(Value::as_object_mut) {
                clear(inner, rest);
            }
            if object.get(first).and_then(Value::as_object).is_some_and(Map::is_empty) {
                object.shift_remove(first);
            }
        }
    }
}

/// An identifier without a system is one that is known with one.
fn same(known: &Value, own: &Value) -> bool {
    let equal = |name: &str| known.get(name) == own.get(name);
    equal("value") && (equal("system") || own.get("system").is_none())
}

/// The stay after what happened. `place` (`Location/…`) and `staff` (role, reference) are the records that they are.
pub fn stay(standing: Option<&Value>, visit: &Visit, subject: &str, place: Option<&str>, staff: &[Value]) -> Value {
    let mut stay = merged(standing, "Encounter", &visit.part);
    let status = visit.deed.status(standing.and_then(|stay| stay.get("status")?.as_str())).to_owned();
    let Some(members) = stay.as_object_mut() else { return stay };
    members.insert("status".to_owned(), status.into());
    members.insert("subject".to_owned(), json!({"reference": subject}));
    members.entry("class").or_insert_with(|| json!({"system": NULL_FLAVOR, "code": "UNK"}));
    period(members, visit);
    if let Some(place) = place {
        moved(members, place, visit.at.as_deref());
    }
    if !staff.is_empty() {
        members.insert("participant".to_owned(), staff.into());
    }
    stay
}

/// A stay begins and ends when the message says so, else when it happened.
fn period(stay: &mut Map<String, Value>, visit: &Visit) {
    let period = stay.entry("period").or_insert_with(|| json!({}));
    if let Some(period) = period.as_object_mut() {
        let at = visit.at.clone().map(Value::from);
        match (visit.deed, at) {
            (Deed::Begin, Some(at)) => {
                period.entry("start").or_insert(at);
                period.shift_remove("end");
            }
            (Deed::End, Some(at)) => _ = period.entry("end").or_insert(at),
            (Deed::Reopen, _) => _ = period.shift_remove("end"),
            _ => {}
        }
    }
    if stay.get("period").and_then(Value::as_object).is_some_and(Map::is_empty) {
        stay.shift_remove("period");
    }
}

/// The patient is in another place now; where they were has an end.
fn moved(stay: &mut Map<String, Value>, place: &str, at: Option<&str>) {
    let locations = stay.entry("location").or_insert_with(|| json!([]));
    let Some(all) = locations.as_array_mut() else { return };
    let here = |own: &Value| {
        own.pointer("/location/reference").is_some_and(|own| own == place)
            && own.get("status").is_none_or(|status| status == "active")
    };
    if all.iter().any(here) {
        return;
    }
    for old in all.iter_mut().filter_map(Value::as_object_mut) {
        if old.get("status").is_none_or(|status| status == "active") {
            old.insert("status".to_owned(), "completed".into());
            if let (Some(at), Some(period)) = (at, old.entry("period").or_insert_with(|| json!({})).as_object_mut()) {
                period.insert("end".to_owned(), at.into());
            }
        }
    }
    let mut new = json!({"location": {"reference": place}, "status": "active"});
    if let (Some(at), Some(new)) = (at, new.as_object_mut()) {
        new.insert("period".to_owned(), json!({"start": at}));
    }
    all.push(new);
}

/// Somebody who takes part; with a name alone when there is no record.
pub fn participant(role: &str, reference: Option<&str>, name: Option<&str>) -> Value {
    let mut individual = Map::new();
    individual.extend(reference.map(|reference| ("reference".to_owned(), reference.into())));
    individual.extend(name.map(|name| ("display".to_owned(), name.into())));
    json!({"type": [{"coding": [{"system": PARTICIPATION, "code": role}]}], "individual": individual})
}

/// A record and the one that replaces it, each linked with the other. `None`: they are already.
pub fn replaced(old: &Value, old_id: &str, new: &Value, new_id: &str) -> Option<(Value, Value)> {
    let linked = link(old, new_id, "replaced-by");
    let taken = link(new, old_id, "replaces");
    if linked.is_none() && taken.is_none() && old.get("active") == Some(&Value::Bool(false)) {
        return None;
    }
    let mut old = linked.unwrap_or_else(|| old.clone());
    if let Some(old) = old.as_object_mut() {
        old.insert("active".to_owned(), false.into());
    }
    Some((old, taken.unwrap_or_else(|| new.clone())))
}

fn link(patient: &Value, other: &str, kind: &str) -> Option<Value> {
    let reference = format!("Patient/{other}");
    let mut patient = patient.as_object()?.clone();
    let links = patient.entry("link").or_insert_with(|| json!([])).as_array_mut()?;
    let known = links.iter().any(|link| {
        link.pointer("/other/reference").is_some_and(|own| *own == reference)
            && link.get("type").is_some_and(|own| own == kind)
    });
    if known {
        return None;
    }
    links.push(json!({"other": {"reference": reference}, "type": kind}));
    Some(Value::Object(patient))
}

/// A message that says something about a person must say who.
pub fn unnamed(place: &str) -> Issue {
    Issue::error("required", place.to_owned(), "there is no identifier of a patient")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(value: Value, cleared: &[&str]) -> Part {
        let Value::Object(elements) = value else { unreachable!() };
        Part { elements, cleared: cleared.iter().map(|path| path.split('.').map(str::to_owned).collect()).collect() }
    }

    #[test]
    fn what_is_said_takes_the_place_of_what_stood() {
        let standing = json!({"resourceType": "Patient", "id": "p", "gender": "male", "birthDate": "1960-01-01",
            "maritalStatus": {"coding": [], "text": "x"},
            "identifier": [{"system": "a", "value": "1", "use": "old"}], "extension": [{"url": "x"}]});
        let fresh = part(
            json!({"gender": "female", "identifier": [{"system": "a", "value": "1"}, {"system": "b", "value": "1"}]}),
            // By its identifiers a record is known: they are never taken away.
            &["birthDate", "identifier", "maritalStatus.text", "contact.name"],
        );
        let merged = merged(Some(&standing), "Patient", &fresh);
        let expected = json!({"resourceType": "Patient", "id": "p", "gender": "female",
            "maritalStatus": {"coding": []},
            "identifier": [{"system": "a", "value": "1", "use": "old"}, {"system": "b", "value": "1"}], "extension": [{"url": "x"}]});
        assert_eq!(merged, expected);
    }

    #[test]
    fn a_stay_goes_through_places_and_ends() {
        let visit = |deed, at: &str| Visit {
            part: Part::default(),
            deed,
            at: Some(at.to_owned()),
            place: vec![],
            staff: vec![],
        };
        let admitted = stay(None, &visit(Deed::Begin, "2026-01-01"), "Patient/p", Some("Location/a"), &[]);
        let moved = stay(Some(&admitted), &visit(Deed::Update, "2026-01-02"), "Patient/p", Some("Location/b"), &[]);
        let left = stay(Some(&moved), &visit(Deed::End, "2026-01-03"), "Patient/p", Some("Location/b"), &[]);
        assert_eq!(
            left["location"],
            json!([
                {"location": {"reference": "Location/a"}, "status": "completed", "period": {"start": "2026-01-01", "end": "2026-01-02"}},
                {"location": {"reference": "Location/b"}, "status": "active", "period": {"start": "2026-01-02"}}
            ])
        );
        assert_eq!(
            (&left["status"], &left["period"]),
            (&json!("finished"), &json!({"start": "2026-01-01", "end": "2026-01-03"}))
        );
        let back = stay(Some(&left), &visit(Deed::Begin, "2026-01-04"), "Patient/p", None, &[]);
        assert_eq!((&back["status"], &back["period"]), (&json!("in-progress"), &json!({"start": "2026-01-01"})));
    }

    #[test]
    fn records_are_linked_once() {
        let (old, new) = (json!({"id": "a"}), json!({"id": "b"}));
        let (old, new) = replaced(&old, "a", &new, "b").unwrap();
        assert_eq!(
            (&old["active"], &old["link"][0]["type"], &new["link"][0]["other"]["reference"]),
            (&json!(false), &json!("replaced-by"), &json!("Patient/a"))
        );
        assert_eq!(replaced(&old, "a", &new, "b"), None);
    }
}
