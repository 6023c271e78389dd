//! Many random observations against a plain model of what R4 says the prefixes mean.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use vigia::fhir::time;

use super::search::{found, store};
use crate::helpers::TestApp;
use crate::helpers::samples::plain_observation;

const PREFIXES: [&str; 9] = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"];

/// A moment of two days, written with some precision.
fn moment(rng: &mut StdRng) -> String {
    let (month, day, hour, minute) =
        (rng.random_range(1..3), rng.random_range(1..4), rng.random_range(0..24), rng.random_range(0..2) * 30);
    match rng.random_range(0..8) {
        0 => "2026".to_owned(),
        1 => format!("2026-{month:02}"),
        2 | 3 => format!("2026-{month:02}-{day:02}"),
        4 => format!("2026-{month:02}-{day:02}T{hour:02}:{minute:02}:00+01:00"),
        5 => format!("2026-{month:02}-{day:02}T{hour:02}:{minute:02}:00.250Z"),
        _ => format!("2026-{month:02}-{day:02}T{hour:02}:{minute:02}:00Z"),
    }
}

/// What R4 says of a resource's [start, end) and a parameter's [low, high).
fn dated(prefix: &str, (start, end): (i64, i64), (low, high): (i64, i64)) -> bool {
    match prefix {
        "" | "eq" => low <= start && end <= high,
        "ne" => !(low <= start && end <= high),
        "gt" => end > high,
        "ge" => end > low,
        "lt" => start < low,
        "le" => start < high,
        "sa" => start >= high,
        "eb" => end <= low,
        _ => unreachable!("{prefix}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dates() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let mut rng = StdRng::seed_from_u64(7);
    let mut model = Vec::new();
    let mut resources = Vec::new();
    for n in 0..200 {
        let (id, from) = (format!("o{n:03}"), moment(&mut rng));
        let start = time::range(&from).unwrap();
        let (mut covers, mut effective) = ((start.start, start.end), json!({"id": id, "effectiveDateTime": from}));
        if n % 3 == 0 {
            let to = moment(&mut rng);
            let end = time::range(&to).unwrap();
            if end.start >= start.start {
                (covers, effective) =
                    ((start.start, end.end), json!({"id": id, "effectivePeriod": {"start": from, "end": to}}));
            }
        }
        model.push((id, covers));
        resources.push(plain_observation("x", &effective));
    }
    store(&gateway, &resources).await;
    for _ in 0..40 {
        let text = moment(&mut rng);
        let asked = time::range(&text).unwrap();
        for prefix in PREFIXES {
            let fits = |(_, covers): &&(String, (i64, i64))| dated(prefix, *covers, (asked.start, asked.end));
            let expected: Vec<&str> = model.iter().filter(fits).map(|(id, _)| id.as_str()).collect();
            let query = format!("Observation?date={prefix}{text}&_count=1000");
            assert_eq!(found(&gateway, &query).await, expected.join(" "), "{query}");
        }
    }
    app.stop().await;
}

/// Tenths, so that the model never rounds.
fn measured(prefix: &str, value: i64, asked: i64, half: i64) -> bool {
    // In twentieths: half of the last written digit can be one.
    let (value, low, high, asked) = (value * 2, asked * 2 - half, asked * 2 + half, asked * 2);
    match prefix {
        "" | "eq" => low <= value && value < high,
        "ne" => value < low || value >= high,
        "gt" | "sa" => value > asked,
        "ge" => value >= asked,
        "lt" | "eb" => value < asked,
        "le" => value <= asked,
        _ => unreachable!("{prefix}"),
    }
}

fn tenths(value: i64) -> String {
    format!("{}{}.{}", if value < 0 { "-" } else { "" }, value.abs() / 10, value.abs() % 10)
}

#[tokio::test(flavor = "multi_thread")]
async fn quantities() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let mut rng = StdRng::seed_from_u64(8);
    let mut model = Vec::new();
    let mut resources = Vec::new();
    for n in 0..200 {
        let (id, value) = (format!("o{n:03}"), rng.random_range(-60..120));
        // Grams as milligrams now and then: the same measure.
        let (written, unit) = if n % 4 == 0 { ((value * 100).to_string(), "mg") } else { (tenths(value), "g") };
        let number: serde_json::Value = serde_json::from_str(&written).unwrap();
        let quantity = json!({"value": number, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit});
        resources.push(plain_observation("x", &json!({"id": id, "valueQuantity": quantity})));
        model.push((id, value));
    }
    store(&gateway, &resources).await;
    for _ in 0..30 {
        let value = rng.random_range(-6..12) * 10 + if rng.random_bool(0.5) { 0 } else { rng.random_range(0..10) };
        let whole = value % 10 == 0 && rng.random_bool(0.5);
        let (text, half) = if whole { ((value / 10).to_string(), 10) } else { (tenths(value), 1) };
        for prefix in PREFIXES {
            let fits = |(_, own): &&(String, i64)| measured(prefix, *own, value, half);
            let expected: Vec<&str> = model.iter().filter(fits).map(|(id, _)| id.as_str()).collect();
            let query = format!("Observation?value-quantity={prefix}{text}|http://unitsofmeasure.org|g&_count=1000");
            assert_eq!(found(&gateway, &query).await, expected.join(" "), "{query}");
        }
    }
    app.stop().await;
}
