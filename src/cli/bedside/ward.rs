//! The ward: who lies in which bed with which monitor, and the transaction Bundle that registers them through
//! the FHIR door. Everything is found again by its identifier, so that a second run goes on with the same
//! people. All names are invented.

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use super::http::Http;
use crate::clock::new_id;
use crate::fhir::{reference, time};

/// The identifier system of the demonstration's patients, and the assigning authority that stands for it in
/// HL7 v2 messages.
pub(in crate::cli) const MRN: &str = "urn:vigia:demo:mrn";
pub(in crate::cli) const AUTHORITY: &str = "DEMO";
pub(in crate::cli) const DEVICE: &str = "urn:vigia:demo:device";
const VISIT: &str = "urn:vigia:demo:visit";
const PLACE: &str = "urn:vigia:demo:location";
const ORGANIZATION: &str = "urn:vigia:demo:organization";

/// Patients of one Bundle.
const TOGETHER: usize = 25;

const SPANISH: [[&str; 8]; 2] = [
    ["Lucía", "Carmen", "Inés", "Rosario", "Elena", "Pilar", "Marta", "Consuelo"],
    ["Andrés", "Joaquín", "Mateo", "Rafael", "Ignacio", "Tomás", "Emilio", "Germán"],
];
const ENGLISH: [[&str; 8]; 2] = [
    ["Margaret", "Emily", "Harriet", "Joan", "Beatrice", "Alice", "Ruth", "Florence"],
    ["Arthur", "Walter", "Henry", "George", "Edmund", "Oliver", "Stanley", "Hugh"],
];
const APELLIDOS: [&str; 11] = [
    "Robledo",
    "Salvatierra",
    "Peñalver",
    "Quintanilla",
    "Muñoz",
    "Ibáñez",
    "Castaño",
    "Villegas",
    "Ordóñez",
    "Luján",
    "Arroyo",
];
const SURNAMES: [&str; 11] = [
    "Ashdown",
    "Whitlock",
    "Fairburn",
    "Thornley",
    "Blackwood",
    "Marlowe",
    "Pemberton",
    "Hadley",
    "Kingsley",
    "Osborne",
    "Winslow",
];

/// Somebody before the server knows them.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Person {
    pub(in crate::cli) mrn: String,
    pub(in crate::cli) given: String,
    pub(in crate::cli) family: String,
    birth: Option<String>,
    gender: &'static str,
    bed: String,
    ward: &'static str,
}

/// Somebody in a bed, with references of the server.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Bed {
    pub(in crate::cli) person: Person,
    pub(in crate::cli) patient: String,
    pub(in crate::cli) encounter: String,
    pub(in crate::cli) device: String,
}

impl Person {
    /// The same person for the same number, always.
    pub(in crate::cli) fn invented(at: usize) -> Self {
        let (spanish, sex) = (at.is_multiple_of(2), at / 2 % 2);
        let pick = |names: &[&str], at: usize| names.get(at % names.len()).copied().unwrap_or_default().to_owned();
        let given = if spanish { SPANISH.get(sex) } else { ENGLISH.get(sex) };
        let families = if spanish { APELLIDOS } else { SURNAMES };
        let first = pick(&families, at / 2 + at / 22);
        let family = if spanish { format!("{first} {}", pick(&families, at / 2 + 4 + at / 24)) } else { first };
        Self {
            mrn: format!("D-{:04}", at + 1),
            given: pick(given.map_or(&[], |names| names), at / 4),
            family,
            birth: Some(format!("{}-{:02}-{:02}", 1934 + at * 37 % 62, 1 + at * 7 % 12, 1 + at * 11 % 28)),
            gender: if sex == 0 { "female" } else { "male" },
            bed: format!("A-{:02}", at + 1),
            ward: "Ward A",
        }
    }

    /// Somebody of a recording: nothing is known but the name that the file uses.
    pub(in crate::cli) fn recorded(at: usize, name: &str) -> Self {
        Self {
            mrn: name.to_owned(),
            given: String::new(),
            family: name.to_owned(),
            birth: None,
            gender: "unknown",
            bed: format!("R-{:02}", at + 1),
            ward: "Replay ward",
        }
    }

    pub(in crate::cli) fn mrn_token(&self) -> String {
        format!("{MRN}|{}", self.mrn)
    }

    pub(in crate::cli) fn serial(&self) -> String {
        format!("monitor-{}", self.bed)
    }

    pub(in crate::cli) fn device_token(&self) -> String {
        format!("{DEVICE}|{}", self.serial())
    }

    fn resource(&self) -> Value {
        let mut name = Map::new();
        name.insert("use".into(), "official".into());
        name.insert("family".into(), self.family.as_str().into());
        if !self.given.is_empty() {
            name.insert("given".into(), json!([self.given]));
        }
        let mut patient = Map::new();
        patient.insert("resourceType".into(), "Patient".into());
        patient.insert("identifier".into(), json!([{"use": "usual", "system": MRN, "value": self.mrn}]));
        patient.insert("active".into(), true.into());
        patient.insert("name".into(), json!([name]));
        patient.insert("gender".into(), self.gender.into());
        patient.extend(self.birth.as_ref().map(|birth| ("birthDate".to_owned(), birth.as_str().into())));
        patient.into()
    }
}

