//! Series of readings on their way to a server, and the episodes that it tells, in the words of the oracle. Every
//! random choice comes from a seed.

use std::fmt::Write;
use std::sync::LazyLock;

use serde_json::{Value, json};
use vigia::clock::Clock;
use vigia::fhir::time;

use super::oracle::{FEVER, HEART, Reading, SIGNALS};
use crate::helpers::samples::{bundle, entry, observation, patient};
use crate::helpers::{Client, resources};

/// Between two readings of a patient, µs.
const STEP: i64 = 30_000_000;

/// When every series begins: some hours ago, at a whole second.
static START: LazyLock<i64> = LazyLock::new(|| Clock::default().now() / 1_000_000 * 1_000_000 - 4 * 3_600_000_000);

/// The next of a sequence of numbers that look random (splitmix64).
pub(crate) fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % below
}

/// Around what a signal stays for a while, and how far it strays; tenths.
const LEVELS: [([i64; 7], i64); 2] =
    [([380, 480, 800, 850, 1080, 1130, 1320], 80), ([349, 359, 368, 370, 379, 383, 392], 4)];

/// So many readings of one patient, heart rate and temperature in turns: normal, at the limits, beyond them and back.
pub(crate) fn generate(seed: u64, count: usize) -> Vec<Reading> {
    let (mut state, mut around) = (seed, [800, 370]);
    let reading = |at| {
        let signal = if at % 2 == 0 { HEART } else { FEVER };
        let (levels, stray) = &LEVELS[signal];
        if random(&mut state, 5) == 0 {
            around[signal] = levels[usize::try_from(random(&mut state, 7)).unwrap()];
        }
        let off = i64::try_from(random(&mut state, (2 * stray + 1).unsigned_abs())).unwrap() - stray;
        Reading { at, signal, tenths: around[signal] + off }
    };
    (0..).take(count).map(reading).collect()
}

/// The same readings as they come in when each may be overtaken by up to so many.
pub(crate) fn disordered(readings: &[Reading], by: u64, seed: u64) -> Vec<Reading> {
    let mut state = seed;
    let mut keyed: Vec<(i64, Reading)> = readings
        .iter()
        .map(|reading| (reading.at + i64::try_from(random(&mut state, by + 1)).unwrap(), *reading))
        .collect();
    keyed.sort_by_key(|(place, reading)| (*place, -reading.at));
    keyed.into_iter().map(|(_, reading)| reading).collect()
}

fn instant(reading: &Reading) -> String {
    time::instant(*START + reading.at * STEP)
}

/// A reading as a FHIR Observation under an id of its own.
fn resource(patient: &str, reading: &Reading) -> Value {
    let signal = &SIGNALS[reading.signal];
    let mut resource = observation(patient, signal.code, &reading.value(), signal.unit, &instant(reading));
    resource["id"] = json!(format!("{patient}-{}", reading.at));
    resource
}

/// One request: where it goes, and with what.
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Value,
}

/// Readings as FHIR: a single one by itself, several as a batch. Sent again it makes nothing twice.
pub(crate) fn fhir(patient: &str, readings: &[Reading]) -> Request {
    let address = |reading: &Reading| format!("Observation/{patient}-{}", reading.at);
    if let [only] = readings {
        return Request { method: "PUT", path: format!("/fhir/{}", address(only)), body: resource(patient, only) };
    }
    let entries: Vec<Value> =
        readings.iter().map(|reading| entry("PUT", &address(reading), &resource(patient, reading))).collect();
    Request { method: "POST", path: "/fhir".to_owned(), body: bundle("batch", &entries) }
}

/// Readings in the form of the device door. Sent again it makes nothing twice.
pub(crate) fn device(patient: &str, readings: &[Reading]) -> Request {
    let compact = |reading: &Reading| {
        let signal = &SIGNALS[reading.signal];
        let value: Value = serde_json::from_str(&reading.value()).unwrap();
        json!({"code": signal.code, "value": value, "unit": signal.unit, "time": instant(reading)})
    };
    let readings: Vec<Value> = readings.iter().map(compact).collect();
    let body = json!({"patient": format!("Patient/{patient}"), "readings": readings});
    Request { method: "POST", path: "/device/v1/observations".to_owned(), body }
}

/// Was everything in it taken?
pub(crate) fn is_taken(status: u16, answer: &Value) -> bool {
    let entries = answer["entry"].as_array().map_or(&[][..], Vec::as_slice);
    let each = entries.iter().all(|entry| entry["response"]["status"].as_str().is_some_and(|s| s.starts_with("20")));
    [200, 201].contains(&status) && each && answer.get("rejected").is_none_or(|rejected| rejected == 0)
}

/// The patients, and of the shipped rules those about limits alone: scores would say nothing of two signals.
pub(crate) async fn prepare(gateway: &Client, patients: &[String]) {
    let people: Vec<Value> =
        patients.iter().map(|id| entry("PUT", &format!("Patient/{id}"), &patient(id, id, "Vega"))).collect();
    gateway.post("/fhir", &bundle("transaction", &people)).await.expect(200);
    let plans = gateway.get("/fhir/PlanDefinition?status=active&_count=200").await.expect(200).json();
    let others = resources(&plans).into_iter().filter(|plan| !plan["id"].as_str().unwrap().starts_with("limits-"));
    let retired: Vec<Value> = others
        .map(|mut plan| {
            plan["status"] = json!("retired");
            entry("PUT", &format!("PlanDefinition/{}", plan["id"].as_str().unwrap()), &plan)
        })
        .collect();
    gateway.post("/fhir", &bundle("transaction", &retired)).await.expect(200);
}

/// Every episode of a patient that stands, one a DetectedIssue, in the words of the oracle; sorted.
pub(crate) async fn told(gateway: &Client, patient: &str) -> Vec<String> {
    let found = gateway.get(&format!("/fhir/DetectedIssue?patient={patient}&_count=1000")).await.expect(200).json();
    let stands = |issue: &Value| issue["status"] != "entered-in-error";
    let mut all: Vec<String> = resources(&found).into_iter().filter(stands).map(|issue| episode(&issue)).collect();
    all.sort();
    all
}

fn episode(issue: &Value) -> String {
    let key = issue["code"]["coding"][1]["code"].as_str().unwrap();
    let since = step_of(&issue["identifiedPeriod"]["start"]);
    let mut story = format!("{} since {since}", key.trim_start_matches("threshold:"));
    let steps = issue["extension"].as_array().unwrap().iter();
    for step in steps.filter(|e| e["url"].as_str().unwrap().ends_with("/alert-transition")) {
        let part = |name: &str| step["extension"].as_array().unwrap().iter().find(|p| p["url"] == name).unwrap();
        let code = |name: &str| part(name)["valueCode"].as_str().unwrap();
        let (at, value) = (step_of(&part("at")["valueInstant"]), &part("value")["valueQuantity"]["value"]);
        write!(story, " {} {}@{at}={value}", code("kind"), code("level")).unwrap();
    }
    story
}

/// The step of a series at which an instant lies.
fn step_of(instant: &Value) -> i64 {
    let passed = time::range(instant.as_str().unwrap()).unwrap().start - *START;
    assert_eq!(passed % STEP, 0, "between two readings: {instant}");
    passed / STEP
}
