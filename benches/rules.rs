//! What the rules cost: `cargo bench --bench rules`. The time to judge one reading by 20 rules of all kinds, and the
//! memory of a window for each of them, both by the evaluator that judges live.

#![expect(clippy::print_stdout, reason = "a report for whoever runs it")]

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;
use vigia::alert::context::Context;
use vigia::alert::rule::{Rule, RuleSet, compile, default_plans, toml};
use vigia::alert::window::{Sample, Terms, Window};
use vigia::fhir::{LOINC, OURS};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rules of a heart rate beyond those that are shipped.
const MORE: [(&str, &str); 8] = [
    ("lasting", r#"for = "5 min""#),
    ("lasting-both", "for = \"5 min\"\nclear-for = \"10 min\""),
    ("three-of-five", "n-of-m = { n = 3, m = 5 }"),
    ("rate", r#"gauge = { kind = "rate", window = "10 min", per = "1 min" }"#),
    ("change", r#"gauge = { kind = "change", window = "30 min" }"#),
    ("slope", r#"gauge = { kind = "slope", memory = "30 min", per = "1 h" }"#),
    ("latching", r#"latch = "critical""#),
    ("hysteresis", "hysteresis = 5"),
];

const PATIENTS: usize = 50_000;
/// Readings that each window takes, one a second.
const READINGS: i64 = 60;
const SECOND: i64 = 1_000_000;
/// 2026-01-01, µs UTC.
const START: i64 = 1_767_225_600_000_000;

fn main() -> Result<()> {
    let rules = RuleSet::new(all()?);
    let own = rules.select(&[(LOINC.to_owned(), "8867-4".to_owned())]);
    let own: Vec<(&Rule, u8)> =
        own.into_iter().map(|(rule, signal, ..)| Ok((rule.as_ref(), u8::try_from(signal)?))).collect::<Result<_>>()?;
    println!("{} rules take a heart rate; each of {PATIENTS} patients has one a second", own.len());
    let mut windows: Vec<Vec<Window>> = Vec::new();
    let (mut bytes, mut time) = (0, 0.0);
    for (rule, signal) in &own {
        let (made, own_bytes, own_time) = judge(rule, *signal)?;
        println!(
            "  {:<20} {own_time:>6.2} µs a reading {own_bytes:>6} B a patient, {} signals",
            rule.id,
            rule.signals.len()
        );
        windows.push(made);
        bytes += own_bytes;
        time += own_time;
    }
    let (own, inline) = (own.len(), size_of::<Window>());
    println!("{own} rules: {time:.2} µs a reading; a window {} B on average, {inline} of them inline", bytes / own);
    black_box(windows);
    Ok(())
}

/// The shipped rules, drafts too (as if they were tried), and the others.
fn all() -> Result<Vec<Rule>> {
    let mut plans = default_plans();
    for (id, line) in MORE {
        let text = format!(
            r#"
            id = "{id}"
            url = "urn:bench:{id}"
            version = "1"
            name = "Bench"
            title = "{id}"
            status = "active"
            label = "Heart rate"
            codes = [{{ loinc = "8867-4" }}]
            unit = "/min"
            {line}

            [[limit]]
            side = "high"
            level = "warning"
            comparator = ">="
            value = 111
            "#
        );
        plans.push(toml::import(&text).map_err(|fault| anyhow!("{id}: {fault:?}"))?);
    }
    for plan in &mut plans {
        plan["status"] = "active".into();
        let trial = serde_json::json!([{"url": "date", "valueDateTime": "2026-01-01"}, {"url": "report", "valueString": "a bench"}]);
        let url = format!("{OURS}/StructureDefinition/alert-back-tested");
        if let Some(list) =
            plan.as_object_mut().map(|plan| plan.entry("extension").or_insert_with(|| Value::Array(vec![])))
        {
            list.as_array_mut().context("no list")?.push(serde_json::json!({"url": url, "extension": trial}));
        }
    }
    plans.iter().map(|plan| compile(plan).map_err(|issues| anyhow!("{}: {issues:?}", plan["id"]))).collect()
}

/// A window for each patient; bytes of one, and µs that one reading takes.
fn judge(rule: &Rule, signal: u8) -> Result<(Vec<Window>, usize, f64)> {
    let context = Context::default();
    let terms = Terms { rule, context: &context };
    let before = resident()?;
    let mut windows = vec![Window::default(); PATIENTS];
    let started = Instant::now();
    for number in 0..READINGS {
        for (patient, window) in (0_i64..).zip(&mut windows) {
            let sample = Sample {
                at: START + number * SECOND,
                value: f64::from(u8::try_from((patient * 7 + number * 3) % 40)?) + 60.0,
                seq: number,
                signal,
                readable: true,
            };
            black_box(window.step(&terms, black_box(&sample)));
            black_box(window.take_scores());
        }
    }
    let steps = f64::from(u32::try_from(PATIENTS)?) * f64::from(u32::try_from(READINGS)?);
    let time = started.elapsed().as_secs_f64() * 1e6 / steps;
    Ok((windows, resident()?.saturating_sub(before) / PATIENTS, time))
}

/// Bytes of memory that this process has.
fn resident() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: usize = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}
