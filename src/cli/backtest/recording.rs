//! Recordings as files have them. CSV: `patient,time,code,value,unit,status`, the code LOINC unless written as
//! `system|code`; `o2-device` with `None` is room air and with any other word oxygen; NDJSON: an Observation a line.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::alert::backtest::{Record, Recorded};
use crate::fhir::reading::Reading;
use crate::fhir::{LOINC, OURS, UCUM, time};

const SNOMED: &str = "http://snomed.info/sct";
/// What is no reading of the patient's state: no reason to think of consciousness.
const COLUMNS: [&str; 6] = ["patient", "time", "code", "value", "unit", "status"];

/// The readings of all files, by patient.
pub(super) fn read(files: &[PathBuf], assume_alert: bool) -> Result<BTreeMap<String, Record>> {
    let mut all = Recordings::default();
    for file in files {
        let lines = file.extension().is_some_and(|extension| extension == "ndjson");
        let read = if lines { all.ndjson(file) } else { all.csv(file) };
        read.with_context(|| file.display().to_string())?;
    }
    if assume_alert {
        all.assume_alert();
    }
    Ok(all.records)
}

#[derive(Default)]
struct Recordings {
    records: BTreeMap<String, Record>,
    seq: i64,
}

impl Recordings {
    fn csv(&mut self, file: &Path) -> Result<()> {
        let mut reader = csv::Reader::from_path(file)?;
        let heads = reader.headers()?.clone();
        let place = |name: &str| heads.iter().position(|head| head == name);
        let mut places = [0; COLUMNS.len()];
        for (place_of, name) in places.iter_mut().zip(COLUMNS) {
            *place_of = place(name).with_context(|| format!("there is no column {name}"))?;
        }
        for (line, row) in reader.records().enumerate() {
            let row = row?;
            let [patient, time, code, value, unit, status] = places.map(|at| row.get(at).unwrap_or_default());
            let observation = observation(code, value, unit)
                .with_context(|| format!("line {}: \"{value}\" is no number", line + 2))?;
            if time::range(time).is_none() {
                bail!("line {}: \"{time}\" is no time", line + 2);
            }
            self.take(patient, with(observation, patient, time, status));
        }
        Ok(())
    }

    fn ndjson(&mut self, file: &Path) -> Result<()> {
        for (line, text) in BufReader::new(std::fs::File::open(file)?).lines().enumerate() {
            let text = text?;
            if text.trim().is_empty() {
                continue;
            }
            let observation: Value = serde_json::from_str(&text).with_context(|| format!("line {}", line + 1))?;
            let patient = observation.pointer("/subject/reference").and_then(Value::as_str);
            let patient = patient.and_then(|reference| reference.strip_prefix("Patient/"));
            let patient =
                patient.with_context(|| format!("line {}: no Observation of a Patient", line + 1))?.to_owned();
            self.take(&patient, observation);
        }
        Ok(())
    }

    fn take(&mut self, patient: &str, observation: Value) {
        self.seq += 1;
        let reading = Reading::of(&observation);
        let updated = reading.effective.map_or(0, |(at, _)| at);
        let record = self.records.entry(patient.to_owned()).or_default();
        if record.patient.is_empty() {
            record.patient = format!("Patient/{patient}");
        }
        record.readings.push(Recorded { reading, whole: Some(observation), updated, seq: self.seq });
    }

    /// Alert at each instant at which something that NEWS2 looks at was validly measured.
    fn assume_alert(&mut self) {
        const SCORED: [(&str, f64, f64); 5] = [
            ("9279-1", 1.0, 100.0),
            ("59408-5", 20.0, 100.0),
            ("8480-6", 20.0, 300.0),
            ("8867-4", 10.0, 300.0),
            ("8310-5", 25.0, 45.0),
        ];
        let valid = |recorded: &&Recorded| {
            let amount = recorded.reading.value.as_ref();
            let coded = |code: &str| recorded.reading.codings.iter().any(|(_, own)| own == code);
            let fits = |(code, low, high): &(&str, f64, f64)| {
                coded(code) && amount.is_some_and(|amount| amount.value >= *low && amount.value <= *high)
            };
            recorded.reading.status.counts() && SCORED.iter().any(fits)
        };
        let mut wanted = Vec::new();
        for (patient, record) in &self.records {
            let instants = record.readings.iter().filter(valid).filter_map(|one| one.reading.effective);
            let instants: BTreeSet<i64> = instants.map(|(at, _)| at).collect();
            wanted.extend(instants.into_iter().map(|at| (patient.clone(), at)));
        }
        for (patient, at) in wanted {
            let alert = json!({
                "resourceType": "Observation",
                "code": {"coding": [{"system": SNOMED, "code": "1104441000000107"}]},
                "valueCodeableConcept": {"coding": [{"system": SNOMED, "code": "248234008"}]}
            });
            self.take(&patient, with(alert, &patient, &time::instant(at), "final"));
        }
    }
}

/// None: the value is no number.
fn observation(code: &str, value: &str, unit: &str) -> Option<Value> {
    let (system, code) = code.split_once('|').unwrap_or((LOINC, code));
    if code == "o2-device" {
        let oxygen = u8::from(value != "None");
        return Some(json!({
            "resourceType": "Observation",
            "code": {"coding": [{"system": format!("{OURS}/CodeSystem/observation"), "code": "oxygen-device"}]},
            "valueQuantity": {"value": oxygen, "system": UCUM, "code": "1"}
        }));
    }
    let number: Value = serde_json::from_str(value).ok().filter(Value::is_number)?;
    Some(json!({
        "resourceType": "Observation",
        "code": {"coding": [{"system": system, "code": code}]},
        "valueQuantity": {"value": number, "system": UCUM, "code": unit, "unit": unit}
    }))
}

fn with(mut observation: Value, patient: &str, time: &str, status: &str) -> Value {
    if let Some(members) = observation.as_object_mut() {
        members.insert("status".to_owned(), status.into());
        members.insert("subject".to_owned(), json!({"reference": format!("Patient/{patient}")}));
        members.insert("effectiveDateTime".to_owned(), time.into());
    }
    observation
}