/// Registers everybody, or finds them registered.
pub(in crate::cli) async fn admit(
    http: &Http,
    people: Vec<Person>,
    now: i64,
    progress: &ProgressBar,
) -> Result<Vec<Bed>> {
    let mut beds = Vec::with_capacity(people.len());
    for group in people.chunks(TOGETHER) {
        let answer = http.post("/fhir", "application/fhir+json", &admission(group, now)).await?;
        if answer.status != 200 {
            bail!("the ward cannot be set up: {}", answer.reason());
        }
        let mut made = references(&answer.body).into_iter().skip(1);
        for person in group {
            let mut next = || made.next().context("the answer to the set-up of the ward is not complete");
            let (patient, _, device, encounter) = (next()?, next()?, next()?, next()?);
            beds.push(Bed { person: person.clone(), patient, encounter, device });
            progress.inc(1);
        }
    }
    Ok(beds)
}

/// The ward's Organization, then four entries for each patient.
fn admission(people: &[Person], now: i64) -> Value {
    let urn = || format!("urn:uuid:{}", new_id());
    let ward = people.first().map_or("Ward", |person| person.ward);
    let organization = urn();
    let mut entries = vec![entry(
        &organization,
        ORGANIZATION,
        ward,
        &json!({"resourceType": "Organization", "identifier": [{"system": ORGANIZATION, "value": ward}], "active": true, "name": ward}),
    )];
    for person in people {
        let (patient, location, device, encounter) = (urn(), urn(), urn(), urn());
        let (bed, serial) = (&person.bed, person.serial());
        entries.push(entry(&patient, MRN, &person.mrn, &person.resource()));
        entries.push(entry(
            &location,
            PLACE,
            bed,
            &json!({
                "resourceType": "Location",
                "identifier": [{"system": PLACE, "value": bed}],
                "status": "active",
                "name": bed,
                "physicalType": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/location-physical-type", "code": "bd", "display": "Bed"}]},
                "managingOrganization": {"reference": organization}
            }),
        ));
        entries.push(entry(
            &device,
            DEVICE,
            &serial,
            &json!({
                "resourceType": "Device",
                "identifier": [{"system": DEVICE, "value": serial}],
                "status": "active",
                "manufacturer": "Vigía demonstration",
                "serialNumber": serial,
                "deviceName": [{"name": format!("Bedside monitor {bed}"), "type": "user-friendly-name"}],
                "type": {"text": "Simulated bedside monitor"},
                "patient": {"reference": patient},
                "location": {"reference": location}
            }),
        ));
        let visit = format!("visit-{}", person.mrn);
        entries.push(entry(
            &encounter,
            VISIT,
            &visit,
            &json!({
                "resourceType": "Encounter",
                "identifier": [{"system": VISIT, "value": visit}],
                "status": "in-progress",
                "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP", "display": "inpatient encounter"},
                "subject": {"reference": patient},
                "period": {"start": time::instant(now)},
                "location": [{"location": {"reference": location, "display": bed}, "status": "active"}],
                "serviceProvider": {"reference": organization, "display": ward}
            }),
        ));
    }
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}

fn entry(url: &str, system: &str, value: &str, resource: &Value) -> Value {
    let condition = form_urlencoded::Serializer::new(String::new())
        .append_pair("identifier", &format!("{system}|{value}"))
        .finish();
    json!({
        "fullUrl": url,
        "resource": resource,
        "request": {"method": "POST", "url": resource.get("resourceType"), "ifNoneExist": condition}
    })
}

/// `Patient/1` and so on, from the locations of a transaction's answer.
fn references(answer: &Value) -> Vec<String> {
    let entries = answer.get("entry").and_then(Value::as_array).into_iter().flatten();
    let location = |entry: &Value| {
        let path = entry.pointer("/response/location")?.as_str()?.rsplit_once("/_history/")?.0;
        let at = path.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
        let local = reference::local(path.get(at..)?)?;
        Some(format!("{}/{}", local.resource_type, local.id))
    };
    entries.filter_map(location).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn everybody_is_somebody_else_and_stays_the_same() {
        let names: HashSet<String> =
            (0..200).map(Person::invented).map(|p| format!("{} {}", p.given, p.family)).collect();
        assert!(names.len() > 150, "{}", names.len());
        let first: HashSet<String> = (0..24).map(Person::invented).map(|p| p.family).collect();
        assert!(first.len() >= 20, "{first:?}");
        assert_eq!(Person::invented(3).resource(), Person::invented(3).resource());
    }

    #[test]
    fn what_is_registered_passes_the_check() {
        for people in [vec![Person::invented(0), Person::invented(11)], vec![Person::recorded(0, "p|1 & co")]] {
            let bundle = admission(&people, 1_767_323_045_000_000);
            let entries = bundle["entry"].as_array().unwrap();
            assert_eq!(entries.len(), 1 + 4 * people.len());
            for entry in entries {
                let resource = entry["resource"].clone();
                fhir_r4::check(resource.clone()).unwrap_or_else(|issues| panic!("{issues:?}\n{resource}"));
                assert!(entry["request"]["ifNoneExist"].as_str().unwrap().starts_with("identifier=urn%3Avigia%3A"));
            }
        }
    }

    #[test]
    fn references_come_from_locations() {
        let answer = json!({"entry": [
            {"response": {"location": "http://h:1/fhir/Patient/p1/_history/1"}},
            {"response": {"location": "Device/d-2/_history/3"}}
        ]});
        assert_eq!(references(&answer), ["Patient/p1", "Device/d-2"]);
    }
}
