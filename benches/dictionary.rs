//! Trains the dictionary that stored bodies are compressed with: `cargo bench --bench dictionary`. It prints the
//! average size of a stored body by where it came from; with `-- --write` it also replaces
//! `src/store/observation-1.dict`. That file is part of the stored format: once data exists that must stay
//! readable, it is never replaced, only followed by a second one.
//!
//! The samples are made the way the doors make them: posted as FHIR (with and without profiles), by the device
//! door, by HL7 v2 with MDC and LOINC codings. Patients, devices, times and values are all different.

#![expect(clippy::print_stdout, reason = "a report for whoever runs it")]

#[path = "vitals/mod.rs"]
mod vitals;

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use fhir_r4::Format;
use serde_json::{Value, json};
use vigia::ingest::{device, hl7};
use vigia::normalize::draft::{Coding, Draft, Judged, Measured, Subject};
use vigia::normalize::{self, Bound};
use vigia::store::body;
use zstd::bulk::Compressor;

use crate::vitals::{Ward, scatter};

const SIZE: usize = 16 * 1024;
const LEVEL: i32 = 1;
/// Samples of each door; so many again measure what the dictionary does with what it has not seen.
const EACH: u64 = 4000;
const MDC_TABLE: &str = include_str!("../src/fhir/data/mdc-loinc-ucum.csv");
const MDC: &str = "urn:iso:std:iso:11073:10101";
const PROFILES: [(&str, &str); 7] = [
    ("8867-4", "heartrate"),
    ("59408-5", "oxygensat"),
    ("9279-1", "resprate"),
    ("8310-5", "bodytemp"),
    ("85354-9", "bp"),
    ("8889-8", "vitalsigns"),
    ("8478-0", "vitalsigns"),
];

fn main() -> Result<()> {
    let doors: [(&str, Vec<Value>); 5] = [
        ("FHIR", posted(false)?),
        ("FHIR with profile", posted(true)?),
        ("device", uploaded()?),
        ("HL7 v2", messages()?),
        ("any MDC code", nomenclature()?),
    ];
    let mut samples = Vec::new();
    let mut unseen = Vec::new();
    for (name, resources) in &doors {
        let plain: Vec<Vec<u8>> =
            resources.iter().map(|r| body::plain(r).map_err(|error| anyhow!("{error}"))).collect::<Result<_>>()?;
        let (seen, other) = plain.split_at(plain.len() / 2);
        samples.extend_from_slice(seen);
        unseen.push((name, other.to_vec()));
    }
    let trained = zstd::dict::from_samples(&samples, SIZE)?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/observation-1.dict");
    let current = std::fs::read(&file)?;
    println!("{} samples, a dictionary of {} B\n", samples.len(), trained.len());
    println!(
        "| door | as JSON members | stored, dictionary in use | stored, dictionary just trained |\n|---|---|---|---|"
    );
    for (name, bodies) in &unseen {
        let (plain, before, after) =
            (bodies.iter().map(Vec::len).sum(), stored(bodies, &current)?, stored(bodies, &trained)?);
        let average = |bytes: usize| bytes.checked_div(bodies.len()).unwrap_or(0);
        println!("| {name} | {} B | {} B | {} B |", average(plain), average(before), average(after));
    }
    if std::env::args().any(|argument| argument == "--write") {
        std::fs::write(&file, &trained)?;
        println!("\nwritten");
    }
    Ok(())
}

/// Bytes of all bodies as they are stored, each with its byte of format.
fn stored(bodies: &[Vec<u8>], dictionary: &[u8]) -> Result<usize> {
    let mut compressor = Compressor::with_dictionary(LEVEL, dictionary)?;
    bodies.iter().map(|body| Ok(compressor.compress(body)?.len() + 1)).sum()
}

/// Each reading at a time of its own, somewhere in some years.
fn ward(n: u64) -> Ward {
    let second = i64::try_from(scatter(n ^ 0xabcd) % 150_000_000).unwrap_or(0);
    Ward { start: 1_700_000_000_000 + second * 1000 + i64::try_from(scatter(n) % 1000).unwrap_or(0) }
}

fn uuid(n: u64) -> String {
    uuid::Uuid::from_u64_pair(scatter(n), scatter(n + 0x5555)).hyphenated().to_string()
}

