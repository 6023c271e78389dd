//! Readings told again through every door, held against plain loops that know nothing of the engine: the same
//! episodes, whatever the door, the size of a request and (a little) the order.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vigia::clock::Clock;
use vigia::fhir::time;

use crate::helpers::samples::{bundle, entry, heart_rate, observation};
use crate::helpers::{Client, TestApp, resources};

const MINUTE: i64 = 60_000_000;
const READINGS: i64 = 200;
const PATIENTS: usize = 4;

/// kind, minute, level
type Step = (String, i64, String);

/// Heart rates that wander through all limits and stay there for a while.
fn wander(seed: u64) -> Vec<u32> {
    let (mut state, mut value) = (seed * 2 + 1, 90_i64);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(state >> 40).unwrap()
    };
    (0..READINGS)
        .map(|_| {
            let jump = if next() % 6 == 0 { next() % 120 - 60 } else { next() % 13 - 6 };
            value = (value + jump).clamp(25, 190);
            u32::try_from(value).unwrap()
        })
        .collect()
}

/// How far out a value is on a side when the limits are moved towards normal by so much: 0, 1 warning, 2 critical.
fn level(high: bool, value: i64, moved: i64) -> usize {
    let limits = if high { [111 - moved, 131 - moved] } else { [50 + moved, 40 + moved] };
    limits.into_iter().filter(|limit| if high { value >= *limit } else { value <= *limit }).count()
}

/// The episodes of the shipped limits of a heart rate: two readings in a row, left at a distance of three.
fn expected(values: &[u32]) -> Vec<Vec<Step>> {
    const NAMES: [&str; 3] = ["none", "warning", "critical"];
    let mut all = Vec::new();
    for high in [true, false] {
        let (mut now, mut episode): (usize, Vec<Step>) = (0, vec![]);
        for (minute, pair) in (1..).zip(values.windows(2)) {
            let of = |moved: i64| pair.iter().map(move |value| level(high, i64::from(*value), moved));
            let (up, down) = (of(0).min().unwrap(), of(3).max().unwrap());
            let next = if up > now { up } else { down.min(now) };
            let kind = match (now, next) {
                (now, next) if now == next => continue,
                (0, _) => "raise",
                (_, 0) => "resolve",
                (now, next) if next > now => "escalate",
                _ => "deescalate",
            };
            episode.push((kind.to_owned(), minute, NAMES[if next == 0 { now } else { next }].to_owned()));
            if next == 0 {
                all.push(std::mem::take(&mut episode));
            }
            now = next;
        }
        all.extend(Some(episode).filter(|episode| !episode.is_empty()));
    }
    all.sort();
    all
}

/// The steps of an alert, in minutes since the first reading.
fn told(alert: &Value, start: i64) -> Vec<Step> {
    let all = alert["extension"].as_array().unwrap().iter();
    let steps = all.filter(|e| e["url"].as_str().is_some_and(|url| url.ends_with("/alert-transition")));
    let step = |step: &Value| {
        let parts: BTreeMap<&str, &Value> =
            step["extension"].as_array().unwrap().iter().map(|part| (part["url"].as_str().unwrap(), part)).collect();
        let at = time::range(parts["at"]["valueInstant"].as_str().unwrap()).unwrap().start;
        let code = |name: &str| parts[name]["valueCode"].as_str().unwrap().to_owned();
        // The server's times are cut to milliseconds.
        (code("kind"), (at - start + 1_000).div_euclid(MINUTE), code("level"))
    };
    steps.map(step).collect()
}

async fn send(gateway: &Client, way: usize, patient: &str, start: i64, values: &[u32]) {
    let at = |minute: usize| time::instant(start + i64::try_from(minute).unwrap() * MINUTE);
    let fhir = |minute: usize| observation(patient, "8867-4", &values[minute].to_string(), "/min", &at(minute));
    let device = |minute: usize| heart_rate(patient, values[minute], &at(minute));
    let mut order: Vec<usize> = (0..values.len()).collect();
    match way {
        0 => {
            for minute in order {
                gateway.post("/fhir/Observation", &fhir(minute)).await.expect(201);
            }
        }
        1 => {
            for some in order.chunks(50) {
                let entries: Vec<Value> = some.iter().map(|at| entry("POST", "Observation", &fhir(*at))).collect();
                gateway.post("/fhir", &bundle("batch", &entries)).await.expect(200);
            }
        }
        _ => {
            let size = [1, 7, 50][way - 2];
            if size == 7 {
                // Each with its neighbour the other way round.
                order.chunks_mut(2).for_each(<[usize]>::reverse);
            }
            for some in order.chunks(size) {
                let readings: Vec<Value> = some.iter().map(|at| device(*at)).collect();
                gateway.post("/device/v1/observations", &json!(readings)).await.expect(200);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_door_tells_the_same_episodes() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let start = Clock::default().now() - (READINGS + 1) * MINUTE;
    let mut patients = Vec::new();
    let mut sending = tokio::task::JoinSet::new();
    for (way, number) in (0..5).flat_map(|way| (0..PATIENTS).map(move |number| (way, number))) {
        let patient = app.admit(&format!("r{way}-{number}"), "Vega").await;
        let values = wander(u64::try_from(number * 17 + 3).unwrap());
        let (gateway, own, sent) = (gateway.clone(), patient.clone(), values.clone());
        sending.spawn(async move { send(&gateway, way, &own, start, &sent).await });
        patients.push((way, patient, expected(&values)));
    }
    while let Some(done) = sending.join_next().await {
        done.unwrap();
    }
    app.judged().await;
    let mut episodes = 0;
    for (way, patient, expected) in patients {
        let found = gateway.get(&format!("/fhir/DetectedIssue?patient={patient}&_count=1000")).await.expect(200).json();
        // What was told before a reading that belongs before it came is taken back, and marked so.
        let stands = resources(&found).into_iter().filter(|alert| alert["status"] != "entered-in-error");
        let mut all: Vec<Vec<Step>> = stands.map(|alert| told(&alert, start)).collect();
        all.sort();
        assert_eq!(all, expected, "way {way}");
        episodes += all.len();
    }
    assert!(episodes > 5 * PATIENTS * 2, "the readings say something: {episodes}");
    app.stop().await;
}
