//! What single steps cost: `cargo bench --bench micro`. Each line is the median of several rounds on one core.

#![expect(clippy::print_stdout, reason = "a report for whoever runs it")]

#[path = "vitals/mod.rs"]
mod vitals;

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use fhir_r4::Format;
use serde_json::Value;
use vigia::alert::context;
use vigia::alert::rule::{RuleSet, compile, default_plans};
use vigia::alert::window::{Sample, Terms, Window};
use vigia::auth::access::{Access, Action, Principal, Role};
use vigia::auth::token::{TokenKeys, Verifier, generate_pem};
use vigia::fhir::constraint;
use vigia::fhir::reading::Reading;
use vigia::fhir::registry::Params;
use vigia::fhir::{index, query};
use vigia::ingest::{device, hl7};
use vigia::normalize::{self, Bound};
use vigia::store::body::{self, Head};

use crate::vitals::Ward;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 2026-01-01, and a time of receipt a day later, ms and µs.
const WARD: Ward = Ward { start: 1_767_225_600_000 };
const RECEIVED: i64 = 1_767_312_000_000_000;

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(120);

/// Prints the time of one call; `units`: how many things one call works on.
fn measure(name: &str, units: u32, mut work: impl FnMut()) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (start, mut calls) = (Instant::now(), 0_u32);
            while start.elapsed() < ROUND {
                for _ in 0..8 {
                    work();
                }
                calls += 8;
            }
            start.elapsed().as_secs_f64() * 1e9 / f64::from(calls) / f64::from(units)
        })
        .collect();
    rounds.sort_unstable_by(f64::total_cmp);
    let median = rounds.get(ROUNDS / 2).copied().unwrap_or_default();
    println!("{name:<58} {median:>9.0} ns {:>11.0} /s", 1e9 / median);
}

fn parsed(text: &str) -> Result<Value> {
    fhir_r4::parse(text.as_bytes(), Format::Json).map_err(|issues| anyhow!("{issues:?}"))
}

/// What stands between a request and its work: whose token it is, and what it may do.
fn authorization() -> Result<()> {
    let keys = TokenKeys::from_pem(&generate_pem()?, "https://v.example", "https://v.example/fhir")?;
    let now = RECEIVED / 1_000_000;
    let scopes = "openid launch/patient patient/*.rs patient/Observation.rs?category=vital-signs";
    let token = keys.mint(&keys.claims("app", scopes, Some("p1".to_owned()), now, 3600))?;
    measure("  a token for the first time: signature and claims", 1, || {
        drop(black_box(keys.verify(black_box(&token), now)));
    });
    let verifier = Verifier::new(keys);
    measure("  a token that was seen before", 1, || drop(black_box(verifier.access(black_box(&token), now))));
    let user = || Principal::User { id: "u".into(), username: "ana".into(), role: Role::Physician };
    measure("  scopes of a user's app, read", 1, || {
        drop(black_box(Access::from_scopes(user(), black_box(scopes), Some("p1".to_owned()))));
    });
    let access = Access::from_scopes(user(), scopes, Some("p1".to_owned()))?;
    measure("  leave to search", 1, || drop(black_box(access.check(Action::Search, black_box("Observation")))));
    let reading = parsed(&WARD.observation(0))?;
    measure("  a constraint, held against a reading", 1, || {
        black_box(constraint::holds("Observation", black_box(&reading), "category", "vital-signs"));
    });
    Ok(())
}

fn main() -> Result<()> {
    let params = Params::default();
    // A heart rate and a blood pressure: the simplest and the largest of the seven.
    for (name, n) in [("heart rate", 0), ("blood pressure", 6)] {
        let text = WARD.observation(n);
        let value = parsed(&text)?;
        let stored = body::encode(&value).map_err(|error| anyhow!("{error}"))?;
        println!("{name}: {} B, {} B stored", text.len(), stored.len());
        measure("  parse", 1, || drop(black_box(parsed(black_box(&text)))));
        measure("  parse and check", 1, || {
            let _ = black_box(fhir_r4::parse(black_box(text.as_bytes()), Format::Json).and_then(fhir_r4::check));
        });
        measure("  index values", 1, || {
            drop(black_box(index::entries(&params, "Observation", black_box(&value))));
        });
        measure("  reading", 1, || drop(black_box(Reading::of(black_box(&value)))));
        measure("  body: encode", 1, || drop(black_box(body::encode(black_box(&value)))));
        let head = Head {
            resource_type: "Observation",
            id: "0193d1c0-7c1e-7abc-8def-0123456789ab",
            version: 1,
            updated: RECEIVED,
        };
        measure("  body: render", 1, || drop(black_box(body::render(&head, black_box(&stored)))));
    }

    println!("doors");
    let upload = vitals::upload(WARD, 0, 100, false);
    measure("  device upload of 100 to drafts, a reading", 100, || {
        drop(black_box(device::parse_json(black_box(upload.as_bytes()), "bench", 0)));
    });
    let items = device::parse_json(upload.as_bytes(), "bench", 0).map_err(|issue| anyhow!("{issue:?}"))?;
    let draft = items.into_iter().next().and_then(Result::ok).context("no draft")?;
    let bound = Bound { patient: format!("Patient/{}", vitals::patient_id(0)), ..Bound::default() };
    measure("  draft to Observation", 1, || {
        drop(black_box(normalize::observation(black_box(&draft), &bound, RECEIVED)));
    });
    let observation = normalize::observation(&draft, &bound, RECEIVED).map_err(|issues| anyhow!("{issues:?}"))?;
    measure("  check", 1, || drop(black_box(fhir_r4::check(black_box(observation.clone())))));
    let frame = WARD.message(0, 30);
    let message = frame.strip_prefix(b"\x0b").and_then(|f| f.strip_suffix(b"\x1c\r")).context("no frame")?;
    let channel = hl7::Channel::default();
    measure("  HL7 v2 message of 30 results to drafts, a result", 30, || {
        drop(black_box(hl7::read(black_box(message), &channel)));
    });

    println!("authorization");
    authorization()?;

    println!("rules");
    let rules = RuleSet::new(default_plans().iter().filter_map(|plan| compile(plan).ok()));
    let reading = Reading::of(&parsed(&WARD.observation(0))?);
    measure("  rules of a reading", 1, || drop(black_box(rules.select(black_box(&reading.codings)))));
    let (rule, ..) = rules.select(&reading.codings).into_iter().next().context("no rule for heart rates")?;
    let context = context::Context::default();
    let (mut window, mut seq, terms) = (Window::default(), 0, Terms { rule, context: &context });
    measure("  step of a window, normal value", 1, || {
        seq += 1;
        let at = RECEIVED + seq * 1_000_000;
        drop(black_box(window.step(&terms, &Sample { at, value: 72.0, seq, signal: 0, readable: true })));
    });

    println!("search");
    let text = "patient=Patient/5f0c6c1e-8a52-4d7b-9c3e-000000000001&code=http://loinc.org|8867-4&date=ge2026-01-01&_sort=-date&_count=50";
    measure("  query", 1, || {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(black_box(text.as_bytes())).into_owned().collect();
        drop(black_box(query::parse(&Params::default(), "Observation", &pairs, false)));
    });
    Ok(())
}