/// The ward has 100 patients; samples are of thousands, each of some readings.
fn other_patient(text: &str, n: u64) -> String {
    let patient = vitals::place(n).patient;
    text.replace(&vitals::patient_id(patient), &uuid(n / 5))
        .replace(&vitals::device_id(patient), &uuid(n / 5 + 1_000_000))
}

fn posted(profiles: bool) -> Result<Vec<Value>> {
    (0..EACH * 2)
        .map(|n| {
            let text = other_patient(&ward(n).observation(n), n);
            let mut value = fhir_r4::parse(text.as_bytes(), Format::Json).map_err(|issues| anyhow!("{issues:?}"))?;
            let loinc = vitals::place(n).kind.loinc;
            if profiles && let Some((_, name)) = PROFILES.iter().find(|(code, _)| *code == loinc) {
                let profile = format!("http://hl7.org/fhir/StructureDefinition/{name}");
                value.as_object_mut().map(|members| members.insert("meta".into(), json!({"profile": [profile]})));
            }
            Ok(value)
        })
        .collect()
}

fn uploaded() -> Result<Vec<Value>> {
    (0..EACH * 2)
        .map(|n| {
            let body = format!("[{}]", ward(n).device_reading(n, false));
            let items = device::parse_json(body.as_bytes(), "gateway", 0).map_err(|issue| anyhow!("{issue:?}"))?;
            let draft = items.into_iter().next().and_then(Result::ok).context("a reading that the door refuses")?;
            observation(&draft, n)
        })
        .collect()
}

fn messages() -> Result<Vec<Value>> {
    let mut all = Vec::new();
    let mut n = 0;
    while all.len() < usize::try_from(EACH * 2)? {
        let frame = ward(n).message(n, 18);
        let bytes = frame.strip_prefix(b"\x0b").and_then(|f| f.strip_suffix(b"\x1c\r")).context("no frame")?;
        let received = hl7::read(bytes, &hl7::Channel::default()).map_err(|refusal| anyhow!("{refusal:?}"))?;
        let mapped = received.mapped;
        for (at, draft) in mapped.items.into_iter().filter_map(Result::ok).enumerate() {
            all.push(observation(&draft, n * 100 + u64::try_from(at)?)?);
        }
        n += 1;
    }
    Ok(all)
}

/// The whole nomenclature that the house knows, as a monitor with other sensors would send it.
fn nomenclature() -> Result<Vec<Value>> {
    let mut table = csv::Reader::from_reader(MDC_TABLE.as_bytes());
    let rows: Vec<csv::StringRecord> = table.records().collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for round in 0..=(EACH / 4 / u64::try_from(rows.len())?) {
        for (at, row) in rows.iter().enumerate() {
            let n = round * 1000 + u64::try_from(at)?;
            let field = |at: usize| row.get(at).unwrap_or_default().to_owned();
            let code = vec![Coding { system: MDC.to_owned(), code: field(0), display: Some(field(1)) }];
            let ucum = Some(field(3)).filter(|unit| !unit.is_empty());
            let unit = ucum.map(|code| Coding { system: "http://unitsofmeasure.org".to_owned(), code, display: None });
            let number = scatter(n) % 2000;
            let draft = Draft {
                place: String::new(),
                subject: Some(Subject::Reference(String::new())),
                device: None,
                metric: None,
                status: "final",
                code,
                value: Measured::Quantity { value: format!("{}.{}", number / 10, number % 10), comparator: None, unit },
                components: vec![],
                judged: Judged::default(),
                parts_judged: vec![],
                effective: Some(ward(n).second(0)),
                effective_end: None,
                told: None,
                key: n.to_string(),
                identifier: None,
                test: false,
                note: None,
                amends: false,
            };
            // A unit that does not fit its code is refused; such a row is no sample.
            all.extend(observation(&draft, n).ok());
        }
    }
    Ok(all)
}

fn observation(draft: &Draft, n: u64) -> Result<Value> {
    let patient = format!("Patient/{}", uuid(n / 5));
    let device = draft.device.is_some() || !n.is_multiple_of(3);
    let bound = Bound {
        patient,
        device: device.then(|| format!("Device/{}", uuid(n / 5 + 1_000_000))),
        metric: None,
        encounter: n.is_multiple_of(2).then(|| format!("Encounter/{}", uuid(n / 5 + 2_000_000))),
    };
    normalize::observation(draft, &bound, i64::MAX / 2).map_err(|issues| anyhow!("{issues:?}"))
}
