//! Recordings as files have them, `patient,time,code,value,unit,status` a line, and each line as the FHIR door and as
//! the device door want it. The files are the caller's: none of them belongs to this project.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

const LOINC: &str = "http://loinc.org";
const UCUM: &str = "http://unitsofmeasure.org";
const SNOMED: &str = "http://snomed.info/sct";
const OWN: &str = "https://vigia.dev/fhir/CodeSystem/observation";
/// The recordings, in the order in which they are sent.
const FILES: [&str; 4] = ["physionet2019.csv", "mimic3-demo.csv", "mimic-numerics-1min.csv", "cgm.csv"];
/// What NEWS2 looks at beside consciousness, and what is plausible of it.
const SCORED: [(&str, f64, f64); 5] = [
    ("9279-1", 1.0, 100.0),
    ("59408-5", 20.0, 100.0),
    ("8480-6", 20.0, 300.0),
    ("8867-4", 10.0, 300.0),
    ("8310-5", 25.0, 45.0),
];

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// Its place among all: it makes the id under which it may be sent again.
    number: usize,
    pub(crate) patient: String,
    pub(crate) time: String,
    code: String,
    value: String,
    unit: String,
    status: String,
}

/// All readings of patients whose id begins like this, by file and time.
pub(crate) fn read(directory: &Path, patients: &str) -> Result<Vec<Reading>> {
    let mut all = Vec::new();
    for file in FILES {
        let mut own = lines(&directory.join(file))?;
        if file.starts_with("physionet") {
            own.extend(assumed_alert(&own));
        }
        own.retain(|reading| reading.patient.starts_with(patients));
        own.sort_by(|a, b| (&a.time, &a.patient, &a.code).cmp(&(&b.time, &b.patient, &b.code)));
        all.append(&mut own);
    }
    for (number, reading) in all.iter_mut().enumerate() {
        reading.number = number;
    }
    Ok(all)
}

fn lines(file: &Path) -> Result<Vec<Reading>> {
    let mut reader = csv::Reader::from_path(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let line = |record: csv::Result<csv::StringRecord>| {
        let record = record?;
        let text = |at: usize| record.get(at).unwrap_or_default().to_owned();
        Ok(Reading {
            number: 0,
            patient: text(0),
            time: text(1),
            code: text(2),
            value: text(3),
            unit: text(4),
            status: text(5),
        })
    };
    reader.records().map(line).collect()
}

/// `PhysioNet` 2019 says nothing of consciousness; the expected scores take everybody for alert.
fn assumed_alert(all: &[Reading]) -> Vec<Reading> {
    let counts = |reading: &&Reading| {
        let value: f64 = reading.value.parse().unwrap_or(f64::NAN);
        let plausible = |(code, low, high): &(&str, f64, f64)| *code == reading.code && value >= *low && value <= *high;
        reading.status == "final" && SCORED.iter().any(plausible)
    };
    let mut instants: Vec<(&str, &str)> =
        all.iter().filter(counts).map(|reading| (reading.patient.as_str(), reading.time.as_str())).collect();
    instants.sort_unstable();
    instants.dedup();
    let alert = |(patient, time): (&str, &str)| Reading {
        number: 0,
        patient: patient.to_owned(),
        time: time.to_owned(),
        code: "consciousness".to_owned(),
        value: String::new(),
        unit: String::new(),
        status: "final".to_owned(),
    };
    instants.into_iter().map(alert).collect()
}

impl Reading {
    /// The id of its Observation.
    pub(crate) fn id(&self) -> String {
        format!("replayed-{}", self.number)
    }

    fn coding(&self) -> (&str, &str) {
        match self.code.as_str() {
            "consciousness" => (SNOMED, "1104441000000107"),
            "o2-device" => (OWN, "oxygen-device"),
            code => (LOINC, code),
        }
    }

    /// Value and unit; none for a coded answer.
    fn quantity(&self) -> Option<(Value, &str)> {
        match self.code.as_str() {
            "consciousness" => None,
            "o2-device" => Some((json!(u8::from(self.value != "None")), "1")),
            _ => serde_json::from_str(&self.value).ok().map(|value| (value, self.unit.as_str())),
        }
    }

    /// As an Observation.
    pub(crate) fn observation(&self) -> Value {
        let (system, code) = self.coding();
        let mut codings = vec![json!({"system": system, "code": code})];
        if code == "59408-5" {
            // The profile of a saturation asks for the general code too.
            codings.push(json!({"system": LOINC, "code": "2708-6"}));
        }
        let mut resource = json!({
            "resourceType": "Observation",
            "status": self.status,
            "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
            "code": {"coding": codings},
            "subject": {"reference": format!("Patient/{}", self.patient)},
            "effectiveDateTime": self.time
        });
        let (name, value) = match self.quantity() {
            Some((value, unit)) => {
                ("valueQuantity", json!({"value": value, "unit": unit, "system": UCUM, "code": unit}))
            }
            None => ("valueCodeableConcept", json!({"coding": [alert()]})),
        };
        if let Some(members) = resource.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
        resource
    }

    /// In the compact form of the device door.
    pub(crate) fn compact(&self) -> Value {
        let (system, code) = self.coding();
        let mut reading = json!({
            "patient": format!("Patient/{}", self.patient),
            "code": {"system": system, "code": code},
            "time": self.time,
            "status": self.status,
            "id": self.id()
        });
        if let Some(members) = reading.as_object_mut() {
            match self.quantity() {
                Some((value, unit)) => {
                    members.insert("value".to_owned(), value);
                    members.insert("unit".to_owned(), json!(unit));
                }
                None => _ = members.insert("value".to_owned(), alert()),
            }
        }
        reading
    }
}

/// The finding that somebody is alert.
fn alert() -> Value {
    json!({"system": SNOMED, "code": "248234008", "display": "Mentally alert"})
}

/// The patients of these readings as a batch, each once.
pub(crate) fn patients(readings: &[Reading]) -> Vec<Value> {
    let mut ids: Vec<&str> = readings.iter().map(|reading| reading.patient.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(patient).collect()
}

/// An adult of this id.
pub(crate) fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "active": true, "birthDate": "1950-01-01"})
}
